#!/usr/bin/env bash
# Prints the newest clang here that can link libFuzzer with the sanitizers; nothing when none can.
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/target.c" <<'C'
#include <stddef.h>
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    return data == NULL && len > 0;
}
C
for compiler in $(compgen -c clang- | grep -xE 'clang-[0-9]+' | sort -t- -k2 -rnu) clang; do
    if "$compiler" -fsanitize=fuzzer,address,undefined -o "$scratch/target" "$scratch/target.c" \
        2>/dev/null; then
        echo "$compiler"
        break
    fi
done
