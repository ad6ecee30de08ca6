# scripts/packages.sh: installs what is missing and nothing else, and says so. apt and dpkg are fakes
# that record how they were called.

# shellcheck disable=SC2016 # the bodies of fakes expand when they run

load helpers

setup() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/p.XXXXXX")
    mkdir "$T/bin"
    local tool
    for tool in bash env cat grep mktemp rm tr id; do
        ln -s "$(command -v "$tool")" "$T/bin/$tool"
    done
    touch "$T/calls" "$T/installed"
    fake dpkg-query 'while read -r name; do echo "installed $name"; done <"$T/installed"'
    fake apt-cache 'exit 0'
    fake apt-get 'echo "apt-get $*" >>"$T/calls"
        [ ! -e "$T/fails" ] || { echo "E: cannot reach the mirror"; exit 100; }'
    export T
}

teardown() { rm -rf "$T"; }

fake() { # NAME BODY
    printf '#!/bin/bash\n%s\n' "$2" >"$T/bin/$1"
    chmod +x "$T/bin/$1"
}

packages() {
    PATH=$T/bin "$TREE_DIR/scripts/packages.sh" "$@" </dev/null
}

# sudo as a fake, or, for a test that runs as root, nothing to fake.
with_sudo() {
    fake sudo 'shift; echo "sudo" >>"$T/calls"; exec "$@"' # drops the -n
}

@test "nothing is missing: silent, and apt is not called" {
    printf 'gcc\nlibjansson-dev\n' >"$T/installed"
    run packages gcc libjansson-dev
    assert_success
    assert_output ''
    assert_equal "$(cat "$T/calls")" ''
}

@test "only what is missing is installed, and named" {
    with_sudo
    echo gcc >"$T/installed"
    run packages gcc libjansson-dev libevent-dev
    assert_success
    assert_output 'packages: installing libjansson-dev libevent-dev'
    run grep '^apt-get' "$T/calls"
    assert_output --regexp 'install -y --no-install-recommends libjansson-dev libevent-dev$'
    refute_output --partial update
}

@test "package lists are fetched first when apt does not know a package" {
    with_sudo
    fake apt-cache 'exit 100'
    run packages gcc
    assert_success
    run sed -n 's/.* \(update\|install\) *.*/\1/p' "$T/calls"
    assert_line --index 0 update
    assert_line --index 1 install
}

@test "apt fails: what it said is shown, and what is still missing" {
    with_sudo
    touch "$T/fails"
    run packages gcc
    assert_failure 1
    assert_output --partial 'E: cannot reach the mirror'
    assert_output --partial 'still missing: gcc'
}

@test "neither root nor sudo: one clear line and what to run" {
    [ "$(id -u)" -ne 0 ] || skip "this suite runs as root"
    run packages gcc make
    assert_failure 1
    assert_output --partial 'not root, and there is no sudo'
    assert_output --partial 'apt-get install gcc make'
    assert_equal "$(cat "$T/calls")" ''
}
