#!/usr/bin/env bats
# rbee batch against a supervisor that answers to order: what goes in and comes out, in what order,
# what fails, and that it can be gone on with after every end.

# shellcheck disable=SC2154 # $output and $stderr are of run

load cli_helpers

setup() {
    scripted_setup
    answers <<<'POST /v1/inference json 200 "{\"id\":\"r-1\",\"model\":\"m\",\"text\":\"yes\",\"stop_reason\":\"stop\",\"usage\":{}}"'
}
teardown() { rbee_teardown; }

ANSWER='json 200 "{\"id\":\"r-1\",\"text\":\"yes\",\"usage\":{}}"'

# N requests, each with its number as id and prompt.
questions() { # N
    jq -nc "range($1) | {id: ., prompt: \"q\\(.)\"}" >in.jsonl
}

# Results of FILE, in the order of the requests: [INDEX, TEXT or CODE].
results() { # FILE
    jq -sc 'sort_by(.index) | map([.index, .text // .error.code])' "$1"
}

@test "each line is a request, and its result says whose it is" {
    cat >in.jsonl <<'LINES'
{"prompt":"one","id":"a"}

{"messages":[{"role":"user","content":"two"}],"temperature":0.5,"model":"other"}
{"prompt":"three","id":7,"max_tokens":9}
LINES
    run -0 --separate-stderr rbee batch in.jsonl -m llama -n 5 --temp 0 -j 1 -s 'Be brief.'
    assert_equal "$(jq -c '[.index, .id, .text, .request_id]' <<<"$output")" \
        $'[0,"a","yes","r-1"]\n[1,null,"yes","r-1"]\n[2,7,"yes","r-1"]'
    assert_equal "${stderr##*$'\n'}" 'rbee: 3 of 3 answered, 0 failed'
    assert_equal "$(requests POST /v1/inference | jq -r .body | jq -cS 'del(.stream)')" \
        '{"max_tokens":5,"messages":[{"content":"Be brief.","role":"system"},{"content":"one","role":"user"}],"model":"llama","temperature":0}
{"max_tokens":5,"messages":[{"content":"two","role":"user"}],"model":"other","temperature":0.5}
{"max_tokens":9,"messages":[{"content":"Be brief.","role":"system"},{"content":"three","role":"user"}],"model":"llama","temperature":0}'
    run -0 rbee batch - -q <in.jsonl
    assert_equal "$(jq -sc 'map(.index) | sort' <<<"$output")" '[0,1,2]'
}

@test "-o gets whole lines, and is not written over" {
    questions 3
    run -0 --separate-stderr rbee batch in.jsonl -o out.jsonl --json
    assert_output '{"requests":3,"answered":3,"failed":0}'
    assert_equal "$(results out.jsonl)" '[[0,"yes"],[1,"yes"],[2,"yes"]]'
    cp out.jsonl before
    run --separate-stderr rbee batch in.jsonl -o out.jsonl
    assert_failure 73
    assert_equal "$stderr" 'rbee: out.jsonl is there already; --resume goes on with it'
    run -0 --separate-stderr rbee batch in.jsonl -o out.jsonl --resume
    cmp before out.jsonl
    assert_equal "$(requests POST /v1/inference | wc -l)" 3
    run --separate-stderr rbee batch in.jsonl -o /dev/full
    assert_failure 73
    refute_regex "$stderr" resume
    run -0 --separate-stderr rbee batch in.jsonl -o -
    assert_equal "$(jq -sc 'map(.index) | sort' <<<"$output")" '[0,1,2]'
    assert_not_exists ./-
    run --separate-stderr rbee batch in.jsonl -o - --resume
    assert_failure 2
    run --separate-stderr bash -c 'rbee batch in.jsonl >/dev/full'
    assert_failure 73
    run --separate-stderr bash -c 'rbee batch in.jsonl >&-'
    assert_failure 73
}

# The line NUMBER is wrong, nothing was sent, and nothing was started.
refused_line() { # NUMBER MESSAGE
    run --separate-stderr rbee batch in.jsonl -o out.jsonl
    assert_failure 65
    assert_equal "$stderr" "rbee: in.jsonl: line $1: $2"
    assert_not_exists out.jsonl
    assert_no_process
}

@test "a line that is no request is told by its number before anything is sent" {
    printf '{"prompt":"a"}\n\n[]\n' >in.jsonl
    refused_line 3 'it is no object'
    echo '{"promt":"a"}' >in.jsonl
    refused_line 1 'prompt is missing (or messages)'
    echo '{"prompt":"a","tempreture":1}' >in.jsonl
    refused_line 1 'there is no field "tempreture"'
    echo '{"prompt":"a","temperature":-1}' >in.jsonl
    refused_line 1 'temperature must be a number from 0 to 100, not -1'
    echo '{"prompt":"a","id":[]}' >in.jsonl
    refused_line 1 'id must be a text or a whole number'
    printf '{"prompt":"a"}\n{"prompt":"a"' >in.jsonl
    run --separate-stderr rbee batch in.jsonl
    assert_failure 65
    assert_regex "$stderr" '^rbee: in.jsonl: line 2: '
    printf '{"prompt":"\xff"}\n' >in.jsonl
    run --separate-stderr rbee batch in.jsonl
    assert_failure 65
    : >in.jsonl
    run --separate-stderr rbee batch in.jsonl
    assert_failure 65
    run --separate-stderr rbee batch none.jsonl
    assert_failure 66
    run --separate-stderr rbee batch "$T"
    assert_failure 66
    assert_equal "$stderr" "rbee: $T is a folder, not a file of requests"
    run --separate-stderr rbee batch in.jsonl --resume
    assert_failure 2
}

@test "as many run at a time as -j says, and order is as they come" {
    questions 3
    answers <<LINES
POST /v1/inference if q0; gate $T/go; $ANSWER
POST /v1/inference $ANSWER
LINES
    rbee batch in.jsonl -j 2 >out.jsonl 2>err 3>&- &
    local pid=$!
    wait_for_line out.jsonl '"index":2'
    touch go
    assert_ends "$pid" 0
    assert_equal "$(jq -c .index out.jsonl)" $'1\n2\n0'
}

@test "what says later is asked again, a bounded number of times; the rest goes on, exit 3" {
    questions 4
    answers <<LINES
POST /v1/inference if q1; times 2; json 429 "{\"error\":{\"code\":\"QUEUE_FULL\",\"message\":\"full\",\"retry_after_ms\":1}}"
POST /v1/inference if q2; json 503 "{\"error\":{\"code\":\"CIRCUIT_OPEN\",\"message\":\"open\",\"retry_after_ms\":1}}"
POST /v1/inference if q3; error 400 PROMPT_TOO_LONG "too long"
POST /v1/inference $ANSWER
LINES
    run --separate-stderr rbee batch in.jsonl -o out.jsonl
    assert_failure 3
    assert_equal "$(results out.jsonl)" \
        '[[0,"yes"],[1,"yes"],[2,"CIRCUIT_OPEN"],[3,"PROMPT_TOO_LONG"]]'
    assert_equal "$(requests POST /v1/inference | grep -c q1)" 3
    assert_equal "$(requests POST /v1/inference | grep -c q2)" 8
    assert_equal "$(requests POST /v1/inference | grep -c q3)" 1
    assert_regex "$stderr" '2 of 4 answered, 2 failed'
    assert_regex "$stderr" 'requests have no answer yet; to go on, run the same command again with --resume$'
    # What failed is asked again; of two lines of one index the later one counts.
    answers <<<"POST /v1/inference $ANSWER"
    run -0 --separate-stderr rbee batch in.jsonl -o out.jsonl --resume
    assert_equal "$(jq -sc 'group_by(.index) | map(last.text)' out.jsonl)" '["yes","yes","yes","yes"]'
}

@test "--max-failures ends it, without waiting for what would be asked later" {
    questions 10
    answers <<LINES
POST /v1/inference if q0; error 503 CIRCUIT_OPEN "open" 200
POST /v1/inference error 400 PROMPT_TOO_LONG "too long"
LINES
    run --separate-stderr rbee batch in.jsonl -j 2 --max-failures 2
    assert_failure 3
    assert_equal "$(requests POST /v1/inference | wc -l)" 3
}

@test "what is the same for all ends it at once, with its exit code" {
    questions 10
    answers <<'LINES'
POST /v1/inference error 401 INVALID_API_KEY "wrong token"
LINES
    run --separate-stderr rbee batch in.jsonl -j 1 --json
    assert_failure 77
    assert_json_error INVALID_API_KEY
    assert_equal "$(requests POST /v1/inference | wc -l)" 1
    run --separate-stderr rbee batch in.jsonl --no-start --host "unix:$T/none"
    assert_failure 69
    answers <<'LINES'
POST /v1/inference error 404 MODEL_NOT_FOUND "no model or worker is called nosuch"
LINES
    run --separate-stderr rbee batch in.jsonl -o out.jsonl -j 1 -m nosuch
    assert_failure 67
    assert_equal "$stderr" 'rbee: no model or worker is called nosuch'
    assert_equal "$(cat out.jsonl)" ''
    # That of one line is its own failure.
    jq -c '{prompt, model: "gone"}' in.jsonl >own.jsonl
    run --separate-stderr rbee batch own.jsonl -j 1 -m nosuch
    assert_failure 3
}

@test "Ctrl-C keeps what was answered, cancels the rest, and says how to go on" {
    questions 5
    answers <<LINES
POST /v1/inference if q0; $ANSWER
POST /v1/inference hang
LINES
    setsid env rbee batch in.jsonl -o out.jsonl -j 2 2>err 3>&- &
    local pid=$!
    wait_for_line out.jsonl '"index":0'
    are_asked() { [ "$(requests POST /v1/inference | wc -l)" -ge 2 ]; }
    wait_until are_asked
    kill -TERM "$pid" # a background job of a script ignores INT
    assert_ends "$pid" 143
    wait_for_line err '4 requests have no answer yet; to go on, run the same command again with --resume'
    wait_for_line "$FAKE_SCRIPT.log" '"left"'
    assert_equal "$(results out.jsonl)" '[[0,"yes"]]'
    run python3 "$TESTS_DIR/pty_drive.py" rbee batch in.jsonl -j 2 <<'STEPS'
expect "index":0
expect 1 of 5 answered
send \x03
STEPS
    assert_failure 130
    answers <<<"POST /v1/inference $ANSWER"
    run -0 rbee batch in.jsonl -o out.jsonl --resume
    assert_equal "$(jq -sc 'map(.index) | sort' out.jsonl)" '[0,1,2,3,4]'
}

@test "a torn last line, after kill -9, is cut off and asked again" {
    questions 3
    run -0 rbee batch in.jsonl -o out.jsonl -j 1
    for torn in 1 20 "$(($(tail -n 1 out.jsonl | wc -c) - 1))"; do
        head -n 2 out.jsonl >cut.jsonl
        tail -n 1 out.jsonl | head -c "$torn" >>cut.jsonl
        run -0 --separate-stderr rbee batch in.jsonl -o cut.jsonl --resume
        assert_regex "$stderr" 'cut off a last line'
        assert_equal "$(results cut.jsonl)" '[[0,"yes"],[1,"yes"],[2,"yes"]]'
    done
    questions 200
    rbee batch in.jsonl -o killed.jsonl -j 8 3>&- 2>/dev/null &
    wait_for_line killed.jsonl '"index":9,'
    kill -KILL $!
    wait $! || true
    run -0 rbee batch in.jsonl -o killed.jsonl --resume
    assert_equal "$(jq -sc 'map(.index) | sort == [range(200)]' killed.jsonl)" true
}

@test "a file of other requests, and one that a batch still writes, are refused" {
    questions 2
    run -0 rbee batch in.jsonl -o out.jsonl
    jq -c '.id = "x"' in.jsonl >other.jsonl
    run --separate-stderr rbee batch other.jsonl -o out.jsonl --resume
    assert_failure 65
    assert_regex "$stderr" 'out.jsonl, line 1: request [01] has another id here'
    echo junk >junk.jsonl
    run --separate-stderr rbee batch in.jsonl -o junk.jsonl --resume
    assert_failure 65
    assert_equal "$(cat junk.jsonl)" junk
    answers <<<'POST /v1/inference hang'
    rbee batch in.jsonl -o busy.jsonl 2>/dev/null 3>&- &
    local pid=$!
    wait_until [ -e busy.jsonl ]
    wait_until sh -c '! flock -n busy.jsonl true'
    run --separate-stderr rbee batch in.jsonl -o busy.jsonl --resume
    assert_failure 73
    assert_regex "$stderr" 'belongs to another batch that runs'
    kill "$pid"
    wait "$pid" || true
}

@test "a deadline that is longer than the supervisor allows is lowered, unless somebody asked for it" {
    questions 4
    answers <<LINES
POST /v1/inference times 1; json 400 "{\"error\":{\"code\":\"INVALID_DEADLINE\",\"message\":\"long\",\"details\":{\"max_ms\":60000}}}"
POST /v1/inference $ANSWER
LINES
    run -0 rbee batch in.jsonl -o out.jsonl -j 4
    assert_equal "$(jq -s length out.jsonl)" 4
    answers <<'LINES'
POST /v1/inference json 400 "{\"error\":{\"code\":\"INVALID_DEADLINE\",\"message\":\"long\",\"details\":{\"max_ms\":60000}}}"
LINES
    run rbee batch in.jsonl -o other.jsonl --deadline 5m
    assert_failure 3
}
