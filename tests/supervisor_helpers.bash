# What the suites of rbeed share beside helpers.bash: the fake worker in the place of the real one,
# models that are its scripts, and requests.

load helpers

bats_require_minimum_version 1.5.0 # run --separate-stderr

# A world whose rbee-worker is the fake one. The deadlines that no test waits for are long: a busy
# machine starts a Python in seconds.
fake_setup() {
    rbee_setup
    rm -f "$T/bin/rbee-worker"
    cp "$TESTS_DIR/fake/fake_worker.py" "$T/bin/rbee-worker"
    cp "$TESTS_DIR"/fake/fake_{script,tell}.py "$T/bin/"
    mkdir "$T/m"
    fake_config </dev/null
}

fake_config() { # more sections on stdin
    {
        echo 'life {'
        echo "    load_stall = ${LOAD_STALL:-20s}"
        echo '    drain = 20s'
        echo "    term_grace = ${TERM_GRACE:-500ms}"
        echo "    progress_timeout = ${PROGRESS_TIMEOUT:-10m}"
        echo "    canary = ${CANARY:-off}"
        echo '}'
        echo 'restart {'
        echo "    base = ${RESTART_BASE:-100ms}"
        echo "    max_attempts = ${MAX_ATTEMPTS:-3}"
        echo '}'
        # Clocks are moved by hours while requests wait; what a deadline does is told by its own suite.
        [ -z "${DEADLINE_DEFAULT-off}" ] || echo "deadline { default = ${DEADLINE_DEFAULT-off} }"
        cat
    } | write_config
}

# A script for the fake worker: script NAME, directives on stdin. Everything it does is in
# $T/m/NAME.log.
script() {
    {
        echo "journal $1.log"
        cat
    } >"$T/m/$1.gguf"
}

# The same, known to the supervisor as a model.
model() {
    script "$1"
    add_model "$1" >/dev/null
}

add_model() {
    api POST /v1/models -d "{\"path\":\"$T/m/$1.gguf\"}"
}

# Asks: ask MODEL [more fields as JSON] [CURL-OPTION...]. Prints the events, or the reply.
ask() {
    local model=$1 more=${2:-}
    shift "$(($# < 2 ? $# : 2))"
    api POST /v1/inference -N -d "{\"model\":\"$model\",\"prompt\":\"hi\"${more:+,$more}}" "$@"
}

# The same in the background; what comes is in $T/out.N, $ASKED is the pid.
ask_later() { # N MODEL [FIELDS]
    # shellcheck disable=SC2034 # for the suites
    ask "$2" "${3:-}" >"$T/out.$1" 2>&1 3>&- &
    # shellcheck disable=SC2034
    ASKED=$!
}

# The data of the events, one a line.
events() {
    sed -n 's/^data: //p'
}

worker_field() { # NAME FIELD
    api GET "/v1/workers/$1" | jq -r ".$2"
}

worker_is() { # NAME STATE
    [ "$(worker_field "$1" state)" = "$2" ]
}

wait_for_worker() { # NAME STATE
    wait_until worker_is "$1" "$2" || fail "worker $1 is $(worker_field "$1" state), not $2"
}

worker_has() { # NAME FIELD VALUE
    [ "$(worker_field "$1" "$2")" = "$3" ]
}

# How often the fake worker has done WHAT for MODEL.
done_count() { # MODEL WHAT
    grep -cs "\"what\": \"$2\"" "$T/m/$1.log" || true
}

# How often the worker of MODEL has been started.
start_count() { # MODEL
    cat "$T/m/$1.gguf.starts" 2>/dev/null || echo 0
}

wait_for_deed() { # MODEL WHAT
    wait_for_line "$T/m/$1.log" "\"what\": \"$2\""
}

is_gone() { # PID
    [ ! -e "/proc/$1" ] || grep -qs '^State:.*[ZX]' "/proc/$1/status"
}

# Rows of the database, read (or written) while nobody has it open.
db() { # SQL
    python3 - "$STATE/rbee.db" "$1" <<'END'
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1], isolation_level=None).execute(sys.argv[2]):
    print("|".join(str(value) for value in row))
END
}
