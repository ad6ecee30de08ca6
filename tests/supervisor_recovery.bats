#!/usr/bin/env bats
# What follows the end of a worker's process: restarts, its circuit breaker, and what is no failure.
# The devices are supervisor_devices.bats's.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load recovery_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# ---- in real time ----

# Gaps between the starts of MODEL, in ms, on one line.
start_gaps() { # MODEL
    awk 'NR > 1 { printf "%s%d", (NR > 2 ? " " : ""), $1 - last } { last = $1 }' \
        "$T/m/$1.gguf.started"
}

# CPU time rbeed has used, in ms.
rbeed_cpu_ms() {
    awk -v tick="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000 / tick }' "/proc/$RBEED_PID/stat"
}

@test "a worker that exits at once: four starts, each wait longer, then open, fail-fast, one probe" {
    recovery_config <<'END'
restart { base = 400ms }
breaker { open_time = 1500ms }
END
    start_rbeed
    local began_ms=${EPOCHREALTIME/[.,]/} gaps number=0 wait_ms
    model a <<<'@1-4 exit 14 internal broken'
    want_up a
    wait_says a '.state == "open"'
    figure "CPU of rbeed during a crash loop: $(rbeed_cpu_ms) ms of $(((${EPOCHREALTIME/[.,]/} - began_ms) / 1000)) ms"
    assert_equal "$(start_count a)" 4
    gaps=$(start_gaps a)
    figure "between the starts of a worker that exits at once: $gaps ms (waits of 400, 800, 1600 ms, 20 % either way)"
    # The wait begins after the one start and ends before the other: what it is less than is not
    # known, on a machine that is busy.
    for wait_ms in $gaps; do
        [ "$wait_ms" -ge $((320 << number)) ] || fail "gaps of $gaps ms"
        number=$((number + 1))
    done
    assert_says a '.breaker == "open" and .waits_for == "breaker" and .restarts == 3 and .attempt == 3'
    # A good start by itself, and exactly one.
    wait_says a '.state == "ready" and .breaker == "half_open"'
    assert_equal "$(start_count a)" 5
    assert_says a '.restarts == 4'
}

@test "open: requests fail at once with the reason, the last words and the time of the next try" {
    recovery_config <<<'restart { max_attempts = 1
 base = 0 }'
    start_rbeed
    model a <<<'exit 14 internal "no such luck"'
    want_up a
    wait_says a '.state == "open"'
    run -0 api POST /v1/inference -i -d '{"model":"a","prompt":"hi"}'
    assert_line --regexp '^HTTP/1.1 503 '
    assert_line --regexp '^Retry-After: [23][0-9][0-9]'
    assert_line --regexp '"code":"CIRCUIT_OPEN"'
    assert_line --partial 'the restarts of one incident did not help'
    assert_line --partial 'no such luck'
    assert_line --regexp 'next try in [3-6] ?m'
    local began_us=${EPOCHREALTIME/[.,]/}
    run -75 --separate-stderr rbee infer hello --no-stdin -m a
    figure "rbee infer on an open breaker: $(((${EPOCHREALTIME/[.,]/} - began_us) / 1000)) ms"
    # shellcheck disable=SC2154 # set by run
    assert_regex "$stderr" 'no such luck'
    assert_regex "$stderr" 'next try in'
    assert_equal "$(start_count a)" 2
}

@test "a request waits for a back-off, and does not shorten it" {
    recovery_config <<<'restart { base = 1000s
 max = 1h }'
    use_test_hooks
    start_rbeed
    model a <<<'@1 exit 14 internal broken'
    want_up a
    wait_says a '.state == "waiting" and .waits_for == "back_off"'
    ask_later 1 a
    wait_until worker_says a '.queued == 1'
    clock_advance 700000
    assert_says a '.state == "waiting" and .queued == 1'
    assert_equal "$(start_count a)" 1
    clock_advance 600000
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"type":"end"'
    assert_equal "$(start_count a)" 2
}

# ---- the whole way of a breaker ----

# The waits of the default policy with their jitter, at the most; the last one is the cap.
@test "waits double up to the cap, never above it, and end with the attempts" {
    recovery_config <<<'restart { max_attempts = off
 base = 1000s
 max = 3000s }
breaker { failures = off
 flap_failures = off }'
    use_test_hooks
    start_rbeed
    model a <<<'exit 14 internal broken'
    want_up a
    local attempt=0 bounds
    for bounds in "800 1200" "1600 2400" "2400 3000" "2400 3000"; do
        wait_says a ".state == \"waiting\" and .attempt == $attempt"
        # Part of it may have passed since.
        assert_says a ".next_retry_ms <= ${bounds#* }000 and .next_retry_ms > ${bounds% *}000 - 300000"
        clock_advance "$((${bounds% *} - 300))000"
        assert_says a ".state == \"waiting\" and .attempt == $attempt"
        until_retry a
        attempt=$((attempt + 1))
    done
}

@test "a probe that fails, by a configuration fault too, doubles the open time; a stable one closes" {
    recovery_config </dev/null
    use_test_hooks
    start_rbeed
    model a <<'END'
@1-5 exit 14 internal broken
@6 exit 10 config wrong
END
    want_up a
    until_open a
    assert_says a '.next_retry_ms <= 360000 and .next_retry_ms > 200000 and .last_fault == "crash"'
    clock_advance 200000
    assert_says a '.state == "open" and .breaker == "open"'
    assert_equal "$(start_count a)" 4
    until_retry a
    wait_says a '.state == "open" and .next_retry_ms > 360000 and .next_retry_ms <= 720000'
    assert_equal "$(start_count a)" 5
    until_retry a
    wait_says a '.state == "open" and .last_fault == "config" and .next_retry_ms <= 1440000'
    assert_says a '.next_retry_ms > 900000'
    assert_equal "$(start_count a)" 6
    until_retry a
    wait_says a '.state == "ready" and .breaker == "half_open"'
    clock_advance 40000
    assert_says a '.breaker == "half_open" and .attempt > 0'
    clock_advance 21000
    assert_says a '.state == "ready" and .breaker == "closed" and .attempt == 0'
    assert_equal "$(start_count a)" 7
    stop_rbeed
    assert_equal "$(breaker_events a)" "closed open attempts 1 300000
open half_open time_over 1 300000
half_open open probe_failed 2 600000
open half_open time_over 2 600000
half_open open probe_failed 3 1200000
open half_open time_over 3 1200000
half_open closed probe_good 3 1200000"
}

@test "the open time is back at its first value when the worker has been stable" {
    recovery_config <<<'restart { max_attempts = 1 }'
    use_test_hooks
    start_rbeed
    model a <<'END'
@1-3 exit 14 internal broken
@4 die_later go SEGV
@5 exit 14 internal broken
END
    want_up a
    until_open a
    until_retry a
    wait_says a '.state == "open" and .next_retry_ms > 360000'
    until_retry a
    wait_says a '.state == "ready"'
    clock_advance 301000
    touch "$T/m/go"
    until_open a
    assert_says a '.next_retry_ms <= 360000'
    assert_equal "$(start_count a)" 5
}

@test "half-open without being wanted: the next request is the probe, others are refused until it is ready" {
    recovery_config <<<'restart { max_attempts = 1
 base = 0 }'
    use_test_hooks
    start_rbeed
    model a <<'END'
@1-2 exit 14 internal broken
@3 load_gate go
END
    run ask a
    assert_output --partial CIRCUIT_OPEN
    assert_says a '.state == "open" and .desired == "down"'
    clock_advance 361000
    assert_says a '.state == "open" and .breaker == "half_open" and .next_retry_ms == null'
    assert_equal "$(start_count a)" 2
    ask_later 1 a
    wait_says a '.state == "starting"'
    run ask a
    assert_output --partial CIRCUIT_OPEN
    assert_output --partial 'a start is being tried'
    touch "$T/m/go"
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"type":"end"'
    run ask a
    assert_output --partial '"type":"end"'
    assert_says a '.breaker == "half_open"'
    assert_equal "$(start_count a)" 3
}

# ---- windows ----

# When the worker has run for SECONDS, its process included that is being made.
until_uptime() { # NAME SECONDS
    local ms
    ms=$(api GET "/v1/workers/$1" | jq "$2 * 1000 - .uptime_ms | if . > 0 then . else 0 end")
    clock_advance "$ms"
}

# The machine's own time passes beside the clock that is moved: what is to happen 70 s after a start
# is begun a little earlier, so that the window of 300 s has room for that.
dies_70_s_after_each_start() { # NAME
    local number
    for number in 1 2 3 4 5; do
        wait_says "$1" ".state == \"ready\" and .attempt == $((number - 1))"
        until_uptime "$1" 65
        touch "$T/m/go$number"
        wait_says "$1" '.state == "waiting" or .state == "open"'
        worker_is "$1" waiting || return 0
        until_retry "$1"
    done
}

script_dies_later() {
    printf '@%d die_later go%d SEGV\n' 1 1 2 2 3 3 4 4 5 5
}

@test "without a limit of attempts, a worker that dies 70 s after each start opens by the window" {
    recovery_config <<<'restart { max_attempts = off }'
    use_test_hooks
    start_rbeed
    model a < <(script_dies_later)
    want_up a
    dies_70_s_after_each_start a
    assert_says a '.state == "open"'
    assert_equal "$(start_count a)" 5
    stop_rbeed
    assert_equal "$(breaker_events a)" 'closed open window 1 300000'
}

@test "at the defaults it opens by its attempts" {
    recovery_config </dev/null
    use_test_hooks
    start_rbeed
    model a < <(script_dies_later)
    want_up a
    dies_70_s_after_each_start a
    assert_says a '.state == "open"'
    assert_equal "$(start_count a)" 4
    stop_rbeed
    assert_equal "$(breaker_events a)" 'closed open attempts 1 300000'
}

loads_for_200_s_and_dies() { # NAME
    local number
    for number in 1 2 3 4 5; do
        wait_says "$1" ".state == \"starting\" and .uptime_ms != null and .attempt == $((number - 1))"
        until_uptime "$1" 200
        touch "$T/m/go$number"
        wait_says "$1" '.state == "waiting" or .state == "open"'
        worker_is "$1" waiting || return 0
        until_retry "$1"
    done
}

script_loads_and_dies() {
    printf '@%d load_gate go%d\n' 1 1 2 2 3 3 4 4 5 5
    echo 'load_die 14'
}

@test "one that loads for 200 s opens by the window as well, which its loads stretch" {
    recovery_config <<<'restart { max_attempts = off }'
    use_test_hooks
    start_rbeed
    model a < <(script_loads_and_dies)
    want_up a
    loads_for_200_s_and_dies a
    assert_says a '.state == "open"'
    assert_equal "$(start_count a)" 5
    stop_rbeed
    assert_equal "$(breaker_events a)" 'closed open window 1 300000'
}

@test "at the defaults a slow load opens by its attempts" {
    recovery_config </dev/null
    use_test_hooks
    start_rbeed
    model a < <(script_loads_and_dies)
    want_up a
    loads_for_200_s_and_dies a
    assert_says a '.state == "open"'
    assert_equal "$(start_count a)" 4
    stop_rbeed
    assert_equal "$(breaker_events a)" 'closed open attempts 1 300000'
}

@test "five failures over two starts by hand open by the window" {
    recovery_config </dev/null
    use_test_hooks
    start_rbeed
    model a <<<'exit 14 internal broken'
    want_up a
    for attempt in 0 1; do
        wait_says a ".state == \"waiting\" and .attempt == $attempt"
        until_retry a
    done
    wait_says a '.state == "waiting" and .attempt == 2'
    assert_equal "$(start_count a)" 3
    want_up a # a new incident, in the same window
    wait_says a '.state == "waiting" and .attempt == 0'
    assert_equal "$(start_count a)" 4
    until_retry a
    wait_says a '.state == "open"'
    assert_equal "$(start_count a)" 5
    stop_rbeed
    assert_equal "$(breaker_events a)" 'closed open window 1 300000'
}

@test "ten failures in a day open, however stable it was in between" {
    recovery_config </dev/null
    use_test_hooks
    start_rbeed
    local number
    model a < <(for number in {1..10}; do echo "@$number die_later go$number SEGV"; done)
    want_up a
    for number in {1..10}; do
        wait_says a '.state == "ready" and .breaker == "closed"'
        clock_advance 7200000
        assert_says a '.attempt == 0'
        touch "$T/m/go$number"
        wait_says a '.state == "waiting" or .state == "open"'
        [ "$number" -eq 10 ] || until_retry a
    done
    assert_says a '.state == "open" and .restarts == 9'
    stop_rbeed
    assert_equal "$(breaker_events a)" 'closed open flapping 1 300000'
}

# ---- what is no failure ----

@test "exits that were asked for, idleness and configuration faults open nothing" {
    recovery_config <<<'breaker { failures = 2
 flap_failures = 2 }'
    use_test_hooks
    start_rbeed
    local number
    model asked <<<'reply one'
    model idle <<<'reply one'
    model wrong <<<'exit 10 config wrong'
    for number in 1 2 3; do
        want_up asked
        wait_says asked '.state == "ready"'
        api POST /v1/workers/asked/stop -d '{"force":true}' >/dev/null
        wait_says asked '.state == "down" and .breaker == "closed" and .restarts == 0'
        ask idle >/dev/null
        wait_says idle '.in_flight == 0' # it is idle from now on
        clock_advance 301000
        wait_says idle '.state == "down" and .breaker == "closed" and .restarts == 0'
        want_up wrong
        wait_says wrong '.state == "failed" and .breaker == "closed" and .restarts == 0'
        assert_equal "$(start_count asked) $(start_count idle) $(start_count wrong)" \
            "$number $number $number"
    done
    stop_rbeed
    assert_equal "$(db "SELECT count(*) FROM failures WHERE class != 'config'")" 0
    assert_equal "$(db "SELECT count(*) FROM events WHERE kind = 'breaker'")" 0
}

@test "killed by somebody else, and an exit with 0 that nobody asked for, are failures" {
    recovery_config <<<'restart { base = 0 }'
    start_rbeed
    model a <<<'reply one'
    want_up a
    wait_says a '.state == "ready"'
    kill -KILL "$(worker_field a pid)"
    wait_says a '.state == "ready" and .restarts == 1'
    assert_says a '.last_fault == "killed" and .last_exit == "SIGKILL"'
    model b <<<'@1 die_later 0 0'
    want_up b
    wait_says b '.state == "ready" and .restarts == 1'
    assert_says b '.last_fault == "crash" and .last_exit == "exit 0"'
}

# ---- out of memory ----

@test "out of memory: once more with half of it, then failed, with the numbers" {
    recovery_config <<<'restart { base = 0 }'
    start_rbeed
    model a <<'END'
@1 exit 12 device_memory "needs 10 GiB, 6 GiB are free"
@2 die_later go 11
@2 last_words host_memory "needs 5 GiB, 4 GiB are free"
END
    want_up a '{"context":3000,"slots":4}'
    wait_says a '.state == "ready"'
    assert_equal "$(start_argument a 1 --context) $(start_argument a 1 --slots)" '3000 4'
    assert_equal "$(start_argument a 2 --context) $(start_argument a 2 --slots)" '1500 2'
    assert_says a '.degraded and .last_fault == "oom_device" and .context_tokens == 1500'
    assert_equal "$(rbee ps --json | jq '.workers[0].degraded')" true
    touch "$T/m/go"
    wait_says a '.state == "failed" and .last_fault == "oom"'
    assert_equal "$(start_count a)" 2
    run ask a
    assert_output --partial '"code":"WORKER_FAILED"'
    assert_output --partial 'needs 5 GiB, 4 GiB are free'
    assert_says a '.breaker == "closed"'
    # A person may try it with all of it again.
    want_up a
    wait_says a '.state == "ready" and (.degraded | not)'
    assert_equal "$(start_argument a 3 --context)" 3000
}

@test "half of the context that a worker takes when nothing is said" {
    recovery_config <<<'restart { base = 0 }'
    start_rbeed
    model a <<<'@1 load_exit 11 host_memory "needs 10 GiB, 6 GiB are free"'
    want_up a
    wait_says a '.state == "ready" and .degraded'
    assert_equal "$(start_argument a 1 --context):$(start_argument a 2 --context)" :4096
}

# ---- probes without a verdict ----

started_three_times() {
    [ "$(start_count a)" = 3 ]
}

@test "a probe that is stopped opens the breaker again, for as long as before" {
    recovery_config <<<'restart { max_attempts = 1
 base = 0 }'
    use_test_hooks
    start_rbeed
    model a <<'END'
@1-2 exit 14 internal broken
@3 load_gate never
END
    want_up a
    wait_says a '.state == "open"'
    until_retry a
    wait_until started_three_times
    api POST /v1/workers/a/stop -d '{"force":true}' >/dev/null
    wait_says a '.state == "open" and .breaker == "open" and .desired == "down"'
    clock_advance 361000
    assert_says a '.breaker == "half_open"'
    run ask a
    assert_output --partial '"type":"end"'
    clock_advance 61000
    assert_says a '.breaker == "closed"'
    stop_rbeed
    assert_equal "$(breaker_events a)" "closed open attempts 1 300000
open half_open time_over 1 300000
half_open open no_verdict 2 300000
open half_open time_over 2 300000
half_open closed probe_good 2 300000"
}

@test "a probe that is held opens the breaker again, and the next one comes after the release" {
    recovery_config <<<'restart { max_attempts = 1
 base = 0 }'
    use_test_hooks
    start_rbeed
    model a <<'END'
@1-2 exit 14 internal broken
@3 load_gate never
END
    want_up a
    wait_says a '.state == "open"'
    until_retry a
    wait_until started_three_times
    api POST /v1/workers/a/hold -d '{"reason":"a look at it"}' >/dev/null
    wait_says a '.state == "held" and .breaker == "open"'
    clock_advance 361000
    assert_says a '.state == "held"'
    assert_equal "$(start_count a)" 3
    api POST /v1/workers/a/release >/dev/null
    wait_says a '.state == "ready" and .breaker == "half_open"'
    clock_advance 61000
    assert_says a '.breaker == "closed"'
    stop_rbeed
    run breaker_events a
    assert_line --index 2 'half_open open no_verdict 2 300000'
    assert_line --index 4 'half_open closed probe_good 2 300000'
}

@test "a probe that a kill -9 cuts off opens the breaker again, and the next one comes" {
    recovery_config <<<'restart { max_attempts = 1
 base = 0 }
breaker { open_time = 500ms
 probe_stable = 100ms }'
    start_rbeed
    model a <<'END'
@1-2 exit 14 internal broken
@3 load_gate never
END
    want_up a
    wait_says a '.state == "starting" and .breaker == "half_open"'
    wait_until started_three_times
    kill -KILL "$RBEED_PID"
    wait "$RBEED_PID" || true
    start_rbeed
    wait_says a '.state == "ready" and .breaker == "closed" and .attempt == 0'
    assert_equal "$(start_count a)" 4
    stop_rbeed
    assert_equal "$(breaker_events a)" "closed open attempts 1 500
open half_open time_over 1 500
half_open open no_verdict 2 500
open half_open time_over 2 500
half_open closed probe_good 2 500"
}

@test "who waits for a probe that waits for another's load hears it when the worker is stopped" {
    recovery_config <<<'restart { max_attempts = 1
 base = 0 }'
    use_test_hooks
    start_rbeed
    model a <<<'@1-2 exit 14 internal broken'
    model b <<<'load_gate go'
    ask a >/dev/null
    assert_says a '.state == "open"'
    clock_advance 361000
    want_up b
    wait_says b '.state == "starting"'
    ask_later 1 a
    wait_says a '.queued == 1 and .waits_for == "other_load"'
    api POST /v1/workers/a/stop >/dev/null
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"code":"(CIRCUIT_OPEN|WORKER_DRAINING)"'
    assert_says a '.queued == 0 and .breaker == "half_open"'
    touch "$T/m/go"
    run ask a
    assert_output --partial '"type":"end"'
}
