#!/usr/bin/env bats
# rbeed as a process: one of a kind, its socket, its workers' end and its own.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# Starts a second supervisor that should refuse; its news go to $T/news.
second_rbeed() {
    run --separate-stderr "$T/bin/rbeed" --ready-fd 9 "$@" 9>"$T/news"
}

# ---- beginning ----

@test "the socket is ours alone, in a folder of ours alone" {
    start_rbeed
    assert_equal "$(stat -c %a "$SOCKET")" 600
    assert_equal "$(stat -c %a "$(dirname "$SOCKET")")" 700
    assert_equal "$(stat -c %a "$STATE")" 700
    run api GET /health
    assert_output '{"status":"ok"}'
}

@test "a second supervisor is refused and says who holds the state folder" {
    start_rbeed
    second_rbeed
    assert_failure 1
    # shellcheck disable=SC2154 # set by run
    assert_equal "$stderr" \
        "rbeed: another rbeed runs on $STATE: pid=$RBEED_PID socket=$SOCKET"
    assert_equal "$(cat "$T/news")" "error CONFLICT ${stderr#rbeed: }"
    run api GET /health
    assert_output '{"status":"ok"}'
}

@test "a socket with a living listener is not taken over" {
    mkdir -p "$T/run/rbee"
    python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
open(sys.argv[2], "w").close(); s.accept(); s.accept()' "$SOCKET" "$T/listens" 3>&- &
    local listener=$!
    wait_until test -e "$T/listens"
    second_rbeed
    assert_failure 1
    assert_equal "$(cat "$T/news")" "error CONFLICT another program listens on $SOCKET"
    assert [ -S "$SOCKET" ]
    kill "$listener"
}

@test "a file that is no socket is left alone" {
    mkdir -p "$T/run/rbee"
    echo precious >"$SOCKET"
    second_rbeed
    assert_failure 1
    assert_equal "$(cat "$SOCKET")" precious
}

@test "a wrong configuration ends the start with file and line" {
    printf 'limits {\n    queue = many\n}\n' | write_config
    second_rbeed
    assert_failure 78
    assert_regex "$(cat "$T/news")" "^error INVALID_CONFIG .*rbee.conf:2: "
}

@test "options: unknown, without value, help, version" {
    second_rbeed --frobnicate
    assert_failure 2
    assert_regex "$stderr" 'unknown option --frobnicate'
    second_rbeed --socket
    assert_failure 2
    second_rbeed --ready-fd 77
    assert_failure 2
    second_rbeed surplus
    assert_failure 2
    second_rbeed --help
    assert_success
    assert_regex "$output" '^usage: rbeed'
    second_rbeed --version
    assert_success
    assert_regex "$output" '^rbeed [0-9]'
}

@test "without stderr the log goes to the state folder" {
    "$T/bin/rbeed" --ready-fd 9 9>"$T/news" 2>/dev/null 3>&- &
    RBEED_PID=$!
    wait_for_line "$T/news" '^ready$'
    wait_for_line "$STATE/logs/rbeed.log" ' started version='
    stop_rbeed
}

# ---- the socket ----

@test "a removed socket is made again, and who was connected goes on" {
    start_rbeed
    model slow <<<"gate_after 1 go"
    ask_later 1 slow
    wait_for_deed slow gate
    rm -r "$T/run/rbee"
    wait_until test -S "$SOCKET"
    run api GET /health
    assert_output '{"status":"ok"}'
    touch "$T/m/go"
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"stop_reason":"stop"'
    assert_line '[DONE]'
}

@test "HUP is no reason to end" {
    start_rbeed
    kill -HUP "$RBEED_PID"
    wait_for_line "$T/rbeed.log" ' reloaded listen=off'
    run api GET /health
    assert_success
}

# ---- the API's edges ----

@test "what is no route, no method, no object is refused by name" {
    start_rbeed
    assert_equal "$(api_status GET /v2/nothing)" 404
    assert_equal "$(api_status DELETE /v1/status)" 405
    run api DELETE /v1/models -o /dev/null -D -
    assert_line --regexp '^Allow: GET, POST'
    assert_equal "$(api_status POST /v1/shutdown -d '[]')" 400
    assert_equal "$(api_status POST /v1/shutdown -d '{"drain_ms":-1}')" 400
    assert_equal "$(api_status GET '/v1/workers/none')" 404
    assert_equal "$(api_status GET '/v1/workers/none/wait?for=ready')" 404
    assert_equal "$(api_status DELETE /v1/inference/r-none)" 204
}

# ---- wishes ----

@test "a person's start lasts over a restart of the supervisor, a request's does not" {
    start_rbeed
    model wanted <<<"reply one"
    model asked <<<"reply one"
    api POST /v1/workers/wanted/start >/dev/null
    wait_for_worker wanted ready
    ask asked | grep -q DONE
    stop_rbeed
    start_rbeed
    wait_for_worker wanted ready
    assert_equal "$(worker_field wanted desired)" up
    assert_equal "$(worker_field asked state)" down
    api POST /v1/workers/wanted/stop >/dev/null
    wait_for_worker wanted down
    stop_rbeed
    start_rbeed
    assert_equal "$(worker_field wanted state)" down
}

@test "a worker of the configuration with autostart starts with the supervisor" {
    script auto <<<"reply one"
    fake_config <<<"worker helper { model = \"$T/m/auto.gguf\"
        context = 512
        slots = 3
        autostart = true
    }"
    start_rbeed
    wait_for_worker helper ready
    assert_equal "$(worker_field helper autostart)" true
    assert_equal "$(worker_field helper context_tokens)" 512
    assert_regex "$(grep '"what": "start"' "$T/m/auto.log")" '"--slots", "3"'
    run ask helper
    assert_line --partial '"type":"end"'
}

@test "keys and values are kept as the configuration, a start or a request says, and that comes back" {
    script auto <<<"reply one"
    fake_config <<<"worker helper { model = \"$T/m/auto.gguf\"
        kv_type = \"q8_0\"
        autostart = true
    }"
    start_rbeed
    wait_for_worker helper ready
    assert_regex "$(grep '"what": "start"' "$T/m/auto.log")" '"--kv-type", "q8_0"'
    run api POST /v1/workers/helper/start -d '{"kv_type":"f16"}'
    assert_output --partial 'worker helper keeps keys and values as q8_0, not f16: stop it first'
    api POST /v1/workers/helper/start -d '{"kv_type":"q8_0"}' >/dev/null
    run api POST /v1/workers/helper/start -d '{"kv_type":"q4_0"}'
    assert_output --partial 'kv_type must be one of f16, q8_0, not \"q4_0\"'
    model a <<<"reply one"
    run ask a '"kv_type":"q8_0"' # which would leave a failed worker to everybody
    assert_output --partial 'kv_type q8_0 takes a GPU, and worker a is to run on cpu'
    assert_equal "$(worker_field a state)" down
    run ask a '"kv_type":"f16"'
    assert_line --partial '"type":"end"'
    assert_regex "$(grep '"what": "start"' "$T/m/a.log")" '"--kv-type", "f16"'
    refute_regex "$(grep '"what": "inference"' "$T/m/a.log")" kv_type
    model b <<<"reply one"
    api POST /v1/workers/b/start -d '{"kv_type":"q8_0"}' >/dev/null
    wait_for_worker b ready
    stop_rbeed
    start_rbeed
    wait_for_worker b ready
    assert_equal "$(grep '"what": "start"' "$T/m/b.log" | grep -c '"--kv-type", "q8_0"')" 2
}

@test "waiting for a worker: until ready, until stopped, and when it cannot come" {
    start_rbeed
    model gated <<<"load_gate go"
    api POST /v1/workers/gated/start >/dev/null
    api GET '/v1/workers/gated/wait?for=ready' >"$T/waited" 3>&- &
    wait_for_deed gated start
    assert [ ! -s "$T/waited" ]
    touch "$T/m/go"
    wait $!
    assert_equal "$(jq -r .state "$T/waited")" ready
    api GET '/v1/workers/gated/wait?for=stopped' >"$T/waited" 3>&- &
    local waiter=$!
    api POST /v1/workers/gated/stop >/dev/null
    wait "$waiter"
    assert_equal "$(jq -r .state "$T/waited")" down
    run api GET '/v1/workers/gated/wait?for=ready'
    assert_output --partial '"code":"WORKER_DOWN"'
    assert_equal "$(api_status GET '/v1/workers/gated/wait?for=lunch')" 400
}

@test "a stop while it loads, and a start while it stops" {
    TERM_GRACE=20s fake_config </dev/null
    start_rbeed
    model tough <<'END'
load_gate go
term_ms 3000
END
    api POST /v1/workers/tough/start >/dev/null
    wait_for_deed tough start
    api POST /v1/workers/tough/stop >/dev/null
    assert_equal "$(worker_field tough state)" stopping
    touch "$T/m/go"
    api POST /v1/workers/tough/start >/dev/null
    wait_for_worker tough ready
    assert_equal "$(cat "$T/m/tough.gguf.starts")" 2
}

@test "options are told to the worker; others while it runs are a conflict with both values" {
    start_rbeed
    model opt <<<"reply one"
    run api POST /v1/workers/opt/start -d '{"device":"abacus"}'
    assert_output --partial '"code":"INVALID_FIELD"'
    assert_output --partial 'device must be \"cpu\", \"gpu\" or \"gpu:ID\"'
    api POST /v1/workers/opt/start -d '{"context":1024,"threads":3,"device":"cpu"}' >/dev/null
    wait_for_worker opt ready
    run jq -c 'select(.what=="start").argv' "$T/m/opt.log"
    assert_output --partial '"--device","cpu","--context","1024","--threads","3"'
    run api POST /v1/workers/opt/start -d '{"context":4096}'
    assert_output --partial '"code":"CONFLICT"'
    assert_output --partial 'runs with context 1024, not 4096'
    run ask opt '"context":2000'
    assert_output --partial 'runs with context 1024, not 2000'
    run ask opt '"context":1024'
    assert_line --partial '"type":"end"'
}

@test "a worker sees what it needs of the environment and no secrets" {
    export HIP_VISIBLE_DEVICES=0 CUDA_VISIBLE_DEVICES=0 RBEE_KERNELS=/none RBEE_GPU_GRAPHS=off RBEE_API_TOKEN=0123456789abcdef SECRET_THING=x
    start_rbeed
    model env <<<"reply one"
    ask env | grep -q DONE
    run jq -r 'select(.what=="start").environ[]' "$T/m/env.log"
    assert_line HIP_VISIBLE_DEVICES
    assert_line CUDA_VISIBLE_DEVICES
    assert_line RBEE_KERNELS
    assert_line RBEE_GPU_GRAPHS
    assert_line PATH
    refute_line RBEE_API_TOKEN
    refute_line SECRET_THING
    refute_line XDG_STATE_HOME
    run jq -c 'select(.what=="start").argv' "$T/m/env.log"
    refute_output --partial Bearer
}

@test "a worker's output is in its log and its last line in its record" {
    start_rbeed
    model loud <<'END'
stderr loading weights
stdout hello
@1 exit 12 device_memory 4096 MiB wanted, 100 MiB free
END
    ask loud >/dev/null
    wait_for_worker loud ready # started again after that
    assert_equal "$(worker_field loud last_stderr)" "4096 MiB wanted, 100 MiB free"
    assert_equal "$(worker_field loud last_exit)" "exit 12 (out of device memory)"
    run cut -d' ' -f2- "$STATE/logs/loud.log"
    assert_line "loading weights"
    assert_line hello
    assert_line "fatal class=device_memory reason=4096 MiB wanted, 100 MiB free"
}

# ---- the end ----

@test "TERM ends all workers in order and leaves nothing behind" {
    start_rbeed
    model a <<<"reply one"
    model b <<<"reply one"
    ask a | grep -q DONE
    ask b | grep -q DONE
    stop_rbeed
    assert_no_process
    assert_no_file "$T/run/rbee"
    assert_equal "$(done_count a term)" 1
    assert_equal "$(done_count b term)" 1
    assert_equal "$(db 'select count(*) from workers where pid != 0')" 0
    assert_equal "$(db "select outcome from requests" | sort -u)" completed
}

@test "a worker that ignores TERM is killed after the grace, its children with it" {
    start_rbeed
    model tough <<'END'
ignore_term
child
END
    ask tough | grep -q DONE
    local child
    child=$(cat "$T/m/tough.gguf.child")
    assert [ -e "/proc/$child" ]
    api POST /v1/workers/tough/stop >/dev/null
    wait_for_worker tough down
    assert_equal "$(done_count tough term)" 1
    assert_equal "$(worker_field tough last_exit)" "SIGKILL, from the supervisor"
    wait_until is_gone "$child"
}

@test "a worker that dies takes its children with it" {
    start_rbeed
    model parent <<'END'
child
die_after 1 SEGV
END
    ask parent >/dev/null
    wait_for_worker parent down
    wait_until is_gone "$(cat "$T/m/parent.gguf.child")"
}

@test "a stop with force does not wait" {
    start_rbeed
    model busy <<'END'
ignore_term
hang_after 1
END
    ask_later 1 busy
    wait_for_deed busy hang
    api POST /v1/workers/busy/stop -d '{"force":true}' >/dev/null
    wait_for_worker busy down
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"code":"WORKER_DRAINING"'
    assert_equal "$(done_count busy term)" 0
}

@test "many workers stop in the time of the slowest" {
    start_rbeed
    local name began
    for name in a b c d; do
        model "$name" <<<"term_ms 400"
        ask "$name" | grep -q DONE
    done
    began=$(date +%s%N)
    stop_rbeed
    # One after the other they would take 1.6 s.
    assert [ $((($(date +%s%N) - began) / 1000000)) -lt 1300 ]
}

@test "a shutdown lets what runs finish and refuses what is new" {
    start_rbeed
    model slow <<<"gate_after 1 go"
    ask_later 1 slow
    wait_for_deed slow gate
    assert_equal "$(api_status POST /v1/shutdown -d '{"drain_ms":60000}')" 202
    run ask slow
    assert_output --partial '"code":"SERVER_BUSY"'
    assert_equal "$(api GET /v1/status | jq -r .state)" stopping
    touch "$T/m/go"
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"stop_reason":"stop"'
    wait "$RBEED_PID"
    assert_no_process
}

@test "a second TERM does not wait for what runs" {
    start_rbeed
    model slow <<<"hang_after 1"
    ask_later 1 slow
    wait_for_deed slow hang
    kill -TERM "$RBEED_PID"
    wait_for_line "$T/rbeed.log" 'to=draining'
    kill -TERM "$RBEED_PID"
    wait "$RBEED_PID"
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"type":"error"'
    assert_line '[DONE]'
}

@test "kill -9 leaves no worker, and the next supervisor starts and knows what was cut off" {
    start_rbeed
    model cut <<<"hang_after 1"
    ask_later 1 cut
    wait_for_deed cut hang
    local worker
    worker=$(worker_field cut pid)
    kill -KILL "$RBEED_PID"
    wait_until is_gone "$worker"
    wait "$ASKED" || true
    assert [ -S "$SOCKET" ]
    start_rbeed
    run api GET /health
    assert_success
    assert_equal "$(worker_field cut state)" down
    wait_for_line "$T/rbeed.log" 'requests_interrupted count=1'
    assert_equal "$(find "$T/run/rbee" -name 'w-*.sock' | wc -l)" 0
    stop_rbeed
    assert_equal "$(db 'select outcome from requests')" interrupted
}

@test "a worker that outlives its supervisor is ended by the next one" {
    start_rbeed
    model orphan <<<"reply one"
    ask orphan | grep -q DONE
    stop_rbeed
    # A process of ours as the last supervisor would have left it: the same pid, start time, boot
    # and instance in the store.
    python3 -c 'import sys, time; time.sleep(600)' "$T/bin/" --instance w-left-behind 3>&- &
    local left=$!
    python3 - "$STATE/rbee.db" "$left" <<'END'
import sqlite3, sys
start = open(f"/proc/{sys.argv[2]}/stat").read().rsplit(")", 1)[1].split()[19]
boot = open("/proc/sys/kernel/random/boot_id").read().strip()
db = sqlite3.connect(sys.argv[1])
db.execute("update workers set pid=?, start_time_ticks=?, boot_id=?, instance=?",
           (int(sys.argv[2]), int(start), boot, "w-left-behind"))
db.commit()
END
    # Another process that only looks alike: the pid is right, the instance is not.
    python3 -c 'import sys, time; time.sleep(600)' "$T/bin/" --instance w-other 3>&- &
    local other=$!
    start_rbeed
    wait_until is_gone "$left"
    assert [ -e "/proc/$other" ]
    kill "$other"
}
