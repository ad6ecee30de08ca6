#!/usr/bin/env bats
# A command of the configuration as a worker, whatever program it is: started, asked, supervised as
# our own, and nothing of it believed.

load supervisor_helpers

setup() {
    fake_setup
    cp "$TESTS_DIR/fake/fake_openai.py" "$T/bin/fake_openai"
    cp "$TESTS_DIR/fake/fake_worker.py" "$T/bin/fake_worker.py"
}
teardown() { rbee_teardown; }

# A worker ext that is the fake server; its script comes on stdin, its log is $T/m/ext.log.
external() { # [MORE OF THE COMMAND] [MORE KEYS] [MORE SECTIONS]
    script ext
    fake_config <<END
worker ext {
    command = "fake_openai --script $T/m/ext.gguf ${1:---port {port\} --token-file {token_file\}}"
    ${2:-}
}
${3:-}
END
}

token_files() {
    find "$T/run/rbee" -name '*.token'
}

has_no_token_file() {
    [ -z "$(token_files)" ]
}

asked_body() { # WHAT
    jq -c "select(.what==\"$1\").body" "$T/m/ext.log" | tail -n 1
}

# ---- the good way ----

@test "it is started on demand and its text streams" {
    external <<<'reply "Grüße aus \"Paris\" 🐝"'
    start_rbeed
    run -0 --separate-stderr rbee infer -m ext "where?"
    assert_output 'Grüße aus "Paris" 🐝'
    run ask ext
    run events <<<"$output"
    assert_equal "$(jq -rc .type <<<"${output/\[DONE\]/}" | tr '\n' ' ')" \
        "started token token token token end "
    assert_equal "$(jq -rc 'select(.type=="token").i' <<<"${output/\[DONE\]/}" | tr '\n' ' ')" "0 1 2 3 "
    assert_equal "$(jq -c 'select(.type=="end") | [.stop_reason, .usage]' <<<"${output/\[DONE\]/}")" \
        '["stop",{"prompt_tokens":5,"completion_tokens":4}]'
    assert_equal "$(jq -r 'select(.id?).id' <<<"${output/\[DONE\]/}" | grep -c '^r-')" 1
    assert_equal "$(worker_field ext state)" ready
    assert_equal "$(worker_field ext device)" null
    assert_equal "$(worker_field ext model)" null
}

@test "one piece: text, usage and timings" {
    external <<<'reply "Paris is a city."'
    start_rbeed
    run -0 --separate-stderr rbee infer -m ext --json "where?"
    assert_equal "$(jq -c '[.text, .model, .stop_reason, .usage.prompt_tokens, .usage.completion_tokens]' <<<"$output")" \
        '["Paris is a city.","ext","stop",5,4]'
    assert_equal "$(jq -c '[.timings | .queue_ms, .load_ms, .prefill_ms, .decode_ms, .first_token_ms | type] | unique' <<<"$output")" \
        '["number"]'
}

@test "our fields in its words, and what it does not get is said" {
    external <<<'reply one'
    start_rbeed
    run -0 ask ext '"max_tokens":9,"temperature":0.5,"top_p":0.25,"top_k":3,"min_p":0.125,"repeat_penalty":1.5,"seed":7,"stop":["x","y"],"surprise":1'
    assert_line --partial '"warnings":["unknown field \"surprise\" is ignored"]'
    assert_equal "$(asked_body inference)" '{"model":"ext","messages":[{"role":"user","content":"hi"}],"temperature":0.5,"top_p":0.25,"top_k":3,"min_p":0.125,"repeat_penalty":1.5,"repetition_penalty":1.5,"stop":["x","y"],"max_tokens":9,"seed":7,"stream":true,"stream_options":{"include_usage":true}}'
    run -0 ask ext '"max_tokens":-1,"seed":-1,"stream":false'
    assert_equal "$(asked_body inference)" '{"model":"ext","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}'
}

@test "raw goes to /v1/completions as it stands" {
    external <<<'reply "and so on"'
    start_rbeed
    run -0 --separate-stderr rbee infer -m ext --raw "Once upon"
    assert_output "and so on"
    assert_equal "$(jq -r 'select(.what=="inference").target' "$T/m/ext.log")" /v1/completions
    assert_equal "$(asked_body inference | jq -c '[.prompt, .messages]')" '["Once upon",null]'
}

@test "a server without chat gets prompts as texts" {
    external <<<'no_chat'
    start_rbeed
    run -0 --separate-stderr rbee infer -m ext "hi"
    assert_output "one two three four"
    assert_equal "$(asked_body inference | jq -r .prompt)" hi
    run api POST /v1/inference -d '{"model":"ext","messages":[{"role":"user","content":"hi"}]}'
    assert_output --partial '"code":"PROTOCOL"'
    assert_output --partial 'worker ext answered 404: File Not Found'
}

@test "it is asked for its model by the name it tells, the worker's own before others" {
    external <<<'models first second'
    start_rbeed
    run -0 rbee infer -m ext hi
    assert_equal "$(asked_body inference | jq -r .model)" first
    api POST /v1/workers/ext/stop >/dev/null
    wait_for_worker ext down
    script ext <<<'models first ext second'
    run -0 rbee infer -m ext hi
    assert_equal "$(asked_body inference | jq -r .model)" ext
}

@test "finish reasons are ours, thoughts are no text, and events count where usage is missing" {
    external <<'END'
reply "two words"
thoughts "let me think"
finish_reason tool_calls
no_usage
END
    start_rbeed
    run -0 ask ext '"stream":false'
    assert_equal "$(jq -c '[.text, .stop_reason, .usage]' <<<"$output")" \
        '["two words","stop",{"prompt_tokens":null,"completion_tokens":3}]'
    script ext <<<'reply "a b c"'
    api POST /v1/workers/ext/stop >/dev/null
    wait_for_worker ext down
    run -0 ask ext '"stream":false,"max_tokens":2'
    assert_equal "$(jq -c '[.text, .stop_reason]' <<<"$output")" '["a b","length"]'
}

@test "a command on the device gpu has that device's breaker" {
    external '--port {port} --token-file {token_file} --device={device}' 'device = gpu' <<<'reply one'
    start_rbeed
    ask ext | grep -q DONE
    assert_equal "$(rbee breaker ls --json | jq -r '.breakers[] | select(.kind == "gpu") | "\(.name) \(.state)"')" \
        'gpu closed'
    run -0 rbee breaker open gpu --reason hot
    run -0 rbee breaker reset gpu
}

@test "the model is the file of a registered one, the device is the configuration's" {
    external '--port {port} --model {model} --device={device}' \
        "model = paris
    device = gpu:7" <<<'reply one'
    start_rbeed
    run ask ext
    assert_output --partial '"code":"MODEL_NOT_FOUND"'
    model paris <<<'reply nothing'
    run -0 ask ext
    assert_line --partial '"type":"end"'
    run jq -r 'select(.what=="start").argv | join(" ")' "$T/m/ext.log"
    assert_output --partial "--model $T/m/paris.gguf --device=gpu:7"
    assert_equal "$(worker_field ext model)" paris
    assert_equal "$(worker_field ext device)" gpu:7
}

@test "words are those of a shell, and the environment is that of a worker" {
    fake_config <<END
worker ext {
    command = "sh -c 'exec fake_openai \"\$@\"' 'a b' --script $T/m/ext.gguf --port={port} 'c  \"d' e\\\\ f"
}
END
    script ext <<<'reply one'
    SECRET_OF_SOMEBODY=x HIP_SOMETHING=1 start_rbeed
    run -0 ask ext
    assert_equal "$(jq -c 'select(.what=="start").argv[-2:]' "$T/m/ext.log")" '["c  \"d","e f"]'
    run jq -r 'select(.what=="start").environ[]' "$T/m/ext.log"
    refute_line --partial SECRET
    assert_line HIP_SOMETHING=1
    assert_line "RBEE_INSTANCE=$(worker_field ext instance)"
}

@test "what the configuration sets in the command cannot be asked for elsewhere" {
    external <<<'reply one'
    start_rbeed
    run ask ext '"context":512'
    assert_output --partial '"code":"INVALID_FIELD"'
    assert_output --partial 'its context is set there'
    run ask ext '"device":"cpu"'
    assert_output --partial 'its device is set there'
    run ask ext '"logprobs":0'
    assert_output --partial '"code":"INVALID_FIELD"'
    assert_output --partial 'no log-probabilities can be had'
    run api POST /v1/workers/ext/start -d '{"threads":2}'
    assert_output --partial 'its threads is set there'
    assert_equal "$(worker_field ext state)" down
}

# ---- ready ----

@test "ready is health and then a token" {
    external '' 'health = /health' <<'END'
load_gate go
models x
END
    start_rbeed
    api POST /v1/workers/ext/start >/dev/null
    wait_for_deed ext asked
    assert_equal "$(worker_field ext state)" starting
    assert_equal "$(done_count ext canary)" 0
    touch "$T/m/go"
    wait_for_worker ext ready
    assert_equal "$(jq -r 'select(.what=="asked").target' "$T/m/ext.log" | uniq | tr '\n' ' ')" \
        "/health /v1/models /v1/chat/completions "
    assert_equal "$(asked_body canary | jq -c '[.max_tokens, .stream]')" '[1,false]'
    assert_equal "$(worker_field ext 'warnings | length')" 0
}

@test "health says ok, but inference fails: it is not ready, and the record says why" {
    external <<<'canary_status 500 out of luck'
    start_rbeed
    api POST /v1/workers/ext/start >/dev/null
    wait_for_deed ext canary
    wait_until worker_has ext 'warnings[0]' "worker ext answered 500: out of luck"
    assert_equal "$(worker_field ext state)" starting
    run -0 rbee worker show ext
    assert_line "warnings: worker ext answered 500: out of luck"
}

@test "a load has its time limit alone, and the reason names what was answered last" {
    {
        echo 'life {'
        echo '    load_timeout = 3s'
        echo '    load_stall = 100ms'
        echo '}'
        echo 'breaker { failures = 1 }'
        echo "worker ext { command = \"fake_openai --script $T/m/ext.gguf --port {port}\" }"
    } | write_config
    script ext <<<'health_status 503'
    start_rbeed
    run ask ext
    assert_output --partial 'killed: its load was overdue: /health answered 503'
    assert_no_process fake_openai
}

# ---- the token ----

@test "the token is in a file of our own, nowhere else, and goes with the process" {
    external <<<'reply one'
    start_rbeed
    run -0 ask ext
    assert_line --partial '"type":"end"'
    assert_equal "$(token_files | wc -l)" 1
    assert_equal "$(stat -c '%a %u' "$(token_files)")" "600 $(id -u)"
    local token pid
    token=$(cat "$(token_files)")
    assert_regex "$token" '^[0-9a-f]{64}$'
    for pid in $(test_processes); do
        run grep -qF "$token" "/proc/$pid/cmdline" "/proc/$pid/environ"
        assert_failure 1
    done
    run grep -rqF "$token" "$STATE" "$T/rbeed.log"
    assert_failure 1
    assert_equal "$(worker_field ext 'warnings | length')" 0
    api POST /v1/workers/ext/stop >/dev/null
    wait_for_worker ext down
    assert has_no_token_file
    run -0 ask ext
    run grep -qF "$token" "$(token_files)"
    assert_failure 1
    kill -KILL "$(worker_field ext pid)"
    wait_until has_no_token_file
}

@test "a token file that a killed supervisor left is removed by the next one" {
    external <<<'reply one'
    start_rbeed
    run -0 ask ext
    kill -KILL "$RBEED_PID"
    assert_no_process fake_openai
    assert_equal "$(token_files | wc -l)" 1
    start_rbeed
    assert has_no_token_file
}

@test "without a token file everybody may ask, and that is said" {
    external '--port {port}' <<<'reply one'
    start_rbeed
    run -0 ask ext
    assert_line --partial '"type":"end"'
    assert_equal "$(jq -c 'select(.what=="asked").authorized' "$T/m/ext.log" | sort -u)" false
    run -0 rbee status
    assert_line --regexp '^ok: '
    assert_line --partial 'warning: every user of this machine can reach the port of worker ext'
    run -0 rbee worker show ext
    assert_line --partial 'warnings: every user of this machine can reach the port of worker ext'
    assert_equal "$(api GET /v1/status | jq '.warnings | length')" 1
}

@test "a socket of its own in the runtime folder needs no token" {
    external '--uds {socket}' <<<'reply one'
    start_rbeed
    run -0 ask ext
    assert_line --partial '"type":"end"'
    assert_equal "$(find "$T/run/rbee" -name 'w-*.sock' | wc -l)" 1
    assert_equal "$(worker_field ext 'warnings | length')" 0
    api POST /v1/workers/ext/stop >/dev/null
    wait_for_worker ext down
    assert_equal "$(find "$T/run/rbee" -name 'w-*.sock' | wc -l)" 0
}

@test "a server that refuses the token is not ready, and its words about it are not repeated" {
    external <<<'wants_token another-one'
    start_rbeed
    api POST /v1/workers/ext/start >/dev/null
    wait_until worker_has ext 'warnings[0]' \
        "worker ext answered 401: it does not take the token of its {token_file}"
    run cat "$T/rbeed.log"
    refute_output --partial another-one
}

# ---- ports ----

@test "a port that another program took: begun anew, and no failure" {
    external <<'END'
@1 steal exit
@2 steal stay
reply "mine at last"
END
    start_rbeed
    run -0 --separate-stderr rbee infer -m ext hi
    assert_output "mine at last"
    assert_equal "$(cat "$T/m/ext.gguf.starts")" 3
    assert_equal "$(grep -c worker_port_lost "$T/rbeed.log")" 2
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
    assert_equal "$(jq -c 'select(.what=="stolen")' "$T/m/ext.log" | wc -l)" 2
}

@test "a port that is always taken is a failure in the end" {
    external '' '' 'breaker { failures = 1 }' <<<'steal exit'
    start_rbeed
    run ask ext
    assert_output --partial '"code":"CIRCUIT_OPEN"'
    assert_equal "$(cat "$T/m/ext.gguf.starts")" 9
}

# ---- faults ----

@test "a program that is missing or not executable is a configuration fault, with the PATH" {
    fake_config <<END
worker none { command = "no-such-program --port {port}" }
worker gone { command = "$T/gone --port {port}" }
worker flat { command = "$T/flat --port {port}" }
worker odd { command = "$T/odd --port {port}" }
END
    echo "no program" >"$T/flat"
    echo "no program" >"$T/odd"
    chmod +x "$T/odd"
    start_rbeed
    run -78 rbee infer -m none hi
    assert_output --partial "the program of worker none, no-such-program, is not in the PATH: ..."
    wait_for_line "$T/rbeed.log" "worker none, no-such-program, is not in the PATH: $PATH"
    assert_equal "$(worker_field none state)" failed
    run ask gone
    assert_output --partial "the program of worker gone, gone, is not there"
    run ask flat
    assert_output --partial "the program of worker flat, flat, is not executable"
    run ask odd
    assert_output --partial "run odd: Exec format error"
    assert_equal "$(worker_field odd state)" failed
    run ask odd # never retried
    assert_output --partial '"code":"WORKER_CONFIG"'
    assert_equal "$(grep -c 'name=odd from=down' "$T/rbeed.log")" 1
}

@test "a shell that cannot find its program is a configuration fault" {
    fake_config <<END
worker ext { command = "sh -c 'exec no-such-program \$1' x {port}" }
END
    start_rbeed
    run ask ext
    assert_output --partial 'exit 127 (a program of the command was not found)'
    assert_output --partial 'no-such-program'
    assert_equal "$(worker_field ext state)" failed
}

@test "its crash is seen at once, and it is started again as any other" {
    external <<'END'
@1 die_after 2 SEGV
reply "one two three"
END
    start_rbeed
    run -74 --separate-stderr rbee infer -m ext hi
    assert_output "one two "
    # shellcheck disable=SC2154 # `run` sets it
    assert_regex "$stderr" 'worker ext died: SIGSEGV'
    run -0 --separate-stderr rbee infer -m ext hi
    assert_output "one two three"
}

@test "the rest of its group goes with it" {
    external <<<'child'
    start_rbeed
    run -0 ask ext
    kill -KILL "$(worker_field ext pid)"
    wait_until is_gone "$(cat "$T/m/ext.gguf.child")"
}

@test "Ctrl-C reaches it" {
    external <<<'gate_after 1 never'
    start_rbeed
    # A shell without job control makes what it puts in the background ignore INT.
    env --default-signal=INT rbee infer -m ext --no-stdin hi >"$T/out" 2>"$T/err" 3>&- &
    local pid=$!
    wait_for_deed ext gate
    kill -INT "$pid"
    wait_for_deed ext gone
    assert_ends "$pid" 130
    wait_until worker_has ext in_flight 0
    assert_equal "$(worker_field ext state)" ready
}

@test "it gets as many requests at a time as its slots" {
    external '' 'slots = 2' <<<'gate_after 1 go'
    start_rbeed
    ask_later 1 ext
    local first=$ASKED
    ask_later 2 ext
    local second=$ASKED
    wait_until worker_has ext in_flight 2
    touch "$T/m/go"
    wait "$first" "$second"
    for n in 1 2; do
        run events <"$T/out.$n"
        assert_line --partial '"type":"end"'
    done
}

@test "a DELETE ends it there as well" {
    external <<<'gate_after 1 never'
    start_rbeed
    ask_later 1 ext
    wait_for_deed ext gate
    assert_equal "$(api_status DELETE "/v1/inference/$(api GET /v1/status | jq -r '.requests[0].id')")" 204
    wait_for_deed ext gone
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"code":"CANCELLED"'
}

# refused CODE TYPE MESSAGE: what the client gets of it.
refused() {
    script ext <<<"refuse $*"
    api POST /v1/workers/ext/stop >/dev/null
    wait_for_worker ext down
    run ask ext '"stream":false'
}

# shellcheck disable=SC2030 # tests have subshells of their own
@test "its refusals are errors of ours" {
    external <<<'reply one'
    start_rbeed
    run -0 ask ext
    refused 400 invalid_request_error '"temperature is odd"'
    assert_output --partial '"code":"INVALID_REQUEST"'
    assert_output --partial 'worker ext answered 400: temperature is odd'
    refused 400 exceed_context_size_error '"the request (900 tokens) exceeds the available context size (512)"'
    assert_output --partial '"code":"PROMPT_TOO_LONG"'
    assert_output --partial '900 tokens'
    refused 503 unavailable_error '"Loading model"'
    assert_output --partial '"code":"SERVER_BUSY"'
    refused 429 rate '"slow down"'
    assert_output --partial '"code":"SERVER_BUSY"'
    refused 500 server_error '"it broke"'
    assert_output --partial '"code":"INTERNAL"'
    refused 418 teapot '"short and stout"'
    assert_output --partial '"code":"PROTOCOL"'
    assert_equal "$(worker_field ext state)" ready
}

# broken SCRIPT-LINE...: asks once, and the worker lives on.
# shellcheck disable=SC2031 # tests have subshells of their own
broken() {
    printf '%s\n' "$@" | script ext
    api POST /v1/workers/ext/stop >/dev/null
    wait_for_worker ext down
    ask ext >"$T/answer"
    run events <"$T/answer"
    assert_equal "$(worker_field ext state)" ready
    assert_equal "${lines[-1]}" "[DONE]"
}

@test "nonsense ends the request and not the supervisor" {
    external <<<'reply one'
    start_rbeed
    run -0 ask ext
    broken 'bad_json_after 1'
    assert_output --partial '"code":"PROTOCOL","message":"worker ext sent an event that is no JSON'
    broken 'form_after 1'
    assert_output --partial 'worker ext sent an event of no known form'
    broken 'garbage_after 1'
    assert_output --partial '"code":"PROTOCOL"'
    broken 'huge_after 1 1100000'
    assert_output --partial 'event of more than 1048576 bytes'
    broken 'no_reason'
    assert_output --partial 'worker ext ended without a finish_reason'
    broken 'token_at_end'
    assert_output --partial 'worker ext sent a token after its last one'
    broken 'close_after 1'
    assert_output --partial '"code":"STREAM_BROKEN"'
    broken 'no_done'
    assert_output --partial '"code":"STREAM_BROKEN"'
    broken 'fail_after 1 500 "it broke in the middle"'
    assert_output --partial '"code":"INTERNAL","message":"worker ext answered 500: it broke in the middle"'
    run api GET /health
    assert_success
}

@test "an answer in one piece where a stream was asked for is refused" {
    external <<<'one_piece'
    start_rbeed
    run ask ext
    assert_output --partial 'worker ext answered in another form than asked'
}

# ---- the configuration ----

@test "config check finds what is wrong with a command" {
    write_config <<<'worker ext {

    command = "x --port {prot}"
}'
    run -78 rbee config check
    assert_output --partial 'rbee.conf:3: worker ext.command: word 3: {prot} is no place; there is: {socket} {port} {model} {device} {token_file}'
    write_config <<<'worker ext { command = "x {port} \"a" }'
    run -78 rbee config check
    write_config <<<'worker ext { command = "x --port {port}" }'
    run -0 rbee config check
}

@test "a worker whose command is taken out of the configuration is gone" {
    external <<<'reply one'
    start_rbeed
    api POST /v1/workers/ext/start >/dev/null
    wait_for_worker ext ready
    stop_rbeed
    start_rbeed
    wait_for_worker ext ready
    stop_rbeed
    fake_config </dev/null
    start_rbeed
    assert_equal "$(api_status GET /v1/workers/ext)" 404
}
