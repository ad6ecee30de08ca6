# make install: everything is found from where it was put, and make uninstall leaves nothing.

# shellcheck disable=SC2154 # $output is of run

load helpers

setup() {
    rbee_setup
    rm -rf "${T:?}/bin" # nothing but what is installed is run
    PATH=${PATH#"$T/bin:"}
}

# Processes are told by the programs of the installation, for which bin is a link.
teardown() {
    rbee_teardown
}

# make, without building anew: what is staged is what is tested.
tree_make() { # TARGET...
    make -C "$TREE_DIR" -s --no-print-directory -o all BIN="$RBEE_BUILD/bin" "$@"
}

# A model answers through the programs below PREFIX.
check_answers() { # PREFIX
    local answer
    use_program_folder "$1/bin"
    "$RBEE_BUILD/tests/make_gguf" "$T/tiny.gguf"
    answer=$("$1/bin/rbee" infer -m "$T/tiny.gguf" --raw -n 4 --temp 0 hello </dev/null)
    [ -n "$answer" ] || fail "no answer"
    assert_equal "$(readlink "/proc/$("$1/bin/rbee" ps --json | jq .workers[0].pid)/exe")" \
        "$1/libexec/rbee/rbee-worker"
    "$1/bin/rbee" down
}

# What helpers.bash looks for when it looks for processes.
use_program_folder() {
    rm -f "$T/bin"
    ln -s "$1" "$T/bin"
}

@test "a private prefix: installed, asked, uninstalled, gone" {
    tree_make install prefix="$T/opt"
    check_answers "$T/opt"
    "$T/opt/bin/rbee" completion bash | diff - "$T/opt/share/bash-completion/completions/rbee"
    run man -M "$T/opt/share/man" -w rbee-worker-start rbee.conf rbee-exit rbeed
    assert_success
    tree_make uninstall prefix="$T/opt"
    run find "$T/opt" ! -type d -o -path '*rbee*'
    assert_output ''
}

# Where the worker looks: what it says is no more that there are none.
@test "kernels for GPUs that have been made are installed beside the worker, and go with it" {
    mkdir -p "$T/build/kernels"
    cp -r "$RBEE_BUILD/bin" "$T/build/bin"
    cp "$RBEE_HOOKS_BUILD/bin/rbee-worker" "$T/build/bin/"
    echo 'device 0000:C1:00.0 90 80000000000 NVIDIA H100' >"$T/cuda"
    export RBEE_FAKE_CUDA=$T/cuda RBEE_GPU_LIBRARY=$RBEE_BUILD/tests/libcuda.so.1
    make -C "$TREE_DIR" -s --no-print-directory -o all BIN="$T/build/bin" install prefix="$T/opt"
    run jq -r '.devices[].reason' <("$T/opt/libexec/rbee/rbee-worker" --devices)
    assert_output --partial 'no kernels for sm_90'
    touch "$T/build/kernels/sm_80.ptx"
    make -C "$TREE_DIR" -s --no-print-directory -o all BIN="$T/build/bin" install prefix="$T/opt"
    run jq -r '.devices[].reason' <("$T/opt/libexec/rbee/rbee-worker" --devices)
    assert_output null
    rm -r "$T/build/kernels" # those of another version go as well
    make -C "$TREE_DIR" -s --no-print-directory -o all BIN="$T/build/bin" uninstall prefix="$T/opt"
    run find "$T/opt" ! -type d -o -path '*rbee*'
    assert_output ''
}

@test "DESTDIR with the prefixes of a system" {
    local prefix
    for prefix in /usr /usr/local; do
        tree_make install DESTDIR="$T/root" prefix=$prefix
        check_answers "$T/root$prefix"
        tree_make uninstall DESTDIR="$T/root" prefix=$prefix
        run find "$T/root" ! -type d -o -path '*rbee*'
        assert_output ''
    done
}

@test "what somebody has put beside it stays" {
    tree_make install prefix="$T/opt"
    touch "$T/opt/share/doc/rbee/notes" "$T/opt/bin/other"
    tree_make uninstall prefix="$T/opt"
    run find "$T/opt" ! -type d
    assert_output "$T/opt/share/doc/rbee/notes
$T/opt/bin/other"
}

@test "units are what systemd takes, and little is left open" {
    command -v systemd-analyze >/dev/null || skip "there is no systemd-analyze here"
    tree_make install prefix="$T/opt"
    local units=$T/opt/lib/systemd
    run systemd-analyze --man=no --user verify "$units"/user/rbeed.{service,socket}
    assert_success
    assert_output ''
    run systemd-analyze --man=no --system verify "$units"/system/rbeed.{service,socket}
    assert_success
    assert_output ''
    # 10 is a service without any of it; below 2.5 is "OK" for systemd.
    run systemd-analyze security --offline=true --threshold=25 "$units/system/rbeed.service"
    assert_success
}
