#!/usr/bin/env bats
# One request through rbeed: started on demand, queued, streamed, cut off by every fault a worker or
# a client can have.

load supervisor_helpers

setup() {
    fake_setup
}
teardown() { rbee_teardown; }

# Speaks to the socket by hand: starts a request, reads nothing or a little, leaves when told.
# raw_client FILE-TO-LEAVE MODEL [BYTES-TO-READ-FIRST]
raw_client() {
    python3 - "$SOCKET" "$1" "$2" "${3:-0}" "$T/raw.got" <<'END' 3>&- &
import json, os, socket, sys, time
path, leave, model, count, got = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
s.connect(path)
body = json.dumps({"model": model, "prompt": "hi"}).encode()
s.sendall(b"POST /v1/inference HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
data = b""
while len(data) < int(count):
    data += s.recv(65536)
open(got, "wb").write(data)
while not os.path.exists(leave):
    time.sleep(0.01)
END
}

no_requests() {
    [ "$(api GET /v1/status | jq '.requests | length')" = 0 ]
}

# ---- the good way ----

@test "a worker is started on demand and every event comes in its place" {
    start_rbeed
    model paris <<<'reply "Paris is a city."'
    assert_equal "$(worker_field paris state 2>/dev/null)" null
    run ask paris
    run events <<<"$output"
    assert_equal "$(jq -rc 'select(type == "object") | .type' <<<"${output/\[DONE\]/}" | tr '\n' ' ')" \
        "queued started token token token token end "
    assert_equal "$(jq -rj 'select(.type? == "token").t' <<<"${output/\[DONE\]/}")" "Paris is a city."
    assert_equal "${lines[-1]}" "[DONE]"
    assert_equal "$(jq -rc 'select(.id?).id' <<<"${output/\[DONE\]/}" | sort -u | wc -l)" 1
    assert_equal "$(jq -c 'select(.type? == "end") | .timings.load_ms > 0 and .timings.queue_ms >= 0' \
        <<<"${output/\[DONE\]/}")" true
    # A second one finds it ready: nothing is queued, nothing loaded.
    run ask paris
    run events <<<"$output"
    refute_line --partial queued
    assert_equal "$(jq -c 'select(.type? == "end").timings.load_ms' <<<"${output/\[DONE\]/}")" 0
    assert_equal "$(cat "$T/m/paris.gguf.starts")" 1
}

@test "stream=false is one object with id, text, usage and timings" {
    start_rbeed
    model paris <<<'reply "Paris is a city."'
    run ask paris '"stream":false'
    assert_equal "$(jq -c '[.text,.model,.stop_reason,.usage.completion_tokens,(.timings.load_ms>0)]' <<<"$output")" \
        '["Paris is a city.","paris","stop",4,true]'
}

@test "fields go on to the worker, those for the supervisor do not, the id is ours" {
    start_rbeed
    model paris <<<'reply "one"'
    run ask paris '"temperature":0,"surprise":true,"context":1024'
    run jq -c 'select(.what=="inference").body' "$T/m/paris.log"
    assert_equal "$output" '{"model":"paris","prompt":"hi","temperature":0,"surprise":true,"stream":true}'
    run jq -r 'select(.what=="inference").id' "$T/m/paris.log"
    assert_regex "$output" '^r-[A-Za-z0-9_-]{22}$'
}

@test "a character that is cut by the worker's writes arrives whole" {
    start_rbeed
    model umlaut <<'END'
reply "Grüße 🐝"
split_bytes 0
END
    run ask umlaut
    assert_equal "$(events <<<"$output" | grep -v DONE | jq -rj 'select(.type=="token").t')" "Grüße 🐝"
}

@test "what is wrong with a request is refused before anything starts" {
    start_rbeed
    model paris <<<'reply "one"'
    run ask paris '"temperature":"hot"'
    assert_output --partial INVALID_FIELD
    run api POST /v1/inference -d '{"model":"paris"}'
    assert_output --partial INVALID_FIELD
    run api POST /v1/inference -d 'no json'
    assert_output --partial INVALID_JSON
    assert_equal "$(api_status GET /v1/workers/paris)" 404
}

@test "folders whose names are no UTF-8 are as good as others" {
    local odd=$T/$'r\xe9'
    mkdir -m 700 "$odd" "$odd/state" "$odd/run"
    export XDG_STATE_HOME=$odd/state XDG_RUNTIME_DIR=$odd/run
    SOCKET=$odd/run/rbee/rbee.sock
    start_rbeed
    assert_equal "$(api GET /v1/status | jq -r .socket)" "$T/r�/run/rbee/rbee.sock"
    model paris <<<'reply "Paris is a city."'
    run ask paris '"stream":false'
    assert_output --partial 'Paris is a city.'
    assert_equal "$(api_status GET /v1/status)" 200
    stop_rbeed
}

@test "autostart that is taken out of the configuration ends with it" {
    fake_config <<<'worker paris { autostart = true }
worker asked { autostart = true }'
    start_rbeed
    model paris <<<'reply one'
    model asked <<<'reply one'
    api POST /v1/workers/paris/start >/dev/null
    api POST /v1/workers/paris/stop >/dev/null
    api POST /v1/workers/asked/start >/dev/null
    wait_for_worker asked ready
    stop_rbeed
    start_rbeed
    wait_for_worker paris ready # a stop lasts until the next supervisor
    stop_rbeed
    fake_config </dev/null
    start_rbeed
    assert_equal "$(worker_field paris state)" down
    assert_equal "$(worker_field paris desired)" down
    wait_for_worker asked ready # a person's wish, too
}

# ---- names ----

@test "without a model the only one is taken; with none or several the reply says so" {
    start_rbeed
    run api POST /v1/inference -d '{"prompt":"hi"}'
    assert_output --partial 'there is no model yet: rbee model add FILE, or rbee model pull hf:'
    model first <<<'reply one'
    run api POST /v1/inference -d '{"prompt":"hi"}'
    assert_line --partial '"type":"end"'
    model second <<<'reply two'
    run api POST /v1/inference -d '{"prompt":"hi"}'
    assert_output --partial '"code":"MODEL_NOT_FOUND"'
    assert_output --partial 'first, second'
    run ask secnd
    assert_output --partial 'no model or worker is called secnd; did you mean second?'
}

@test "the default model of the configuration" {
    fake_config <<<'supervisor { default_model = "second" }'
    start_rbeed
    model first <<<'reply one'
    model second <<<'reply two'
    run api POST /v1/inference -d '{"prompt":"hi"}'
    assert_line --partial '"model":"second"'
}

@test "who asks for a file never hears another one" {
    start_rbeed
    model right <<<'reply RIGHT'
    model wrong <<<'reply WRONG'
    api POST /v1/workers/right/start -d '{"model":"wrong"}' >/dev/null
    wait_for_worker right ready
    run ask "$T/m/right.gguf"
    assert_output --partial '"code":"CONFLICT"'
    assert_output --partial 'worker right is there already, with another model file'
    run ask right '"stream":false'
    assert_output --partial WRONG
    # It has been stopped: nobody holds on to that model any more.
    api POST /v1/workers/right/stop >/dev/null
    wait_for_worker right down
    run ask "$T/m/right.gguf" '"stream":false'
    assert_output --partial RIGHT
    run ask right '"stream":false'
    assert_output --partial RIGHT
}

@test "a file that a request named is no default, and is forgotten with the supervisor" {
    start_rbeed
    model only <<<'reply ONLY'
    script other <<<'reply OTHER'
    run ask "$T/m/other.gguf" '"stream":false'
    assert_output --partial OTHER
    run api POST /v1/inference -d '{"prompt":"hi","stream":false}'
    assert_output --partial ONLY
    stop_rbeed
    start_rbeed
    assert_equal "$(api_status GET /v1/workers/other)" 404
    assert_equal "$(api_status GET /v1/workers/only)" 200
    run ask "$T/m/other.gguf" '"stream":false'
    assert_output --partial OTHER
    api POST /v1/workers/other/start >/dev/null
    stop_rbeed
    start_rbeed
    wait_for_worker other ready # somebody has asked for it by now
    run api POST /v1/inference -d '{"prompt":"hi"}'
    assert_output --partial 'only, other'
}

@test "a model file that is mended while no supervisor runs is tried again" {
    start_rbeed
    model paris <<<'exit 10 config broken'
    run ask paris
    assert_equal "$(worker_field paris state)" failed
    stop_rbeed
    start_rbeed
    assert_equal "$(worker_field paris state)" failed
    run ask paris
    assert_output --partial '"code":"WORKER_CONFIG"'
    stop_rbeed
    script paris <<<'reply "well again"'
    start_rbeed
    run ask paris '"stream":false'
    assert_output --partial 'well again'
}

@test "a path is described and used under its file's name without being added" {
    start_rbeed
    script Big.Model-7B <<<'reply one'
    run ask "$T/m/Big.Model-7B.gguf"
    assert_line --partial '"model":"big.model-7b"'
    assert_equal "$(api GET /v1/models | jq '.data | length')" 0
    run ask big.model-7b
    assert_line --partial '"type":"end"'
    mkdir "$T/n"
    cp "$T/m/Big.Model-7B.gguf" "$T/n/"
    run ask "$T/n/Big.Model-7B.gguf"
    assert_output --partial '"code":"CONFLICT"'
    run ask "$T/m/none.gguf"
    assert_output --partial '"code":"FILE_NOT_FOUND"'
    script bad <<<'describe_exit 10 tensor 7 lies past the end'
    run ask "$T/m/bad.gguf"
    assert_output --partial '"code":"INVALID_MODEL"'
    assert_output --partial 'tensor 7 lies past the end'
    assert_equal "$(api_status GET /v1/workers/bad)" 404
}

@test "--no-start: a worker that is down stays down" {
    start_rbeed
    model paris <<<'reply one'
    run ask paris '"start":false'
    assert_output --partial '"code":"WORKER_DOWN"'
    assert [ ! -e "$T/m/paris.gguf.starts" ]
}

# ---- the queue ----

@test "what waits is served in the order it came" {
    start_rbeed
    model slow <<<'gate_after 1 go'
    local n pids=()
    for n in 1 2 3 4; do
        ask_later "$n" slow
        pids+=("$ASKED")
        wait_until worker_has slow queued $((n - 1)) || wait_until worker_has slow queued "$n"
        [ "$n" != 1 ] || wait_for_deed slow gate
    done
    assert_equal "$(api GET /v1/status | jq -c '[.requests[].state]')" \
        '["running","queued","queued","queued"]'
    run events <"$T/out.4"
    assert_line --partial '"position":3'
    touch "$T/m/go"
    wait "${pids[@]}"
    local order
    order=$(for n in 1 2 3 4; do events <"$T/out.$n" | grep -v DONE | jq -r 'select(.type=="started").id'; done)
    assert_equal "$(jq -r 'select(.what=="inference").id' "$T/m/slow.log")" "$order"
}

@test "a full queue refuses with 429 and Retry-After" {
    fake_config <<<'limits { queue = 1 }'
    start_rbeed
    model slow <<<'gate_after 1 go'
    ask_later 1 slow
    local first=$ASKED
    wait_for_deed slow gate
    ask_later 2 slow
    wait_until worker_has slow queued 1
    run ask slow
    assert_output --partial '"code":"QUEUE_FULL"'
    run api POST /v1/inference -d '{"model":"slow","prompt":"x"}' -o /dev/null -D -
    assert_line --regexp '^HTTP/1.1 429'
    assert_line --regexp '^Retry-After: '
    touch "$T/m/go"
    wait "$first" "$ASKED"
    run events <"$T/out.2"
    assert_line --partial '"type":"end"'
}

# ---- deaths ----

@test "a worker that dies before the first event: 502 at once, with what it died of" {
    start_rbeed
    model brittle <<<'@1 die_after 0 SEGV'
    api POST /v1/workers/brittle/start >/dev/null
    wait_for_worker brittle ready
    run api POST /v1/inference -d '{"model":"brittle","prompt":"x","stream":false}' -w '%{http_code}'
    assert_output --partial '"code":"WORKER_DIED"'
    assert_output --partial SIGSEGV
    assert_output --regexp '502$'
    # It is wanted up, so it is started again by itself.
    wait_for_worker brittle ready
    assert_equal "$(cat "$T/m/brittle.gguf.starts")" 2
    assert_equal "$(worker_field brittle restarts)" 1
    run ask brittle
    assert_line --partial '"type":"end"'
}

@test "a worker that dies after tokens: the error event, then the end" {
    start_rbeed
    model brittle <<'END'
last_words device_memory 8 GiB wanted
die_after 2 12
END
    run ask brittle
    run events <<<"$output"
    assert_line --partial '"i":1'
    refute_line --partial '"i":2'
    assert_equal "$(jq -c '[.type,.code]' <<<"${lines[-2]}")" '["error","WORKER_DIED"]'
    assert_line --partial 'exit 12 (out of device memory): 8 GiB wanted'
    assert_equal "${lines[-1]}" '[DONE]'
}

@test "a death fails what waits as well, each with the reason" {
    start_rbeed
    model brittle <<'END'
gate_after 1 go
die_after 2 KILL
END
    ask_later 1 brittle
    local first=$ASKED
    wait_for_deed brittle gate
    ask_later 2 brittle
    wait_until worker_has brittle queued 1
    touch "$T/m/go"
    wait "$first" "$ASKED"
    run events <"$T/out.2"
    assert_line --partial '"code":"WORKER_DIED"'
    assert_line --partial 'SIGKILL'
    wait_until no_requests
}

@test "dies while loading with a configuration fault: failed, until a person or another file" {
    start_rbeed
    model broken <<<'@1 exit 10 config tensor type 42 is not supported'
    run ask broken
    run events <<<"$output"
    assert_line --partial '"code":"WORKER_CONFIG"'
    assert_line --partial 'tensor type 42 is not supported'
    assert_equal "$(worker_field broken state)" failed
    assert_equal "$(api GET /v1/status | jq -r .state)" degraded
    run ask broken
    assert_output --partial '"code":"WORKER_CONFIG"'
    assert_output --partial 'tensor type 42 is not supported'
    assert_equal "$(cat "$T/m/broken.gguf.starts")" 1
    assert_equal "$(api_status GET '/v1/workers/broken/wait?for=ready')" 503
    # It is still failed after a restart of the supervisor.
    stop_rbeed
    start_rbeed
    run ask broken
    assert_output --partial '"code":"WORKER_CONFIG"'
    # A changed file is another model.
    echo '# mended' >>"$T/m/broken.gguf"
    run ask broken
    assert_line --partial '"type":"end"'
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
}

@test "a person's start gives a failed worker another chance" {
    start_rbeed
    model broken <<<'@1 exit 10 config no such device'
    ask broken >/dev/null
    assert_equal "$(worker_field broken state)" failed
    api POST /v1/workers/broken/start >/dev/null
    wait_for_worker broken ready
}

@test "dies while loading otherwise: the request waits for the restarts" {
    start_rbeed
    model flaky <<'END'
@1 exit 11 host_memory 10 GiB wanted
@2 kill SEGV
@3 load_steps 3 20
@3 load_exit 1 internal lost
END
    run ask flaky
    assert_output --partial '"type":"end"'
    assert_equal "$(worker_field flaky restarts)" 3
    stop_rbeed
    run db "select json_extract(details, '\$.fault') || ' ' || json_extract(details, '\$.exit')
        from events where json_extract(details, '\$.event') like 'exited%' order by seq"
    assert_line --index 0 'oom exit 11 (out of host memory)'
    assert_line --index 1 'crash SIGSEGV'
    assert_line --index 2 'crash exit 1'
}

@test "a load without progress is ended; one with progress may take its time" {
    LOAD_STALL=1500ms MAX_ATTEMPTS=1 fake_config </dev/null
    start_rbeed
    local kind
    for kind in load_hang never_answer never_accept ready_text; do
        model "$kind" <<<"$kind no"
        run ask "$kind"
        assert_output --partial '"code":"CIRCUIT_OPEN"'
        assert_output --partial 'its load was overdue'
        assert_equal "$(worker_field "$kind" state)" open
        assert_equal "$(worker_field "$kind" last_fault)" load_timeout
        assert_equal "$(worker_field "$kind" last_exit)" "killed: its load was overdue"
    done
    model patient <<<'load_steps 40 100'
    run ask patient
    assert_output --partial '"type":"end"'
}

@test "a load as a whole has its limit too" {
    printf 'life {\n load_timeout = 4s\n}\nrestart {\n base = 0\n max_attempts = 1\n}\n' | write_config
    start_rbeed
    model long <<<'load_steps 200 100'
    run ask long
    assert_output --partial '"code":"CIRCUIT_OPEN"'
    run cat "$T/rbeed.log"
    assert_output --partial 'was not ready within 4000 ms'
}

@test "the death of a worker that said much is written down, its lines cut" {
    start_rbeed
    {
        echo 'exit 14 fault gone'
        for _ in {1..20}; do
            printf 'stderr "%s"\n' "$(head -c 8000 /dev/zero | tr '\0' '\001')"
        done
    } | script loud
    add_model loud >/dev/null
    run ask loud
    assert_output --partial '"code":"CIRCUIT_OPEN"'
    run api GET /v1/status
    refute_output --partial 'takes no more rows'
    refute [ "$(grep -c store_refused "$T/rbeed.log")" -gt 0 ]
    stop_rbeed
    run db "select length(json_extract(details, '\$.stderr[3]')) from events
        where json_extract(details, '\$.event') like 'exited%'"
    assert_line --index 0 1024
    assert_line --index 3 1024 # three restarts
}

@test "a worker that cannot be started" {
    start_rbeed
    model paris <<<'reply one'
    mv "$T/bin/rbee-worker" "$T/bin/gone"
    run ask paris
    assert_output --partial '"error"'
    assert_output --partial rbee-worker
    # No restart brings the program back: a person does, and says so.
    assert_equal "$(worker_field paris state)" failed
    mv "$T/bin/gone" "$T/bin/rbee-worker"
    api POST /v1/workers/paris/start >/dev/null
    run ask paris
    assert_output --partial '"type":"end"'
}

# ---- nonsense from a worker ----

@test "nonsense ends the request with PROTOCOL, never the supervisor" {
    start_rbeed
    local n=0 line
    while read -r line; do
        n=$((n + 1))
        model "odd$n" <<<"$line"
        run ask "odd$n"
        assert_output --regexp '"code":"(PROTOCOL|STREAM_BROKEN)"'
        assert_output --regexp '\[DONE\]|"error"'
        assert_equal "$(worker_field "odd$n" state)" ready
        run ask "odd$n" '"stream":false'
        wait_until no_requests
    done <<'END'
bad_json_after 1
garbage_after 1
garbage_reply
huge_after 1 2000000
close_after 1
status 200 OK but no stream
status 401 INVALID_API_KEY who are you
END
    run api GET /health
    assert_success
}

@test "a token of several lines does not become lines of its own at the client" {
    start_rbeed
    model paris <<<'lines_after 1'
    run ask paris
    assert_output --partial '"code":"PROTOCOL"'
    assert_output --partial 'a token of several lines'
    refute_line --regexp '^data:? *$'
    refute_line '"t":"two","i":0}'
    assert_line 'data: [DONE]'
    assert_equal "$(worker_field paris state)" ready
}

@test "an error of the worker comes through with its code" {
    start_rbeed
    model full <<<'status 400 PROMPT_TOO_LONG 9000 tokens, 2048 fit'
    api POST /v1/workers/full/start >/dev/null
    wait_for_worker full ready
    run api POST /v1/inference -d '{"model":"full","prompt":"x"}' -w '%{http_code}'
    assert_output --partial '"code":"PROMPT_TOO_LONG"'
    assert_output --partial '9000 tokens, 2048 fit'
    assert_output --regexp '400$'
    model nan <<<'error_after 1 INTERNAL the logits are not numbers'
    run ask nan
    assert_output --partial '"code":"INTERNAL"'
    assert_output --partial 'the logits are not numbers'
}

@test "an end without [DONE] is an end" {
    start_rbeed
    model mute <<<'no_done'
    run ask mute
    run events <<<"$output"
    assert_equal "${lines[-1]}" '[DONE]'
    wait_until no_requests
}

# ---- clients that leave ----

@test "client gone while it waits in the queue: nothing is sent for it" {
    start_rbeed
    model slow <<<'gate_after 1 go'
    ask_later 1 slow
    local first=$ASKED
    wait_for_deed slow gate
    raw_client "$T/leave" slow 1
    wait_until worker_has slow queued 1
    touch "$T/leave"
    wait_until worker_has slow queued 0
    touch "$T/m/go"
    wait "$first"
    assert_equal "$(done_count slow inference)" 1
}

@test "client gone while the model loads: the load goes on" {
    start_rbeed
    model slow <<<'load_gate go'
    raw_client "$T/leave" slow 1
    wait_for_deed slow start
    touch "$T/leave"
    wait_until no_requests
    assert_equal "$(worker_field slow state)" starting
    touch "$T/m/go"
    wait_for_worker slow ready
    assert_equal "$(done_count slow inference)" 0
}

@test "client gone in the middle of an answer: the worker sees it at once, the next one is served" {
    start_rbeed
    model slow <<'END'
tokens 1000000
token_ms 5
END
    raw_client "$T/leave" slow 400
    wait_until test -e "$T/raw.got"
    touch "$T/leave"
    wait_for_deed slow gone
    wait_until worker_has slow in_flight 0
    run ask slow '"max_tokens":2'
    assert_output --partial '"type":"end"'
}

@test "client gone before the first token: the worker sees it too" {
    start_rbeed
    model slow <<<'prefill_ms 60000'
    raw_client "$T/leave" slow 1
    wait_for_deed slow inference
    touch "$T/leave"
    wait_for_deed slow gone
    wait_until no_requests
}

@test "a slow client stops its worker's stream, and memory stays bounded" {
    start_rbeed
    local word
    word=$(head -c 2000 /dev/zero | tr '\0' x)
    model flood <<END
reply $word
tokens 100000
END
    raw_client "$T/leave" flood 1
    wait_for_deed flood inference
    # 200 MB want to come; the counter stands still once every buffer on the way is full.
    local before after=-1
    stands_still() {
        before=$after
        after=$(api GET /v1/status | jq '.requests[0].tokens')
        [ "$after" = "$before" ] && [ "$after" -gt 0 ]
    }
    wait_until stands_still
    assert [ "$after" -lt 5000 ]
    assert [ "$(awk '/VmHWM/ { print $2 }' "/proc/$RBEED_PID/status")" -lt 300000 ]
    touch "$T/leave"
    wait_for_deed flood gone
}

@test "a client that is slow for a while gets everything" {
    start_rbeed
    local word
    word=$(head -c 1000 /dev/zero | tr '\0' x)
    model flood <<END
reply $word
tokens 3000
END
    api POST /v1/inference -N --limit-rate 2M -d '{"model":"flood","prompt":"x"}' >"$T/out"
    assert_equal "$(events <"$T/out" | grep -c '"type":"token"')" 3000
    run tail -n 4 "$T/out"
    assert_output --partial '"stop_reason":"stop"'
    assert_output --partial '[DONE]'
}

# ---- DELETE ----

@test "DELETE ends what runs and what waits, and is 204 in any case" {
    start_rbeed
    model slow <<<'hang_after 1'
    ask_later 1 slow
    local first=$ASKED id
    wait_for_deed slow hang
    ask_later 2 slow
    wait_until worker_has slow queued 1
    id=$(api GET /v1/status | jq -r '.requests[1].id')
    assert_equal "$(api_status DELETE "/v1/inference/$id")" 204
    wait "$ASKED"
    run events <"$T/out.2"
    assert_line --partial '"code":"CANCELLED"'
    id=$(api GET /v1/status | jq -r '.requests[0].id')
    assert_equal "$(api_status DELETE "/v1/inference/$id")" 204
    wait "$first"
    run events <"$T/out.1"
    assert_line --partial '"code":"CANCELLED"'
    assert_line '[DONE]'
    wait_for_deed slow gone
    assert_equal "$(api_status DELETE "/v1/inference/$id")" 204
}

# ---- idleness, silence ----

@test "a worker that a request started stops after a while without one" {
    printf 'life {\n idle_stop = 300ms\n}\n' | write_config
    start_rbeed
    model brief <<<'reply one'
    ask brief | grep -q DONE
    wait_for_worker brief down
    assert_equal "$(done_count brief term)" 1
    # That was no failure, and the next request starts it again.
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
    ask brief | grep -q DONE
    # A person's start keeps it.
    api POST /v1/workers/brief/start >/dev/null
    wait_for_worker brief ready
    assert_equal "$(worker_field brief desired)" up
}

@test "a request that comes while it stops for idleness starts it again" {
    printf 'life {\n idle_stop = 100ms\n}\n' | write_config
    start_rbeed
    model brief <<<'term_ms 500'
    ask brief | grep -q DONE
    wait_for_deed brief term
    run ask brief
    assert_output --partial '"type":"end"'
    assert_equal "$(cat "$T/m/brief.gguf.starts")" 2
}

@test "a request that comes while an idle worker will not stop waits for its KILL" {
    printf 'life {\n idle_stop = 100ms\n term_grace = 500ms\n}\n' | write_config
    start_rbeed
    model tough <<<'ignore_term'
    ask tough | grep -q DONE
    wait_for_deed tough term
    run ask tough
    assert_output --partial '"type":"end"'
    assert_equal "$(cat "$T/m/tough.gguf.starts")" 2
}

@test "silence is filled with pings" {
    start_rbeed
    model quiet <<<'gate_after 1 go'
    ask_later 1 quiet
    wait_for_line "$T/out.1" '^: ping'
    touch "$T/m/go"
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"type":"end"'
}

@test "the database knows how each request ended, and no prompt" {
    start_rbeed
    model paris <<<'reply "Paris is a city."'
    api POST /v1/inference -H 'X-Request-Id: label-1' -d '{"model":"paris","prompt":"very secret"}' >/dev/null
    ask nowhere >/dev/null
    stop_rbeed
    assert_equal "$(db "select request_id, worker, outcome, stop_reason, prompt_tokens, completion_tokens
                        from requests where worker != ''")" 'label-1|paris|completed|stop|5|4'
    assert_equal "$(db "select outcome from requests where worker = ''")" failed
    run grep -rl 'very secret' "$STATE" "$T/rbeed.log"
    assert_failure
}
