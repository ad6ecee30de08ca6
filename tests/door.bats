#!/usr/bin/env bats
# Hostile clients at the whole of rbeed, and at a worker: what they get, what the others get meanwhile,
# and what is left of them. The clients are functions of door.py; the HTTP layer alone is the suite http.

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# shellcheck disable=SC2154 # $RBEED_PID is start_rbeed's
door() { # CASE [ARGUMENT...]
    run python3 "$TESTS_DIR/door.py" "$1" "$SOCKET" "$RBEED_PID" "${@:2}"
    assert_success
}

good_model() {
    model a <<'END'
slots 64
END
}

# Nothing of what was smuggled has been done.
assert_nobody_got_in() {
    run grep -c ' api ' "$T/rbeed.log"
    assert_output 0
    run grep -c 'SHUTDOWN\|stopping' "$T/rbeed.log"
    assert_output 0
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
}

@test "whoever disagrees about where a request ends is turned away, and what it hides is not done" {
    start_rbeed
    door smuggling /v1/inference /v1/shutdown
    assert_nobody_got_in
    door log_is_clean "$T/rbeed.log"
}

@test "a worker's door is the same one" {
    rm "$T/bin/rbee-worker"
    use_program "$RBEE_BUILD/bin/rbee-worker"
    tiny_model "$T/tiny.gguf"
    local token=0123456789abcdef0123456789abcdef
    "$TESTS_DIR/launch_worker.py" "$T/w.sock" "$token" "$T/bin/rbee-worker" --name tiny --model "$T/tiny.gguf" \
        --instance w-test >"$T/worker.out" 2>"$T/worker.err" 3>&- </dev/null &
    RBEED_PID=$!
    SOCKET=$T/w.sock
    wait_until test -S "$SOCKET"
    wait_for_line "$T/worker.err" ' worker_ready '
    door smuggling /v1/inference /drill "Authorization: Bearer $token"
    run grep -c ' drill ' "$T/worker.err"
    assert_output 0
    kill -0 "$RBEED_PID"
    door log_is_clean "$T/worker.err"
}

@test "heads and bodies have limits, and all bodies together have one" {
    fake_config <<<'limits {
        body = 64KiB
        bodies = 128KiB
    }'
    start_rbeed
    good_model
    door limits
}

@test "deep, long and broken JSON is refused and costs nothing" {
    start_rbeed
    good_model
    door deep_json
}

@test "slow heads, slow bodies, silence and deaf readers end; an ordinary client is served all the while" {
    fake_config <<<'limits {
        head_time = 500ms
        body_time = 500ms
        idle_time = 500ms
    }'
    start_rbeed
    good_model
    { echo "slots 8"; echo "tokens 1000000"; echo "reply $(head -c 4000 /dev/zero | tr '\0' x)"; } >"$T/flood"
    model flood <"$T/flood"
    ask a >/dev/null
    door slow_clients
}

@test "600 connections at 512 places: a status or the end for those outside, service for those inside" {
    start_rbeed
    good_model
    ask a >/dev/null
    door crowd
}

@test "no message tells a path that its client did not send, or a prompt, whatever is asked" {
    fake_config <<END
worker torn { command = "$T/secret-folder/program --port {port}" }
END
    start_rbeed
    good_model
    model broken <<<'exit 10 config "open /srv/somebody/models/x.gguf: no such file"'
    model dying <<END
die_after 1 SEGV
stderr "look into $T/secret-folder/y and /srv/somebody/models/x.gguf"
END
    model gone <<<'reply one'
    rm "$T/m/gone.gguf"
    door nothing_private "$TREE_DIR/supervisor/routes.def" "$T" /srv/somebody
}

@test "a label is in every line of its request, and each line is key=value whatever is in it" {
    start_rbeed
    good_model
    model dying <<<'die_after 1 SEGV'
    door labels "$T/rbeed.log"
    stop_rbeed
    assert_equal "$(db 'SELECT request_id, outcome FROM requests WHERE request_id LIKE "%-1" OR request_id LIKE "%-2"
        ORDER BY request_id')" "bad-1|failed
bad-2|failed
good-1|completed"
}
