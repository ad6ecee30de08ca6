#!/usr/bin/env bash
# Fetching and building what asks llama.cpp; for the scripts of this folder to source, in the root of
# the tree. Sets $cache, and after fetch_llama $library and $headers.
#
# llama.cpp comes prebuilt in the npm package node-llama-cpp, its headers in a git bundle in there.
# Everything fetched or made on the way stays in .cache/oracle/ and is used again.

version=3.22.1
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

build_oracle() {
    gcc -std=gnu17 -O2 -Wall -Wextra -I. -isystem "$headers/include" -isystem "$headers/ggml/include" \
        -o "$cache/llama_oracle" tests/oracle/llama_oracle.c \
        "$library"/libllama.v*.so "$library"/libggml.v*.so "$library/libggml-base.so" \
        -Wl,-rpath,"$library" -ljansson -lm
    export LLAMA_BACKENDS=$library LD_LIBRARY_PATH=$library # ggml's libraries find each other there
}
