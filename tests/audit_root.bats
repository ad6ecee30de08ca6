#!/usr/bin/env bats
# The audit trail on a file system that is full, and against other users. Needs root, to make the one
# and to be the others.

load supervisor_helpers

setup() {
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    fake_setup
    fake_config <<<'audit { mode = local }'
    chmod 755 "$T"
}
teardown() {
    [ "$(id -u)" -eq 0 ] || return 0
    rbee_teardown_mount
    rbee_teardown
}

rbee_teardown_mount() {
    local pid
    mountpoint -q "$T/state" || return 0
    for pid in $(test_processes); do
        kill -TERM "$pid" 2>/dev/null || true
    done
    wait_until has_no_process || true
    umount "$T/state"
}

@test "a small file system that is full: what was acknowledged is there, and it goes on when there is room" {
    mount -t tmpfs -o size=2m,mode=700 tmpfs "$T/state" || skip "cannot mount here"
    mkdir -m 700 "$T/state/rbee"
    start_rbeed
    model ant <<<'reply one'
    rbee worker start ant --wait
    # Deeds until the disk takes no more; each that was answered is told to $T/acknowledged.
    local n status=200
    dd if=/dev/zero of="$T/state/ballast" bs=1k count=$(($(df -k --output=avail "$T/state" | tail -1) - 480)) status=none
    for ((n = 1; n < 5000; n++)); do
        status=$(api_status POST /v1/breakers/ant/open -d '{}' -H "X-Request-Id: open-$n")
        [ "$status" = 200 ] || break
        echo "open-$n" >>"$T/acknowledged"
        status=$(api_status POST /v1/breakers/ant/reset -d '{}' -H "X-Request-Id: reset-$n")
        [ "$status" = 200 ] || break
        echo "reset-$n" >>"$T/acknowledged"
    done
    assert_equal "$status" 503
    for _ in {1..5}; do
        assert_equal "$(api POST /v1/inference -d '{"model":"ant","prompt":"x"}' | jq -r .error.code)" \
            AUDIT_UNAVAILABLE
        assert_equal "$(api_status GET /health)" 200
    done
    rm "$T/state/ballast"
    wait_for_line "$T/rbeed.log" store_works_again
    wait_until rbee breaker reset ant
    ask ant >/dev/null
    rbee audit verify
    run comm -23 <(sort "$T/acknowledged") \
        <(rbee audit export | jq -r 'select(.kind | startswith("breaker_")).request_id' | sort -u)
    assert_output ''
    [ "$(wc -l <"$T/acknowledged")" -gt 4 ]
}

@test "a stranger's flood is ten rows and a count" {
    start_rbeed
    chmod 755 "$T/run" "$T/run/rbee"
    chmod 666 "$SOCKET"
    setpriv --reuid=12345 --regid=12345 --clear-groups -- bash -c "
        for n in {1..20}; do
            printf 'url = \"http://rbee/v1/status\"\noutput = /dev/null\nwrite-out = \"%%{http_code}\\n\"\n'
        done | curl -sS --unix-socket '$SOCKET' -K - " >"$T/statuses"
    assert_equal "$(sort "$T/statuses" | uniq -c | xargs)" '20 403'
    assert_equal "$(rbee audit export | jq -r 'select(.kind == "auth_failure") |
        [.actor, .peer, .path, .outcome, .details.code] | join(" ")' | sort | uniq -c | xargs)" \
        '10 uid:12345 unix /v1/status refused FORBIDDEN'
    stop_rbeed # tells what was only counted
    assert_equal "$(db "SELECT json_extract(details, '\$.count'), peer FROM audit
        WHERE kind = 'auth_failure' AND method = ''")" '10|uid:12345'
    start_rbeed
    rbee audit verify
}
