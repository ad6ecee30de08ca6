#!/usr/bin/env bats
# rbee ps --watch: a table again and again, on a terminal, in a pipe, as JSON, and over a restart of
# the supervisor.

# shellcheck disable=SC2154 # $output and $stderr are of run

load cli_helpers

setup() {
    scripted_setup
    export TERM=xterm
    answers <<<'GET /v1/workers json 200 "{\"workers\":[{\"name\":\"one\",\"state\":\"ready\"},{\"name\":\"two\",\"state\":\"held\"}]}"'
    rbee up
}
teardown() { rbee_teardown; }

watch_until_lines() { # N OPTION...
    local count=$1
    shift
    rbee ps --watch -d 100ms "$@" >out 2>err 3>&- &
    local pid=$!
    wait_until sh -c "[ \$(grep -c one out) -ge $count ]"
    kill -TERM "$pid"
    assert_ends "$pid" 143
}

@test "in a pipe there is one table after the other, with a blank line between" {
    watch_until_lines 2
    rbee ps >once
    { cat once; echo; } >two
    head -n "$(wc -l <two)" out | cmp - two
    refute_regex "$(cat out)" $'\x1b'
}

@test "with --json there is one object a line" {
    watch_until_lines 2 --json
    assert_equal "$(head -n 2 out | jq -c '[.workers[].name]')" $'["one","two"]\n["one","two"]'
}

@test "a delay without --watch is refused: it would be waited for once" {
    run --separate-stderr rbee ps -d 5s
    assert_failure 2
    assert_equal "$stderr" 'rbee: --delay needs --watch, or there is no second look'
}

@test "a terminal is painted over, cut at its edges, and left in order" {
    run python3 "$TESTS_DIR/pty_drive.py" --columns 20 --rows 3 rbee ps --watch -d 100ms <<'STEPS'
expect \x1b[H
expect ... 2 more
expect \x1b[H
resize 80 24
expect two
expect \x1b[J
send \x03
STEPS
    assert_failure 130
    assert_regex "$output" $'\x1b\\[\\?7h\x0d?\n?[^\x1b]*$'
    run env TERM=dumb python3 "$TESTS_DIR/pty_drive.py" rbee ps --watch -d 100ms <<'STEPS'
expect one
expect one
send \x03
STEPS
    assert_failure 130
    refute_regex "$output" $'\x1b'
}

@test "a supervisor that goes is waited for; one that is not there is an error" {
    rbee ps --watch -d 100ms >out 2>err 3>&- &
    local pid=$!
    wait_for_line out one
    rbee down
    wait_for_line err 'the supervisor has gone; waiting for it'
    answers <<<'GET /v1/workers json 200 "{\"workers\":[{\"name\":\"three\",\"state\":\"ready\"}]}"'
    rbee up
    wait_for_line out three
    rbee down
    kill -TERM "$pid"
    assert_ends "$pid" 143
    run rbee ps --watch
    assert_failure 69
}
