#!/usr/bin/env bash
# Fetches llama.cpp's vocabulary files and their golden tokenisations once and prints the folder they
# are in. They come in the git bundle of the npm package node-llama-cpp; nothing of it is run.
#
# Exit 0: the folder is on stdout. Exit 1: they could not be had, and stderr says why.
set -euo pipefail
cd "$(dirname "$0")/.."

package=node-llama-cpp@3.22.1
member=package/llama/gitRelease.bundle
sha256=a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f
folder=.cache/golden_vocabularies

say() {
    echo "golden vocabularies: $*" >&2
}

if [ -d "$folder" ]; then # checked when it was put there
    echo "$PWD/$folder"
    exit 0
fi

# Debian's npm brings hundreds of packages: it is used where it is, and not installed for this.
if ! command -v npm >/dev/null; then
    say "npm is not installed (apt-get install npm)"
    exit 1
fi

mkdir -p .cache
download=$(mktemp -d "$PWD/.cache/download.XXXXXX")
trap 'rm -rf "$download"' EXIT
say "fetching $package from the npm registry (36 MB)"
if ! (cd "$download" && npm pack --silent --fetch-retries=1 --fetch-timeout=20000 "$package") \
    >"$download/log" 2>&1; then
    sed 's/^/  /' "$download/log" >&2
    say "no npm registry is in reach, or it does not have $package"
    exit 1
fi
archive=$(echo "$download"/*.tgz)
if ! echo "$sha256  $archive" | sha256sum --check --status; then
    say "the archive's SHA-256 is $(sha256sum "$archive" | cut -d' ' -f1), not $sha256"
    exit 1
fi
tar -xzf "$archive" -C "$download" "$member"
git clone --quiet --no-checkout "$download/$member" "$download/repository"
git -C "$download/repository" checkout --quiet HEAD -- models
mkdir "$download/golden"
for texts in "$download"/repository/models/ggml-vocab-*.inp; do
    mv "${texts%.inp}" "$texts" "${texts%.inp}.out" "$download/golden/"
done
mv "$download/golden" "$folder" # whole or not at all
echo "$PWD/$folder"
