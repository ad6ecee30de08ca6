#!/usr/bin/env bats
# Who may call rbeed: the port, tokens and their roles, what is refused to whom, and how all of that
# changes in a supervisor that runs. Workers' tokens are in worker.bats, other users in
# supervisor_root.bats.

load supervisor_helpers

ADMIN=admin-0123456789abcdef-CANARY
INFER=infer-0123456789abcdef-CANARY

setup() {
    fake_setup
    TOKENS=$XDG_CONFIG_HOME/rbee
}
teardown() {
    [ -z "${HOLDER:-}" ] || kill "$HOLDER" 2>/dev/null || true # it has been, where all went well
    rbee_teardown
}

# A port of the kernel's choice, and more keys of the same section: never the usual port, which other
# suites may want.
port_config() { # KEY=VALUE...
    printf 'supervisor {\n listen = "127.0.0.1:0"\n%s\n}\n' "$(printf '%s\n' "$@")" | fake_config
}

write_token() { # NAME TOKEN [MODE]
    rm -f "$TOKENS/$1"
    echo "$2" >"$TOKENS/$1"
    chmod "${3:-600}" "$TOKENS/$1"
}

# A supervisor with a port and both tokens; $ADDRESS is where it listens.
start_with_tokens() { # KEY=VALUE...
    port_config "$@"
    write_token token "$ADMIN"
    write_token infer-token "$INFER"
    start_rbeed
    find_port
}

find_port() {
    ADDRESS=$(api GET /v1/status | jq -r .listen)
}

hup() {
    local before
    before=$(grep -cE ' (reloaded|reload_refused) ' "$T/rbeed.log" || true)
    kill -HUP "$RBEED_PID"
    wait_until has_reloaded "$before"
}

has_reloaded() { # TIMES BEFORE
    [ "$(grep -cE ' (reloaded|reload_refused) ' "$T/rbeed.log")" -gt "$1" ]
}

# The status of a request over the port; TOKEN "-" is none.
tcp() { # METHOD PATH TOKEN [CURL-OPTION...]
    local method=$1 path=$2 token=$3
    shift 3
    [ "$token" = - ] || set -- -H "Authorization: Bearer $token" "$@"
    curl -sS -X "$method" -o "$T/body" -w '%{http_code}' "http://$ADDRESS$path" "$@"
}

assert_tcp() { # STATUS METHOD PATH TOKEN [CURL-OPTION...]
    local status=$1
    shift
    assert_equal "$* $(tcp "$@")" "$* $status"
}

refusals() { # REASON
    api GET /metrics | "$TESTS_DIR/metrics_check.py" rbee_hive_auth_failures_total "reason=$1"
}

# ---- every route ----

@test "every route and method wants a token, but for health, readiness and metrics" {
    start_with_tokens
    run -0 "$TESTS_DIR/auth_client.py" table "$TREE_DIR/supervisor/routes.def" "$ADDRESS" "$INFER" "$ADMIN"
    assert_line --regexp '^no token: [0-9]+ x 401$'
    assert_line --regexp '^wrong token: [0-9]+ x 401$'
    assert_line --regexp '^two headers: [0-9]+ x 400$'
    assert_line --regexp '^8 KiB and 1: [0-9]+ x 431$'
    assert_line --regexp '^right token, ADMIN: [0-9]+ x 403$'
    assert_line --regexp '^right token, None: [0-9]+ x 404, [0-9]+ x 405$'
    assert_line --regexp '^admin: [0-9]+ x 200'
}

@test "a connection outlives a wrong token, but not a head that can be read in two ways" {
    start_with_tokens
    run -0 curl -sSi "http://$ADDRESS/v1/models" -H "Authorization: Bearer wrong"
    refute_line --partial 'Connection: close'
    run -0 curl -sSi "http://$ADDRESS/v1/models" -H "Authorization: Bearer $INFER" -H "Authorization: Bearer $INFER"
    assert_line --partial 'Connection: close'
}

@test "50 good and 50 wrong tokens at once: each gets its own answer" {
    start_with_tokens
    run "$TESTS_DIR/auth_client.py" crowd "$ADDRESS" "$INFER" /v1/models
    assert_output "50 x 200
50 x 401"
}

@test "a role may what is its own: infer asks models, admin does everything" {
    start_with_tokens
    model quick
    assert_tcp 200 GET /v1/models "$INFER"
    assert_tcp 403 GET /v1/status "$INFER"
    assert_tcp 403 POST /v1/workers/quick/start "$INFER"
    assert_tcp 403 POST /v1/shutdown "$INFER"
    assert_tcp 200 GET /v1/status "$ADMIN"
    assert_tcp 200 POST /v1/inference "$INFER" --json '{"model":"quick","prompt":"hi","stream":false}'
    assert_tcp 202 POST /v1/workers/quick/stop "$ADMIN" --json '{}'
    wait_for_line "$T/rbeed.log" "action=WORKER_STOP target=quick actor=token:$(printf %s "$ADMIN" | sha256sum | cut -c1-6) "
}

@test "which files are models is not for who may only ask" {
    start_with_tokens
    model quick
    assert_tcp 403 POST /v1/inference "$INFER" --json "{\"model\":\"$T/m/quick.gguf\",\"prompt\":\"hi\"}"
    assert_tcp 403 POST /v1/inference "$INFER" --json '{"model":"/nowhere","prompt":"hi"}'
    assert_tcp 404 POST /v1/inference "$ADMIN" --json '{"model":"/nowhere","prompt":"hi"}'
    assert_tcp 200 POST /v1/inference "$ADMIN" \
        --json "{\"model\":\"$T/m/quick.gguf\",\"prompt\":\"hi\",\"stream\":false}"
}

@test "the metric says why callers were refused" {
    start_with_tokens
    tcp GET /v1/models -
    tcp GET /v1/models wrong
    tcp GET /v1/models "$INFER" -H "Authorization: Bearer $INFER"
    tcp GET /v1/status "$INFER"
    tcp GET /health - -H 'Host: evil.example'
    tcp GET /health - -H 'Origin: http://evil.example'
    for reason in missing_token wrong_token malformed_header role host origin; do
        assert_equal "$reason $(refusals "$reason")" "$reason 1"
    done
    assert_equal "$(refusals peer)" 0
}

@test "on the Unix socket the kernel says who calls, and a header changes nothing" {
    start_with_tokens
    assert_equal "$(api_status GET /v1/status)" 200
    assert_equal "$(api_status GET /v1/status -H 'Authorization: Bearer wrong')" 200
    assert_equal "$(api_status GET /v1/status -H 'Host: evil.example' -H 'Origin: http://evil')" 200
    # As scripts send it with -d, which calls it a form.
    assert_equal "$(api_status POST /v1/inference -d '{}')" 400
}

@test "metrics_public = off closes the metrics" {
    start_with_tokens 'metrics_public = off'
    assert_tcp 401 GET /metrics -
    assert_tcp 401 HEAD /metrics - --head
    assert_tcp 200 GET /metrics "$INFER"
    assert_tcp 200 GET /health -
    assert_equal "$(api_status GET /metrics)" 200
    port_config
    hup
    assert_tcp 200 GET /metrics -
}

# ---- browsers ----

@test "Host must name this machine, a foreign Origin is refused, a body is JSON" {
    start_with_tokens 'allowed_hosts = "gpu.lan, other.lan:99"' 'allowed_origins = "https://chat.lan"'
    local port=${ADDRESS##*:} status method path options
    while IFS='|' read -r status method path options; do
        [ -n "$status" ] || continue
        eval "set -- $options"
        assert_tcp "$status" "$method" "$path" "$ADMIN" "$@"
    done <<END
200|GET|/v1/status|-H "Host: 127.0.0.1:$port"
200|GET|/v1/status|-H "Host: localhost"
200|GET|/v1/status|-H "Host: LOCALHOST:1"
200|GET|/v1/status|-H "Host: 127.9.9.9"
200|GET|/v1/status|-H "Host: [::1]:$port"
200|GET|/v1/status|-H "Host: gpu.lan"
200|GET|/v1/status|-H "Host: GPU.lan:7833"
200|GET|/v1/status|-H "Host: other.lan:99"
421|GET|/v1/status|-H "Host: other.lan"
421|GET|/v1/status|-H "Host: other.lan:98"
421|GET|/v1/status|-H "Host: evil.example"
421|GET|/health|-H "Host: evil.example"
421|GET|/metrics|-H "Host: evil.example:$port"
421|GET|/nothing|-H "Host: evil.example"
421|GET|/health|-H "Host: localhost.evil.example"
421|GET|/health|-H "Host: 127.0.0.1.evil.example"
421|GET|/health|-H "Host: gpu.lan.evil.example"
421|GET|/health|-H "Host: 10.0.0.1"
421|GET|/health|-H "Host: 0.0.0.0"
421|GET|/health|-H "Host: [::2]"
421|GET|/health|-H "Host: localhost:80@evil.example"
421|GET|/health|-H "Host: evil.example" -H "X-Forwarded-Host: localhost"
421|GET|/health|-H "Host;"
421|GET|/health|--http1.0 -H "Host:"
200|GET|/v1/status|-H "Origin: http://$ADDRESS"
200|GET|/v1/status|-H "Origin: https://chat.lan"
403|GET|/v1/status|-H "Origin: http://chat.lan"
403|GET|/v1/status|-H "Origin: https://chat.lan.evil.example"
403|GET|/v1/status|-H "Origin: http://evil.example"
403|GET|/health|-H "Origin: http://evil.example"
403|POST|/v1/shutdown|-H "Origin: http://evil.example"
403|GET|/v1/status|-H "Origin: null"
403|GET|/v1/status|-H "Origin: http://localhost:$port"
415|POST|/v1/inference|-d "{}"
415|POST|/v1/inference|-d "{}" -H "Content-Type: text/plain"
415|POST|/v1/inference|-d "{}" -H "Content-Type: application/jsonp"
415|POST|/v1/inference|-d "{}" -H "Content-Type:"
415|POST|/v1/inference|-d "{}" -H "Content-Type: text/plain" -H "Transfer-Encoding: chunked"
400|POST|/v1/inference|-d "{}" -H "Content-Type: application/json"
400|POST|/v1/inference|-d "{}" -H "Content-Type: Application/JSON; charset=utf-8"
404|POST|/v1/workers/x/release|
END
    # Who is nobody hears that first.
    assert_tcp 401 POST /v1/inference - -d '{}'
}

# ---- the port ----

@test "without a token there is no port; the first one opens it, the last one's end closes it" {
    port_config
    start_rbeed
    find_port
    assert_equal "$ADDRESS" null
    run -0 rbee status --json
    assert_equal "$(jq -r '.warnings | length' <<<"$output")" 1
    write_token token "$ADMIN"
    hup
    find_port
    assert_tcp 200 GET /v1/status "$ADMIN"
    rm "$TOKENS/token"
    hup
    assert_equal "$(api GET /v1/status | jq -r .listen)" null
    run curl -sS "http://$ADDRESS/health"
    assert_failure 7
}

@test "listen = off closes the port, another address moves it" {
    start_with_tokens
    local old=$ADDRESS
    fake_config <<<'supervisor { listen = off }'
    hup
    run curl -sS "http://$old/health"
    assert_failure 7
    fake_config <<<'supervisor { listen = "[::1]:0" }'
    hup
    find_port
    assert_regex "$ADDRESS" '^\[::1\]:[0-9]+$'
    assert_tcp 200 GET /v1/models "$INFER"
    assert_tcp 421 GET /v1/models "$INFER" -H 'Host: [::2]'
}

@test "where others could come in, no token or a weak one stops the start: 78, and the ways out" {
    local listen
    for listen in 0.0.0.0:0 192.0.2.1:7833 '[::]:0' '[2001:db8::1]:7833'; do
        fake_config <<<"supervisor { listen = \"$listen\" }"
        run -78 rbeed
        assert_output --partial 'there is no token'
        assert_output --partial 'rbee token new'
        assert_output --partial 'listen = off'
        run -78 env RBEE_API_TOKEN=short rbeed
        assert_output --partial 'less than 16 bytes'
    done
    # With a good one the address itself is what is wrong: it is nobody's (RFC 5737).
    write_token token "$ADMIN"
    fake_config <<<'supervisor { listen = "192.0.2.1:7833" }'
    run -1 rbeed
    assert_output --partial 'Cannot assign requested address'
}

# The port that nobody chose: held by this test, or by somebody else already.
hold_usual_port() {
    python3 - "$T/held" <<'END' 3>&- &
import os, signal, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    listener.bind(("127.0.0.1", 7833))
    listener.listen()
    state = "ours"
except OSError:
    state = "theirs"
with open(sys.argv[1] + ".new", "w") as out:
    out.write(state)
os.rename(sys.argv[1] + ".new", sys.argv[1])
signal.pause()
END
    HOLDER=$!
    wait_until test -e "$T/held"
}

@test "the usual port may be taken: rbeed starts, says so, and has it once it is free" {
    hold_usual_port
    write_token token "$ADMIN"
    start_rbeed
    find_port
    assert_equal "$ADDRESS" null
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
    run -0 rbee status
    assert_output --partial 'warning: listen on 127.0.0.1 port 7833: Address already in use'
    [ "$(cat "$T/held")" = ours ] || skip "somebody else has port 7833"
    kill "$HOLDER"
    wait_until listens_on 127.0.0.1:7833
    run -0 rbee status
    refute_output --partial warning
}

listens_on() { # ADDRESS
    [ "$(api GET /v1/status | jq -r .listen)" = "$1" ]
}

@test "a port that somebody chose must be free" {
    hold_usual_port
    write_token token "$ADMIN"
    fake_config <<<'supervisor { listen = "127.0.0.1:7833" }'
    run -1 rbeed
    assert_output --partial 'listen on 127.0.0.1 port 7833: Address already in use'
    # Nor does HUP give up what works for what does not.
    port_config
    start_rbeed
    find_port
    fake_config <<<'supervisor { listen = "127.0.0.1:7833" }'
    hup
    assert_tcp 200 GET /v1/status "$ADMIN"
    wait_for_line "$T/rbeed.log" ' reload_refused error="listen on 127.0.0.1 port 7833'
    kill "$HOLDER"
}

# ---- where tokens come from ----

@test "a file that could be somebody else's token stops the start, with its mode" {
    port_config
    local mode
    for mode in 644 640 604 660; do
        write_token token "$ADMIN" "$mode"
        run -78 rbeed
        assert_output --partial "it has mode 0$mode"
    done
    write_token token short
    run -78 rbeed
    assert_output --partial 'mode 0600: token must have 16 to 4096 bytes'
    write_token token "$ADMIN"
    write_token infer-token 'two words in a line'
    run -78 rbeed
    assert_output --partial 'the infer token'
    rm "$TOKENS/infer-token"
    port_config "token_file = $T/nowhere"
    run -78 rbeed
    assert_output --partial "$T/nowhere"
}

@test "tokens come from the environment, a file that is named, or systemd's credentials" {
    mkdir -m 700 "$T/credentials"
    write_token token "$ADMIN"
    (umask 077 && echo "cred-$ADMIN" >"$T/credentials/rbee-token" && echo "cred-$INFER" >"$T/credentials/rbee-infer-token")
    port_config
    CREDENTIALS_DIRECTORY=$T/credentials start_rbeed
    find_port
    assert_tcp 200 GET /v1/status "cred-$ADMIN"
    assert_tcp 200 GET /v1/models "cred-$INFER"
    assert_tcp 401 GET /v1/status "$ADMIN"
    stop_rbeed
    (umask 077 && echo "named-$ADMIN" >"$T/named")
    port_config "token_file = $T/named"
    CREDENTIALS_DIRECTORY=$T/credentials start_rbeed
    find_port
    assert_tcp 200 GET /v1/status "named-$ADMIN"
    assert_tcp 401 GET /v1/status "cred-$ADMIN"
    stop_rbeed
    LLORCH_API_TOKEN="env" start_rbeed
    find_port
    assert_tcp 200 GET /v1/status env
    assert_tcp 401 GET /v1/status "named-$ADMIN"
    run ! grep -qa 'LLORCH_API_TOKEN=env' "/proc/$RBEED_PID/environ"
}

@test "the token is in no log, event, audit row, database or process" {
    port_config
    write_token infer-token "$INFER"
    RBEE_AUDIT_MODE=local RBEE_API_TOKEN=$ADMIN LLORCH_API_TOKEN=$INFER start_rbeed
    find_port
    model quick
    assert_tcp 200 POST /v1/inference "$ADMIN" --json '{"model":"quick","prompt":"hi"}'
    tcp GET /v1/status "$ADMIN-CANARY-wrong"
    tcp GET /v1/status "$INFER" -H "Authorization: Bearer $ADMIN"
    tcp GET "/v1/status?token=x" "$INFER"
    hup
    wait_for_worker quick ready
    local pid count=0
    for pid in $(test_processes); do
        run ! grep -qaE 'CANARY' "/proc/$pid/environ" "/proc/$pid/cmdline"
        count=$((count + 1))
    done
    [ "$count" -ge 3 ] || fail "only $count processes: $(describe_processes)"
    # Neither may its core have it, so there is none.
    assert_equal "$(sed -nE 's/^Max core file size +//p' "/proc/$RBEED_PID/limits" | tr -s ' ')" '0 0 bytes '
    run api GET /v1/events
    refute_output --partial CANARY
    run -0 rbee audit export
    assert_output --partial '"kind":"auth_failure"'
    refute_output --partial CANARY
    stop_rbeed
    run ! grep -rqa CANARY "$STATE" "$T/rbeed.log" "$T/m"
}

# ---- HUP ----

@test "HUP: the old token is refused, the new one taken, a bad file changes nothing" {
    start_with_tokens
    write_token token "new-$ADMIN"
    assert_tcp 200 GET /v1/status "$ADMIN"
    hup
    assert_tcp 401 GET /v1/status "$ADMIN"
    assert_tcp 200 GET /v1/status "new-$ADMIN"
    assert_tcp 200 GET /v1/models "$INFER"
    wait_for_line "$T/rbeed.log" ' token_reloaded role=admin old=token:[0-9a-f]{6} new=token:[0-9a-f]{6} source=default_file$'
    write_token token "newer-$ADMIN" 644
    hup
    wait_for_line "$T/rbeed.log" ' reload_refused error="the admin token: .*0644'
    assert_tcp 200 GET /v1/status "new-$ADMIN"
    assert_tcp 401 GET /v1/status "newer-$ADMIN"
    chmod 600 "$TOKENS/token"
    port_config 'allowed_hosts = "http://no.host"'
    hup
    wait_for_line "$T/rbeed.log" ' reload_refused error=.*rbee.conf:[0-9]+: supervisor.allowed_hosts'
    assert_tcp 200 GET /v1/status "new-$ADMIN"
    port_config
    hup
    assert_tcp 200 GET /v1/status "newer-$ADMIN"
}

@test "HUP: who follows with a token that is none any more is told so, and that is the end" {
    start_with_tokens
    model a <<<"stderr hello"
    api POST /v1/workers/a/start >/dev/null
    wait_for_worker a ready
    local route stream
    for route in events workers/a/logs; do
        write_token token "$ADMIN"
        hup
        rm -f "$T/stream"
        curl -sSN "http://$ADDRESS/v1/$route?follow=1&limit=10" -H "Authorization: Bearer $ADMIN" \
            >"$T/stream" 2>&1 3>&- &
        stream=$!
        wait_until test -s "$T/stream"
        write_token token "other-$ADMIN"
        hup
        assert_ends "$stream" 0
        assert_equal "$(grep -c '"code":"INVALID_API_KEY"' "$T/stream")" 1
    done
}

@test "HUP: an open connection is asked again with each request" {
    start_with_tokens
    run -0 python3 - "$ADDRESS" "$INFER" "$TOKENS/infer-token" "$RBEED_PID" <<'END'
import http.client, os, signal, sys
address, token, path, pid = sys.argv[1:]
link = http.client.HTTPConnection(address, timeout=60)
def ask():
    link.request("GET", "/v1/models", headers={"Authorization": "Bearer " + token})
    reply = link.getresponse()
    reply.read()
    return reply.status
assert ask() == 200
own = link.sock
with open(path, "w") as out:
    out.write("another-0123456789abcdef\n")
os.kill(int(pid), signal.SIGHUP)
while ask() == 200: # it takes its time, and this is what ends with it
    pass
assert link.sock is own, "not the same connection"
print(ask())
END
    assert_output 401
}

@test "HUP: settings that can change do, the others are named" {
    start_with_tokens
    assert_tcp 421 GET /health - -H 'Host: gpu.lan'
    port_config 'allowed_hosts = gpu.lan' 'default_model = quick' '} limits { clients = 7 queue = 1 } worker w { model = x '
    hup
    assert_tcp 200 GET /health - -H 'Host: gpu.lan'
    wait_for_line "$T/rbeed.log" ' config_changed key=supervisor.allowed_hosts old= new=gpu.lan'
    wait_for_line "$T/rbeed.log" ' config_changed key=limits.queue old=64 new=1'
    wait_for_line "$T/rbeed.log" ' config_needs_restart keys=limits.clients,worker.w$'
    assert_equal "$(grep -c ' config_changed ' "$T/rbeed.log")" 3
    # What could not change is still to be done; what could is done.
    hup
    assert_equal "$(grep -c ' config_changed ' "$T/rbeed.log")" 3
    assert_equal "$(grep -c ' config_needs_restart ' "$T/rbeed.log")" 2
}

# ---- the command line ----

@test "rbee token new makes a file that only its owner can read, and tells the supervisor" {
    port_config
    start_rbeed
    run -0 rbee token new
    assert_output --partial "$TOKENS/token holds a new token of the role admin"
    assert_output --partial "rbeed (pid $RBEED_PID) has been told"
    refute_output --partial "$(cat "$TOKENS/token")"
    assert_equal "$(stat -c %a "$TOKENS/token")" 600
    wait_for_line "$T/rbeed.log" ' token_reloaded role=admin old=none new=token:'
    find_port
    run -0 rbee --host "http://$ADDRESS" status
    run -1 rbee token new
    assert_output --partial '--force'
    assert_tcp 200 GET /v1/status "$(cat "$TOKENS/token")"
    local old
    old=$(cat "$TOKENS/token")
    run -0 rbee token new --force --json
    assert_equal "$(jq -r '"\(.state) \(.role) \(.path) \(.supervisor_pid) \(.is_told)"' <<<"$output")" \
        "created admin $TOKENS/token $RBEED_PID true"
    wait_for_line "$T/rbeed.log" ' token_reloaded role=admin old=token:[0-9a-f]{6} new=token:'
    assert_tcp 401 GET /v1/status "$old"
    run -0 rbee token new --role infer
    assert_output --partial /v1/models
    wait_for_line "$T/rbeed.log" ' token_reloaded role=infer '
    # Its own words work.
    bash -c "$(sed -n '/printf/,/curl/p' <<<"$output" | sed "s|http://[^/]*|-s http://$ADDRESS|")" | jq -e .data
}

@test "rbee token new without a supervisor, and where the configuration says" {
    port_config "infer_token_file = $T/else/where"
    run -0 rbee token new --role infer
    assert_output --partial "$T/else/where holds a new token of the role infer"
    assert_output --partial 'rbeed reads it when it starts'
    assert_file_exists "$T/else/where"
    assert_file_not_exists "$TOKENS/infer-token"
    run -2 rbee token new --role boss
    # Of many at once one makes it.
    local made
    made=$(for _ in 1 2 3 4 5 6 7 8; do rbee token new >/dev/null 2>&1 && echo made & done; wait)
    assert_equal "$made" made
    assert_equal "$(find "$TOKENS" -name 'token*' | wc -l)" 1
}

@test "rbee --host http:// shows a token from a file: 77 without the right one" {
    start_with_tokens
    model quick
    local host=http://$ADDRESS
    echo "$INFER" >"$T/infer"
    echo "wrong-$INFER" >"$T/wrong"
    chmod 600 "$T/infer" "$T/wrong"
    run -0 --separate-stderr rbee infer -m quick --host "$host" --token-file "$T/infer" --no-stdin hello
    [ -n "$output" ]
    run -0 rbee ps --host "$host" --token-file "$T/infer"
    assert_output --partial quick
    run -77 rbee status --host "$host" --token-file "$T/infer"
    run -77 rbee ps --host "$host" --token-file "$T/wrong"
    assert_output --partial 'the token is wrong'
    run -77 rbee ps --host "$host" --token-file "$T/nowhere"
    chmod 644 "$T/infer"
    run -77 rbee ps --host "$host" --token-file "$T/infer"
    assert_output --partial 0644
    # Without the option it is one's own, the one that may more.
    run -0 rbee status --host "$host"
    rm "$TOKENS/token" "$TOKENS/infer-token"
    run -77 rbee status --host "$host"
    assert_output --partial 'a token is needed here'
    run -2 rbee ps --host "https://$ADDRESS"
    assert_output --partial 'ssh -L'
    run -69 rbee ps --host http://127.0.0.1:1
    run -3 rbee status --host http://127.0.0.1:1
}

# ---- time ----

@test "the time of a comparison does not depend on the secret" {
    ! is_sanitized || skip "valgrind and the sanitizers exclude each other"
    use_tool constant_time
    for what in tokens hashes; do
        run -0 valgrind -q --error-exitcode=9 "$T/bin/constant_time" "$what"
        assert_output right
    done
    run -9 valgrind -q --error-exitcode=9 "$T/bin/constant_time" leaky
    assert_output --partial 'depends on uninitialised'
}
