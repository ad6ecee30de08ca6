# What the suites of a worker share beside helpers.bash: $worker, a worker's program, started as the
# supervisor starts it, and its client.

load helpers

bats_require_minimum_version 1.5.0 # run --separate-stderr

TOKEN=0123456789abcdef0123456789abcdef

# Starts a worker as the supervisor does and waits until it is ready.
start_worker() { # MODEL [OPTION...]
    launch_worker "$@"
    client wait_ready
}

# shellcheck disable=SC2154 # $worker is the suite's
launch_worker() { # MODEL [OPTION...]
    local model=$1
    shift
    "$TESTS_DIR/launch_worker.py" "$T/w.sock" "$TOKEN" "$worker" --name tiny --model "$model" \
        --instance w-test "$@" >"$T/worker.out" 2>"$T/worker.err" 3>&- </dev/null &
    WORKER_PID=$!
    wait_until test -S "$T/w.sock"
}

client() { # SCENARIO [ARGUMENT...]
    python3 "$TESTS_DIR/worker_client.py" "$T/w.sock" "$TOKEN" "$@"
}

# Waits for the worker's end and compares its exit status.
assert_worker_exit() { # STATUS
    local ended=0
    wait "$WORKER_PID" || ended=$?
    assert_equal "$ended" "$1"
}

# The worker that knows the emulator.
use_gpu_worker() {
    worker=$RBEE_HOOKS_BUILD/bin/rbee-worker
    [ -x "$worker" ] || skip "no $worker, which knows emulated GPUs: make test builds it"
}

use_emulator() { # WAVE
    export RBEE_GPU_LIBRARY=$RBEE_BUILD/tests/libgpu-emulator-$1.so
}

# shellcheck disable=SC2154 # they are of run
assert_fault() { # EXIT-CODE CLASS REASON
    assert_equal "$status" "$1"
    assert_regex "${stderr_lines[-1]}" "^fatal class=$2 reason=.*$3"
}
