#!/usr/bin/env bash
# Checks and measures a worker on a real GPU; CI has none. `make gpu-test` and `make gpu-bench` build
# what it needs and run it; on a machine without compilers the build comes along:
#
#     make STATIC=1 gpu-programs kernels ARCHS=sm_90     where compilers are
#     BUILD=build/plain-static tests/gpu/check.sh test bench load
#
#   test    random models of every architecture and type of weights: the text on the GPU is that of
#           the plain floats of `ref` and of the CPU; GGUF files in GPU_MODELS likewise, without ref;
#           and it stays the same without graphs, with keys and values as q8_0 (ref's with them), with
#           a vocabulary of which the GPU picks tokens itself, and with half the layers on the CPU
#   bench   models shaped as those of 7B parameters (GPU_TYPES), decode beside the device's copy
#           bandwidth of the same run, prompts, batches, load time, launches
#   archs   prints what make kernels has to make for the devices here: ARCHS
#   load    GPU_LOAD_SECONDS of mixed load; the device's memory is back at its mark afterwards
#
# Environment: BUILD [build/plain], GPU_DEVICE [gpu:0], GPU_CASES of test by a regex [all], GPU_TYPES ["Q8_0 Q4_K F16"],
# GPU_LAYERS [32], GPU_LOAD_SECONDS [180], GPU_MODELS [], GPU_FOLDER for models [TMPDIR]. Needs bash,
# awk and grep, and for the load Python 3. Ends with 1 when a check fails; the table comes last.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
build=${BUILD:-build/plain}
device=${GPU_DEVICE:-gpu:0}
worker=$build/bin/rbee-worker
make_gguf=$build/tests/make_gguf
folder=$(mktemp -d "${GPU_FOLDER:-${TMPDIR:-/tmp}}/rbee-gpu.XXXXXX")
table=$folder/table
failures=0
worker_pid=
touch "$table"

clean_up() {
    [ -z "$worker_pid" ] || kill "$worker_pid" 2>/dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT

say() {
    echo "gpu: $*" >&2
}

row() { # WHAT RESULT
    printf '%-34s %s\n' "$1" "$2" | tee -a "$table" >&2
}

fail() { # WHAT RESULT
    row "$1" "FAILED: $2"
    failures=$((failures + 1))
}

# The first number of that name in one line of JSON; nothing when there is none, or null.
number() { # NAME
    grep -oE "\"$1\":[-+0-9.eE]+" | head -n 1 | cut -d: -f2 || true
}

calculate() { # FORMAT EXPRESSION
    awk "BEGIN { printf \"$1\", $2 }"
}

# ---- test ----

# One model a line: its name and the options of make_gguf.
test_models() {
    local architecture type
    local middle="embedding=512 heads=8 kv_heads=2 head_dim=64 rope_dims=64 feed_forward=1024 context=2048 never_ends"
    for architecture in llama qwen2 qwen3 gemma2 gemma3; do
        echo "$architecture architecture=$architecture $middle"
        echo "$architecture-mixed architecture=$architecture $middle type=Q4_K head_type=Q6_K fine_type=Q6_K seed=2"
    done
    for type in F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4; do
        echo "llama-${type,,} $middle type=$type head_type=$type seed=3"
    done
    # No multiple of 256, an odd number of rows, one KV head; and rows as wide as real ones.
    echo "odd embedding=320 heads=5 kv_heads=1 head_dim=64 rope_dims=64 feed_forward=864 vocab=1001 context=2048 never_ends type=Q5_0 head_type=Q4_0"
    echo "wide embedding=4096 heads=32 kv_heads=8 head_dim=128 rope_dims=128 feed_forward=14336 vocab=4000 context=2048 never_ends type=Q4_K head_type=Q6_K layers=2 repeated_rows=512"
}

answer() { # DEVICE MODEL WORDS [OPTION...]
    local prompt
    prompt=$(printf 'once upon a time %.0s' $(seq "$3"))
    "$worker" --model "$2" --device "$1" --raw --prompt "${prompt% }" --max-tokens 40 --temp 0 "${@:4}" 2>"$folder/err" ||
        echo "exit $?: $(tail -n 1 "$folder/err")"
}

# Compares DEVICE with each of the others, on a short prompt and on one of several chunks.
compare() { # NAME MODEL OTHER...
    local name=$1 model=$2 words text other
    shift 2
    for words in 1 150; do
        text=$(answer "$device" "$model" "$words")
        [[ -n $text && $text != exit\ * ]] || { fail "$name" "$device: ${text:-no text}" && return; }
        for other in "$@"; do
            [ "$text" = "$(answer "$other" "$model" "$words")" ] ||
                { fail "$name" "$words words: another text than $other" && return; }
        done
    done
    row "$name" "$device = $*"
}

# The same text on DEVICE as on OTHER, both with the OPTIONs.
compare_with() { # NAME DEVICE OTHER [OPTION...]
    local text other words
    for words in 1 150; do
        text=$(answer "$2" "$folder/model.gguf" "$words" "${@:4}")
        [[ -n $text && $text != exit\ * ]] || { fail "$1" "$2: ${text:-no text}" && return; }
        other=$(RBEE_GPU_GRAPHS=off answer "$3" "$folder/model.gguf" "$words" "${@:4}")
        [ "$text" = "$other" ] || { fail "$1" "$words words: another text than $3" && return; }
    done
    row "$1" "$2 = $3"
}

# What does not depend on the type of weights.
run_ways() {
    local middle="embedding=512 heads=8 kv_heads=2 head_dim=64 rope_dims=64 feed_forward=1024 layers=4 context=2048 never_ends"
    # shellcheck disable=SC2086 # options are words
    "$make_gguf" $middle type=Q4_K head_type=Q6_K vocab=17001 seed=4 "$folder/model.gguf"
    compare_with "graphs and none" "$device" "$device"
    compare_with "picked tokens" "$device" ref
    compare_with "keys and values as q8_0" "$device" ref --kv-type q8_0
    compare_with "half the layers on the CPU" "$device,cpu" ref
}

run_test() {
    local name options model count=0
    while read -r name options; do
        count=$((count + 1))
        # shellcheck disable=SC2086 # options are words
        "$make_gguf" $options "$folder/model.gguf"
        case $name in
        wide) compare "$name" "$folder/model.gguf" cpu ;; # ref would take minutes
        *) compare "$name" "$folder/model.gguf" ref cpu ;;
        esac
    done < <(test_models | grep -E "^(${GPU_CASES:-[^ ]*}) ")
    if [ -z "${GPU_CASES:-}" ] || [[ ways =~ ^($GPU_CASES)$ ]]; then
        count=$((count + 1))
        run_ways
    fi
    [ "$count" -gt 0 ] || fail test "no case is called ${GPU_CASES:-}"
    for model in ${GPU_MODELS:-}; do
        compare "$(basename "$model")" "$model" cpu
    done
}

# ---- bench ----

# $folder/7b.gguf: the layers and the head of 7B models of today. Rows repeat, so that it is made fast.
make_7b() { # TYPE
    "$make_gguf" embedding=4096 layers="${GPU_LAYERS:-32}" heads=32 kv_heads=8 head_dim=128 rope_dims=128 \
        feed_forward=14336 vocab=32000 context=16384 is_untied never_ends repeated_rows=64 \
        type="$1" head_type="$1" "$folder/7b.gguf"
}

batch_of() { # JSON SEQUENCES
    grep -oE "\"sequences\":$2,\"tokens_per_second\":[0-9.eE+]+" <<<"$1" | cut -d: -f3 || true
}

tell_bench() { # TYPE JSON
    local decode share macs batch
    decode=$(number decode_tokens_per_second <<<"$2")
    share=$(number decode_share_of_read <<<"$2")
    macs=$(number prefill_macs_per_second <<<"$2")
    row "$1 decode" "$(calculate '%.1f tokens/s, %.0f %% of the copy bandwidth of %.0f GB/s' \
        "$decode, 100 * $share, $(number read_bytes_per_second <<<"$2") / 1e9")"
    row "$1 prompt of $(number prefill_tokens <<<"$2")" "$(calculate '%.0f tokens/s, %.1f TFLOP/s' \
        "$(number prefill_tokens_per_second <<<"$2"), 2 * $macs / 1e12")"
    for batch in 8 32; do
        row "$1 batch of $batch" "$(calculate '%.1f tokens/s' "0$(batch_of "$2" $batch)")"
    done
    row "$1 load, launches a token" "$(calculate '%.1f s, %.0f' \
        "$(number first_token_ms <<<"$2") / 1e3, 0$(number launches_per_token <<<"$2")")"
}

bench() { # OPTION...
    "$worker" --bench "$folder/7b.gguf" --device "$device" --context 4096 --json "$@" 2>"$folder/err"
}

# Of the last type, against what it has shown: JSON.
bench_ways() { # TYPE JSON
    local plain halves
    halves=$(number decode_tokens_per_second <<<"$2")
    if plain=$(RBEE_GPU_GRAPHS=off bench); then
        row "$1 decode with graphs, without" "$halves, $(number decode_tokens_per_second <<<"$plain") tokens/s"
    else
        fail "$1 without graphs" "$(tail -n 1 "$folder/err")"
    fi
    if plain=$(bench --kv-type q8_0); then
        row "$1 decode with q8_0" "$(number decode_tokens_per_second <<<"$plain") tokens/s"
    else
        fail "$1 with q8_0" "$(tail -n 1 "$folder/err")"
    fi
}

run_bench() {
    local type json
    for type in ${GPU_TYPES:-Q8_0 Q4_K F16}; do
        make_7b "$type"
        if json=$(bench); then
            tell_bench "$type" "$json"
        else
            fail "$type" "$(tail -n 1 "$folder/err")"
        fi
    done
    [ -z "$json" ] || bench_ways "$type" "$json"
    row "torch, products in halves" "$(python3 tests/gpu/torch_products.py 2>/dev/null || echo 'not here') TFLOP/s"
}

# ---- load ----

# One line a device.
device_records() {
    "$worker" --devices | grep -oE '\{"index"[^}]*\}' || true
}

free_bytes() {
    device_records | grep -E "\"index\":${device#gpu:},|\"${device#gpu:}\"" | number free_bytes
}

run_load() {
    local socket=$folder/w.sock before warm after end result
    make_7b Q4_K
    before=$(free_bytes)
    "$worker" --model "$folder/7b.gguf" --device "$device" --context 16384 --slots 16 --listen "unix:$socket" 2>"$folder/err" &
    worker_pid=$!
    # All that grows has grown by then.
    python3 tests/gpu/load.py "$socket" 5 16 >/dev/null || { fail load "$(tail -n 1 "$folder/err")" && return; }
    warm=$(free_bytes)
    if result=$(python3 tests/gpu/load.py "$socket" "${GPU_LOAD_SECONDS:-180}" 16 2>>"$folder/err"); then
        row load "$result"
    else
        fail load "$result $(tail -n 1 "$folder/err")"
    fi
    after=$(free_bytes)
    kill -TERM "$worker_pid"
    wait "$worker_pid" || fail "worker's end" "exit $?"
    worker_pid=
    end=$(free_bytes)
    row "device memory free, MiB" "$(calculate '%d before, %d under load, %d after it, %d at the end' \
        "$before / 1048576, $warm / 1048576, $after / 1048576, $end / 1048576")"
    [ "$after" -ge "$warm" ] || fail "device memory" "less is free after the load"
    [ "$end" -ge "$before" ] || fail "device memory" "less is free at the end"
}

# ---- main ----

# PTX of the highest capability that clang makes runs on all later ones.
run_archs() {
    device_records | grep -oE '"architecture":"[^"]*"' | cut -d'"' -f4 |
        awk '/^sm_/ && substr($0, 4) + 0 > 90 { $0 = "sm_90" } !seen[$0]++'
}

[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2; }
[ "$1" != archs ] || { run_archs && exit 0; }
for program in "$worker" "$make_gguf"; do
    [ -x "$program" ] || { say "no $program: make gpu-programs" && exit 1; }
done
devices=$("$worker" --devices)
if ! grep -q '"usable":true' <<<"$devices"; then
    say "no GPU to check on: $devices"
    exit 1
fi
row "devices" "$(grep -oE '"name":"[^"]*"' <<<"$devices" | cut -d'"' -f4 | paste -sd, )"
for what in "$@"; do
    case $what in
    test) run_test ;;
    bench) run_bench ;;
    load) run_load ;;
    *) say "no such check: $what" && exit 2 ;;
    esac
done
echo
cat "$table"
[ "$failures" -eq 0 ] || { say "$failures checks failed" && exit 1; }
