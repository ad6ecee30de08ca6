#!/usr/bin/env bats
# rbee chat against a supervisor that answers to order: turns from a pipe, and somebody at a terminal.

# shellcheck disable=SC2154 # $output and $stderr are of run

load cli_helpers

setup() {
    scripted_setup
    answer_paris
    export TERM=xterm
    unset COLUMNS LINES
}
teardown() { rbee_teardown; }

# Requests for answers that were sent.
asked() {
    requests POST /v1/inference | wc -l
}

# ---- from a pipe ----

@test "each line of stdin is a turn, and one answer is byte for byte that of infer" {
    printf 'one' | rbee chat 2>"$T/err" >"$T/out"
    printf 'Paris is' | cmp - "$T/out"
    run -0 --separate-stderr rbee chat -m llama --temp 0 -n 5 -s 'Be brief.' <<<$'one\n\ntwo'
    assert_output $'Paris is\nParis is'
    assert_equal "$(last_body .)" '{"model":"llama","max_tokens":5,"temperature":0,"stream":true,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"one"},{"role":"assistant","content":"Paris is"},{"role":"user","content":"two"}]}'
    assert_equal "$(asked)" 3
    assert_not_exists "$STATE/chat_history"
}

@test "three quotes begin and end a text of several lines, two slashes a text with one" {
    run -0 --separate-stderr rbee chat <<<$'"""first\nsecond """ third\n\nlast"""\n"""in one"""\n//etc'
    assert_equal "$(last_body '[.messages[] | select(.role == "user").content]')" \
        '["first\nsecond \"\"\" third\n\nlast","in one","/etc"]'
    run --separate-stderr rbee chat <<<$'"""first\nsecond'
    assert_failure 65
    assert_equal "$stderr" 'rbee: stdin ended inside of """'
}

@test "commands of the table: system, model, undo, retry, clear, save, stats" {
    run -0 --separate-stderr rbee chat <<'LINES'
/system Be brief.
/model other
one
two
/undo
three
/save talk.json
/retry
/stats
/help
LINES
    assert_equal "$output" $'Paris is\nParis is\nParis is\nParis is'
    assert_equal "$(last_body '[.model, .messages[].content]')" \
        '["other","Be brief.","one","Paris is","three"]'
    assert_equal "$(jq -c '[.messages[].role]' talk.json)" '["system","user","assistant","user","assistant"]'
    assert_equal "$(stat -c %a talk.json)" 600
    assert_regex "$stderr" '4 messages so far'
    assert_regex "$stderr" 'prompt 5 tokens'
    assert_regex "$stderr" '/save FILE '
    rbee chat -q <<<$'one\n/clear\n/system\ntwo' >/dev/null
    assert_equal "$(last_body '[.messages[].content]')" '["two"]'
}

@test "a line that is wrong, and a turn that fails, end it with their exit code" {
    run --separate-stderr rbee chat <<<$'/retri\none'
    assert_failure 2
    assert_equal "${stderr##*$'\n'}" 'rbee: there is no /retri; did you mean /retry?'
    run --separate-stderr rbee chat < <(printf 'a\xff\n')
    assert_failure 65
    run --separate-stderr rbee chat <<<'/save'
    assert_failure 2
    answers <<<'POST /v1/inference error 429 QUEUE_FULL "come back" 7'
    run --separate-stderr rbee chat --json <<<$'one\ntwo'
    assert_failure 75
    assert_json_error QUEUE_FULL
    assert_equal "$(jq .error.retry_after_ms <<<"$output")" 7000
    assert_equal "$(asked)" 1
    run --separate-stderr rbee chat -f x <<<one
    assert_failure 2
}

@test "an answer may take an hour, or what the supervisor allows" {
    rbee chat -q <<<one >/dev/null
    assert_equal "$(requests POST /v1/inference | jq .timeout_ms)" 3600000
    answers <<'LINES'
POST /v1/inference times 1; json 400 "{\"error\":{\"code\":\"INVALID_DEADLINE\",\"message\":\"too far\",\"details\":{\"max_ms\":5000}}}"
POST /v1/inference sse; started; tokens 1 "yes"; end stop; done
LINES
    run -0 --separate-stderr rbee chat <<<two
    assert_output yes
    assert_equal "$(requests POST /v1/inference | tail -n 1 | jq .timeout_ms)" 5000
}

@test "with --json each answer is one object" {
    answers <<<'POST /v1/inference json 200 "{\"text\":\"hi\",\"stop_reason\":\"stop\",\"usage\":{}}"'
    run -0 --separate-stderr rbee chat --json <<<$'one\ntwo'
    assert_equal "$(jq -s 'map(.text)' -c <<<"$output")" '["hi","hi"]'
    assert_equal "$(last_body '[.messages[].content]')" '["one","hi","two"]'
}

@test "a conversation that no longer fits is refused, and what helps is said" {
    answers <<<'POST /v1/inference error 400 PROMPT_TOO_LONG "the prompt has 9000 tokens, the context 8192"'
    run --separate-stderr rbee chat <<<one
    assert_failure 65
    assert_regex "$stderr" '/clear begins anew, /undo takes turns back'
    assert_regex "$stderr" 'the prompt has 9000 tokens'
}

@test "a signal ends a chat in a pipe, and the request that runs" {
    answers <<<'POST /v1/inference sse; started; tokens 1 "Par"; hang'
    rbee chat <<<$'one\ntwo' >"$T/out" 2>"$T/err" 3>&- &
    local pid=$!
    wait_for_line "$T/out" '^Par'
    kill -TERM "$pid" # a background job of a script ignores INT
    assert_ends "$pid" 143
    wait_for_line "$FAKE_SCRIPT.log" '"left"'
    assert_equal "$(asked)" 1
}

# ---- at a terminal ----

@test "a terminal has a prompt, editing and a history that only its owner can read" {
    at_terminal rbee chat <<'STEPS'
expect >\x20
send hell\xc3\xa9\r
expect Paris is
expect >\x20
send \x1b[A!\r
expect Paris is
expect >\x20
terminal raw
send \x04
STEPS
    assert_success
    assert_equal "$(last_body '[.messages[] | select(.role == "user").content]')" '["hellé","hellé!"]'
    assert_equal "$(stat -c %a "$STATE/chat_history")" 600
    at_terminal rbee chat <<'STEPS'
expect >\x20
send \x1b[A?\r
expect Paris is
expect >\x20
send /quit\r
STEPS
    assert_success
    assert_equal "$(last_body '.messages[0].content')" '"hellé!?"'
    cp "$STATE/chat_history" before
    at_terminal rbee chat --no-history -m llama <<'STEPS'
expect a chat with llama;
expect >\x20
send \x1b[Anew\r
expect Paris is
terminal raw
send \x04
STEPS
    assert_success
    assert_equal "$(last_body '.messages[0].content')" '"new"'
    cmp before "$STATE/chat_history"
}

@test "Ctrl-C cancels the answer alone; what had come of it stays, and /undo takes it back" {
    answers <<<'POST /v1/inference sse; started; tokens 1 "Par"; hang'
    at_terminal rbee chat <<'STEPS'
expect >\x20
send one\r
expect Par
send \x03
expect >\x20
send two\r
expect Par
send \x03
expect >\x20
send /undo\r
expect 2 messages are left
expect >\x20
terminal raw
send \x04
STEPS
    assert_success
    assert_equal "$(last_body '[.messages[].content]')" '["one","Par","two"]'
    assert_equal "$(grep -c '"left"' "$FAKE_SCRIPT.log")" 2
}

@test "an answer that its limit cut is said below it" {
    answers <<<'POST /v1/inference sse; started; tokens 1 "Par"; end length; done'
    at_terminal rbee chat <<'STEPS'
expect >\x20
send one\r
expect Par\r\n
expect rbee: the answer was cut
expect >\x20
send /quit\r
STEPS
    assert_success
}

@test "Ctrl-C at the prompt clears the line, and a text of several lines" {
    at_terminal rbee chat <<'STEPS'
expect >\x20
send wrong
expect wrong
send \x03
expect >\x20
send """more\r
expect .\x20
send \x03
expect >\x20
send right\r
expect Paris is
expect >\x20
terminal raw
send \x04
STEPS
    assert_success
    assert_equal "$(last_body '[.messages[].content]')" '["right"]'
}

@test "TERM gives the terminal back; after Ctrl-Z and fg the line goes on" {
    at_terminal rbee chat <<'STEPS'
expect >\x20
terminal raw
signal TERM
terminal cooked
STEPS
    assert_failure 143
    at_terminal bash --norc --noprofile -i <<'STEPS'
expect $\x20
send rbee chat\r
expect leaves
expect >\x20
terminal raw
send half
expect half
send \x1a
expect Stopped
send fg\r
expect half
terminal raw
send \x20whole\r
expect Paris is
expect >\x20
send /quit\r
expect $\x20
send exit\r
STEPS
    assert_success
    assert_equal "$(last_body '[.messages[].content]')" '["half whole"]'
}

@test "what is pasted is one text, with its lines" {
    at_terminal rbee chat <<'STEPS'
expect >\x20
terminal raw
send \x1b[200~first\rsecond\tline\nthird\x1b[201~ typed
expect typed
send \r
expect Paris is
expect >\x20
terminal raw
send \x04
STEPS
    assert_success
    assert_equal "$(last_body '[.messages[].content]')" '["first\nsecond line\nthird typed"]'
    # The terminal marks pastes only while a line is read.
    assert_regex "$output" $'\x1b\\[\\?2004l[^\x1b]*$'
}

@test "a failed turn is told, the chat goes on, and /retry asks it again" {
    answers <<<'POST /v1/inference error 503 WORKER_LOADING "still loading" 1'
    (
        wait_for_line "$FAKE_SCRIPT.log" 'POST'
        answer_paris
        touch now
    ) 3>&- &
    at_terminal rbee chat <<'STEPS'
expect >\x20
send one\r
expect still loading
expect >\x20
file now
send /retry\r
expect is
expect >\x20
terminal raw
send \x04
STEPS
    wait
    assert_success
    assert_equal "$(last_body '[.messages[].content]')" '["one"]'
}

@test "the text of a model cannot drive the terminal, which is given back at the end" {
    answers <<<'POST /v1/inference sse; event "{\"type\":\"token\",\"t\":\"a\\u001b]52;c;x\\u0007\\u009b2J\",\"i\":0}"; end stop; done'
    at_terminal rbee chat <<'STEPS'
expect >\x20
send one\r
expect ]52;c;x
expect >\x20
terminal raw
send /quit\r
terminal cooked
STEPS
    assert_success
    refute_regex "$output" $'\x1b]52'
    refute_regex "$output" $'\xc2\x9b'
}

@test "a file that cannot be saved does not end a chat at a terminal" {
    at_terminal rbee chat <<STEPS
expect >\x20
send one\\r
expect Paris is
expect >\x20
send /save /dev/full\\r
expect No space left on device
expect >\x20
send /save $T/none/talk\\r
expect create a file in the folder $T/none: No such file
expect >\x20
send /save $T/talk.json\\r
expect 2 messages are in
expect >\x20
send /quit\\r
STEPS
    assert_success
    assert_file_exists talk.json
    run --separate-stderr rbee chat <<<"/save $T/none/talk"
    assert_failure 73
}

@test "without libedit, and on a dumb terminal, there are lines all the same" {
    mkdir none
    echo 'no library' >none/libedit.so.2
    LD_LIBRARY_PATH=$T/none at_terminal rbee chat -v <<'STEPS'
expect no editing of lines
expect >\x20
send wrong\x03
expect >\x20
send one\n
expect Paris is
expect >\x20
send \x04
STEPS
    assert_success
    assert_equal "$(last_body '[.messages[].content]')" '["one"]'
    TERM=dumb at_terminal rbee chat --no-color <<'STEPS'
expect >\x20
send one\r
expect Paris is
expect >\x20
send /quit\r
STEPS
    assert_success
    assert_equal "$(last_body '[.messages[].content]')" '["one"]'
    refute_regex "$output" $'\x1b'
}
