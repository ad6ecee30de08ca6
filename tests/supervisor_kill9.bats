#!/usr/bin/env bats
# kill -9 of rbeed at random moments. RBEE_KILLS and RBEE_KILL_SEED make it longer and other.

load recovery_helpers

setup() { fake_setup; }
teardown() {
    local pid
    # What a worker starts is no program of $T/bin.
    while read -r pid; do
        is_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
    done < <(cat "$T"/m/*.child 2>/dev/null)
    rbee_teardown
}

@test "kill -9 at any moment forgets no count and no restart, and leaves no process" {
    local name seed=${RBEE_KILL_SEED:-$RANDOM}
    {
        echo 'life { canary = 200ms }'
        echo 'restart { base = 50ms
            stable_after = 1h
            storm_starts = off }'
        echo 'breaker { open_time = 200ms
            open_max = 500ms
            probe_stable = 1h }'
        for name in good flaky loop; do
            printf 'worker %s { model = "%s/m/%s.gguf"\n autostart = true }\n' "$name" "$T" "$name"
        done
    } | write_config
    script good <<<$'alone\nchild shell\ntokens 200\ntoken_ms 5'
    script flaky <<<$'alone\nchild\ndie_later 100 SEGV\ntokens 50\ntoken_ms 5'
    script loop <<<$'alone\nexit 14 internal "broken again"'
    script asked <<<$'alone\ndie_after 3 ABRT'
    start_rbeed
    add_model asked >/dev/null
    stop_rbeed
    run "$TESTS_DIR/kill9.py" "$T" "${RBEE_KILLS:-12}" "$seed"
    [ "$status" -eq 0 ] || fail "seed $seed: $output"
    figure "seed $seed, $output"
    # What is left works.
    start_rbeed
    wait_says good '.state == "ready" or .state == "open"'
    stop_rbeed
    assert_equal "$(db "SELECT count(*) FROM requests WHERE outcome = ''")" 0
    assert_no_process
}
