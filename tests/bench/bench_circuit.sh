#!/usr/bin/env bash
# What a worker that ends at once costs: processor time of rbeed until its circuit is open, at the
# default policy, and how soon a request is refused from then on, beside a command that only asks
# whether all is well. Usage: bench_circuit.sh BIN-FOLDER TESTS-FOLDER
set -euo pipefail

rbee=$1/rbee
rounds=51
world=$(mktemp -d /tmp/rbc.XXXXXX)
export XDG_STATE_HOME=$world/state XDG_RUNTIME_DIR=$world/run XDG_CONFIG_HOME=$world/config
mkdir -m 700 "$XDG_RUNTIME_DIR"
mkdir -p "$world/config/rbee"
cat >"$world/config/rbee/rbee.conf" <<'END'
worker brief { command = "sh -c 'echo no luck >&2; exit 3' {port}" }
END
chmod 600 "$world/config/rbee/rbee.conf"
finish() {
    "$rbee" down -q --drain 0ms >/dev/null 2>&1 || true # it may not run
    rm -rf "$world"
}
trap finish EXIT

# Ticks of processor time of a process, user and system.
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }

now_us() { echo "${EPOCHREALTIME/./}"; }

# Prints the microseconds that a command takes, which has to end with CODE.
took_us() { # CODE COMMAND...
    local code=$1 from rc=0
    shift
    from=$(now_us)
    "$@" </dev/null >/dev/null 2>&1 || rc=$?
    echo "$(($(now_us) - from))"
    [ "$rc" -eq "$code" ] || { echo "$* ended with $rc, not $code" >&2; return 1; }
}

median() { sort -n | sed -n "$((rounds / 2 + 1))p"; }

"$rbee" up -q
pid=$(sed -n "s/^pid=\([0-9]*\).*/\1/p" "$world/state/rbee/rbee.lock")
before=$(ticks "$pid")
us=$(took_us 75 "$rbee" infer -m brief hi)
spent_ms=$((($(ticks "$pid") - before) * 1000 / $(getconf CLK_TCK)))
echo "four starts until the circuit is open: $((us / 1000)) ms, rbeed's processor time $spent_ms ms" \
    "= $((spent_ms * 100000 / us)).$((spent_ms * 1000000 / us % 10)) % of one core (bound 5 %)"
for _ in $(seq "$rounds"); do
    took_us 75 "$rbee" infer -m brief hi >>"$world/refused"
    took_us 1 "$rbee" status >>"$world/status"
done
echo "refused by an open circuit: $(median <"$world/refused") us; rbee status: $(median <"$world/status") us" \
    "(medians of $rounds, start of rbee included; bound 50 ms)"
