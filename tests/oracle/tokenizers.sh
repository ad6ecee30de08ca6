#!/usr/bin/env bash
# Compares the tokenizer with llama.cpp's: every vocabulary of its own that is of a kind we know,
# Gemma's of a model file, and every pre-type of pretok.def under the tokens of one of them; the texts
# of its golden files, users' texts and templates'. Called by run.sh. Usage: tokenizers.sh BUILD-FOLDER [TEXTS [VOCABULARY.gguf...]] (2000; more vocabularies)
#
# Exit 1 when a text differs.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$1 texts=${2:-2000}
shift "$(($# < 2 ? $# : 2))"
different=0

# shellcheck source=tests/oracle/llama.sh
source tests/oracle/llama.sh

# Special tokens whose spelling means something, so that texts hold some.
WORDS=("<s>" "</s>" "<|end|>" "<|user|>" "<|endoftext|>" "<|im_start|>" "<|im_end|>" "<|eot_id|>"
    "<unk>" "<bos>" "<eos>" "<start_of_turn>" "<0x0A>" "▁" "[INST]")

# compare VOCABULARY NAME SEED
compare() {
    local markup count=0
    python3 tests/oracle/golden_texts.py "$headers"/models/*.inp >"$cache/texts.jsonl"
    python3 tests/oracle/tokenizer_inputs.py "$texts" "$3" "${WORDS[@]}" >>"$cache/texts.jsonl"
    for markup in "" --markup; do
        # shellcheck disable=SC2086 # no option, or one
        "$cache/llama_oracle" tokenize "$1" $markup <"$cache/texts.jsonl" >"$cache/theirs.jsonl" \
            2>"$cache/theirs.log" || { say "llama.cpp does not load $2"; different=1; return; }
        # shellcheck disable=SC2086
        "$build/tests/tokenize" "$1" $markup <"$cache/texts.jsonl" >"$cache/ours.jsonl" ||
            { different=1; return; }
        # Where merges can make "</s>" (Qwen), or a file says that users may write it (Gemma: a tag
        # of HTML), llama.cpp still takes it for a special token.
        count=$(diff "$cache/theirs.jsonl" "$cache/ours.jsonl" | grep '^<' | grep -vc '</s>') || true
        [ "$count" -eq 0 ] || different=1
        echo "tokens of $(wc -l <"$cache/texts.jsonl") texts, $2 $markup: $count differ" \
            "($(grep -c '</s>' "$cache/texts.jsonl") with </s> may)"
    done
}

# Kinds that are not ours are said, not passed over.
is_ours() { # VOCABULARY
    "$build/tests/tokenize" "$1" </dev/null 2>"$cache/ours.log"
}

compare_vocabularies() {
    local file
    for file in "$headers"/models/ggml-vocab-*.gguf "$@"; do
        if is_ours "$file"; then
            compare "$file" "$(basename "$file" .gguf)" 11
        else
            echo "not compared: $(basename "$file" .gguf): $(cat "$cache/ours.log")"
        fi
    done
}

compare_pretypes() {
    local name
    while read -r name; do
        python3 tests/oracle/vocab_file.py "$headers/models/ggml-vocab-llama-bpe.gguf" \
            "$cache/pretype.gguf" "tokenizer.ggml.pre=$name"
        compare "$cache/pretype.gguf" "pre-type $name" 12
    done < <(sed -n 's/^PRETOK("\([^"]*\)".*/\1/p' hip/text/pretok.def)
}

fetch_llama
fetch_gemma
build_oracle
compare_vocabularies "$@"
compare "$gemma" gemma3 11
compare_pretypes
exit "$different"
