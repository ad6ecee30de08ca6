#!/usr/bin/env bash
# Builds the Debian package of the tree as git has it, and asks lintian: deb.sh FOLDER [VERSION].
# The files are left in FOLDER; a version other than the changelog's is put on top of it.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?}
mkdir -p "$out"
out=$(cd "$out" && pwd)
version=$(sed -nE '1s/^rbee \(([^)]*)\).*/\1/p' packaging/debian/changelog)
wanted=${2:-$version}

source=$out/rbee-$wanted
rm -rf "$source"
mkdir "$source"
# As it is here, whether committed or not; without what is built or fetched.
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$source"
cp -r packaging/debian "$source/debian"
# The list that building needs is the Makefile's; what every build has is not named.
needed=$(printf '%s\n' "${APT_BUILD:?}" | tr ' ' '\n' | grep -vxE 'gcc|libc6-dev|ca-certificates' | paste -sd, | sed 's/,/, /g')
sed -i "s/@APT_BUILD@/$needed/" "$source/debian/control"
if [ "$wanted" != "$version" ]; then
    {
        printf 'rbee (%s) unstable; urgency=medium\n\n  * A version to upgrade to.\n\n' "$wanted"
        sed -n '/^ -- /{p;q}' packaging/debian/changelog
        echo
        cat packaging/debian/changelog
    } >"$source/debian/changelog"
fi
(cd "$source" && dpkg-buildpackage --no-sign -j"$(nproc)") >"$out/build.log" 2>&1 ||
    { tail -n 40 "$out/build.log" >&2; exit 1; }
rm -rf "$source"
lintian --fail-on error,warning --info --tag-display-limit 0 "$out/rbee_${wanted}"_*.changes
ls "$out/rbee_${wanted}"_*.deb
