#!/usr/bin/env bats
# The audit trail from outside: what is in it, what a hand in the file does, a disk that is full,
# strangers, and kills at the worst moments.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load supervisor_helpers

setup() {
    fake_setup
    fake_config <<<'audit { mode = local }'
}
teardown() { rbee_teardown; }

# The rows, one a line: kind, actor, outcome.
kinds() {
    rbee audit export | jq -r '[.kind, .actor, .outcome] | join(" ")'
}

count_kind() { # KIND
    rbee audit export | jq -c "select(.kind == \"$1\")" | wc -l
}

has_kind() { # KIND
    [ "$(count_kind "$1")" -gt 0 ]
}

details() { # KIND: of the last one
    rbee audit export | jq -c "select(.kind == \"$1\").details" | tail -1
}

# No file of rbeed may grow past BYTES; "unlimited": there is room again.
disk_limit() { # BYTES
    prlimit --pid "$RBEED_PID" --fsize="$1:unlimited"
}

# What somebody does who has the file and knows SQL.
tamper() { # SQL
    db 'DROP TRIGGER IF EXISTS audit_no_update'
    db 'DROP TRIGGER IF EXISTS audit_no_delete'
    db "$1"
}

@test "off, which is the default, there is no row, no key, no folder, and nothing to verify" {
    fake_config </dev/null
    start_rbeed
    model ant <<<'reply one two'
    ask ant >/dev/null
    assert_equal "$(rbee audit export)" ''
    run -1 --separate-stderr rbee audit verify
    assert_output ''
    # shellcheck disable=SC2154 # set by run
    assert_regex "$stderr" 'there is no audit trail: audit \{ mode = local \}'
    stop_rbeed
    assert_equal "$(db 'SELECT (SELECT count(*) FROM audit) + (SELECT count(*) FROM audit_head)')" 0
    assert_file_not_exists "$STATE/audit.key"
    assert_file_not_exists "$STATE/audit"
}

@test "the environment turns it on, ours before the other, and says where archives go" {
    fake_config </dev/null
    LLORCH_AUDIT_MODE=local LLORCH_AUDIT_DIR=$T/elsewhere start_rbeed
    assert_equal "$(kinds | head -1)" 'audit_opened internal ok'
    rbee audit archive --before 0s
    stop_rbeed
    assert_equal "$(cat "$T"/elsewhere/audit-*.jsonl | head -1 | jq -r .kind)" audit_opened
    assert_regex "$(tail -1 "$T/elsewhere/heads")" '^20[^ ]*Z [0-9]+:[0-9a-f]{64}$'
    RBEE_AUDIT_MODE=off LLORCH_AUDIT_MODE=local start_rbeed
    run -1 rbee audit verify
    stop_rbeed
    RBEE_AUDIT_MODE=maybe run -78 rbeed
    assert_output --partial 'RBEE_AUDIT_MODE: audit.mode: "maybe" is none of off|local'
}

@test "the key is made once, and one that others can read is refused" {
    start_rbeed
    stop_rbeed
    assert_equal "$(stat -c '%a %s' "$STATE/audit.key")" '600 32'
    cp "$STATE/audit.key" "$T/key"
    start_rbeed
    stop_rbeed
    cmp "$STATE/audit.key" "$T/key"
    chmod 640 "$STATE/audit.key"
    run -78 rbeed
    assert_output --partial 'group and others must have no access'
    printf 'short' >"$T/key"
    fake_config <<<"audit { mode = local
        key_file = \"$T/key\" }"
    run -78 rbeed
    assert_output --partial 'has 5 bytes: a key has 32'
    fake_config <<<"audit { mode = local
        key_file = \"$T/nowhere\" }"
    run -78 rbeed
    assert_output --partial 'there is no key'
}

@test "a systemd credential is the key" {
    mkdir -m 700 "$T/credentials"
    head -c 32 /dev/urandom >"$T/credentials/rbee-audit-key"
    chmod 440 "$T/credentials/rbee-audit-key" # as systemd does where it uses an ACL
    CREDENTIALS_DIRECTORY=$T/credentials start_rbeed
    rbee audit verify
    stop_rbeed
    assert_file_not_exists "$STATE/audit.key"
}

@test "a worker's life and a request, in whose name, and no prompt" {
    start_rbeed
    model ant <<<'reply one two'
    api POST /v1/inference -H 'X-Request-Id: label-7' \
        -d '{"model":"ant","prompt":"the secret words"}' >/dev/null
    wait_for_worker ant ready
    rbee worker hold ant --reason 'the fan' --wait
    rbee worker release ant
    wait_until has_kind worker_release
    rbee model rm ant
    run kinds
    for line in 'audit_opened internal ok' "model_added uid:$(id -u) ok" \
        "request_submitted uid:$(id -u) ok" 'worker_spawn internal ok' 'worker_ready internal ok' \
        "request_completed uid:$(id -u) completed" "worker_hold uid:$(id -u) ok" \
        'worker_stop internal ok' "worker_release uid:$(id -u) ok" "model_removed uid:$(id -u) ok"; do
        assert_line "$line"
    done
    run rbee audit export
    refute_output --partial 'secret words'
    assert_equal "$(details request_submitted | jq -c '[.prompt_bytes, (.prompt_hash | length)]')" \
        '[16,64]'
    # All that is known of the call is in each of its rows.
    assert_equal "$(rbee audit export | jq -r 'select(.request_id == "label-7") |
        [.kind, .peer, .method, .path] | join(" ")')" "auth_success unix POST /v1/inference
request_submitted unix POST /v1/inference
request_completed unix POST /v1/inference"
    assert_equal "$(details worker_hold | jq -r .reason)" 'the fan'
    stop_rbeed
    assert_equal "$(db 'SELECT kind FROM audit ORDER BY seq DESC LIMIT 1')" audit_closed
}

@test "crashes, restarts, breakers and kills" {
    MAX_ATTEMPTS=1 fake_config <<<'audit { mode = local }'
    start_rbeed
    model bad <<<'exit 14 internal "broken"'
    ask bad >/dev/null
    wait_until has_kind breaker_open
    model deaf <<<'ignore_term'
    rbee worker start deaf --wait
    rbee worker stop deaf --wait
    run kinds
    assert_line 'worker_crash internal failed'
    assert_line 'worker_restart internal ok'
    assert_line 'breaker_open internal ok'
    assert_line 'worker_force_kill internal ok'
    assert_equal "$(details breaker_open | jq -c '[.worker, .from, .to, .count]')" \
        '["bad","closed","open",1]'
    assert_equal "$(details worker_force_kill | jq -c '[.worker, .signal, (.pid > 1)]')" \
        '["deaf",9,true]'
    rbee breaker reset bad
    rbee breaker open bad --reason 'no more'
    run kinds
    assert_line "breaker_forced_open uid:$(id -u) ok"
    assert_line "breaker_closed uid:$(id -u) ok"
}

@test "a malformed model and a path that leads elsewhere are on disk before the answer" {
    start_rbeed
    head -c 64 /dev/urandom >"$T/m/junk.gguf"
    rm "$T/bin/rbee-worker"
    use_program "$RBEE_BUILD/bin/rbee-worker"
    assert_equal "$(api_status POST /v1/models -d "{\"path\":\"$T/m/junk.gguf\"}")" 422
    assert_equal "$(api_status GET '/v1/../etc' --path-as-is)" 400
    kill -KILL "$RBEED_PID"
    wait "$RBEED_PID" || true
    assert_equal "$(db "SELECT kind, json_extract(details, '\$.code'), path FROM audit
        WHERE outcome = 'refused' ORDER BY seq")" "malformed_model_rejected|INVALID_MODEL|/v1/models
path_traversal_attempt|PATH_TRAVERSAL|/v1/../etc"
}

# A token file, and a configuration with a port that the kernel chooses.
audit_port() { # TOKEN [QUEUE]
    (umask 077 && echo "$1" >"$XDG_CONFIG_HOME/rbee/token")
    fake_config <<<"supervisor { listen = \"127.0.0.1:0\" } audit { mode = local }
        limits { queue = ${2:-64} }"
}

@test "on the port a token is its fingerprint, and a flood of wrong ones ten rows and a count" {
    local address
    audit_port canary-0123456789abcdef
    start_rbeed
    address=$(api GET /v1/status | jq -r .listen)
    curl -sS -o /dev/null -H 'Authorization: Bearer canary-0123456789abcdef' "http://$address/v1/models"
    assert_equal "$(rbee audit export | jq -r 'select(.peer == "127.0.0.1") | [.kind, .actor, .path] | join(" ")')" \
        "auth_success token:$(printf canary-0123456789abcdef | sha256sum | cut -c1-6) /v1/models"
    for _ in {1..300}; do
        printf 'url = "http://%s/v1/models"\noutput = /dev/null\n' "$address"
    done | curl -sS -K - -w '%{http_code}\n' -H 'Authorization: Bearer wrong-0123456789abcdef' >"$T/statuses"
    assert_equal "$(sort "$T/statuses" | uniq -c | xargs)" '300 401'
    stop_rbeed
    assert_equal "$(db "SELECT count(*), actor, json_extract(details, '\$.code') FROM audit
        WHERE kind = 'auth_failure' AND method <> ''")" \
        "10|token:$(printf wrong-0123456789abcdef | sha256sum | cut -c1-6)|INVALID_API_KEY"
    assert_equal "$(db "SELECT peer, json_extract(details, '\$.count') FROM audit
        WHERE kind = 'auth_failure' AND method = ''")" '127.0.0.1|290'
    run ! grep -qa '0123456789abcdef' "$STATE/rbee.db"
}

@test "a token and settings that HUP has changed, old and new" {
    audit_port canary-0123456789abcdef
    start_rbeed
    audit_port canary-fedcba9876543210 7
    kill -HUP "$RBEED_PID"
    wait_until has_kind token_reloaded
    assert_equal "$(details config_changed)" '{"key":"limits.queue","old":"64","new":"7"}'
    assert_equal "$(details token_reloaded | jq -c '[.role, .old, .new]')" \
        "[\"admin\",\"$(printf canary-0123456789abcdef | sha256sum | cut -c1-6)\",\"$(
            printf canary-fedcba9876543210 | sha256sum | cut -c1-6)\"]"
    rbee audit verify
}

@test "the chain goes on over 20 restarts and kills, and requests that were cut are told once" {
    local i
    script slow <<<$'tokens 100000\ntoken_ms 5'
    start_rbeed
    add_model slow >/dev/null
    for i in {1..20}; do
        ask_later "$i" slow
        wait_until grep -qs token "$T/out.$i"
        if ((i % 2)); then
            kill -KILL "$RBEED_PID"
            wait "$RBEED_PID" || true
        else
            kill -TERM "$RBEED_PID"
            kill -TERM "$RBEED_PID"
            wait "$RBEED_PID"
        fi
        wait "$ASKED" || true
        start_rbeed
        rbee audit verify >/dev/null
    done
    assert_equal "$(count_kind audit_opened)" 21
    assert_equal "$(count_kind request_interrupted)" 10
    assert_equal "$(rbee audit export | jq -s 'map(select(.kind | startswith("request_")).details.id) |
        group_by(.) | map(length) | unique' -c)" '[2]'
    assert_equal "$(rbee audit export | jq -s 'map(.seq) == [range(1; length + 1)]')" true
    rbee worker stop slow --force --wait
}

@test "what was changed is named, hides nothing, and can be accepted" {
    local head last
    start_rbeed
    for _ in {1..10}; do
        api GET /v1/status >/dev/null
    done
    head=$(rbee audit verify | sed -n 's/^head //p')
    run -0 rbee audit verify --head "$head"
    run -0 rbee audit verify --head "${head:0:16}"
    run -1 rbee audit verify --head "3:${head#*:}"
    assert_line 'row 3 is not what was written there'
    run -2 rbee audit verify --head 'a b'
    stop_rbeed
    tamper "UPDATE audit SET actor = 'uid:9' WHERE seq = 5"
    start_rbeed
    wait_for_line "$T/rbeed.log" 'error audit_broken row=5 fault=changed'
    assert_equal "$(api GET /v1/status | jq -r .state)" degraded
    assert_regex "$(api GET /v1/status | jq -r '.reasons[]')" 'does not hold from row 5 on'
    run -1 rbee audit verify
    assert_line 'row 5 is not what was written there'
    assert_equal "$(rbee audit verify --json | jq -c '[.good, .row, .fault]')" '[false,5,"changed"]'
    assert_equal "$(details audit_opened | jq -c '[.chain, .row]')" '["changed",5]'
    run -0 rbee audit accept --reason 'a disk was restored'
    assert_output 'accepted although row 5 is not what was written there'
    run -0 rbee audit verify
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
    assert_equal "$(details audit_accepted | jq -r .reason)" 'a disk was restored'
    run -1 rbee audit accept
    stop_rbeed
    last=$(db 'SELECT max(seq) FROM audit')
    tamper "DELETE FROM audit WHERE seq > $((last - 2))"
    start_rbeed
    run -1 rbee audit verify
    assert_line "row $((last - 1)) is missing"
}

@test "a trail that is gone is found, and does not begin anew in silence" {
    start_rbeed
    stop_rbeed
    tamper 'DELETE FROM audit'
    db 'DELETE FROM audit_head'
    start_rbeed
    wait_for_line "$T/rbeed.log" 'error audit_broken row=1 fault=head'
    run -1 rbee audit verify
    run -0 rbee audit accept --reason 'begun anew'
    run -0 rbee audit verify
}

@test "a row larger than any of ours is named, and ends nothing" {
    start_rbeed
    stop_rbeed
    tamper 'UPDATE audit SET details = hex(zeroblob(500000)) WHERE seq = 1'
    start_rbeed
    run -1 rbee audit verify
    assert_line 'row 1 is not what was written there'
    rbee audit ls >/dev/null
    rbee audit export >/dev/null
    run -0 rbee audit accept
    run -0 rbee audit verify
}

@test "a corrupt database begins a trail that says so" {
    start_rbeed
    stop_rbeed
    echo 'no database' >"$STATE/rbee.db"
    start_rbeed
    assert_equal "$(rbee audit export | head -1 | jq -r '[.seq, .kind, .details.after] | join(" ")')" \
        '1 audit_opened corrupt'
    rbee audit verify
}

@test "archived rows are in a file that jq reads, and the chain begins behind them" {
    local file
    start_rbeed
    for _ in {1..30}; do
        api GET /v1/status >/dev/null
    done
    rbee audit export >"$T/before"
    run -0 rbee audit archive --before 0s --json
    file=$STATE/audit/$(jq -r .file <<<"$output")
    assert_equal "$(head -31 "$T/before" | jq -c .)" "$(head -31 "$file" | jq -c .)"
    assert_equal "$(stat -c %a "$file")" 600
    run -0 rbee audit verify
    assert_equal "$(count_kind audit_archived)" 1
    assert_equal "$(rbee audit export | head -1 | jq .seq)" "$(($(tail -1 "$file" | jq .seq) + 1))"
    run -1 rbee audit archive --before 240h
    assert_output --partial 'no row is that old'
    run -2 rbee audit archive
    mv "$STATE/audit" "$T/audit"
    run -73 rbee audit archive --before 0s
    refute_output --partial "$STATE"
    mv "$T/audit" "$STATE/audit"
    stop_rbeed
    tamper "DELETE FROM audit WHERE seq < $(($(tail -1 "$file" | jq .seq) + 2))"
    start_rbeed
    run -1 rbee audit verify
}

@test "ls has the last rows, since a time, of one actor; -f goes on over a restart" {
    local follower
    start_rbeed
    for _ in {1..30}; do
        api GET /v1/status >/dev/null
    done
    assert_equal "$(rbee audit ls | wc -l)" 20
    assert_equal "$(rbee audit ls -n 3 --json | wc -l)" 3
    assert_equal "$(rbee audit ls --since 1h --actor internal --json | jq -r .kind)" audit_opened
    assert_equal "$(rbee audit ls --actor uid:4294967294)" ''
    run -2 rbee audit ls --actor 'a&b=c'
    rbee audit ls -f -n 1 --json >"$T/followed" 2>"$T/notes" 3>&- &
    follower=$!
    wait_for_line "$T/followed" auth_success
    stop_rbeed
    start_rbeed
    wait_for_line "$T/followed" audit_opened
    kill -TERM "$follower"
    wait "$follower" || true
    assert_equal "$(jq -s 'map(.seq) as $s | $s == [range($s[0]; $s[0] + ($s | length))]' "$T/followed")" true
}

@test "hostile text is one clean row" {
    local text
    start_rbeed
    model ant <<<'reply one'
    rbee worker start ant --wait
    text=$(python3 -c 'print("a\u001b[31m\r\nb\u202ec\u2066d\u0085")')
    api POST /v1/workers/ant/hold -d "$(jq -n --arg r "é$(printf '\u202e')x" '{reason: $r}')" >/dev/null
    # A worker's last words are not ours, and neither is the name of a model.
    api POST /v1/inference -d "$(jq -n --arg m "$text" '{model: $m, prompt: "x"}')" >/dev/null
    api POST /v1/inference -d "$(python3 -c '
import json
print(json.dumps({"model": "\u202e" + "x" * 4000, "prompt": "x"}))')" >/dev/null
    # What is longer than a field may be does not get that far; a path does.
    assert_equal "$(head -c 65536 /dev/zero | tr '\0' x | jq -Rc '{model: ., prompt: "x"}' |
        api_status POST /v1/inference -d @-)" 400
    assert_equal "$(api_status GET "/$(head -c 4000 /dev/zero | tr '\0' y)/%E2%80%AE/../x" --path-as-is)" 400
    rbee audit export >"$T/rows"
    jq -e . "$T/rows" >/dev/null
    run python3 - "$T/rows" <<'END'
import json, sys, unicodedata
count = 0
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    texts = [value for value in list(row.values()) + list(row["details"].values()) if isinstance(value, str)]
    for text in texts:
        assert len(text.encode()) <= 1024, row
        assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text), row
        assert not any(unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI") for c in text), row
    count += row["kind"] == "request_submitted"
    if len(row["details"].get("model", "")) > 900:
        assert "(cut, 4003 bytes)" in row["details"]["model"], row
    if row["kind"] == "path_traversal_attempt":
        assert row["path"].endswith("bytes)"), row
assert count == 2
END
    assert_success
    rbee audit verify
}

@test "a full disk: 503 for what changes something, stops and health go on, it comes back by itself" {
    local before
    fake_config <<<'audit { mode = local
        queue_rows = 50 }'
    start_rbeed
    model ant <<<$'tokens 100000\ntoken_ms 20'
    rbee worker start ant --wait
    before=$(rbee audit export | wc -l)
    disk_limit 4096
    # Whoever comes first finds out; from then on it is known.
    api GET /v1/status >/dev/null
    wait_for_line "$T/rbeed.log" store_failing
    for _ in {1..5}; do
        run api POST /v1/inference -d '{"model":"ant","prompt":"x"}'
        assert_output --partial '"code":"AUDIT_UNAVAILABLE"'
        assert_equal "$(api_status POST /v1/workers/ant/start -d '{}')" 503
        assert_equal "$(api_status GET /health)" 200
    done
    assert_equal "$(api_status GET /v1/status)" 200
    # What is only read may wait for the disk, until too much does.
    for _ in {1..60}; do
        api GET /v1/status >/dev/null
    done
    assert_equal "$(api GET /v1/status | jq -r .error.code)" AUDIT_UNAVAILABLE
    assert_equal "$(api_status GET /health)" 200
    assert_equal "$(api_status POST /v1/workers/ant/stop -d '{"force":true}')" 202
    wait_for_line "$T/rbeed.log" 'name=ant from=stopping to=down'
    disk_limit unlimited
    wait_for_line "$T/rbeed.log" store_works_again
    wait_until rbee worker start ant
    rbee audit verify
    assert_equal "$(rbee metrics | grep '^rbee_hive_audit_rows_lost_total')" \
        'rbee_hive_audit_rows_lost_total 0'
    [ "$(rbee audit export | wc -l)" -gt "$((before + 50))" ]
}

@test "rows that come faster than the disk takes them: requests wait, or are refused" {
    local slow
    # shellcheck disable=SC2054 # the commas are strace's
    slow=(strace -f -qq -o /dev/null -e trace=fdatasync,fsync -e inject=fdatasync,fsync:delay_enter=300ms)
    "${slow[@]}" true 2>/dev/null || skip "strace cannot trace here"
    export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # which excludes strace
    mkfifo "$T/ready"
    for mode in block refuse; do
        fake_config <<<"audit { mode = local
            queue_rows = 1
            on_full = $mode }"
        "${slow[@]}" "$T/bin/rbeed" --ready-fd 9 9>"$T/ready" >"$T/rbeed.log" 2>&1 3>&- </dev/null &
        read -r said <"$T/ready"
        assert_equal "$said" ready
        for n in {1..6}; do
            api_status GET /v1/status >"$T/status.$n" 3>&- &
        done
        # The loop is never held.
        assert_equal "$(api_status GET /health)" 200
        for n in {1..6}; do
            wait_until test -s "$T/status.$n"
        done
        run bash -c "for file in $T/status.*; do cat \$file; echo; done | sort -u"
        if [ "$mode" = block ]; then
            assert_output 200
        else
            assert_line 503
        fi
        rm "$T"/status.*
        kill -TERM "$(find /proc -mindepth 2 -maxdepth 2 -name exe -lname "$T/bin/rbeed" 2>/dev/null |
            cut -d/ -f3)"
        wait || true
    done
}

@test "kill -9 at each Nth write, sync and rename forgets nothing that was acknowledged" {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    run "$TESTS_DIR/audit_kills.py" "$T" "${RBEE_AUDIT_KILLS:-30}"
    [ "$status" -eq 0 ] || fail "$output"
    echo "# figure: $output" >&3
}
