#!/usr/bin/env bats
# rbeed and its database file: what it finds at its start, and what it keeps.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# Writes the bytes of stdin over the database from OFFSET on, without cutting it.
overwrite_db() { # OFFSET
    dd of="$STATE/rbee.db" bs=1 seek="$1" conv=notrunc status=none
}

# A database with a model, closed in good order.
make_db() {
    start_rbeed
    model ant <<<'reply one'
    stop_rbeed
}

refused_rbeed() {
    run --separate-stderr "$T/bin/rbeed" --ready-fd 9 9>"$T/news"
}

reasons() {
    api GET /v1/status | jq -r '.reasons[]'
}

@test "a corrupt database is set aside, said everywhere, and a new one begun" {
    local aside
    make_db
    # Pages in the middle: the file still opens, only the check of all pages finds it.
    head -c 8192 /dev/zero | tr '\0' 'Z' | overwrite_db 8192
    cp "$STATE/rbee.db" "$T/corrupt"
    start_rbeed
    aside=$(cd "$STATE" && echo rbee.db.corrupt-*Z)
    assert_file_exists "$STATE/$aside"
    cmp "$T/corrupt" "$STATE/$aside"
    assert_equal "$(stat -c %a "$STATE/$aside")" 600
    wait_for_line "$T/rbeed.log" "store_corrupt .*set_aside=$STATE/$aside .*error=."
    assert_equal "$(api GET /v1/status | jq -r .state)" degraded
    assert_equal "$(reasons)" \
        "the database was corrupt: it is kept as $aside, and a new one was begun"
    assert_equal "$(api GET /v1/models | jq '.data | length')" 0
    # It works: what is added now is there again, and the next start has nothing to complain of.
    add_model ant >/dev/null
    stop_rbeed
    assert_equal "$(db "SELECT details FROM events WHERE kind = 'store_corrupt'")" \
        "{\"set_aside\":\"$aside\"}"
    start_rbeed
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
    assert_equal "$(api GET /v1/models | jq '.data | length')" 1
}

@test "a file that is no database is set aside as well" {
    make_db
    echo 'this is no database, and never was one' >"$STATE/rbee.db"
    start_rbeed
    grep -q 'this is no database' "$STATE"/rbee.db.corrupt-*
    assert_equal "$(api GET /v1/models | jq '.data | length')" 0
}

@test "a database of a newer rbeed is refused and not touched" {
    make_db
    # The header's user version, where SQLite keeps the number of our schema.
    printf '\0\0\x12\x67' | overwrite_db 60
    cp -p "$STATE/rbee.db" "$T/before"
    refused_rbeed
    assert_failure 78
    assert_regex "$(cat "$T/news")" \
        "^error INVALID_CONFIG $STATE/rbee.db has schema version 4711, .* newer one$"
    # shellcheck disable=SC2154 # set by run
    assert_equal "${stderr##*$'\n'}" "rbeed: $(cut -d' ' -f3- "$T/news")"
    cmp "$T/before" "$STATE/rbee.db"
    assert_equal "$(stat -c %y "$STATE/rbee.db")" "$(stat -c %y "$T/before")"
    assert_equal "$(cd "$STATE" && echo rbee.db*)" rbee.db
}

# Nobody can look while rbeed has the file; it prunes when it has nothing else to do, so a run that
# was too short for that is followed by another. Each ends with an event, written after the pruning.
is_pruned() {
    start_rbeed
    stop_rbeed
    [ "$(db "SELECT count(*) <= 201, count(*) >= 200, max(seq) - min(seq) = count(*) - 1 FROM events")" = '1|1|1' ]
}

@test "what is more than limits.keep_rows goes, oldest first" {
    fake_config <<<'limits { keep_rows = 200 }'
    start_rbeed
    stop_rbeed
    db "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 700)
        INSERT INTO events SELECT i, strftime('%s', 'now') * 1000, 'k', '', '', '{}' FROM n"
    wait_until is_pruned
}

@test "what is older than limits.keep_days goes" {
    start_rbeed
    stop_rbeed
    db "INSERT INTO events VALUES (2, 1, 'k', '', '', '{}'), (3, 2, 'k', '', '', '{}')"
    db "INSERT INTO requests VALUES ('r-1', '', '', '', 1, 1, 1, 'completed', '', 1, 1)"
    old_ones_are_gone() {
        start_rbeed
        stop_rbeed
        [ "$(db "SELECT count(*), (SELECT count(*) FROM requests) FROM events WHERE kind = 'k'")" = '0|0' ]
    }
    wait_until old_ones_are_gone
}

@test "after a corrupt database nothing starts by itself, over restarts too, until a start proves good" {
    write_config <<END
restart { base = 0ms }
breaker { probe_stable = 100ms }
worker ant { model = "$T/m/ant.gguf"
 autostart = true }
END
    script ant <<<'reply one'
    start_rbeed
    wait_for_worker ant ready
    stop_rbeed
    echo 'this is no database' >"$STATE/rbee.db"
    for _ in 1 2; do
        start_rbeed
        assert_equal "$(api GET /v1/workers/ant | jq -r '"\(.state) \(.breaker)"')" 'open half_open'
        kill -KILL "$RBEED_PID"
        wait "$RBEED_PID" || true
    done
    start_rbeed
    assert_equal "$(start_count ant)" 1
    run ask ant
    assert_output --partial '"type":"end"'
    wait_until worker_has ant breaker closed
    stop_rbeed
    start_rbeed
    wait_for_worker ant ready
}
