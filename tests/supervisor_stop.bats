#!/usr/bin/env bats
# A worker that is wanted again while it stops, and what becomes of who waits for it.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# Worker a runs a request (out.1), has been stopped and started again, and a second request (out.2)
# waits for its next process.
restart_with_one_waiting() {
    ask_later 1 a
    FIRST=$ASKED
    wait_for_deed a gate
    api POST /v1/workers/a/stop >/dev/null
    api POST /v1/workers/a/start >/dev/null
    ask_later 2 a
    SECOND=$ASKED
    wait_until worker_has a queued 1
}

# Waits for worker a to be GOAL in the background: $WAITER, what comes is in $T/waited.GOAL.
wait_later() { # GOAL
    api GET "/v1/workers/a/wait?for=$1" --trace-ascii "$T/trace.$1" >"$T/waited.$1" 3>&- &
    WAITER=$!
    wait_for_line "$T/trace.$1" 'Send header'
}

@test "a restart that is taken back fails what waits for it at once, and what runs may finish" {
    start_rbeed
    model a <<<"gate_after 1 go"
    restart_with_one_waiting
    api POST /v1/workers/a/stop >/dev/null
    wait "$SECOND"
    assert_regex "$(cat "$T/out.2")" '"code":"WORKER_DRAINING"'
    touch "$T/m/go"
    wait "$FIRST"
    assert_regex "$(cat "$T/out.1")" '"stop_reason":"stop"'
    wait_for_worker a down
    assert_equal "$(cat "$T/m/a.gguf.starts")" 1
}

@test "a shutdown takes a restart back" {
    start_rbeed
    model a <<<"gate_after 1 go"
    restart_with_one_waiting
    assert_equal "$(api_status POST /v1/shutdown -d '{"drain_ms":60000}')" 202
    wait "$SECOND"
    assert_regex "$(cat "$T/out.2")" '"code":"SERVER_BUSY"'
    touch "$T/m/go"
    wait "$FIRST"
    assert_regex "$(cat "$T/out.1")" '"stop_reason":"stop"'
    wait "$RBEED_PID"
}

@test "a restart that is taken back while the worker ignores TERM" {
    start_rbeed
    model a <<<"ignore_term"
    api POST /v1/workers/a/start >/dev/null
    wait_for_worker a ready
    api POST /v1/workers/a/stop >/dev/null
    api POST /v1/workers/a/start >/dev/null
    ask_later 1 a
    wait_until worker_has a queued 1
    api POST /v1/workers/a/stop >/dev/null
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"code":"WORKER_DRAINING"'
    wait_for_worker a down
    assert_equal "$(api_status GET /health)" 200
}

@test "the end of the drain ends what runs, also when the worker starts again" {
    printf 'life {\n drain = 200ms\n term_grace = 20s\n}\n' | write_config
    start_rbeed
    printf 'hang_after 1\nignore_term\n' | model a
    ask_later 1 a
    wait_for_deed a hang
    api POST /v1/workers/a/stop >/dev/null
    api POST /v1/workers/a/start >/dev/null
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"code":"WORKER_DRAINING"'
    assert_equal "$(worker_field a state)" stopping
    assert_equal "$(api GET /v1/status | jq '.requests | length')" 0
    # Its calls are gone with it: its death with unread bytes touches nothing.
    kill -KILL "$(worker_field a pid)"
    wait_for_worker a ready
}

@test "who waits for the stop hears of it when a restart follows, and who waits for ready waits on" {
    start_rbeed
    model a <<<"gate_after 1 go"
    ask_later 1 a
    wait_for_deed a gate
    api POST /v1/workers/a/stop >/dev/null
    wait_later stopped
    local stopped=$WAITER
    api POST /v1/workers/a/start >/dev/null
    wait_later ready
    local ready=$WAITER
    touch "$T/m/go"
    wait "$stopped" "$ready"
    assert_equal "$(jq -r .state "$T/waited.stopped")" down
    assert_equal "$(jq -r .state "$T/waited.ready")" ready
    assert_equal "$(cat "$T/m/a.gguf.starts")" 2
}

@test "options that the next process will not have are a conflict, for a request and a person" {
    start_rbeed
    printf 'gate_after 1 go\nterm_ms 100\n' | model a
    ask_later 1 a
    wait_for_deed a gate
    api POST /v1/workers/a/stop >/dev/null
    api POST /v1/workers/a/start -d '{"context":100}' >/dev/null
    run ask a '"context":200'
    assert_output --partial '"code":"CONFLICT"'
    assert_output --partial 'context 100, not 200'
    run api POST /v1/workers/a/start -d '{"context":200}'
    assert_output --partial '"code":"CONFLICT"'
    ask_later 2 a '"context":100'
    wait_until worker_has a queued 1
    touch "$T/m/go"
    wait "$ASKED"
    assert_regex "$(cat "$T/out.2")" '"type":"end"'
}

@test "a start that fails at once says so" {
    start_rbeed
    model a <<<"reply one"
    rm "$T/bin/rbee-worker"
    run api POST /v1/workers/a/start -w '%{http_code}'
    assert_output --partial '"code":"WORKER_CONFIG"'
    assert_output --partial 'could not be started'
    refute_output --partial '202'
}

@test "a worker is reached when its socket's name is gone" {
    start_rbeed
    printf 'tokens 10\ntoken_ms 30\n' | model a
    ask_later 1 a
    wait_for_line "$T/out.1" '"type":"token"'
    rm "$T"/run/rbee/w-*.sock
    # Its connection ends with the client: the next request needs another.
    kill "$ASKED"
    run ask a
    assert_line --partial '"type":"end"'
}
