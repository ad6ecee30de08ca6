#!/usr/bin/env bats
# A model on a GPU, from rbee to the kernels and back: the real programs, and the emulator for a driver.
# What its device does wrong is made to order (tests/emulator/README.md).

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be
# shellcheck disable=SC2154 # stderr is set by run --separate-stderr

load recovery_helpers

GPU=gpu:0000:03:00.0 # the emulator's

setup() {
    local worker=$RBEE_HOOKS_BUILD/bin/rbee-worker
    EMULATOR=$RBEE_BUILD/tests/libgpu-emulator-32.so
    rbee_setup
    [[ -x $worker && -e $EMULATOR ]] || skip "no $worker or no $EMULATOR: make test builds them"
    use_test_hooks
    # A worker's environment is not ours: what the emulator is told is in a file.
    rm "$T/bin/rbee-worker"
    cat >"$T/bin/rbee-worker" <<END
#!/bin/sh
export RBEE_GPU_LIBRARY="$EMULATOR" RBEE_EMULATOR_FAULT_FILE="$T/fault"
[ ! -e "$T/emulator" ] || . "$T/emulator"
exec "$worker" "\$@"
END
    chmod +x "$T/bin/rbee-worker"
    tiny_model "$T/tiny.gguf"
    recovery_config <<<'restart { base = 1s }'
    start_rbeed
    api POST /v1/models -d "{\"path\":\"$T/tiny.gguf\"}" >/dev/null
}
teardown() { rbee_teardown; }

say() { # DEVICE
    rbee infer -m tiny --device "$1" --raw --temp 0 -n 12 --no-stdin 'the quick brown'
}

@test "a model runs on a GPU, under each of its names, and says what it says on the CPU" {
    local cpu name
    cpu=$(say cpu)
    [ -n "$cpu" ]
    for name in gpu:0 "$GPU" gpu:03:00.0 gpu; do
        rbee worker stop tiny --wait
        run -0 --separate-stderr say "$name"
        assert_equal "$output" "$cpu"
        assert_says tiny ".state == \"ready\" and .device == \"$GPU\""
    done
    assert_equal "$(rbee gpu show gpu:0 --json | jq -c '[.pci_address, .usable, .workers]')" '["0000:03:00.0",true,["tiny"]]'
    run rbee ps
    assert_output --partial "$GPU"
}

@test "a GPU that is not there is refused, and those that are there are named; --allow-cpu goes on without it" {
    run -78 --separate-stderr say gpu:7
    assert_regex "$stderr" 'there is no GPU gpu:7; gpu:0 is 0000:03:00.0, Emulated GPU'
    run -0 rbee infer -m tiny --device gpu:7 --allow-cpu --raw --temp 0 -n 2 --no-stdin x
    assert_says tiny '.device == "cpu"'
}

@test "device memory that runs out is oom, tried once more with half the context" {
    # The third allocation of the first process fails. The model's context is of 512 tokens.
    cat >"$T/emulator" <<END
case "\$*" in *--listen-fd*)
    [ -e "$T/first" ] || export RBEE_EMULATOR_FAIL=hipMalloc:3:2
    touch "$T/first"
esac
END
    want_up tiny '{"device":"gpu:0"}'
    wait_says tiny '.last_fault == "oom_device" and .state == "waiting"'
    until_retry tiny
    wait_says tiny '.state == "ready" and .degraded and .context_tokens == 256'
    assert_equal "$(api GET /v1/breakers/gpu:0 | jq -r '"\(.name) \(.state) \(.failures)"')" "$GPU closed 1"
    run rbee why tiny
    assert_output --partial 'device memory ran out'
    run -0 say gpu:0
}

@test "a fault of the GPU ends the worker as gpu_fault; a second one opens the GPU's circuit" {
    want_up tiny '{"device":"gpu:0"}'
    wait_says tiny '.state == "ready"'
    touch "$T/fault"
    run -71 --separate-stderr say gpu:0
    wait_says tiny '.last_fault == "gpu_fault" and .state == "waiting"'
    assert_equal "$(api GET /v1/breakers/gpu:0 | jq -r '"\(.state) \(.failures)"')" 'closed 1'
    rm "$T/fault"
    until_retry tiny
    wait_says tiny '.state == "ready" and .restarts == 1'
    run -0 say gpu:0
    touch "$T/fault"
    run -71 --separate-stderr say gpu:0
    wait_says tiny '.last_fault == "gpu_fault" and .state == "waiting"'
    until_retry tiny
    wait_says tiny '.state == "open" and .waits_for == "device" and .breaker == "closed"'
    run rbee why tiny
    assert_output --partial 'the GPU reported a fault'
    assert_output --partial "the circuit of $GPU is open"
    assert_output --partial "rbee breaker reset $GPU"
    run -75 --separate-stderr say gpu:0
    assert_regex "$stderr" "the circuit of $GPU is open"
    # The card is well again.
    rm "$T/fault"
    run -0 rbee breaker reset gpu:0
    wait_says tiny '.state == "ready"'
    run -0 say gpu:0
}

# ---- two GPUs ----

FIRST=0000:03:00.0
SECOND=0000:04:00.0

# A model that takes some 200 MB of one GPU, or 120 of each of two, which have 150.
deep_model_and_two_gpus() {
    echo "export RBEE_EMULATOR_DEVICES='First,$FIRST,0123456789abcdef,150000000;Second,$SECOND,0123456789abcdee,150000000'" \
        >"$T/emulator"
    tiny_model layers=20 context=16384 head_dim=64 rope_dims=64 never_ends "$T/deep.gguf"
    api POST /v1/models -d "{\"path\":\"$T/deep.gguf\"}" >/dev/null
}

say_deep() { # DEVICE
    rbee infer -m deep --device "$1" --ctx 16384 --raw --temp 0 -n 8 --no-stdin 'once upon'
}

@test "a model that no GPU has room for runs on two, and says what it says on the CPU" {
    local cpu both=gpu:$FIRST,gpu:$SECOND
    deep_model_and_two_gpus
    cpu=$(say_deep cpu)
    [ -n "$cpu" ]
    rbee worker stop deep --wait
    run -75 --separate-stderr say_deep gpu:1
    assert_regex "$stderr" "gpu:$SECOND has 143.1 MiB left of 143.1 MiB"
    run -0 --separate-stderr say_deep gpu
    assert_equal "$output" "$cpu"
    assert_says deep ".state == \"ready\" and .device == \"$both\" and .memory_bytes > 150000000"
    assert_equal "$(rbee gpu ls --json | jq -c '[.gpus[].workers]')" '[["deep"],["deep"]]'
}

@test "a fault of one of two GPUs counts for that one alone" {
    deep_model_and_two_gpus
    echo "export RBEE_EMULATOR_FAULT_PCI=$SECOND" >>"$T/emulator"
    run -0 say_deep gpu:0,gpu:1
    touch "$T/fault"
    run -71 --separate-stderr say_deep gpu:0,gpu:1
    wait_says deep '.last_fault == "gpu_fault" and .state != "ready"'
    assert_equal "$(api GET /v1/breakers/gpu:0 | jq .failures) $(api GET /v1/breakers/gpu:1 | jq .failures)" '0 1'
    assert_says deep ".last_stderr | test(\"^gpu:$SECOND: [^:]\")"
}

@test "a drill of a GPU fault is the real thing on a real worker" {
    want_up tiny '{"device":"gpu"}'
    wait_says tiny '.state == "ready"'
    run -0 rbee drill gpu-fault tiny --yes
    wait_says tiny '.last_fault == "gpu_fault" and .state == "waiting"'
    assert_equal "$(api GET "/v1/breakers/$GPU" | jq -r '"\(.state) \(.failures)"')" 'closed 1'
    run rbee why tiny
    assert_output --partial '(a drill)'
    assert_output --partial "$GPU"
}
