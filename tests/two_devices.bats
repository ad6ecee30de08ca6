#!/usr/bin/env bats
# rbee-worker with a model's layers on two devices, which are emulated GPUs (tests/emulator) or one of
# them and the CPU: the answers are those of one device, what cannot be is refused, and whatever one
# of the two does, its name is told. How the layers are shared out is test_stages' matter.

# shellcheck disable=SC2154,SC2030,SC2031 # $worker is use_gpu_worker's, $stderr of run; each test is a subshell
load worker_helpers

setup() {
    rbee_setup
    use_gpu_worker
    tiny_model layers=3 never_ends "$T/tiny.gguf"
    use_emulator 32
    emulate_bytes 268435456 268435456
    export XDG_CACHE_HOME=$T/cache
}

teardown() {
    rbee_teardown
}

FIRST=0000:03:00.0
SECOND=0000:04:00.0

# Two GPUs with so much memory.
emulate_bytes() { # BYTES BYTES
    export RBEE_EMULATOR_DEVICES="First,$FIRST,0123456789abcdef,$1;Second,$SECOND,0123456789abcdee,$2"
}

ask_on() { # DEVICE [OPTION...]
    local device=$1
    shift
    run --separate-stderr "$worker" -m "$T/tiny.gguf" --device "$device" --raw --temp 0 -n 8 \
        -p "once upon" "$@"
}

assert_fault_of() { # DEVICE EXIT-CODE CLASS REASON
    assert_equal "$status" "$2"
    assert_regex "${stderr_lines[-1]}" "^fatal class=$3 device=$1 reason=.*$4"
}

# What /ready says.
ready_of() {
    curl -sS --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" http://w/ready
}

@test "two devices say what one says, whichever they are" {
    local expected wave devices
    ask_on ref
    assert_success
    expected=$output
    [ -n "$expected" ] || fail "no answer to compare with"
    while read -r wave devices; do
        use_emulator "$wave"
        ask_on "$devices"
        assert_success
        assert_equal "$output" "$expected"
    done <<CASES
32 gpu:0,gpu:1
64 gpu:$SECOND,gpu:$FIRST
64 emulator,cpu
32 cpu,gpu:1
CASES
}

@test "what is no two devices is exit 10, and --allow-cpu goes on where one of them cannot be used" {
    local devices
    for devices in gpu:0,gpu:1,cpu "gpu:0," ",cpu" cpu,cpu "gpu:0,gpu:$FIRST" gpu:1,emulator,cpu \
        emulator,gpu:0; do
        ask_on "$devices" --allow-cpu
        assert_fault 10 config ""
    done
    ask_on gpu:0,gpu:7
    assert_fault 10 config "device gpu:0,gpu:7 cannot be used: gpu:7: there is no gpu:7, .*--allow-cpu"
    ask_on gpu:7,cpu --allow-cpu
    assert_success
    assert_regex "$stderr" 'device_replaced wanted=gpu:7,cpu used=cpu'
    tiny_model layers=1 never_ends "$T/tiny.gguf"
    ask_on gpu:0,gpu:1
    assert_fault 10 config "2 devices are more than the model has layers"
}

@test "what one of them has no room for, both have; and what both have not is exit 12, with what would fit" {
    local fits
    tiny_model layers=5 context=16384 head_dim=64 rope_dims=64 never_ends \
        "$T/tiny.gguf"
    emulate_bytes 66000000 66000000
    ask_on gpu:0 --context 16384
    assert_fault 12 device_memory "MiB too few; a context of "
    refute_regex "${stderr_lines[-1]}" device=
    ask_on gpu:0,gpu:1 --context 16384
    assert_success
    emulate_bytes 66000000 39000000
    ask_on gpu:0,gpu:1 --context 16384
    assert_fault_of gpu:1 12 device_memory "gpu:0: .* gpu:1: .* MiB too few; a context of "
    fits=$(sed -n 's/.*; a context of \([0-9]*\) would fit.*/\1/p' <<<"$stderr")
    ask_on gpu:0,gpu:1 --context "$fits"
    assert_success
}

@test "a fault in either is exit 13 with its name, while weights are loaded and afterwards" {
    local pci name
    ask_on gpu:0,gpu:1 # so that nothing is measured below
    assert_success
    for pci in "$FIRST" "$SECOND"; do
        name=gpu:$pci
        export RBEE_EMULATOR_FAULT_PCI=$pci
        RBEE_EMULATOR_FAULT_LAUNCH=5 ask_on "gpu:$FIRST,gpu:$SECOND"
        assert_fault_of "$name" 13 gpu_fault "$name: load .*hip[A-Z]"
        RBEE_EMULATOR_FAULT_LAUNCH=60 ask_on "gpu:$FIRST,gpu:$SECOND"
        assert_fault_of "$name" 13 gpu_fault "$name: .*hip[A-Z]"
        refute_regex "${stderr_lines[-1]}" 'load '
    done
    RBEE_EMULATOR_FAULT_LAUNCH=60 RBEE_EMULATOR_FAULT=abort ask_on gpu:0,gpu:1
    assert_fault 13 gpu_fault "the GPU's driver has aborted"
}

@test "a supervised worker on two says what each has, and which one ends it" {
    export RBEE_EMULATOR_FAULT_FILE=$T/fault RBEE_EMULATOR_FAULT_PCI=$SECOND
    start_worker "$T/tiny.gguf" --device "gpu:$FIRST,gpu:$SECOND"
    ready_of >"$T/ready"
    assert_equal "$(jq -r .device "$T/ready")" "gpu:$FIRST,gpu:$SECOND"
    assert_equal "$(jq -c '[.devices[] | .device]' "$T/ready")" "[\"gpu:$FIRST\",\"gpu:$SECOND\"]"
    assert_equal "$(jq '([.devices[].layers] | add == 3 and min >= 1) and
        ([.devices[].memory_bytes] | add) == .memory_bytes' "$T/ready")" true
    touch "$T/fault"
    curl -sS --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" -X POST \
        -d '{"prompt":"once","max_tokens":50}' http://w/v1/inference >"$T/answer" 2>&1 || true
    assert_worker_exit 13
    assert_regex "$(tail -n 1 "$T/worker.err")" \
        "^fatal class=gpu_fault device=gpu:$SECOND reason=gpu:$SECOND: "
}

@test "one device is a list of one in /ready, and --describe tells what a plan for two needs" {
    start_worker "$T/tiny.gguf" --device emulator
    ready_of >"$T/ready"
    assert_equal "$(jq -c '.devices | map([.device, .layers])' "$T/ready")" '[["emulator",3]]'
    assert_equal "$(jq '.devices[0].memory_bytes == .memory_bytes' "$T/ready")" true
    kill "$WORKER_PID"
    assert_worker_exit 0
    run "$worker" --describe "$T/tiny.gguf"
    assert_success
    assert_equal "$(jq '.layers == 3 and .layers_bytes > 0 and .first_bytes > 0 and
        .last_bytes > .first_bytes and
        .first_bytes + .layers_bytes < .fixed_bytes + .first_bytes' <<<"$output")" true
}

@test "--bench measures two devices together" {
    run --separate-stderr "$worker" --bench "$T/tiny.gguf" --device gpu:0,gpu:1 --context 32 --slots 1 \
        --json --quiet
    assert_success
    assert_equal "$(jq -r .device <<<"$output")" gpu:0,gpu:1
    # Eight for each layer at least, on whichever device it is, and the embedding's and the head's.
    assert_equal "$(jq '.launches_per_token > 3 * 8 and .read_bytes_per_second > 0 and .kv_bytes > 0' \
        <<<"$output")" true
}
