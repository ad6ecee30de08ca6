#!/usr/bin/env bats
# Log-probabilities from outside: what an answer tells of each of its tokens, in a stream and in one
# piece, of the worker alone and through the supervisor.

# shellcheck disable=SC2154,SC2034 # $output and $stderr are of run; $worker is for the helpers

load worker_helpers

setup() {
    rbee_setup
    worker=$T/bin/rbee-worker
}
teardown() { rbee_teardown; }

# A random model says bytes without sense: many tokens are a part of a character.
random_worker() { # [OPTION of make_gguf...]
    tiny_model seed=3 never_ends "$@" "$T/tiny.gguf"
    start_worker "$T/tiny.gguf"
}

ask() { # BODY
    curl -sS --unix-socket "$T/w.sock" -H "Authorization: Bearer $TOKEN" -d "$1" \
        "http://worker/v1/inference"
}

# Any byte may come: what a character needs is spread over tokens, and most of them are none.
WILD='"prompt":"once","temperature":50,"top_k":0,"top_p":1,"min_p":0,"seed":9'

# Both forms of one answer, compared with each other and with the rules; prints how many tokens it has.
ask_both() { # TOP FIELDS
    ask "{\"logprobs\":$1,\"raw\":true,\"stream\":false,$2}" >"$T/whole"
    ask "{\"logprobs\":$1,\"raw\":true,$2}" >"$T/stream"
    "$TESTS_DIR/logprobs_check.py" "$T/whole" "$T/stream" "$1" ||
        fail "of $(head -c 2000 "$T/whole")"
}

@test "each token is told once, in order, with its likeliest rivals, alike in both forms" {
    random_worker
    assert_equal "$(ask_both 5 '"prompt":"once","max_tokens":80,"temperature":0')" 80
    # greedy takes the first of the likeliest
    assert_equal "$(jq '[.logprobs[] | .id == .top[0].id] | all' "$T/whole")" true
    assert_equal "$(ask_both 0 '"prompt":"once","max_tokens":80,"temperature":0')" 80
    assert [ "$(ask_both 20 "$WILD,\"max_tokens\":200")" -gt 40 ]
    # which is only worth something if there were characters in several tokens
    run jq '[.logprobs[] | select(.token | contains("\ufffd"))] | length' "$T/whole"
    assert [ "$output" -gt 10 ]
}

@test "they are the model's own: no sampling parameter changes them" {
    local plain
    random_worker
    ask_both 3 '"prompt":"once","max_tokens":1,"temperature":0' >/dev/null
    plain=$(jq -c '.logprobs[0].top' "$T/whole")
    ask_both 3 '"prompt":"once","max_tokens":1,"temperature":9,"top_k":2,"seed":1,"repeat_penalty":2,"logit_bias":{"40":100}' >/dev/null
    assert_equal "$(jq -c '.logprobs[0].top' "$T/whole")" "$plain"
    assert_equal "$(jq '.logprobs[0].id' "$T/whole")" 40
}

@test "a stop string takes the tokens along that nobody sees" {
    local text count stop i
    random_worker
    count=$(ask_both 1 "$WILD,\"max_tokens\":120")
    text=$(jq .text "$T/whole")
    for i in 3 10 30 57; do
        stop=$(jq -c ".[$i:$((i + 3))]" <<<"$text")
        ask_both 1 "$WILD,\"max_tokens\":120,\"stop\":$stop" >/dev/null
        assert_equal "$(jq -r .stop_reason "$T/whole")" stop_string
        # what only begins like it is held back, and told in the end
        stop=$(jq -c ".[$i:$((i + 2))] + \"no such text\"" <<<"$text")
        assert_equal "$(ask_both 1 "$WILD,\"max_tokens\":120,\"stop\":$stop")" "$count"
    done
}

@test "who does not ask is told none, and who asks for the impossible hears what is possible" {
    local value
    random_worker
    ask '{"prompt":"once","raw":true,"max_tokens":3}' >"$T/stream"
    run ask '{"prompt":"once","raw":true,"max_tokens":3,"stream":false,"logprobs":-1}'
    assert_equal "$(grep -c logprobs "$T/stream")" 0
    refute_output --partial logprobs
    for value in 21 -2 1.5 true '"5"' '[]'; do
        run ask "{\"prompt\":\"once\",\"logprobs\":$value}"
        assert_equal "$(jq -r .error.code <<<"$output")" INVALID_FIELD
        assert_output --partial 'logprobs must be a whole number from -1 to 20, not '
    done
}

@test "an answer in one piece has a limit, and says that a stream has none" {
    random_worker context=2048
    run ask '{"prompt":"once","raw":true,"max_tokens":1500,"logprobs":20,"stream":false}'
    assert_output --partial 'ask for a stream'
    assert_equal "$(ask '{"prompt":"once","raw":true,"max_tokens":1500,"logprobs":20}' |
        grep -c '"type":"token"')" 1500
}

@test "rbee infer shows them as JSON, through the supervisor, in both forms" {
    tiny_model seed=3 never_ends "$T/tiny.gguf"
    local ask=(rbee infer once -m "$T/tiny.gguf" --raw --no-stdin -n 40 --temp 0 --logprobs 4)
    "${ask[@]}" --json >"$T/whole"
    "${ask[@]}" --stream=ndjson | sed 's/^/data: /' >"$T/stream"
    assert_equal "$("$TESTS_DIR/logprobs_check.py" "$T/whole" "$T/stream" 4)" 40
    run -2 --separate-stderr "${ask[@]}"
    assert_equal "$stderr" \
        "rbee: --logprobs has no place in a plain answer: add --json or --stream=ndjson"
    run -2 --separate-stderr rbee infer once --logprobs 21 --json --no-stdin
    assert_output --partial '0 to 20'
    rbee down
}
