#!/usr/bin/env bash
# How far from its deadline a request is answered that cannot be done by then, in a stream and in
# one piece, while its prompt is read and while it decodes, beside how long the worker goes on
# computing for it. On a model of random weights. Usage: bench_deadline.sh BIN-FOLDER TESTS-FOLDER
set -euo pipefail

bin=$1
make_gguf=$2/make_gguf
world=$(mktemp -d /tmp/rbd.XXXXXX)
export XDG_STATE_HOME=$world/state XDG_RUNTIME_DIR=$world/run XDG_CONFIG_HOME=$world/config
mkdir -m 700 "$XDG_RUNTIME_DIR"
finish() {
    "$bin/rbee" down -q --drain 0ms >/dev/null 2>&1 || true # it may not run
    rm -rf "$world"
}
trap finish EXIT

# About a millisecond a token; neither a prompt of 16,000 tokens nor an answer of as many is done in
# the 300 ms that it gets.
"$make_gguf" embedding=1024 layers=8 heads=8 kv_heads=4 head_dim=128 rope_dims=128 \
    feed_forward=2048 context=32768 never_ends "$world/model.gguf"
"$bin/rbee" up -q
"$bin/rbee" model add "$world/model.gguf" --name model -q >/dev/null
"$bin/rbee" worker start model --ctx 32768 --wait -q
python3 tests/bench/deadline_clients.py "$XDG_RUNTIME_DIR/rbee/rbee.sock" \
    "$XDG_STATE_HOME/rbee/logs/model.log"
