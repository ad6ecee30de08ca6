#!/usr/bin/env bats
# What the workers of one device share: its circuit breaker, one load at a time, the storm guard. The
# fake worker tells of one GPU, and to it that is a device like any other.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load recovery_helpers

GPU_0=gpu:0000:03:00.0 # as it is called once it is known

setup() { fake_setup; }
teardown() { rbee_teardown; }

on_gpu() { # NAME
    want_up "$1" '{"device":"gpu:0"}'
}

# Two workers of gpu:0 report a GPU fault each, and are wanted up no more. With a back-off that is
# long enough for that.
open_gpu_0() {
    local name
    for name in bad1 bad2; do
        model "$name" <<<'exit 13 gpu_fault "page fault at 0x0"'
        on_gpu "$name"
        wait_says "$name" '.last_fault == "gpu_fault" and .state != "starting"'
        api POST "/v1/workers/$name/stop" >/dev/null
    done
}

@test "two GPU faults over two workers open the breaker of their GPU, and nothing else" {
    recovery_config <<<'restart { base = 60s }'
    use_test_hooks
    start_rbeed
    model runs <<<'@1 die_later go SEGV'
    model other <<<'reply one'
    model same <<<'reply one'
    on_gpu runs
    wait_says runs '.state == "ready"'
    open_gpu_0
    # A start there is refused, by name; the one that runs goes on.
    run -0 api POST /v1/workers/same/start -i -d '{"device":"gpu:0"}'
    run ask same '"device":"gpu:0"'
    assert_output --partial '"code":"CIRCUIT_OPEN"'
    assert_output --partial "the circuit of $GPU_0 is open (too many failures in a short time)"
    assert_says same '.state == "open" and .breaker == "closed" and .waits_for == "device"'
    assert_equal "$(start_count same)" 0
    run ask runs
    assert_output --partial '"type":"end"'
    # A CPU is no GPU.
    want_up other
    wait_says other '.state == "ready"'
    # What ran, and failed of its own, waits for the device as well.
    touch "$T/m/go"
    wait_says runs '.state == "waiting"'
    until_retry runs
    wait_says runs '.state == "open" and .waits_for == "device" and .breaker == "closed"'
    assert_equal "$(start_count runs)" 1
    # The end of its open time: the one that is wanted up is the probe, and closes it when it is stable.
    clock_advance 361000
    wait_says runs '.state == "ready"'
    run ask same '"device":"gpu:0"'
    assert_output --partial '"code":"CIRCUIT_OPEN"'
    clock_advance 61000
    run ask same '"device":"gpu:0"'
    assert_output --partial '"type":"end"'
    stop_rbeed
    assert_equal "$(breaker_events "$GPU_0")" "closed open window 1 300000
open half_open time_over 1 300000
half_open closed probe_good 1 300000"
    assert_equal "$(breaker_events cpu)$(breaker_events same)$(breaker_events runs)" ''
}

@test "a probe of a GPU that a kill -9 cuts off opens its breaker again, and the next one comes" {
    recovery_config <<<'restart { base = 60s }
breaker { open_time = 1s
 probe_stable = 100ms }'
    start_rbeed
    open_gpu_0
    model a <<<'@1 load_gate never'
    wait_until gpu_is half_open
    on_gpu a
    wait_until started_once
    kill -KILL "$RBEED_PID"
    wait "$RBEED_PID" || true
    start_rbeed
    wait_says a '.state == "ready"'
    assert_equal "$(start_count a)" 2
    wait_until gpu_is closed
    stop_rbeed
    assert_equal "$(breaker_events "$GPU_0")" "closed open window 1 1000
open half_open time_over 1 1000
half_open open no_verdict 2 1000
open half_open time_over 2 1000
half_open closed probe_good 2 1000"
}

started_once() {
    [ "$(start_count a)" = 1 ]
}

gpu_is() { # STATE
    [ "$(api GET /v1/breakers/gpu:0 | jq -r .state)" = "$1" ]
}

@test "a crash is the worker's own and says nothing of its GPU" {
    recovery_config <<<'restart { base = 0
 max_attempts = off }'
    start_rbeed
    model a <<<'exit 14 internal broken'
    on_gpu a
    wait_says a '.state == "open" and .breaker == "open"'
    assert_equal "$(api GET /v1/breakers/gpu:0 | jq -r '"\(.state) \(.failures)"')" 'closed 0'
}

@test "one model loads at a time on a device, and the next begins when it is ready" {
    recovery_config </dev/null
    start_rbeed
    model a <<<'load_gate go'
    model b <<<'reply one'
    model c <<<'reply one'
    model d <<<'reply one'
    want_up a
    want_up b
    want_up c
    on_gpu d
    wait_says d '.state == "ready"'
    assert_says a '.state == "starting"'
    assert_says b '.state == "waiting" and .waits_for == "other_load" and .next_retry_ms == null'
    assert_equal "$(start_count b) $(start_count c)" '0 0'
    touch "$T/m/go"
    wait_says c '.state == "ready"'
    assert_says b '.state == "ready" and .restarts == 0 and .last_fault == null'
    # The one that has waited longest came first.
    assert_equal "$(head -n 1 "$T/m/b.gguf.started" "$T/m/c.gguf.started" | grep -E '^[0-9]+ ' |
        sort -cn && echo in order)" 'in order'
}

@test "a load that fails makes way for the next as well" {
    recovery_config <<<'restart { base = 1h
 max = 1h }'
    start_rbeed
    model a <<<$'load_gate go\nload_exit 14 internal broken'
    model b <<<'reply one'
    want_up a
    want_up b
    wait_says b '.waits_for == "other_load"'
    touch "$T/m/go"
    wait_says b '.state == "ready"'
    assert_says a '.state == "waiting" and .waits_for == "back_off"'
}

@test "one that has failed and waits for another load has no time of its next try, and nobody tells one" {
    recovery_config <<<'restart { base = 1h
 max = 1h }'
    start_rbeed
    model a <<<'load_gate go'
    model b <<<'exit 14 internal broken'
    want_up b
    wait_says b '.waits_for == "back_off"'
    want_up a
    wait_says a '.state == "starting"'
    want_up b
    wait_says b '.waits_for == "other_load" and .next_retry_ms == null'
    run jq -r '.reasons[]' <(rbee status --json)
    assert_output --partial 'it starts by itself; rbee why b'
    refute_output --partial 'next try in'
}

@test "who waits for a load on a GPU that fails by it hears so at once" {
    recovery_config <<<'breaker { failures = 1 }'
    start_rbeed
    model a <<<$'load_gate go\nload_exit 13 gpu_fault "page fault"'
    model b <<<'reply one'
    on_gpu a
    wait_says a '.state == "starting"'
    ask_later 1 b '"device":"gpu:0"'
    wait_until waits_for_load b
    touch "$T/m/go"
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"code":"CIRCUIT_OPEN"'
    assert_regex "$(cat "$T/out.1")" "the circuit of $GPU_0 is open"
    assert_says b '.state == "open" and .waits_for == "device"'
    assert_equal "$(start_count b)" 0
}

waits_for_load() { # NAME
    worker_says "$1" '.queued == 1 and .waits_for == "other_load"'
}

@test "more starts than the storm guard allows wait for their turn, and have not failed" {
    recovery_config <<<'restart { storm_starts = 2
 storm_window = 1000s }'
    use_test_hooks
    start_rbeed
    local name
    for name in a b c; do
        model "$name" <<<'reply one'
    done
    want_up a
    wait_says a '.state == "ready"'
    want_up b
    wait_says b '.state == "ready"'
    ask_later 1 c
    wait_says c '.state == "waiting" and .waits_for == "storm_guard" and .queued == 1'
    assert_says c '.next_retry_ms <= 1000000 and .next_retry_ms > 700000'
    assert_equal "$(start_count c)" 0
    clock_advance 600000
    assert_says c '.waits_for == "storm_guard"'
    clock_advance 401000
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"type":"end"'
    assert_says c '.restarts == 0 and .last_fault == null and .breaker == "closed"'
    stop_rbeed
    assert_equal "$(db 'SELECT count(*) FROM failures')" 0
}

@test "the guard of one device holds nothing on another" {
    recovery_config <<<'restart { storm_starts = 1
 storm_window = 1h }'
    start_rbeed
    model a <<<'reply one'
    model b <<<'reply one'
    want_up a
    wait_says a '.state == "ready"'
    on_gpu b
    wait_says b '.state == "ready"'
}
