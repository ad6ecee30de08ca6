# What the suites about restarts, breakers and devices share beside supervisor_helpers.bash. The clock
# is moved where a rule speaks of minutes: what a test waits for is an event, never a time.

load supervisor_helpers

# The configuration at its defaults, but for the sections on stdin and what would come in between when
# the clock is moved: canaries, the limits of a load, idleness.
recovery_config() {
    {
        echo 'life {'
        echo '    canary = off'
        echo '    load_stall = 1h'
        echo '    load_timeout = 1h'
        echo '    term_grace = 500ms'
        echo '}'
        echo 'deadline { default = off }' # clocks are moved by hours while requests wait
        cat
    } | write_config
}

want_up() { # NAME [OPTIONS AS JSON]
    api POST "/v1/workers/$1/start" -d "${2:-{\}}" >/dev/null
}

# Whether the expression of jq holds for the worker's record.
worker_says() { # NAME EXPRESSION
    api GET "/v1/workers/$1" | jq -e "$2" >/dev/null
}

assert_says() { # NAME EXPRESSION
    worker_says "$1" "$2" || fail "not so: $2: $(api GET "/v1/workers/$1")"
}

wait_says() { # NAME EXPRESSION
    wait_until worker_says "$1" "$2" || fail "never so: $2: $(api GET "/v1/workers/$1")"
}

# To the moment at which what the worker waits for is due.
until_retry() { # NAME
    clock_advance "$(api GET "/v1/workers/$1" | jq '(.next_retry_ms // 0) + 1')"
}

# Through its restarts until its breaker is open.
until_open() { # NAME
    wait_says "$1" '.state == "waiting" or .state == "open"'
    while worker_is "$1" waiting; do
        until_retry "$1"
        wait_says "$1" '.state == "waiting" and .next_retry_ms > 0 or .state == "open"'
    done
}

# The transitions of a worker's breaker, or a device's, one a line: from, to, cause, how often it has
# opened, the open time. While nobody has the database open.
breaker_events() { # WORKER-OR-DEVICE
    db "SELECT json_extract(details, '\$.from') || ' ' || json_extract(details, '\$.to') || ' ' ||
            json_extract(details, '\$.cause') || ' ' || json_extract(details, '\$.trips') || ' ' ||
            json_extract(details, '\$.open_time_ms')
        FROM events WHERE kind = 'breaker' AND (worker = '$1' OR
            (worker = '' AND json_extract(details, '\$.device') = '$1')) ORDER BY seq"
}

# What followed OPTION on the command line of the NUMBERth start.
start_argument() { # MODEL NUMBER OPTION
    grep '"what": "start"' "$T/m/$1.log" | sed -n "$2p" |
        jq -r --arg option "$3" '.argv as $a | ($a | index($option)) as $i |
            if $i == null then "" else $a[$i + 1] end'
}

figure() { # TEXT
    echo "# figure: $*" >&3
}

# On which device, or which two, its last process was started.
started_on() { # NAME
    start_argument "$1" '$' --device
}

gpu_breakers() {
    rbee breaker ls --json | jq -r '.breakers[] | select(.kind == "gpu") | "\(.name) \(.state)"'
}

# What the fake's --devices does from now on.
devices() {
    cat >"$T/bin/devices"
}

# Two GPUs, A and B of the suite, of 100 and of 200 MB.
two_gpus() {
    devices <<END
device $A '{"memory_bytes":$((100 * MB)),"free_bytes":$((100 * MB))}'
device $B '{"memory_bytes":$((200 * MB)),"free_bytes":$((200 * MB))}'
END
}
