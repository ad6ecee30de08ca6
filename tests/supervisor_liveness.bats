#!/usr/bin/env bats
# A worker that does not work any more is found by what it does not compute, and killed; one that is
# slow, or waits for its clients, is not. What comes after the kill is another suite's.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load supervisor_helpers

setup() { rbee_setup; }
teardown() { rbee_teardown; }

# rbeed with fake workers: live_setup PROGRESS-TIMEOUT CANARY
live_setup() {
    rbee_teardown
    PROGRESS_TIMEOUT=$1 CANARY=$2 fake_setup
    start_rbeed
}

token_count() { # FILE
    grep -c '"type":"token"' "$1" || true
}

has_tokens() { # FILE COUNT
    [ "$(token_count "$1")" -ge "$2" ]
}

# A request on another worker, out.b, that streams until bystander_is_well.
with_bystander() {
    printf 'until b.done\ntoken_ms 20\n' | model b
    ask_later b b
    BYSTANDER=$ASKED
    wait_until has_tokens "$T/out.b" 3
}

# It has gone on all the time, goes on now, and ends as it should.
bystander_is_well() {
    wait_until has_tokens "$T/out.b" $(($(token_count "$T/out.b") + 3))
    touch "$T/m/b.done"
    wait "$BYSTANDER"
    run events <"$T/out.b"
    refute_output --partial '"type":"error"'
    assert_output --partial '"stop_reason":"stop"'
    assert_equal "$(cat "$T/m/b.gguf.starts")" 1
}

# Worker a, whose process was PID, has been killed because it WORDS.
assert_hung() { # PID WORDS
    wait_until is_gone "$1"
    wait_until grep -qs 'worker name=a .*event=hung' "$T/rbeed.log"
    assert_regex "$(worker_field a last_exit)" "^killed: it .*$2"
}

# The client of FILE has had its tokens, then one error that says WORDS, then the end.
assert_one_error() { # FILE WORDS
    run events <"$1"
    assert_equal "$(grep -c '"type":"error"' <<<"$output")" 1
    assert_equal "${lines[-1]}" "[DONE]"
    assert_regex "${lines[-2]}" '"code":"WORKER_DIED"'
    assert_regex "${lines[-2]}" "$2"
}

# Script of a on stdin, which stops to work by itself; a client sees WORDS.
hang_while_busy() { # WORDS
    local pid
    with_bystander
    model a
    ask_later a a
    wait_until has_tokens "$T/out.a" 2
    pid=$(worker_field a pid)
    wait "$ASKED"
    assert_one_error "$T/out.a" "$1"
    assert_hung "$pid" "$1"
    bystander_is_well
}

# ---- busy ----

@test "stopped while it works: found, killed, its client told, nobody else disturbed" {
    live_setup 3s off
    with_bystander
    printf 'until never\ntoken_ms 20\n' | model a
    ask_later a a
    wait_until has_tokens "$T/out.a" 2
    local pid
    pid=$(worker_field a pid)
    kill -STOP "$pid"
    wait "$ASKED"
    assert_one_error "$T/out.a" 'worker a hung and was killed: it has answered nothing for [0-9]+ ms'
    assert_hung "$pid" 'has answered nothing'
    bystander_is_well
    stop_rbeed
    assert_equal "$(db "select count(*) from events where details like '%\"event\":\"hung\"%' and
        details like '%has answered nothing%'")" 1
    assert_equal "$(db "select count(*) from requests")" 2
}

@test "a busy loop that answers nothing" {
    live_setup 3s off
    hang_while_busy 'answered nothing' <<<'spin_after 2'
}

@test "tokens stop in the middle while everything is answered" {
    live_setup 3s off
    hang_while_busy 'made no progress for [0-9]+ ms while it had work' <<<'hang_after 2'
}

@test "tokens stop, and what it says of itself is nonsense" {
    live_setup 3s off
    hang_while_busy 'answers nonsense' <<'END'
hang_after 2
ready_text '{"phase":"ready"}'
END
}

@test "a process that lives and refuses connections is found long before the limit" {
    live_setup 10m off
    hang_while_busy 'refused every connection' <<'END'
refuse_after 2
hang_after 2
END
}

@test "an answer in one piece that never comes" {
    live_setup 3s off
    model a <<<'hang_after 0'
    run ask a '"stream":false'
    assert_output --partial '"code":"WORKER_DIED"'
    assert_output --partial 'made no progress'
}

@test "a worker that hangs while it drains is not waited for" {
    live_setup 3s off
    sed -i 's/drain = .*/drain = 10m/' "$XDG_CONFIG_HOME/rbee/rbee.conf"
    stop_rbeed
    start_rbeed
    model a <<<'hang_after 2'
    ask_later a a
    wait_for_deed a hang
    local pid
    pid=$(worker_field a pid)
    api POST /v1/workers/a/stop >/dev/null
    wait "$ASKED"
    assert_one_error "$T/out.a" 'made no progress'
    assert_hung "$pid" 'made no progress'
}

@test "a slow worker that gets on is left alone, in its prompt and between tokens" {
    live_setup 2s off
    model a <<'END'
prefill_steps 20 150
tokens 4
token_ms 800
END
    run ask a
    refute_output --partial '"type":"error"'
    assert_equal "$(events <<<"$output" | grep -c '"type":"token"')" 4
    run ask a '"stream":false'
    assert_output --partial '"stop_reason":"stop"'
    assert_equal "$(cat "$T/m/a.gguf.starts")" 1
}

uptime_is_over() { # MS
    [ "$(worker_field a uptime_ms)" -gt "$1" ]
}

# The client reads nothing: first our buffers fill, then the worker's.
@test "a worker that waits for its client is left alone" {
    live_setup 1s off
    printf 'until done\nreply %s\n' "$(head -c 4000 /dev/zero | tr '\0' y)" | model a
    python3 - "$SOCKET" "$T/leave" <<'END' 3>&- &
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
body = b'{"model":"a","prompt":"hi"}'
s.sendall(b"POST /v1/inference HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
END
    local client=$!
    wait_until worker_has a in_flight 1
    wait_for_worker a ready
    wait_until uptime_is_over $(($(worker_field a uptime_ms) + 4000))
    assert_equal "$(worker_field a state)" ready
    touch "$T/leave"
    wait "$client"
    wait_until worker_has a in_flight 0
    touch "$T/m/done"
    run ask a
    assert_output --partial '"type":"end"'
    assert_equal "$(cat "$T/m/a.gguf.starts")" 1
}

is_past() { # SECONDS
    [ "$SECONDS" -ge "$1" ]
}

@test "time in which the supervisor itself did not run is not held against a worker" {
    live_setup 2s off
    printf 'until done\ntoken_ms 20\n' | model a
    ask_later a a
    wait_until has_tokens "$T/out.a" 2
    local pid
    pid=$(worker_field a pid)
    kill -STOP "$pid" "$RBEED_PID" # as when the machine is suspended
    wait_until is_past $((SECONDS + 5))
    kill -CONT "$RBEED_PID" "$pid"
    wait_until has_tokens "$T/out.a" $(($(token_count "$T/out.a") + 3))
    touch "$T/m/done"
    wait "$ASKED"
    run events <"$T/out.a"
    assert_output --partial '"stop_reason":"stop"'
    assert_equal "$(cat "$T/m/a.gguf.starts")" 1
}

# ---- idle ----

# Script of a on stdin; it has worked once.
idle_worker() {
    model a
    run ask a
    assert_output --partial '"type":"end"'
}

has_canary() { # NAME COUNT
    [ "$(grep -c "canary name=$1 " "$T/rbeed.log")" -ge "$2" ]
}

@test "stopped while it is idle: its canary finds it" {
    live_setup 3s 200ms
    with_bystander
    idle_worker <<<'reply one'
    local pid
    pid=$(worker_field a pid)
    kill -STOP "$pid"
    assert_hung "$pid" 'has answered nothing'
    bystander_is_well
}

@test "answers /health and /ready, but no inference: its canary finds it" {
    live_setup 3s 200ms
    model a <<<'hang_after 0'
    api POST /v1/workers/a/start >/dev/null
    wait_for_worker a ready
    assert_hung "$(worker_field a pid)" 'made no progress for [0-9]+ ms while one token was asked'
}

@test "answers every inference with an error: its canaries find it" {
    live_setup 2s 200ms
    model a <<<'status 500 INTERNAL "no such kernel"'
    api POST /v1/workers/a/start >/dev/null
    wait_for_worker a ready
    local pid
    pid=$(worker_field a pid)
    run ask a
    assert_output --partial 'no such kernel' # the client's error is the worker's, and no kill
    assert_hung "$pid" 'failed for [0-9]+ ms to compute the one token'
}

@test "refuses connections while it is idle" {
    live_setup 10m 200ms
    idle_worker <<'END'
reply "one two"
refuse_after 2
END
    assert_hung "$(worker_field a pid)" 'refused every connection'
}

@test "counters that fall are a lie" {
    live_setup 10m 200ms
    model a <<'END'
fall_after 2
hang_after 2
END
    api POST /v1/workers/a/start >/dev/null
    wait_until has_canary a 1
    ask_later a a
    wait_for_deed a hang
    local pid
    pid=$(worker_field a pid)
    wait "$ASKED"
    assert_one_error "$T/out.a" 'counters fell'
    assert_hung "$pid" 'counters fell'
}

# ---- canaries ----

@test "the first canary comes 30 s after the last work, the next a minute later" {
    rbee_teardown
    CANARY=30s fake_setup
    use_test_hooks
    start_rbeed
    idle_worker <<<'reply one'
    clock_advance 25000
    assert_equal "$(done_count a inference)" 1
    clock_advance 6000
    wait_until has_canary a 1
    clock_advance 50000
    assert_equal "$(done_count a inference)" 2
    clock_advance 11000
    wait_until has_canary a 2
    assert_equal "$(start_count a)" 1
}

# Its worker has time of its own, and computes nothing in the time that our clock jumps.
@test "a hang is judged by the clock that tests move, after twenty seconds and not before" {
    rbee_teardown
    PROGRESS_TIMEOUT=20s fake_setup
    use_test_hooks
    start_rbeed
    model a <<<'hang_after 1'
    ask_later a a
    wait_for_deed a hang
    clock_advance 10000
    assert_equal "$(worker_field a state)" ready
    clock_advance 12000
    wait "$ASKED"
    assert_one_error "$T/out.a" 'made no progress'
}

@test "a canary is nobody's request" {
    live_setup 10m 100ms
    idle_worker <<<'reply "one two"'
    wait_until has_canary a 3
    assert_equal "$(worker_field a in_flight)" 0
    assert_equal "$(api GET /v1/status | jq '.requests | length')" 0
    run jq -c 'select(.what=="inference" and (.id|startswith("c-"))).body' "$T/m/a.log"
    assert_equal "$(jq -r .max_tokens <<<"${lines[0]}")" 1
    stop_rbeed
    assert_equal "$(db 'select count(*) from requests')" 1
}

@test "a canary leaves when real work comes, which does not wait for it" {
    live_setup 10m 100ms
    model a <<<'gate_after 0 go'
    api POST /v1/workers/a/start >/dev/null
    wait_for_deed a gate # the canary has the only slot, and keeps it
    assert_equal "$(worker_field a in_flight)" 0
    ask_later a a
    wait_for_line "$T/m/a.log" '"what": "gone", .*"id": "c-'
    wait_for_line "$T/m/a.log" '"what": "gate", .*"id": "r-'
    touch "$T/m/go"
    wait "$ASKED"
    run events <"$T/out.a"
    assert_output --partial '"type":"end"'
    assert_equal "$(cat "$T/m/a.gguf.starts")" 1
}

@test "canaries do not keep a worker from stopping when it is idle" {
    live_setup 10m 50ms
    sed -i 's/^life {/life {\n idle_stop = 1500ms/' "$XDG_CONFIG_HOME/rbee/rbee.conf"
    stop_rbeed
    start_rbeed
    idle_worker <<<'reply one'
    wait_for_worker a down
    assert has_canary a 2
    assert_equal "$(worker_field a last_exit)" 'exit 0'
}

@test "a worker that is stopped while a canary is out ends at once" {
    live_setup 10m 100ms
    model a <<<'gate_after 0 go'
    api POST /v1/workers/a/start >/dev/null
    wait_for_deed a gate
    api POST /v1/workers/a/stop >/dev/null
    wait_for_worker a down
    assert_equal "$(worker_field a last_exit)" 'exit 0'
}

# The tokens that the worker itself has counted, as of its Nth canary.
canary_tokens() { # N
    sed -n 's/.* canary name=tiny tokens=\([0-9]*\) .*/\1/p' "$T/rbeed.log" | sed -n "$1p"
}

@test "a real worker counts its canaries, stays up and works" {
    write_config <<<'life {
    canary = 50ms
    canary_max = 100ms
}'
    tiny_model "$T/tiny.gguf"
    start_rbeed
    api POST /v1/models -d "{\"path\":\"$T/tiny.gguf\"}" >/dev/null
    api POST /v1/workers/tiny/start >/dev/null
    wait_until has_canary tiny 5
    assert [ "$(canary_tokens 5)" -ge $(($(canary_tokens 1) + 4)) ]
    run ask tiny '"max_tokens":5,"raw":true'
    assert_output --partial '"type":"end"'
    wait_until has_canary tiny 8
    run grep -c 'event=loaded' "$T/rbeed.log"
    assert_output 1
    refute [ -s <(grep 'event=hung' "$T/rbeed.log") ]
    run rbee down
    assert_success
    assert_no_process
}
