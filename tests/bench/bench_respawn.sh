#!/usr/bin/env bash
# How soon a process that was killed runs again: from the KILL to the first instruction of the next
# one, under rbeed, s6 and supervisord, in turns, each with the shortest wait it can be told.
# Usage: bench_respawn.sh BIN-FOLDER TESTS-FOLDER; RBEE_BENCH_ROUNDS [100]
#
# The child is tests/tools/newborn.c. rbeed keeps each failure and each attempt in its database
# before it forks; the others remember nothing.
set -euo pipefail

bin=$1 tests=$2
rounds=${RBEE_BENCH_ROUNDS:-100}
# s6 waits until its child has been ready for a second before it starts another, and supervisord
# takes an earlier end for a failed start.
GROWN_UP_S=1.2
PATIENCE_S=30

if ! command -v s6-supervise >/dev/null || ! command -v supervisord >/dev/null; then
    echo "it needs s6 and supervisord: make bench T=respawn installs them"
    exit 77
fi
world=$(mktemp -d /tmp/rbr.XXXXXX)
declare -A parent=() child=() fifo=()
finish() {
    kill "${parent[@]}" 2>/dev/null || true # those that run
    wait
    rm -rf "$world"
}
trap finish EXIT

# ---- the three ----

start_rbeed() {
    mkdir -m 700 "$world/run"
    cat >"$world/rbee.conf" <<END
supervisor { worker_program = "$tests/newborn" }
restart { base = 0ms
 max_attempts = off
 storm_starts = off }
breaker { failures = off
 flap_failures = off }
worker newborn { model = "$world/rbeed/newborn"
 autostart = true }
END
    chmod 600 "$world/rbee.conf"
    touch "$world/rbeed/newborn"
    XDG_STATE_HOME=$world/rbeed XDG_RUNTIME_DIR=$world/run \
        "$bin/rbeed" --config "$world/rbee.conf" 2>"$world/rbeed.log" &
}

start_s6() {
    cp "$tests/newborn" "$world/s6/run" # without a shell between
    # A service that has been ready for a second is started again at once, any other a second later.
    echo 3 >"$world/s6/notification-fd"
    s6-supervise "$world/s6" 2>"$world/s6.log" &
}

start_supervisord() {
    cat >"$world/supervisord.conf" <<END
[supervisord]
nodaemon=true
logfile=$world/supervisord.log
pidfile=$world/supervisord.pid
[program:newborn]
command=$tests/newborn --model $world/supervisord/newborn
autorestart=true
END
    supervisord -c "$world/supervisord.conf" >"$world/supervisord.out" 2>&1 &
}

# ---- measuring ----

# The next child of NAME has begun to run: its pid to $child, when to $born_us.
await_birth() { # NAME
    local pid
    if ! read -r -t "$PATIENCE_S" pid born_us <&"${fifo[$1]}"; then
        echo "$1 started nothing in $PATIENCE_S s: $(tail -n 3 "$world/$1.log")" >&2
        exit 1
    fi
    child[$1]=$pid
}

measure() { # NAME
    local killed_us=${EPOCHREALTIME/[.,]/}
    kill -KILL "${child[$1]}"
    await_birth "$1"
    echo $((born_us - killed_us)) >>"$world/$1.us"
}

report() { # NAME
    sort -n "$world/$1.us" | awk -v name="$1" '{ us[NR] = $1 } END {
        middle = NR % 2 ? us[(NR + 1) / 2] : (us[NR / 2] + us[NR / 2 + 1]) / 2
        printf "%-12s %8.2f ms  (median of %d; best %.2f, worst %.2f)\n",
            name, middle / 1000, NR, us[1] / 1000, us[NR] / 1000 }'
}

names=(rbeed s6 supervisord)
for name in "${names[@]}"; do
    mkdir -p "$world/$name"
    mkfifo "$world/$name/newborn.born"
    exec {fd}<>"$world/$name/newborn.born"
    fifo[$name]=$fd
    "start_$name"
    parent[$name]=$!
    await_birth "$name"
done
for ((round = 0; round < rounds; round++)); do
    sleep "$GROWN_UP_S"
    for name in "${names[@]}"; do
        measure "$name"
    done
done
for name in "${names[@]}"; do
    report "$name"
done
