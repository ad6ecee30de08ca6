#!/usr/bin/env bats
# Graphics cards as rbee tells of them, on cards that this suite makes up: folders like those of /sys and
# /proc, and a library like NVIDIA's. The clock of rbeed is the suite's, so that nobody waits for what
# hangs.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own, and means to be
# shellcheck disable=SC2154 # stderr is set by run --separate-stderr

load supervisor_helpers
load gpu_tree

A=0000:03:00.0
B=0000:c3:00.0

setup() {
    fake_setup
    use_test_hooks
    GPU_ROOT=$T/gpus
    gpu_tree_init
}
teardown() { rbee_teardown; }

# What is told of one GPU: gpu_says NAME JQ-CONDITION
gpu_says() {
    api GET "/v1/gpus/$1" | jq -e "$2" >/dev/null
}

wait_gpu_says() {
    wait_until gpu_says "$@" || fail "$1 is $(api GET "/v1/gpus/$1"), not $2"
}

# A round that begins now has been told. Somebody has asked, so the next one is due within a second.
next_round() {
    api GET /v1/gpus >/dev/null
    clock_advance 5000 # by then processes are looked for as well
    wait_until was_read_just_now
}

was_read_just_now() {
    api GET /v1/gpus | jq -e 'all(.gpus[]; .state == "unreadable" or .age_ms < 900)' >/dev/null
}

# What would answer nobody who reads it.
hang_file() { # FOLDER NAME
    rm -f "$1/$2"
    mkfifo "$1/$2"
}

# The same, and this test has it open, so that opening it goes well and wait_for_reading sees it.
hang_in() { # FOLDER NAME
    hang_file "$1" "$2"
    # shellcheck disable=SC2034 # it is to be open, and nothing else
    exec {HANGS_FD}<>"$1/$2"
}

# A reader is in the read of that file.
wait_for_reading() { # FOLDER NAME
    wait_until is_being_read "$1/$2"
}

is_being_read() { # FILE
    local pid
    for pid in $(test_processes rbee-gpu); do
        [ -z "$(find "/proc/$pid/fd" -lname "$1" 2>/dev/null)" ] || return 0
    done
    return 1
}

has_no_gpu() {
    [ "$(api GET /v1/gpus)" = '{"gpus":[]}' ]
}

has_one_reader() {
    [ "$(test_processes rbee-gpu | wc -l)" = 1 ]
}

is_left_alone() { # FILE
    ! is_being_read "$1"
}

# ---- none ----

@test "a machine without a GPU says so, has an empty list, and no process is left running" {
    start_rbeed
    run --separate-stderr rbee gpu ls
    assert_success
    assert_output --regexp '^ID +NAME'
    assert_equal "${#lines[@]}" 1
    assert_equal "$stderr" 'rbee: this machine has no GPU whose driver is loaded (amdgpu, nvidia)'
    run --separate-stderr rbee gpu ls --json -q
    assert_output '{"gpus":[]}'
    assert_equal "$stderr" ''
    run --separate-stderr rbee gpu show gpu:0
    assert_failure 67
    assert_equal "$stderr" 'rbee: there is no GPU gpu:0; rbee gpu ls has all there are'
    run --separate-stderr rbee gpu show gpu:0 --json
    assert_failure 67
    assert_equal "$(jq -r .error.code <<<"$output")" GPU_NOT_FOUND
    run rbee gpu show radeon
    assert_failure 67
    assert_equal "$(api_status GET /v1/gpus/gpu:0/history)" 404
    has_no_process rbee-gpu
}

@test "a driver that is loaded later is found, and a card that goes is gone, with the process" {
    mkdir -p "$GPU_ROOT/sys/module/amdgpu" # a driver without a card
    start_rbeed
    assert_equal "$(api GET /v1/gpus)" '{"gpus":[]}'
    assert_no_process rbee-gpu
    amd_card 0 "$A"
    clock_advance 600000
    wait_until gpu_says gpu:0 '.state == "active"'
    has_one_reader
    rm -rf "$GPU_ROOT"/sys/class/drm/card0*
    clock_advance 15000
    wait_until has_no_gpu
    assert_no_process rbee-gpu
}

# ---- two cards of AMD's ----

@test "everything that a card tells is in its record, with the units in the names" {
    amd_card 0 "$A"
    start_rbeed
    run jq -S 'del(.age_ms)' <(rbee gpu show gpu:0 --json)
    assert_output "$(jq -S . <<'END'
{"id":"gpu:0","name":"Radeon Made Up 0","vendor":"amd","state":"active","pci_address":"0000:03:00.0",
 "busy_percent":37,"memory_used_bytes":4294967296,"memory_total_bytes":25769803776,
 "gtt_used_bytes":67108864,"gtt_total_bytes":17179869184,"foreign_memory_bytes":null,
 "temperature_celsius":54.0,"junction_celsius":71.5,"power_watts":123.456,"power_limit_watts":315.0,
 "core_clock_mhz":2304,"memory_clock_mhz":1249,"fan_rpm":1234,"fan_percent":40,
 "pcie_link":"16.0 GT/s x16","breaker":"closed","processes":null,
 "architecture":"gfx1100","usable":true,"unusable_reason":null,"workers":[]}
END
)"
    run rbee gpu ls
    assert_line --index 1 --regexp '^gpu:0 +Radeon Made Up 0 +active +37.0 +4.0 GiB +24.0 GiB +- +54.0 +123.5 +yes +- +closed$'
    run rbee gpu show gpu:0
    assert_line 'temperature_celsius: 54.0'
    assert_line 'processes: -'
}

@test "cards are numbered by their PCI address, and found by it" {
    amd_card 0 "$B"
    amd_card 1 "$A"
    start_rbeed
    assert_equal "$(rbee gpu ls --json | jq -r '.gpus[] | "\(.id) \(.pci_address) \(.name)"')" \
        "gpu:0 $A Radeon Made Up 1
gpu:1 $B Radeon Made Up 0"
    assert_equal "$(rbee gpu show "gpu:$B" --json | jq -r .id)" gpu:1
    assert_equal "$(api GET "/v1/gpus/$A" | jq -r .id)" gpu:0
    assert_equal "$(api_status GET /v1/gpus/gpu:2)" 404
    assert_equal "$(api_status GET /v1/gpus/gpu:)" 404
}

@test "of a card that sleeps nothing is read, and nothing told that is not known" {
    amd_card 0 "$A"
    amd_card 1 "$B"
    echo suspended >"$(gpu_folder "$B")/power/runtime_status"
    # Whoever read another of its files would not come back.
    local file
    for file in $(cd "$(gpu_folder "$B")" && find . -type f ! -name runtime_status); do
        hang_file "$(gpu_folder "$B")" "$file"
    done
    start_rbeed
    wait_gpu_says gpu:1 '.state == "asleep" and .vendor == "amd"'
    run jq -c '[.[] | select(. != null)] | length' <(api GET /v1/gpus/gpu:1)
    assert_output 7 # id, vendor, state, pci_address, breaker, age_ms, workers: none
    gpu_says gpu:0 '.state == "active"'
    next_round
    gpu_says gpu:1 '.state == "asleep"'
}

@test "a card that falls asleep keeps its name, and has no figures any more" {
    amd_card 0 "$A"
    start_rbeed
    wait_gpu_says gpu:0 '.state == "active"'
    echo suspended >"$(gpu_folder "$A")/power/runtime_status"
    next_round
    gpu_says gpu:0 '.state == "asleep" and .name == "Radeon Made Up 0" and .busy_percent == null and .power_watts == null'
}

@test "what is missing or nonsense is null, and the rest is told" {
    amd_card 0 "$A"
    local folder sensors
    folder=$(gpu_folder "$A")
    sensors=$folder/hwmon/hwmon0
    rm -r "$folder"/{pp_dpm_mclk,current_link_speed,mem_info_gtt_used,product_name} "$sensors"/fan1_input
    echo 101 >"$folder/gpu_busy_percent"
    echo 99999999999999999999 >"$folder/mem_info_vram_used"
    echo banana >"$folder/mem_info_gtt_total"
    echo 5 >"$sensors/power1_average.new"
    rm "$sensors/power1_average"
    mkdir "$sensors/power1_average"
    echo -n >"$sensors/power1_cap"
    echo -300000 >"$sensors/temp1_input"
    head -c 100000 /dev/urandom >"$sensors/temp2_input"
    echo '1: Mhz *' >"$folder/pp_dpm_sclk"
    echo 'not a number' >"$sensors/freq1_input"
    start_rbeed
    wait_gpu_says gpu:0 '.state == "active" and .memory_total_bytes == 25769803776 and .fan_percent == 40'
    gpu_says gpu:0 '.name == "AMD GPU 0x744c"'
    gpu_says gpu:0 '[.busy_percent, .memory_used_bytes, .gtt_used_bytes, .gtt_total_bytes, .power_watts,
        .power_limit_watts, .temperature_celsius, .junction_celsius, .core_clock_mhz, .memory_clock_mhz,
        .fan_rpm, .pcie_link] | all(. == null)'
}

@test "a card whose driver tells nothing at all is unreadable, and is told" {
    amd_card 0 "$A"
    rm -r "$(gpu_folder "$A")"/{gpu_busy_percent,mem_info*,pp_dpm*,hwmon}
    start_rbeed
    wait_gpu_says gpu:0 '.state == "unreadable"'
}

@test "a card has its name from the table of libdrm when the board has none" {
    amd_card 0 "$A"
    rm "$(gpu_folder "$A")/product_name"
    mkdir -p "$GPU_ROOT/usr/share/libdrm"
    printf '# List\n\n1.0.0\n744C,\tC0,\tAnother\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n' \
        >"$GPU_ROOT/usr/share/libdrm/amdgpu.ids"
    start_rbeed
    wait_gpu_says gpu:0 '.name == "AMD Radeon RX 7900 XTX"'
}

# ---- what hangs ----

@test "a read that hangs hangs nobody: rbeed answers, the other card is read, the card is unreadable" {
    amd_card 0 "$A"
    amd_card 1 "$B"
    local folder
    folder=$(gpu_folder "$A")
    hang_in "$folder" gpu_busy_percent
    start_rbeed
    # The first answer waits for the first round, and comes when it is over.
    api GET /v1/gpus >"$T/first" 3>&- &
    local first=$!
    wait_for_reading "$folder" gpu_busy_percent
    assert_equal "$(api_status GET /health)" 200
    assert_equal "$(api_status GET /v1/gpus -H 'X-Timeout-Ms: 100')" 504
    clock_advance 10000
    wait "$first"
    assert_equal "$(jq -r '.gpus[] | "\(.pci_address) \(.state)"' "$T/first")" "$A unreadable
$B active"
    assert_equal "$(api_status GET /health)" 200
    wait_for_line "$T/rbeed.log" 'gpu_unreadable step=0000:03:00.0 again_ms=30000'
    # It is left out, and the others go on.
    echo 5 >"$(gpu_folder "$B")/gpu_busy_percent"
    next_round
    gpu_says gpu:1 '.busy_percent == 5'
    gpu_says gpu:0 '.state == "unreadable" and .vendor == "amd" and .busy_percent == null'
    wait_until has_one_reader
    # Mended, it is back when its time is over.
    rm "$(gpu_folder "$A")/gpu_busy_percent"
    echo 44 >"$(gpu_folder "$A")/gpu_busy_percent"
    clock_advance 30000
    wait_gpu_says gpu:0 '.state == "active" and .busy_percent == 44'
}

@test "each time that a card hangs it is left out for twice as long" {
    amd_card 0 "$A"
    local folder
    folder=$(gpu_folder "$A")
    hang_in "$folder" mem_info_vram_used
    start_rbeed
    wait_for_reading "$folder" mem_info_vram_used
    clock_advance 10000
    wait_for_line "$T/rbeed.log" 'again_ms=30000'
    wait_until is_left_alone "$folder/mem_info_vram_used"
    wait_gpu_says gpu:0 '.state == "unreadable"'
    clock_advance 30000
    wait_for_reading "$folder" mem_info_vram_used
    clock_advance 10000
    wait_for_line "$T/rbeed.log" 'again_ms=60000'
    assert_equal "$(api_status GET /health)" 200
}

@test "the walk through processes may hang as well, and only whose memory it is is unknown then" {
    amd_card 0 "$A"
    gpu_client "$A" 1 100 | gpu_process 77 77 game
    hang_in "$GPU_ROOT/proc/77/fdinfo" 7
    start_rbeed
    wait_for_reading "$GPU_ROOT/proc/77/fdinfo" 7
    clock_advance 10000
    wait_gpu_says gpu:0 '.state == "active" and .busy_percent == 37 and .processes == null and .foreign_memory_bytes == null'
}

@test "a reader that is killed or stopped is replaced" {
    amd_card 0 "$A"
    start_rbeed
    wait_gpu_says gpu:0 '.state == "active"'
    local pid
    pid=$(test_processes rbee-gpu)
    kill -KILL "$pid"
    wait_gpu_says gpu:0 '.state == "unreadable"'
    clock_advance 1000
    wait_gpu_says gpu:0 '.state == "active"'
    pid=$(test_processes rbee-gpu)
    kill -STOP "$pid"
    clock_advance 1000
    clock_advance 10000
    wait_until is_gone "$pid"
    clock_advance 1000
    wait_gpu_says gpu:0 '.state == "active"'
    assert_equal "$(api_status GET /health)" 200
}

@test "without its reader rbeed runs all the same, and says that GPUs are not read" {
    amd_card 0 "$A"
    rm "$T/bin/rbee-gpu"
    start_rbeed
    assert_equal "$(api GET /v1/gpus)" '{"gpus":[]}'
    api GET /v1/status | jq -e '.state == "ok" and any(.warnings[]; test("^GPUs are not read: .*rbee-gpu"))'
}

# ---- whose memory it is ----

@test "processes are told with their worker, and what is nobody's of ours is foreign" {
    amd_card 0 "$A"
    echo $((3 << 30)) >"$(gpu_folder "$A")/mem_info_vram_used"
    start_rbeed
    model a <<<'reply one'
    api POST /v1/workers/a/start -d '{"device":"gpu:0"}' >/dev/null
    wait_for_worker a ready
    # Ready, and the driver shows nothing of it: then nobody knows what is foreign.
    gpu_client "$A" 9 1024 | gpu_process 2000000000 2000000000 $'game \e]0;owned\a'
    next_round
    gpu_says gpu:0 '.foreign_memory_bytes == null and (.processes | length) == 1'
    local pid
    pid=$(worker_field a pid)
    gpu_client "$A" 1 512 | gpu_process "$pid" "$pid" rbee-worker
    # The same opening in a child is the same memory; another one of it is more.
    gpu_client "$A" 1 512 | gpu_process 2000000100 "$pid" child
    gpu_client "$A" 2 256 | gpu_process 2000000101 "$pid" helper
    # Of another card, and of none.
    gpu_client "$B" 5 64 | gpu_process 2000000102 2000000102 other
    next_round
    run jq -c '.processes[] | [.pid, .memory_bytes, .worker]' <(api GET /v1/gpus/gpu:0)
    assert_output "$(cat <<END
[$pid,536870912,"a"]
[2000000000,1073741824,null]
[2000000101,268435456,"a"]
END
)"
    gpu_says gpu:0 ".foreign_memory_bytes == $(((3 << 30) - (768 << 20)))"
    # A name is foreign text, and drives no terminal.
    rbee gpu show gpu:0 >"$T/screen"
    run grep -c $'\e' "$T/screen"
    assert_output 0
    run cat "$T/screen"
    assert_line --regexp '^ *2000000000 +1.0 GiB +- +game \?\]0;owned\?$'
    assert_line --regexp "^ *$pid +512.0 MiB +a +rbee-worker$"
}

@test "a GPU's record has the state of its circuit breaker, by whatever name a worker calls it" {
    amd_card 0 "$A"
    start_rbeed
    model a <<<'reply one'
    api POST /v1/workers/a/start -d "{\"device\":\"gpu:$A\"}" >/dev/null
    wait_for_worker a ready
    rbee breaker open "gpu:$A" --reason hot
    gpu_says gpu:0 '.breaker == "forced_open"'
    rbee breaker reset "gpu:$A"
    gpu_says gpu:0 '.breaker == "closed"'
}

# A canary is due 30 s after the last work, and then at doubling intervals.
@test "no canary wakes a card that sleeps" {
    CANARY=30s fake_config </dev/null
    amd_card 0 "$A"
    start_rbeed
    model a <<<'reply one'
    api POST /v1/workers/a/start -d '{"device":"gpu:0"}' >/dev/null
    ask a | grep -q DONE
    echo suspended >"$(gpu_folder "$A")/power/runtime_status"
    next_round
    gpu_says gpu:0 '.state == "asleep"'
    clock_advance 40000
    clock_advance 70000
    assert_equal "$(done_count a inference)" 1
    echo active >"$(gpu_folder "$A")/power/runtime_status"
    next_round
    clock_advance 600000
    wait_until has_canary
}

has_canary() {
    grep -q 'canary name=a ' "$T/rbeed.log"
}

# ---- room ----

MB=1000000

sized() { # NAME MB
    {
        echo "describe fixed_bytes $(($2 * MB))"
        echo "memory $(($2 * MB))"
        echo 'reply one'
    } | model "$1"
}

vram_used() { # MB
    echo $(($1 * MB)) >"$(gpu_folder "$A")/mem_info_vram_used"
}

@test "a GPU's own memory is its budget: who is idle there is evicted, and comes back is seen" {
    amd_card 0 "$A"
    echo $((100 * MB)) >"$(gpu_folder "$A")/mem_info_vram_total"
    vram_used 0
    start_rbeed
    wait_gpu_says gpu:0 '.state == "active"'
    sized a 60
    sized b 60
    ask a '"device":"gpu:0"' | grep -q DONE
    vram_used 60
    next_round
    ask_later 1 b '"device":"gpu:0"'
    wait_for_worker a down
    # Its process is gone, its memory is not yet.
    worker_has b state waiting
    vram_used 0
    wait "$ASKED"
    assert_regex "$(cat "$T/out.1")" '"type":"end"'
}

@test "what others hold on a GPU is taken, and both numbers are told" {
    amd_card 0 "$A"
    echo $((100 * MB)) >"$(gpu_folder "$A")/mem_info_vram_total"
    vram_used 70
    start_rbeed
    wait_gpu_says gpu:0 '.state == "active"'
    sized a 60
    run ask a '"device":"gpu:0"'
    assert_output --partial '"code":"NO_ROOM"'
    assert_output --partial 'needs 57.2 MiB of memory, and gpu:'"$A"' has 28.6 MiB left of 95.4 MiB'
    assert_equal "$(start_count a)" 0
    vram_used 10
    next_round
    ask a '"device":"gpu:0"' | grep -q DONE
}

# ---- the past, and metrics ----

@test "an hour is kept in steps of five seconds, the oldest first, null where nothing is known" {
    amd_card 0 "$A"
    start_rbeed
    wait_gpu_says gpu:0 '.state == "active"'
    local busy
    for busy in 10 20 30; do
        echo "$busy" >"$(gpu_folder "$A")/gpu_busy_percent"
        clock_advance 5000
        next_round
    done
    echo suspended >"$(gpu_folder "$A")/power/runtime_status"
    clock_advance 5000
    next_round
    run jq -c '[.busy_percent[] | . // "none"] | unique' <(api GET /v1/gpus/gpu:0/history)
    assert_output '[10,20,30,37,"none"]'
    run jq -c '[.step_ms, .busy_percent[-1], .power_watts[0], .memory_used_bytes[0], .temperature_celsius[0] == 54]' \
        <(api GET /v1/gpus/gpu:0/history)
    assert_output '[5000,null,123.456,4294967296,true]'
    run jq -c '[.busy_percent, .memory_used_bytes, .temperature_celsius, .power_watts] | map(length) | unique | length' \
        <(api GET /v1/gpus/gpu:0/history)
    assert_output 1
    # Two hours later nothing of that is left.
    clock_advance 7200000
    run jq -c '.busy_percent | length <= 720 and all(. == null)' <(api GET /v1/gpus/gpu:0/history)
    assert_output true
}

@test "metrics have what is known of each GPU, and no series for what is not" {
    amd_card 0 "$A"
    amd_card 1 "$B"
    echo suspended >"$(gpu_folder "$B")/power/runtime_status"
    start_rbeed
    wait_gpu_says gpu:0 '.state == "active"'
    api GET /metrics >"$T/metrics"
    local name value
    while read -r name value; do
        assert_equal "$name $("$TESTS_DIR/metrics_check.py" "rbee_hive_gpu_$name" device=gpu:0 "pci_address=$A" <"$T/metrics")" \
            "$name $value"
    done <<'END'
busy_ratio 0.37
memory_used_bytes 4.29497e+09
memory_total_bytes 2.57698e+10
temperature_celsius 54
power_watts 123.456
END
    run grep -c "rbee_hive_gpu_.*$B" "$T/metrics"
    assert_output 0
    assert_equal "$(grep -c '^# TYPE rbee_hive_gpu_' "$T/metrics")" 6
}

# ---- NVIDIA's ----

N=0000:81:00.0

nvidia_card() { # PCI
    mkdir -p "$GPU_ROOT/sys/module/nvidia" "$GPU_ROOT/sys/bus/pci/drivers/nvidia" "$(gpu_folder "$1")"
    ln -s "../../../../devices/$1" "$GPU_ROOT/sys/bus/pci/drivers/nvidia/$1"
    touch "$GPU_ROOT/sys/bus/pci/drivers/nvidia/new_id"
    put "$(gpu_folder "$1")" power/runtime_status active
    put "$(gpu_folder "$1")" power/control "${CONTROL:-on}"
    put "$(gpu_folder "$1")" current_link_speed '32.0 GT/s PCIe'
    put "$(gpu_folder "$1")" current_link_width 16
    cp "$RBEE_BUILD/tests/libnvidia-ml.so.1" "$GPU_ROOT/"
}

nvml() { # PCI, lines "KEY VALUE" on stdin
    sed "s/^/$1 /" >>"$GPU_ROOT/nvml.script"
}

@test "a card of NVIDIA's is read through the driver's library, beside one of AMD's" {
    amd_card 0 "$A"
    nvidia_card "$N"
    gpu_client "$A" 1 10 | gpu_process 500 500 python3
    nvml "$N" <<END
name NVIDIA H100 80GB HBM3
uuid GPU-2c5f9b7e-10a4-d3c8
busy 91
used $((20 << 30))
total $((80 << 30))
celsius 64
milliwatts 512000
limit 700000
core 1980
memory 2619
fan 30
process 500 $((16 << 30))
process 501
END
    start_rbeed
    wait_gpu_says gpu:1 '.state == "active"'
    run jq -S 'del(.age_ms)' <(rbee gpu show gpu:GPU-2c5f9b7e-10a4-d3c8 --json)
    assert_output "$(jq -S . <<'END'
{"id":"gpu:1","name":"NVIDIA H100 80GB HBM3","vendor":"nvidia","state":"active","pci_address":"0000:81:00.0",
 "busy_percent":91,"memory_used_bytes":21474836480,"memory_total_bytes":85899345920,
 "gtt_used_bytes":null,"gtt_total_bytes":null,"foreign_memory_bytes":21474836480,
 "temperature_celsius":64.0,"junction_celsius":null,"power_watts":512.0,"power_limit_watts":700.0,
 "core_clock_mhz":1980,"memory_clock_mhz":2619,"fan_rpm":null,"fan_percent":30,
 "pcie_link":"32.0 GT/s x16","breaker":"closed",
 "architecture":null,"usable":false,"unusable_reason":"rbee-worker does not see it","workers":[],
 "processes":[{"pid":500,"memory_bytes":17179869184,"worker":null,"command":"python3"},
              {"pid":501,"memory_bytes":null,"worker":null,"command":null}]}
END
)"
    gpu_says gpu:0 '.vendor == "amd" and (.processes | length) == 1'
    # Its session is kept: it holds no card that would fall asleep.
    next_round
    assert_equal "$(grep -c '^init' "$GPU_ROOT/nvml.log") $(grep -c '^shutdown' "$GPU_ROOT/nvml.log")" '1 0'
}

@test "a card of NVIDIA's that sleeps is not asked, and one that may fall asleep is let go" {
    CONTROL=auto nvidia_card "$N"
    nvidia_card 0000:82:00.0
    nvml "$N" <<<$'name Mobile\nbusy 0'
    nvml 0000:82:00.0 <<<$'name Asleep\nbusy 1'
    echo suspended >"$(gpu_folder 0000:82:00.0)/power/runtime_status"
    start_rbeed
    wait_gpu_says gpu:0 '.name == "Mobile"'
    gpu_says gpu:1 '.state == "asleep" and .name == null'
    next_round
    run sort -u "$GPU_ROOT/nvml.log"
    assert_output "find $N
init 
shutdown "
}

@test "a library that crashes takes only its own card with it" {
    amd_card 0 "$A"
    nvidia_card "$N"
    nvml "$N" <<<$'name Broken\nfind crash'
    start_rbeed
    wait_gpu_says gpu:1 '.state == "unreadable" and .vendor == "nvidia"'
    wait_gpu_says gpu:0 '.state == "active"'
    next_round
    gpu_says gpu:0 '.busy_percent == 37'
    assert_equal "$(grep -c '^find' "$GPU_ROOT/nvml.log")" 1
}

@test "a machine whose library is not there has the card, unreadable" {
    nvidia_card "$N"
    rm "$GPU_ROOT/libnvidia-ml.so.1"
    start_rbeed
    wait_gpu_says gpu:0 '.state == "unreadable"'
}
