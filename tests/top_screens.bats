#!/usr/bin/env bats
# What the dashboard draws, of answers that lie in a file: every view at 80x24 and at 200x60 beside
# golden texts, and what keys do. `tests/top_screens.bats --write` writes the goldens anew.

if [ "${1:-}" != --write ]; then
    load helpers
    bats_require_minimum_version 1.5.0 # run -N
fi

HEARD=tests/golden/top/heard.json

setup() {
    cd "$TREE_DIR" || return
    DRAW=$RBEE_BUILD/tests/draw_top
}

draw() { # [--OPTION...] ROWS COLUMNS [KEY...]
    local options=()
    while [[ $1 == --* ]]; do
        options+=("$1")
        shift
    done
    "$DRAW" "${options[@]}" "$1" "$2" "$HEARD" "${@:3}"
}

# Each golden: its name, and what draws it.
goldens() {
    local view size
    for size in '24 80' '60 200'; do
        for view in 1 2 3 4 5 6 7; do
            echo "view$view-${size/ /x} $size $view"
        done
        echo "why-${size/ /x} $size 2 down down enter"
        echo "help-${size/ /x} $size ?"
    done
    echo "gpu-24x80 24 80 4 enter"
    echo "columns-24x80 24 80 2 c down down space"
    echo "ascii-24x80 --ascii 24 80"
    echo "ascii-gpus-24x80 --ascii 24 80 4"
    echo "narrow-12x20 12 20"
    echo "lost-24x80 24 80 lost:7"
}

if [ "${1:-}" = --write ]; then
    TREE_DIR=. DRAW=${RBEE_BUILD:-build/plain}/tests/draw_top
    while read -r name words; do
        # shellcheck disable=SC2086 # words
        draw $words >"tests/golden/top/$name.txt"
    done < <(goldens)
    exit
fi

@test "every view, at 80x24 and at 200x60, is as its golden text" {
    local name words bad=()
    while read -r name words; do
        # shellcheck disable=SC2086 # words
        draw $words | diff -u "tests/golden/top/$name.txt" - || bad+=("$name")
    done < <(goldens)
    [ "${#bad[@]}" -eq 0 ] || fail "other than the golden: ${bad[*]}"
}

@test "every golden text is drawn by somebody" {
    assert_equal "$(find tests/golden/top -name '*.txt' -printf '%f\n' | sort)" \
        "$(goldens | cut -d' ' -f1 | sed 's/$/.txt/' | sort)"
}

@test "no frame has more lines or columns than its terminal, and none a control character" {
    local size rows columns key
    for size in '1 1' '2 5' '3 20' '5 10' '12 20' '24 80' '24 40' '7 200' '300 900'; do
        read -r rows columns <<<"$size"
        for key in 1 2 3 4 5 6 7 '?' c; do
            draw "$rows" "$columns" "$key" >"$BATS_TEST_TMPDIR/frame"
            assert_equal "$(wc -l <"$BATS_TEST_TMPDIR/frame")" "$rows"
            [ "$(LC_ALL=C.UTF-8 wc -L <"$BATS_TEST_TMPDIR/frame")" -le "$columns" ] ||
                fail "too wide at $size, key $key"
            run -1 grep -nP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xaa-\xae]' \
                "$BATS_TEST_TMPDIR/frame"
        done
    done
}

@test "a filter leaves what fits, and with ! what does not; one that is none says why" {
    run draw 24 80 2 / gemma enter
    assert_output --partial '/gemma'
    assert_line --regexp '^ gemma '
    refute_line --regexp '^ coder '
    run draw 24 80 2 / '!READY|held' enter
    refute_line --regexp '^ (coder|night) '
    assert_line --regexp '^ phi '
    run draw 24 80 2 / '('
    assert_line --partial 'Unmatched'
    assert_line --regexp '^ coder '
    run draw 24 80 2 / gemma enter esc
    assert_line --regexp '^ coder '
    run draw 24 80 2 / nothing-has-this enter
    assert_line --partial 'nothing fits the filter'
}

@test "rows are ordered by any column, unknown ones last either way, and the choice goes with its row" {
    run draw 24 80 2 '>>>>>>>>>' # tokens a second
    assert_line --index 3 --partial 'tiny'
    run draw 24 80 2 '>>>>>>>>>i'
    assert_line --index 3 --partial 'coder'
    assert_line --index 6 --partial 'llama' # of which it is not known
    run draw 24 80 2 down '>>>>>>>>>' i r y # the second row was gemma
    assert_line 'order: POST /v1/workers/gemma/restart'
    run draw 24 80 2 '<<' '>>' i i
    assert_line --index 3 --partial 'coder'
}

@test "what is ordered is asked for first, and only y is yes" {
    local row
    for row in 'r POST restart' 's POST stop' 'u POST start'; do
        read -r key method verb <<<"$row"
        run draw 24 80 1 down down "$key"
        assert_line --partial "y: yes, else no   $verb worker llama?"
        refute_line --partial 'order:'
        run draw 24 80 1 down down "$key" n
        assert_line --partial 'nothing was changed'
        refute_line --partial 'order:'
        run draw 24 80 1 down down "$key" y
        assert_line "order: $method /v1/workers/llama/$verb"
        run draw --readonly 24 80 1 down down "$key"
        assert_line --partial 'nothing is changed from here: --readonly'
        run draw --readonly 24 80 1 down down "$key" y
        refute_line --partial 'order:'
    done
    run draw 24 80 5 down down b y
    assert_line 'order: POST /v1/breakers/llama/reset'
    run draw 24 80 5 end b y
    assert_line 'order: POST /v1/breakers/gpu:1/reset'
    run draw 24 80 3 down x y
    assert_line 'order: DELETE /v1/inference/r-4B3YEmvtMyEgP_fULHV02'
    run draw 24 80 2 h 'too loud at night' enter
    assert_line 'order: POST /v1/workers/coder/hold reason: too loud at night'
    run draw 24 80 2 h 'too loud' esc
    refute_line --partial 'order:'
    run draw 24 80 2 down down down down h y
    assert_line 'order: POST /v1/workers/night/release'
    run draw 24 80 2 down down enter r y # from the detail, of its worker
    assert_line 'order: POST /v1/workers/llama/restart'
}

@test "views by number, by name, by Tab and by a click; a row by a click, its detail by two" {
    run draw 24 80 : ev tab enter
    assert_line --partial 'events  12 lines'
    run draw 24 80 : gp enter
    assert_line --partial 'Radeon RX 7900'
    run draw 24 80 : nonsense enter
    assert_line --partial 'overview, workers, requests'
    run draw 24 80 tab tab
    assert_line --partial 'r-4B3YEmvtMyEgP_fULHV01'
    run draw 24 80 backtab
    assert_line --partial 'log of the supervisor'
    run draw 24 80 click:1:15
    assert_line --regexp '^ NAME  .*BREAKER'
    run draw 24 80 2 click:5:3 r y
    assert_line 'order: POST /v1/workers/llama/restart'
    run draw 24 80 2 click:22:3 r y # below the last row: the choice stays
    assert_line 'order: POST /v1/workers/coder/restart'
    run draw 24 80 2 double:5:3
    assert_line --partial 'is open for 5m48s'
    run draw 24 80 q
    assert_line 'left'
    run draw 24 80 : quit enter
    assert_line 'left'
}

@test "lines that are longer than the screen are read by going sideways" {
    run draw 24 40 6
    refute_line --partial 'worker llama died'
    run draw 24 40 6 right right
    assert_line --partial 'worker llama died'
    run draw 24 40 6 right right left left left
    assert_line --regexp '^13:40:30  llama'
}

@test "logs: of the chosen worker, of its neighbours, held and followed" {
    run draw 24 80 2 down l
    assert_line --partial 'log of gemma  17 lines'
    run draw 24 80 2 down l ']'
    assert_line --partial 'log of llama'
    run draw 24 80 7 '['
    assert_line --partial 'log of zephyr'
    run draw 12 80 7
    assert_line --partial 'fatal class=gpu_fault'
    run draw 12 80 7 pgup
    assert_line --partial '(held: f goes on)'
    refute_line --partial 'fatal class=gpu_fault'
    run draw 12 80 7 pgup f
    assert_line --partial 'fatal class=gpu_fault'
    run draw 12 80 7 / red enter
    assert_line --partial '1 lines'
}
