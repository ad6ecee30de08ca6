#!/usr/bin/env bats
# `rbee bench`: every figure is there and means what its name says, for a file and for a name; it says
# why there is none, and leaves nothing behind. How large a figure is, no test asks.

# shellcheck disable=SC2154 # $output and $stderr are of run
# shellcheck disable=SC2016 # $1 is of the inner shell, $all of jq

load cli_helpers

setup() {
    rbee_setup
    tiny_model "$T/Tiny.gguf"
}

teardown() {
    rbee_teardown
}

# The JSON of the last run through jq FILTER is true.
assert_json() { # FILTER [OPTION of jq...]
    jq -e "$@" <<<"$output" >/dev/null || fail "not so: $1 in $output"
}

@test "JSON has every field, and numbers above 0" {
    run --separate-stderr rbee bench "$T/Tiny.gguf" --json
    assert_success
    assert_equal "${#lines[@]}" 1
    assert_equal "$stderr" ""
    assert_equal "$(jq -c 'keys_unsorted' <<<"$output")" \
        '["model","architecture","parameters","tensor_types","device","threads","context_tokens","rounds","read_bytes_per_second","decode_tokens_per_second","decode_bytes_per_token","decode_bytes_per_second","decode_share_of_read","prefill_tokens","prefill_tokens_per_second","prefill_macs_per_token","prefill_macs_per_second","first_token_ms","batches","resident_bytes","file_bytes","kv_bytes","launches_per_token"]'
    assert_json '[.. | numbers] | length > 20 and all(. > 0)'
    assert_json '.model == "tiny" and .architecture == "llama" and .device == "cpu"'
    assert_json '.tensor_types == ["Q8_0"]'
    assert_json ".file_bytes == $(stat -c %s "$T/Tiny.gguf")"
    assert_json '[.batches[].sequences] == [1, 2, 4, 8, 16]'
}

@test "rates are made of each other" {
    run --separate-stderr rbee bench "$T/Tiny.gguf" --json
    assert_success
    assert_json 'def near(x): . / x > 0.999999 and . / x < 1.000001;
        (.decode_bytes_per_second | near($all.decode_tokens_per_second * $all.decode_bytes_per_token))
        and (.decode_share_of_read | near($all.decode_bytes_per_second / $all.read_bytes_per_second))
        and (.prefill_macs_per_second
            | near($all.prefill_tokens_per_second * $all.prefill_macs_per_token))
        and .batches[0].tokens_per_second == .decode_tokens_per_second
        and .batches[0].times_one == 1
        and (.batches[4].times_one | near($all.batches[4].tokens_per_second / $all.decode_tokens_per_second))' \
        --argjson all "$output"
}

@test "people get lines, and no progress where stderr is no terminal" {
    run --separate-stderr rbee bench "$T/Tiny.gguf"
    assert_success
    assert_equal "$stderr" ""
    assert_equal "$(awk '{ print $1 }' <<<"$output" | xargs)" \
        "model device memory decode prompt start batch batch batch batch resident"
    assert_line --regexp '^decode +[0-9.]+ tokens/s, [0-9.]+ GB/s, [0-9]+ % of what can be read$'
    [[ $output != *$'\e'* ]]
}

@test "options reach what measures, and a small context is not exceeded" {
    run --separate-stderr rbee bench "$T/Tiny.gguf" --json --ctx 70 --threads 1
    assert_success
    assert_json '.context_tokens == 70 and .threads == 1 and .prefill_tokens == 70'
    assert_json '[.batches[].sequences] == [1, 2]' # three blocks of 32 tokens
    run --separate-stderr rbee bench "$T/Tiny.gguf" --json --ctx 1 --device ref
    assert_success
    assert_json '.context_tokens == 1 and .device == "ref" and .threads == 1'
}

@test "a file needs no supervisor, and none is started" {
    run rbee bench "$T/Tiny.gguf" -q
    assert_success
    assert_no_process
    assert_file_not_exists "$SOCKET"
}

@test "a name of the registry is that model" {
    rbee model add "$T/Tiny.gguf" --name mine
    run --separate-stderr rbee bench mine --json
    assert_success
    assert_json '.model == "mine" and .parameters > 0'
    run --separate-stderr rbee bench mime --json
    assert_failure 67
    assert_json_error MODEL_NOT_FOUND
}

@test "each reason why there is no figure has its exit code" {
    run --separate-stderr rbee bench "$T/gone.gguf" --json
    assert_failure 66
    assert_json_error FILE_NOT_FOUND
    tiny_model fault=magic "$T/other.gguf"
    run --separate-stderr rbee bench "$T/other.gguf" --json
    assert_failure 65
    assert_json_error INVALID_MODEL
    run --separate-stderr rbee bench "$T/other.gguf"
    assert_failure 65
    assert_equal "$output" ""
    assert_regex "$stderr" '^rbee-worker: '
    run --separate-stderr rbee bench "$T/Tiny.gguf" --ctx 100000
    assert_failure 78
    run rbee bench "$T/Tiny.gguf" --device gpu:0
    assert_failure 78
    run rbee bench "$T/Tiny.gguf" --threads 1000
    assert_failure 2
    run rbee bench
    assert_failure 2
}

@test "without memory it says so" {
    ! is_sanitized || skip "a sanitizer needs more addresses than a limit leaves"
    run --separate-stderr bash -c 'ulimit -v 200000; exec rbee bench "$1" --json' - "$T/Tiny.gguf"
    assert_failure 75
    assert_json_error NO_ROOM
}

@test "a GPU that is not here is replaced once, where that is allowed" {
    run --separate-stderr rbee bench "$T/Tiny.gguf" --device gpu:0 --allow-cpu --json
    assert_success
    assert_json '.device == "cpu"'
    assert_equal "$(grep -c device_replaced <<<"$stderr")" 1
}

@test "a stdout that is closed, full or no longer read" {
    run --separate-stderr bash -c 'rbee bench "$1" >&-' - "$T/Tiny.gguf"
    assert_failure 73
    run --separate-stderr bash -c 'rbee bench "$1" >/dev/full' - "$T/Tiny.gguf"
    assert_failure 73
    run bash -c 'rbee bench "$1" | true; exit "${PIPESTATUS[0]}"' - "$T/Tiny.gguf"
    assert_failure 141
    assert_output ""
    assert_no_process
}

@test "Ctrl-C ends it at once, by the signal, and nothing is left" {
    # A step takes long on the oracle: it is in the middle of one.
    tiny_model embedding=512 layers=4 heads=8 kv_heads=4 head_dim=64 rope_dims=64 feed_forward=1024 \
        context=2048 "$T/slow.gguf"
    set -m # a job of a script ignores INT unless it has a group of its own
    rbee bench "$T/slow.gguf" --device ref >"$T/out" 2>"$T/err" 3>&- </dev/null &
    local pid=$! rc=0
    set +m
    wait_until grep -qs -- --bench "/proc/$pid/cmdline"
    wait_until [ "$(test_processes rbee-worker)" = "$pid" ]
    kill -INT -- "-$pid"
    wait "$pid" || rc=$?
    assert_equal "$rc" 130
    assert_file_empty "$T/out"
    assert_file_empty "$T/err"
    assert_no_process
}
