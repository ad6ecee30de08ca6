#!/usr/bin/env bats
# What people do to workers and breakers by hand, through `rbee`: in each state, what it does, or the
# exit code and the message that names the next step.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be
# shellcheck disable=SC2154 # $output and $stderr are of run

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# Exit CODE, MESSAGE on stderr, nothing on stdout: refused CODE MESSAGE COMMAND...
refused() {
    local code=$1 message=$2
    shift 2
    run --separate-stderr rbee "$@"
    assert_equal "$status" "$code"
    assert_output ""
    assert_regex "$stderr" "$message"
}

# Done, silently.
done_quietly() {
    run --separate-stderr rbee "$@"
    assert_success
    assert_equal "$output$stderr" ""
}

breaker_is() { # KEY STATE
    [ "$(api GET "/v1/breakers/$1" | jq -r .state)" = "$2" ]
}

wait_for_breaker() { # KEY STATE
    wait_until breaker_is "$1" "$2" || fail "breaker $1: $(api GET "/v1/breakers/$1")"
}



details() { # KIND
    db "select details from events where kind='$1' order by seq"
}

# ---- hold and release ----

@test "a hold stops a running worker, is on disk when it is answered, and outlives kill -9" {
    start_rbeed
    model a </dev/null
    rbee worker start a --wait
    run -0 rbee worker hold a --reason "new fan" --json
    kill -KILL "$RBEED_PID"
    assert_equal "$(jq -r '.held_reason' <<<"$output")" "new fan"
    wait "$RBEED_PID" || true
    start_rbeed
    assert_equal "$(worker_field a state)" held
    assert_equal "$(worker_field a held_reason)" "new fan"
    assert_equal "$(worker_field a desired)" up
    assert_equal "$(start_count a)" 1
    run ask a
    assert_output --partial '"WORKER_HELD"'
    run -0 rbee status
    assert_line '  held: a (new fan); rbee worker release a'
    done_quietly worker release a --wait
    assert_equal "$(worker_field a state)" ready
    assert_equal "$(worker_field a held_reason)" null
}

@test "what a held worker refuses, and that a release without a hold is one" {
    start_rbeed
    model a </dev/null
    ask a >/dev/null
    done_quietly worker hold a --wait --reason "too loud"
    assert_equal "$(worker_field a state)" held
    local next='worker a is held: too loud; rbee worker release a'
    refused 75 "$next" worker start a
    refused 75 "$next" worker restart a
    refused 75 "$next" wait a
    refused 75 "$next" wait a --for=idle
    done_quietly wait a --for=stopped
    done_quietly wait a --for=closed
    run -75 --separate-stderr rbee infer -m a hello --no-stdin --json
    assert_equal "$(jq -r .error.code <<<"$output")" WORKER_HELD
    done_quietly worker release a --wait # it is not wanted up, and stays down
    assert_equal "$(worker_field a state)" down
    refused 1 'worker a is not held; it is down' worker release a
    run ask a
    assert_output --partial '"stop_reason":"stop"'
}

@test "a hold while it loads, and one that changes the reason" {
    start_rbeed
    model a <<<'load_gate go'
    rbee worker start a
    done_quietly worker hold a --reason one --wait
    assert_equal "$(worker_field a state)" held
    assert_equal "$(worker_field a last_fault)" null
    done_quietly worker hold a --reason two
    assert_equal "$(worker_field a held_reason)" two
    stop_rbeed
    assert_equal "$(details worker_hold | jq -c '[.state, .reason]')" $'["starting","one"]\n["held","two"]'
    assert_equal "$(db 'select count(*) from failures')" 0
}

@test "a hold while it drains keeps it from coming back, a release lets it come back" {
    start_rbeed
    model a <<<'gate_after 1 go'
    rbee worker start a --wait
    ask_later 1 a
    wait_for_deed a gate
    done_quietly worker restart a
    assert_equal "$(worker_field a state)" draining
    done_quietly worker hold a
    assert_equal "$(worker_field a state)" draining
    refused 75 'worker a is held; rbee worker release a' worker start a
    refused 75 'worker a is held; rbee worker release a' worker restart a
    refused 75 'worker a is held; rbee worker release a' wait a
    done_quietly worker release a
    touch "$T/m/go"
    wait_until worker_has a restarts 0
    wait_for_worker a ready
    wait_until test "$(start_count a)" = 2
    done_quietly wait a --for=idle
    done_quietly worker hold a --wait
    assert_equal "$(worker_field a state)" held
    assert_equal "$(start_count a)" 2
}

@test "a hold while a restart is due, and its release starts at once" {
    RESTART_BASE=1h MAX_ATTEMPTS=3 fake_config </dev/null
    start_rbeed
    model a <<<'@1 exit 14 internal broken'
    rbee worker start a
    wait_for_worker a waiting
    assert_equal "$(worker_field a waits_for)" back_off
    done_quietly worker hold a
    assert_equal "$(worker_field a state)" held
    assert_equal "$(worker_field a next_retry_ms)" null
    done_quietly worker release a --wait
    assert_equal "$(worker_field a restarts)" 1
}

@test "a configuration fault is not mended by a hold, nor by a restart of the supervisor" {
    start_rbeed
    model a <<<'exit 10 config bad'
    refused 78 'worker a .*exit 10' worker start a --wait
    wait_for_worker a failed
    refused 78 'worker a is failed: exit 10 \(.*\); mend that, then rbee worker start a; it said: ' wait a
    done_quietly worker hold a
    stop_rbeed
    start_rbeed
    assert_equal "$(worker_field a state)" held
    done_quietly worker release a
    assert_equal "$(worker_field a state)" failed
    assert_equal "$(start_count a)" 1
}

# No file of rbeed may grow any more, or again: full_disk BYTES|unlimited
full_disk() {
    prlimit --pid "$RBEED_PID" --fsize="$1:unlimited"
}

@test "with a full disk a hold stops the worker, and says that it would be forgotten" {
    start_rbeed
    model a </dev/null
    rbee worker start a --wait
    full_disk 1
    run -75 --separate-stderr rbee worker hold a --json
    assert_equal "$(jq -r .error.code <<<"$output")" NOT_STORED
    assert_regex "$stderr" 'done, but a restart of the supervisor would forget it: .*say it again'
    wait_for_worker a held
    run -75 --separate-stderr rbee breaker open a
    assert breaker_is a forced_open
    full_disk unlimited
    done_quietly worker hold a
    kill -KILL "$RBEED_PID"
    wait "$RBEED_PID" || true
    start_rbeed
    assert_equal "$(worker_field a state)" held
    assert breaker_is a forced_open
}

# ---- restart ----

@test "a restart lets what runs finish, and starts what is down" {
    start_rbeed
    model a <<<'gate_after 1 go'
    rbee worker start a --wait
    local pid
    pid=$(worker_field a pid)
    ask_later 1 a
    wait_for_deed a gate
    done_quietly worker restart a
    assert_equal "$(worker_field a pid)" "$pid"
    done_quietly worker restart a # the same one
    touch "$T/m/go"
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"stop_reason":"stop"'
    done_quietly wait a
    assert_equal "$(start_count a)" 2
    assert_not_equal "$(worker_field a pid)" "$pid"
    assert_equal "$(worker_field a restarts)" 0 # a person's is none by policy
    done_quietly worker stop a --wait
    run -0 rbee worker restart a --wait --json
    assert_equal "$(jq -r '.state, .desired' <<<"$output")" $'ready\nup'
}

@test "a restart that could not start again stops nothing" {
    start_rbeed
    model a </dev/null
    rbee worker start a --wait
    done_quietly breaker open a --reason "do not touch"
    local pid next='the circuit of a was opened by a person: do not touch; rbee breaker reset a'
    pid=$(worker_field a pid)
    refused 75 "$next" worker restart a
    assert_equal "$(worker_field a state) $(worker_field a pid)" "ready $pid"
}

# ---- breakers ----

@test "breaker open lets it run, refuses starts until a reset, and outlives kill -9 with its reason" {
    start_rbeed
    model a </dev/null
    rbee worker start a --wait
    run -0 rbee breaker open a --reason "under repair" --json
    kill -KILL "$RBEED_PID"
    assert_equal "$(jq -c '[.state, .cause, .reason]' <<<"$output")" '["forced_open","person","under repair"]'
    wait "$RBEED_PID" || true
    start_rbeed
    assert_equal "$(worker_field a state)" open
    run -0 rbee breaker show a
    assert_line --regexp 'reason: +under repair'
    local next='the circuit of a was opened by a person: under repair; rbee breaker reset a'
    refused 75 "$next" worker start a
    refused 75 "$next" worker restart a
    refused 75 "$next" wait a
    refused 75 "$next" wait a --for=closed
    run -75 --separate-stderr rbee infer -m a hello --no-stdin --json
    assert_equal "$(jq -r .error.code <<<"$output")" CIRCUIT_OPEN
    run -1 rbee status
    assert_line "  $next"
    done_quietly breaker reset a # it is wanted up: that starts it
    done_quietly wait a
    assert_equal "$(api GET /v1/breakers/a | jq -c '[.state, .reason, .failures, .trips]')" '["closed",null,0,0]'
    run -0 rbee status
}

@test "a running worker works on under a breaker that is forced open, and is not restarted after it" {
    start_rbeed
    model a <<<'%2 die_after 1 SEGV'
    rbee worker start a --wait
    done_quietly breaker open a
    run ask a
    assert_output --partial '"stop_reason":"stop"'
    done_quietly worker start a # it is up
    run -1 rbee status
    assert_line '  the circuit of a was opened by a person; rbee breaker reset a'
    run ask a
    assert_output --partial '"WORKER_DIED"'
    wait_for_worker a open
    assert_equal "$(start_count a)" 1
}

@test "breaker open while it loads and while a restart is due or under way" {
    RESTART_BASE=1h fake_config </dev/null
    start_rbeed
    model a <<<'load_gate go'
    model b <<<'exit 14 internal broken'
    model c <<<'gate_after 1 go'
    rbee worker start a
    done_quietly breaker open a
    touch "$T/m/go"
    wait_for_worker a ready
    rm "$T/m/go"
    rbee worker start b
    wait_for_worker b waiting
    done_quietly breaker open b
    assert_equal "$(worker_field b state)" open
    done_quietly worker hold b
    assert_equal "$(worker_field b state)" held
    done_quietly worker release b
    assert_equal "$(worker_field b state)" open
    rbee worker start c --wait
    ask_later 1 c
    wait_for_deed c gate
    done_quietly worker restart c
    done_quietly breaker open c
    touch "$T/m/go"
    wait_for_worker c open
    assert_equal "$(start_count c)" 1
}

@test "a breaker that opened by failures: who may wait, and what a reset does" {
    RESTART_BASE=10ms MAX_ATTEMPTS=1 fake_config <<<'breaker { open_time = 1h }'
    start_rbeed
    model a <<<'@1-2 exit 14 internal broken'
    rbee worker start a
    wait_for_worker a open
    local next='the circuit of a is open \(the restarts of one incident did not help\), next try in .*, or now with rbee breaker reset a: exit 14 '
    refused 75 "$next" worker start a
    refused 75 "$next" wait a
    run -124 --separate-stderr rbee wait a --for=closed --timeout 100ms # a probe comes by itself
    run -0 rbee breaker ls
    assert_line --index 0 --regexp '^NAME +KIND +STATE +CAUSE +FAILURES +TRIPS +RETRY IN +REASON$'
    assert_line --index 1 --regexp '^a +worker +open +attempts +2 +1 +'
    run -0 rbee ps
    assert_line --regexp '^a +open .* 1 +open .* breaker '
    done_quietly breaker reset a
    done_quietly wait a
    done_quietly wait a --for=closed
    assert_equal "$(worker_field a attempt) $(worker_field a restarts)" "0 0"
}

@test "with nobody to start it, a breaker does not close by itself; a failed worker is reset too" {
    RESTART_BASE=10ms MAX_ATTEMPTS=1 fake_config <<<'breaker { open_time = 1h }'
    start_rbeed
    model a <<<'@1-2 exit 14 internal broken'
    rbee worker start a
    wait_for_worker a open
    done_quietly worker stop a
    refused 75 'the circuit of a is open' wait a --for=closed
    done_quietly breaker reset a
    assert_equal "$(worker_field a state)" down
    assert_equal "$(start_count a)" 2
    model b <<<'exit 10 config bad'
    refused 78 'worker b' worker start b --wait
    wait_for_worker b failed
    printf 'journal b.log\n' >"$T/m/b.gguf"
    done_quietly breaker reset b
    done_quietly wait b
}

@test "a wait for the circuit to close ends when the probe is stable" {
    use_test_hooks
    RESTART_BASE=10ms MAX_ATTEMPTS=1 fake_config <<<'breaker { open_time = 5m  probe_stable = 60s }'
    start_rbeed
    model a <<<'@1-2 exit 14 internal broken'
    rbee worker start a
    wait_until worker_has a attempt 1 || clock_advance 1000
    clock_advance 1000
    wait_for_worker a open
    rbee wait a --for=closed >"$T/waited" 2>&1 3>&- &
    local waiter=$!
    clock_advance 360000
    wait_for_worker a ready
    assert breaker_is a half_open
    refused 75 'the circuit of a is half open, a start is being tried' worker restart a
    clock_advance 61000
    wait "$waiter"
    assert breaker_is a closed
}

@test "a GPU has a breaker as soon as a worker is to run on it" {
    fake_config <<<'worker a { model = "a"  device = "gpu:0" }'
    start_rbeed
    model a </dev/null
    refused 67 'there is no GPU gpu:1, and no worker uses one; rbee breaker ls' breaker show gpu:1
    refused 67 'there is no worker nobody' breaker show nobody
    done_quietly breaker open gpu:0 --reason hot
    stop_rbeed
    start_rbeed
    run -0 rbee breaker ls --json
    assert_equal "$(jq -c '.breakers[] | [.name, .kind, .state, .reason]' <<<"$output")" \
        $'["a","worker","closed",null]\n["gpu:0","gpu","forced_open","hot"]'
    local next='the circuit of gpu:0 was opened by a person: hot; rbee breaker reset gpu:0'
    refused 75 "$next" worker start a
    run -1 rbee status
    assert_line "  $next"
    done_quietly breaker reset gpu:0
    done_quietly worker start a --wait
    # From then on it is known by its address, whatever it is called.
    assert_equal "$(rbee breaker ls --json | jq -r '.breakers[].name')" $'a\ngpu:0000:03:00.0'
    done_quietly breaker open gpu:0
    refused 75 'the circuit of gpu:0000:03:00.0 was opened by a person; rbee breaker reset gpu:0000:03:00.0' \
        worker restart a
    assert_equal "$(worker_field a state)" ready
}

# ---- stop while a restart is due ----

@test "a worker that is stopped while its restart is due starts with the next request" {
    RESTART_BASE=1h fake_config </dev/null
    start_rbeed
    model a <<<'@1 exit 14 internal broken'
    rbee worker start a
    wait_for_worker a waiting
    done_quietly worker stop a
    assert_equal "$(worker_field a state)" down
    run ask a
    assert_output --partial '"stop_reason":"stop"'
}

# ---- idle ----

@test "wait --for=idle waits for what runs, and does not for what cannot be" {
    start_rbeed
    model a <<<'gate_after 1 go'
    refused 67 'there is no worker a' wait a --for=idle
    ask_later 1 a
    wait_for_deed a gate
    rbee wait a --for=idle >"$T/waited" 2>&1 3>&- &
    local waiter=$!
    run -124 --separate-stderr rbee wait a --for=idle --timeout 50ms
    touch "$T/m/go"
    wait "$waiter"
    wait "$ASKED"
    done_quietly worker stop a --wait
    refused 75 'worker a is down: rbee worker start a' wait a --for=idle
}

# ---- drills ----

# A drill of KIND on worker a ends it by CLASS, and it comes back: all of that is written down.
assert_drill() { # KIND CLASS EXIT
    RESTART_BASE=10ms fake_config </dev/null
    start_rbeed
    model a </dev/null
    rbee worker start a --wait
    run -0 --separate-stderr rbee drill "$1" a --yes
    assert_output ""
    wait_until worker_has a restarts 1
    rbee wait a
    assert_equal "$(worker_field a last_fault)" "$2"
    assert_equal "$(api GET /v1/breakers/a | jq .failures)" 1
    stop_rbeed
    assert_equal "$(db 'select class, is_drill from failures')" "$2|1"
    assert_equal "$(details drill | jq -c '[.kind, .drill]')" "[\"$1\",true]"
    assert_equal "$(db "select count(*) from events where kind='worker_state' and
        json_extract(details, '\$.drill') = 1 and json_extract(details, '\$.exit') like '$3'")" 1
}

@test "drill crash: SIGSEGV, counted and restarted as a real one" {
    assert_drill crash crash 'SIGSEGV'
}

@test "drill oom: out of host memory, restarted with less" {
    assert_drill oom oom 'exit 11 %'
}

@test "drill gpu-fault" {
    assert_drill gpu-fault gpu_fault 'exit 13 %'
}

@test "drill hang: found by the watch, killed and restarted" {
    PROGRESS_TIMEOUT=1s CANARY=200ms assert_drill hang hang 'killed: %'
}

@test "drill slow: its tokens come slowly, which is no failure, and what fails afterwards is none" {
    use_test_hooks
    start_rbeed
    model a </dev/null
    rbee worker start a --wait
    run -0 --separate-stderr rbee drill slow a --yes --json
    assert_equal "$(jq -r .state <<<"$output")" ready
    run ask a '"max_tokens":1'
    assert_output --partial '"stop_reason":"length"'
    clock_advance 31000
    kill -SEGV "$(worker_field a pid)"
    wait_until worker_has a last_fault crash
    stop_rbeed
    assert_equal "$(details drill | jq -r .kind)" slow
    assert_equal "$(db 'select class, is_drill from failures')" 'crash|0'
}

@test "a drill in the middle of an answer breaks it, and one that ends before it answers is one" {
    RESTART_BASE=10ms fake_config </dev/null
    start_rbeed
    model a <<<$'@1 gate_after 1 never\n@2 drill_silent'
    rbee worker start a --wait
    ask_later 1 a
    wait_for_deed a gate
    run -0 --separate-stderr rbee drill crash a --yes
    wait "$ASKED"
    run events <"$T/out.1"
    assert_line --partial '"code":"WORKER_DIED"'
    wait_until worker_has a restarts 1
    rbee wait a
    run -0 --separate-stderr rbee drill oom a --yes
    wait_until worker_has a restarts 2
    rbee wait a
    stop_rbeed
    assert_equal "$(db 'select class, is_drill from failures order by seq')" $'crash|1\noom|1'
}

@test "drills that are refused: by a worker that cannot, and in every other state" {
    RESTART_BASE=1h fake_config </dev/null
    start_rbeed
    refused 67 'there is no worker a' drill crash a --yes
    model a <<<$'@1 drill_status 404 NOT_FOUND "no such route"\n@2 load_gate go'
    rbee worker start a --wait
    refused 76 'worker a answered 404 to a drill' drill oom a --yes
    assert_equal "$(worker_field a state)" ready
    rbee worker stop a --wait
    refused 75 'worker a is down: rbee worker start a' drill crash a --yes
    rbee worker start a
    refused 75 'worker a is starting, a drill needs one that is ready: rbee wait a' drill crash a --yes
    rbee worker hold a --wait
    refused 75 'worker a is held; rbee worker release a' drill hang a --yes
    refused 2 'a drill must be crash, hang, oom, slow or gpu-fault, not "flood"' drill flood a --yes
    assert_equal "$(api_status POST /v1/workers/a/drill -d '{"kind":"flood"}')" 400
    stop_rbeed
    assert_equal "$(db 'select count(*) from failures')" 0
}

@test "a drill is confirmed on a terminal, or with --yes" {
    start_rbeed
    model a </dev/null
    rbee worker start a --wait
    refused 2 'a drill breaks what a is doing; without a terminal to ask on it needs --yes' drill crash a
    local pid
    pid=$(worker_field a pid)
    run env script -qec 'rbee drill crash a' /dev/null <<<"n"
    assert_output --partial "it dies of SIGSEGV, what it is doing breaks"
    assert_output --partial "nothing was done"
    assert_equal "$(worker_field a pid)" "$pid"
    run env script -qec 'rbee drill crash a' /dev/null <<<"y"
    wait_until is_gone "$pid"
}

# ---- what is asked wrongly ----

@test "reasons are one line, and of a length; unknown goals are refused" {
    start_rbeed
    model a </dev/null
    rbee worker start a
    refused 65 'reason must be one line of text' worker hold a --reason $'two\nlines'
    refused 65 'reason must have at most 200 bytes, not 201' breaker open a --reason "$(printf 'x%.0s' {1..201})"
    run api GET '/v1/workers/a/wait?for=happy'
    assert_output --partial 'for must be ready, idle, stopped or closed'
    assert_equal "$(api_status POST /v1/workers/none/hold)" 404
    assert_equal "$(api_status GET /v1/breakers/a/reset)" 405
}
