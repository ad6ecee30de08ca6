#!/usr/bin/env bats
# rbee-worker on a GPU, which is an emulated one (tests/emulator): the real program, the real
# kernels, waves of 32 and of 64. Its answers are those of the CPU, and each way in which a GPU fails
# is the end that the supervisor knows.

# shellcheck disable=SC2154,SC2030,SC2031 # $worker is use_gpu_worker's, $stderr of run; each test is a subshell
load worker_helpers

setup() {
    rbee_setup
    use_gpu_worker
    tiny_model never_ends "$T/tiny.gguf"
    use_emulator 32
}

teardown() {
    rbee_teardown
}

# One GPU with so much memory.
emulate_bytes() { # BYTES
    export RBEE_EMULATOR_DEVICES="Emulated,0000:03:00.0,0123456789abcdef,$1"
}

# What DEVICE answers, in $output.
answer_on() { # DEVICE MODEL [OPTION...]
    run --separate-stderr "$worker" -m "$2" --device "$1" --raw --temp 0 -n 24 \
        -p "Once upon a time there was a queen" "${@:3}"
    assert_success
}

ask_gpu() { # [OPTION...]
    run --separate-stderr "$worker" -m "$T/tiny.gguf" --device emulator --raw --temp 0 -n 4 \
        -p once "$@"
}

@test "every architecture and kind of weights says on a GPU what it says on the CPU and on the oracle" {
    local model expected wave
    while read -r model; do
        # shellcheck disable=SC2086 # several options
        tiny_model $model never_ends "$T/model.gguf"
        answer_on ref "$T/model.gguf"
        expected=$output
        [ -n "$expected" ] || fail "no answer to compare with"
        answer_on cpu "$T/model.gguf"
        assert_equal "$output" "$expected"
        for wave in 32 64; do
            use_emulator "$wave"
            answer_on emulator "$T/model.gguf"
            assert_equal "$output" "$expected"
        done
    done <<MODELS
architecture=llama type=Q8_0
architecture=qwen2 type=F16
architecture=qwen3 type=Q4_0
architecture=gemma2 type=Q5_1
architecture=gemma3 type=BF16
architecture=llama embedding=256 head_dim=64 rope_dims=64 feed_forward=512 type=Q4_K is_untied
MODELS
}

@test "keys and values as q8_0: what the oracle says with them; the CPU has none" {
    local model expected wave
    while read -r model; do
        # shellcheck disable=SC2086 # several options
        tiny_model $model never_ends "$T/model.gguf"
        answer_on ref "$T/model.gguf" --kv-type q8_0
        expected=$output
        [ -n "$expected" ] || fail "no answer to compare with"
        for wave in 32 64; do
            use_emulator "$wave"
            answer_on emulator "$T/model.gguf" --kv-type q8_0
            assert_equal "$output" "$expected"
        done
        answer_on emulator,ref "$T/model.gguf" --kv-type q8_0
        assert_equal "$output" "$expected"
    done <<MODELS
architecture=llama type=Q8_0
architecture=gemma2 type=Q5_1
architecture=qwen3 embedding=256 head_dim=64 rope_dims=64 feed_forward=512 type=Q4_K
MODELS
    run --separate-stderr "$worker" -m "$T/tiny.gguf" --device cpu --raw -p once --kv-type q8_0
    assert_fault 10 config "device cpu keeps keys and values as f16 only: q8_0 takes a GPU, or "
}

@test "who allows the CPU in place of a GPU gets it with the keys and values that it can keep" {
    answer_on cpu "$T/tiny.gguf"
    local expected=$output
    answer_on gpu:7 "$T/tiny.gguf" --allow-cpu --kv-type q8_0
    assert_equal "$output" "$expected"
    # shellcheck disable=SC2154
    assert_regex "$stderr" 'device_replaced wanted=gpu:7 used=cpu kv_type=f16 '
}

@test "a GPU has room for nearly twice the context where keys and values are q8_0" {
    local halves numbers
    emulate_bytes 64000000
    tiny_model context=1048576 head_dim=64 layers=8 never_ends "$T/tiny.gguf"
    ask_gpu --context 1048576
    assert_fault 12 device_memory "a context of 1048576 tokens .* MiB too few; a context of "
    halves=$(sed -n 's/.*; a context of \([0-9]*\) would fit.*/\1/p' <<<"$stderr")
    ask_gpu --context 1048576 --kv-type q8_0
    assert_fault 12 device_memory "a context of 1048576 tokens .* MiB too few; a context of "
    numbers=$(sed -n 's/.*; a context of \([0-9]*\) would fit.*/\1/p' <<<"$stderr")
    [ "$((numbers * 10))" -gt "$((halves * 17))" ] || fail "$numbers after $halves"
    ask_gpu --context "$numbers" --kv-type q8_0
    assert_success
    ask_gpu --context "$numbers"
    assert_fault 12 device_memory "a context of $numbers tokens "
}

# What the worker says to a request with FIELDS, in $output.
ask_text() { # FIELDS
    curl -sS --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" -X POST \
        -d "{\"prompt\":\"once\",\"raw\":true,\"max_tokens\":12,\"stream\":false,$1}" \
        http://w/v1/inference >"$T/answer"
    run jq -er .text "$T/answer"
    assert_success
}

@test "of a large vocabulary the likeliest tokens are picked on the GPU, and texts are the same" {
    local expected text wave fields
    tiny_model vocab=17001 layers=1 never_ends "$T/model.gguf"
    answer_on ref "$T/model.gguf"
    expected=$output
    for wave in 32 64; do
        use_emulator "$wave"
        answer_on emulator "$T/model.gguf"
        assert_equal "$output" "$expected"
        start_worker "$T/model.gguf" --device emulator
        for fields in '"temperature":0' '"seed":7' '"seed":8,"top_k":64,"top_p":1,"min_p":0'; do
            ask_text "$fields"
            text=$output
            ask_text "$fields,\"logprobs\":0" # these need all logits
            assert_equal "$output" "$text"
        done
        kill "$WORKER_PID"
        assert_worker_exit 0
        rm "$T/w.sock"
    done
}

@test "a GPU is named by its index, its address or its id, and --allow-cpu goes on without it" {
    local name
    for name in gpu gpu:0 gpu:0000:03:00.0 gpu:03:00.0 gpu:GPU-0123456789abcdef; do
        answer_on "$name" "$T/tiny.gguf"
    done
    run --separate-stderr "$worker" -m "$T/tiny.gguf" --device gpu:1 --raw -p once -n 2
    assert_fault 10 config "device gpu:1 cannot be used: .*gpu:0 .*--allow-cpu"
    run --separate-stderr "$worker" -m "$T/tiny.gguf" --device gpu:1 --allow-cpu --raw -p once -n 2
    assert_success
    assert_regex "$stderr" 'device_replaced wanted=gpu:1 used=cpu'
}

@test "a driver whose graphs fail is told once, and the answer is the same without them" {
    local answer
    answer_on emulator "$T/tiny.gguf"
    answer=$output
    refute_regex "$stderr" gpu_graphs_off
    RBEE_GPU_GRAPHS=off RBEE_EMULATOR_FAIL=hipGraphLaunch:1:1 answer_on emulator "$T/tiny.gguf"
    assert_equal "$output" "$answer"
    refute_regex "$stderr" gpu_graphs_off
    RBEE_EMULATOR_FAIL=hipGraphLaunch:3:1 answer_on emulator "$T/tiny.gguf"
    assert_equal "$output" "$answer"
    assert_equal "$(grep -c 'warn gpu_graphs_off reason="hipGraphLaunch: ' <<<"$stderr")" 1
}

@test "a worker that is no test's knows no emulator" {
    run --separate-stderr "$RBEE_BUILD/bin/rbee-worker" -m "$T/tiny.gguf" --device emulator -p once
    assert_fault 10 config "it is for tests: "
}

@test "memory of a GPU that does not suffice is exit 12, with what would fit, and that fits" {
    local fits
    emulate_bytes 36000000
    tiny_model context=4096 never_ends "$T/tiny.gguf"
    ask_gpu --context 4096
    assert_fault 12 device_memory "a context of 4096 tokens .* MiB too few; a context of "
    fits=$(sed -n 's/.*; a context of \([0-9]*\) would fit.*/\1/p' <<<"$stderr")
    ask_gpu --context "$fits"
    assert_success
    # What the GPU then has not, though it said so.
    export RBEE_EMULATOR_FAIL=hipMalloc:9:2
    ask_gpu --context "$fits"
    assert_fault 12 device_memory "out of memory"
}

@test "a GPU that faults is exit 13, while weights are loaded and afterwards" {
    export XDG_CACHE_HOME=$T/cache
    ask_gpu # so that nothing is measured below, and each launch is the model's own
    assert_success
    RBEE_EMULATOR_FAULT_LAUNCH=5 ask_gpu
    assert_fault 13 gpu_fault "load .*hip[A-Z]"
    RBEE_EMULATOR_FAULT_LAUNCH=60 ask_gpu
    assert_fault 13 gpu_fault "hip[A-Z]"
    refute_regex "${stderr_lines[-1]}" 'load '
    RBEE_EMULATOR_FAULT_LAUNCH=60 RBEE_EMULATOR_FAULT=abort ask_gpu
    assert_fault 13 gpu_fault "the GPU's driver has aborted"
}

@test "a supervised worker on a GPU that faults in the middle of an answer ends with 13" {
    export RBEE_EMULATOR_FAULT_FILE=$T/fault
    start_worker "$T/tiny.gguf" --device emulator
    touch "$T/fault"
    curl -sS --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" -X POST \
        -d '{"prompt":"once","max_tokens":50}' http://w/v1/inference >"$T/answer" 2>&1 || true
    assert_worker_exit 13
    assert_regex "$(tail -n 1 "$T/worker.err")" '^fatal class=gpu_fault reason='
}

@test "what was measured on a GPU is kept, and asked for again when it is not what it should be" {
    local file
    export XDG_CACHE_HOME=$T/cache
    ask_gpu
    assert_success
    local answer=$output short=$output
    file=$(echo "$T"/cache/rbee/gpu-0000:03:00.0-emulator-32-*.json)
    assert_equal "$(jq '.waves | length > 0 and all(. >= 1 and . <= 8)' "$file")" true
    assert_equal "$(jq '.prompt_rows | length > 0 and all(. >= 8 and . <= 128)' "$file")" true
    # It is believed: a number that nobody measured stays, and the answer is the same.
    jq -c '.waves |= map_values(2) | .prompt_rows |= map_values(128)' "$file" >"$T/twos"
    cp "$T/twos" "$file"
    ask_gpu
    assert_success
    assert_equal "$output" "$answer"
    assert_equal "$(jq -c . "$file")" "$(cat "$T/twos")"
    # A prompt of several of the larger blocks is what it is in smaller ones, and on the CPU.
    local long
    long=$(printf 'once upon a time %.0s' {1..20})
    run -0 --separate-stderr "$worker" -m "$T/tiny.gguf" --device cpu --raw --temp 0 -n 4 -p "$long"
    answer=$output
    run -0 --separate-stderr "$worker" -m "$T/tiny.gguf" --device emulator --raw --temp 0 -n 4 -p "$long"
    assert_equal "$output" "$answer"
    jq -c '.prompt_rows |= map_values(64)' "$T/twos" >"$file"
    run -0 --separate-stderr "$worker" -m "$T/tiny.gguf" --device emulator --raw --temp 0 -n 4 -p "$long"
    assert_equal "$output" "$answer"
    # Shapes that no block has, and what is no JSON, are measured again.
    echo '{"waves":{"Q8_0":999,"F16":"x"},"prompt_rows":{"Q8_0":129,"F16":[]}}' >"$file"
    ask_gpu
    assert_success
    assert_equal "$(jq '.waves | length > 0 and all(. >= 1 and . <= 8)' "$file")" true
    assert_equal "$(jq '.prompt_rows | length > 0 and all(. >= 8 and . <= 128)' "$file")" true
    echo '{"waves' >"$file"
    ask_gpu
    assert_success
    assert_equal "$(jq '.waves | length > 0' "$file")" true
    # A place that cannot be written costs nothing but that.
    export XDG_CACHE_HOME=/dev/null
    ask_gpu
    assert_success
    assert_equal "$output" "$short"
}
