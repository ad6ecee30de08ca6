#!/usr/bin/env bats
# What is told of workers: why one is in the state it is in and what helps, what happened, and what it
# has written; each over a restart of the supervisor, and none of it twice or left out.

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

# rbee why NAME: one screen, whose next step is COMMAND.
assert_next_step() { # NAME COMMAND
    run -0 rbee why "$1"
    assert_line --regexp "^next step +$2\$"
    [ "${#lines[@]}" -le 24 ] || fail "${#lines[@]} lines"
    local line
    for line in "${lines[@]}"; do
        [ "${#line}" -le 80 ] || [[ $line == "next step"* ]] || fail "${#line} columns: $line"
    done
}

why_field() { # NAME FIELD
    rbee why "$1" --json | jq -r ".$2"
}

start_and_await() { # NAME STATE
    api POST "/v1/workers/$1/start" >/dev/null
    wait_for_worker "$1" "$2"
}

# ---- why ----

@test "crash: the exit, its last words, the attempt and the next try" {
    RESTART_BASE=60s fake_config </dev/null
    start_rbeed
    printf 'stderr one\nstderr two\nexit_silent 3\n' | model a
    start_and_await a waiting
    assert_next_step a "rbee logs a"
    assert_line --regexp "^a +is waiting for .*, since "
    assert_line --partial "wanted up; model a"
    assert_line --regexp "^waits for +its next restart, next try in [0-9]+"
    assert_line --regexp "^last failure +crash: it ended without being asked to"
    assert_line --partial "  exit 3"
    assert_line --partial "restarts     attempt 0 of 3, 0 ever; failures 1 of 5 in 5m00s"
    assert_line --regexp "^changes +[0-9:]{8} down -> starting"
    assert_line --regexp "starting -> waiting  worker a died while loading: exit"
    assert_line --regexp "^stderr +.*one"
    assert_line --partial "two"
    assert_equal "$(why_field a 'last_failure | "\(.fault) \(.exit) \(.is_drill)"')" "crash exit 3 false"
    assert_equal "$(why_field a 'stderr | length')" 2
    assert_equal "$(why_field a 'next_retry_ms <= 72000')" true
}

@test "signal: what it means" {
    RESTART_BASE=60s fake_config </dev/null
    start_rbeed
    model a <<<"kill SEGV"
    start_and_await a waiting
    assert_next_step a "rbee logs a"
    assert_line --partial "SIGSEGV: it touched memory"
    assert_regex "$(why_field a exit_meaning)" "memory that is not its own"
    assert_equal "$(why_field a exit)" SIGSEGV
}

@test "hang: the supervisor ended it, and says how it showed" {
    RESTART_BASE=60s PROGRESS_TIMEOUT=1s fake_config </dev/null
    start_rbeed
    printf 'tokens 9\nhang_after 1\n' | model a
    api POST /v1/workers/a/start >/dev/null
    run ask a
    wait_for_worker a waiting
    assert_next_step a "rbee logs a"
    assert_line --regexp "^last failure +hang: it made no progress"
    assert_line --partial "killed: it made no progress for 1"
    assert_regex "$(why_field a exit_meaning)" "the supervisor ended it"
}

@test "out of memory once: with less and by itself; twice: the numbers, and a start with half" {
    use_test_hooks
    RESTART_BASE=60s fake_config </dev/null
    start_rbeed
    model a <<<'exit 11 host_memory "12 GiB are needed, 8 are free"'
    api POST /v1/workers/a/start -d '{"context":4096}' >/dev/null
    wait_for_worker a waiting
    assert_next_step a "rbee wait a --for=ready"
    assert_line --partial "degraded     memory ran out: context 2048 (4096 were wanted), slots 1"
    assert_equal "$(why_field a degraded.context_tokens)" 2048
    clock_advance 80000
    wait_for_worker a failed
    assert_next_step a "rbee worker start a --ctx 1024"
    assert_line --regexp "^last failure +oom: host memory ran out"
    assert_line --partial "memory ran out again with a context of 2048 (4096 were wanted)"
    assert_line --partial "12 GiB are needed, 8 are free"
}

@test "a configuration fault: never tried again, and what to look at" {
    start_rbeed
    model a <<<'exit 10 config "unknown tensor type 99"'
    start_and_await a failed
    assert_next_step a "rbee worker start a"
    assert_line --regexp "^a +is failed for"
    assert_line --regexp "^last failure +config: a flag, the model file or the device is wrong"
    assert_line --regexp "^last words +unknown tensor type 99"
    assert_regex "$(why_field a advice)" "rbee model show a"
    assert_equal "$(why_field a waits_for)" null
}

@test "open: why, how often, and until when" {
    RESTART_BASE=0 fake_config </dev/null
    start_rbeed
    model a <<<"exit_silent 3"
    start_and_await a open
    assert_next_step a "rbee breaker reset a"
    assert_line --regexp "^waits for +its circuit breaker, next try in [0-9]+m"
    assert_line --regexp "^breaker +open: the restarts of one incident did not help; trips 1"
    assert_equal "$(why_field a breaker.cause)" attempts
    # The past outlives the supervisor, and with it the last lines of a process that it never had.
    stop_rbeed
    start_rbeed
    assert_next_step a "rbee breaker reset a"
    assert_equal "$(why_field a 'last_failure.exit')" "exit 3"
    assert_equal "$(why_field a 'transitions | length')" 5
}

@test "half-open: one start is allowed, and who makes it" {
    use_test_hooks
    RESTART_BASE=0 fake_config </dev/null
    start_rbeed
    model a <<<"exit_silent 3"
    ask a >/dev/null || true # by a request alone: nobody wants it up
    for _ in 1 2 3; do
        ask a >/dev/null || true
    done
    wait_for_worker a open
    clock_advance 400000
    wait_until worker_has a breaker half_open
    assert_next_step a "rbee worker start a"
    assert_line --regexp "^breaker +half_open: the restarts of one incident did not help"
}

@test "a command that is not there: install it" {
    fake_config <<END
worker ext {
    command = "$T/gone --port {port}"
}
END
    start_rbeed
    api POST /v1/workers/ext/start >/dev/null
    wait_for_worker ext failed
    assert_next_step ext "rbee worker start ext"
    assert_regex "$(why_field ext last_failure.last_words)" "$T/gone, is not there"
    assert_regex "$(why_field ext advice)" "is installed"
}

@test "held: by whom it is kept down, and what ends that" {
    start_rbeed
    model a <<<"reply one"
    start_and_await a ready
    rbee worker hold a --reason "the fan is being replaced" --wait
    assert_next_step a "rbee worker release a"
    assert_line --regexp "^a +is held for"
    assert_line --regexp "^held +since [0-9TZ:.-]+: the fan is being replaced"
    assert_line --regexp "ready -> draining|draining -> stopping"
    stop_rbeed
    start_rbeed
    assert_next_step a "rbee worker release a"
}

@test "opened by a person: the reason, and who alone closes it" {
    start_rbeed
    model a <<<"reply one"
    start_and_await a ready
    rbee breaker open a --reason "runs too hot"
    api POST /v1/workers/a/stop >/dev/null
    wait_for_worker a open
    assert_next_step a "rbee breaker reset a"
    assert_line --regexp "^breaker +forced_open: a person said so: runs too hot"
}

@test "a drill is called one" {
    RESTART_BASE=60s fake_config </dev/null
    start_rbeed
    model a <<<"reply one"
    start_and_await a ready
    rbee drill crash a --yes
    wait_for_worker a waiting
    assert_next_step a "rbee logs a"
    assert_line --partial "crash: it ended without being asked to (a drill)"
    assert_equal "$(why_field a last_failure.is_drill)" true
    run -0 rbee events a
    assert_line --partial "  a  drill: crash"
}

@test "ready: nothing is to be done; down: the next request starts it" {
    start_rbeed
    model a <<<"stderr hello"
    start_and_await a ready
    run -0 rbee why a
    assert_line --regexp "^next step +it takes requests: nothing is to be done"
    refute_line --regexp "^last failure"
    api POST /v1/workers/a/stop >/dev/null
    wait_for_worker a down
    assert_next_step a "rbee worker start a"
    assert_line --partial "the next request starts it as well"
}

@test "unknown names: 67, with those that lie near" {
    start_rbeed
    model llama <<<"reply one"
    start_and_await llama ready
    run -67 rbee why lama
    assert_output "rbee: there is no worker lama; did you mean llama?"
    run -67 rbee logs lama
    run -67 rbee why no/name
    model other <<<"reply one"
    run -67 rbee why other
    assert_output "rbee: there is no worker other: model other has none yet (rbee worker start other)"
}

@test "a screen is not driven by what a worker has said" {
    RESTART_BASE=60s fake_config </dev/null
    start_rbeed
    printf 'stderr "\\u001b[2Jgone \\u202e"\nexit_silent 3\n' | model a
    start_and_await a waiting
    run rbee why a
    refute_output --partial $'\x1b'
    assert_output --partial "[2Jgone"
}

# ---- events ----

@test "events: one line each, by worker, by count and by time" {
    RESTART_BASE=60s fake_config </dev/null
    start_rbeed
    model a <<<"exit_silent 3"
    model b <<<"reply one"
    start_and_await b ready
    start_and_await a waiting
    run -0 rbee events a
    assert_line --index 0 --regexp '^[-0-9]{10}T[0-9:.]{12}Z  a  down -> starting  start$'
    assert_line --regexp '  a  process [0-9]+, attempt 0$'
    assert_line --regexp '  a  starting -> waiting  worker a died while loading: exit 3$'
    refute_line --partial "  b  "
    run -0 rbee events -n 1
    assert_equal "${#lines[@]}" 1
    run -0 rbee events --since 1h
    assert_line --partial "  a  "
    assert_line --partial "  b  "
    run -0 rbee events --since 2099-01-01T00:00:00Z
    assert_output ""
    run -0 rbee events b --json
    assert_equal "$(jq -rs 'map(.kind) | unique | join(" ")' <<<"$output")" "worker_spawned worker_state"
    assert_equal "$(jq -rs 'map(.seq) | . == sort' <<<"$output")" true
    run -2 rbee events --since yesterday
    assert_output --partial -- '--since: must be a time like'
    assert_equal "$(api_status GET "/v1/events?limit=0")" 400
    assert_equal "$(api_status GET "/v1/events?after=x")" 400
}

@test "events come in pages, each from where the last one ended" {
    start_rbeed
    model a <<<"reply one"
    start_and_await a ready
    local all pages="" after=0 page
    all=$(api GET "/v1/events?after=0&limit=1000" | jq -c '[.events[].seq]')
    while page=$(api GET "/v1/events?after=$after&limit=2") && [ "$(jq .has_more <<<"$page")" = true ]; do
        pages+=$(jq -c '.events[].seq' <<<"$page")$'\n'
        after=$(jq '.events[-1].seq' <<<"$page")
    done
    pages+=$(jq -c '.events[].seq' <<<"$page")
    assert_equal "$(jq -cs . <<<"$pages")" "$all"
}

@test "events -f: a crash is seen, and a restart of rbeed leaves nothing out and shows nothing twice" {
    RESTART_BASE=60s fake_config </dev/null
    start_rbeed
    model a <<<"die_later go 3"
    rbee events -f --json -n 1000 >"$T/seen" 2>"$T/seen.err" 3>&- &
    local pid=$!
    start_and_await a ready
    wait_for_line "$T/seen" '"to":"ready"'
    kill -KILL "$(worker_field a pid)"
    wait_for_line "$T/seen" '"to":"waiting"'
    stop_rbeed
    wait_for_line "$T/seen.err" "waiting for it"
    start_rbeed
    model b <<<"reply one"
    start_and_await b ready
    wait_for_line "$T/seen" '"worker":"b".*"to":"ready"'
    kill -TERM "$pid"
    assert_ends "$pid" 143
    stop_rbeed
    db "SELECT seq FROM events ORDER BY seq" >"$T/stored"
    jq .seq "$T/seen" >"$T/shown"
    run -0 diff "$T/shown" <(head -n "$(wc -l <"$T/shown")" "$T/stored")
}

@test "a client that comes back goes on behind what it has seen; what is gone is a gap" {
    start_rbeed
    model a <<<"reply one"
    start_and_await a ready
    api GET "/v1/events?follow=1&after=2" -N --max-time 600 >"$T/after" 2>/dev/null 3>&- &
    local one=$!
    api GET /v1/events -N -H 'Accept: text/event-stream' -H 'Last-Event-ID: 2' >"$T/header" 2>/dev/null 3>&- &
    local two=$!
    wait_for_line "$T/after" '"to":"ready"'
    wait_for_line "$T/header" '"to":"ready"'
    assert_equal "$(sed -n 's/^id: //p' "$T/after" | head -n 1)" 3
    assert_equal "$(sed -n 's/^id: //p' "$T/header" | head -n 1)" 3
    kill "$one" "$two"
    stop_rbeed
    db "DELETE FROM events WHERE seq < 3"
    start_rbeed
    api GET "/v1/events?follow=1&after=1" -N >"$T/gap" 2>/dev/null 3>&- &
    one=$!
    wait_for_line "$T/gap" '"to":"ready"'
    assert_equal "$(events <"$T/gap" | head -n 1)" '{"type":"gap","after":1,"next":3}'
    kill "$one"
    api GET "/v1/events?follow=1&after=100000" -N >"$T/anew" 2>/dev/null 3>&- &
    one=$!
    wait_for_line "$T/anew" '"to":"ready"'
    assert_equal "$(events <"$T/anew" | head -n 1)" '{"type":"gap","after":100000,"next":0}'
    kill "$one"
}

# Reads one byte of 20 MB of events, says so, and when it may reads the rest.
slow_reader() {
    python3 - "$SOCKET" 3>&- <<'END'
import json, os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"GET /v1/events?follow=1&after=0 HTTP/1.0\r\nHost: rbee\r\n\r\n")
text = s.recv(1)
open("deaf", "w").close()
while not os.path.exists("hear"):
    time.sleep(0.02)
seqs = []
has_marker = False
while not has_marker:
    more = s.recv(1 << 20)
    assert more, "the stream has ended"
    *lines, text = (text + more).split(b"\n")
    for line in lines:
        if line.startswith(b"data: "):
            seqs.append(json.loads(line[6:])["seq"])
            has_marker = has_marker or b'"marker"' in line
assert seqs == list(range(1, len(seqs) + 1)), seqs[:5]
print(len(seqs))
END
}

resident_kb() {
    awk '/^VmRSS/ { print $2 }' "/proc/$RBEED_PID/status"
}

@test "a client that does not read holds nobody up, costs little memory, and misses nothing" {
    start_rbeed
    model a <<<"reply one"
    stop_rbeed
    db "DELETE FROM events"
    db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
        INSERT INTO events (seq, at_ms, kind, worker, request, details)
        SELECT i, 0, 'big', '', '', '{\"x\":\"' || hex(zeroblob(2500)) || '\"}' FROM n"
    db "INSERT INTO events (seq, at_ms, kind, worker, request, details) SELECT 4001, 0, 'marker', '', '', '{}'"
    fake_config <<<'limits { keep_days = off }'
    start_rbeed
    local before
    before=$(resident_kb)
    slow_reader >"$T/count" &
    local slow=$!
    wait_until test -e "$T/deaf"
    start_and_await a ready
    api POST /v1/workers/a/stop >/dev/null
    wait_for_worker a down
    is_sanitized || [ $(($(resident_kb) - before)) -lt 10000 ] ||
        fail "grew from $before to $(resident_kb) kB"
    touch "$T/hear"
    wait "$slow"
    assert [ "$(cat "$T/count")" -ge 4000 ]
}

@test "a stop ends those who follow, after the last event" {
    start_rbeed
    model a <<<"reply one"
    start_and_await a ready
    api GET "/v1/events?follow=1&after=0" -N >"$T/seen" 2>"$T/seen.err" 3>&- &
    local pid=$!
    wait_for_line "$T/seen" '"to":"ready"'
    stop_rbeed
    assert_ends "$pid" 0
    run tail -n 2 "$T/seen"
    assert_output --partial '"to":"down"'
}

# ---- logs ----

@test "logs: the last lines, since a time, harmless on a terminal" {
    start_rbeed
    {
        for i in 1 2 3 4 5; do echo "stderr line-$i"; done
    } | model a
    start_and_await a ready
    run -0 rbee logs a
    assert_line --regexp '^[-0-9]{10}T[0-9:.]{12}Z line-1$'
    assert_equal "${#lines[@]}" 5
    run -0 rbee logs a -n 2
    assert_equal "${#lines[@]}" 2
    assert_line --index 0 --partial "line-4"
    run -0 rbee logs a --since 2099-01-01T00:00:00Z
    assert_output ""
    run -0 rbee logs a --since 1h --json
    assert_equal "$(jq -rs '.[0] | "\(.type) \(.text)"' <<<"$output")" "line line-1"
}

@test "logs: what has turned over is read as well, and a line that ends behind it" {
    start_rbeed
    model a <<<"reply one"
    mkdir -p "$STATE/logs"
    printf 'oldest\n' >"$STATE/logs/a.log.2"
    printf 'older\n' >"$STATE/logs/a.log.1"
    printf 'new\nnot whole' >"$STATE/logs/a.log"
    start_and_await a ready
    assert_equal "$(api GET "/v1/workers/a/logs?lines=3" | jq -rc '[.lines[].text], .is_cut')" \
        '["oldest","older","new"]
false'
    assert_equal "$(api GET "/v1/workers/a/logs?lines=2" | jq -rc '[.lines[].text]')" '["older","new"]'
    api GET "/v1/workers/a/logs?lines=1&follow=1" -N >"$T/seen" 2>/dev/null 3>&- &
    local pid=$!
    wait_for_line "$T/seen" '"new"'
    echo ' until now' >>"$STATE/logs/a.log"
    wait_for_line "$T/seen" '"not whole until now"'
    mv "$STATE/logs/a.log" "$STATE/logs/a.log.1"
    echo 'next file' >"$STATE/logs/a.log"
    wait_for_line "$T/seen" '"next file"'
    assert_equal "$(events <"$T/seen" | jq -rc .text | tr '\n' '|')" "new|not whole until now|next file|"
    kill "$pid"
}

@test "logs -f: each line as it comes, once, over a restart of rbeed" {
    start_rbeed
    model a <<<"stderr started"
    start_and_await a ready
    rbee logs a -f >"$T/seen" 2>"$T/seen.err" 3>&- &
    local pid=$!
    wait_for_line "$T/seen" "started"
    stop_rbeed
    wait_for_line "$T/seen.err" "waiting for it"
    start_rbeed
    wait_for_worker a ready # it is wanted up
    wait_until test "$(grep -c started "$T/seen")" -ge 1
    wait_until has_started_twice
    kill -TERM "$pid"
    assert_ends "$pid" 143
    assert_equal "$(grep -c started "$T/seen")" 2
}

has_started_twice() {
    [ "$(grep -c started "$T/seen")" -ge 2 ]
}

@test "logs without a name: rbeed's own, where it has a file" {
    start_rbeed
    run -66 rbee logs
    assert_output --partial "logs to the stderr it was started with"
    stop_rbeed
    rbee up
    run -0 rbee logs
    assert_line --partial " started version="
    rbee logs -f >"$T/seen" 2>&1 3>&- &
    local pid=$!
    wait_for_line "$T/seen" " started version="
    model a <<<"reply one"
    wait_for_line "$T/seen" "action=MODEL_ADD"
    kill "$pid"
    rbee down
}
