#!/usr/bin/env bats
# rbee doctor: each thing that can be wrong is found and comes with what mends it. What the kernel
# shows is made up below a folder (--root).

# shellcheck disable=SC2154,SC2016 # $output and $stderr are of run; what is quoted is for a shell of the user

load cli_helpers

setup() {
    [ ! -S /run/rbee/rbee.sock ] || skip "a supervisor of the system runs on this machine"
    rbee_setup
    ROOT=$T/root
    mkdir -p "$ROOT"/{dev/dri,proc,sys/module,sys/bus/pci/devices,etc,var/lib/systemd/linger,run}
    healthy
}
teardown() { rbee_teardown; }

# A machine without a GPU, with a usual processor and memory.
healthy() {
    printf 'processor\t: 0\nflags\t\t: fpu avx avx2 fma f16c\n' >"$ROOT/proc/cpuinfo"
    printf 'MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n' >"$ROOT/proc/meminfo"
    : >"$ROOT/proc/modules"
}

# A card of VENDOR on the bus.
card() { # VENDOR [CLASS]
    mkdir -p "$ROOT/sys/bus/pci/devices/0000:03:00.0"
    echo "$1" >"$ROOT/sys/bus/pci/devices/0000:03:00.0/vendor"
    echo "${2:-0x030000}" >"$ROOT/sys/bus/pci/devices/0000:03:00.0/class"
}

# A worker program that tells of the devices in $T/bin/devices, not of those of this machine.
fake_worker() { # on stdin
    rm -f "$T/bin/rbee-worker"
    cp "$TESTS_DIR/fake/fake_worker.py" "$T/bin/rbee-worker"
    cp "$TESTS_DIR"/fake/fake_{script,tell}.py "$T/bin/"
    cat >"$T/bin/devices"
}

# The doctor's report is $output, its state STATE, its exit status as that.
doctor_says() { # STATE
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_equal "$(jq -r .state <<<"$output")" "$1"
    assert_equal "$status" "$([ "$1" = problem ] && echo 1 || echo 0)"
}

# CHECK has a finding of LEVEL (a regular expression) whose message matches, and whose fix is FIX.
assert_finding() { # CHECK LEVEL MESSAGE [FIX]
    local found
    found=$(jq -c --arg check "$1" --arg level "^($2)\$" --arg message "$3" \
        '.checks[] | select(.check == $check and (.level | test($level)) and (.message | test($message)))' \
        <<<"$output")
    [ -n "$found" ] || fail "no finding $1 $2 '$3' in $output"
    [ $# -lt 4 ] || assert_equal "$(jq -r '.fix' <<<"$found" | head -n 1)" "$4"
}

@test "a healthy machine: every check of the table has a finding, exit 0, and nothing is made" {
    # Where the test's own folder lies on an overlay or tmpfs, that is a warning.
    run -0 --separate-stderr rbee doctor --root "$ROOT" --json
    local name
    while read -r name; do
        assert_finding "$name" 'ok|warning' ''
    done < <(sed -n 's/^CHECK("\([^"]*\)".*/\1/p' "$TREE_DIR/cli/doctor_checks.def")
    assert_equal "$(jq '[.checks[] | select(.level == "problem")] | length' <<<"$output")" 0
    assert_not_exists "$STATE"
    assert_no_process
    run -0 --separate-stderr rbee doctor --root "$ROOT"
    assert_line --regexp '^ok      cpu         the processor has AVX2$'
    assert_equal "$stderr" ""
}

@test "an AMD card: driver, nodes and groups, each with its fix" {
    fake_worker <<<'device 0000:03:00.0'
    card 0x1002
    doctor_says problem
    assert_finding gpu-amd problem 'amdgpu, is not loaded' 'sudo modprobe amdgpu'
    echo 'amdgpu 123 0 - Live 0x0' >"$ROOT/proc/modules"
    touch "$ROOT/dev/dri/renderD128"
    doctor_says problem
    assert_finding gpu-amd problem 'there is no /dev/kfd' 'sudo modprobe -r amdgpu; sudo modprobe amdgpu'
    touch "$ROOT/dev/kfd"
    chmod 000 "$ROOT/dev/kfd" "$ROOT/dev/dri/renderD128"
    doctor_says problem
    assert_finding gpu-amd problem '^/dev/kfd may not be used' \
        'sudo usermod -aG render,video $USER # then log in again'
    assert_finding gpu-amd problem '^/dev/dri/renderD128 may not be used'
    chmod 600 "$ROOT/dev/kfd" "$ROOT/dev/dri/renderD128"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding gpu-amd ok '^1 GPU of AMD, and this user may use it'
    # A sound card of the same maker is none.
    rm -r "$ROOT/dev/kfd"
    card 0x1002 0x040300
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding gpu-amd ok 'there is no GPU of AMD'
}

@test "an NVIDIA card likewise, and the library that tells its figures" {
    fake_worker <<<'device 0000:03:00.0'
    card 0x10de 0x030200
    doctor_says problem
    assert_finding gpu-nvidia problem 'nvidia, is not loaded' 'sudo modprobe nvidia'
    mkdir "$ROOT/sys/module/nvidia"
    doctor_says problem
    assert_finding gpu-nvidia problem 'there is no /dev/nvidiactl' 'sudo nvidia-modprobe -c 0 -u'
    touch "$ROOT/dev/nvidiactl" "$ROOT/dev/nvidia0"
    printf 'x\0libcuda.so.1\0y' >"$ROOT/etc/ld.so.cache"
    run -0 --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding gpu-nvidia warning 'no libnvidia-ml.so.1: no figures of this GPU' \
        'sudo apt-get install libnvidia-ml1'
    mkdir -p "$ROOT/usr/lib/x86_64-linux-gnu"
    touch "$ROOT/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding gpu-nvidia ok '^1 GPU of NVIDIA'
    rm -r "${ROOT:?}/usr"
    printf 'x\0libnvidia-ml.so.1\0y' >"$ROOT/etc/ld.so.cache"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding gpu-nvidia ok '^1 GPU of NVIDIA'
}

@test "what models can run on is what rbee-worker says, and why not" {
    # Without a card nobody is asked.
    fake_worker <<<'devices_hang'
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding gpu-models ok 'models run on the CPU, there is no GPU'
    card 0x1002
    fake_worker <<'END'
device 0000:03:00.0
device 0000:c3:00.0 '{"usable":false,"name":"Old","reason":"gfx803 is too old"}'
END
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding gpu-models ok '^models can run on gpu:0000:03:00.0 \(Fake GPU 0, gfx1100\)$'
    assert_finding gpu-models warning '^models cannot run on gpu:0000:c3:00.0 \(Old\): gfx803 is too old$'
    fake_worker <<<'devices_reason "no driver was found"'
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding gpu-models warning 'models can run on no GPU: no driver was found'
    # An answer that is none.
    fake_worker <<<'devices_text garbage'
    doctor_says problem
    assert_finding gpu-models problem 'gave no list of devices'
    fake_worker <<<'devices_exit 1 internal broken'
    doctor_says problem
    assert_finding gpu-models problem 'which GPUs models can run on is not known: .* failed'
    rm "$T/bin/rbee-worker"
    doctor_says problem
    assert_finding gpu-models problem 'which GPUs models can run on is not known'
}

@test "processor, memory, limits and clock" {
    printf 'processor\t: 0\nflags\t\t: fpu avx\nbugs\t\t: avx2 fma f16c\n' >"$ROOT/proc/cpuinfo"
    echo 'MemAvailable:    80000 kB' >"$ROOT/proc/meminfo"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding cpu warning 'no AVX2'
    assert_finding memory warning 'only 78.1 MiB'
    printf 'processor\t: 0\nflags\t\t: avx2 fma f16c avx512_vnni\n' >"$ROOT/proc/cpuinfo"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding cpu ok 'AVX2 and AVX-512 VNNI$'
    printf 'processor\t: 0\nflags\t\t: avx2 fma f16c avx512_vnni amx_tile amx_int8\n' >"$ROOT/proc/cpuinfo"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding cpu ok 'AVX2, AVX-512 VNNI and AMX$'
    rm "$ROOT/proc/cpuinfo" "$ROOT/proc/meminfo"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding cpu warning 'not known'
    assert_finding memory warning 'not known'
    run --separate-stderr bash -c "ulimit -n 64; rbee doctor --root '$ROOT' --json"
    assert_finding limits warning 'only 64 files' 'ulimit -n 4096'
    if ! is_sanitized; then # whose runtime wants to be loaded before faketime's library
        run --separate-stderr faketime '2001-01-01' rbee doctor --root "$ROOT" --json
        assert_finding clock problem 'it says 2001-' 'sudo timedatectl set-ntp true'
    fi
    mkdir -m 700 "$STATE"
    touch -d '+3 days' "$STATE/rbee.db"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding clock warning 'written after that'
}

@test "configuration, folders, programs and tokens" {
    write_config <<<'supervisor { listen = "nowhere" }'
    doctor_says problem
    assert_finding config problem 'rbee.conf:1' '${EDITOR:-vi} "$(rbee config path)"'
    write_config <<<''
    mkdir -m 755 "$STATE"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding folders warning 'is open to others \(mode 755\)' "chmod 700 $STATE"
    chmod 500 "$STATE"
    doctor_says problem
    assert_finding folders problem 'cannot be written: Permission denied'
    chmod 700 "$STATE"
    echo 0123456789abcdef0123456789abcdef >"$XDG_CONFIG_HOME/rbee/token"
    chmod 644 "$XDG_CONFIG_HOME/rbee/token"
    doctor_says problem
    assert_finding token problem 'mode'
    refute_regex "$output" 0123456789abcdef
    chmod 600 "$XDG_CONFIG_HOME/rbee/token"
    mv "$T/bin/rbee-worker" "$T/bin/other"
    PATH=$T/bin:/usr/bin:/bin run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_failure 1
    assert_finding programs problem 'rbee-worker cannot be run'
    mv "$T/bin/other" "$T/bin/rbee-worker"
    rm "$T/bin/rbee-fetch" "$T/bin/rbee-gpu"
    PATH=$T/bin:/usr/bin:/bin run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding programs problem 'rbee-fetch cannot be run'
    assert_finding programs problem 'rbee-gpu cannot be run'
    PATH=$T/bin:/usr/bin:/bin run --separate-stderr rbee model pull hf:acme/tiny
    assert_failure 70
    assert_regex "$stderr" 'install rbee anew.*rbee doctor.*rbee-fetch'
}

@test "a file system that is gone after a reboot" {
    [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ -w /dev/shm ] || skip "no tmpfs to write to"
    mkdir "/dev/shm/rbee-doctor.$$"
    XDG_STATE_HOME=/dev/shm/rbee-doctor.$$ run --separate-stderr rbee doctor --root "$ROOT" --json
    rmdir "/dev/shm/rbee-doctor.$$"
    assert_finding disk warning 'on tmpfs: it is gone after a reboot' 'set XDG_STATE_HOME to a folder on a local disk'
}

@test "a supervisor: running, stopped, killed, of another version" {
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding supervisor ok 'no supervisor runs'
    start_rbeed
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding supervisor ok 'a supervisor runs, of this version'
    kill -STOP "$RBEED_PID"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding supervisor problem "process $RBEED_PID, is stopped" "kill -CONT $RBEED_PID"
    # It holds the state, and there is no way to it. While it is stopped: it would make its socket anew.
    mv "$XDG_RUNTIME_DIR/rbee/rbee.sock" away
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding supervisor problem 'a supervisor runs and does not answer'
    mv away "$XDG_RUNTIME_DIR/rbee/rbee.sock"
    kill -CONT "$RBEED_PID"
    kill -KILL "$RBEED_PID"
    wait "$RBEED_PID" || true
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding supervisor warning 'was killed and left its socket' 'rbee up'
    rm "$T/bin/rbeed"
    cp "$TESTS_DIR/fake/fake_supervisor.py" "$T/bin/rbeed"
    export FAKE_SCRIPT=$T/script
    : >"$FAKE_SCRIPT"
    rbee up
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding supervisor warning 'is of version fake' 'rbee down && rbee up'
    cat >"$FAKE_SCRIPT" <<'LINES'
GET /v1/workers/a/why json 200 "{\"command\":\"rbee breaker reset a\"}"
GET /v1/status json 200 "{\"version\":\"fake\",\"workers\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"reasons\":[\"the circuit of a is open (flaps)\",\"worker b is failed\",\"the circuit of gpu:0 is open\",\"the database takes no more rows\"],\"warnings\":[]}"
LINES
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding supervisor warning '^the circuit of a' 'rbee breaker reset a # rbee why a'
    assert_finding supervisor warning '^worker b' 'rbee why b'
    assert_finding supervisor warning '^the circuit of gpu:0' 'rbee breaker show gpu:0'
    assert_finding supervisor warning '^the database' 'rbee status'
}

@test "a port that somebody else has" {
    python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(1)
print(s.getsockname()[1], flush=True); time.sleep(1000)' >port 3>&- &
    local pid=$!
    wait_for_line port '[0-9]'
    write_config <<<"supervisor { listen = \"127.0.0.1:$(cat port)\" }"
    rbee token new -q >/dev/null
    doctor_says problem
    assert_finding port problem 'cannot be listened on: .*in use' \
        "ss -ltnp 'sport = :$(cat port)' # or set supervisor.listen"
    kill "$pid"
    wait "$pid" || true
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding port ok 'is free'
}

@test "a service of this user that ends with the login" {
    mkdir -p "$ROOT/run/systemd/system" "$XDG_CONFIG_HOME/systemd/user/default.target.wants"
    touch "$XDG_CONFIG_HOME/systemd/user/default.target.wants/rbeed.service"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding service warning 'end with the last login' 'loginctl enable-linger "$USER"'
    touch "$ROOT/var/lib/systemd/linger/$(id -un)"
    run --separate-stderr rbee doctor --root "$ROOT" --json
    assert_finding service ok 'without a login'
}
