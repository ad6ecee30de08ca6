#!/usr/bin/env bats
# Metrics: what is counted is what happened, what is measured now is what the other listings say.

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# The value of one series of what rbeed says now; the whole is checked each time.
metric() { # [--sum] NAME [LABEL=VALUE...]
    api GET /metrics | "$TESTS_DIR/metrics_check.py" "$@"
}

metric_is() { # VALUE NAME [LABEL=VALUE...]
    local value=$1
    shift
    [ "$(metric "$@")" = "$value" ]
}

assert_metric() { # VALUE NAME [LABEL=VALUE...]
    local value=$1
    shift
    assert_equal "$* $(metric "$@")" "$* $value"
}

# The gauge of workers has as many in each state as ps has.
assert_workers_as_ps() {
    local text states state
    text=$(api GET /metrics)
    states=$(rbee ps --json | jq -r '.workers[].state')
    for state in down starting ready draining stopping waiting open held failed lost; do
        assert_equal "$state $("$TESTS_DIR/metrics_check.py" --sum rbee_hive_workers "state=$state" <<<"$text")" \
            "$state $(grep -cx "$state" <<<"$states" || true)"
    done
}

# ---- the format ----

@test "anybody may read it, as Prometheus writes the format" {
    start_rbeed
    run api GET /metrics -o "$T/text" -w '%{http_code} %{content_type}'
    assert_output '200 text/plain; version=0.0.4; charset=utf-8'
    run "$TESTS_DIR/metrics_check.py" <"$T/text"
    assert_success
    run head -n 2 "$T/text"
    assert_line --index 0 --regexp '^# HELP rbee_hive_'
    assert_metric 1 rbee_hive_build_info
}

@test "every metric that is promised is there with its type" {
    start_rbeed
    run api GET /metrics
    local name type
    while read -r name type; do
        assert_line "# TYPE $name $type"
    done <<'PROMISED'
rbee_hive_workers gauge
rbee_hive_workers_restart_count untyped
rbee_hive_worker_restarts_total counter
rbee_hive_worker_restart_failures_total counter
rbee_hive_auth_failures_total counter
rbee_hive_circuit_breaker_activations_total counter
rbee_hive_circuit_breaker_state gauge
rbee_hive_shutdown_duration_seconds gauge
rbee_hive_gpu_busy_ratio gauge
rbee_hive_gpu_memory_used_bytes gauge
rbee_hive_gpu_memory_total_bytes gauge
rbee_hive_gpu_temperature_celsius gauge
rbee_hive_gpu_power_watts gauge
PROMISED
}

@test "the command prints the same text, or the same as JSON" {
    start_rbeed
    model a <<<'reply one'
    ask a
    # The client has its answer before the worker has ended the request.
    wait_until metric_is 1 rbee_hive_requests_total outcome=completed
    rbee metrics >"$T/printed"
    run "$TESTS_DIR/metrics_check.py" rbee_hive_requests_total outcome=completed <"$T/printed"
    assert_output 1
    # Samples of connections and of the disk's queue change by asking.
    diff <(grep -v '_clients \|_queued_rows ' "$T/printed") \
        <(api GET /metrics | grep -v '_clients \|_queued_rows ')
    run jq -r '.metrics[].samples[] | select(.name == "rbee_hive_requests_total") |
        "\(.labels.outcome) \(.value)"' <(rbee metrics --json)
    assert_line 'completed 1'
    assert_line 'failed 0'
}

@test "without a supervisor there are none, and none is started" {
    run --separate-stderr rbee metrics
    assert_failure 69
    assert_output ""
    assert_no_process
}

@test "the check of the format is a check" {
    local head=$'# HELP a_total A.\n# TYPE a_total counter\n' bad
    run "$TESTS_DIR/metrics_check.py" a_total x=$'"\n' <<<"${head}a_total{x=\"\\\"\\n\"} 1"
    assert_output 1
    for bad in 'a_total{x="} 1' 'a_total{x=1} 1' 'a_total 1,5' 'a_total 1 # x' 'a_total -1' 'b_total 1' \
        $'a_total 1\na_total 1' $'a_total{x="\\q"} 1' '' ' a_total 1' 'a_total{} 1' \
        $'# TYPE a_total gauge\na_total 1' $'# HELP a_total A.'; do
        run "$TESTS_DIR/metrics_check.py" <<<"$head$bad"
        assert_failure
    done
    run "$TESTS_DIR/metrics_check.py" <<<$'a_total 1'
    assert_failure
    run "$TESTS_DIR/metrics_check.py" <<<$'# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 2\nh_sum 1'
    assert_failure
}

# ---- a crash loop ----

# Worker `loop` never comes up: it has been started four times, its three restarts have failed, and
# its breaker is open.
crash_loop() {
    model loop <<<'kill SEGV'
    run ask loop
    assert_output --partial '"code":"CIRCUIT_OPEN"'
    assert_equal "$(start_count loop)" 4
}

@test "after a crash loop the counters say what happened, and gauges what ps says" {
    RESTART_BASE=0 fake_config </dev/null
    start_rbeed
    assert_metric 0 rbee_hive_circuit_breaker_activations_total kind=worker
    crash_loop
    assert_metric 4 rbee_hive_worker_spawns_total
    assert_metric 4 rbee_hive_worker_failures_total class=crash
    assert_metric 4 --sum rbee_hive_worker_failures_total
    assert_metric 3 rbee_hive_worker_restarts_total reason=crash
    assert_metric 3 --sum rbee_hive_worker_restarts_total
    assert_metric 3 rbee_hive_worker_restart_failures_total
    assert_metric 1 rbee_hive_circuit_breaker_activations_total kind=worker
    assert_metric 0 rbee_hive_circuit_breaker_activations_total kind=device
    assert_metric 1 rbee_hive_circuit_breaker_state kind=worker name=loop
    assert_metric 1 rbee_hive_requests_total outcome=failed
    assert_metric 1 --sum rbee_hive_requests_total
    assert_metric 0 --sum rbee_hive_worker_signals_total
    assert_metric "$(worker_field loop restarts)" rbee_hive_workers_restart_count
    model well <<<'reply one'
    ask well
    model asleep <<<'reply one'
    ask asleep
    rbee worker stop asleep --wait
    assert_workers_as_ps
    assert_metric 1 rbee_hive_workers state=open backend=cpu device=cpu
    assert_metric 0 rbee_hive_circuit_breaker_state kind=worker name=well
    assert_metric 1 rbee_hive_worker_signals_total signal=TERM
}

@test "a restart that comes up is no failed restart, and its class is told apart" {
    RESTART_BASE=0 fake_config </dev/null
    start_rbeed
    model flaky <<'END'
@1 exit 11 host_memory 10 GiB wanted
@2 kill SEGV
reply one
END
    ask flaky
    assert_metric 1 rbee_hive_worker_restarts_total reason=oom
    assert_metric 1 rbee_hive_worker_restarts_total reason=crash
    assert_metric 1 rbee_hive_worker_restart_failures_total
    # What it does after it was ready is a failure, and no failed restart.
    kill -SEGV "$(worker_field flaky pid)"
    wait_until metric_is 3 --sum rbee_hive_worker_failures_total
    assert_metric 1 rbee_hive_worker_restart_failures_total
}

@test "counters begin anew with rbeed, but not the count of restarts" {
    local none='0 series of rbee_hive_shutdown_duration_seconds'
    RESTART_BASE=0 fake_config </dev/null
    start_rbeed
    crash_loop
    assert_equal "$(metric rbee_hive_shutdown_duration_seconds 2>&1)" "$none"
    stop_rbeed
    start_rbeed
    assert_metric 0 --sum rbee_hive_worker_restarts_total
    assert_metric 3 rbee_hive_workers_restart_count
    assert_metric 1 rbee_hive_circuit_breaker_state kind=worker name=loop
    assert_regex "$(metric rbee_hive_shutdown_duration_seconds)" '^[0-9.]+$'
    model well <<<'reply one' # an event after it
    kill -KILL "$RBEED_PID"
    wait "$RBEED_PID" || true
    start_rbeed
    assert_metric 3 rbee_hive_workers_restart_count
}

@test "through a storm no counter falls, and after it everything is as the other listings say" {
    # Back-off and storm guard would make most of it a wait.
    write_config <<'END'
life {
    idle_stop = 300ms
    drain = 300ms
    term_grace = 200ms
}
restart {
    base = 0
    storm_starts = off
}
limits { queue = 3 }
END
    start_rbeed
    "$TESTS_DIR/metrics_truth.py" watch "$SOCKET" >"$T/scrapes" 2>"$T/watch.err" 3>&- &
    local watch=$!
    run "$TESTS_DIR/storm.py" "$SOCKET" "$T/m" "${RBEE_STORM_SECONDS:-10}" "${RBEE_STORM_SEED:-2}"
    assert_success
    kill "$watch"
    wait "$watch" || fail "$(cat "$T/watch.err")"
    assert [ "$(cat "$T/scrapes")" -gt 3 ]
    run "$TESTS_DIR/metrics_truth.py" now "$SOCKET"
    assert_success
    assert [ "$(metric rbee_hive_worker_spawns_total)" -gt 0 ]
    assert [ "$(metric --sum rbee_hive_worker_failures_total)" -gt 0 ]
    wait_until metric_is 0 --sum rbee_hive_requests
    local ended
    ended=$(metric --sum rbee_hive_requests_total)
    stop_rbeed
    assert_equal "$(db "SELECT count(*) FROM requests WHERE outcome <> ''")" "$ended"
}

# ---- requests ----

@test "tokens and their times: one first token for each answer, and steps between the others" {
    start_rbeed
    model a <<'END'
tokens 5
token_ms 20
END
    ask a
    ask a
    assert_metric 2 rbee_hive_requests_total outcome=completed
    assert_metric 2 rbee_hive_time_to_first_token_seconds_count
    assert_metric 8 rbee_hive_time_per_token_seconds_count
    assert_metric 10 rbee_hive_completion_tokens_total
    # One in one piece comes from its worker as events too.
    ask a '"stream":false'
    assert_metric 3 rbee_hive_time_to_first_token_seconds_count
    assert_metric 12 rbee_hive_time_per_token_seconds_count
    assert_metric 15 rbee_hive_completion_tokens_total
}

@test "what runs and what waits is there while it does, and cancelled when its client leaves" {
    start_rbeed
    model a <<'END'
until a.done
token_ms 20
END
    ask_later 1 a
    local first=$ASKED
    wait_until metric_is 1 rbee_hive_requests state=running
    ask_later 2 a
    wait_until metric_is 1 rbee_hive_queue_depth worker=a
    assert_metric 1 rbee_hive_requests state=queued
    assert_equal "$(worker_field a queued)" 1
    kill "$(pgrep -P "$ASKED" curl || echo "$ASKED")"
    wait_until metric_is 1 rbee_hive_requests_total outcome=cancelled
    assert_metric 0 rbee_hive_queue_depth worker=a
    touch "$T/m/a.done"
    wait "$first"
    wait_until metric_is 1 rbee_hive_requests_total outcome=completed
    assert_metric 0 --sum rbee_hive_requests
}

# ---- labels ----

@test "neither prompt nor path is in it" {
    start_rbeed
    model a <<<'reply one'
    api POST /v1/inference -d "{\"model\":\"$T/m/a.gguf\",\"prompt\":\"xyzzy\"}"
    api POST /v1/inference -d '{"model":"a","prompt":"xyzzy"}'
    run api GET /metrics
    refute_output --partial xyzzy
    refute_output --partial "$T"
    refute_output --partial gguf
}

@test "a command is a backend of its own" {
    fake_config <<END
worker other { command = "$T/bin/missing --port {port}" }
END
    start_rbeed
    assert_metric 1 rbee_hive_workers state=down backend=command device=cpu
}
