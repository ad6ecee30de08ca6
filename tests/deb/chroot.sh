#!/usr/bin/env bash
# Installs, runs, upgrades and purges the Debian package in a clean system, which debootstrap makes:
# chroot.sh FOLDER, which holds what scripts/deb.sh built. Needs root and a mirror of Debian; called by
# `make deb-test`. Each line says what was seen; the last one is "deb-test: all is well".
# shellcheck disable=SC2016 # ${...} is dpkg-query's to expand
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(cd "${1:?}" && pwd)
make_gguf=${MAKE_GGUF:?the program that writes a small model}
suite=${SUITE:-bookworm}
mirror=${MIRROR:-http://deb.debian.org/debian}

if [ "$(id -u)" -ne 0 ]; then
    echo "deb-test: needs root, for chroot and mount" >&2
    exit 1
fi
system=$(mktemp -d /tmp/rbee-deb.XXXXXX)
chmod 755 "$system" # it is the root folder of ordinary users, too

# Whoever still runs in there was started by this.
end_processes() {
    local root
    for root in /proc/[0-9]*/root; do
        [ "$(readlink "$root" 2>/dev/null)" = "$system" ] || continue
        kill "$1" "$(cut -d/ -f3 <<<"$root")" 2>/dev/null || true # it may just have ended
    done
}

clean_up() {
    end_processes -KILL
    umount "$system/proc" "$system/dev/null" 2>/dev/null || true
    rm -rf "$system"
}
trap clean_up EXIT

say() {
    echo "deb-test: $*"
}

die() {
    say "FAILED: $*"
    exit 1
}

inside() {
    chroot "$system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}

as_user() {
    inside setpriv --reuid=tester --regid=tester --init-groups --inh-caps=-all env HOME=/srv/tester "$@"
}

# The unit's own words for it, as far as they hold without systemd.
as_service() {
    inside setpriv --reuid=rbee --regid=rbee --init-groups --inh-caps=-all \
        env HOME=/var/lib/rbee XDG_STATE_HOME=/var/lib XDG_DATA_HOME=/var/lib XDG_RUNTIME_DIR=/run/rbee "$@"
}

install_package() { # FILE
    cp "$1" "$system/srv/rbee.deb"
    inside apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends /srv/rbee.deb >"$system/log" 2>&1 ||
        { cat "$system/log"; die "apt-get install"; }
    rm "$system/srv/rbee.deb"
}

# Everything with our name on it, but what a person has.
our_files() {
    (cd "$system" && find . -xdev \( -path ./proc -o -path ./srv \) -prune -o -path '*rbee*' -print) | sort
}

no_process() {
    local exe
    for exe in "$system"/proc/[0-9]*/exe; do
        [[ $(readlink "$exe" 2>/dev/null) != "$system"/usr/*rbee* ]] || return 1
    done
}

# The same package with a higher number: what an upgrade does is in its scripts, not in the programs.
next_version() { # FILE VERSION
    local tree=$system/next
    dpkg-deb -R "$1" "$tree"
    sed -i "s/^Version: .*/Version: $2/" "$tree/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$tree" "$system/srv/next.deb" >/dev/null
    rm -rf "$tree"
    mv "$system/srv/next.deb" "$folder/next.deb"
}

make_system() {
    debootstrap --variant=minbase "$suite" "$system" "$mirror" >"$system.log" 2>&1 ||
        { tail -n 5 "$system.log"; rm -f "$system.log"; die "debootstrap"; }
    rm -f "$system.log"
    mount -t proc proc "$system/proc"
    cp /etc/resolv.conf "$system/etc/resolv.conf"
    inside useradd -m -d /srv/tester -s /bin/sh tester
    say "a clean $suite, $(inside dpkg-query -f '.\n' -W | wc -l) packages"
}

check_install() {
    local package
    package=$(ls "$folder"/rbee_[0-9]*_*.deb)
    install_package "$package"
    say "installed $(inside dpkg-query -f '${Package} ${Version}' -W rbee)"
    no_process || die "installing started something"
    [ ! -e "$system/etc/rbee" ] || die "installing made /etc/rbee"
    [ ! -e "$system/var/lib/rbee" ] || die "installing made /var/lib/rbee"
    [ -z "$(find "$system/etc/systemd" -name '*rbee*')" ] || die "installing enabled a unit"
    [[ $(inside getent passwd rbee) == rbee:*:/var/lib/rbee:/usr/sbin/nologin ]] || die "the user rbee"
    say "it made the user rbee, started nothing and enabled nothing"
}

check_run() {
    local answer
    "$make_gguf" "$system/srv/tester/tiny.gguf"
    chmod 644 "$system/srv/tester/tiny.gguf"
    as_user rbee model add /srv/tester/tiny.gguf >/dev/null 2>&1 || die "rbee model add"
    answer=$(as_user rbee infer -m tiny --raw -n 4 --temp 0 hello </dev/null 2>"$system/log") ||
        { cat "$system/log"; die "rbee infer"; }
    [ -n "$answer" ] || die "an empty answer"
    as_user rbee ps
    say "a user's rbee infer answers"
}

# A supervisor that runs goes on, with the helpers of the new version.
check_upgrade() {
    next_version "$(ls "$folder"/rbee_[0-9]*_*.deb)" 0.1.0+next
    install_package "$folder/next.deb"
    rm "$folder/next.deb"
    [ "$(inside dpkg-query -f '${Version}' -W rbee)" = 0.1.0+next ] || die "the version after the upgrade"
    as_user rbee worker restart tiny --wait >/dev/null
    as_user rbee infer -m tiny --raw -n 4 hello </dev/null >/dev/null
    as_user rbee down
    no_process || die "something runs after rbee down"
    say "upgraded under a supervisor that runs, which goes on"
}

check_service() {
    inside install -d -o rbee -g rbee -m 750 /var/lib/rbee
    inside install -d -o rbee -g rbee -m 755 /run/rbee
    as_service rbeed --socket /run/rbee/rbee.sock >"$system/log" 2>&1 </dev/null &
    local pid=$! socket=''
    for _ in {1..600}; do
        socket=$(inside rbee status --json 2>/dev/null | sed -n 's/.*"socket":"\([^"]*\)".*/\1/p' || true)
        [ -z "$socket" ] || break
        sleep 0.1
    done
    [ "$socket" = /run/rbee/rbee.sock ] || { cat "$system/log"; die "the system's supervisor"; }
    [ -e "$system/var/lib/rbee/rbee.db" ] || die "no state in /var/lib/rbee"
    if as_user rbee --host unix:/run/rbee/rbee.sock ps 2>/dev/null; then
        die "a stranger may ask the system's supervisor"
    fi
    inside rbee down
    wait "$pid"
    rmdir "$system/run/rbee" 2>/dev/null || rm -rf "$system/run/rbee" # systemd's to remove
    say "the system's supervisor runs as rbee, root finds it, others are refused"
}

check_purge() {
    inside apt-get -qq -o Dpkg::Use-Pty=0 remove -y rbee >/dev/null 2>&1
    [ ! -e "$system/usr/bin/rbee" ] || die "removed, and still there"
    [ -e "$system/var/lib/rbee/rbee.db" ] || die "removing took the state"
    inside apt-get -qq -o Dpkg::Use-Pty=0 purge -y rbee >/dev/null 2>&1
    local left
    left=$(our_files)
    [ -z "$left" ] || die "purging left: $left"
    say "removed with its state kept, purged with nothing left but the user"
}

make_system
check_install
check_run
check_upgrade
check_service
check_purge
say "all is well"
