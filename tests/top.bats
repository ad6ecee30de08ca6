#!/usr/bin/env bats
# `rbee top` on a terminal (tmux), with a supervisor and workers that live, crash and come back.

load supervisor_helpers
load recovery_helpers

setup() {
    fake_setup
    export LANG=C.UTF-8 SHELL=/bin/bash # else tmux takes the user's, who may have none
}
teardown() {
    tm kill-server 2>/dev/null || true
    rbee_teardown
}

tm() {
    tmux -S "$T/tmux" -f /dev/null "$@"
}

# A shell of its own on a terminal of COLUMNS x ROWS, in which `rbee top` is started.
open_top() { # COLUMNS ROWS [OPTION...]
    tm new-session -d -x "$1" -y "$2" -s top "exec env PS1='shell> ' bash --norc --noprofile"
    tm set-option -g default-terminal screen-256color
    wait_until screen_has 'shell>'
    keys "rbee top ${*:3}" Enter
    wait_until screen_has '1 Overview'
}

screen() {
    tm capture-pane -p -t top
}

screen_has() { # EXTENDED-REGEX
    screen | grep -qE -- "$1"
}

assert_screen() { # EXTENDED-REGEX
    wait_until screen_has "$1" || fail "no '$1' on the screen: $(screen)"
}

keys() {
    tm send-keys -t top "$@"
}

has_another_pid() { # NAME PID
    [ "$(worker_field "$1" pid)" != "$2" ]
}

has_come_back() {
    ! screen_has reconnecting
}

has_stopped_twin() {
    local pid
    for pid in $(test_processes rbee); do
        ! grep -q '^State:.T' "/proc/$pid/status" || return 0
    done
    return 1
}

@test "every view shows what is there, and follows it" {
    start_rbeed
    model ant <<<$'until gate\ntoken_ms 20\nslots 4'
    model cow <<<$'stderr \e]52;c;ZXZpbA==\a\e[2Jthis is wrong\nexit_silent 3'
    open_top 80 24
    assert_screen '^ *none'
    rbee worker start ant
    assert_screen '^ ant +● ready'
    ask_later 1 ant '"max_tokens":100000'
    assert_screen '● ok +workers 1/1 +running 1'
    keys 3
    assert_screen 'r-.*▶ running +ant'
    rbee worker start cow || true
    wait_for_worker cow open
    keys 2
    assert_screen '^ cow +✖ open'
    assert_screen '▲ degraded'
    keys Down Enter
    assert_screen '^cow +is open for'
    assert_screen 'this is wrong'
    run grep -aP '\x1b\]52|\a' <(screen)
    assert_failure
    keys Escape 5
    assert_screen '^ cow +worker +✖ open +attempts'
    keys 6
    assert_screen 'cow +starting -> open'
    keys 7 # of the worker whose detail was open
    assert_screen 'log of cow'
    assert_screen 'this is wrong'
    keys 4
    assert_screen '^ ID +NAME'
    touch "$T/m/gate"
    keys 3
    assert_screen '^ none'
    keys q
    assert_screen '^shell>$'
}

@test "what is ordered happens: restart, hold with a reason, release, reset, cancel" {
    start_rbeed
    model ant <<<$'until gate\ntoken_ms 20'
    model cow <<<'exit_silent 3'
    rbee worker start ant --wait
    ask_later 1 ant '"max_tokens":100000'
    open_top 100 30
    assert_screen 'running 1'
    keys 3
    assert_screen 'r-.*▶ running +ant'
    keys x
    assert_screen 'y: yes, else no +cancel request r-'
    keys y
    assert_screen 'cancel request .*: done'
    wait "$ASKED" || true
    run cat "$T/out.1"
    assert_output --partial 'CANCELLED'
    first=$(worker_field ant pid)
    keys 2
    keys r y
    wait_until worker_has ant state ready
    wait_until has_another_pid ant "$first"
    keys h
    assert_screen 'why\?'
    keys 'too loud' Enter
    wait_for_worker ant held
    assert_screen '▲ held'
    assert_equal "$(worker_field ant held_reason)" 'too loud'
    keys h y
    wait_for_worker ant ready
    rbee worker start cow || true
    wait_for_worker cow open
    assert_screen '^ cow +✖ open'
    keys Down b y
    assert_screen 'reset the breaker of cow: done'
    keys Up s y
    wait_for_worker ant down
    keys u y
    wait_for_worker ant ready
}

@test "what is refused is said, and nothing is done with --readonly" {
    start_rbeed
    model ant </dev/null
    rbee worker start ant --wait
    open_top 100 30 --readonly
    assert_screen '^ ant +● ready'
    first=$(worker_field ant pid)
    keys r
    assert_screen 'nothing is changed from here'
    keys y q
    assert_screen '^shell>$'
    assert_equal "$(worker_field ant pid)" "$first"
    rbee worker hold ant --wait
    keys 'rbee top' Enter
    assert_screen '^ ant +▲ held'
    keys u y
    assert_screen 'start worker ant: .*held'
    assert_equal "$(worker_field ant state)" held
}

@test "a supervisor that goes is waited for, and what is shown says how old it is" {
    start_rbeed
    model ant </dev/null
    rbee worker start ant --wait
    open_top 80 24
    assert_screen '^ ant +● ready'
    kill -KILL "$RBEED_PID"
    assert_screen 'reconnecting; this is [0-9]+s old'
    assert_screen '^ ant '
    start_rbeed
    wait_until has_come_back
    assert_screen '^ ant '
    kill -STOP "$RBEED_PID" # it lives, and says nothing
    assert_screen 'reconnecting; this is [0-9]+s old'
    kill -CONT "$RBEED_PID"
    wait_until has_come_back
    keys 6
    assert_screen 'ant +.* -> ready'
}

# The last row of the screen has the keys, none is missing in between, and nothing is left of what
# was there before.
fits() { # ROWS
    local shown
    shown=$(screen)
    grep -q '^ rbee ' <<<"$shown" && sed -n "$1p" <<<"$shown" | grep -q '^ ? help' &&
        [ "$(grep -c '? help' <<<"$shown")" -eq 1 ] && [ "$(grep -c '^ 1 ' <<<"$shown")" -eq 1 ]
}

@test "fifty sizes, and each frame fits its terminal" {
    local columns rows
    start_rbeed
    model ant </dev/null
    rbee worker start ant --wait
    open_top 80 24
    for i in {1..50}; do
        columns=$((20 + (i * 37) % 181)) rows=$((5 + (i * 13) % 56))
        tm resize-window -t top -x "$columns" -y "$rows"
        wait_until fits "$rows" || fail "$columns x $rows: $(screen)"
        [ $((i % 10)) -ne 0 ] || keys "$((i / 10))"
    done
}

@test "stopped with Ctrl-Z the shell has its terminal; fg goes on; left by q and by Ctrl-C" {
    start_rbeed
    model ant </dev/null
    open_top 80 24
    keys C-z
    assert_screen 'Stopped +rbee top'
    run screen
    refute_output --partial '1 Overview'
    keys 'stty -a | grep -c " echo "' Enter
    assert_screen '^1$'
    keys 'clear; bg' Enter # in the background it stops again, and leaves the terminal alone
    wait_until has_stopped_twin
    keys 'jobs' Enter
    assert_screen 'Stopped +rbee top'
    run screen
    refute_output --partial '1 Overview'
    keys fg Enter
    assert_screen '1 Overview'
    rbee worker start ant --wait
    assert_screen '^ ant +● ready'
    keys q
    assert_screen 'Stopped' # what was there before
    keys 'clear; echo "ended with $?"; rbee top' Enter
    assert_screen '1 Overview'
    keys C-c
    assert_screen 'ended with 0'
    keys 'echo "then with $?"' Enter
    assert_screen 'then with 130'
}

@test "the terminal is as it was after every signal, to either process" {
    start_rbeed
    # A sanitizer has an end of its own for some of them, which is not what is tested.
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:handle_sigbus=0:handle_sigfpe=0 \
        "$TESTS_DIR/top_terminal.py" signals "$T/bin/rbee" >"$T/out" 2>&1 || fail "$(cat "$T/out")"
    figure "$(cat "$T/out")"
    stop_rbeed
    assert_no_process
}

@test "the mouse chooses a view" {
    start_rbeed
    "$TESTS_DIR/top_terminal.py" mouse "$T/bin/rbee" >"$T/out" 2>&1 || fail "$(cat "$T/out")"
}

@test "-n ends it, -d says how often, and --ascii and NO_COLOR leave out what they say" {
    start_rbeed
    open_top 80 24 -n 2 -d 100ms --ascii --no-mouse
    assert_screen '^shell>$'
    keys 'clear; NO_COLOR=1 rbee top --ascii' Enter
    assert_screen '1 Overview'
    assert_screen '\* ok'
    tm capture-pane -p -e -t top >"$T/colored"
    run grep -P '\x1b\[[0-9;]*(3[0-7]|38|48)[;m]' "$T/colored"
    assert_failure
    run grep -P '[^\x00-\x7f]' <(screen)
    assert_failure
}

@test "without a terminal it says what to do; --once and --json need none" {
    run -69 rbee top --once
    start_rbeed
    model ant </dev/null
    rbee worker start ant --wait
    run -2 --separate-stderr rbee top </dev/null
    # shellcheck disable=SC2154 # run sets it
    assert_equal "${stderr_lines[0]}" \
        'rbee: stdin and stdout must be a terminal; "rbee top --once" needs none'
    COLUMNS=60 rbee top --once >"$T/text"
    run cat "$T/text"
    assert_line --index 0 --regexp '^ rbee +● ok +workers 1/1 '
    assert_line --regexp '^ant +● ready '
    [ "$(wc -L <"$T/text")" -le 60 ] || fail "wider than 60 columns: $(cat "$T/text")"
    LC_ALL=C rbee top --once >"$T/text"
    run -1 grep -P '[^\x00-\x7f]' "$T/text"
    run jq -r '.workers[0].name, .running_count, .tokens_per_second, (.gpus | type)' \
        <(rbee top --once --json)
    assert_output --regexp $'^ant\n0\n0(\.0)?\narray$'
    assert_equal "$(rbee top --json -n 3 -d 100ms | jq -c .state)" $'"ok"\n"ok"\n"ok"'
    run -2 rbee top --delay 1ms
    run -2 rbee top -n 0
}

@test "a terminal that can place no cursor is refused, as is one that is not known" {
    start_rbeed
    for term in dumb no-such-terminal; do
        run -2 env script -qec "env TERM=$term rbee top" /dev/null </dev/null
        assert_output --partial 'needs none'
    done
}
