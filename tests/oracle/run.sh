#!/usr/bin/env bash
# Compares the engine with llama.cpp, on the demo model, on Gemma 3 270M and on random ones of every
# architecture, and writes the golden files that `make test` compares with; and the readers of the tensor types with
# those of the Python package gguf.
# Called by `make oracle`. Usage: run.sh BUILD-FOLDER [--golden]
#
# What llama.cpp said stays in .cache/oracle/ and is used again; FRESH=1 makes the results anew. Only
# --golden writes into the tree. Exit 1 when a tokenizer differs: figures are for who reads them.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/oracle/random_models.bash
. tests/oracle/random_models.bash

build=$1 write_golden=${2:-}
gguf_version=0.19.0
positions=200
tokens=64
random_top=64 # of the random models' 308 tokens: their golden files stay small
golden=tests/golden

# shellcheck source=tests/oracle/llama.sh
source tests/oracle/llama.sh

# A reader of every tensor type in numpy, somebody else's.
fetch_gguf() {
    python_packages=$cache/python
    [ ! -d "$python_packages/gguf" ] || return 0
    say "fetching gguf $gguf_version from the Python package registry"
    python3 -m pip install --quiet --disable-pip-version-check --target "$python_packages" \
        "gguf==$gguf_version" numpy || { say "no Python package registry is in reach"; exit 1; }
}

compare_tensor_types() {
    echo "tensor types, plain readers against gguf $gguf_version on random blocks:"
    PYTHONPATH=$python_packages python3 tests/oracle/tensor_types.py "$build/tests/decode_blocks"
}

# Makes FILE by the command, whole or not at all; what is there already stays (make oracle FRESH=1
# begins anew).
make_once() { # FILE COMMAND...
    local file=$1
    shift
    [ -e "$file" ] || { "$@" >"$file.new" && mv "$file.new" "$file"; }
}

# token_ids MODEL
token_ids() {
    python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()))' <tests/oracle/passage.txt |
        "$cache/llama_oracle" tokenize "$1" |
        python3 -c 'import json, sys
print(json.dumps(json.load(sys.stdin)[1][:int(sys.argv[1])]))' "$positions"
}

# logits BACKENDS MODEL OUT [IDS.json]: llama.cpp's with the CPU libraries of that folder; prints
# their number.
logits() {
    LLAMA_BACKENDS=$1 "$cache/llama_oracle" logits "$2" "${4:-$cache/ids.json}" "$3"
}

# The same, behind Gemma's BOS.
gemma_ids() {
    token_ids "$gemma" | python3 -c 'import json, sys
print(json.dumps([2] + json.load(sys.stdin)[:-1]))'
}

# What llama.cpp says, all of it.
ask_llama() {
    model=$(scripts/demo_model.sh)
    [ -e "$cache/model.f32.gguf" ] || "$cache/llama_oracle" quantise F32 "$model" "$cache/model.f32.gguf"
    make_once "$cache/ids.json" token_ids "$model"
    make_once "$cache/vocab" logits "$library" "$cache/model.f32.gguf" "$cache/f32.logits"
    make_once "$cache/vocab.file" logits "$library" "$model" "$cache/file.logits"
    mkdir -p "$cache/haswell"
    cp "$library/libggml-cpu-haswell.so" "$cache/haswell/"
    make_once "$cache/vocab.haswell" logits "$cache/haswell" "$model" "$cache/haswell.logits"
    make_once "$cache/greedy.json" \
        "$cache/llama_oracle" greedy "$cache/model.f32.gguf" "$tokens" tests/oracle/prompts.json
    python3 tests/oracle/chats.py |
        "$cache/llama_oracle" chat "$headers/models" >"$cache/chat_templates.jsonl"
    vocab=$(cat "$cache/vocab")
}

# The random models with weights of a tensor type, and what llama.cpp says of the same weights in F32.
ask_llama_random() { # TYPE
    local name options file
    for name in $(random_names); do
        file=$cache/random/$name.$1
        mapfile -t options < <(random_options "$name")
        "$build/tests/make_gguf" "${options[@]}" "type=$1" "head_type=$1" "$file.gguf"
        "$build/tests/gguf_to_f32" "$file.gguf" "$file.f32.gguf"
        make_once "$cache/random/ids.json" token_ids "$file.gguf"
        make_once "$file.vocab" \
            logits "$library" "$file.f32.gguf" "$file.logits" "$cache/random/ids.json"
    done
}

compare_random() { # TYPE
    local name file ids=$cache/random/ids.json
    for name in $(random_names); do
        file=$cache/random/$name.$1
        echo "random $name, against llama.cpp, F32 file of the $1 weights: ref, F32 file; cpu, $1 file:"
        "$build/tests/eval" full ref "$file.f32.gguf" "$ids" "$file.logits"
        "$build/tests/eval" full cpu "$file.gguf" "$ids" "$file.logits"
    done
}

write_golden_random() {
    local name file
    for name in $(random_names); do
        file=$cache/random/$name.Q8_0
        "$cache/llama_oracle" golden "$file.logits" "$cache/random/ids.json" "$(cat "$file.vocab")" \
            "$golden/logits_random_$name.bin" "$random_top"
    done
    say "wrote $golden/logits_random_*.bin"
}

write_golden() {
    mkdir -p "$golden"
    cp "$cache/greedy.json" "$golden/greedy_smollm2.json"
    cp "$cache/tokens.jsonl" "$golden/tokenizer_smollm2.jsonl"
    cp "$cache/chat_templates.jsonl" "$golden/"
    "$cache/llama_oracle" golden "$cache/f32.logits" "$cache/ids.json" "$vocab" \
        "$golden/logits_smollm2_f32.bin"
    "$cache/llama_oracle" golden "$cache/file.logits" "$cache/ids.json" "$vocab" \
        "$golden/logits_smollm2_file.bin"
    say "wrote $golden/{chat_templates.jsonl,greedy_smollm2.json,tokenizer_smollm2.jsonl,logits_smollm2_{f32,file}.bin}"
}

# Ten times the texts of the golden file, of other seeds, users' and templates'.
compare_tokenizers() {
    local seed markup count
    for seed in 1 2 3; do
        for markup in "" --markup; do
            python3 tests/oracle/tokenizer_inputs.py 10000 "$seed" >"$cache/texts.jsonl"
            # shellcheck disable=SC2086 # no option, or one
            "$cache/llama_oracle" tokenize "$model" $markup <"$cache/texts.jsonl" >"$cache/theirs.jsonl"
            # shellcheck disable=SC2086
            "$build/tests/tokenize" "$model" $markup <"$cache/texts.jsonl" >"$cache/ours.jsonl"
            count=$(diff "$cache/theirs.jsonl" "$cache/ours.jsonl" | grep -c '^<') || true
            [ "$count" -eq 0 ] || tokens_differ=1
            echo "tokens of $(wc -l <"$cache/texts.jsonl") texts, seed $seed $markup: $count differ"
        done
    done
}

# Ours against theirs over all tokens of the vocabulary, and theirs against itself.
compare() {
    local eval=$build/tests/eval device
    "$build/tests/gguf_to_f32" "$model" "$cache/ours.f32.gguf"
    echo "ref, F32 file, against llama.cpp, F32 file:"
    "$eval" full ref "$cache/ours.f32.gguf" "$cache/ids.json" "$cache/f32.logits"
    for device in ref cpu; do
        echo "$device, the file as it is, against llama.cpp, F32 file (the same weights, exactly):"
        "$eval" full "$device" "$model" "$cache/ids.json" "$cache/f32.logits"
        echo "$device, the file as it is, against llama.cpp, the file as it is:"
        "$eval" full "$device" "$model" "$cache/ids.json" "$cache/file.logits"
    done
    echo "llama.cpp against itself: the file as it is against F32:"
    "$eval" pair "$cache/file.logits" "$cache/f32.logits" "$vocab"
    echo "llama.cpp against itself: the file on this processor's kernels against its AVX2 ones:"
    "$eval" pair "$cache/file.logits" "$cache/haswell.logits" "$vocab"
    echo "greedy texts, cpu on the file as it is against llama.cpp on F32:"
    "$eval" greedy cpu "$model" "$cache/greedy.json"
}

# Files of other types, each as llama.cpp makes it of the F32 one, against llama.cpp on the very same
# weights written out as F32 by itself.
compare_file_types() {
    local name
    for name in Q5_0 Q5_1 Q2_K Q3_K_M Q4_K_M Q5_K_M Q6_K IQ4_NL IQ4_XS; do
        "$cache/llama_oracle" quantise "$name" "$cache/model.f32.gguf" "$cache/typed.gguf"
        "$cache/llama_oracle" quantise F32 "$cache/typed.gguf" "$cache/typed.f32.gguf"
        logits "$library" "$cache/typed.f32.gguf" "$cache/typed.logits" >/dev/null
        echo "cpu, a file of $name, against llama.cpp, the same weights as F32:"
        "$build/tests/eval" full cpu "$cache/typed.gguf" "$cache/ids.json" "$cache/typed.logits"
    done
    rm -f "$cache"/typed.*
}

# Weights that somebody has trained, of another architecture and with a vocabulary of 262,144 tokens.
compare_gemma() {
    local folder=$cache/gemma
    make_once "$folder/ids.json" gemma_ids
    [ -e "$folder/f32.gguf" ] || "$cache/llama_oracle" quantise F32 "$gemma" "$folder/f32.gguf"
    make_once "$folder/vocab" logits "$library" "$folder/f32.gguf" "$folder/f32.logits" "$folder/ids.json"
    make_once "$folder/vocab.file" logits "$library" "$gemma" "$folder/file.logits" "$folder/ids.json"
    make_once "$folder/greedy.json" \
        "$cache/llama_oracle" greedy "$folder/f32.gguf" "$tokens" tests/oracle/prompts.json
    echo "Gemma 3 270M, cpu, the file as it is, against llama.cpp, F32 file:"
    "$build/tests/eval" full cpu "$gemma" "$folder/ids.json" "$folder/f32.logits"
    echo "Gemma 3 270M, llama.cpp against itself: the file as it is against F32:"
    "$build/tests/eval" pair "$folder/file.logits" "$folder/f32.logits" "$(cat "$folder/vocab")"
    echo "Gemma 3 270M, greedy texts, cpu on the file as it is against llama.cpp on F32:"
    "$build/tests/eval" greedy cpu "$gemma" "$folder/greedy.json"
}

tokens_differ=0
[ -z "${FRESH:-}" ] ||
    rm -rf "$cache"/{vocab*,ids.json,greedy.json,*.logits,*.gguf,haswell,random} \
        "$cache"/gemma/{vocab*,ids.json,greedy.json,*.logits,f32.gguf}
fetch_gguf
compare_tensor_types
fetch_llama
fetch_gemma
build_oracle
mkdir -p "$cache/random"
for type in Q8_0 Q4_K; do
    ask_llama_random "$type"
    compare_random "$type"
done
[ "$write_golden" != --golden ] || write_golden_random
ask_llama
[ "$write_golden" != --golden ] || write_golden
compare_tokenizers
tests/oracle/tokenizers.sh "$build" || tokens_differ=1
compare
compare_file_types
compare_gemma
[ "$tokens_differ" -eq 0 ] || say "tokens differ"
exit "$tokens_differ"
