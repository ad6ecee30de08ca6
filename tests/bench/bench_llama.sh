#!/usr/bin/env bash
# Decode and prompt speed beside llama.cpp, in turns, medians. Usage: bench_llama.sh BIN-FOLDER
# TESTS-FOLDER. Measures only where RBEE_LLAMA_BENCH is llama.cpp's llama-bench, built for this
# machine (CONTRIBUTING.md); RBEE_BENCH_MODELS are the files, else models.sh makes some, which takes
# a minute and 1 GB in /tmp.
set -euo pipefail

worker=$1/rbee-worker
llama=${RBEE_LLAMA_BENCH:-}
rounds=${RBEE_BENCH_ROUNDS:-3}
prompt=512
if [ ! -x "$llama" ]; then
    echo "set RBEE_LLAMA_BENCH to a llama-bench (CONTRIBUTING.md)"
    exit 77
fi

read -ra models <<<"${RBEE_BENCH_MODELS:-}"
if [ ${#models[@]} -eq 0 ]; then
    made=$(mktemp -d /tmp/rbl.XXXXXX)
    trap 'rm -rf "$made"' EXIT
    BUILD=${1%/bin} "${BASH_SOURCE%/*}/models.sh" "$made" m430-q8_0 m430-q4_0 m430-q4_k_m
    models=("$made"/*.gguf)
fi

# Prints decode and prompt tokens a second, and what decoding reaches of the bandwidth read beside it.
ours() { # FILE
    "$worker" --bench "$1" --context 1024 --json 2>/dev/null |
        jq -r '"\(.decode_tokens_per_second) \(.prefill_tokens_per_second) \(.decode_share_of_read * 100)"'
}

theirs() { # FILE
    "$llama" -m "$1" -t "$(nproc)" -fa 1 -p "$prompt" -n 32 -r 2 -o json 2>/dev/null |
        jq -r '[(.[] | select(.n_gen > 0) | .avg_ts), (.[] | select(.n_prompt > 0) | .avg_ts)] | join(" ")'
}

median() { # COLUMN FILE
    sort -g -k "$1,$1" "$2" | awk -v column="$1" '{ v[NR] = $column } END { printf "%.1f", v[int((NR + 1) / 2)] }'
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

figures=$(mktemp -d /tmp/rbl.XXXXXX)
trap 'rm -rf "$figures" "${made:-}"' EXIT
for model in "${models[@]}"; do
    : >"$figures/ours"
    : >"$figures/theirs"
    for ((i = 0; i < rounds; i++)); do
        ours "$model" >>"$figures/ours"
        theirs "$model" >>"$figures/theirs"
    done
    decode=$(median 1 "$figures/ours") prefill=$(median 2 "$figures/ours")
    their_decode=$(median 1 "$figures/theirs") their_prefill=$(median 2 "$figures/theirs")
    printf '%s: decode %s tokens/s, %s %% of what can be read, llama.cpp %s: %s times; prompt %s, llama.cpp %s: %s times\n' \
        "$(basename "$model")" "$decode" "$(median 3 "$figures/ours")" "$their_decode" \
        "$(ratio "$decode" "$their_decode")" "$prefill" "$their_prefill" \
        "$(ratio "$prefill" "$their_prefill")"
done
