#!/usr/bin/env bats
# Workers whose model is divided over two GPUs: their names, their room, and whose fault it was. The worker
# is a fake, and so are the GPUs: $T/bin/devices has what it tells of them.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be
# shellcheck disable=SC2154 # stderr is set by run --separate-stderr

load recovery_helpers

A=0000:03:00.0
B=0000:c3:00.0
BOTH=gpu:$A,gpu:$B
MB=1000000

setup() {
    fake_setup
    use_test_hooks
    recovery_config <<<'restart { base = 1s }'
    two_gpus
}
teardown() { rbee_teardown; }

# A script whose worker needs MB on one GPU: ten layers are all of it, and a device has nothing besides.
# More directives on stdin.
layered() { # NAME MB
    {
        echo "describe fixed_bytes $(($2 * MB))"
        echo "describe layers 10"
        echo "describe layers_bytes $(($2 * MB))"
        echo "memory $(($2 * MB))"
        cat
    } | script "$1"
    add_model "$1" >/dev/null
}

gpu_failures() { # ID
    api GET "/v1/breakers/$1" | jq .failures
}

# ---- names ----

@test "two GPUs, by whatever names, are two devices, and the worker gets their addresses in that order" {
    start_rbeed
    model m <<<'reply one'
    run -0 rbee worker start m --device "gpu:0,gpu:GPU-fake-$B" --wait
    assert_equal "$(started_on m)" "$BOTH"
    assert_says m ".device == \"$BOTH\""
    assert_equal "$(rbee gpu ls --json | jq -c '[.gpus[].workers]')" '[["m"],["m"]]'
    run rbee gpu ls
    assert_line --index 1 --regexp '^gpu:0 .* m +closed$'
    assert_line --index 2 --regexp '^gpu:1 .* m +closed$'
    run rbee ps
    assert_line --index 1 --regexp "^m +ready +m +[0-9]+ +$BOTH +11.8 MiB +"
    run rbee worker show m
    assert_line --regexp "^device: +$BOTH$"
    run rbee why m
    assert_line --partial "on $BOTH"
    run rbee top --once
    assert_success
    api GET /metrics >"$T/metrics"
    assert_equal "$("$TESTS_DIR/metrics_check.py" rbee_hive_workers state=ready backend=gpu "device=$BOTH" <"$T/metrics")" 1
    # Who asks for the same two is served; for one of them alone, or for another, not.
    ask m "\"device\":\"gpu:1,gpu:$A\"" | grep -q DONE
    ask m '"device":"gpu"' | grep -q DONE
    run ask m '"device":"gpu:1"'
    assert_output --partial "worker m runs on device $BOTH, not gpu:1: stop it first"
    rbee worker stop m --wait
    run -0 rbee worker start m --device gpu:1,gpu:0 --wait
    assert_equal "$(started_on m)" "gpu:$B,gpu:$A"
    stop_rbeed
    start_rbeed
    wait_says m '.state == "ready"'
    assert_equal "$(started_on m)" "gpu:$B,gpu:$A"
}

@test "a worker of the configuration has two GPUs as well" {
    recovery_config <<<'worker m { device = "gpu:0,gpu:1" }'
    start_rbeed
    model m <<<'reply one'
    ask m | grep -q DONE
    assert_equal "$(started_on m)" "$BOTH"
}

@test "the same GPU twice is refused, by one name at once and by two when it is known" {
    start_rbeed
    model m <<<'reply one'
    run --separate-stderr rbee worker start m --device gpu:0,gpu:0
    assert_failure
    assert_regex "$stderr" 'device names gpu:0 twice: the two must differ'
    run ask m '"device":"gpu:0,gpu:1,gpu:2"'
    assert_output --partial '"code":"INVALID_FIELD"'
    run -78 --separate-stderr rbee worker start m --device "gpu:0,gpu:$A"
    assert_regex "$stderr" "gpu:0 and gpu:$A are the same GPU: two must differ"
    assert_says m '.state == "failed" and .last_fault == "config"'
    run -78 --separate-stderr rbee worker start m --device gpu:1,gpu:7
    assert_regex "$stderr" "there is no GPU gpu:7; gpu:0 is $A"
    assert_equal "$(start_count m)" 0
    run -0 rbee worker start m --device gpu:7,gpu:0 --allow-cpu --wait
    assert_equal "$(started_on m)" cpu
}

@test "a second GPU that is not there is no business of those that use the first" {
    start_rbeed
    model a <<<'load_gate go'
    model m <<<'reply one'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.state == "starting"'
    run -78 --separate-stderr rbee worker start m --device gpu:0,gpu:7
    assert_regex "$stderr" "there is no GPU gpu:7"
    assert_says m '.device == "gpu:0,gpu:7"' # the second is not hidden: it is why
    run -78 --separate-stderr rbee worker start m --device "gpu:0,gpu:$A"
    assert_regex "$stderr" "are the same GPU"
    assert_says a '.state == "starting"'
    touch "$T/m/go"
    wait_says a '.state == "ready"'
    assert_equal "$(api GET "/v1/breakers/gpu:$A" | jq -r .state)" closed
}

@test "of two GPUs one that is being reset is waited for" {
    start_rbeed
    model m <<<'@1 exit 13 "gpu_fault device=gpu:0000:c3:00.0" "page fault"'
    want_up m '{"device":"gpu:0,gpu:1"}'
    wait_says m '.state == "waiting" and .waits_for == "back_off"'
    echo "device $A" >"$T/bin/devices"
    until_retry m
    wait_says m '.state == "waiting" and .waits_for == "gpu_list" and .next_retry_ms > 0'
    run -71 --separate-stderr rbee infer -m m hello
    assert_regex "$stderr" 'there is no GPU gpu:1'
    two_gpus
    until_retry m
    wait_says m '.state == "ready"'
    assert_equal "$(started_on m)" "$BOTH"
}

# ---- faults ----

@test "a fault counts for the GPU that the worker named, and its open circuit holds the worker" {
    start_rbeed
    model m <<<"exit 13 \"gpu_fault device=gpu:$B\" \"page fault\""
    model other <<<'reply one'
    want_up m '{"device":"gpu:0,gpu:1"}'
    wait_says m '.state == "waiting" and .last_fault == "gpu_fault"'
    assert_says m ".last_stderr == \"gpu:$B: page fault\""
    assert_equal "$(gpu_failures gpu:0) $(gpu_failures gpu:1)" '0 1'
    until_retry m
    wait_says m '.restarts == 1 and .state == "waiting"'
    assert_equal "$(gpu_breakers)" "gpu:$A closed
gpu:$B open"
    until_retry m
    wait_says m '.state == "open" and .waits_for == "device" and .breaker == "closed"'
    run ask m
    assert_output --partial "the circuit of gpu:$B is open"
    run rbee why m
    assert_output --partial "rbee breaker reset gpu:$B"
    assert_output --partial "$BOTH"
    # The other GPU is as good as before.
    ask other '"device":"gpu:0"' | grep -q DONE
    # The failures are in the store for that GPU alone.
    stop_rbeed
    assert_equal "$(db "SELECT DISTINCT device FROM failures")" "gpu:$B"
    start_rbeed
    assert_equal "$(gpu_breakers)" "gpu:$B open" # of the other nothing was stored
    model m <<<'reply one'
    run -0 rbee breaker reset gpu:1
    wait_says m '.state == "ready"'
}

@test "a fault without a name counts for both, also after a restart of rbeed" {
    start_rbeed
    model m <<<'exit 13 gpu_fault "page fault"'
    want_up m '{"device":"gpu:0,gpu:1"}'
    wait_says m '.state == "waiting" and .last_fault == "gpu_fault"'
    assert_says m '.last_stderr == "page fault"'
    assert_equal "$(gpu_failures "gpu:$A") $(gpu_failures "gpu:$B")" '1 1'
    stop_rbeed
    start_rbeed
    assert_equal "$(gpu_failures "gpu:$A") $(gpu_failures "gpu:$B")" '1 1'
}

@test "a worker of two GPUs stays down until neither circuit is open" {
    start_rbeed
    model m <<<'reply one'
    ask m '"device":"gpu:0,gpu:1"' | grep -q DONE
    rbee worker stop m --wait
    rbee breaker open gpu:0 --reason hot
    rbee breaker open gpu:1 --reason dusty
    run -75 --separate-stderr rbee worker start m --device gpu:0,gpu:1
    assert_regex "$stderr" "the circuit of gpu:$A was opened by a person: hot"
    model n <<<'reply one'
    run ask n '"device":"gpu:1,gpu:0"'
    assert_output --partial "the circuit of gpu:$B was opened by a person: dusty"
    assert_says n '.state == "open" and .waits_for == "device"'
    run rbee why n
    assert_line --regexp "^device +gpu:$B forced_open: .*dusty"
    assert_line --regexp "^device +gpu:$A forced_open: .*hot"
    assert_line --regexp "^next step +rbee breaker reset gpu:$B"
    rbee breaker reset gpu:1
    assert_says n '.state == "open" and .waits_for == "device"'
    run ask n '"device":"gpu:1,gpu:0"'
    assert_output --partial "the circuit of gpu:$A was opened by a person: hot"
    rbee breaker reset gpu:0
    assert_says n '.state == "down"'
    ask n '"device":"gpu:1,gpu:0"' | grep -q DONE
}

# ---- loads ----

@test "a load on two GPUs keeps others from each, and waits for the loads of both" {
    start_rbeed
    model a <<<'load_gate go_a'
    model b <<<'load_gate go_b'
    model both <<<'load_gate go_both'
    model c <<<'reply one'
    want_up a '{"device":"gpu:0"}'
    want_up b '{"device":"gpu:1"}'
    wait_says a '.state == "starting"'
    wait_says b '.state == "starting"'
    want_up both '{"device":"gpu:0,gpu:1"}'
    wait_says both '.state == "waiting" and .waits_for == "other_load"'
    touch "$T/m/go_a"
    wait_says a '.state == "ready"'
    assert_says both '.state == "waiting" and .waits_for == "other_load"'
    touch "$T/m/go_b"
    wait_says both '.state == "starting"'
    want_up c '{"device":"gpu:1"}'
    wait_says c '.state == "waiting" and .waits_for == "other_load"'
    touch "$T/m/go_both"
    wait_says both '.state == "ready"'
    wait_says c '.state == "ready"'
}

# ---- room ----

@test "what does not fit on one GPU fits on two, and each holds what the worker says" {
    start_rbeed
    layered big 240 <<<"memory_parts $((80 * MB)) $((160 * MB))"
    layered small 30 <<<'reply one'
    layered tiny 15 <<<'reply one'
    run ask big '"device":"gpu:1"'
    assert_output --partial "worker big needs 228.9 MiB of memory, and gpu:$B has 190.7 MiB left of 190.7 MiB"
    ask big '"device":"gpu:0,gpu:1"' | grep -q DONE
    ask small '"device":"gpu:1"' | grep -q DONE
    ask tiny '"device":"gpu:0"' | grep -q DONE
    assert_says big '.state == "ready"'
    # There are 20 and 40 left beside it: now who needs more makes it go.
    rbee worker stop small --wait
    rbee worker stop tiny --wait
    layered more 25 <<<'reply one'
    ask more '"device":"gpu:0"' | grep -q DONE
    assert_says big '.state == "down" and .last_exit == "evicted for more: exit 0"'
}

@test "a worker that runs on the CPU, since it could use neither of its GPUs, holds nothing of them" {
    start_rbeed
    layered big 240 <<<'runs_on cpu'
    layered other 150 <<<'reply one'
    layered small 90 <<<'runs_on cpu'
    layered more 60 <<<'reply one'
    run -0 rbee worker start big --device gpu:0,gpu:1 --allow-cpu --wait
    assert_says big '.state == "ready" and .device == "cpu"'
    ask other '"device":"gpu:1"' | grep -q DONE
    # Nor of a single one.
    run -0 rbee worker start small --device gpu:0 --allow-cpu --wait
    ask more '"device":"gpu:0"' | grep -q DONE
}

@test "what is needed on each GPU is evicted there, and no more" {
    start_rbeed
    layered a 60 <<<'reply one'
    layered b 90 <<<'reply one'
    layered c 90 <<<'reply one'
    layered big 180 <<<'reply one'
    ask a '"device":"gpu:0"' | grep -q DONE
    ask b '"device":"gpu:1"' | grep -q DONE
    ask c '"device":"gpu:1"' | grep -q DONE
    # Of 300 MB 240 are taken; 180 fit beside the one that was used last.
    ask big '"device":"gpu:0,gpu:1"' | grep -q DONE
    assert_says a '.state == "down" and .last_exit == "evicted for big: exit 0"'
    assert_says b '.state == "down" and .last_exit == "evicted for big: exit 0"'
    assert_says c '.state == "ready"'
}

@test "what does not fit on two GPUs is told with all numbers, and waits when it is wanted up" {
    start_rbeed
    layered a 60 <<<'reply one'
    layered big 270 <<<'reply one'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.state == "ready"'
    run ask big '"device":"gpu:0,gpu:1"'
    assert_output --partial '"code":"NO_ROOM"'
    assert_output --partial "worker big needs 257.5 MiB of memory, and gpu:$A has 38.1 MiB left of 95.4 MiB"
    assert_output --partial ": a holds 57.2 MiB (wanted up), and gpu:$B has 190.7 MiB left of 190.7 MiB"
    want_up big '{"device":"gpu:0,gpu:1"}'
    wait_says big '.state == "waiting" and .waits_for == "room"'
    api POST /v1/workers/a/stop >/dev/null
    wait_says big '.state == "ready"'
}

# ---- the choice ----

# Each GPU has 20 MB left, and next waits, on any, for 110.
crowd() {
    layered a 80 <<<'reply one'
    layered b 180 <<<'reply one'
    layered next 110 <<<'reply one'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.state == "ready"'
    want_up b '{"device":"gpu:1"}'
    wait_says b '.state == "ready"'
    want_up next '{"device":"gpu"}'
    wait_says next '.state == "waiting" and .waits_for == "room"'
}

@test "gpu is one GPU where one has room, and two where none alone has" {
    start_rbeed
    layered one 150 <<<'reply one'
    layered two 130 <<<'reply one'
    layered big 240 <<<'reply one'
    ask one '"device":"gpu"' | grep -q DONE
    assert_equal "$(started_on one)" "gpu:$B"
    # 100 and 50 are left: nobody has to go.
    ask two '"device":"gpu"' | grep -q DONE
    assert_equal "$(started_on two)" "$BOTH"
    assert_says two ".device == \"$BOTH\""
    assert_says one '.state == "ready"'
    # Both have to go for the next one.
    ask big '"device":"gpu"' | grep -q DONE
    assert_equal "$(started_on big)" "$BOTH"
    assert_says one '.state == "down" and .last_exit == "evicted for big: exit 0"'
    assert_says two '.state == "down" and .last_exit == "evicted for big: exit 0"'
}

@test "gpu takes no two of which one's circuit is open, and no two makers' cards for one model" {
    start_rbeed
    layered big 240 <<<'reply one'
    run ask big '"device":"gpu:0"' # by now they are known
    rbee breaker open gpu:0 --reason hot
    run ask big '"device":"gpu"'
    assert_output --partial '"code":"NO_ROOM"'
    assert_output --partial "gpu:$B has 190.7 MiB left of 190.7 MiB"
    rbee breaker reset gpu:0
    ask big '"device":"gpu"' | grep -q DONE
    assert_equal "$(started_on big)" "$BOTH"
    rbee worker stop big --wait
    stop_rbeed
    sed -i '2s/}/,"vendor":"nvidia"}/' "$T/bin/devices"
    start_rbeed
    run ask big '"device":"gpu"'
    assert_output --partial '"code":"NO_ROOM"'
}

@test "who waits for room on any GPU takes two when that is enough" {
    start_rbeed
    crowd
    # 100 on the one and 20 on the other.
    api POST /v1/workers/a/stop >/dev/null
    wait_says next '.state == "ready"'
    assert_equal "$(started_on next)" "$BOTH"
}

@test "who has a place in the line and other devices than before holds what it needs of those" {
    start_rbeed
    layered loads 1 <<<'load_gate go'
    layered last 1 <<<'reply one'
    crowd
    want_up loads '{"device":"gpu:1"}'
    wait_says loads '.state == "starting"'
    # 100 on the one and 19 on the other, where another load is: nine layers, and one.
    api POST /v1/workers/a/stop >/dev/null
    wait_says next '.state == "waiting" and .waits_for == "other_load"'
    ask last '"device":"gpu:0"' | grep -q DONE
    touch "$T/m/go"
    wait_says next '.state == "ready"'
    assert_equal "$(started_on next)" "$BOTH"
}

@test "a model without a layer for each device is not divided" {
    start_rbeed
    layered big 240 <<<'describe layers 1'
    run ask big '"device":"gpu"'
    assert_output --partial '"code":"NO_ROOM"'
}

@test "two devices that are a worker's own and more than its model has layers are a fault of its configuration" {
    start_rbeed
    layered big 240 <<'END'
describe layers 1
exit 10 config "2 devices are more than the model has layers"
END
    # What a request wants fails the request alone.
    run ask big '"device":"gpu:0,gpu:1"'
    assert_output --partial '"code":"WORKER_CONFIG"'
    assert_output --partial 'two devices are more than its model has layers'
    assert_says big '.state == "down"'
    assert_equal "$(start_count big)" 0
    run -78 --separate-stderr rbee worker start big --device gpu:0,gpu:1 --wait
    assert_regex "$stderr" '2 devices are more than the model has layers'
    assert_says big '.state == "failed" and .last_fault == "config"'
    assert_equal "$(start_count big)" 1
}
