#!/usr/bin/env bats
# rbee model pull on a file system that gets full. Needs root, to make one.

# shellcheck disable=SC2154 # $output and $stderr are of run

load pull_helpers

setup() {
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    pull_setup
    mount -t tmpfs -o size=4m,mode=700 tmpfs "$T/data" || skip "cannot mount here"
}
teardown() {
    [ "$(id -u)" -eq 0 ] || return 0
    end_processes
    ! mountpoint -q "$T/data" || umount "$T/data"
    rbee_teardown
}

# Nobody may be in the file system when it goes.
end_processes() {
    local pid
    for pid in $(test_processes); do
        kill -TERM "$pid" 2>/dev/null || true
    done
    wait_until has_no_process || true
}

@test "a disk that is full is seen before, one that gets full in the middle leaves what came" {
    rbee up
    hub_holds
    dd if=/dev/zero of="$T/data/ballast" bs=1k count=$((4096 - 40)) 2>/dev/null
    pull
    assert_failure 73
    assert [ "${stderr#*more are needed for the models, and the disk has}" != "$stderr" ]
    assert_equal "$(asked_count)" 0
    rm "$T/data/ballast"
    pull_until_half "$T/one"
    dd if=/dev/zero of="$T/data/ballast" bs=4k count=1024 2>/dev/null || true
    touch "$T/go"
    assert_ends "$CALLER" 73
    assert_equal "$(grep -c 'No space left on device; what came is kept' "$T/one.err")" 1
    assert_no_model
    rm "$T/data/ballast"
    local kept
    kept=$(stat -c %s "$PARTS/tiny.gguf")
    [ "$kept" -ge 50000 ]
    pull
    assert_pulled
    assert_equal "$(asked | tail -n 1)" "bytes=$kept-"
}
