#!/usr/bin/env bats
# The whole chain through the command line: rbee, rbeed, and a worker that fails to order or a real
# one.

# shellcheck disable=SC2154,SC2016 # $output and $stderr are of run; inner shells expand what is quoted

load supervisor_helpers

# rbee looks there last; what these tests ask and stop must not be somebody's own.
setup() {
    [ ! -S /run/rbee/rbee.sock ] || skip "a supervisor of the system runs on this machine"
    fake_setup
}
teardown() { rbee_teardown; }

# ---- with a scripted worker ----

@test "from nothing to an answer: one command, one supervisor, one worker, and down leaves nothing" {
    script paris <<<'reply "Paris is a city."'
    run -0 --separate-stderr rbee infer hello --no-stdin -m "$T/m/paris.gguf"
    assert_output "Paris is a city."
    assert_equal "$stderr" "rbee: starting rbeed"
    run -0 --separate-stderr rbee infer hello --no-stdin -m "$T/m/paris.gguf"
    assert_output "Paris is a city."
    assert_equal "$stderr" ""
    run -0 rbee ps
    assert_line --regexp '^paris +ready '
    run -0 rbee down
    assert_no_process
    run find "$XDG_RUNTIME_DIR" -type s
    assert_output ""
}

@test "two at the same moment with one state and two runtime folders find the same supervisor" {
    mkdir -m 700 "$T/run2"
    rbee up 2>"$T/err.1" 3>&- &
    local first=$!
    XDG_RUNTIME_DIR=$T/run2 rbee up 2>"$T/err.2" 3>&- &
    local second=$!
    wait "$first" || fail "$(cat "$T/err.1")"
    wait "$second" || fail "$(cat "$T/err.2")"
    assert_equal "$(test_processes rbeed | wc -l)" 1
    run -0 rbee down
}

@test "up waits for a supervisor that is on its way out" {
    run -0 rbee up
    # Half a head: rbeed says farewell to this client for 2 s, its socket closed, its state locked.
    python3 -c 'import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"GET /he")
open(sys.argv[2], "w")
client.recv(1000)' "$SOCKET" "$T/sent" 3>&- &
    local client=$!
    wait_until test -e "$T/sent"
    rbee down 3>&- &
    local down=$!
    wait_until test ! -S "$SOCKET"
    run -0 --separate-stderr rbee up
    wait "$down"
    wait "$client"
    run -0 rbee status
    run -0 rbee down
    assert_no_process
}

@test "eight first commands at the same moment start one supervisor and one worker" {
    script paris <<<'reply "Paris is a city."'
    local i pids=()
    for i in 1 2 3 4 5 6 7 8; do
        rbee infer hello --no-stdin -m "$T/m/paris.gguf" >"$T/out.$i" 2>"$T/err.$i" 3>&- &
        pids+=($!)
    done
    wait "${pids[@]}"
    for i in 1 2 3 4 5 6 7 8; do
        assert_equal "$(cat "$T/out.$i")" "Paris is a city."
    done
    assert_equal "$(cat "$T"/err.*)" "rbee: starting rbeed"
    assert_equal "$(test_processes rbeed)" "$(rbee status --json | jq .pid)"
    assert_equal "$(done_count paris start)" "$(rbee ps --json | jq '.workers | length')"
}

@test "a terminal is told how far the model is loaded, and the line goes away" {
    start_rbeed
    script slow <<<'load_steps 8 150
reply "Paris."'
    run -0 command script -qec "rbee infer hello --no-stdin -m $T/m/slow.gguf" /dev/null </dev/null
    assert_output --regexp 'loading slow [0-9]+ %'
    assert_output --regexp $'\r\e\\[KParis\\.\r$'
    run -0 --separate-stderr rbee infer hello --no-stdin -m "$T/m/slow.gguf"
    assert_equal "$stderr" ""
}

@test "models: add, ls, show, rm, each as text and as JSON" {
    script llama </dev/null
    cd "$T/m"
    run -0 --separate-stderr rbee model add llama.gguf --name my-llama
    assert_output my-llama
    run -0 rbee model ls
    assert_line --regexp '^my-llama +ok '
    assert_equal "$(rbee model ls --json | jq -c '[.data[] | .id, .state]')" '["my-llama","ok"]'
    assert_equal "$(rbee model show my-llama --json | jq -r .path)" "$T/m/llama.gguf"
    run -0 rbee model show my-llama
    assert_line "path: $T/m/llama.gguf"
    run -0 rbee model rm my-llama
    run -67 --separate-stderr rbee model rm my-llama
    assert_equal "$(wc -l <<<"$stderr")" 1
    assert [ -e "$T/m/llama.gguf" ]
}

@test "an unknown model is 67 and the nearest names are said" {
    start_rbeed
    model llama-small </dev/null
    run -67 --separate-stderr rbee infer hello --no-stdin -m lama-small
    assert_equal "$stderr" "rbee: no model or worker is called lama-small; did you mean llama-small?"
    model other </dev/null
    run -67 --separate-stderr rbee infer hello --no-stdin
    [[ $stderr == *llama-small*other* ]] || fail "$stderr"
    assert_equal "$(wc -l <<<"$stderr")" 1
}

@test "worker start, wait, show, stop" {
    start_rbeed
    model llama <<<'load_steps 3 20'
    run -0 --separate-stderr rbee worker start llama --wait
    assert_output ""
    run -0 rbee wait llama --for=ready --timeout 10s
    assert_equal "$(rbee worker show llama --json | jq -c '[.name, .state]')" '["llama","ready"]'
    run -124 --separate-stderr rbee wait llama --for=stopped --timeout 100ms
    run -0 --separate-stderr rbee worker stop llama --wait
    assert_equal "$(rbee worker show llama --json | jq -r .state)" down
    run -0 rbee wait llama --for=stopped --timeout 10s
    run -67 --separate-stderr rbee worker show lama
    run -67 --separate-stderr rbee wait lama
}

@test "a worker that cannot come up ends wait and infer with its reason" {
    start_rbeed
    model broken <<<'exit 10 config "tensor past the end"'
    run --separate-stderr rbee infer hello --no-stdin -m broken
    assert_failure
    [[ $stderr == *"tensor past the end"* ]] || fail "$stderr"
    assert_equal "$(wc -l <<<"$stderr")" 1
    rbee worker start broken
    run --separate-stderr rbee wait broken --timeout 20s
    assert_failure
    refute [ "$status" -eq 124 ]
}

@test "a worker that dies before the first token is 70, after it 74; the text stands" {
    start_rbeed
    model early <<<'die_after 0 SEGV'
    run -70 --separate-stderr rbee infer hello --no-stdin -m early
    assert_output ""
    model late <<<'die_after 2 SEGV
reply "Paris is a city."'
    run -74 --separate-stderr rbee infer hello --no-stdin -m late
    assert_output --partial "Paris is"
}

@test "a supervisor that is killed in the middle is 74, and the next command starts another" {
    start_rbeed
    model slow <<<"gate_after 1 $T/never
reply \"Paris is a city.\""
    rbee infer hello --no-stdin -m slow >"$T/out" 2>"$T/err" 3>&- &
    local pid=$! status=0
    wait_until test -s "$T/out"
    kill -KILL "$RBEED_PID"
    wait "$pid" || status=$?
    assert_equal "$status" 74
    assert_equal "$(wc -l <"$T/err")" 1
    script paris <<<'reply "Paris is a city."'
    run -0 --separate-stderr rbee infer hello --no-stdin -m "$T/m/paris.gguf"
    assert_equal "$stderr" "rbee: starting rbeed"
}

# Interrupts rbee infer -m MODEL once CONDITION holds; the worker must be idle at once.
assert_interrupt_frees() { # MODEL CONDITION...
    local model=$1 status=0
    shift
    : >"$T/out"
    env --default-signal=INT rbee infer hello --no-stdin -m "$model" -n 4000 >"$T/out" 2>"$T/err" 3>&- &
    local pid=$!
    wait_until "$@"
    kill -INT "$pid"
    wait "$pid" || status=$?
    assert_equal "$status" 130
    assert_equal "$(cat "$T/err")" ""
    wait_until worker_has "$model" in_flight 0
    worker_is "$model" ready
}

@test "Ctrl-C in prefill, in decode and in the queue frees the worker at once" {
    start_rbeed
    model slow <<<"gate_after 1 $T/never
reply \"Paris is a city.\""
    model thinking <<<"gate_after 0 $T/never"
    assert_interrupt_frees slow test -s "$T/out"
    assert_interrupt_frees thinking worker_has thinking in_flight 1
}

@test "down lets a running request finish" {
    start_rbeed
    model slow <<<"gate_after 1 $T/go
reply \"Paris is a city.\""
    rbee infer hello --no-stdin -m slow >"$T/out" 2>"$T/err" 3>&- &
    local asking=$!
    wait_until test -s "$T/out"
    rbee down --drain 20s 2>"$T/down" 3>&- &
    local downing=$!
    wait_for_line "$T/down" 'waiting for 1 running request'
    touch "$T/go"
    wait "$asking"
    assert_equal "$(cat "$T/out")" "Paris is a city."
    wait "$downing"
    assert_no_process
}

# ---- with the demo model ----

real_worker() {
    demo_model
    rm -f "$T/bin/rbee-worker"
    use_program "$RBEE_BUILD/bin/rbee-worker"
    # Its first token makes no progress that is counted, and takes long under a sanitizer.
    LOAD_STALL=${WAIT_LIMIT_S}s fake_config </dev/null
}

@test "the capital of France" {
    real_worker
    start_rbeed
    with_demo_model
    run -0 --separate-stderr bash -c 'echo "The capital of France is" | rbee infer --raw -n 8 --temp 0'
    assert_output --partial Paris
    run -0 rbee infer --no-stdin --temp 0 -n 2 --json "What is the capital of France?"
    assert_equal "$(jq -c '[.stop_reason, .usage.completion_tokens]' <<<"$output")" '["length",2]'
    run -3 rbee infer --no-stdin --temp 0 -n 2 --fail-on-length "What is the capital of France?"
}

@test "Ctrl-C frees a worker that computes, in decode and in prefill" {
    real_worker
    start_rbeed
    with_demo_model
    assert_interrupt_frees smollm2-135m-instruct test -s "$T/out"
    # A prompt of thousands of tokens takes seconds to read.
    yes 'a long text of many words' | head -n 1000 >"$T/long"
    env --default-signal=INT rbee infer -f "$T/long" --no-stdin >"$T/out" 2>&1 3>&- &
    local pid=$! status=0 limit_s=20
    wait_until worker_has smollm2-135m-instruct in_flight 1
    kill -INT "$pid"
    wait "$pid" || status=$?
    assert_equal "$status" 130
    assert_equal "$(cat "$T/out")" ""
    wait_until worker_has smollm2-135m-instruct in_flight 0
    # would wait for the other, were it still there
    is_sanitized && limit_s=$WAIT_LIMIT_S
    run -0 timeout "$limit_s" rbee infer --no-stdin -n 1 hello
}

@test "a prompt longer than the context is 65 and says both numbers" {
    real_worker
    start_rbeed
    with_demo_model
    yes 'a long text of many words' | head -n 3000 >"$T/long"
    run -65 --separate-stderr rbee infer -f "$T/long" --no-stdin
    assert_output ""
    [[ $stderr =~ ^"rbee: the prompt has "[0-9]+" tokens, the context 8192" ]] || fail "$stderr"
}
