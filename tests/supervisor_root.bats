#!/usr/bin/env bats
# Who may speak to rbeed. Needs root, to be somebody else.

load supervisor_helpers

setup() {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be two users"
    fake_setup
    chmod 755 "$T"
}
teardown() { [ "$(id -u)" -ne 0 ] || rbee_teardown; }

# As an ordinary user who is not the supervisor's.
as_stranger() {
    setpriv --reuid=12345 --regid=12345 --clear-groups -- "$@"
}

stranger_status() { # METHOD PATH
    as_stranger curl -sS --unix-socket "$SOCKET" -X "$1" "http://rbee$2" -o /dev/null -w '%{http_code}'
}

@test "another user does not even reach the socket" {
    start_rbeed
    run as_stranger curl -sS --unix-socket "$SOCKET" http://rbee/health
    assert_failure
}

@test "another user who reaches it may ask whether it lives, and nothing else" {
    start_rbeed
    # Somebody opened the folder and the socket by hand.
    chmod 755 "$T/run" "$T/run/rbee"
    chmod 666 "$SOCKET"
    assert_equal "$(stranger_status GET /health)" 200
    assert_equal "$(stranger_status GET /ready)" 200
    local line
    while read -r line; do
        # shellcheck disable=SC2086 # method and path
        assert_equal "$line $(stranger_status $line)" "$line 403"
    done <<'END'
GET /v1/status
POST /v1/shutdown
POST /v1/inference
DELETE /v1/inference/r-x
GET /v1/workers
GET /v1/workers/x
POST /v1/workers/x/start
POST /v1/workers/x/stop
GET /v1/workers/x/wait
GET /nothing
GET /v1/models
POST /v1/models
GET /v1/models/x
DELETE /v1/models/x
END
    run as_stranger curl -sSI --unix-socket "$SOCKET" http://rbee/v1/status
    assert_line --regexp '^HTTP/1.1 403'
    run api GET /health
    assert_success
}

@test "root may speak to another user's supervisor" {
    chown -R 12345:12345 "$T"
    mkfifo "$T/ready"
    setpriv --reuid=12345 --regid=12345 --clear-groups -- \
        "$T/bin/rbeed" --ready-fd 9 9<>"$T/ready" 2>"$T/rbeed.log" 3>&- &
    # shellcheck disable=SC2034 # for stop_rbeed
    RBEED_PID=$!
    wait_for_line "$T/rbeed.log" ' started '
    assert_equal "$(api_status GET /v1/status)" 200
    # And the user to his own.
    assert_equal "$(stranger_status GET /v1/status)" 200
    stop_rbeed
}

# As an ordinary user who is not the supervisor's and is in these groups.
as_member() { # GROUPS COMMAND...
    local groups=$1
    shift
    setpriv --reuid=12345 --regid=12345 --groups="$groups" -- "$@"
}

member_status() { # GROUPS METHOD PATH
    as_member "$1" curl -sS --unix-socket "$SOCKET" -X "$2" "http://rbee$3" -o /dev/null -w '%{http_code}'
}

@test "members of socket_group may ask models, and others do not even reach the socket" {
    chmod 755 "$T/run"
    fake_config <<<'supervisor { socket_group = 23456 }'
    start_rbeed
    assert_equal "$(stat -c '%a %g' "$SOCKET" "$T/run/rbee" | tr '\n' ' ')" '660 23456 750 23456 '
    assert_equal "$(member_status 23456 GET /v1/models)" 200
    assert_equal "$(member_status 11111,23456,22222 GET /v1/models)" 200
    # So many groups that they take more room than is usual.
    assert_equal "$(member_status "$(seq -s, 23400 23600)" GET /v1/models)" 200
    assert_equal "$(member_status 23456 GET /v1/status)" 403
    assert_equal "$(member_status 23456 POST /v1/shutdown)" 403
    assert_equal "$(member_status 23456 POST /v1/workers/x/start)" 403
    run as_member 23457 curl -sS --unix-socket "$SOCKET" http://rbee/health
    assert_failure
    # Nor may they where somebody opened the folder and the socket by hand.
    chmod 755 "$T/run/rbee"
    chmod 666 "$SOCKET"
    assert_equal "$(member_status 23457 GET /health)" 200
    assert_equal "$(member_status 23457 GET /v1/models)" 403
    assert_equal "$(member_status "$(seq -s, 23457 23600)" GET /v1/models)" 403
    run api GET /metrics
    assert_line 'rbee_hive_auth_failures_total{reason="role"} 3'
    assert_line 'rbee_hive_auth_failures_total{reason="peer"} 2'
    # What belongs to a worker is still nobody's but ours.
    assert_equal "$(find "$T/run/rbee" -mindepth 1 -not -name rbee.sock -perm /077 | wc -l)" 0
}

@test "a socket_group that there is not, or that rbeed may not give to, stops the start" {
    fake_config <<<'supervisor { socket_group = "no such group" }'
    run -78 rbeed
    assert_output --partial 'there is no group'
    chown -R 12345:12345 "$T"
    fake_config <<<'supervisor { socket_group = 23456 }'
    chown -R 12345:12345 "$XDG_CONFIG_HOME"
    run -78 as_stranger "$T/bin/rbeed"
    assert_output --partial 'rbeed must be in it'
}
