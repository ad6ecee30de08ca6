# What the black-box suites share: a world of their own for each test (folders, programs, supervisor),
# waiting for events, models, and the proof that nothing is left behind. A suite begins with
#
#   load helpers
#   setup() { rbee_setup; }
#   teardown() { rbee_teardown; }
#
# $T is the test's folder. $T/bin holds the programs and is first in PATH; a process belongs to this
# test when its program lies there, or its command line names something there (scripts), whatever
# its environment or parent has become.

bats_load_library bats-support
bats_load_library bats-assert
bats_load_library bats-file

TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TREE_DIR=$(dirname "$TESTS_DIR")
RBEE_BUILD=${RBEE_BUILD:-$TREE_DIR/build/plain}
RBEE_HOOKS_BUILD=${RBEE_HOOKS_BUILD:-$TREE_DIR/build/hooks}

# The build under test is slowed down by a sanitizer.
is_sanitized() {
    [[ ${RBEE_BUILD##*/} == *address* || ${RBEE_BUILD##*/} == *thread* ]]
}

# How long an event may take before its test fails; generous, because other suites share the
# machine, and nobody waits that long when all is well. The first token of the demo model takes more
# than a minute under TSan on a busy one. For what the suites start as well.
WAIT_LIMIT_S=60
! is_sanitized || WAIT_LIMIT_S=600
export WAIT_LIMIT_S

# ---- a world for one test ----

rbee_setup() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/t.XXXXXX")
    mkdir -m 700 "$T"/{bin,home,config,state,data,run}
    export HOME=$T/home XDG_CONFIG_HOME=$T/config XDG_STATE_HOME=$T/state
    export XDG_DATA_HOME=$T/data XDG_RUNTIME_DIR=$T/run TERM=xterm
    unset RBEE_MODEL RBEE_API_TOKEN LLORCH_API_TOKEN NO_COLOR
    use_program "$RBEE_BUILD/bin/rbee"
    use_program "$RBEE_BUILD/bin/rbeed"
    use_program "$RBEE_BUILD/bin/rbee-worker"
    use_program "$RBEE_BUILD/bin/rbee-watch"
    use_program "$RBEE_BUILD/bin/rbee-gpu"
    use_program "$RBEE_BUILD/bin/rbee-fetch"
    PATH=$T/bin:$PATH
    SOCKET=$T/run/rbee/rbee.sock
    # shellcheck disable=SC2034 # for the suites
    STATE=$T/state/rbee
    cd "$T" || return
}

# Ends what the test started, first politely; fails when something needed to be killed.
rbee_teardown() {
    local pid stubborn
    for pid in $(test_processes); do
        kill -CONT "$pid" 2>/dev/null || true # a stopped process would not see the TERM
        kill -TERM "$pid" 2>/dev/null || true
    done
    wait_until has_no_process || stubborn=$(describe_processes)
    for pid in $(test_processes); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    cd / && rm -rf "$T"
    [ -z "${stubborn:-}" ] || fail "did not end at SIGTERM: $stubborn"
}

# Puts a program into $T/bin: a link where that is allowed, else a copy.
use_program() {
    ln "$1" "$T/bin/" 2>/dev/null || cp "$1" "$T/bin/"
}

# A program of tests/tools, ready to run by its name.
use_tool() {
    [ -x "$T/bin/$1" ] || use_program "$RBEE_BUILD/tests/$1"
}

write_config() { # TEXT on stdin
    mkdir -p "$XDG_CONFIG_HOME/rbee"
    cat >"$XDG_CONFIG_HOME/rbee/rbee.conf"
    chmod 600 "$XDG_CONFIG_HOME/rbee/rbee.conf"
}

# ---- processes ----

# Pids of this test's programs; with NAME, of that program alone.
test_processes() {
    [ -n "${T:-}" ] || return 0 # without a folder of its own a test has started none: these are others'
    {
        find /proc -mindepth 2 -maxdepth 2 -name exe -lname "$T/bin/${1:-*}" 2>/dev/null
        grep -lzs "^$T/bin/${1:-}" /proc/[0-9]*/cmdline
    } | cut -d/ -f3 | sort -nu
}

describe_processes() {
    local pid
    for pid in $(test_processes); do
        echo "$pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null);"
    done
}

has_no_process() { # [NAME]
    [ -z "$(test_processes "$@")" ]
}

# Nothing of this test runs any more, or will in a moment.
assert_no_process() { # [NAME]
    wait_until has_no_process "$@" || fail "still running: $(describe_processes)"
}

# Nothing lies below FOLDER.
assert_no_file() {
    local found
    found=$(find "$1" -mindepth 1 2>/dev/null)
    [ -z "$found" ] || fail "left behind: $found"
}

# ---- waiting for events ----

# Waits for the end of a child. (`run wait` asks in a subshell, whose child it is not.)
assert_ends() { # PID STATUS
    local status=0
    wait "$1" || status=$?
    assert_equal "$status" "$2"
}

# Tries COMMAND until it succeeds; fails after WAIT_LIMIT_S. Looks 50 times a second.
wait_until() {
    local end=$((SECONDS + WAIT_LIMIT_S))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.02
    done
}

# Waits until FILE has a line that matches the extended regular expression.
wait_for_line() {
    wait_until grep -qsE -- "$2" "$1" || fail "no line '$2' in $1: $(cat "$1" 2>&1)"
}

# Somebody at a terminal does the steps on stdin (pty_drive.py); what was on the screen is $output.
at_terminal() { # COMMAND...
    run python3 "$TESTS_DIR/pty_drive.py" "$@"
}

# ---- the supervisor ----

# Starts rbeed in the background and returns once it accepts requests; $RBEED_PID is its process,
# $T/rbeed.log its log. Fails with what it said when it does not come up.
start_rbeed() { # [OPTION...]
    local said
    mkfifo "$T/ready"
    "$T/bin/rbeed" --ready-fd 9 "$@" 9>"$T/ready" >"$T/rbeed.log" 2>&1 3>&- </dev/null &
    RBEED_PID=$!
    IFS= read -r -t "$WAIT_LIMIT_S" said <"$T/ready" || said="nothing"
    rm -f "$T/ready"
    [ "$said" = ready ] || fail "rbeed said '$said': $(cat "$T/rbeed.log")"
}

# TERM, then waits for its end; the exit status is rbeed's.
stop_rbeed() {
    kill -TERM "$RBEED_PID"
    wait "$RBEED_PID"
}

# ---- a clock to move ----

# From here on rbeed is the one whose clock this test moves; before start_rbeed.
use_test_hooks() {
    [ -x "$RBEE_HOOKS_BUILD/bin/rbeed" ] ||
        skip "no $RBEE_HOOKS_BUILD/bin/rbeed, whose clock can be moved: make test builds it"
    rm -f "$T/bin/rbeed"
    use_program "$RBEE_HOOKS_BUILD/bin/rbeed"
    mkfifo "$T/clock" "$T/clock.answers"
    # For reading and writing: opening waits for nobody, and a supervisor that ends ends neither.
    exec {RBEE_TEST_CLOCK_FD}<>"$T/clock" {RBEE_TEST_CLOCK_REPLY_FD}<>"$T/clock.answers"
    export RBEE_TEST_CLOCK_FD RBEE_TEST_CLOCK_REPLY_FD
}

# Monotonic time is MS later; what was due by then has happened, all of it at the new time: who wants
# to see one thing after the other takes several steps. Workers keep their own time.
clock_advance() { # MS
    tell_clock "advance $1"
}

# Wall time jumps, back with a negative MS.
clock_jump_wall() { # MS
    tell_clock "wall $1"
}

tell_clock() {
    local answer
    echo "$1" >&"$RBEE_TEST_CLOCK_FD"
    IFS= read -r -t "$WAIT_LIMIT_S" answer <&"$RBEE_TEST_CLOCK_REPLY_FD" || answer="nothing"
    [[ $answer == "ok "* ]] || fail "the clock said '$answer' to '$1'"
}

# ---- requests without the command line ----

# curl to the supervisor's socket: api METHOD PATH [CURL-OPTION...]; prints the body.
api() {
    local method=$1 path=$2
    shift 2
    curl -sS --unix-socket "$SOCKET" -X "$method" "http://rbee$path" "$@"
}

# The same, printing the status alone.
api_status() {
    api "$@" -o /dev/null -w '%{http_code}'
}

# ---- models ----

# Writes a small valid model made of random weights to FILE: tiny_model FILE [OPTION of make_gguf...]
tiny_model() {
    use_tool make_gguf
    make_gguf "$@"
}

# $DEMO_MODEL is the demo model's file; without it the test is skipped, and says why.
demo_model() {
    DEMO_MODEL=${RBEE_DEMO_MODEL:-$TREE_DIR/.cache/models/smollm2-135m-instruct.gguf}
    [ -r "$DEMO_MODEL" ] ||
        skip "the demo model is not here: no package registry was in reach when make test looked"
}

# The demo model under its name, known to a supervisor that runs.
with_demo_model() {
    demo_model
    rbee model add "$DEMO_MODEL" --name smollm2-135m-instruct
}
