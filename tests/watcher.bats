#!/usr/bin/env bats
# No orphans: whatever becomes of rbeed, nothing that its workers have started is left. rbee-watch is
# the process that sees to it.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load supervisor_helpers

setup() { fake_setup; }
teardown() {
    local pid
    # What a worker starts is no program of $T/bin.
    while read -r pid; do
        is_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
    done < <(cat "$T"/m/*.child 2>/dev/null)
    rbee_teardown
}

watcher_pid() {
    test_processes rbee-watch
}

is_watched_by_another() { # PID
    [ -n "$(watcher_pid)" ] && [ "$(watcher_pid)" != "$1" ]
}

has_blocked_signals() { # PID
    grep -qs '^SigBlk:.*[^0[:space:]]' "/proc/$1/status"
}

# Processes that the watcher holds.
held_count() {
    readlink "/proc/$(watcher_pid)"/fd/* | grep -c pidfd || true
}

is_holding() { # COUNT
    [ "$(held_count)" = "$1" ]
}

# The processes that the worker of MODEL has started.
children() { # MODEL...
    local name
    for name in "$@"; do
        cat "$T/m/$name.gguf.child"
    done
}

are_gone() { # PID...
    local pid
    for pid in "$@"; do
        is_gone "$pid" || return 1
    done
}

assert_live() { # PID...
    local pid
    for pid in "$@"; do
        ! is_gone "$pid" || fail "process $pid is gone"
    done
}

has_children() { # MODEL COUNT
    [ "$(wc -l <"$T/m/$1.gguf.child")" = "$2" ]
}

# Workers that have children of KIND, ready: start_families KIND NAME...
start_families() {
    local kind=$1 name
    shift
    for name in "$@"; do
        model "$name" <<<"child $kind"
        ask "$name" | grep -q DONE
        wait_until has_children "$name" "$([ "$kind" = shell ] && echo 2 || echo 1)"
    done
}

# A process whose environment has that instance, as what a worker left would be: $LEFT.
leave_behind() { # INSTANCE [ARGUMENT]
    RBEE_INSTANCE=$1 python3 -c 'import time; time.sleep(600)' "$T/bin/" ${2+"$2"} 3>&- &
    LEFT=$!
    wait_until grep -qs time.sleep "/proc/$LEFT/cmdline" # it is a shell of ours until then
}

@test "kill -9 of rbeed ends five workers with all that they have started" {
    start_rbeed
    start_families "" a b c
    start_families shell d e
    local -a left
    mapfile -t left < <(children a b c d e)
    assert_equal "${#left[@]}" 7
    assert_live "${left[@]}"
    kill -KILL "$RBEED_PID"
    wait_until are_gone "${left[@]}" || fail "left: $(ps -o pid,ppid,pgid,args -p "${left[*]}")"
    assert_no_process # the workers, and the watcher itself
}

@test "a child without our environment is ended with its group" {
    start_rbeed
    start_families bare a
    local -a left
    mapfile -t left < <(children a)
    assert_live "${left[@]}"
    run uname -r
    [ "$(printf '%s\n6.9\n' "$output" | sort -V | head -n 1)" = 6.9 ] ||
        skip "this kernel signals no group by a pidfd (6.9 does)"
    kill -KILL "$RBEED_PID"
    wait_until are_gone "${left[@]}"
    assert_no_process
}

@test "a child that has left for a session of its own is ended by the next start" {
    start_rbeed
    start_families session a
    local -a left
    mapfile -t left < <(children a)
    kill -KILL "$RBEED_PID"
    assert_no_process
    assert_live "${left[@]}"
    start_rbeed
    wait_for_line "$T/rbeed.log" "orphan_killed name=a pid=${left[0]}"
    wait_until are_gone "${left[@]}"
}

@test "what signals a watcher gets, it ends with the pipe alone" {
    start_rbeed
    local watcher signal
    watcher=$(watcher_pid)
    wait_until has_blocked_signals "$watcher" # it is ready a moment after rbeed
    for signal in TERM INT HUP QUIT USR1 USR2 PIPE ALRM; do
        kill "-$signal" "$watcher"
    done
    start_families "" a
    assert_equal "$(watcher_pid)" "$watcher"
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
}

@test "the watcher is apart from rbeed: session, folder, descriptors, environment" {
    start_rbeed 8<"$T/bin"
    start_families "" a
    local watcher
    watcher=$(watcher_pid)
    wait_until is_holding 1
    assert_equal "$(ps -o sid= -p "$watcher" | tr -d ' ')" "$watcher"
    assert_equal "$(ps -o pgid= -p "$watcher" | tr -d ' ')" "$watcher"
    assert_equal "$(readlink "/proc/$watcher/cwd")" /
    assert_equal "$(tr -d '\0' <"/proc/$watcher/environ")" ""
    run bash -c "readlink /proc/$watcher/fd/* | sed 's/pipe:.*/pipe/' | sort | uniq -c | sed 's/^ *//'"
    assert_output "2 /dev/null
1 anon_inode:[pidfd]
1 pipe"
}

@test "a stop in good order leaves no watcher, and logs nothing of one that died" {
    start_rbeed
    start_families shell a b
    local -a left
    mapfile -t left < <(children a b)
    assert_equal "$(watcher_pid | wc -l)" 1
    stop_rbeed
    has_no_process || fail "still there: $(describe_processes)"
    are_gone "${left[@]}"
    run ! grep -q 'watcher_gone' "$T/rbeed.log"
}

@test "a stop in good order does not wait for a watcher that was stopped" {
    start_rbeed
    kill -STOP "$(watcher_pid)"
    stop_rbeed
    has_no_process || fail "still there: $(describe_processes)"
}

@test "a watcher that is killed is replaced, and the next one knows every group" {
    start_rbeed
    start_families "" a b
    local watcher
    watcher=$(watcher_pid)
    kill -KILL "$watcher"
    wait_until is_watched_by_another "$watcher"
    wait_for_line "$T/rbeed.log" 'watcher_gone error="rbee-watch was ended by signal 9"'
    wait_for_line "$T/rbeed.log" 'watcher_started .*groups=2'
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
    start_families "" c
    local -a left
    mapfile -t left < <(children a b c)
    assert_live "${left[@]}"
    kill -KILL "$RBEED_PID"
    wait_until are_gone "${left[@]}"
    assert_no_process
}

@test "without rbee-watch rbeed works, says so, and finds it when it is there again" {
    mv "$T/bin/rbee-watch" "$T/bin/gone"
    start_rbeed
    start_families "" a
    run api GET /v1/status
    assert_equal "$(jq -r .state <<<"$output")" degraded
    assert_regex "$(jq -r '.reasons[]' <<<"$output")" 'rbee-watch'
    mv "$T/bin/gone" "$T/bin/rbee-watch"
    wait_for_line "$T/rbeed.log" 'watcher_started .*groups=1'
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
    local -a left
    mapfile -t left < <(children a)
    kill -KILL "$RBEED_PID"
    wait_until are_gone "${left[@]}"
}

@test "a worker that has ended is watched no more" {
    start_rbeed
    start_families "" a
    wait_until is_holding 1
    api POST /v1/workers/a/stop >/dev/null
    wait_for_worker a down
    wait_until is_holding 0
}

@test "kill -9 of rbeed and of its watcher: the next start ends what is left" {
    start_rbeed
    start_families shell a b
    start_families session c
    local -a left
    mapfile -t left < <(children a b c)
    kill -STOP "$RBEED_PID" # it may not replace the watcher
    kill -KILL "$(watcher_pid)" "$RBEED_PID"
    assert_no_process
    assert_live "${left[@]}"
    start_rbeed
    wait_until are_gone "${left[@]}" || fail "left: $(ps -o pid,ppid,pgid,args -p "${left[*]}")"
}

@test "the next start ends only what carries the instance of a stored worker in its environment" {
    start_rbeed
    model a <<<"reply one"
    ask a | grep -q DONE
    stop_rbeed
    # rbeed was killed between the start of a worker and the writing of its pid.
    python3 - "$STATE/rbee.db" <<'END'
import sqlite3, sys
boot = open("/proc/sys/kernel/random/boot_id").read().strip()
db = sqlite3.connect(sys.argv[1])
db.execute("update workers set pid=0, start_time_ticks=0, boot_id=?, instance=?", (boot, "w-left"))
db.commit()
END
    leave_behind w-left
    local ours=$LEFT
    leave_behind w-left-2
    local other=$LEFT
    leave_behind other w-left
    local reader=$LEFT
    start_rbeed
    wait_until is_gone "$ours"
    assert_live "$other" "$reader"
    kill "$other" "$reader"
}

@test "a worker carries its instance in its environment" {
    start_rbeed
    model a <<<"reply one"
    ask a | grep -q DONE
    local pid
    pid=$(worker_field a pid)
    run bash -c "tr '\0' '\n' </proc/$pid/cmdline | sed -n '/^--instance$/{n;p;}'"
    assert_regex "$output" '^w-.{22}$'
    assert_equal "$(tr '\0' '\n' <"/proc/$pid/environ" | grep ^RBEE_)" "RBEE_INSTANCE=$output"
}

@test "rbee-watch is not for people" {
    run -2 rbee-watch --help
    assert_output --partial 'Started by rbeed'
    run -2 rbee-watch </dev/null
    assert_output --partial 'Started by rbeed'
}
