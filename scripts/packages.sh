#!/usr/bin/env bash
# Installs those of the named Debian packages that are missing, and says which. Silent when there is
# nothing to do. Knows nothing of what they are for: the lists are in the Makefile.
set -euo pipefail

say() {
    echo "packages: $*" >&2
}

# Prints the named packages that are not installed, one a line.
missing_packages() {
    local installed name
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        grep -qxF "installed $name" <<<"$installed" || echo "$name"
    done
}

# Every name has a version that apt could install.
apt_knows() {
    local name
    for name in "$@"; do
        apt-cache show "$name" >/dev/null 2>&1 || return 1
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@" # nobody is there to type a password
    fi
}

# Runs apt-get quietly; what it said goes to $log. A held lock is waited for.
apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" \
        </dev/null >>"$log" 2>&1
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    # Not Debian: whether the libraries are there is the compiler's to say.
    exit 0
fi

mapfile -t missing < <(missing_packages "$@")
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    say "missing: ${missing[*]}"
    say "cannot install them: not root, and there is no sudo. As root: apt-get install ${missing[*]}"
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
say "installing ${missing[*]}"
apt_knows "${missing[@]}" || apt_get update || true # the install below says what is wrong
if ! apt_get install -y --no-install-recommends "${missing[@]}"; then
    # The lists may name versions that the mirror has dropped since.
    if ! { apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"; }; then
        cat "$log" >&2
        say "apt-get failed (above); still missing: $(missing_packages "$@" | tr '\n' ' ')"
        exit 1
    fi
fi
