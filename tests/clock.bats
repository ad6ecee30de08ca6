#!/usr/bin/env bats
# The clock that tests can move: it moves every deadline of the supervisor, and is in no release.

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# The deadlines here are longer than any test may last, so none passes by itself.

start_worker() { # NAME
    api POST "/v1/workers/$1/start" >/dev/null
    wait_for_worker "$1" ready
}

@test "a release has nothing of it, neither name nor symbol" {
    use_test_hooks
    run grep -c RBEE_TEST_CLOCK "$RBEE_BUILD/bin/rbeed"
    assert_output 0
    run grep -c RBEE_TEST_CLOCK "$RBEE_HOOKS_BUILD/bin/rbeed"
    refute_output 0
    run nm "$RBEE_BUILD/bin/rbeed"
    assert_success
    refute_output --regexp ' [TtBb] .*(clock_hook|clock_mover|clock_moved)|T clock_gettime'
    run nm "$RBEE_HOOKS_BUILD/bin/rbeed"
    assert_output --partial 'T clock_gettime'
}

@test "a worker on demand stops when it has been idle for as long as is written, not before" {
    use_test_hooks
    start_rbeed # idle_stop is 5 minutes
    model a <<<"reply one"
    ask a >/dev/null
    wait_for_worker a ready
    clock_advance 295000
    assert_equal "$(worker_field a state)" ready
    clock_advance 6000
    wait_for_worker a down
    assert_equal "$(done_count a term)" 1
}

@test "a worker that ignores TERM is killed when its grace is over, not before" {
    printf 'life { term_grace = 10m }\n' | write_config
    use_test_hooks
    start_rbeed
    model a <<<"ignore_term"
    start_worker a
    api POST /v1/workers/a/stop >/dev/null
    wait_for_deed a term
    clock_advance 595000
    assert_equal "$(worker_field a state)" stopping
    clock_advance 6000
    wait_for_worker a down
    assert_regex "$(worker_field a last_exit)" SIGKILL
}

@test "a load without progress is ended when load_stall is over, and progress renews it" {
    printf 'life { load_timeout = 1h\n load_stall = 10m }\n' | write_config
    use_test_hooks
    start_rbeed
    model a <<<"load_follow percent"
    api POST /v1/workers/a/start >/dev/null
    clock_advance 595000
    echo 80 >"$T/m/percent"
    wait_until worker_has a load_done_bytes 800
    clock_advance 595000
    assert_equal "$(worker_field a state):$(start_count a)" starting:1
    clock_advance 6000
    wait_for_line "$T/rbeed.log" 'of worker a made no progress for 600000 ms'
}

@test "a load that goes on is ended when load_timeout is over" {
    printf 'life { load_timeout = 1h\n load_stall = 40m }\n' | write_config
    use_test_hooks
    start_rbeed
    model a <<<"load_follow percent"
    api POST /v1/workers/a/start >/dev/null
    clock_advance 2000000
    echo 99 >"$T/m/percent"
    wait_until worker_has a load_done_bytes 990
    clock_advance 1595000
    assert_equal "$(worker_field a state):$(start_count a)" starting:1
    clock_advance 6000
    wait_for_line "$T/rbeed.log" 'worker a .*was not ready within 3600000 ms'
}

@test "a drain ends when it was to end, however often the stop is asked for" {
    printf 'life { drain = 10m\n progress_timeout = 24h }\ndeadline { default = off }\n' | write_config
    use_test_hooks
    start_rbeed
    model a <<<"hang_after 1"
    ask_later 1 a
    wait_for_deed a hang
    api POST /v1/workers/a/stop >/dev/null
    clock_advance 400000
    api POST /v1/workers/a/stop >/dev/null
    assert_equal "$(worker_field a state)" draining
    clock_advance 201000
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"code":"WORKER_DRAINING"'
    wait_for_worker a down
}

@test "a drain is not prolonged by a request that ends in it" {
    printf 'life { drain = 10m\n progress_timeout = 24h }\ndeadline { default = off }\n' | write_config
    use_test_hooks
    start_rbeed
    model a <<<$'slots 2\n%1 gate_after 1 go\n%2 hang_after 1'
    start_worker a
    ask_later 1 a
    local first=$ASKED
    wait_for_deed a gate
    ask_later 2 a
    wait_for_deed a hang
    api POST /v1/workers/a/stop >/dev/null
    clock_advance 400000
    touch "$T/m/go"
    wait "$first"
    assert_regex "$(cat "$T/out.1")" '"type":"end"'
    assert_equal "$(worker_field a state)" draining
    clock_advance 201000
    wait "$ASKED"
    assert_regex "$(cat "$T/out.2")" '"code":"WORKER_DRAINING"'
    wait_for_worker a down
}

@test "a second stop shortens a drain, counted from when it came" {
    printf 'life { drain = 1h\n progress_timeout = 24h }\ndeadline { default = off }\n' | write_config
    use_test_hooks
    start_rbeed
    model a <<<"hang_after 1"
    ask_later 1 a
    wait_for_deed a hang
    api POST /v1/workers/a/stop >/dev/null
    clock_advance 1000000
    api POST /v1/shutdown -d '{"drain_ms":600000}' >/dev/null
    clock_advance 595000
    assert_equal "$(worker_field a state)" draining
    clock_advance 6000
    wait "$ASKED"
    wait "$RBEED_PID"
}

@test "a jump of wall time ends nothing and hastens nothing" {
    use_test_hooks
    start_rbeed
    model a <<<"gate_after 1 go"
    ask_later 1 a
    wait_for_deed a gate
    local yesterday
    yesterday=$(date -u -d '-1 day' +%F)
    clock_jump_wall 86400000
    clock_jump_wall -172800000
    touch "$T/m/go"
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"type":"end"'
    assert_equal "$(worker_field a state)" ready
    # The clock itself did move: the log is written by it.
    run tail -n 1 "$T/rbeed.log"
    assert_output --regexp "($yesterday|$(date -u -d '-1 day' +%F))T" # midnight may lie between
}

@test "what is written after an hour's jump is on disk as soon as ever" {
    use_test_hooks
    start_rbeed
    clock_advance 3600000
    model a <<<"reply one"
    start_worker a
    wait_until is_written a
}

# The log of the database holds what its file does not yet.
is_written() {
    grep -qsa "worker_state.*$1" "$STATE"/rbee.db-wal
}

@test "a command that is none is refused" {
    use_test_hooks
    start_rbeed
    echo "advance -1" >&"$RBEE_TEST_CLOCK_FD"
    IFS= read -r -t "$WAIT_LIMIT_S" answer <&"$RBEE_TEST_CLOCK_REPLY_FD"
    assert_regex "$answer" '^error advance -1: '
}
