#!/usr/bin/env bash
# The end of `make demo`: sees to the demo model, then asks it one question through the whole chain.
# Usage: demo.sh BIN-FOLDER DEBIAN-PACKAGE... (what fetching the model needs)
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$1
shift
name=smollm2-135m-instruct
question='What is the capital of France, and what is it known for?'
models=${XDG_DATA_HOME:-$HOME/.local/share}/rbee/models

# Puts the model where the user's models are, so that it stays when this folder goes.
install_model() {
    local file
    if ! file=$(scripts/demo_model.sh "$@"); then
        cat >&2 <<TXT
demo: without the demo model, go on with a GGUF file of your own (architecture llama):
          $bin/rbee model add /path/to/model.gguf
          $bin/rbee infer "$question"
TXT
        exit 1
    fi
    mkdir -p "$models"
    ln -f "$file" "$models/$name.gguf" 2>/dev/null || cp "$file" "$models/$name.gguf"
    "$bin/rbee" model add "$models/$name.gguf" --name "$name" -q >/dev/null
}

"$bin/rbee" up -q >/dev/null
if ! state=$("$bin/rbee" model show "$name" --json 2>/dev/null) || [[ $state != *'"ok"'* ]]; then
    "$bin/rbee" model rm "$name" >/dev/null 2>&1 || true # its file has gone or changed
    install_model "$@"
fi

# Only for people: a pipe gets the answer alone.
[ ! -t 2 ] || printf '%s\n\n' "\$ $bin/rbee infer -m $name \"$question\"" >&2
exec "$bin/rbee" infer -m "$name" -n 120 --temp 0 --no-stdin "$question"
