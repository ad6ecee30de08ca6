#!/usr/bin/env bats
# The command line as such: help, options, exit codes, configuration, the records of each listing.

# shellcheck disable=SC2154,SC2016 # $output and $stderr are of run; inner shells expand what is quoted

load cli_helpers

setup() { scripted_setup; }
teardown() { rbee_teardown; }

# Names of all commands, as `rbee help` lists them.
commands() {
    rbee help | sed -n '/^Commands:/,/^$/p' | awk -F '  +' 'NF > 2 { print $2 }'
}

# ---- help ----

@test "every command that help lists has a help of its own, the same in both ways of asking" {
    run commands
    assert_line "infer"
    assert_line "model add"
    local command
    while read -r command; do
        # shellcheck disable=SC2086 # a command of two words
        run --separate-stderr rbee $command --help
        assert_success
        assert_line --partial "usage: rbee $command"
        assert_line --partial "--json"
        assert_equal "$stderr" ""
        # shellcheck disable=SC2086
        assert_equal "$(rbee help $command)" "$output"
        # shellcheck disable=SC2086
        assert_equal "$(rbee -h $command)" "$output"
    done < <(commands)
    assert_no_process
}

@test "a group of commands has a help, too" {
    run rbee model --help
    assert_success
    assert_line --partial "model add"
    refute_line --partial "worker start"
    assert_equal "$(rbee help model)" "$output"
}

@test "no line of any help is longer than 100 characters, and none starts a supervisor" {
    local command
    while read -r command; do
        # shellcheck disable=SC2086 # a command of two words
        run awk 'length > 100' <(rbee $command --help)
        assert_output ""
    done < <(commands)
    assert_no_process
}

@test "the loop's example says </dev/null" {
    run rbee infer --help
    assert_line --partial "</dev/null"
}

@test "help goes to stdout when it is asked for, and no command is a usage error" {
    run --separate-stderr rbee --help
    assert_success
    assert_line --partial "usage: rbee COMMAND"
    run --separate-stderr rbee
    assert_failure 2
    assert_output ""
    assert_equal "$stderr" 'rbee: no command; "rbee help" lists them'
}

# ---- wrong command lines ----

# One line on stderr, nothing on stdout, nothing started.
assert_usage_error() { # MESSAGE ARGUMENT...
    local message=$1
    shift
    run --separate-stderr rbee "$@" </dev/null
    assert_failure 2
    assert_output ""
    assert_equal "$stderr" "rbee: $message"
    assert_no_process
}

@test "a wrong command line exits 2 with one line that names what is wrong" {
    assert_usage_error 'there is no command "infre"; did you mean "infer"?' infre hello
    assert_usage_error 'there is no option --tmep; did you mean --temp?' infer hello --tmep 0
    assert_usage_error '--temp must be a number from 0 to 100, not "nan"' infer hello --temp nan
    assert_usage_error '--temp must be a number from 0 to 100, not "inf"' infer hello --temp=inf
    assert_usage_error '-n must be a whole number from 1 to 1048576, not "many"' infer hello -n many
    assert_usage_error '--slots must be a whole number from 1 to 256, not "257"' infer hello --slots 257
    assert_usage_error '"rbee ps" has no option --raw; see "rbee ps --help"' ps --raw
    assert_usage_error '"rbee model" needs one of: add, pull, verify, ls, show, rm' model
    assert_usage_error '"rbee wait" needs NAME; see "rbee wait --help"' wait
    assert_usage_error '--host must be unix:PATH or http://HOST:PORT, not "localhost:1"' --host localhost:1 ps
}

@test "options that contradict each other are refused" {
    assert_usage_error '--raw has no place for a system message (-s)' infer hello --raw -s x
    run --separate-stderr rbee infer hello --json --stream=ndjson
    assert_failure 2
    assert_json_error USAGE
    assert_usage_error '--stream=ndjson and --no-stream contradict each other' infer hello --no-stream --stream ndjson
    assert_usage_error '"-" reads stdin, --no-stdin forbids it' infer - --no-stdin
}

@test "with --json a wrong command line is told on stdout, too" {
    run --separate-stderr rbee infer hello --temp nan --json
    assert_failure 2
    assert_json_error USAGE
    assert_equal "$stderr" 'rbee: --temp must be a number from 0 to 100, not "nan"'
    run --separate-stderr rbee infre --json
    assert_failure 2
    assert_json_error USAGE
}

# ---- colours and messages ----

# What stderr gets when it is a terminal.
on_terminal() { # COMMAND
    script -qec "$1" /dev/null </dev/null | tr -d '\r'
}

@test "colours are for terminals, and NO_COLOR and --no-color turn them off" {
    export TERM=xterm
    run on_terminal 'rbee nope'
    assert_output --partial $'\e['
    run on_terminal 'rbee nope --no-color'
    refute_output --partial $'\e['
    NO_COLOR=1 run on_terminal 'rbee nope'
    refute_output --partial $'\e['
    TERM=dumb run on_terminal 'rbee nope'
    refute_output --partial $'\e['
    run rbee nope
    refute_output --partial $'\e['
}

@test "stderr that is closed or full does not keep a command from its work" {
    run -0 bash -c 'rbee --version 2>&-'
    run -0 bash -c 'rbee --version 2>/dev/full'
    run -2 bash -c 'rbee nope 2>&-'
}

# ---- stdout ----

@test "stdout that cannot take the output is 73 for every command" {
    answers <<<'GET /v1/workers json 200 "{\"workers\":[]}"'
    run -0 rbee up
    local command
    for command in --version help 'config show' status ps; do
        # shellcheck disable=SC2086 # a command of two words
        run --separate-stderr bash -c "rbee $command >/dev/full"
        assert_failure 73
        assert_equal "$stderr" "rbee: write to stdout: No space left on device"
        run --separate-stderr bash -c "rbee $command >&-"
        assert_failure 73
    done
}

@test "a reader that leaves ends a command quietly, as SIGPIPE does" {
    run --separate-stderr bash -c 'rbee help | true; echo "${PIPESTATUS[0]}"'
    [ "$output" = 0 ] || assert_output 141 # the whole text may fit into the pipe
    run --separate-stderr python3 -c '
import os, subprocess
r, w = os.pipe()
os.close(r)
p = subprocess.run(["rbee", "help"], stdout=w, stderr=subprocess.PIPE)
print(p.returncode, p.stderr)'
    assert_output "-13 b''"
}

# ---- configuration ----

@test "config check names the file and the line" {
    run rbee config check
    assert_success
    printf 'limits {\n    queue = many\n}\n' | write_config
    run --separate-stderr rbee config check
    assert_failure 78
    assert_output ""
    assert_equal "$(wc -l <<<"$stderr")" 1
    [[ $stderr == *"$XDG_CONFIG_HOME/rbee/rbee.conf:2: "* ]] || fail "$stderr"
    run --separate-stderr rbee config check --json
    assert_failure 78
    assert_json_error INVALID_CONFIG
}

@test "a device that is none is refused, by config check and by rbeed" {
    write_config <<<'worker a { device = "abacus" }'
    run -78 --separate-stderr rbee config check
    assert_regex "$stderr" 'rbee.conf:1: worker a.device: device must be "cpu", "gpu" or "gpu:ID"'
    rm "$T/bin/rbeed" # the scripted one
    use_program "$RBEE_BUILD/bin/rbeed"
    run -78 --separate-stderr rbeed
    assert_regex "$stderr" 'device must be "cpu", "gpu" or "gpu:ID"'
}

@test "a relative path of a model is refused, by config check and by rbeed" {
    local message="$XDG_CONFIG_HOME/rbee/rbee.conf:2: worker helper.model: the path \"./m.gguf\" must be absolute"
    printf 'worker helper {\n    model = "./m.gguf"\n}\n' | write_config
    run -78 --separate-stderr rbee config check
    assert_equal "$stderr" "rbee: $message"
    rm "$T/bin/rbeed" # the scripted one
    use_program "$RBEE_BUILD/bin/rbeed"
    run -78 --separate-stderr rbeed
    assert_equal "$stderr" "rbeed: $message"
}

@test "config show says where each value comes from" {
    printf 'limits {\n    queue = 5\n}\nworker wanted {\n    model = "m"\n}\n' | write_config
    run rbee config show --json
    assert_success
    assert_equal "$(jq -c '.settings[] | select(.key == "queue")' <<<"$output")" \
        '{"section":"limits","name":null,"key":"queue","value":"5","origin":"user file"}'
    assert_equal "$(jq -r '.settings[] | select(.key == "drain") | .origin' <<<"$output")" default
    assert_equal "$(jq -r '.settings[] | select(.name == "wanted" and .key == "model") | .value' <<<"$output")" '"m"'
    run rbee config show
    assert_line --regexp '^limits +- +queue +5 +user file$'
}

@test "config path prints one path, also before the file exists" {
    run --separate-stderr rbee config path
    assert_success
    assert_output "$XDG_CONFIG_HOME/rbee/rbee.conf"
    assert_equal "$(rbee config path --json)" "{\"path\":\"$output\",\"exists\":false}"
    run rbee config path --config /some/file
    assert_output /some/file
}

@test "--config reads that file and no other, and a missing one is 66" {
    write_config <<<'this is no configuration'
    echo 'limits { queue = 7 }' >"$T/own.conf"
    chmod 600 "$T/own.conf"
    run rbee config show --config "$T/own.conf" --json
    assert_success
    assert_equal "$(jq -r '.settings[] | select(.key == "queue") | .value' <<<"$output")" 7
    run --separate-stderr rbee config check --config "$T/none.conf"
    assert_failure 66
}

# ---- status, up, down ----

@test "status without a supervisor is 3, starts none, and --json has every field" {
    run --separate-stderr rbee status
    assert_failure 3
    assert_output --partial "stopped"
    run --separate-stderr rbee status --json
    assert_failure 3
    assert_equal "$(jq -c '[.state, .pid, .workers]' <<<"$output")" '["stopped",null,[]]'
    assert_no_process
}

@test "status is 0 when all is well and 1 when it is degraded, with the reasons" {
    run -0 rbee up
    run -0 --separate-stderr rbee status
    assert_line --partial "ok"
    answers <<<'GET /v1/status json 200 "{\"state\":\"degraded\",\"pid\":1,\"version\":\"x\",\"uptime_ms\":1,\"socket\":\"\",\"reasons\":[\"the disk is \\u001b[31mfull\"],\"workers\":[],\"requests\":[]}"'
    run -1 --separate-stderr rbee status
    assert_line "  the disk is ␛[31mfull"
    run -1 rbee status --json
    assert_equal "$(jq -r .state <<<"$output")" degraded
}

@test "up starts one supervisor, once, and down waits until it is gone" {
    run -0 --separate-stderr rbee up
    assert_output ""
    assert_equal "${stderr_lines[0]}" "rbee: starting rbeed"
    run -0 --separate-stderr rbee up --json
    local pid
    pid=$(jq .pid <<<"$output")
    assert_equal "$(test_processes rbeed)" "$pid"
    run -0 --separate-stderr rbee down --drain 2s --json
    assert_output '{"state":"stopped"}'
    assert_equal "$(test_processes rbeed)" ""
    assert_equal "$(requests POST /v1/shutdown | jq -r .body)" '{"drain_ms":2000}'
    run -0 --separate-stderr rbee down
    assert_equal "$stderr" "rbee: no supervisor is running"
}

@test "a supervisor that is started runs in its own session, in /, and does not hold our pipes" {
    run -0 timeout 20 bash -c 'rbee up | cat' # cat ends only when nobody has the pipe
    run jq -c 'select(.start) | [.cwd, .session == .start]' "$FAKE_SCRIPT.log"
    assert_output '["/",true]'
}

@test "up --foreground becomes the supervisor" {
    rbee up --foreground 3>&- &
    local pid=$!
    wait_until test -S "$SOCKET"
    assert_equal "$(test_processes rbeed)" "$pid"
    assert_equal "$(jq -c '.argv' "$FAKE_SCRIPT.log")" '[]'
    kill "$pid"
    wait "$pid"
}

# ---- a supervisor that does not come up ----

@test "what rbeed says when it does not start is our message and exit code" {
    answers <<<'start error INVALID_CONFIG "/x/rbee.conf:3: unknown key colour"'
    run --separate-stderr rbee up
    assert_failure 78
    assert_equal "${stderr_lines[1]}" "rbee: /x/rbee.conf:3: unknown key colour"
    answers <<<'start exit 7'
    run --separate-stderr rbee up
    assert_failure 70
    assert_equal "${stderr_lines[1]}" "rbee: rbeed exited with 7 before it was ready"
    answers <<<'start kill'
    run --separate-stderr rbee up
    assert_failure 70
    assert_equal "${stderr_lines[1]}" "rbee: rbeed was ended by signal 9 before it was ready"
    answers <<<'start say "hello there"; exit 0'
    run --separate-stderr rbee up --json
    assert_failure 76
    assert_json_error PROTOCOL
}

@test "a wrong configuration is 78 with file and line, and nothing is started" {
    printf 'limits {\n    queue = many\n}\n' | write_config
    run --separate-stderr rbee infer hello --no-stdin
    assert_failure 78
    [[ $stderr == "rbee: $XDG_CONFIG_HOME/rbee/rbee.conf:2: "* ]] || fail "$stderr"
    assert_equal "$(wc -l <<<"$stderr")" 1
    assert_no_process
}

@test "with no rbeed to be found, starting one is 69" {
    rm "$T/bin/rbeed"
    PATH=$T/bin:/usr/bin:/bin run --separate-stderr rbee up
    assert_failure 69
}

# ---- without a supervisor ----

@test "commands that need a supervisor say 69 and how to start one" {
    local command
    for command in ps 'model ls' 'model show x' 'model rm x' 'worker show x' 'worker stop x' 'worker restart x' 'worker hold x' \
        'worker release x' 'breaker ls' 'breaker show x' 'breaker reset gpu:0' 'breaker open x' 'drill crash x --yes' \
        'wait x'; do
        # shellcheck disable=SC2086 # a command of several words
        run --separate-stderr rbee $command
        assert_failure 69
        assert_equal "$stderr" "rbee: no supervisor at $SOCKET: No such file or directory; start it with \"rbee up\""
        # shellcheck disable=SC2086
        run --separate-stderr rbee $command --json
        assert_failure 69
        assert_json_error UNREACHABLE
    done
    assert_no_process
}

@test "--host is that socket or none, and never starts one" {
    run --separate-stderr rbee infer hello --host "unix:$T/else.sock" --no-stdin
    assert_failure 69
    run --separate-stderr rbee up --host "unix:$T/else.sock"
    assert_failure 69
    assert_no_process
    run -0 rbee up
    run -0 rbee status --host "unix:$SOCKET"
}

@test "a supervisor whose socket lies elsewhere is found by its lock file" {
    run -0 rbee up
    mkdir -p "$STATE"
    mv "$SOCKET" "$T/moved.sock"
    echo "pid=$(test_processes rbeed) socket=$T/moved.sock" >"$STATE/rbee.lock"
    run -0 rbee status
    mv "$T/moved.sock" "$SOCKET" # for its end
}

# ---- a supervisor that speaks nonsense ----

@test "an error that comes as a stream of events is nonsense, for commands that take events and others" {
    local reply='bytes "HTTP/1.1 500 X\r\nContent-Type: text/event-stream\r\nContent-Length: 12\r\n\r\ndata: {}\n\nxy"'
    run -0 rbee up
    answers <<<"GET /v1/* $reply
POST /v1/inference $reply"
    run -76 --separate-stderr rbee ps
    assert_equal "$stderr" "rbee: the supervisor answered 500 without saying why"
    run -76 --separate-stderr rbee infer hello --no-stdin
}

@test "nonsense from the other side is 76, silence at the start of a reply 74" {
    run -0 rbee up
    answers <<<'GET /v1/workers bytes "HTTP/3.1 200 OK\r\n\r\n"; close'
    run --separate-stderr rbee ps
    assert_failure 76
    answers <<<'GET /v1/workers bytes "SSH-2.0-OpenSSH_9.2\r\n"; close'
    run --separate-stderr rbee ps
    assert_failure 76
    answers <<<'GET /v1/workers json 200 "{\"workers\":[}"'
    run --separate-stderr rbee ps
    assert_failure 76
    answers <<<'GET /v1/workers json 200 "{\"laborers\":[]}"'
    run --separate-stderr rbee ps
    assert_failure 76
    answers <<<'GET /v1/workers json 503 "busy"'
    run --separate-stderr rbee ps
    assert_failure 76
    answers <<<'GET /v1/workers error 503 SOMETHING_NEW "what is this"'
    run --separate-stderr rbee ps
    assert_failure 76
    assert_equal "$stderr" "rbee: unknown error code SOMETHING_NEW: what is this"
    answers <<<'GET /v1/workers close'
    run --separate-stderr rbee ps
    assert_failure 74
}

@test "an error of the supervisor keeps its code, message and advice" {
    run -0 rbee up
    answers <<<'GET /v1/workers error 503 SERVER_BUSY "too many bodies" 3'
    run --separate-stderr rbee ps --json
    assert_failure 75
    assert_equal "$(jq -c '.error | [.code, .message, .retry_after_ms, .request_id]' <<<"$output")" \
        '["SERVER_BUSY","too many bodies",3000,"q-1"]'
    assert_equal "$stderr" "rbee: too many bodies"
}

@test "when to try again is said as the supervisor says it, in the reply before its header" {
    run -0 rbee up
    answers <<<'GET /v1/workers json 503 "{\"error\":{\"code\":\"SERVER_BUSY\",\"message\":\"m\",\"retry_after_ms\":2500}}"'
    run -75 --separate-stderr rbee ps --json
    assert_equal "$(jq -c .error.retry_after_ms <<<"$output")" 2500
    answers <<<'POST /v1/inference sse; queued 1; event "{\"type\":\"error\",\"code\":\"SERVER_BUSY\",\"message\":\"m\",\"retry_after_ms\":2500}"; done'
    run -75 --separate-stderr rbee infer hello --no-stdin --stream=ndjson
    assert_equal "$(tail -n 1 <<<"$output" | jq -c '[.type, .retry_after_ms]')" '["error",2500]'
}

# ---- workers and models ----

@test "wait asks for the state, and gives up after its time with 124" {
    run -0 rbee up
    answers <<<'GET /v1/workers/* hang'
    run --separate-stderr rbee wait llama --for=stopped --timeout 50ms
    assert_failure 124
    assert_equal "$stderr" "rbee: llama was not stopped within the time"
    requests GET '/v1/workers/llama/wait?for=stopped' | grep -q .
    answers <<<'GET /v1/workers/* json 200 "{\"name\":\"llama\"}"'
    run --separate-stderr rbee wait llama
    assert_success
    assert_output ""
    requests GET '/v1/workers/llama/wait?for=ready' | grep -q .
    answers <<<'GET /v1/workers/* error 503 WORKER_FAILED "llama cannot come up: no such model"'
    run --separate-stderr rbee wait llama
    assert_failure 71
}

@test "worker start sends what was given and no more, and --wait waits" {
    answers <<'END'
POST /v1/workers/llama/start json 202 "{\"name\":\"llama\",\"state\":\"starting\"}"
GET /v1/workers/llama/wait json 200 "{\"name\":\"llama\",\"state\":\"ready\"}"
END
    touch "$T/x.gguf"
    run -0 --separate-stderr rbee worker start llama -m ./x.gguf --ctx 100 --threads 2 --kv-type f16 --allow-cpu --wait --json
    assert_output '{"name":"llama","state":"ready"}'
    assert_equal "$(requests POST /v1/workers | jq -r .body | jq -cS .)" \
        "{\"allow_cpu\":true,\"context\":100,\"kv_type\":\"f16\",\"model\":\"$T/x.gguf\",\"threads\":2}"
    run -0 --separate-stderr rbee worker start llama
    assert_output ""
    assert_equal "$(requests POST /v1/workers | tail -n 1 | jq -r .body)" "{}"
}

@test "what cannot be a name is 67 with one line, and nobody is asked" {
    local command name
    run -0 rbee up
    : >"$FAKE_SCRIPT.log"
    for command in 'worker show' 'worker start' 'worker stop' 'worker restart' 'worker hold' \
        'worker release' 'breaker show' 'breaker reset' 'breaker open' 'model show' 'model rm' wait; do
        for name in a/b .. . A '../../v1/models?x=1#y z' "$(printf 'a%.0s' {1..65})" rbeed; do
            # shellcheck disable=SC2086 # a command of two words
            run -67 --separate-stderr rbee $command "$name"
            assert_output ""
            [[ $stderr == "rbee: there is no such "*": \"$name\" cannot be a name: "* ]] || fail "$stderr"
            assert_equal "$(wc -l <<<"$stderr")" 1
        done
        # shellcheck disable=SC2086
        run -67 --separate-stderr rbee $command a/b --json
        assert_json_error "$([[ $command == model* ]] && echo MODEL_NOT_FOUND || echo WORKER_NOT_FOUND)"
    done
    assert_equal "$(cat "$FAKE_SCRIPT.log")" ""
    rbee down
    run -67 --separate-stderr rbee wait a/b
    assert_no_process
}

@test "hold, release and restart post what was given, print nothing, and --wait waits for what follows" {
    answers <<'END'
POST /v1/workers/llama/* json 200 "{\"name\":\"llama\",\"state\":\"down\",\"desired\":\"down\"}"
GET /v1/workers/llama/wait json 200 "{\"name\":\"llama\",\"state\":\"there\"}"
END
    run -0 rbee up
    local verb
    for verb in hold release restart; do
        run -0 --separate-stderr rbee worker "$verb" llama
        assert_equal "$output$stderr" ""
    done
    assert_equal "$(requests GET /v1/workers)" ""
    assert_equal "$(requests POST /v1/workers/llama/hold | jq -r .body)" "{}"
    run -0 --separate-stderr rbee worker hold llama --reason 'new fan' --wait --json
    assert_output '{"name":"llama","state":"there"}'
    assert_equal "$(requests POST /v1/workers/llama/hold | tail -n 1 | jq -r .body)" '{"reason":"new fan"}'
    run -0 rbee worker restart llama --wait
    run -0 rbee worker release llama --wait # it stays down: nothing to wait for
    assert_equal "$(requests GET /v1/workers | jq -r .path)" \
        $'/v1/workers/llama/wait?for=stopped\n/v1/workers/llama/wait?for=ready'
    assert_usage_error_here '--reason is not UTF-8' worker hold llama --reason $'\xff'
}

# As assert_usage_error, where a supervisor runs.
assert_usage_error_here() { # MESSAGE ARGUMENT...
    local message=$1
    shift
    run -2 --separate-stderr rbee "$@"
    assert_equal "$stderr" "rbee: $message"
}

@test "breakers: list, show, reset, open, of workers and of GPUs" {
    local breaker='{\"name\":\"gpu:0\",\"kind\":\"gpu\",\"state\":\"open\",\"cause\":\"window\",\"last_change\":\"window\",\"failures\":5,\"trips\":1,\"until\":null,\"retry_after_ms\":90000,\"reason\":null,\"last_stderr\":\"x\\u001b[31m\"}'
    answers <<END
GET /v1/breakers json 200 "{\"breakers\":[$breaker]}"
GET /v1/breakers/* json 200 "$breaker"
POST /v1/breakers/* json 200 "$breaker"
END
    run -0 rbee up
    run -0 rbee breaker ls
    assert_line --regexp '^gpu:0 +gpu +open +window +5 +1 +1m ?30s +-$'
    run -0 rbee breaker show gpu:0
    refute_output --partial $'\e'
    run -0 rbee breaker show gpu:0 --json
    assert_equal "$(jq .failures <<<"$output")" 5
    run -0 --separate-stderr rbee breaker reset gpu:0000:03:00.0
    assert_equal "$output$stderr" ""
    requests POST /v1/breakers/gpu:0000:03:00.0/reset | grep -q .
    run -0 rbee breaker open llama --reason hot --json
    assert_equal "$(requests POST /v1/breakers/llama/open | jq -r .body)" '{"reason":"hot"}'
    local name
    for name in gpu: 'gpu:a/b' 'gpu:0?x' a/b; do
        run -67 --separate-stderr rbee breaker reset "$name"
    done
    answers <<<'GET /v1/breakers/* error 404 BREAKER_NOT_FOUND "no such GPU"'
    run -67 --separate-stderr rbee breaker show gpu:7 --json
    assert_json_error BREAKER_NOT_FOUND
}

@test "status shows who is held, why, and what ends it" {
    run -0 rbee up
    answers <<<'GET /v1/status json 200 "{\"state\":\"ok\",\"pid\":1,\"version\":\"x\",\"uptime_ms\":1,\"socket\":\"\",\"reasons\":[],\"workers\":[{\"name\":\"llama\",\"state\":\"held\",\"held_reason\":\"new \u001b fan\"},{\"name\":\"b\",\"state\":\"held\"}],\"requests\":[]}"'
    run -0 --separate-stderr rbee status
    assert_line "  held: llama (new ␛ fan); rbee worker release llama"
    assert_line "  held: b; rbee worker release b"
}

@test "model add makes the path absolute and prints the name" {
    answers <<<'POST /v1/models json 201 "{\"name\":\"llama\",\"state\":\"ok\"}"'
    mkdir "$T/some"
    touch "$T/some/x.gguf"
    cd "$T/some"
    run -0 --separate-stderr rbee model add ../some/x.gguf --name llama
    assert_output llama
    assert_equal "$(requests POST /v1/models | jq -r .body)" "{\"path\":\"$T/some/x.gguf\",\"name\":\"llama\"}"
    run --separate-stderr rbee model add none.gguf
    assert_failure 66
}

@test "model rm is silent, and --json says what was removed" {
    answers <<<'DELETE /v1/models/llama json 204'
    run -0 rbee up
    run -0 --separate-stderr rbee model rm llama
    assert_output ""
    run -0 rbee model rm llama --json
    assert_output '{"name":"llama","state":"removed"}'
}

@test "listings are tables, foreign text in them is made harmless" {
    answers <<<'GET /v1/models json 200 "{\"object\":\"list\",\"data\":[{\"name\":\"a\\u001b[31m\",\"state\":\"ok\"}]}"'
    run -0 rbee up
    run -0 rbee model ls
    assert_line --index 0 --regexp '^NAME +STATE'
    refute_output --partial $'\e'
}

@test "at a terminal a supervisor that is silent is named while it is waited for" {
    rbee up -q
    answers <<<'GET /v1/status hang'
    run env TERM=xterm python3 "$TESTS_DIR/pty_drive.py" rbee status <<'STEPS'
expect waiting for the supervisor
signal TERM
STEPS
    assert_failure 143
}
