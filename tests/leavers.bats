#!/usr/bin/env bats
# A thousand clients that leave at random moments. How soon a worker hears of it, and how soon its slots
# are free, is measured by `make bench-proxy`; here is that nothing is lost, doubled or disturbed.

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

leavers() { # COUNT LONG MODEL [DONE-FILE]
    run --separate-stderr python3 "$TESTS_DIR/leavers.py" "$SOCKET" "$1" "${SEED:-1}" "${@:2}"
    # shellcheck disable=SC2154 # run sets it
    [ "$status" -eq 0 ] || fail "$stderr"
}

# Every request that came has one row, which has ended, and one line in the log; each that a client has
# heard of is among them.
assert_each_ended_once() {
    local counted
    counted=$(api GET /metrics | "$TESTS_DIR/metrics_check.py" --sum rbee_hive_requests_total)
    stop_rbeed
    db 'SELECT id FROM requests WHERE ended_ms > 0 AND outcome IN ("completed", "cancelled")' | sort >"$T/rows"
    assert_equal "$(db 'SELECT count(*) FROM requests')" "$(wc -l <"$T/rows")"
    sed -n 's/.* info request id=\([^ ]*\) .*/\1/p' "$T/rbeed.log" | sort >"$T/lines"
    diff "$T/rows" "$T/lines"
    assert_equal "$(sort -u "$T/lines" | wc -l)" "$(wc -l <"$T/lines")"
    assert_equal "$counted" "$(wc -l <"$T/lines")"
    db 'SELECT request_id FROM requests' | sort >"$T/labels"
    assert_equal "$(sort "$T/seen" | comm -13 "$T/labels" -)" ""
    run grep -c '^c-' "$T/labels"
    assert_equal "$output" "$(grep '^c-' "$T/labels" | sort -u | wc -l)"
}

@test "a thousand clients leave at random: slots are free, no other stream is disturbed, each ends once" {
    fake_config <<<'limits { queue = 1000 }'
    start_rbeed
    model a <<'END'
slots 8
prefill_ms 10
tokens 40
token_ms 2
%1 until a.done
END
    local long='{"model":"a","prompt":"long"}'
    leavers 1000 "$long" a "$T/m/a.done"
    # Byte for byte: its words, over and over, whoever came and went.
    python3 - "$output" <<'END'
import itertools, sys
words = list(itertools.islice(itertools.cycle(["one ", "two ", "three ", "four "]), sys.argv[1].count(" ") + 1))
assert len(words) > 50 and "".join(words).startswith(sys.argv[1]), sys.argv[1][:200]
END
    # The worker has been told of each that it had begun, once.
    run jq -s 'map(select(.what == "inference").id) - map(select(.what == "gone" or .what == "end").id)' "$T/m/a.log"
    assert_output '[]'
    run jq -s 'map(select(.what == "gone" or .what == "end").id) | length - (unique | length)' "$T/m/a.log"
    assert_output 0
    assert_each_ended_once
}

@test "the same with a real worker: what it computes for one does not change while others come and go" {
    rm "$T/bin/rbee-worker"
    use_program "$RBEE_BUILD/bin/rbee-worker"
    fake_config <<<'limits { queue = 1000 }'
    tiny_model embedding=256 feed_forward=1024 layers=8 context=4096 never_ends "$T/m/a.gguf"
    start_rbeed
    add_model a >/dev/null
    local alone long='{"model":"a","prompt":"a long one","max_tokens":3000,"temperature":0,"stop":[],"raw":true}'
    alone=$(api POST /v1/inference -d "${long/%\}/,\"stream\":false\}}" | jq -r .text)
    [ -n "$alone" ]
    leavers 150 "$long" a
    assert_equal "$output" "$alone"
    assert_each_ended_once
}
