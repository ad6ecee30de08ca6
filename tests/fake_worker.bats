#!/usr/bin/env bats
# The fake worker alone: each fault that other suites order is what it says. What is not a fault is
# proved by the suites of the supervisor, which the fake serves.

# shellcheck disable=SC2119 # infer without options

load worker_helpers

setup() {
    rbee_setup
    rm -f "$T/bin/rbee-worker"
    cp "$TESTS_DIR/fake/fake_worker.py" "$T/bin/rbee-worker"
    cp "$TESTS_DIR"/fake/fake_{script,tell}.py "$T/bin/"
    worker=$T/bin/rbee-worker
}

teardown() {
    rbee_teardown
}

# ---- the fake, and what is seen of it ----

launch_fake() { # directives on stdin
    {
        echo "journal journal"
        cat
    } >"$T/fake.gguf"
    launch_again
}

# Another process of the same script. Its socket is a new one, as every worker's is.
launch_again() {
    rm -f "$T/w.sock"
    launch_worker "$T/fake.gguf"
}

start_fake() {
    launch_fake
    client wait_ready
}

deed() { # WHAT
    wait_for_line "$T/journal" "\"what\": \"$1\""
}

call() { # PATH [CURL-OPTION...]
    local path=$1
    shift
    ${EXEC:-} curl -sS --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" "http://worker$path" "$@"
}

# shellcheck disable=SC2120 # options are for some
infer() { # [CURL-OPTION...]
    call /v1/inference -N -d '{"prompt":"hi"}' "$@"
}

# The same in the background, into FILE. Its process is curl's own, so that it can be ended.
infer_later() { # FILE
    EXEC="exec" infer >"$1" 2>&1 3>&- &
    ASKED=$!
}

# The types of the events of one stream, in one line.
event_types() {
    infer | sed -n 's/^data: //p' | jq -Rr 'fromjson? // {type: .} | .type' | xargs
}

# No reply comes: curl gives up after a second with 28. It would wait for ever.
assert_silent() { # PATH [CURL-OPTION...]
    run call "$@" --max-time 1
    assert_equal "$status" 28
}

ready_field() { # FIELD
    call /ready | jq ".$1"
}

process_state_is() { # LETTER
    grep -q "^State:[[:space:]]*$1" "/proc/$WORKER_PID/status"
}

assert_last_words() { # LINE
    assert_equal "$(tail -n 1 "$T/worker.err")" "$1"
}

end_by_kill() {
    kill -KILL "$WORKER_PID"
    assert_worker_exit 137
}

# ---- before it listens ----

@test "exit: last words and a code; exit_silent: the code alone" {
    launch_fake <<<"exit 11 host_memory 4 GiB wanted"
    assert_worker_exit 11
    assert_last_words "fatal class=host_memory reason=4 GiB wanted"
    launch_fake <<<"exit_silent 14"
    assert_worker_exit 14
    assert_last_words ""
}

@test "kill: any signal, with last words when there are some" {
    launch_fake <<<"kill SEGV"
    assert_worker_exit 139
    assert_last_words ""
    launch_fake <<<$'last_words gpu_fault page fault at 0x0\nkill ABRT'
    assert_worker_exit 134
    assert_last_words "fatal class=gpu_fault reason=page fault at 0x0"
}

@test "child: in its group or in a session of its own, alone or below a shell, outliving it" {
    start_fake <<<$'child\nchild shell\nchild session bare'
    local -a pids
    local pid group
    group=$(ps -o pgid= "$WORKER_PID" | xargs)
    wait_until has_lines "$T/fake.gguf.child" 4
    mapfile -t pids <"$T/fake.gguf.child"
    # The shell writes its child's pid when it has one, before or after ours of the shell.
    assert_equal "$(ps -o comm= "${pids[@]}" | sort | paste -sd' ')" "sh sleep sleep sleep"
    assert_equal "$(ps -o pgid= "${pids[@]}" | xargs -n 1 | sort | uniq -c | awk -v group="$group" \
        '$2 == group { print $1 }')" 3
    assert_equal "$(pgrep -c -P "$WORKER_PID")" 3
    end_by_kill
    for pid in "${pids[@]}"; do
        kill -KILL "$pid"
    done
}

has_lines() { # FILE COUNT
    [ "$(wc -l <"$1")" = "$2" ]
}

@test "alone: a second process says that it is one, a next one is none" {
    start_fake <<<"alone"
    local first=$WORKER_PID
    launch_again
    deed double
    kill -KILL "$first"
    end_by_kill
    launch_again
    client wait_ready
    end_by_kill
    assert_equal "$(grep -c double "$T/journal")" 1
}

@test "flood: so many lines of such a length" {
    start_fake <<<"flood 5000 80"
    deed flooded
    assert_equal "$(wc -l <"$T/worker.err")" 5000
    assert_equal "$(wc -c <"$T/worker.err")" 400000
}

@test "allocate takes memory and says so, memory only says so" {
    start_fake <<<"allocate 100000000"
    assert_equal "$(ready_field memory_bytes)" 100000000
    assert [ "$(awk '/^VmRSS/ { print $2 }' "/proc/$WORKER_PID/status")" -gt 97000 ]
    end_by_kill
    start_fake <<<"memory 100000000"
    assert_equal "$(ready_field memory_bytes)" 100000000
    assert [ "$(awk '/^VmRSS/ { print $2 }' "/proc/$WORKER_PID/status")" -lt 90000 ]
}

@test "an unknown directive is a configuration fault that names its place" {
    launch_fake <<<"dance 3"
    assert_worker_exit 10
    assert_last_words "fatal class=config reason=$T/fake.gguf:2: unknown directive dance"
}

# ---- loading ----

@test "load_follow: the load is as far as the test says" {
    launch_fake <<<"load_follow percent"
    assert_equal "$(call /ready -w ' %{http_code}')" \
        '{"phase": "load", "done_bytes": 0, "total_bytes": 1000} 503'
    echo 40 >"$T/percent"
    wait_until ready_is done_bytes 400
    assert_equal "$(ready_field phase)" '"load"'
    echo 100 >"$T/percent"
    client wait_ready
}

ready_is() { # FIELD VALUE
    [ "$(ready_field "$1")" = "$2" ]
}

@test "load_stall: so far and no further, and all else answers" {
    launch_fake <<<$'load_steps 4 1\nload_stall 80'
    wait_until ready_is done_bytes 800
    assert_equal "$(call /ready -w ' %{http_code}')" \
        '{"phase": "load", "done_bytes": 800, "total_bytes": 1000} 503'
    assert_equal "$(call /health)" '{"status": "ok"}'
}

@test "load_hang: never any progress" {
    launch_fake <<<"load_hang"
    assert_equal "$(ready_field done_bytes)" 0
}

@test "load_exit and load_die: an end instead of ready" {
    launch_fake <<<$'load_steps 3 1\nload_exit 12 device_memory no room'
    assert_worker_exit 12
    assert_last_words "fatal class=device_memory reason=no room"
    launch_fake <<<$'load_gate go\nload_die BUS\nlast_words internal oh'
    assert_equal "$(ready_field phase)" '"load"'
    touch "$T/go"
    assert_worker_exit 135
    assert_last_words "fatal class=internal reason=oh"
}

# ---- while it is ready ----

@test "die_later: after a time, or when the test says so" {
    launch_fake <<<$'die_later 1 13\nlast_words gpu_fault ring hung'
    assert_worker_exit 13
    assert_last_words "fatal class=gpu_fault reason=ring hung"
    start_fake <<<"die_later now KILL"
    assert_equal "$(call /health)" '{"status": "ok"}'
    touch "$T/now"
    assert_worker_exit 137
}

@test "stop_later: nothing of it runs until it is continued" {
    start_fake <<<"stop_later now"
    touch "$T/now"
    wait_until process_state_is T
    assert_silent /health
    kill -CONT "$WORKER_PID"
    assert_equal "$(call /health)" '{"status": "ok"}'
}

@test "spin_later: it computes, answers nothing and minds no TERM" {
    start_fake <<<"spin_later now"
    touch "$T/now"
    wait_until is_silent
    kill -TERM "$WORKER_PID"
    assert_silent /ready
    run grep -c '"what": "term"' "$T/journal"
    assert_output 0
    wait_until grep -qs '^State:[[:space:]]*R' "/proc/$WORKER_PID"/task/*/status
    end_by_kill
}

is_silent() {
    ! call /health --max-time 1 >"$T/ignored" 2>&1
}

@test "refuse_later: connections are refused, also those that were open, and it lives" {
    start_fake <<<$'refuse_later now\ngate_after 1 go'
    infer_later "$T/stream"
    deed gate
    touch "$T/now"
    deed refuse
    run call /health
    assert_equal "$status" 7
    assert [ -e "/proc/$WORKER_PID" ]
    # What was being answered is.
    touch "$T/go"
    wait "$ASKED"
    assert_regex "$(cat "$T/stream")" '"type":"end"'
}

@test "never_accept: a connection, no answer; never_answer: the request is taken, too" {
    launch_fake <<<"never_accept"
    assert_silent /health
    end_by_kill
    launch_fake <<<"never_answer"
    assert_silent /health
}

@test "ignore_term; term_exit: any code at TERM" {
    start_fake <<<"ignore_term"
    kill -TERM "$WORKER_PID"
    deed term
    assert_equal "$(call /health)" '{"status": "ok"}'
    end_by_kill
    start_fake <<<"term_exit 13"
    kill -TERM "$WORKER_PID"
    assert_worker_exit 13
}

# ---- lies in /ready ----

@test "ready_without_counters; counters_fall; ready_text" {
    start_fake <<<"ready_without_counters"
    assert_equal "$(ready_field phase)" '"ready"'
    assert_equal "$(call /ready | jq 'has("tokens") or has("prefill_tokens")')" false
    end_by_kill
    launch_fake <<<"counters_fall 9"
    deed ready
    assert_equal "$(ready_field tokens)" 9
    assert_equal "$(ready_field tokens)" 8
    assert_equal "$(ready_field tokens)" 7
    end_by_kill
    launch_fake <<<"ready_text all is well"
    deed ready
    assert_equal "$(call /ready -w ' %{http_code}')" 'all is well 200'
}

# ---- drills ----

drill() { # KIND [CURL-OPTION...]
    local kind=$1
    shift
    call /drill -d "{\"kind\":\"$kind\"}" "$@"
}

@test "drills as rbee-worker has them; drill_status; drill_silent" {
    start_fake </dev/null
    assert_equal "$(drill slow)" '{"for_ms": 30000}'
    assert_equal "$(drill oom)" '{"for_ms": 0}'
    assert_worker_exit 11
    assert_equal "$(tail -n 1 "$T/worker.err")" "fatal class=host_memory reason=a drill"
    launch_again
    client wait_ready
    drill gpu-fault
    assert_worker_exit 13
    start_fake <<<"drill_status 503 SERVER_BUSY not now"
    assert_equal "$(drill oom | jq -r .error.code)" SERVER_BUSY
    end_by_kill
    start_fake <<<"drill_silent"
    run ! drill oom
    assert_worker_exit 11
}

# ---- requests ----

@test "a stream without a fault keeps every rule, so that what a fault breaks is that alone" {
    start_fake </dev/null
    client stream_rules '{"prompt":"hi"}'
    assert_equal "$(event_types)" "started token token token token end [DONE]"
}

@test "never_infer: health and ready answer, requests do not" {
    start_fake <<<"never_infer"
    assert_silent /v1/inference -d '{"prompt":"hi"}'
    assert_equal "$(call /health)" '{"status": "ok"}'
    assert_equal "$(ready_field tokens)" 0
}

@test "hang_after: so many tokens, then the counters stand still and all else answers" {
    start_fake <<<"hang_after 2"
    infer_later "$T/stream"
    deed hang
    wait_for_line "$T/stream" '"i":1'
    assert_equal "$(ready_field tokens)" 2
    assert_equal "$(call /health)" '{"status": "ok"}'
    assert_equal "$(ready_field tokens)" 2
    kill "$ASKED"
    deed gone # and then the slot is free
}

@test "stop_after and spin_after: in the middle of an answer" {
    start_fake <<<"stop_after 1"
    infer_later "$T/stream"
    wait_until process_state_is T
    wait_for_line "$T/stream" '"i":0'
    end_by_kill
    start_fake <<<"spin_after 1"
    infer_later "$T/stream"
    deed spin
    wait_until is_silent
    end_by_kill
}

@test "die_after: so many tokens, then any signal or code" {
    start_fake <<<$'@1 die_after 2 SEGV\n@2 die_after 0 11\nlast_words host_memory none left'
    run infer
    assert_line --partial '"i":1'
    refute_line --partial '"i":2'
    assert_worker_exit 139
    launch_again
    client wait_ready
    run infer
    refute_line --partial '"i":0'
    assert_worker_exit 11
    assert_last_words "fatal class=host_memory reason=none left"
}

@test "close_after and garbage_after: a stream without an end" {
    start_fake <<<$'%1 close_after 1\n%2 garbage_after 1'
    run infer
    assert_equal "$status" 18 # curl: closed with data outstanding
    assert_line --partial '"i":0'
    refute_line --partial '"i":1'
    run infer
    refute [ "$status" -eq 0 ]
    refute_line --partial '"type":"end"'
    # It lives.
    assert_equal "$(event_types)" "started token token token token end [DONE]"
}

@test "status, error_after: an error before the first event, and after some" {
    start_fake <<<$'%1 status 503 SERVER_BUSY too much\n%2 error_after 1 GPU_FAULT oh'
    run infer -w ' %{http_code}'
    assert_output --partial '"code": "SERVER_BUSY"'
    assert_output --regexp ' 503$'
    assert_equal "$(event_types)" "started token error [DONE]"
}

@test "garbage_reply is no HTTP" {
    start_fake <<<"garbage_reply"
    run infer
    assert_equal "$status" 1 # curl: unsupported protocol
}

@test "events that lie: no JSON, no started, an end too many, an index too high, no [DONE]" {
    start_fake <<'END'
%1 bad_json_after 1
%2 no_started
%3 end_twice
%4 index_after 1
%5 no_done
%6 huge_after 1 5000
%7 lines_after 0
END
    run infer
    assert_line 'data: {"type":"token","t":'
    assert_equal "$(event_types)" "token token token token end [DONE]"
    assert_equal "$(event_types)" "started token token token token end end token [DONE]"
    run infer
    assert_equal "$(grep -o '"i":[0-9]' <<<"$output" | paste -sd' ')" '"i":0 "i":2 "i":3 "i":4'
    assert_equal "$(event_types)" "started token token token token end"
    run infer
    assert_line --regexp 'x{5000}'
    run infer
    assert_line 'data: "t":"two","i":0}'
}

@test "warning, stop_reason: in the events where they belong" {
    start_fake <<<$'warning mind the gap\nstop_reason length'
    run infer
    assert_line --partial '"warnings":["mind the gap"]'
    assert_line --partial '"stop_reason":"length"'
}

@test "token_ms: each token takes that long, at least" {
    start_fake <<<"token_ms 30"
    assert [ "$(call /v1/inference -d '{"prompt":"hi","stream":false}' |
        jq '.timings.decode_ms >= 120')" = true ]
}

@test "slots: so many requests at a time" {
    start_fake <<<$'slots 2\n%1-2 gate_after 1 go'
    assert_equal "$(ready_field slots)" 2
    infer_later "$T/stream.1"
    infer_later "$T/stream.2"
    wait_until gates_are 2
    infer_later "$T/stream.3"
    wait_until deeds_are inference 3
    touch "$T/go"
    wait_for_line "$T/stream.3" DONE
}

deeds_are() { # WHAT COUNT
    [ "$(grep -c "\"what\": \"$1\"" "$T/journal")" = "$2" ]
}

gates_are() {
    deeds_are gate "$1"
}

# ---- the script ----

@test "directives hold for some starts and some requests, and the last of two counts" {
    start_fake <<'END'
reply always
@1 reply first
@2-3 %2 reply second second
@3- tokens 1
END
    local -a seen=()
    for _ in 1 2 3 4; do
        seen+=("$(infer | grep -c '"type":"token"'):$(infer | grep -c '"type":"token"')")
        end_by_kill
        launch_again
        client wait_ready
    done
    assert_equal "${seen[*]}" "1:1 1:2 1:1 1:1"
}

@test "what is included is read anew at each start, and may be missing" {
    start_fake <<<"include more"
    end_by_kill
    echo "exit_silent 13" >"$T/more"
    launch_again
    assert_worker_exit 13
}

@test "each start is counted, with its time, instance and pid" {
    local first second
    launch_fake <<<"exit_silent 0"
    first=$WORKER_PID
    assert_worker_exit 0
    launch_again
    second=$WORKER_PID
    assert_worker_exit 0
    assert_equal "$(cat "$T/fake.gguf.starts")" 2
    run cat "$T/fake.gguf.started"
    assert_line --index 0 --regexp "^[0-9]+ w-test $first\$"
    assert_line --index 1 --regexp "^[0-9]+ w-test $second\$"
    assert [ "${lines[0]%% *}" -le "${lines[1]%% *}" ]
}

@test "there is a test for every directive" {
    local name
    "$worker" --directives >"$T/directives"
    while read -r name _; do
        grep -qsE "(^|['\"n {@%0-9-])$name\b" "$TESTS_DIR"/{fake_worker,supervisor*}.bats \
            "$TESTS_DIR"/supervisor_helpers.bash || fail "no suite uses $name"
    done <"$T/directives"
}
