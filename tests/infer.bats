#!/usr/bin/env bats
# rbee infer against a supervisor that answers to order: what goes in, what comes out, and how each
# thing that can go wrong ends.

# shellcheck disable=SC2154,SC2016 # $output and $stderr are of run; inner shells expand what is quoted

load cli_helpers

setup() { scripted_setup; }
teardown() { rbee_teardown; }

# ---- input ----

@test "the prompt is the argument, the files and stdin, with a blank line between" {
    answer_paris
    printf 'one\n' >"$T/1"
    printf 'two\n\n' >"$T/2"
    : >"$T/3"
    run -0 --separate-stderr rbee infer ask -f "$T/1" -f "$T/3" -f "$T/2" <<<"three"
    assert_output "Paris is"
    assert_equal "$(last_body .prompt)" '"ask\n\none\n\ntwo\n\n\nthree"'
    assert_equal "$(echo "The capital of France is" | rbee infer --raw >/dev/null && last_body .prompt)" \
        '"The capital of France is"'
    rbee infer - <<<'only stdin' >/dev/null
    assert_equal "$(last_body .prompt)" '"only stdin"'
    rbee infer 'no stdin' --no-stdin <<<'secret' >/dev/null
    assert_equal "$(last_body .prompt)" '"no stdin"'
    rbee infer 'no stdin' </dev/null >/dev/null
    assert_equal "$(last_body .prompt)" '"no stdin"'
    rbee infer -f <(echo piped) --no-stdin >/dev/null
    assert_equal "$(last_body .prompt)" '"piped"'
    rbee infer 'closed' <&- >/dev/null
    assert_equal "$(last_body .prompt)" '"closed"'
    rbee infer -- '--raw' </dev/null >/dev/null
    assert_equal "$(last_body .prompt)" '"--raw"'
}

@test "a system message is text or a file" {
    answer_paris
    echo 'Be brief.' >"$T/system"
    run -0 rbee infer hello -s "@$T/system" --no-stdin
    assert_equal "$(last_body .messages)" \
        '[{"role":"system","content":"Be brief."},{"role":"user","content":"hello"}]'
    run -0 rbee infer hello -s 'Be long.' --no-stdin
    assert_equal "$(last_body '.messages[0].content')" '"Be long."'
    run --separate-stderr rbee infer hello -s "@$T/none" --no-stdin
    assert_failure 66
}

@test "what is given is sent, what is not given is left to the supervisor" {
    answer_paris
    run -0 rbee infer hello --no-stdin
    assert_equal "$(last_body 'keys')" '["prompt","stream"]'
    run -0 rbee infer hello --no-stdin -m llama -n 5 --temp 0 --top-p 0.5 --top-k 0 --min-p 0 \
        --repeat-penalty 1.1 --seed 7 --stop a --stop 'b c' --raw --ctx 100 --slots 2 --device cpu --kv-type q8_0 \
        --allow-cpu --no-start --frequency-penalty 0.5 --presence-penalty -0.5 --typical-p 0.9 \
        --mirostat 2 --mirostat-tau 4 --mirostat-eta 0.2 --logit-bias 7=-100 --logit-bias 12=1.5 \
        --logprobs 3 --stream=ndjson
    assert_equal "$(last_body 'del(.prompt)' | jq -cS .)" \
        '{"allow_cpu":true,"context":100,"device":"cpu","frequency_penalty":0.5,"kv_type":"q8_0","logit_bias":{"12":1.5,"7":-100},"logprobs":3,"max_tokens":5,"min_p":0,"mirostat":2,"mirostat_eta":0.2,"mirostat_tau":4,"model":"llama","presence_penalty":-0.5,"raw":true,"repeat_penalty":1.1,"seed":7,"slots":2,"start":false,"stop":["a","b c"],"stream":true,"temperature":0,"top_k":0,"top_p":0.5,"typical_p":0.9}'
}

@test "a model is a name or a path, and RBEE_MODEL is asked where -m is not given" {
    answer_paris
    touch "$T/Some Model.GGUF" "$T/known"
    export RBEE_MODEL=from-environment
    run -0 rbee infer hello --no-stdin
    assert_equal "$(last_body .model)" '"from-environment"'
    run -0 rbee infer hello --no-stdin -m known # a name comes first, though a file is called so
    assert_equal "$(last_body .model)" '"known"'
    run -0 rbee infer hello --no-stdin -m 'Some Model.GGUF'
    assert_equal "$(last_body .model)" "\"$T/Some Model.GGUF\""
    run -0 rbee infer hello --no-stdin -m ./x/../known
    assert_equal "$(last_body .model)" "\"$T/known\""
}

# Refused before a supervisor is asked, or started: exit CODE and one line, on stderr alone.
assert_refused() { # CODE MESSAGE COMMAND
    run --separate-stderr bash -c "$3"
    assert_failure "$1"
    assert_output ""
    assert_equal "$stderr" "rbee: $2"
    assert_no_process
}

@test "input that is no prompt is refused before anything is started" {
    local none='no prompt: give one as an argument, with -f, or on stdin'
    assert_refused 2 "$none" 'rbee infer </dev/null'
    assert_refused 2 "$none" 'rbee infer <&-'
    assert_refused 2 "$none" 'rbee infer --no-stdin <<<x'
    assert_refused 65 'the prompt is empty' ': | rbee infer'
    assert_refused 65 'the prompt is empty' 'rbee infer "" </dev/null'
    assert_refused 65 'stdin is not UTF-8 at byte 2' 'printf "ab\xffc" | rbee infer hello'
    assert_refused 65 'the prompt is not UTF-8 at byte 1' 'rbee infer $'\''a\xc3'\'' </dev/null'
    assert_refused 65 '--stop is not UTF-8 at byte 0' 'rbee infer a --stop $'\''\xff'\'' </dev/null'
    assert_refused 65 'stdin holds a NUL at byte 1' 'printf "a\0" | rbee infer'
    assert_refused 66 "open $T/none: No such file or directory" "rbee infer -f $T/none </dev/null"
    assert_refused 66 "$T is a folder" "rbee infer -f $T </dev/null"
    assert_refused 2 '--stop must be a text of 1 to 256 bytes, not ""' 'rbee infer a --stop= </dev/null'
}

@test "stdin that never ends ends at 4 MiB" {
    assert_refused 65 'stdin is longer than 4194304 bytes, the most a prompt may have' \
        'yes | rbee infer hello'
    head -c 4194300 /dev/zero | tr '\0' a >"$T/large"
    assert_refused 65 'the prompt is longer than 4194304 bytes' "rbee infer hello -f $T/large </dev/null"
}

@test "silence on stdin is explained after two seconds" {
    answer_paris
    mkfifo "$T/slow"
    rbee infer <"$T/slow" >"$T/out" 2>"$T/err" 3>&- &
    local pid=$!
    exec 8>"$T/slow"
    wait_for_line "$T/err" '^rbee: waiting for the end of stdin; --no-stdin does not read it$'
    echo hello >&8
    exec 8>&-
    wait "$pid"
    assert_equal "$(last_body .prompt)" '"hello"'
}

# ---- output ----

@test "stdout has the answer byte for byte, stderr that a supervisor was started" {
    answers <<<'POST /v1/inference sse; started; tokens 1 "\\u001b[31mé"; event "{\"type\":\"token\",\"t\":\"\\u001b[2J\\u202e\\r\",\"i\":1}"; end stop; done'
    run --separate-stderr bash -c 'rbee infer hello --no-stdin | od -An -tx1 | tr -d " \n"'
    assert_output "$(printf '%s\e[2J\u202e\r' '\u001b[31mé' | od -An -tx1 | tr -d ' \n')"
    assert_equal "$stderr" "rbee: starting rbeed"
    run -0 --separate-stderr rbee infer hello --no-stdin
    assert_equal "$stderr" ""
}

@test "a terminal gets the same made harmless, and its line is ended" {
    answers <<<'POST /v1/inference sse; started; event "{\"type\":\"token\",\"t\":\"a\\u001b[2J\\u009bb\",\"i\":0}"; end stop; done'
    rbee up -q
    run script -qec 'rbee infer hello --no-stdin' /dev/null </dev/null
    assert_output $'a␛[2J\xef\xbf\xbdb\r'
    answers <<<'POST /v1/inference json 200 "{\"text\":\"a\\u009bb\\u202ec\"}"'
    run script -qec 'rbee infer hello --no-stdin --json' /dev/null </dev/null
    assert_output $'{"text":"a\xef\xbf\xbdb\xef\xbf\xbdc"}\r'
}

@test "--json is one object, and the request is not streamed" {
    answers <<<'POST /v1/inference json 200 "{\"id\":\"r-1\",\"model\":\"m\",\"text\":\"Paris\",\"stop_reason\":\"stop\",\"usage\":{},\"timings\":{}}"'
    run -0 --separate-stderr rbee infer hello --no-stdin --json
    assert_output '{"id":"r-1","model":"m","text":"Paris","stop_reason":"stop","usage":{},"timings":{}}'
    assert_equal "$(last_body .stream)" false
    run -0 --separate-stderr rbee infer hello --no-stdin --no-stream
    assert_output 'Paris'
}

@test "--stream=ndjson is the events, and ends with end or error whatever happens" {
    answer_paris
    run -0 --separate-stderr rbee infer hello --no-stdin --stream=ndjson
    assert_equal "$(jq -r .type <<<"$output" | xargs)" "started token token end"
    answers <<<'POST /v1/inference sse; started; tokens 1 "Paris"; close'
    run -74 --separate-stderr rbee infer hello --no-stdin --stream ndjson
    assert_equal "$(jq -r '.code // .type' <<<"$output" | xargs)" "started token STREAM_BROKEN"
    answers <<<'POST /v1/inference sse; started; fail WORKER_DIED "gone"; done'
    run -70 --separate-stderr rbee infer hello --no-stdin --stream ndjson
    assert_equal "$(jq -r '.code // .type' <<<"$output" | xargs)" "started WORKER_DIED"
    answers <<<'POST /v1/inference error 429 QUEUE_FULL "64 wait already" 2'
    run -75 --separate-stderr rbee infer hello --no-stdin --stream ndjson
    assert_equal "$(jq -c '[.type, .code, .retry_after_ms]' <<<"$output")" '["error","QUEUE_FULL",2000]'
}

@test "--stats says tokens and times on stderr, with --quiet too" {
    answer_paris
    run -0 --separate-stderr rbee infer hello --no-stdin --stats -q
    assert_output "Paris is"
    assert_equal "$stderr" "rbee: prompt 5 tokens (0 cached) in 12.5 ms (400.0/s), answer 2 tokens in 80.0 ms (25.0/s), first token after 13.0 ms, queue 0.0 ms, load 0.0 ms, stop: stop"
}

@test "warnings of the supervisor are said" {
    answers <<<'POST /v1/inference sse; started "no field is called tempature"; end stop; done'
    rbee up -q
    run -0 --separate-stderr rbee infer hello --no-stdin
    assert_equal "$stderr" "rbee: warning: no field is called tempature"
}

@test "--fail-on-length is 3 when a limit cut the answer, and the answer is there" {
    answers <<<'POST /v1/inference sse; started; tokens 1 "Paris"; end length; done'
    run -0 rbee infer hello --no-stdin -q
    run -3 --separate-stderr rbee infer hello --no-stdin --fail-on-length -o "$T/out"
    assert_equal "$(cat "$T/out")" Paris
    answer_paris
    run -0 --separate-stderr rbee infer hello --no-stdin --fail-on-length
}

# ---- -o ----

@test "-o replaces the file when all is there, and through a link" {
    answer_paris
    echo old >"$T/real"
    ln -s real "$T/link"
    run -0 --separate-stderr rbee infer hello --no-stdin -q -o "$T/link"
    assert_output ""
    assert_equal "$(cat "$T/real")" "Paris is"
    assert [ -L "$T/link" ]
}

@test "-o through a link to a file that is not there yet makes that file" {
    answer_paris
    mkdir "$T/o" "$T/p"
    ln -s ../p/real "$T/o/link"
    ln -s "$T/o/link" "$T/outer"
    run -0 --separate-stderr rbee infer hello --no-stdin -q -o "$T/outer"
    assert_equal "$(cat "$T/p/real")" "Paris is"
    assert [ -L "$T/outer" ]
    assert [ -L "$T/o/link" ]
    assert_equal "$(cd "$T" && find o p -mindepth 1 | sort | xargs)" "o/link p/real"
}

@test "-o may be a pipe, which is opened once, and /dev/stdout" {
    answer_paris
    rbee up -q
    mkfifo "$T/pipe"
    cat "$T/pipe" >"$T/out" 3>&- &
    local reader=$!
    run -0 --separate-stderr rbee infer hello --no-stdin -o "$T/pipe"
    wait "$reader"
    assert_equal "$(cat "$T/out")" "Paris is"
    run -0 --separate-stderr rbee infer hello --no-stdin -o -
    assert_output 'Paris is'
    assert_not_exists ./-
    run -0 --separate-stderr rbee infer hello --no-stdin -o /dev/stdout
    assert_output "Paris is"
}

@test "an output that cannot be written is 73 before anything is started" {
    mkdir -p "$T/o/folder"
    ln -s loop "$T/o/loop"
    ln -s none/file "$T/o/link"
    mkdir -m 500 "$T/locked"
    assert_refused 73 "create a file in the folder $T/none: No such file or directory" \
        "rbee infer hello --no-stdin -o $T/none/file"
    assert_refused 73 "open $T/o/folder: Is a directory" "rbee infer hello --no-stdin -o $T/o/folder"
    assert_refused 73 "open $T/o/loop: Too many levels of symbolic links" \
        "rbee infer hello --no-stdin -o $T/o/loop"
    assert_refused 73 "create a file in the folder $T/o/none: No such file or directory" \
        "rbee infer hello --no-stdin -o $T/o/link"
    assert_refused 73 "create a file in the folder $T/locked: Permission denied" \
        "rbee infer hello --no-stdin -o $T/locked/file"
    assert_equal "$(cd "$T/o" && find . -mindepth 1 | sort | xargs)" "./folder ./link ./loop"
}

# The old file stands, and nothing is beside it.
assert_old_file_kept() {
    assert_equal "$(cat "$T/o/file")" old
    assert_equal "$(ls "$T/o")" file
}

@test "-o keeps the old file when the answer breaks off, and leaves nothing beside it" {
    mkdir "$T/o"
    echo old >"$T/o/file"
    rbee up -q
    answers <<<'POST /v1/inference sse; started; tokens 9 "Paris"; close'
    run -74 rbee infer hello --no-stdin -o "$T/o/file"
    assert_old_file_kept
    answers <<<'POST /v1/inference sse; started; tokens 9 "Paris"; fail WORKER_DIED "gone"; done'
    run -74 rbee infer hello --no-stdin -o "$T/o/file"
    assert_old_file_kept
}

@test "an output that is full is 73: -o keeps the old file, stdout what fitted" {
    mkdir "$T/o"
    echo old >"$T/o/file"
    rbee up -q
    answers <<<'POST /v1/inference sse; started; tokens 1000 "Paris"; end stop; done'
    run -73 --separate-stderr bash -c "ulimit -f 1; rbee infer hello --no-stdin -o $T/o/file"
    assert_old_file_kept
    assert_equal "$stderr" "rbee: write $T/o/file: File too large"
    run -73 --separate-stderr bash -c "ulimit -f 1; rbee infer hello --no-stdin >$T/out"
    assert_equal "$stderr" "rbee: write to stdout: File too large"
    assert_equal "$(stat -c %s "$T/out")" 1024
    run -73 --separate-stderr bash -c 'rbee infer hello --no-stdin >/dev/full'
    run -73 --separate-stderr rbee infer hello --no-stdin -o /dev/full
    assert [ -c /dev/full ]
    run -73 --separate-stderr bash -c 'rbee infer hello --no-stdin >&-'
    run -73 --separate-stderr rbee infer hello --no-stdin -o "$T/none/file"
}

# ---- failures ----

@test "each failure has the exit code of its kind, and --json its envelope" {
    rbee up -q
    local wire code
    while read -r wire code; do
        answers <<<"POST /v1/inference error 400 $wire \"what is wrong\""
        run --separate-stderr rbee infer hello --no-stdin --json
        assert_failure "$code"
        assert_json_error "$wire"
        assert_equal "$stderr" "rbee: what is wrong"
    done <<'END'
MODEL_NOT_FOUND 67
PROMPT_TOO_LONG 65
INVALID_FIELD 65
INVALID_MODEL 65
BODY_TOO_LARGE 65
QUEUE_FULL 75
WORKER_LOADING 75
WORKER_DRAINING 75
NO_ROOM 75
WORKER_DIED 70
WORKER_FAILED 71
TIMED_OUT 124
FORBIDDEN 77
INTERNAL 70
END
}

@test "a worker that dies is 70 before the first token, and 74 after it" {
    rbee up -q
    answers <<<'POST /v1/inference sse; started; fail WORKER_DIED "signal SEGV"; done'
    run -70 --separate-stderr rbee infer hello --no-stdin
    assert_equal "$stderr" "rbee: signal SEGV"
    answers <<<'POST /v1/inference sse; started; tokens 1 "Par"; fail WORKER_DIED "signal SEGV"; done'
    run -74 --separate-stderr rbee infer hello --no-stdin
    assert_output "Par"
    assert_equal "$stderr" "rbee: signal SEGV"
}

@test "a stream that breaks off is 74, and what came stands" {
    rbee up -q
    local after
    for after in 'close' 'done' 'bytes "5\r\nda"; close'; do
        answers <<<"POST /v1/inference sse; started; tokens 2 \"Par\"; $after"
        run -74 --separate-stderr rbee infer hello --no-stdin
        assert_output "ParPar"
    done
    # Everything had come: that the connection broke after the end is nobody's loss.
    answers <<<'POST /v1/inference sse; started; tokens 2 "Par"; end stop; close'
    run -0 --separate-stderr rbee infer hello --no-stdin
}

@test "nonsense in a stream is 76" {
    rbee up -q
    local nonsense
    for nonsense in 'event "{"' 'event "[1]"' 'event "{\"no\":1}"' 'event "{\"type\":\"error\"}"' 'bytes "zz\r\n"'; do
        answers <<<"POST /v1/inference sse; started; tokens 1 \"Par\"; $nonsense; hang"
        run --separate-stderr rbee infer hello --no-stdin
        assert_failure 76
        assert_output "Par"
    done
    answers <<<'POST /v1/inference json 200 "{}"'
    run -76 --separate-stderr rbee infer hello --no-stdin
    run -76 --separate-stderr rbee infer hello --no-stdin --json
    answers <<<'POST /v1/inference sse; started; event "{\"type\":\"of tomorrow\"}"; tokens 1 "Par"; end stop; done'
    run -0 --separate-stderr rbee infer hello --no-stdin
    assert_output "Par"
}

# ---- signals ----

# Interrupts an answer once the supervisor has begun it: assert_ended_by SIGNAL [ARGUMENT...]
assert_ended_by() {
    local signal=$1 status=0
    shift
    rm -f "$FAKE_SCRIPT.log"
    # A shell without job control makes what it puts in the background ignore INT.
    env --default-signal=INT rbee infer hello --no-stdin "$@" >"$T/out" 2>"$T/err" 3>&- &
    local pid=$!
    wait_until is_asked
    kill -s "$signal" "$pid"
    wait "$pid" || status=$?
    assert_equal "$status" $((128 + $(kill -l "$signal")))
    assert_equal "$(cat "$T/err")" ""
    wait_for_line "$FAKE_SCRIPT.log" '"left": "/v1/inference"' # the supervisor has seen us leave
}

is_asked() {
    grep -qs '"method": "POST"' "$FAKE_SCRIPT.log" && { [ ! -e "$T/wants_text" ] || [ -s "$T/out" ]; }
}

@test "INT, TERM and HUP close the connection at once, before the first token and after" {
    rbee up -q
    answers <<<'POST /v1/inference hang'
    assert_ended_by INT
    assert_ended_by TERM --json
    assert_ended_by HUP --no-stream
    assert_equal "$(cat "$T/out")" ""
    touch "$T/wants_text"
    answers <<<'POST /v1/inference sse; started; tokens 1 "Paris"; hang'
    assert_ended_by INT
    assert_equal "$(cat "$T/out")" Paris
    assert_ended_by TERM --stream=ndjson
}

@test "an interrupted -o leaves the old file and nothing beside it" {
    mkdir "$T/o"
    echo old >"$T/o/file"
    rbee up -q
    answers <<<'POST /v1/inference sse; started; tokens 1 "Paris"; hang'
    assert_ended_by INT -o "$T/o/file"
    assert_old_file_kept
}

@test "the process ends by the signal, so that a shell's loop ends too" {
    rbee up -q
    answers <<<'POST /v1/inference hang'
    run python3 -c '
import subprocess, signal, time, os
p = subprocess.Popen(["rbee", "infer", "hello", "--no-stdin"])
while "POST" not in open(os.environ["FAKE_SCRIPT"] + ".log").read():
    time.sleep(0.01)
p.send_signal(signal.SIGINT)
print(p.wait())'
    assert_output -- -2
}

@test "an ignored INT stays ignored, as nohup and background jobs want it" {
    rbee up -q
    answers <<<"POST /v1/inference sse; started; gate $T/go; tokens 1 Paris; end stop; done"
    env --ignore-signal=INT rbee infer hello --no-stdin >"$T/out" 3>&- &
    local pid=$!
    wait_until is_asked
    kill -INT "$pid"
    touch "$T/go"
    wait "$pid"
    assert_equal "$(cat "$T/out")" Paris
}

@test "Ctrl-C works while nobody takes our output" {
    rbee up -q
    answers <<<'POST /v1/inference sse; started; tokens 60000 "Paris"; hang'
    mkfifo "$T/full"
    exec 8<>"$T/full" # a reader that never reads
    env --default-signal=INT rbee infer hello --no-stdin >"$T/full" 3>&- 8<&- &
    local pid=$! status=0
    # In poll() for a while: the pipe of 64 KiB is full.
    wait_until grep -qs poll "/proc/$pid/wchan" || true
    wait_until is_asked
    kill -INT "$pid"
    wait "$pid" || status=$?
    exec 8>&-
    assert_equal "$status" 130
}

@test "a reader that leaves ends us quietly, as SIGPIPE does, and the supervisor sees it" {
    rbee up -q
    answers <<<'POST /v1/inference sse; started; tokens 60000 "Paris"; hang'
    run --separate-stderr bash -c 'rbee infer hello --no-stdin | head -c 5; echo " ${PIPESTATUS[0]}"'
    assert_output "Paris 141"
    assert_equal "$stderr" ""
    run --separate-stderr bash -c 'trap "" PIPE; rbee infer hello --no-stdin | head -c 5; echo " ${PIPESTATUS[0]}"'
    assert_output "Paris 141"
}

# ---- starting ----

@test "--no-start starts no supervisor and says so" {
    run --separate-stderr rbee infer hello --no-stdin --no-start
    assert_failure 69
    assert_no_process
}

@test "eight first commands at the same moment start one supervisor" {
    answer_paris
    local i pids=()
    for i in 1 2 3 4 5 6 7 8; do
        rbee infer "hello $i" --no-stdin >"$T/out.$i" 2>"$T/err.$i" 3>&- &
        pids+=($!)
    done
    wait "${pids[@]}"
    for i in 1 2 3 4 5 6 7 8; do
        assert_equal "$(cat "$T/out.$i")" "Paris is"
    done
    assert_equal "$(cat "$T"/err.*)" "rbee: starting rbeed"
    assert_equal "$(grep -c '"start"' "$FAKE_SCRIPT.log")" 1
}
