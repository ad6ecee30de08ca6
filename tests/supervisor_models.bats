#!/usr/bin/env bats
# The registry of models over the API: what is described, kept, missing, changed, refused.

load supervisor_helpers

setup() {
    fake_setup
    start_rbeed
}
teardown() { rbee_teardown; }

model_state() { # NAME
    api GET "/v1/models/$1" | jq -r .state
}

@test "a model is described once, listed by name and shown with what it is" {
    script Zebra <<<'describe parameters 135000000'
    script ant <<<'reply one'
    run api POST /v1/models -d "{\"path\":\"$T/m/Zebra.gguf\"}" -w '%{http_code}'
    assert_output --regexp '201$'
    run jq -c '[.id,.object,.name,.state,.architecture,.parameters,.context_tokens,.template]' <<<"${output%201}"
    assert_output '["zebra","model","zebra","ok","fake",135000000,2048,"chatml"]'
    add_model ant >/dev/null
    run api GET /v1/models
    assert_equal "$(jq -c '[.object,[.data[].id]]' <<<"$output")" '["list",["ant","zebra"]]'
    assert_equal "$(api GET /v1/models/zebra | jq .size_bytes)" "$(stat -c %s "$T/m/Zebra.gguf")"
}

@test "models are there again after a restart" {
    model ant <<<'reply one'
    api GET /v1/models/ant | jq -S . >"$T/before"
    kill -KILL "$RBEED_PID"
    wait "$RBEED_PID" || true
    start_rbeed
    assert_equal "$(api GET /v1/models/ant | jq -S .)" "$(cat "$T/before")"
}

@test "what cannot be a model is refused with the reason and not kept" {
    script bad <<<'describe_exit 10 wrong magic'
    run api POST /v1/models -d "{\"path\":\"$T/m/bad.gguf\"}" -w '%{http_code}'
    assert_output --partial '"code":"INVALID_MODEL"'
    assert_output --partial '"message":"wrong magic"'
    assert_output --regexp '422$'
    script odd <<<'describe_text no record'
    run add_model odd
    assert_output --partial '"code":"PROTOCOL"'
    run api POST /v1/models -d "{\"path\":\"$T/m/none.gguf\"}"
    assert_output --partial '"code":"FILE_NOT_FOUND"'
    run api POST /v1/models -d "{\"path\":\"$T/m\"}"
    assert_output --partial '"code":"INVALID_MODEL"'
    run api POST /v1/models -d '{"path":"m/odd.gguf"}'
    assert_output --partial 'path must be an absolute path'
    run api POST /v1/models -d "{\"path\":\"$T/m/odd.gguf\",\"name\":\"Not A Name\"}"
    assert_output --partial '"code":"INVALID_FIELD"'
    assert_equal "$(api GET /v1/models | jq '.data | length')" 0
}

@test "a description of the wrong shape is refused, and one in the database harms nothing" {
    local field
    for field in 'parameters many' 'context_tokens "[1]"' 'architecture 7' 'template true' \
        'parameters 1.5' 'parameters -1'; do
        script odd <<<"describe $field"
        run add_model odd
        assert_output --partial '"code":"PROTOCOL"'
        assert_output --partial "${field%% *} must be"
    done
    script list <<<'describe_text []'
    run add_model list
    assert_output --partial '"code":"PROTOCOL"'
    assert_equal "$(api GET /v1/models | jq '.data | length')" 0
    # A file that changes into such a one fails the request, and stays what it was.
    model ant <<<'reply one'
    echo 'describe architecture 7' >>"$T/m/ant.gguf"
    run ask ant
    assert_output --partial '"code":"PROTOCOL"'
    assert_equal "$(model_state ant)" changed
    stop_rbeed
    python3 - "$STATE/rbee.db" <<'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("update models set details = '{\"architecture\":7,\"parameters\":\"x\"}'")
db.commit()
END
    start_rbeed
    assert_equal "$(api GET /v1/models/ant | jq -c '[.name,.architecture,.parameters]')" \
        '["ant",null,null]'
}

@test "a name of one's own, and one that is taken" {
    script ant <<<'reply one'
    script bee <<<'reply two'
    api POST /v1/models -d "{\"path\":\"$T/m/ant.gguf\",\"name\":\"small\"}" >/dev/null
    run api POST /v1/models -d "{\"path\":\"$T/m/bee.gguf\",\"name\":\"small\"}"
    assert_output --partial '"code":"CONFLICT"'
    # The same file again is read again.
    run api POST /v1/models -d "{\"path\":\"$T/m/ant.gguf\",\"name\":\"small\"}" -w '%{http_code}'
    assert_output --regexp '201$'
    run ask small
    assert_line --partial '"model":"small"'
}

@test "nothing is called as the supervisor is, whose log it would write" {
    script rbeed <<<'reply one'
    run api POST /v1/models -d "{\"path\":\"$T/m/rbeed.gguf\"}"
    assert_output --partial '"code":"INVALID_REQUEST"'
    assert_output --partial 'rbeed.gguf makes no name for a model, \"rbee model add FILE --name NAME\" gives it one: \"rbeed\" cannot be a name'
    run ask "$T/m/rbeed.gguf"
    assert_output --partial 'rbee model add FILE --name NAME'
    run api POST /v1/models -d "{\"path\":\"$T/m/rbeed.gguf\",\"name\":\"rbeed\"}"
    assert_output --partial '"code":"INVALID_FIELD"'
    assert_output --partial 'the supervisor is called so; choose another one'
    run api POST /v1/workers/rbeed/start -d "{\"model\":\"$T/m/rbeed.gguf\"}"
    assert_output --partial '"code":"INVALID_FIELD"'
    assert_output --partial 'the supervisor is called so; choose another one'
    assert_equal "$(api GET /v1/workers | jq '.workers | length')" 0
    run rbee model add "$T/m/rbeed.gguf" --name mine
    assert_output mine
    assert_equal "$(ls "$STATE/logs")" ""
}

@test "a file that is gone or another is seen" {
    model ant <<<'reply one'
    assert_equal "$(model_state ant)" ok
    mv "$T/m/ant.gguf" "$T/m/away"
    assert_equal "$(model_state ant)" missing
    run ask ant
    assert_output --partial '"code":"FILE_NOT_FOUND"'
    mv "$T/m/away" "$T/m/ant.gguf"
    assert_equal "$(model_state ant)" ok
    echo 'describe context_tokens 4096' >>"$T/m/ant.gguf"
    assert_equal "$(model_state ant)" changed
    # The next request that starts it describes it anew.
    run ask ant
    assert_line --partial '"type":"end"'
    assert_equal "$(model_state ant)" ok
    assert_equal "$(api GET /v1/models/ant | jq .context_tokens)" 4096
}

@test "a changed file that is no model any more: the request says why" {
    model ant <<<'reply one'
    echo 'describe_exit 10 file of zeros' >"$T/m/ant.gguf"
    run ask ant
    assert_output --partial '"code":"INVALID_MODEL"'
    assert_output --partial 'file of zeros'
    assert_equal "$(model_state ant)" changed
}

@test "a model is forgotten, its file stays; one that runs is in the way" {
    model ant <<<'reply one'
    ask ant | grep -q DONE
    run api DELETE /v1/models/ant
    assert_output --partial '"code":"CONFLICT"'
    assert_output --partial 'rbee worker stop ant'
    api POST /v1/workers/ant/stop >/dev/null
    wait_for_worker ant down
    assert_equal "$(api_status DELETE /v1/models/ant)" 204
    assert_equal "$(api_status DELETE /v1/models/ant)" 404
    assert_equal "$(api_status GET /v1/workers/ant)" 404
    assert [ -e "$T/m/ant.gguf" ]
    stop_rbeed
    start_rbeed
    assert_equal "$(api GET /v1/models | jq '.data | length')" 0
    assert_equal "$(api GET /v1/workers | jq '.workers | length')" 0
}

@test "files that are being read have a limit, and leaving ends the reading" {
    local n pids=()
    for n in 1 2 3 4 5 6 7 8; do
        script "slow$n" <<<'describe_hang'
        add_model "slow$n" >/dev/null 2>&1 3>&- &
        pids+=("$!")
    done
    reads_eight() { [ "$(test_processes rbee-worker | wc -l)" = 8 ]; }
    wait_until reads_eight
    script ninth <<<'reply one'
    run add_model ninth
    assert_output --partial '"code":"SERVER_BUSY"'
    kill "${pids[@]}"
    assert_no_process rbee-worker
    run add_model ninth
    assert_output --partial '"name":"ninth"'
}

@test "many who ask for one new file wait for one reading of it" {
    local n pids=()
    script slow <<<'reply one'
    for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
        ask_later "$n" "$T/m/slow.gguf"
        pids+=("$ASKED")
    done
    wait "${pids[@]}"
    for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
        run cat "$T/out.$n"
        assert_line --partial '"type":"end"'
    done
}

@test "who leaves a file that others wait for does not end its reading" {
    script slow <<<'describe_hang'
    local first
    ask_later 1 "$T/m/slow.gguf"
    first=$ASKED
    are_asking() { [ "$(api GET /v1/status | jq '.requests | length')" = "$1" ]; }
    wait_until are_asking 1
    ask_later 2 "$T/m/slow.gguf"
    wait_until are_asking 2
    kill "$(pgrep -P "$first" curl || echo "$first")"
    wait_until are_asking 1
    assert_equal "$(test_processes rbee-worker | wc -l)" 1
    kill "$(pgrep -P "$ASKED" curl || echo "$ASKED")"
    wait_until are_asking 0
    assert_no_process rbee-worker
}

@test "a client that leaves while its path is read leaves nothing behind" {
    script slow <<<'describe_hang'
    ask_later 1 "$T/m/slow.gguf"
    is_reading() { [ -n "$(test_processes rbee-worker)" ]; }
    wait_until is_reading
    kill "$(pgrep -P "$ASKED" curl || echo "$ASKED")"
    assert_no_process rbee-worker
    assert_equal "$(api GET /v1/status | jq '.requests | length')" 0
}

@test "a supervisor that stops starts nothing for a file that is still being read" {
    script slow <<<'describe_hang'
    ask_later 1 "$T/m/slow.gguf"
    is_reading() { [ -n "$(test_processes rbee-worker)" ]; }
    wait_until is_reading
    stop_rbeed
    wait "$ASKED" || true
    run cat "$T/out.1"
    assert_output --partial '"code":"SERVER_BUSY"'
    assert_no_process
}

@test "a disk that refuses stops no request; who waits for it hears why; it recovers by itself" {
    model ant <<<'reply one'
    ask ant | grep -q DONE
    script bee <<<'reply two'
    # As a full disk: no file of rbeed may grow any more.
    prlimit --pid "$RBEED_PID" --fsize=0:
    run ask ant
    assert_line --partial '"type":"end"'
    status_is() { [ "$(api GET /v1/status | jq -r .state)" = "$1" ]; }
    wait_until status_is degraded
    # Behind rows that are refused already: it must not wait for them for ever.
    run add_model bee
    assert_output --partial '"error"'
    run ask ant
    assert_line --partial '"type":"end"'
    prlimit --pid "$RBEED_PID" --fsize=unlimited:
    wait_until status_is ok
    stop_rbeed
    assert_equal "$(db 'select count(*), min(outcome), max(outcome) from requests')" \
        '3|completed|completed'
}

@test "a model that is forgotten while its worker waits for a restart: who waits is told" {
    stop_rbeed
    RESTART_BASE=1m fake_config </dev/null
    start_rbeed
    model brittle <<<'exit 14 internal gone'
    ask_later 1 brittle
    wait_for_worker brittle waiting
    api GET '/v1/workers/brittle/wait?for=ready' >"$T/out.wait" 3>&- &
    local waiting=$!
    wait_until grep -q queued "$T/out.1"
    assert_equal "$(api_status DELETE /v1/models/brittle)" 204
    wait "$ASKED" "$waiting"
    run events <"$T/out.1"
    assert_line --partial 'has been removed'
    assert_equal "$(api GET /v1/status | jq -r '.requests | length')" 0
    assert_equal "$(api_status GET /v1/workers/brittle)" 404
}
