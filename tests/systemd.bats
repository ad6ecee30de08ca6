# rbeed under a service manager: what it tells (sd_notify), the watchdog, and sockets that are handed
# over. The manager is tests/fake/fake_systemd.py.

# shellcheck disable=SC2154 # $output is of run

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# Runs rbeed under the manager, with its options, and leaves the messages in $T/notes.
manage() { # [OPTION...]
    "$TESTS_DIR/fake/fake_systemd.py" --log "$T/notes" "$@" "$T/bin/rbeed" \
        >"$T/manager.log" 2>"$T/rbeed.log" 3>&- </dev/null &
    MANAGER=$!
    wait_for_line "$T/manager.log" listening
}

# The end of both; what rbeed exits with.
end_managed() {
    kill -TERM "$MANAGER"
    wait "$MANAGER"
}

note_count() { # MESSAGE
    grep -c "^$1" "$T/notes" || true
}

has_notes() { # MESSAGE AT-LEAST
    [ "$(note_count "$1")" -ge "$2" ]
}

is_answering() {
    [ "$(api_status GET /ready 2>/dev/null)" = 200 ]
}

notes() { # the messages, without those of the watchdog
    grep -v WATCHDOG "$T/notes"
}

check_order() { # SOCKET
    manage --notify "$1"
    wait_for_line "$T/notes" '^STATUS=0 of 0 workers ready, 0 requests$'
    [ "$(api_status GET /ready)" = 200 ]
    kill -HUP "$MANAGER"
    wait_for_line "$T/notes" '^RELOADING=1'
    wait_for_line "$T/rbeed.log" ' reloaded '
    end_managed
    run notes
    assert_line --index 0 'READY=1'
    assert_line --index 1 'STATUS=0 of 0 workers ready, 0 requests'
    assert_line --index 2 --regexp '^RELOADING=1;MONOTONIC_USEC=[0-9]+$'
    assert_line --index 3 'READY=1'
    # life.drain, life.term_grace, and what an end takes beside them.
    assert_line --index 4 'STOPPING=1;EXTEND_TIMEOUT_USEC=42500000'
    assert_equal "${#lines[@]}" 5
}

@test "ready, reloading, ready, stopping: told in order" { check_order "$T/notify"; }

@test "the same to an abstract socket" { check_order "@rbee-test-$BATS_TEST_NUMBER-$$"; }

@test "a reload that is refused ends as well" {
    manage --notify "$T/notify"
    wait_for_line "$T/notes" '^STATUS='
    write_config <<<'no { such'
    kill -HUP "$MANAGER"
    wait_for_line "$T/rbeed.log" ' reload_refused '
    wait_until has_notes READY=1 2
    end_managed
}

@test "nothing is told by one that cannot start" {
    # Its state is taken: it never is ready.
    start_rbeed
    manage --notify "$T/notify"
    assert_ends "$MANAGER" 1
    assert_equal "$(cat "$T/notes")" ''
    stop_rbeed
}

@test "the status says how many workers are ready" {
    use_test_hooks
    manage --notify "$T/notify"
    wait_for_line "$T/notes" '^STATUS='
    model one </dev/null
    ask one >/dev/null
    clock_advance 3000 # it is told in quiet moments
    wait_for_line "$T/notes" '^STATUS=1 of 1 workers ready, 0 requests$'
    end_managed
}

@test "a socket that cannot be told to is logged, and rbeed runs" {
    local name
    for name in relative /no/such/socket "vsock:1:2" "/$(printf 'x%.0s' {1..120})"; do
        NOTIFY_SOCKET=$name manage
        wait_until is_answering
        end_managed
        run grep -cE ' notify_(unusable|failed) ' "$T/rbeed.log"
        [ "$output" -ge 1 ] || fail "$name: $(cat "$T/rbeed.log")"
    done
}

@test "a worker cannot speak for rbeed" {
    manage --notify "$T/notify" --watchdog 1000000000
    wait_for_line "$T/notes" '^STATUS='
    model one </dev/null
    ask one >/dev/null
    run tr '\0' '\n' <"/proc/$(worker_field one pid)/environ"
    assert_line --regexp '^RBEE_INSTANCE='
    refute_output --regexp '(NOTIFY_SOCKET|WATCHDOG|LISTEN)'
    end_managed
}

@test "rbeed does not speak for the service whose command has started it" {
    "$TESTS_DIR/fake/fake_systemd.py" --notify "$T/notify" --log "$T/notes" "$T/bin/rbee" up
    [ "$(api_status GET /ready)" = 200 ]
    assert_equal "$(cat "$T/notes")" ''
    rbee down
}

@test "watchdog: twice in its time, and no more while the loop stands still" {
    use_test_hooks
    # Hours: the clock goes on by itself, too, and a busy machine takes its time.
    manage --notify "$T/notify" --watchdog 20000000000
    wait_for_line "$T/notes" '^STATUS='
    local pid count
    pid=$(api GET /v1/status | jq .pid)
    clock_advance 9000000
    kill -USR1 "$MANAGER"
    wait_for_line "$T/notes" '^-$'
    ! grep WATCHDOG "$T/notes" || fail "told too early"
    clock_advance 1000000
    wait_for_line "$T/notes" '^WATCHDOG=1$'
    # A loop that stands still at a time when it is due tells nothing: the mark comes after a word of
    # the clock that nobody reads.
    kill -STOP "$pid"
    wait_until grep -q '^State:.*T' "/proc/$pid/status"
    count=$(note_count WATCHDOG)
    echo 'advance 10000000' >&"$RBEE_TEST_CLOCK_FD"
    kill -USR1 "$MANAGER"
    wait_until has_notes - 2
    assert_equal "$(note_count WATCHDOG)" "$count"
    kill -CONT "$pid"
    wait_until has_notes WATCHDOG $((count + 1))
    end_managed
}

@test "a watchdog of another process is not ours" {
    use_test_hooks
    manage --notify "$T/notify" --watchdog 1000000 --watchdog-pid 1
    wait_for_line "$T/notes" '^STATUS='
    clock_advance 5000
    end_managed
    ! grep WATCHDOG "$T/notes" || fail "told"
}

# ---- sockets that are handed over ----

@test "activation: the first connection starts it, and the socket outlives it" {
    mkdir -m 700 "$T/run/rbee"
    manage --unix "$SOCKET" --activate
    assert_not_exists "$STATE"
    local before
    before=$(stat -c %i "$SOCKET")
    run rbee ps # asked, not started: the manager does that
    assert_success
    assert_equal "$(rbee status --json | jq -r .socket)" "$SOCKET"
    end_managed
    assert_equal "$(stat -c %i "$SOCKET")" "$before"
}

@test "activation by systemd's own tool" {
    command -v systemd-socket-activate >/dev/null || skip "there is no systemd-socket-activate here"
    mkdir -m 700 "$T/run/rbee"
    systemd-socket-activate --listen="$SOCKET" -E HOME -E XDG_CONFIG_HOME -E XDG_STATE_HOME \
        -E XDG_RUNTIME_DIR -E PATH "$T/bin/rbeed" >"$T/rbeed.log" 2>&1 3>&- </dev/null &
    local pid=$!
    wait_for_line "$T/rbeed.log" Listening
    run rbee ps
    assert_success
    kill -TERM "$pid"
    assert_ends "$pid" 0
    assert [ -S "$SOCKET" ]
}

@test "a socket of another's that is removed is not made again" {
    use_test_hooks
    mkdir -m 700 "$T/run/rbee"
    manage --unix "$SOCKET" --notify "$T/notify"
    wait_for_line "$T/notes" '^STATUS='
    rm "$SOCKET"
    clock_advance 10000
    assert_not_exists "$SOCKET"
    end_managed
}

@test "sockets for another process are left alone" {
    manage --unix "$T/other.sock" --wrong-pid --notify "$T/notify"
    wait_for_line "$T/notes" '^STATUS='
    assert_equal "$(api GET /v1/status | jq -r .socket)" "$SOCKET"
    end_managed
    assert_not_exists "$SOCKET" # its own
}

@test "a TCP socket that is handed over is served while there is a token" {
    manage --tcp "$T/port" --notify "$T/notify"
    wait_for_line "$T/notes" '^STATUS='
    local url token
    url=http://127.0.0.1:$(cat "$T/port")
    run jq -r '.warnings[]' <(rbee status --json)
    assert_output --partial 'while there is no token'
    rbee token new 2>/dev/null >/dev/null
    token=$(cat "$XDG_CONFIG_HOME/rbee/token")
    kill -HUP "$MANAGER"
    wait_for_line "$T/rbeed.log" ' reloaded .*listen=127'
    assert_equal "$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/status")" 401
    assert_equal "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $token" "$url/v1/status")" 200
    assert_equal "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $token" -H 'Host: evil.example' \
        "$url/v1/status")" 421
    rm "$XDG_CONFIG_HOME/rbee/token"
    kill -HUP "$MANAGER"
    wait_for_line "$T/rbeed.log" ' reloaded .*listen=off'
    end_managed
}

@test "what is no listening socket, or one too many, is no configuration" {
    local option
    for option in --udp --file "--unix $T/a.sock --unix $T/b.sock" "--tcp $T/port --udp --file"; do
        rm -f "$T"/[ab].sock
        # shellcheck disable=SC2086 # several words
        manage $option
        assert_ends "$MANAGER" 78
        run cat "$T/rbeed.log"
        assert_output --partial LISTEN_FDS
    done
}
