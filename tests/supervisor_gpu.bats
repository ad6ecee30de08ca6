#!/usr/bin/env bats
# Where workers run: which GPUs there are and can be used, as rbee-worker --devices tells, by which names
# they are called, and which of them is chosen. The worker is a fake, and so are the GPUs: $T/bin/devices
# has what it tells of them.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be
# shellcheck disable=SC2154 # stderr is set by run --separate-stderr

load recovery_helpers

A=0000:03:00.0
B=0000:c3:00.0
MB=1000000

setup() {
    fake_setup
    use_test_hooks
    recovery_config </dev/null
}
teardown() { rbee_teardown; }

# How often it has been asked.
look_count() {
    cat "$T/bin/devices.starts" 2>/dev/null || echo 0
}

# A script whose worker needs MB: sized NAME MB, more directives on stdin.
sized() {
    {
        echo "describe fixed_bytes $(($2 * MB))"
        echo "memory $(($2 * MB))"
        cat
    } | script "$1"
    add_model "$1" >/dev/null
}

# ---- names ----

@test "all names of a GPU are one device, and its worker gets the PCI address" {
    two_gpus
    start_rbeed
    local name
    for name in gpu:1 "gpu:$B" gpu:c3:00.0 gpu:C3:00.0 "gpu:GPU-fake-$B"; do
        model m <<<'reply one'
        run -0 rbee worker start m --device "$name" --wait
        assert_equal "$(started_on m)" "gpu:$B"
        assert_says m ".device == \"gpu:$B\""
        rbee worker stop m --wait
    done
    assert_equal "$(look_count)" 1
    assert_equal "$(gpu_breakers)" "gpu:$A closed
gpu:$B closed"
    # A request that calls it otherwise is no conflict; another GPU is.
    rbee worker start m --wait
    ask m '"device":"gpu:1"' | grep -q DONE
    ask m '"device":"gpu"' | grep -q DONE
    run ask m '"device":"gpu:0"'
    assert_output --partial "worker m runs on device gpu:$B, not gpu:0: stop it first"
}

@test "faults under two names of one GPU open one breaker" {
    two_gpus
    start_rbeed
    model a <<<'exit 13 gpu_fault "page fault"'
    model b <<<'exit 13 gpu_fault "page fault"'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.last_fault == "gpu_fault" and .state != "starting"'
    api POST /v1/workers/a/stop >/dev/null
    want_up b "{\"device\":\"gpu:GPU-fake-$A\"}"
    wait_says b '.state == "open" and .waits_for == "device"'
    assert_equal "$(gpu_breakers)" "gpu:$A open
gpu:$B closed"
    run rbee why b
    assert_output --partial "gpu:$A"
    assert_output --partial "rbee breaker reset gpu:$A"
}

@test "a GPU without a worker has a breaker, and is opened beforehand by any name" {
    two_gpus
    start_rbeed
    model a <<<'reply one'
    ask a '"device":"gpu:0"' | grep -q DONE
    run -0 rbee breaker open gpu:1 --reason hot
    assert_equal "$(gpu_breakers)" "gpu:$A closed
gpu:$B forced_open"
    model b <<<'reply one'
    run -75 rbee worker start b --device "gpu:$B"
    assert_output --partial "the circuit of gpu:$B was opened by a person: hot"
    # It is so in the store, by that name.
    stop_rbeed
    assert_equal "$(db "SELECT key FROM breakers WHERE key LIKE 'gpu:%'")" "gpu:$B"
}

@test "what an older rbeed has stored by a number is found by the address" {
    two_gpus
    start_rbeed
    stop_rbeed
    db "INSERT INTO breakers (key, state, cause, opened_by, opened_ms, until_ms, until_wall_ms, open_time_ms,
            trip_count, window_from_ms, flap_from_ms, probe_is_running, last_words, reason, boot_id, updated_ms)
        VALUES ('gpu:1', 'forced_open', 'person', 'person', 1, 0, 0, 0, 0, 0, 0, 0, '', 'smoke', '', 1)"
    start_rbeed
    model a <<<'reply one'
    model b <<<'reply one'
    ask a '"device":"gpu:0"' | grep -q DONE
    assert_equal "$(gpu_breakers | sort)" "gpu:$A closed
gpu:$B forced_open"
    run ask b "\"device\":\"gpu:$B\""
    assert_output --partial "the circuit of gpu:$B was opened by a person: smoke"
    stop_rbeed
    assert_equal "$(db "SELECT key || ' ' || state || ' ' || reason FROM breakers WHERE key LIKE 'gpu:%'")" \
        "gpu:$B forced_open smoke"
}

# ---- refusals ----

@test "a GPU that is not there is a fault of the configuration, and those that are there are named" {
    two_gpus
    start_rbeed
    model a <<<'reply one'
    run -78 --separate-stderr rbee worker start a --device gpu:7
    assert_regex "$stderr" "there is no GPU gpu:7; gpu:0 is $A, Fake GPU 0; gpu:1 is $B, Fake GPU 1"
    assert_says a '.state == "failed" and .last_fault == "config"'
    assert_equal "$(start_count a)" 0
    run -0 rbee worker start a --device gpu:1 --wait
}

@test "what one request wants fails that request alone" {
    two_gpus
    start_rbeed
    model a <<<'reply one'
    run -78 --separate-stderr rbee infer -m a --device gpu:7 hello
    assert_regex "$stderr" 'there is no GPU gpu:7'
    assert_says a '.state == "down" and .last_fault == null'
    ask a | grep -q DONE
    assert_equal "$(started_on a)" ''
}

@test "a GPU that cannot be used is refused with the worker's reason, or the CPU takes its place" {
    devices <<END
device $A '{"usable":false,"reason":"/dev/kfd may not be used: sudo usermod -aG render,video \$USER"}'
END
    start_rbeed
    model a <<<'reply one'
    run -78 --separate-stderr rbee worker start a --device gpu:0
    assert_regex "$stderr" "gpu:$A \(Fake GPU 0\) cannot run models: kfd may not be used: sudo usermod"
    run -78 --separate-stderr rbee worker start a --device gpu
    assert_regex "$stderr" 'usermod'
    run -0 rbee worker start a --device gpu:0 --kv-type q8_0 --allow-cpu --wait
    refute_regex "$(tail -n 1 <(grep '"what": "start"' "$T/m/a.log"))" kv-type # the CPU has f16 alone
    run -0 rbee worker start a --device gpu:0 --kv-type q8_0 --allow-cpu --wait # the same again
    ask a '"device":"gpu:0","kv_type":"q8_0","allow_cpu":true' | grep -q DONE
    assert_equal "$(started_on a)" cpu
    api GET /metrics >"$T/metrics"
    assert_equal "$("$TESTS_DIR/metrics_check.py" rbee_hive_workers state=ready backend=cpu device=cpu <"$T/metrics")" 1
    run rbee gpu ls
    assert_line --index 1 --regexp '^gpu:0 +Fake GPU 0 +unreadable .* no +- +closed$'
    run rbee gpu show gpu:0
    assert_line --partial 'unusable_reason: /dev/kfd may not be used'
    # Who has got the permission need not wait.
    devices <<<"device $A"
    run -0 rbee worker stop a --wait
    run -0 rbee worker start a --device gpu:0 --wait
    assert_equal "$(started_on a)" "gpu:$A"
    assert_equal "$(rbee gpu show gpu:0 --json | jq -c '[.usable, .unusable_reason, .workers, .memory_total_bytes]')" \
        '[true,null,["a"],8589934592]'
}

@test "a machine without a GPU says why there is none" {
    devices <<<'devices_reason "no driver: neither libamdhip64.so nor libcuda.so.1 was found"'
    start_rbeed
    model a <<<'reply one'
    run -78 --separate-stderr rbee worker start a --device gpu:0
    assert_regex "$stderr" 'there is no GPU gpu:0; there is none: no driver: neither libamdhip64.so'
    run -78 --separate-stderr rbee worker start a --device gpu
    assert_regex "$stderr" 'no driver: neither'
}

# ---- GPUs that come, and come back ----

@test "a worker whose GPU is being reset waits for it, longer each time" {
    two_gpus
    start_rbeed
    model a <<<'@1 exit 13 gpu_fault "page fault"'
    want_up a "{\"device\":\"gpu:GPU-fake-$B\"}"
    wait_says a '.state == "waiting" and .waits_for == "back_off"'
    # It is there without being usable; then not at all, and another has its number.
    devices <<END
device $A
device $B '{"usable":false,"reason":"it is being reset"}'
END
    until_retry a
    wait_says a '.state == "waiting" and .waits_for == "gpu_list" and .next_retry_ms > 0'
    run -71 --separate-stderr rbee infer -m a hello
    assert_regex "$stderr" "gpu:$B .*cannot run models: it is being reset"
    devices <<<"device $A"
    until_retry a
    wait_says a '.state == "waiting" and .waits_for == "gpu_list" and .next_retry_ms > 10000'
    run -71 --separate-stderr rbee infer -m a hello
    assert_regex "$stderr" "there is no GPU gpu:GPU-fake-$B"
    assert_equal "$(start_count a)" 1
    two_gpus
    until_retry a
    wait_says a '.state == "ready"'
    assert_equal "$(started_on a)" "gpu:$B"
}

@test "what is started at boot before the driver is up waits for it; a person is told" {
    two_gpus
    start_rbeed
    model a <<<'reply one'
    want_up a '{"device":"gpu:1"}'
    wait_says a '.state == "ready"'
    stop_rbeed
    devices <<<'devices_reason "no driver"'
    start_rbeed
    wait_says a '.state == "waiting" and .waits_for == "gpu_list" and .next_retry_ms > 0'
    model b <<<'reply one'
    run -78 --separate-stderr rbee worker start b --device gpu:1
    assert_regex "$stderr" 'no driver'
    two_gpus
    until_retry a
    wait_says a '.state == "ready"'
    assert_equal "$(started_on a)" "gpu:$B"
}

# ---- answers that are none ----

# What is said of a worker that is wanted on a GPU of which nothing can be known.
assert_unknown() { # MESSAGE
    model a <<<'reply one'
    run -71 --separate-stderr rbee worker start a --device gpu:0
    assert_regex "$stderr" "which GPUs there are is not known: $1"
    assert_says a '.state == "waiting" and .waits_for == "gpu_list" and .next_retry_ms > 0'
    run -71 --separate-stderr rbee infer -m a hello
    assert_regex "$stderr" "$1"
    run rbee why a
    assert_output --partial 'which GPUs there are'
    assert_equal "$(start_count a)" 0
}

@test "garbage for an answer is an error that says so, and the next answer counts" {
    devices <<<"devices_text '{ \"devices\": ['"
    start_rbeed
    assert_unknown 'rbee-worker --devices gave no record'
    two_gpus
    until_retry a
    wait_says a '.state == "ready"'
    assert_equal "$(started_on a)" "gpu:$A"
}

@test "fields that are none of theirs are refused, and nothing of the answer is believed" {
    local text
    start_rbeed
    while read -r text; do
        devices <<<"devices_text '$text'"
        model a <<<'reply one'
        run -71 --separate-stderr rbee worker start a --device gpu:0
        assert_regex "$stderr" 'which GPUs there are is not known: rbee-worker --devices'
        rbee worker stop a
    done <<'END'
[]
{}
{"devices":{}}
{"devices":[1]}
{"devices":[{"pci":"0000:03:00.0"}]}
{"devices":[{"pci":"../../etc","usable":true}]}
{"devices":[{"pci":"0000:03:00.0","usable":"yes"}]}
{"devices":[{"pci":"0000:03:00.0","usable":true,"memory_bytes":-1}]}
{"devices":[{"pci":"0000:03:00.0","usable":true,"memory_bytes":1e99}]}
{"devices":[{"pci":"0000:03:00.0","usable":true,"name":7}]}
{"devices":[],"reason":3}
END
    assert_equal "$(gpu_breakers)" ''
}

@test "a worker program that fails, or does not know the question, is an error with its words" {
    devices <<<'devices_exit 1 internal "the driver is of another version"'
    start_rbeed
    assert_unknown 'the driver is of another version'
}

@test "a driver that hangs holds its asker alone, which is killed, and nobody is asked meanwhile" {
    devices <<<'devices_hang'
    start_rbeed
    model a <<<'reply one'
    model b <<<'reply one'
    want_up b # no GPU: not held up
    wait_says b '.state == "ready"'
    rbee worker start a --device gpu:0 >"$T/out" 2>&1 &
    local asked=$!
    wait_until is_asked 1
    assert_says a '.state == "waiting" and .waits_for == "gpu_list" and .next_retry_ms == null'
    ask_later 1 a
    clock_advance 31000
    assert_ends "$asked" 71
    assert_regex "$(cat "$T/out")" 'which GPUs there are is not known: asking rbee-worker --devices took more than 30 s'
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"code":"DEVICE_UNAVAILABLE"'
    wait_until has_nobody_asking
    two_gpus
    until_retry a
    wait_says a '.state == "ready"'
}

@test "the more cards are known, the longer their drivers may take" {
    two_gpus
    start_rbeed
    model a <<<'@1 exit 13 gpu_fault "page fault"'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.state == "waiting" and .waits_for == "back_off"'
    devices <<<'devices_hang'
    until_retry a
    wait_until is_asked 2
    clock_advance 49000
    assert_says a '.state == "waiting" and .waits_for == "gpu_list" and .next_retry_ms == null'
    clock_advance 2000
    wait_says a '.state == "waiting" and .waits_for == "gpu_list" and .next_retry_ms > 0'
    run -71 --separate-stderr rbee infer -m a hello
    assert_regex "$stderr" 'took more than 50 s'
}

is_asked() { # COUNT
    [ "$(look_count)" = "$1" ]
}

has_nobody_asking() {
    local pid
    for pid in $(test_processes rbee-worker); do
        ! grep -qz -- '^--devices$' "/proc/$pid/cmdline" || return 1
    done
}

@test "a request that waits for the answer is served when it has come" {
    two_gpus
    echo "devices_gate $T/go" >>"$T/bin/devices"
    start_rbeed
    model a <<<'reply one'
    ask_later 1 a '"device":"gpu:1"'
    wait_says a '.state == "waiting" and .waits_for == "gpu_list" and .queued == 1'
    touch "$T/go"
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"type":"end"'
    assert_equal "$(started_on a)" "gpu:$B"
}

@test "after a fault of its GPU the next start asks first" {
    two_gpus
    start_rbeed
    model a <<<'@1 exit 13 gpu_fault "page fault"'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.state == "waiting" and .waits_for == "back_off"'
    assert_equal "$(look_count)" 1
    until_retry a
    wait_says a '.state == "ready"'
    assert_equal "$(look_count)" 2
}

@test "rbee gpu ls shows what a start has asked for, and does not ask again" {
    two_gpus
    start_rbeed
    model a <<<'reply one'
    ask a '"device":"gpu:1"' | grep -q DONE
    run rbee gpu ls --json
    assert_equal "$(jq -c '.gpus[] | [.id, .pci_address, .name, .state, .usable, .workers]' <<<"$output")" \
        "[\"gpu:0\",\"$A\",\"Fake GPU 0\",\"unreadable\",true,[]]
[\"gpu:1\",\"$B\",\"Fake GPU 1\",\"unreadable\",true,[\"a\"]]"
    assert_equal "$(look_count)" 1
}

# ---- room ----

@test "two models that do not fit together on a GPU evict the one that is idle there" {
    two_gpus
    start_rbeed
    sized a 60 <<<'reply one'
    sized b 60 <<<'reply one'
    sized c 60 <<<'reply one'
    ask a '"device":"gpu:0"' | grep -q DONE
    ask c '"device":"gpu:1"' | grep -q DONE
    ask b "\"device\":\"gpu:$A\"" | grep -q DONE
    assert_says a '.state == "down"'
    assert_says b '.state == "ready"'
    assert_says c '.state == "ready"'
    run rbee why a
    assert_output --regexp 'room +evicted for b: exit 0: '
}

@test "what is too big for a GPU is told with both numbers, and what was taken before counts" {
    devices <<END
device $A '{"memory_bytes":$((100 * MB)),"free_bytes":$((70 * MB))}'
END
    start_rbeed
    sized a 80 <<<'reply one'
    run ask a '"device":"gpu:0"'
    assert_output --partial '"code":"NO_ROOM"'
    assert_output --partial "worker a needs 76.3 MiB of memory, and gpu:$A has 66.8 MiB left of 66.8 MiB"
}

@test "gpu is the one with room, most free memory first; then the one where somebody is idle" {
    two_gpus
    start_rbeed
    local name
    for name in a b c d; do
        sized "$name" 80 <<<'reply one'
        ask "$name" '"device":"gpu"' | grep -q DONE
    done
    assert_equal "$(started_on a) $(started_on b) $(started_on c)" "gpu:$B gpu:$B gpu:$A"
    # None has room any more. The one that has more left takes it.
    assert_says d '.state == "ready"'
    assert_equal "$(started_on d)" "gpu:$B"
    assert_says a '.state == "down"'
    assert_says c '.state == "ready"'
}

@test "gpu leaves out those that cannot be used, and those whose circuit is open" {
    devices <<END
device $A '{"memory_bytes":$((100 * MB)),"free_bytes":$((100 * MB))}'
device $B '{"memory_bytes":$((300 * MB)),"free_bytes":$((300 * MB)),"usable":false,"reason":"too old"}'
device 0000:d3:00.0 '{"memory_bytes":$((200 * MB)),"free_bytes":$((200 * MB))}'
END
    start_rbeed
    model a <<<'reply one'
    model b <<<'reply one'
    model c <<<'reply one'
    ask a '"device":"gpu"' | grep -q DONE
    assert_equal "$(started_on a)" gpu:0000:d3:00.0
    rbee breaker open gpu:2
    ask b '"device":"gpu"' | grep -q DONE
    assert_equal "$(started_on b)" "gpu:$A"
    rbee breaker open gpu:0
    run ask c '"device":"gpu"'
    assert_output --partial '"code":"CIRCUIT_OPEN"'
    # Either of the two will do.
    rbee breaker reset gpu:2
    ask c '"device":"gpu"' | grep -q DONE
    assert_equal "$(started_on c)" gpu:0000:d3:00.0
}

@test "who waits for room on any GPU takes the first that has some" {
    two_gpus
    start_rbeed
    sized a 80 <<<'reply one'
    sized b 140 <<<'reply one'
    sized c 90 <<<'reply one'
    want_up a '{"device":"gpu:0"}'
    want_up b '{"device":"gpu:1"}'
    wait_says a '.state == "ready"'
    wait_says b '.state == "ready"'
    want_up c '{"device":"gpu"}'
    # There is more left on the other one.
    wait_says c '.state == "waiting" and .waits_for == "room"'
    run rbee why c
    assert_output --partial "gpu:$B has"
    api POST /v1/workers/a/stop >/dev/null
    wait_says c '.state == "ready"'
    assert_equal "$(started_on c)" "gpu:$A"
}

# ---- drill ----

@test "a drill of a GPU fault is one: its class, its device's count, and two open the circuit" {
    two_gpus
    recovery_config <<<'restart { base = 1s }'
    start_rbeed
    model a <<<'reply one'
    want_up a '{"device":"gpu:0"}'
    wait_says a '.state == "ready"'
    run -0 rbee drill gpu-fault a --yes
    wait_says a '.state == "waiting" and .last_fault == "gpu_fault"'
    assert_equal "$(api GET /v1/breakers/gpu:0 | jq -r '"\(.name) \(.state) \(.failures)"')" "gpu:$A closed 1"
    run rbee why a
    assert_output --partial 'the GPU reported a fault'
    assert_output --partial "gpu:$A"
    until_retry a
    wait_says a '.state == "ready"'
    run -0 rbee drill gpu-fault a --yes
    wait_says a '.state == "waiting" and .last_fault == "gpu_fault"'
    until_retry a
    wait_says a '.state == "open" and .waits_for == "device"'
    run rbee why a
    assert_output --partial "the circuit of gpu:$A is open"
    run -1 rbee status
    assert_output --partial "gpu:$A"
    assert_equal "$(gpu_breakers)" "gpu:$A open
gpu:$B closed"
}

@test "the metrics call a GPU by its address, whatever a worker's options call it" {
    two_gpus
    start_rbeed
    model a <<<'reply one'
    want_up a '{"device":"gpu:1"}'
    wait_says a '.state == "ready"'
    api GET /metrics >"$T/metrics"
    assert_equal "$("$TESTS_DIR/metrics_check.py" rbee_hive_workers state=ready backend=gpu "device=gpu:$B" <"$T/metrics")" 1
    run grep -c 'device="gpu:1"' "$T/metrics"
    assert_output 0
}
