#!/usr/bin/env bats
# Models that do not fit together: who is evicted for whom, who waits, and who is told that there is
# no room. The budget is 100 MB; each model says how much it needs.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

MB=1000000

start_with_budget() {
    fake_config <<<"limits { memory = $((100 * MB)) }"
    sed -i 's/^life {/life {\n    idle_stop = off/' "$XDG_CONFIG_HOME/rbee/rbee.conf"
    start_rbeed
}

# A script whose worker needs MB: sized NAME MB, more directives on stdin.
sized_script() {
    {
        echo "describe fixed_bytes $(($2 * MB))"
        echo "memory $(($2 * MB))"
        cat
    } | script "$1"
}

sized() {
    sized_script "$@"
    add_model "$1" >/dev/null
}

# An answer that came to its end.
assert_answered() { # N
    run events <"$T/out.$1"
    assert_line --partial '"type":"end"'
    assert_line '[DONE]'
}

is_in_room_line() { # NAME
    worker_has "$1" state waiting && worker_has "$1" waits_for room
}

# ---- eviction ----

@test "a model that does not fit evicts the one that has been idle for longest" {
    start_with_budget
    sized old 40 <<<'reply one'
    sized new 40 <<<'reply one'
    sized big 50 <<<'reply one'
    ask old | grep -q DONE
    ask new | grep -q DONE
    ask big | grep -q DONE
    assert_equal "$(worker_field old state)" down
    assert_equal "$(worker_field new state)" ready
    assert_equal "$(worker_field big state)" ready
    # That was no failure, and what it was is said everywhere.
    run rbee why old
    assert_output --regexp 'room +evicted for big: exit 0: '
    assert_equal "$(worker_field old last_exit)" 'evicted for big: exit 0'
    assert_equal "$(worker_field old restarts)" 0
    assert_equal "$(worker_field old last_fault)" null
    assert_equal "$(api GET /v1/status | jq -r .state)" ok
    assert_equal "$(done_count old term)" 1
    wait_for_line "$T/rbeed.log" 'name=old from=ready to=draining event=stop .*"worker old is evicted: big needs its room"'
    stop_rbeed
    assert_equal "$(db "SELECT count(*) FROM failures")" 0
}

@test "ten requests that alternate between two models that do not fit together end right" {
    start_with_budget
    sized a 60 <<<'reply "this is a"'
    sized b 60 <<<'reply "this is b"'
    local n name
    for n in 1 2 3 4 5 6 7 8 9 10; do
        name=a
        ((n % 2)) || name=b
        run ask "$name" '"stream":false'
        assert_output --partial "\"text\":\"this is $name\""
    done
    assert_equal "$(start_count a)" 5
    assert_equal "$(start_count b)" 5
    assert_equal "$(worker_field a state)" down
    assert_equal "$(worker_field b state)" ready
}

@test "ten that come at the same time end right as well, with few starts" {
    start_with_budget
    sized a 60 <<<'reply "this is a"'
    sized b 60 <<<'reply "this is b"'
    local n name pids=()
    for n in 1 2 3 4 5 6 7 8 9 10; do
        name=a
        ((n % 2)) || name=b
        ask_later "$n" "$name"
        pids+=("$ASKED")
    done
    wait "${pids[@]}"
    for n in 1 2 3 4 5 6 7 8 9 10; do
        assert_answered "$n"
    done
    # However they came, each starts when the other has nothing to do.
    assert [ $(($(start_count a) + $(start_count b))) -le 10 ]
    refute [ "$(worker_field a state) $(worker_field b state)" = 'ready ready' ]
}

@test "two real models that do not fit together take turns" {
    rm "$T/bin/rbee-worker"
    use_program "$RBEE_BUILD/bin/rbee-worker"
    tiny_model "$T/m/a.gguf"
    cp "$T/m/a.gguf" "$T/m/b.gguf"
    local need n name
    need=$("$T/bin/rbee-worker" --describe "$T/m/a.gguf" |
        jq '.fixed_bytes + 4 * .slot_bytes + .token_bytes * .context_tokens')
    fake_config <<<"limits { memory = $((need * 3 / 2)) }"
    start_rbeed
    add_model a
    add_model b
    for n in 1 2 3 4 5 6 7 8 9 10; do
        name=a
        ((n % 2)) || name=b
        run rbee infer -m "$name" --max-tokens 4 hello
        assert_success
    done
    assert_equal "$(worker_field a state)" down
    assert_equal "$(worker_field b state)" ready
    assert_regex "$(worker_field a last_exit)" '^evicted for b: exit 0'
    assert_equal "$(worker_field b memory_bytes)" "$need"
}

@test "what took more than its description said is known for the next time" {
    start_with_budget
    script liar <<<"memory $((80 * MB))"
    add_model liar
    sized b 40 <<<'reply one'
    ask liar | grep -q DONE # its file is small
    ask b | grep -q DONE
    assert_equal "$(worker_field liar state)" down
    ask liar | grep -q DONE
    assert_equal "$(worker_field b state)" down
    assert_equal "$(worker_field b last_exit)" 'evicted for liar: exit 0'
}

@test "the context that a request asks for counts" {
    start_with_budget
    sized a 40 <<<'describe token_bytes 10000'
    sized b 40 <<<'describe token_bytes 10000'
    # Of its 2,048 tokens: 61 MB. With 100 of them: 41 MB.
    ask a '"context":100' | grep -q DONE
    ask b '"context":100' | grep -q DONE
    assert_equal "$(worker_field a state)" ready
    api POST /v1/workers/b/stop >/dev/null
    wait_for_worker b down
    ask b | grep -q DONE
    assert_equal "$(worker_field a state)" down
}

@test "how keys and values are kept counts" {
    local name
    start_with_budget
    sized a 40 <<<$'describe token_bytes 10000\ndescribe q8_0_token_bytes 5000'
    sized b 40 <<<$'describe token_bytes 10000\ndescribe q8_0_token_bytes 5000'
    for name in a b; do # a start's settings stay
        api POST "/v1/workers/$name/start" -d '{"kv_type":"q8_0"}' >/dev/null
        wait_for_worker "$name" ready
        api POST "/v1/workers/$name/stop" >/dev/null
        wait_for_worker "$name" down
    done
    # 51 MB of 2,048 tokens, and 61 MB where they are not q8_0.
    ask a '"context":1000' | grep -q DONE
    ask b | grep -q DONE
    assert_equal "$(worker_field a state)" ready
    api POST /v1/workers/b/stop >/dev/null
    wait_for_worker b down
    ask b '"kv_type":"f16"' | grep -q DONE
    assert_equal "$(worker_field a state)" down
}

# ---- who is never evicted ----

@test "one that works is not evicted: who needs its room waits until it is idle" {
    start_with_budget
    sized a 60 <<<'gate_after 1 go'
    sized b 60 <<<'reply one'
    ask_later 1 a
    local first=$ASKED
    wait_for_deed a gate
    ask_later 2 b
    local second=$ASKED
    wait_until is_in_room_line b
    assert_equal "$(worker_field a state)" ready
    assert_equal "$(start_count b)" 0
    assert_equal "$(worker_field b attempt)" 0
    touch "$T/m/go"
    wait "$first" "$second"
    assert_answered 1
    assert_answered 2
    assert_equal "$(worker_field a state)" down
    assert_equal "$(done_count a term)" 1
}

@test "one that loads is not evicted either" {
    start_with_budget
    sized a 60 <<<'load_gate go'
    sized b 60 <<<'reply one'
    ask_later 1 a
    local first=$ASKED
    wait_for_worker a starting
    ask_later 2 b
    wait_until worker_is b waiting
    touch "$T/m/go"
    wait "$first" "$ASKED"
    assert_answered 1
    assert_answered 2
}

@test "who waits for room keeps its place before one that comes back for it" {
    start_with_budget
    sized a 60 <<<'@1 term_ms 1000'
    sized b 60 <<<'gate_after 1 go'
    ask a | grep -q DONE
    ask_later 1 b
    local first=$ASKED
    wait_for_deed a term
    ask_later 2 a # it is being stopped: started again, but not in the room that b waits for
    local second=$ASKED
    wait_for_deed b gate
    assert_equal "$(start_count a)" 1
    wait_until is_in_room_line a
    touch "$T/m/go"
    wait "$first" "$second"
    assert_answered 1
    assert_answered 2
}

@test "who leaves the line lets the next one pass" {
    start_with_budget
    sized a 60 <<<'gate_after 1 go'
    sized b 60 <<<'reply one'
    sized c 30 <<<'reply one'
    ask_later 1 a
    wait_for_deed a gate
    ask_later 2 b
    wait_until is_in_room_line b
    ask_later 3 c # there is room for it, but not beside b, who came first
    local third=$ASKED
    wait_until is_in_room_line c
    api DELETE "/v1/inference/$(events <"$T/out.2" | jq -r '.id' | head -1)"
    wait "$third"
    assert_answered 3
    assert_equal "$(worker_field b state)" down
    assert_equal "$(worker_field a state)" ready
    touch "$T/m/go"
}

@test "a pinned worker is neither evicted nor stopped when it is idle" {
    use_test_hooks
    sized_script a 60 <<<'reply one'
    sized_script b 60 <<<'reply one'
    {
        printf 'worker a {\n model = "%s"\n pin = true\n}\n' "$T/m/a.gguf"
        printf 'worker b {\n model = "%s"\n}\nlimits { memory = %d }\n' "$T/m/b.gguf" $((100 * MB))
    } | fake_config
    start_rbeed
    ask a | grep -q DONE
    clock_advance 3600000
    assert_equal "$(worker_field a state)" ready
    add_model b >/dev/null # so that what it needs is known
    run -75 rbee infer -m b hi
    assert_output --partial 'a holds 57.2 MiB (pinned)'
    assert_equal "$(worker_field a state)" ready
    # The same without the pin stops after five minutes.
    rbee worker stop a
    ask b | grep -q DONE
    wait_until worker_has b in_flight 0 # that is when it begins to be idle
    clock_advance 300000
    wait_for_worker b down
}

# ---- no room ----

@test "where there is no room both numbers and who holds it are told, and it is no failure" {
    start_with_budget
    sized a 60 <<<'reply one'
    sized b 60 <<<'reply one'
    api POST /v1/workers/a/start >/dev/null
    wait_for_worker a ready
    assert_equal "$(api_status POST /v1/inference -d '{"model":"b","prompt":"hi"}')" 507
    run ask b
    assert_output --partial '"code":"NO_ROOM"'
    assert_output --partial 'worker b needs 57.2 MiB of memory, and cpu has 38.1 MiB left of 95.4 MiB: a holds 57.2 MiB (wanted up)'
    run -75 rbee infer -m b hi
    assert_output --partial 'a holds 57.2 MiB (wanted up)'
    assert_equal "$(worker_field b state)" down
    assert_equal "$(worker_field b restarts)" 0
    assert_equal "$(worker_field b breaker)" closed
    assert_equal "$(start_count b)" 0
    # With a not wanted any more there is.
    api POST /v1/workers/a/stop >/dev/null
    ask b | grep -q DONE
}

@test "without a limit the machine's own memory counts" {
    fake_config </dev/null
    start_rbeed
    sized a 60 <<<'reply one'
    script huge <<<"describe fixed_bytes $((1 << 50))"
    add_model huge >/dev/null
    ask a | grep -q DONE
    run -75 rbee infer -m huge hi
    assert_output --partial 'worker huge needs 1024.0 TiB of memory'
    assert_output --partial 'a holds 57.2 MiB (idle)'
    assert_equal "$(worker_field a state)" ready
}

# All that this machine has but for 128 MiB: never free, and room for a small worker beside it.
nearly_all_memory() {
    echo $((($(awk '/^MemTotal:/ { print $2 }' /proc/meminfo) - 131072) * 1024))
}

# Limits of control groups count as well, and are not so easily read.
skip_if_memory_is_limited() {
    local folder
    folder=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
    while [[ $folder == /sys/fs/cgroup* ]]; do
        [ "$(cat "$folder/memory.max" 2>/dev/null || echo max)" = max ] ||
            skip "a control group limits this machine's memory"
        folder=${folder%/*}
    done
}

@test "memory that does not come back within its time is told, and nobody else is evicted" {
    skip_if_memory_is_limited
    use_test_hooks
    fake_config </dev/null
    start_rbeed
    # It says that it holds more than there is; when it is gone not a byte more is free.
    script liar <<<"memory $((1 << 60))"
    add_model liar >/dev/null
    sized other 60 <<<'reply one'
    script big <<<"describe fixed_bytes $(nearly_all_memory)"
    add_model big >/dev/null
    ask other | grep -q DONE # idle for longer, and does not have to go for big
    ask liar | grep -q DONE
    ask_later 1 big
    wait_until worker_is liar down
    assert is_in_room_line big
    clock_advance 5000
    assert is_in_room_line big
    clock_advance 6000
    wait "$ASKED"
    run cat "$T/out.1"
    assert_output --partial '"code":"NO_ROOM"'
    assert_output --partial 'worker big needs'
    wait_for_worker big down
    assert_equal "$(start_count big)" 0
    assert_equal "$(worker_field big restarts)" 0
    assert_equal "$(worker_field other state)" ready
}

@test "a model larger than the budget is refused, and nobody is evicted for it" {
    start_with_budget
    sized a 60 <<<'reply one'
    sized huge 101 <<<'reply one'
    ask a | grep -q DONE
    assert_equal "$(api_status POST /v1/inference -d '{"model":"huge","prompt":"hi"}')" 507
    assert_equal "$(worker_field a state)" ready
}

@test "a person's start without room says so, and is made when there is" {
    start_with_budget
    sized a 60 <<<'reply one'
    sized b 60 <<<'reply one'
    api POST /v1/workers/a/start >/dev/null
    wait_for_worker a ready
    assert_equal "$(api_status POST /v1/workers/b/start)" 507
    assert_equal "$(worker_field b waits_for)" room
    assert_equal "$(worker_field b desired)" up
    run rbee why b
    assert_output --partial 'room on its device'
    assert_output --regexp 'room +worker b needs 57.2 MiB of memory, and cpu has 38.1 MiB left of'
    assert_output --partial '(wanted up)'
    assert_equal "$(api_status POST /v1/inference -d '{"model":"b","prompt":"hi"}')" 507
    assert_equal "$(api_status GET '/v1/workers/b/wait?for=ready')" 507
    api POST /v1/workers/a/stop >/dev/null
    wait_for_worker b ready
    assert_equal "$(start_count b)" 1
}

@test "a restart that finds no room waits for it and evicts nobody who works" {
    use_test_hooks
    RESTART_BASE=1m start_with_budget
    sized a 60 <<<'@1 die_later go_die SEGV'
    sized b 60 <<<'gate_after 1 go'
    api POST /v1/workers/a/start >/dev/null
    wait_for_worker a ready
    touch "$T/m/go_die"
    wait_for_worker a waiting
    ask_later 1 b # a's room is free as long as nobody is there
    wait_for_deed b gate
    clock_advance 120000
    assert is_in_room_line a
    assert_equal "$(worker_field b state)" ready
    touch "$T/m/go"
    wait "$ASKED"
    assert_answered 1
    wait_for_worker a ready
    assert_equal "$(worker_field b state)" down
    assert_equal "$(worker_field a restarts)" 1
}
