# shellcheck shell=bash
# The random models that are compared with llama.cpp: one for each architecture and way to scale
# rope. Sourced by run.sh, which asks llama.cpp, and by engine_oracle.bats, which makes the same files
# again and compares with its answers in tests/golden/logits_random_NAME.bin.

# Sizes that every tensor type can be written in, and heads enough to share keys.
RANDOM_SIZES=(embedding=256 feed_forward=512 heads=4 kv_heads=2 head_dim=64 rope_dims=64)

# NAME, then options of make_gguf. A window ends long before the 200 positions do; llama.cpp wants its
# gemma2 to share the embedding with the head.
RANDOM_MODELS=(
    "llama       architecture=llama is_untied has_qkv_bias has_rope_freqs"
    "qwen2       architecture=qwen2 is_untied"
    "qwen2_yarn  architecture=qwen2 is_untied rope_type=yarn rope_factor=4 rope_base=10000 original_context=64"
    "qwen3       architecture=qwen3 is_untied"
    "gemma2      architecture=gemma2 attention_softcap=3"
    "gemma3      architecture=gemma3 rope_factor=8"
)

# Names, one a line.
random_names() {
    printf '%s\n' "${RANDOM_MODELS[@]}" | sed 's/ .*//'
}

# random_options NAME: an option a line.
random_options() {
    local line
    for line in "${RANDOM_MODELS[@]}"; do
        # shellcheck disable=SC2086 # words are what it is made of
        set -- "$1" $line
        [ "$2" != "$1" ] || { shift 2 && printf '%s\n' "$@" "${RANDOM_SIZES[@]}"; }
    done
}
