#!/usr/bin/env bats
# rbee-worker from outside: the contract between supervisor and worker (ARCHITECTURE.md), by hand on
# models made here. What is asked needs no real weights; where an answer must make sense, the demo
# model is used.

load worker_helpers

setup() {
    rbee_setup
    worker=$T/bin/rbee-worker
    tiny_model never_ends "$T/tiny.gguf"
}

teardown() {
    rbee_teardown
}

# A model whose tokens take long (about 25 ms each on the oracle's one core): what has to happen in
# the middle of an answer has time to happen.
slow_model() {
    tiny_model embedding=512 layers=4 heads=8 kv_heads=4 head_dim=64 rope_dims=64 \
        feed_forward=1024 context=2048 never_ends "$T/slow.gguf"
}

# Starts one by hand, with the options given.
start_by_hand() { # OPTION...
    "$worker" "$@" >"$T/worker.out" 2>"$T/worker.err" 3>&- </dev/null &
    WORKER_PID=$!
}

# One endless answer into FILE. A job of a script ignores INT unless it has a group of its own.
start_prompt_into() { # FILE
    set -m
    "$worker" -m "$T/slow.gguf" --device ref --raw -p once --temp 0 >"$1" 2>"$T/worker.err" 3>&- &
    WORKER_PID=$!
    set +m
}

with_token() { # TOKEN
    TOKEN=$1
}

# The worker refuses MODEL with one line and nothing on stdout.
assert_refused() { # FILE TEXT-OF-THE-REASON
    run --separate-stderr "$worker" --describe "$1"
    assert_equal "$status" 10
    assert_equal "$output" ""
    # shellcheck disable=SC2154
    assert_equal "${#stderr_lines[@]}" 1
    # shellcheck disable=SC2154
    assert_regex "$stderr" "^fatal class=config reason=.*$2"
}

# ---- --describe ----

@test "a good file is one line of JSON on stdout" {
    run --separate-stderr "$worker" --describe "$T/tiny.gguf"
    assert_success
    assert_equal "${#lines[@]}" 1
    assert_equal "$stderr" ""
    echo "$output" | python3 -c '
import json, sys
record = json.load(sys.stdin)
assert record["architecture"] == "llama", record
assert record["context_tokens"] == 512 and record["template"] == "chatml", record
assert record["size_bytes"] > 0 and record["parameters"] > 0, record'
}

@test "what it takes of memory is described before it is started" {
    run --separate-stderr "$worker" --describe "$T/tiny.gguf"
    assert_success
    local described=$output
    start_worker "$T/tiny.gguf"
    run client call GET /ready '' "Authorization: Bearer $TOKEN"
    # Its context of 512 tokens is as long as the longest step: nothing of the scratch is left out.
    python3 -c '
import json, re, sys
described, ready = json.loads(sys.argv[1]), json.loads(re.search("{.*}", sys.argv[2]).group())
need = described["fixed_bytes"] + 4 * described["slot_bytes"] + 512 * described["token_bytes"]
assert ready["context_tokens"] == 512 and ready["memory_bytes"] == need, (described, ready)
' "$described" "$output"
}

@test "each damaged file is refused by name, with one line and nothing on stdout" {
    local fault
    while read -r fault reason; do
        tiny_model "fault=$fault" "$T/bad.gguf"
        assert_refused "$T/bad.gguf" "$reason"
    done <<'FAULTS'
truncated beyond the end of the file
header-truncated more than it can hold
zeros not a GGUF file
empty empty
magic not a GGUF file
version-1 version 1
big-endian big-endian
past-end beyond the end of the file
tensor-count more than it can hold
key-count more than it can hold
missing-tensor blk.0.attn_k.weight is missing
wrong-shape blk.0.ffn_down.weight
architecture mamba is not supported
tensor-type IQ2_XXS
FAULTS
}

@test "a file that is missing, a folder and one that may not be read are refused" {
    assert_refused "$T/nowhere.gguf" "no file"
    assert_refused "$T" "."
    touch "$T/closed.gguf" && chmod 000 "$T/closed.gguf"
    [ -r "$T/closed.gguf" ] || assert_refused "$T/closed.gguf" "."
}

@test "a load ends as the description does" {
    tiny_model fault=missing-tensor "$T/bad.gguf"
    launch_worker "$T/bad.gguf"
    assert_worker_exit 10
    run tail -n 1 "$T/worker.err"
    assert_output --regexp '^fatal class=config reason=.*blk.0.attn_k.weight'
    assert_equal "$(cat "$T/worker.out")" ""
}

@test "a model that computes NaN never becomes ready" {
    # NaN that shows later fails the request alone: tests/unit/test_engine.c.
    tiny_model fault=nan "$T/nan.gguf"
    launch_worker "$T/nan.gguf"
    assert_worker_exit 10
    run tail -n 1 "$T/worker.err"
    assert_output --regexp '^fatal class=config reason=.*the model computes no numbers'
    assert_equal "$(cat "$T/worker.out")" ""
}

# ---- options ----

@test "what cannot be started says why and exits 10" {
    local options
    while read -r options reason; do
        # shellcheck disable=SC2086
        run --separate-stderr "$worker" --model "$T/tiny.gguf" ${options//,/ }
        assert_equal "$status" 10
        assert_regex "$stderr" "^fatal class=config reason=.*$reason"
        assert_equal "$output" ""
    done <<OPTIONS
--bogus unknown option --bogus
--prompt wants an argument
--prompt,x,more unexpected argument
--prompt,x,--slots,257 slots.*256
--prompt,x,--kv-type,q4_0 --kv-type: kv_type must be one of f16, q8_0, not "q4_0"
--prompt,x,--kv-type,q8_0 device cpu keeps keys and values as f16 only
--prompt,x,--device,gpu:0 --allow-cpu
--prompt,x,--device,abacus abacus
--prompt,x,--context,513 more than the model
--prompt,x,--context,many context
--prompt,x,--threads,-1 threads
--prompt,x,--threads,257 threads.*256
--listen-fd,3 --token-fd
--listen-fd,99,--token-fd,98 listen-fd
--listen-fd,3,--token-fd,4,--token-file,x --token-file goes with --listen only
--listen,unix:/nowhere/x,--token-fd,4 --token-fd goes with --listen-fd only
--listen,127.0.0.1:0 --token-file
--listen,nonsense listen
--describe,x,--prompt,y exactly one
OPTIONS
}

@test "a GPU that cannot be used is replaced by the CPU only when that is allowed" {
    run --separate-stderr "$worker" -m "$T/tiny.gguf" --device gpu:99 --allow-cpu --raw -p once -n 2
    assert_success
    assert_regex "$stderr" 'device_replaced wanted=gpu:99 used=cpu'
    # What then fails is no fault of that GPU: it would count in its circuit breaker.
    tiny_model context=1048576 layers=16 kv_heads=64 heads=64 head_dim=64 rope_dims=64 \
        "$T/wide.gguf"
    run --separate-stderr "$worker" -m "$T/wide.gguf" --device gpu:99 --allow-cpu \
        --context 1048576 -p once
    assert_equal "$status" 11
    assert_regex "${stderr_lines[-1]}" '^fatal class=host_memory reason='
    launch_worker "$T/wide.gguf" --device gpu:99 --allow-cpu --context 1048576
    assert_worker_exit 11
    assert_regex "$(tail -n 1 "$T/worker.err")" '^fatal class=host_memory reason='
}

@test "a context that does not fit into memory is exit 11 with the numbers and with what would fit" {
    local fits
    tiny_model context=1048576 layers=16 kv_heads=64 heads=64 head_dim=64 rope_dims=64 \
        "$T/wide.gguf"
    run --separate-stderr "$worker" -m "$T/wide.gguf" --context 1048576 -p once
    assert_equal "$status" 11
    assert_regex "$stderr" '^fatal class=host_memory reason=a context of 1048576 tokens and 4 slots need [0-9]+ MiB with the weights; [0-9]+ MiB are available, [0-9]+ MiB too few; a context of [0-9]+ would fit$'
    # Half of it, since others on this machine may want some of it, too.
    fits=$(sed -E 's/.*a context of ([0-9]+) would fit$/\1/' <<<"$stderr")
    run --separate-stderr "$worker" -m "$T/wide.gguf" --context $((fits / 2)) --raw -p once -n 1
    assert_success
}

# ---- --prompt ----

@test "one prompt is answered with no supervisor, and nothing but the answer is on stdout" {
    run --separate-stderr "$worker" -m "$T/tiny.gguf" --raw -p 'once upon' -n 5 --temp 0
    assert_success
    refute [ -z "$output" ]
    assert_equal "$stderr" ""
    assert_equal "$("$worker" -m "$T/tiny.gguf" --raw -p 'once upon' -n 5 --temp 0)" "$output"
}

@test "what is wrong with a request ends with the codes of rbee infer" {
    local long code options
    long=$(printf 'z %.0s' {1..600})
    run --separate-stderr "$worker" -m "$T/tiny.gguf" --raw -p "$long" -n 1
    assert_equal "$status" 65
    assert_regex "$stderr" '^rbee-worker: the prompt has [0-9]+ tokens, the context 512'
    while read -r code options; do
        # shellcheck disable=SC2086
        run --separate-stderr "$worker" -m "$T/tiny.gguf" --raw -p once $options
        assert_equal "$status" "$code"
        assert_equal "${#stderr_lines[@]}" 1
        assert_equal "$output" ""
    done <<'OPTIONS'
2 --temp nan
2 --temp inf
65 --temp -1
65 --top-p 2
65 -n 0
2 -n many
OPTIONS
    # before a model is loaded for it
    run --separate-stderr "$worker" -m "$T/none.gguf" -p once -n 0
    assert_equal "$status" 65
    run --separate-stderr "$worker" -m "$T/tiny.gguf" -p $'\xff\xfe'
    assert_equal "$status" 65
    assert_regex "$stderr" 'UTF-8'
}

@test "stdout that is full or closed ends a prompt" {
    [ -c /dev/full ] || skip "no /dev/full here"
    # shellcheck disable=SC2016 # expanded by the inner shell
    run --separate-stderr bash -c '"$1" -m "$2" --raw -p once -n 5 >/dev/full' _ "$worker" "$T/tiny.gguf"
    assert_equal "$status" 73
    local options
    for options in --help --version "--describe $T/tiny.gguf"; do
        # shellcheck disable=SC2086,SC2016
        run --separate-stderr bash -c '"$@" >/dev/full' _ "$worker" $options
        assert_equal "$status" 73
        assert_equal "${#stderr_lines[@]}" 1
    done
    slow_model
    # shellcheck disable=SC2016 # expanded by the inner shell
    run bash -c '"$1" -m "$2" --device ref --raw -p once | head -c 1 >/dev/null
                 exit "${PIPESTATUS[0]}"' _ "$worker" "$T/slow.gguf"
    assert_equal "$status" 141
}

@test "a prompt whose stdout is closed ends with 73 and writes nowhere else" {
    # shellcheck disable=SC2016 # expanded by the inner shell
    run --separate-stderr bash -c '"$1" -m "$2" --raw -p once -n 5 >&-' _ "$worker" "$T/tiny.gguf"
    assert_equal "$status" 73
    assert_regex "$stderr" 'Bad file descriptor'
}

@test "INT ends a prompt in the middle as the signal would" {
    slow_model
    mkfifo "$T/answer"
    start_prompt_into "$T/answer"
    exec 8<"$T/answer"
    read -r -n 1 -u 8 -t "$WAIT_LIMIT_S" || true
    kill -INT "$WORKER_PID"
    cat <&8 >/dev/null
    exec 8<&-
    assert_worker_exit 130
    assert_equal "$(cat "$T/worker.err")" ""
}

@test "the demo model knows a capital" {
    demo_model
    run --separate-stderr "$worker" -m "$DEMO_MODEL" --raw -p 'The capital of France is' -n 8 --temp 0
    assert_success
    assert_regex "$output" '^ Paris'
    assert_equal "$stderr" ""
}

# ---- who may ask ----

@test "every route but health wants the token, unknown ones too" {
    start_worker "$T/tiny.gguf"
    run client call GET /health
    assert_output --partial '200 {"status":"ok"}'
    with_token -
    for route in "GET /ready" "POST /v1/inference" "POST /drill" "DELETE /v1/inference/x" "GET /nothing"; do
        # shellcheck disable=SC2086
        run client call $route
        assert_output "401 MISSING_API_KEY"
    done
    run client call GET /health
    assert_output --partial 200
    for token in 0123456789abcdef0123456789abcdee 0123456789abcdef x; do
        with_token "$token"
        run client call GET /ready
        assert_output "401 INVALID_API_KEY"
    done
    with_token -
    run client call GET /ready '' 'Authorization: Basic eDp5'
    assert_output "401 INVALID_API_KEY"
    run curl -s --unix-socket "$T/w.sock" -H "Authorization: Bearer x" -H "Authorization: Bearer y" \
        http://w/ready
    assert_output --partial '"code":"INVALID_REQUEST"'
    run client call GET /ready '' "Authorization: bearer 0123456789abcdef0123456789abcdef"
    assert_output --partial '200 {"phase":"ready"'
}

@test "the same for every route and method there is, however the token is shown" {
    start_worker "$T/tiny.gguf"
    run -0 "$TESTS_DIR/auth_client.py" table "$TREE_DIR/hip/routes.def" "unix:$T/w.sock" "$TOKEN"
    assert_line --regexp '^no token: [0-9]+ x 401$'
    assert_line --regexp '^wrong token: [0-9]+ x 401$'
    assert_line --regexp '^two headers: [0-9]+ x 400$'
    assert_line --regexp '^8 KiB and 1: [0-9]+ x 431$'
    assert_line --regexp '^right token, None: [0-9]+ x 404, [0-9]+ x 405$'
    run "$TESTS_DIR/auth_client.py" crowd "unix:$T/w.sock" "$TOKEN" /ready
    assert_output "50 x 200
50 x 401"
}

@test "the token is in no log, and nobody finds it in the process" {
    start_worker "$T/tiny.gguf"
    run ! grep -q "$TOKEN" "$T/worker.out" "$T/worker.err"
    run ! grep -qa "$TOKEN" "/proc/$WORKER_PID/cmdline" "/proc/$WORKER_PID/environ"
}

@test "by hand: our own uid on a Unix socket, and the socket is gone afterwards" {
    start_by_hand -m "$T/tiny.gguf" --listen "unix:$T/w.sock"
    wait_until test -S "$T/w.sock"
    with_token -
    client wait_ready
    run stat -c %a "$T/w.sock"
    assert_output 600
    run client reason '{"prompt":"once","raw":true,"max_tokens":2,"temperature":0}'
    assert_output --regexp '^length [0-9]+ 2$'
    kill -TERM "$WORKER_PID"
    assert_worker_exit 0
    assert_not_exists "$T/w.sock"
}

@test "by hand: a socket left by a crash is taken over, one in use is not" {
    start_by_hand -m "$T/tiny.gguf" --listen "unix:$T/w.sock"
    with_token -
    wait_until test -S "$T/w.sock"
    client wait_ready
    run "$worker" -m "$T/tiny.gguf" --listen "unix:$T/w.sock"
    assert_equal "$status" 10
    kill -KILL "$WORKER_PID"
    assert_worker_exit 137
    start_by_hand -m "$T/tiny.gguf" --listen "unix:$T/w.sock"
    wait_until client call GET /health
    client wait_ready
}

@test "by hand: TCP works with a token file that nobody else can read" {
    echo "$TOKEN" >"$T/token"
    chmod 644 "$T/token"
    run "$worker" -m "$T/tiny.gguf" --listen 127.0.0.1:0 --token-file "$T/token"
    assert_equal "$status" 10
    assert_output --partial "$T/token"
}

# ---- loading ----

@test "until it is ready the worker says how far it is and takes no work" {
    slow_model
    launch_worker "$T/slow.gguf" --device ref
    run client call GET /ready
    assert_output --regexp '^(503 \{"phase":"(load|warm_up)","done_bytes":[0-9]+,"total_bytes":[0-9]+\}|200 .*)$'
    run client call POST /v1/inference '{"prompt":"x","max_tokens":1}'
    assert_output --regexp '^(503 WORKER_LOADING|200 .*)$'
    client wait_ready
    run client call GET /ready
    assert_output --partial '"context_tokens":2048,"slots":4,"device":"ref"'
}

@test "TERM while the model loads: exit 0 at once" {
    slow_model
    launch_worker "$T/slow.gguf" --device ref
    wait_until client call GET /health
    kill -TERM "$WORKER_PID"
    assert_worker_exit 0
}

# ---- one inference ----

@test "a stream has its events in order, and the whole answer is the same text" {
    start_worker "$T/tiny.gguf"
    client stream_rules '{"prompt":"once upon","raw":true,"max_tokens":40,"temperature":0}'
    client stream_rules '{"prompt":"once upon","max_tokens":40,"temperature":1.5,"seed":7}'
    client stream_rules '{"messages":[{"role":"user","content":"hi"}],"max_tokens":9,"seed":1}'
}

@test "characters are never cut, whatever the model says" {
    start_worker "$T/tiny.gguf"
    # At this temperature a random model draws bytes, most of which are no characters.
    for seed in 1 2 3; do
        client stream_rules "{\"prompt\":\"x\",\"raw\":true,\"max_tokens\":200,\"temperature\":50,\"top_k\":0,\"top_p\":1,\"min_p\":0,\"seed\":$seed}"
    done
}

@test "the started event names the model, the id and the unknown fields" {
    start_worker "$T/tiny.gguf"
    run client events '{"prompt":"x","raw":true,"max_tokens":1,"temprature":0,"n":3}' \
        'X-Inference-Id: r-test.1'
    assert_line --index 0 --partial '"type": "started", "id": "r-test.1", "model": "tiny"'
    assert_line --index 0 --partial 'unknown field \"temprature\" is ignored'
    run client events '{"prompt":"x","raw":true,"max_tokens":1,"context":9,"start":true}'
    refute_line --index 0 --partial warnings
}

@test "a file whose name is not UTF-8 still gives its model a name" {
    cp "$T/tiny.gguf" "$T/m"$'\xff'".gguf"
    start_by_hand -m "$T/m"$'\xff'".gguf" --listen "unix:$T/w.sock"
    with_token -
    wait_until test -S "$T/w.sock"
    client wait_ready
    run client events '{"prompt":"once","raw":true,"max_tokens":1}'
    assert_line --index 0 --partial '"model": "m?"'
    refute_output --partial null
}

@test "equal seeds give equal answers, others do not" {
    start_worker "$T/tiny.gguf"
    local body='{"prompt":"once upon a","raw":true,"max_tokens":30,"temperature":3,"top_k":0,"seed":'
    local first
    first=$(client text "${body}5}")
    # A long prompt in between moves the pace and fills the cache with something else.
    client text "{\"prompt\":\"$(printf 'z %.0s' {1..200})\",\"raw\":true,\"max_tokens\":3}"
    assert_equal "$(client text "${body}5}")" "$first"
    refute [ "$(client text "${body}6}")" = "$first" ]
}

@test "a stop string ends the answer before itself" {
    start_worker "$T/tiny.gguf"
    local body='{"prompt":"once upon","raw":true,"max_tokens":40,"temperature":0' whole stop
    whole=$(client text "$body}")
    stop=$(python3 -c 'import sys; print(sys.argv[1][6:8])' "$whole")
    run client text "$body,\"stop\":[\"$stop\"]}"
    assert_equal "$output" "${whole%%"$stop"*}"
    run client reason "$body,\"stop\":[\"never to be seen\",\"$stop\"]}"
    assert_output --regexp '^stop_string '
}

@test "the answer ends with the context, and a prompt that does not fit is refused with both numbers" {
    start_worker "$T/tiny.gguf" --context 64
    run client reason '{"prompt":"once upon a time","raw":true,"temperature":0}'
    assert_output --regexp '^length '
    # shellcheck disable=SC2086
    set -- $output
    assert_equal "$(($2 + $3))" 64
    run client error "{\"prompt\":\"$(printf 'z %.0s' {1..100})\",\"raw\":true}"
    assert_output --regexp '^400 PROMPT_TOO_LONG the prompt has ([0-9]+) tokens, the context 64.*"prompt_tokens": [0-9]+, "context_tokens": 64'
}

@test "what is wrong with a body is said with field, constraint and value" {
    start_worker "$T/tiny.gguf"
    local body expected
    while IFS='|' read -r body expected; do
        run client error "$body"
        assert_output --regexp "^$expected"
    done <<'BODIES'
|400 INVALID_JSON
nonsense|400 INVALID_JSON
[]|400 INVALID_FIELD
{}|400 INVALID_FIELD prompt
{"prompt":""}|400 INVALID_FIELD prompt
{"prompt":7}|400 INVALID_FIELD prompt
{"prompt":"x","temperature":NaN}|400 INVALID_JSON
{"prompt":"x","temperature":"NaN"}|400 INVALID_FIELD temperature
{"prompt":"x","temperature":1e999}|400 INVALID
{"prompt":"x","temperature":-1}|400 INVALID_FIELD temperature.*-1
{"prompt":"x","top_p":0}|400 INVALID_FIELD top_p
{"prompt":"x","max_tokens":0}|400 INVALID_FIELD max_tokens
{"prompt":"x","stop":[1]}|400 INVALID_FIELD stop
{"prompt":"x","messages":[]}|400 INVALID_FIELD messages
BODIES
    printf '{"prompt":"\xff"}' >"$T/body"
    run curl -s --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" \
        --data-binary "@$T/body" http://w/v1/inference
    assert_output --partial INVALID_UTF8
}

@test "a body 100,000 deep and one of 10 MB are refused, and the worker stays" {
    start_worker "$T/tiny.gguf"
    python3 -c 'print("[" * 100000 + "]" * 100000, end="")' >"$T/deep"
    python3 -c 'print("{\"prompt\":\"" + "x" * 10000000 + "\"}", end="")' >"$T/large"
    run curl -s --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" \
        --data-binary "@$T/deep" http://w/v1/inference
    assert_output --partial INVALID_JSON
    run curl -s --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" \
        --data-binary "@$T/large" http://w/v1/inference
    assert_output --partial BODY_TOO_LARGE
    run client reason '{"prompt":"once","raw":true,"max_tokens":2,"temperature":0}'
    assert_success
}

# ---- leaving, cancelling, waiting ----

@test "a client that leaves while its answer is computed frees the slot within a step" {
    slow_model
    start_worker "$T/slow.gguf" --device ref --slots 1
    client leave_in_decode
}

@test "a client that leaves while its prompt is computed frees the slot within a chunk" {
    slow_model
    start_worker "$T/slow.gguf" --device ref --slots 1
    client leave_in_prefill 600
}

@test "a client that leaves the queue is never computed, and touches nobody" {
    slow_model
    start_worker "$T/slow.gguf" --device ref --slots 1
    client leave_in_queue
}

@test "DELETE ends a stream with one end event; it answers 204 for every id" {
    slow_model
    start_worker "$T/slow.gguf" --device ref
    client delete
}

@test "an answer ends with its time, after at most one step more, and its slot is free" {
    slow_model
    start_worker "$T/slow.gguf" --device ref
    client deadline_in_decode
}

@test "a prompt whose time is over is not computed further" {
    slow_model
    start_worker "$T/slow.gguf" --device ref
    client deadline_in_prefill 900
}

@test "who is late in the queue is never computed" {
    slow_model
    start_worker "$T/slow.gguf" --device ref --slots 1
    client deadline_in_queue
}

@test "a deadline that has passed is 504 before any work, one that is none 400" {
    start_worker "$T/tiny.gguf"
    client deadline_on_arrival
}

@test "a second request waits its turn and says so" {
    slow_model
    start_worker "$T/slow.gguf" --device ref --slots 1
    client two_at_once
}

@test "sixteen at once over four slots: each says what it says alone" {
    tiny_model seed=5 never_ends "$T/random.gguf"
    start_worker "$T/random.gguf"
    client many_at_once 16
}

@test "a store that two requests fill: sixteen at once still say what they say alone" {
    tiny_model seed=5 never_ends "$T/random.gguf"
    start_worker "$T/random.gguf" --context 192
    client many_at_once 16
}

@test "a client that does not read pauses its answer and loses nothing" {
    # As small as a model can be: the answer must have filled every buffer within the minute after
    # which a client that takes nothing is cut, under TSan and beside other suites, too.
    tiny_model type=F32 head_type=F32 embedding=8 layers=1 heads=1 kv_heads=1 head_dim=2 \
        rope_dims=2 feed_forward=8 context=12000 never_ends "$T/fast.gguf"
    start_worker "$T/fast.gguf" --context 12000 --threads 1
    client slow_reader 12000
}

@test "an id that is in use or malformed is refused" {
    slow_model
    start_worker "$T/slow.gguf" --device ref
    run client same_id_twice
    assert_output "409 CONFLICT"
    run client call POST /v1/inference '{"prompt":"x"}' 'X-Inference-Id: a/b'
    assert_output "400 INVALID_REQUEST"
}

# ---- stopping ----

@test "TERM when idle: exit 0" {
    start_worker "$T/tiny.gguf"
    kill -TERM "$WORKER_PID"
    assert_worker_exit 0
}

@test "TERM before the worker has begun to serve: exit 0" {
    python3 - "$worker" "$T/tiny.gguf" "$T/w.sock" <<'PYTHON'
import signal, subprocess, sys
# Blocked and pending before the program's first line: it cannot come any earlier.
worker, model, path = sys.argv[1:]
def send_early():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.raise_signal(signal.SIGTERM)
ended = subprocess.run([worker, "-m", model, "--listen", "unix:" + path],
                       preexec_fn=send_early, stderr=subprocess.DEVNULL, timeout=60)
sys.exit(ended.returncode != 0)
PYTHON
    assert_not_exists "$T/w.sock"
}

@test "HUP ends a worker as TERM does, but not under nohup" {
    with_token -
    start_by_hand -m "$T/tiny.gguf" --listen "unix:$T/w.sock"
    wait_until test -S "$T/w.sock"
    client wait_ready
    kill -HUP "$WORKER_PID"
    assert_worker_exit 0
    assert_not_exists "$T/w.sock"
    trap '' HUP
    start_by_hand -m "$T/tiny.gguf" --listen "unix:$T/w.sock"
    trap - HUP
    wait_until test -S "$T/w.sock"
    client wait_ready
    kill -HUP "$WORKER_PID"
    client wait_ready
    kill -TERM "$WORKER_PID"
    assert_worker_exit 0
}

@test "TERM does not wait for a body that is not sent to its end" {
    start_worker "$T/tiny.gguf"
    client term_in_body "$WORKER_PID"
    assert_worker_exit 0
    run cat "$T/worker.err"
    refute_output --partial grace_over
}

@test "TERM in the middle of an answer: one error event, exit 0" {
    slow_model
    # Not the oracle: under TSan, on a busy machine, one step of it takes longer than the 3 s after
    # which a worker goes without an answer.
    start_worker "$T/slow.gguf"
    run client term "$WORKER_PID" token
    assert_output WORKER_DRAINING
    assert_worker_exit 0
}

@test "TERM in the middle of a prompt: one error event, exit 0" {
    slow_model
    start_worker "$T/slow.gguf" --device ref
    run client term "$WORKER_PID" started
    assert_output WORKER_DRAINING
    assert_worker_exit 0
}

# ---- drills ----

drill() { # KIND
    client call POST /drill "{\"kind\":\"$1\"}"
}

@test "a drill ends the worker as the fault itself does: exit code and last words" {
    start_worker "$T/tiny.gguf"
    run drill oom
    assert_output '202 {"for_ms":0}'
    assert_worker_exit 11
    assert_equal "$(tail -n 1 "$T/worker.err")" \
        "fatal class=host_memory reason=a drill: as if memory had run out"
    rm -f "$T/w.sock"
    start_worker "$T/tiny.gguf"
    run drill gpu-fault
    assert_output '202 {"for_ms":0}'
    assert_worker_exit 13
    assert_equal "$(tail -n 1 "$T/worker.err")" \
        "fatal class=gpu_fault reason=a drill: as if the GPU had failed"
}

@test "a slow worker answers the same, and what is no drill of its own is refused" {
    local question='{"prompt":"once","raw":true,"temperature":0,"max_tokens":3,"stream":false}'
    start_worker "$T/tiny.gguf"
    run client call POST /v1/inference "$question"
    local before
    before=$(jq -r .text <<<"${output#* }")
    run drill slow
    assert_output '202 {"for_ms":30000}'
    run client call POST /v1/inference "$question"
    assert_equal "$(jq -r .text <<<"${output#* }")" "$before"
    # Two of the pauses lie within its decoding: no machine is so fast that it would be shorter.
    assert [ "$(jq '.timings.decode_ms >= 400' <<<"${output#* }")" = true ]
    for kind in crash hang nonsense; do
        run drill "$kind"
        assert_output --partial "400 INVALID_FIELD"
    done
    kill "$WORKER_PID"
    assert_worker_exit 0
}

@test "a random model of another architecture and size takes the vocabulary of a file" {
    use_tool tokenize
    echo '"hello, the world of 100 tokens"' >"$T/texts"
    tiny_model architecture=gemma3 vocab=1000 embedding=128 heads=2 head_dim=64 rope_dims=64 \
        --vocab-from "$T/tiny.gguf" "$T/other.gguf"
    assert_equal "$("$worker" --describe "$T/other.gguf" | jq -c '[.architecture, .layers, .vocab_tokens]')" \
        "[\"gemma3\",7,$("$worker" --describe "$T/tiny.gguf" | jq .vocab_tokens)]"
    assert_equal "$(tokenize "$T/other.gguf" <"$T/texts")" "$(tokenize "$T/tiny.gguf" <"$T/texts")"
    run make_gguf type=Q4_K "$T/other.gguf"
    assert_failure
    assert_output --partial "rows of 64 are not whole blocks of Q4_K, which have 256"
}
