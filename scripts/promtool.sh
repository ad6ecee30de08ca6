#!/usr/bin/env bash
# Prints where promtool is: in the PATH, else out of Debian's package prometheus, which is unpacked into
# .cache and not installed, because it would start a service of its own. Usage: promtool.sh
#
# Exit 1: it could not be had, and stderr says why.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=.cache/promtool
if command -v promtool; then
    exit 0
fi
if [ -x "$tool" ]; then
    echo "$PWD/$tool"
    exit 0
fi
mkdir -p .cache
download=$(mktemp -d .cache/download.XXXXXX)
trap 'rm -rf "$download"' EXIT
chmod 755 "$download" # apt fetches as a user of its own
echo "promtool: fetching Debian's package prometheus (about 20 MB)" >&2
if ! (cd "$download" && apt-get -qq download prometheus >log 2>&1 && dpkg-deb -x prometheus_*.deb .); then
    sed 's/^/  /' "$download/log" >&2
    echo "promtool: it could not be had (above)" >&2
    exit 1
fi
mv "$download/usr/bin/promtool" "$tool"
echo "$PWD/$tool"
