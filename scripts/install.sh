#!/usr/bin/env bash
# What `make install` puts where, and `make uninstall` takes away again: install.sh install|uninstall.
# The Makefile exports the folders; BIN is where the programs were built, DESTDIR goes before all.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${BIN:?}" "${bindir:?}" "${libexecdir:?}" "${mandir:?}" "${docdir:?}" "${bashcompdir:?}" \
    "${zshcompdir:?}" "${fishcompdir:?}" "${systemduserdir:?}" "${systemdsystemdir:?}" "${sysusersdir:?}"

# One file a line: mode, source, target. The helpers are all programs of the name, which are looked for
# in ../libexec/rbee beside who needs them.
files() {
    local page helper kernels
    printf '%s\t%s\t%s\n' \
        755 "$BIN/rbee" "$bindir/rbee" \
        755 "$BIN/rbeed" "$bindir/rbeed" \
        644 completions/rbee.bash "$bashcompdir/rbee" \
        644 completions/_rbee "$zshcompdir/_rbee" \
        644 completions/rbee.fish "$fishcompdir/rbee.fish" \
        644 packaging/rbee.conf "$docdir/examples/rbee.conf" \
        644 packaging/README.md "$docdir/README.md" \
        644 packaging/systemd/user/rbeed.service.in "$systemduserdir/rbeed.service" \
        644 packaging/systemd/user/rbeed.socket "$systemduserdir/rbeed.socket" \
        644 packaging/systemd/system/rbeed.service.in "$systemdsystemdir/rbeed.service" \
        644 packaging/systemd/system/rbeed.socket "$systemdsystemdir/rbeed.socket" \
        644 packaging/systemd/rbee.sysusers "$sysusersdir/rbee.conf"
    for helper in "$BIN"/rbee-*; do
        printf '755\t%s\t%s\n' "$helper" "$libexecdir/rbee/${helper##*/}"
    done
    for kernels in "${BIN%/*}"/kernels/*; do # of make kernels, which is not part of make
        [ ! -e "$kernels" ] || printf '644\t%s\t%s\n' "$kernels" "$libexecdir/rbee/kernels/${kernels##*/}"
    done
    for page in man/*.[1578]; do
        printf '644\t%s\t%s\n' "$page" "$mandir/man${page##*.}/${page#man/}"
    done
}

# The folders that are ours alone.
own_folders() {
    printf '%s\n' "$libexecdir/rbee/kernels" "$libexecdir/rbee" "$docdir/examples" "$docdir"
}

install_all() {
    local mode source target
    files | while IFS=$'\t' read -r mode source target; do
        if [[ $source == *.in ]]; then
            mkdir -p "${DESTDIR:-}${target%/*}"
            sed "s|@bindir@|$bindir|" "$source" | install -m "$mode" /dev/stdin "${DESTDIR:-}$target"
        else
            install -D -m "$mode" "$source" "${DESTDIR:-}$target"
        fi
    done
}

uninstall_all() {
    files | cut -f3 | while IFS= read -r target; do
        rm -f "${DESTDIR:-}$target"
    done
    # Also those of another version.
    rm -f "${DESTDIR:-}$libexecdir"/rbee/{rbee-*,kernels/*}
    own_folders | while IFS= read -r folder; do
        rmdir "${DESTDIR:-}$folder" 2>/dev/null || true # somebody keeps a file there, or it is gone
    done
}

case ${1:-} in
install) install_all ;;
uninstall) uninstall_all ;;
*) echo "usage: install.sh install|uninstall" >&2 && exit 2 ;;
esac
