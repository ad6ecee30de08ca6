#!/usr/bin/env bash
# Writes models of the usual sizes for benches: random weights, which cost what trained ones do, and
# the tokens of Llama 2. Usage: models.sh OUT-FOLDER NAME...; NAME is SIZE-TYPE, such as m430-q4_0:
#
#   m430   430 million parameters: 365 in the layers, 33 each in the embedding and in the head
#   m1b    1.1 billion: 969 in the layers, 66 and 66
#   TYPE   of quant_types.def, in lower case; q4_k_m is Q4_K with Q6_K where such files have it
#
# A file that is there stays as it is. It takes about 20 s a gigabyte, and twice the file in memory.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
make_gguf=$root/${BUILD:-build/plain}/tests/make_gguf

say() {
    echo "models: $*" >&2
}

# Prints the options of make_gguf for NAME, one a line.
options_of() { # NAME
    local size=${1%%-*} type=${1#*-}

    case $size in
    m430) printf '%s\n' embedding=1024 layers=24 heads=16 kv_heads=4 feed_forward=4096 ;;
    m1b) printf '%s\n' embedding=2048 layers=22 heads=32 kv_heads=4 feed_forward=5632 ;;
    *) return 1 ;;
    esac
    printf '%s\n' head_dim=64 rope_dims=64 context=8192 is_untied
    case $type in
    *_k_m)
        type=${type%_m}
        printf '%s\n' fine_type=Q6_K
        ;;
    esac
    printf '%s\n' "type=${type^^}" "head_type=${type^^}"
}

if [ $# -lt 2 ]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
out=$1
shift
if [ ! -x "$make_gguf" ]; then
    say "first: make ${make_gguf#"$root/"}"
    exit 1
fi
vocab=$("$root/scripts/golden_vocabularies.sh")/ggml-vocab-llama-spm.gguf
mkdir -p "$out"
for name in "$@"; do
    [ ! -f "$out/$name.gguf" ] || continue
    mapfile -t options < <(options_of "$name")
    if [ ${#options[@]} -eq 0 ]; then
        say "no size is called ${name%%-*}"
        exit 2
    fi
    "$make_gguf" "${options[@]}" --vocab-from "$vocab" "$out/$name.part"
    mv "$out/$name.part" "$out/$name.gguf"
done
