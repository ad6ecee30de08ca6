#!/usr/bin/env bats
# Deadlines from the caller to the worker: what is refused, what is answered when the time is over,
# in each phase, and that nobody but the one who is late notices.

# shellcheck disable=SC2154 # $output and $stderr are of run

load supervisor_helpers

setup() {
    # shellcheck disable=SC2034 # fake_config's
    DEADLINE_DEFAULT='' # the one that everybody has
    fake_setup
}
teardown() { rbee_teardown; }

now_ms() {
    date +%s%3N
}

ask_within() { # MS MODEL
    ask "$2" '' -H "X-Timeout-Ms: $1"
}

ask_whole_within() { # MS MODEL
    api POST /v1/inference -d "{\"model\":\"$2\",\"prompt\":\"hi\",\"stream\":false}" \
        -H "X-Timeout-Ms: $1" -w '\n%{http_code}\n'
}

# The envelope in $output is a missed deadline in PHASE, and the status 504.
assert_missed_in() { # PHASE
    assert_equal "$(tail -n 1 <<<"$output")" 504
    assert_equal "$(head -n 1 <<<"$output" | jq -c '[.error.code, .error.details.phase]')" \
        "[\"DEADLINE_EXCEEDED\",\"$1\"]"
    assert_equal "$(head -n 1 <<<"$output" | jq '.error.details.spent_ms | keys | length')" 4
}

misses() { # PHASE
    api GET /metrics | sed -n "s/^rbee_hive_deadline_misses_total{phase=\"$1\"} //p"
}

# ---- at the door ----

malformed() {
    cat <<'END'
-1
+1
1.5
1e3
0x10
1,2
1_000
1 2
soon
null
NaN
inf
Infinity
true
"1"
'1'
007
00
1s
500ms
5m
1;2
--1
0-1
{}
[1]
O
l00
1/2
%31
1790000000000000
99999999999999999999999999
9223372036854775808
18446744073709551616
2026-11-27T00:00:00Z
Fri, 27 Nov 2026 00:00:00 GMT
1790000000.000
$(date)
*
=1
END
}

@test "forty deadlines that are none: 400 each, on each header, and no worker is started for them" {
    start_rbeed
    model a <<<"reply one"
    local value name count=0
    while IFS= read -r value; do
        for name in X-Deadline X-Timeout-Ms; do
            run ask a '' -H "$name: $value" -w '\n%{http_code}\n'
            assert_equal "$name $value: $(tail -n 1 <<<"$output")" "$name $value: 400"
            assert_equal "$(head -n 1 <<<"$output" | jq -r .error.code)" INVALID_DEADLINE
        done
        count=$((count + 1))
    done < <(malformed)
    assert_equal "$count" 40
    assert_equal "$(ask a '' -H 'X-Deadline;' | jq -r .error.code)" INVALID_DEADLINE
    assert_equal "$(ask a '' -H 'X-Timeout-Ms: 5' -H 'X-Timeout-Ms: 5' | jq -r .error.code)" \
        INVALID_DEADLINE
    assert_equal "$(start_count a)" 0
}

@test "one too far away is refused with the longest that may be asked for" {
    start_rbeed
    model a <<<"reply one"
    run ask a '' -H "X-Timeout-Ms: 3600001"
    assert_equal "$(jq -c '[.error.code, .error.details.max_ms]' <<<"$output")" \
        '["INVALID_DEADLINE",3600000]'
    run ask a '' -H "X-Deadline: $(($(now_ms) + 3700000))"
    assert_equal "$(jq -r .error.code <<<"$output")" INVALID_DEADLINE
    run ask_within 3600000 a
    assert_output --partial '"type":"end"'
}

@test "one that has passed on arrival: 504 before any work, on every route" {
    start_rbeed
    model a <<<"reply one"
    local header
    for header in "X-Timeout-Ms: 0" "X-Deadline: 0" "X-Deadline: $(($(now_ms) - 1))"; do
        run api POST /v1/inference -d '{"model":"a","prompt":"hi"}' -H "$header" -w '\n%{http_code}\n'
        assert_missed_in arrival
    done
    assert_equal "$(api_status POST /v1/workers/a/start -H 'X-Timeout-Ms: 0')" 504
    assert_equal "$(api_status GET /v1/status -H 'X-Timeout-Ms: 0')" 504
    assert_equal "$(api_status GET /v1/status -H 'X-Timeout-Ms: 60000')" 200
    assert_equal "$(misses arrival)" 5
    assert_equal "$(start_count a)" 0
    assert_equal "$(api GET /metrics | grep -c 'requests_total.* [1-9]')" 0
}

# Sends BODY to PATH 300 ms later than its head, which gives it 100 ms; prints the reply's status.
late_body() { # PATH BODY
    python3 - "$SOCKET" "$1" "$2" <<'END'
import select, socket, sys
path, target, body = sys.argv[1:]
client = socket.socket(socket.AF_UNIX)
client.connect(path)
client.sendall(f"POST {target} HTTP/1.1\r\nHost: x\r\nX-Timeout-Ms: 100\r\n"
               f"Content-Length: {len(body)}\r\n\r\n".encode())
select.select([], [], [], 0.3)
client.sendall(body.encode())
print(client.recv(65536).split(b" ")[1].decode())
END
}

@test "one that passes while the body comes: 504, and nothing was changed" {
    start_rbeed
    model a <<<"reply one"
    rbee worker start a --wait
    assert_equal "$(late_body /v1/breakers/a/open '{"reason":"late"}')" 504
    assert_equal "$(late_body /v1/workers/a/hold '{"reason":"late"}')" 504
    assert_equal "$(late_body /v1/workers/a/stop '{"force":true}')" 504
    assert_equal "$(api GET /v1/breakers/a | jq -r .state)" closed
    assert_equal "$(worker_field a state)" ready
    assert_equal "$(misses queue)" 3
}

# ---- in each phase ----

@test "decode: a stream gets one error event and its end, and the slot is free" {
    start_rbeed
    model a <<<$'slots 1\n%1 tokens 100000\n%1 token_ms 20'
    run ask_within 1000 a
    run events <<<"$output"
    assert_line --index 0 --partial '"type":"queued"'
    assert_equal "$(grep -c '"type":"error"' <<<"$output")" 1
    assert_equal "$(grep -c '"type":"end"' <<<"$output")" 0
    assert_equal "$(tail -n 1 <<<"$output")" '[DONE]'
    assert_equal "$(tail -n 2 <<<"$output" | head -n 1 | jq -c '[.type, .code, .details.phase]')" \
        '["error","DEADLINE_EXCEEDED","decode"]'
    wait_for_deed a gone
    run ask a
    assert_output --partial '"type":"end"'
    assert_equal "$(misses decode)" 1
    assert_equal "$(api GET /metrics | sed -n 's/.*requests_total{outcome="deadline_exceeded"} //p')" 1
}

@test "decode: an answer in one piece becomes a 504 that says so" {
    start_rbeed
    model a <<<$'slots 1\n%1 tokens 100000\n%1 token_ms 20'
    run ask_whole_within 1000 a
    assert_missed_in decode
    wait_for_deed a gone
    run ask a
    assert_output --partial '"type":"end"'
}

@test "prefill: 504 though a stream was asked for, because nothing has gone out" {
    start_rbeed
    model a <<<$'slots 1\n%1-2 prefill_ms 600000'
    api POST /v1/workers/a/start >/dev/null
    wait_for_worker a ready
    run ask a '' -H 'X-Timeout-Ms: 400' -w '\n%{http_code}\n'
    assert_missed_in prefill
    run ask_whole_within 400 a
    assert_missed_in prefill
    run ask a
    assert_output --partial '"type":"end"'
    assert_equal "$(done_count a gone)" 2
}

@test "queue: who waits too long behind others is told, and the one before it notices nothing" {
    start_rbeed
    model a <<<$'slots 1\n%1 gate_after 1 go'
    ask_later 1 a
    wait_for_deed a gate
    run ask_whole_within 300 a
    assert_missed_in queue
    run ask_within 300 a
    run events <<<"$output"
    assert_line --index 0 --partial '"type":"queued"'
    assert_line --index 1 --partial '"phase":"queue"'
    touch "$T/m/go"
    wait "$ASKED"
    assert_equal "$(grep -c '"type":"end"' "$T/out.1")" 1
    assert_equal "$(done_count a inference)" 1
}

@test "load: it goes on when the first deadline has passed, and the second request is served" {
    start_rbeed
    model a <<<"load_gate go"
    run ask_whole_within 1000 a
    assert_missed_in load
    ask_later 2 a
    touch "$T/m/go"
    wait "$ASKED"
    assert_regex "$(cat "$T/out.2")" '"type":"end"'
    assert_equal "$(start_count a)" 1
    assert_equal "$(done_count a inference)" 1
    assert_equal "$(misses load)" 1
}

@test "a wait for a worker ends with the deadline of who waits" {
    start_rbeed
    model a <<<"load_gate go"
    api POST /v1/workers/a/start >/dev/null
    run api GET '/v1/workers/a/wait?for=ready' -H 'X-Timeout-Ms: 300' -w '\n%{http_code}\n'
    assert_equal "$(tail -n 1 <<<"$output")" 504
    assert_equal "$(head -n 1 <<<"$output" | jq -r .error.code)" DEADLINE_EXCEEDED
    assert_equal "$(worker_field a state)" starting
}

# ---- what the worker is told ----

told() { # the last inference's FIELD, deadline or left
    grep '"what": "inference"' "$T/m/a.log" | tail -n 1 | jq -r ".$1"
}

@test "the worker gets the deadline unchanged and what is left of it, which nobody extends" {
    start_rbeed
    model a <<<"reply one"
    local at
    at=$(($(now_ms) + 90000))
    ask a '' -H "X-Deadline: $at" >/dev/null
    assert_equal "$(told deadline)" "$at"
    assert [ "$(told left)" -le 90000 ]
    assert [ "$(told left)" -gt 0 ]
    ask_within 70000 a >/dev/null
    assert [ "$(told left)" -le 70000 ]
    assert [ "$(told deadline)" -le $(($(now_ms) + 70000)) ]
    ask a '' -H "X-Deadline: $at" -H 'X-Timeout-Ms: 65000' >/dev/null
    assert [ "$(told left)" -le 65000 ]
    ask a >/dev/null # the default
    assert [ "$(told left)" -le 60000 ]
    assert [ "$(told left)" -gt 30000 ]
}

@test "without a default there is no deadline, and without a limit a far one is taken" {
    fake_config <<<'deadline { default = off max = off }'
    start_rbeed
    model a <<<"reply one"
    ask a >/dev/null
    assert_equal "$(told left) $(told deadline)" "null null"
    ask_within 86400000 a >/dev/null
    assert [ "$(told left)" -gt 80000000 ]
}

@test "the registry shows what each request has left" {
    start_rbeed
    model a <<<$'slots 1\n%1 gate_after 1 go'
    ask a '' -H 'X-Timeout-Ms: 500000' >"$T/out.1" 2>&1 3>&- &
    local caller=$!
    wait_for_deed a gate
    local left
    left=$(api GET /v1/status | jq '.requests[0].deadline_left_ms')
    assert [ "$left" -le 500000 ]
    assert [ "$left" -gt 300000 ]
    touch "$T/m/go"
    wait "$caller"
}

# ---- the command line ----

@test "rbee infer --deadline: exit 124, the partial text stands on stdout, the reason on stderr" {
    start_rbeed
    model a <<<$'tokens 100000\ntoken_ms 20'
    run --separate-stderr rbee infer -m a hi --no-stdin --deadline 1s
    assert_failure 124
    assert_output --partial one
    assert_regex "$stderr" 'deadline passed in decode'
    run --separate-stderr rbee infer -m a hi --no-stdin --deadline 1s --json
    assert_failure 124
    assert_equal "$(jq -r '.error.code + " " + .error.details.phase' <<<"$output")" \
        "DEADLINE_EXCEEDED decode"
    run rbee infer -m a hi --no-stdin --deadline 2h
    assert_failure 65
    assert_output --partial "--deadline must be at most 1h"
    run rbee infer -m a hi --no-stdin --deadline 0s
    assert_failure 2
}

@test "rbee infer asks for ten minutes, or for as long as the supervisor allows" {
    start_rbeed
    model a <<<"reply one"
    rbee infer -m a hi --no-stdin
    assert [ "$(told left)" -gt 500000 ]
    assert [ "$(told left)" -le 600000 ]
    stop_rbeed
    fake_config <<<'deadline { max = 5m }'
    start_rbeed
    run -0 --separate-stderr rbee infer -m a hi --no-stdin
    assert_output one
    assert_equal "$stderr" ""
    assert [ "$(told left)" -gt 200000 ]
    assert [ "$(told left)" -le 300000 ]
}

@test "a supervisor that hangs is given up after the deadline" {
    start_rbeed
    model a <<<"reply one"
    kill -STOP "$RBEED_PID"
    run rbee infer -m a hi --no-stdin --deadline 100ms
    kill -CONT "$RBEED_PID"
    assert_failure 124
}

# ---- clocks that jump ----

# The environment in which the wall clock is what FILE says ("+0", "+1h"), read at each look.
faked() { # FILE
    echo "LD_PRELOAD=$FAKETIME_LIBRARY FAKETIME_TIMESTAMP_FILE=$1 FAKETIME_NO_CACHE=1" \
        "DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_FAKE_MONOTONIC=1"
}

set_clocks() { # OFFSET WHO...
    local who offset=$1
    shift
    for who; do
        printf '%s\n' "$offset" >"$T/clock.$who.new"
        mv "$T/clock.$who.new" "$T/clock.$who"
    done
}

# Both kinds of deadline, 2 s, in whose middle the clocks jump: they end when they would have.
jump_in_the_middle() { # OFFSET WHO...
    local begun=${EPOCHREALTIME/./} rc=0 took
    rm -f "$T"/out.*
    api POST /v1/inference -N -d '{"model":"tiny","prompt":"once","raw":true}' \
        -H "X-Deadline: $(($(now_ms) + 2000))" >"$T/out.absolute" 2>&1 3>&- &
    local absolute=$!
    # shellcheck disable=SC2046 # words
    env $(faked "$T/clock.client") rbee infer -m tiny --raw --deadline 2s once --no-stdin \
        >"$T/out.relative" 2>"$T/err.relative" 3>&- &
    local relative=$!
    wait_until test -s "$T/out.relative"
    wait_until test -s "$T/out.absolute"
    set_clocks "$@"
    wait "$relative" || rc=$?
    wait "$absolute"
    took=$((${EPOCHREALTIME/./} - begun))
    assert_equal "$* $rc" "$* 124"
    assert_regex "$(cat "$T/out.absolute")" DEADLINE_EXCEEDED
    # Neither an hour early nor an hour late; ten times the two seconds is for a busy machine.
    { [ "$took" -ge 1800000 ] && [ "$took" -lt 20000000 ]; } || fail "$*: took $took us"
    set_clocks +0 supervisor worker client
}

@test "clocks that jump by an hour, each alone and all together, change nothing" {
    ! is_sanitized || skip "a sanitizer's library and libfaketime each want to be the first"
    FAKETIME_LIBRARY=$(find /usr/lib -name libfaketime.so.1 2>/dev/null | head -n 1)
    [ -n "$FAKETIME_LIBRARY" ] || fail "no libfaketime: apt install faketime"
    set_clocks +0 supervisor worker client
    rm "$T/bin/rbee-worker"
    cp "$RBEE_BUILD/bin/rbee-worker" "$T/bin/real-worker"
    printf '#!/bin/sh\nexec env %s %s "$@"\n' "$(faked "$T/clock.worker")" "$T/bin/real-worker" \
        >"$T/bin/rbee-worker"
    chmod 755 "$T/bin/rbee-worker"
    # Its context is full after 20 seconds or more. (A drill would slow it down, but for libfaketime,
    # which ends every wait of a condition at once.)
    tiny_model embedding=512 layers=4 heads=8 kv_heads=4 head_dim=64 rope_dims=64 \
        feed_forward=1024 context=16384 never_ends "$T/tiny.gguf"
    # shellcheck disable=SC2046 # words
    export $(faked "$T/clock.supervisor")
    start_rbeed
    unset LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE DONT_FAKE_MONOTONIC \
        FAKETIME_DONT_FAKE_MONOTONIC
    api POST /v1/models -d "{\"path\":\"$T/tiny.gguf\"}" >/dev/null
    api POST /v1/workers/tiny/start -d '{"context":16384}' >/dev/null
    wait_for_worker tiny ready
    jump_in_the_middle +1h supervisor
    jump_in_the_middle -1h supervisor
    jump_in_the_middle +1h worker
    jump_in_the_middle -1h worker
    jump_in_the_middle +1h client
    jump_in_the_middle -1h client
    jump_in_the_middle +1h supervisor worker client
    jump_in_the_middle -1h supervisor worker client
}
