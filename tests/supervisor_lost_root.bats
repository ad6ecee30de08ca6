#!/usr/bin/env bats
# A worker that survives KILL. To order that happens in the freezer of control groups, version 1: who
# is frozen there dies of a signal when it is thawed, not before. Needs root and that freezer.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load recovery_helpers

FREEZER=/sys/fs/cgroup/freezer

setup() {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to freeze a process"
    [ -e "$FREEZER/cgroup.procs" ] || skip "needs the freezer of control groups, version 1: no $FREEZER"
    COLD=$FREEZER/rbee-test-$$
    mkdir "$COLD" || skip "no folder can be made in $FREEZER"
    fake_setup
}

teardown() {
    [ -n "${COLD:-}" ] && [ -d "$COLD" ] || return 0
    echo THAWED >"$COLD/freezer.state"
    rbee_teardown
    wait_until rmdir "$COLD" 2>/dev/null
}

is_frozen() {
    [ "$(cat "$COLD/freezer.state")" = FROZEN ]
}

freeze() { # PID
    echo "$1" >"$COLD/cgroup.procs"
    echo FROZEN >"$COLD/freezer.state"
    wait_until is_frozen || fail "$1 does not freeze"
}

# A worker whose process is lost.
lose() { # NAME
    freeze "$(worker_field "$1" pid)"
    api POST "/v1/workers/$1/stop" -d '{"force":true}' >/dev/null
    wait_says "$1" '.state == "stopping"'
    clock_advance 11000
    wait_says "$1" '.state == "lost"'
}

@test "a worker that survives KILL is lost, its GPU takes no start, and both come back when it is gone" {
    recovery_config </dev/null
    use_test_hooks
    start_rbeed
    model a <<<'reply one'
    model b <<<'reply one'
    model c <<<'reply one'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.state == "ready"'
    lose a
    # Nobody is blocked by it: the API answers, others work.
    want_up c
    wait_says c '.state == "ready"'
    run ask b '"device":"gpu:0"'
    assert_output --partial '"code":"CIRCUIT_OPEN"'
    assert_output --partial 'gpu:0000:03:00.0 is lost'
    run ask a
    assert_output --partial 'survived KILL'
    assert_equal "$(start_count b)" 0
    echo THAWED >"$COLD/freezer.state"
    wait_says a '.state == "down" or .state == "open"'
    assert_equal "$(api GET /v1/breakers/gpu:0 | jq -r '"\(.state) \(.last_change)"')" 'half_open lost'
    # Its next start is a probe.
    run ask b '"device":"gpu:0"'
    assert_output --partial '"type":"end"'
    clock_advance 61000
    assert_equal "$(api GET /v1/breakers/gpu:0 | jq -r .state)" closed
}

@test "of two GPUs the one that a process is lost on keeps a worker down, and is named" {
    printf 'device %s\n' 0000:03:00.0 0000:c3:00.0 >"$T/bin/devices"
    recovery_config </dev/null
    use_test_hooks
    start_rbeed
    model a <<<'reply one'
    model both <<<'reply one'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.state == "ready"'
    lose a
    run ask both '"device":"gpu:1,gpu:0"'
    assert_output --partial 'gpu:0000:03:00.0 is lost'
    assert_says both '.state == "open" and .waits_for == "device"'
    run rbee why both
    assert_line --regexp '^next step +rbee breaker reset gpu:0000:03:00.0$'
}

@test "a process that is lost in its load on the CPU costs its own worker alone" {
    recovery_config </dev/null
    use_test_hooks
    start_rbeed
    model a <<<'load_gate never'
    model b <<<'reply one'
    want_up a
    wait_for_deed a start
    lose a
    want_up b
    wait_says b '.state == "ready"'
    # It ends in order although it cannot end that one: nothing waits for it for ever.
    kill -TERM "$RBEED_PID"
    wait_for_line "$T/rbeed.log" ' stop'
    echo THAWED >"$COLD/freezer.state"
    wait "$RBEED_PID"
}
