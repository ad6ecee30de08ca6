#!/usr/bin/env bats
# rbee-worker --devices: the GPUs that a worker could run on, or why there is none. The drivers are
# the emulator, for AMD's, and tests/fake/fake_cuda.c.

# shellcheck disable=SC2154 # $output and $stderr are of run

load worker_helpers

setup() {
    rbee_setup
    use_gpu_worker
}

teardown() {
    rbee_teardown
}

devices() { # LIBRARY
    RBEE_GPU_LIBRARY=$1 run --separate-stderr "$worker" --devices
    assert_success
    assert_equal "$stderr" ""
    assert_equal "${#lines[@]}" 1
}

@test "no driver is no failure: the list is empty, and says why" {
    devices "$T/no_such_library.so"
    assert_equal "$(jq -c '.devices' <<<"$output")" '[]'
    assert_regex "$(jq -r .reason <<<"$output")" 'no_such_library.so: cannot open'
    RBEE_EMULATOR_DEVICES='' devices "$RBEE_BUILD/tests/libgpu-planted-64.so"
    assert_equal "$(jq -c '.devices' <<<"$output")" '[]'
    assert_regex "$(jq -r .reason <<<"$output")" 'hipErrorNoDevice'
}

@test "the worker that is installed takes no library from the environment" {
    worker=$RBEE_BUILD/bin/rbee-worker devices "$RBEE_BUILD/tests/libgpu-planted-64.so"
    run jq -r '.devices[] | select(.architecture == "emulator-64")' <<<"$output"
    assert_output ''
}

@test "AMD's devices are told with all that says which one is meant" {
    RBEE_EMULATOR_DEVICES='Radeon B,0000:c1:00.0,9f3a5c2e71b0d846,1000000;Radeon A,0000:03:00.0,XX,2000000' \
        devices "$RBEE_BUILD/tests/libgpu-planted-32.so"
    run jq -cS '.devices[]' <<<"$output"
    assert_output "$(jq -cS . <<'END'
{"index":0,"vendor":"amd","pci":"0000:03:00.0","uuid":null,"name":"Radeon A","architecture":"emulator-32",
 "memory_bytes":2000000,"free_bytes":2000000,"usable":true,"reason":null}
{"index":1,"vendor":"amd","pci":"0000:c1:00.0","uuid":"GPU-9f3a5c2e71b0d846","name":"Radeon B","architecture":"emulator-32",
 "memory_bytes":1000000,"free_bytes":1000000,"usable":true,"reason":null}
END
)"
}

@test "one without kernels, and one whose driver fails, say so and do not hide the others" {
    mkdir "$T/kernels"
    touch "$T/kernels/sm_80.ptx"
    cat >"$T/cuda" <<'END'
device 0000:C1:00.0 90 80000000000 NVIDIA H100
device 0000:21:00.0 75 16000000000 Tesla T4
device 0000:41:00.0 86 24000000000 NVIDIA A10
fail cuDevicePrimaryCtxRetain 201 2
END
    export RBEE_FAKE_CUDA=$T/cuda RBEE_KERNELS=$T/kernels
    devices "$RBEE_BUILD/tests/libcuda.so.1"
    run jq -c '.devices[] | [.index, .pci, .vendor, .architecture, .usable, .free_bytes]' <<<"$output"
    assert_output '[0,"0000:21:00.0","nvidia","sm_75",false,null]
[1,"0000:41:00.0","nvidia","sm_86",true,24000000000]
[2,"0000:c1:00.0","nvidia","sm_90",false,null]'
    devices "$RBEE_BUILD/tests/libcuda.so.1"
    run jq -r '.devices[].reason' <<<"$output"
    assert_line --index 0 --partial 'no kernels for sm_75'
    assert_line --index 1 null
    assert_line --index 2 --partial 'cuDevicePrimaryCtxRetain: '
}

@test "one that is full can be used, and has nothing free" {
    local call
    for call in hipMemGetInfo hipSetDevice; do
        RBEE_EMULATOR_FAIL=$call:1:2 devices "$RBEE_BUILD/tests/libgpu-planted-64.so"
        assert_equal "$(jq -c '.devices[] | [.usable, .reason, .free_bytes]' <<<"$output")" '[true,null,0]'
    done
    RBEE_EMULATOR_FAIL=hipMemGetInfo:1:1 devices "$RBEE_BUILD/tests/libgpu-planted-64.so"
    assert_equal "$(jq -c '.devices[] | [.usable, .free_bytes]' <<<"$output")" '[false,null]'
}

@test "a device whose name is no UTF-8 is not lost" {
    RBEE_EMULATOR_DEVICES=$'Rad\xffeon,0000:03:00.0,XX,2000000' \
        devices "$RBEE_BUILD/tests/libgpu-planted-64.so"
    assert_equal "$(jq -r '.devices[].name' <<<"$output")" 'Rad?eon'
}
