#!/usr/bin/env bash
# What the dashboard costs beside htop and btop: time to its first whole frame, processor time at its
# usual rate, bytes to the terminal. The supervisor has 8 workers and 64 requests that run. Usage:
# bench_top.sh BIN-FOLDER TESTS-FOLDER
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
rounds=5 seconds=10
command -v htop >/dev/null && command -v btop >/dev/null || exit 77
world=$(mktemp -d /tmp/rbt.XXXXXX)
export XDG_STATE_HOME=$world/state XDG_RUNTIME_DIR=$world/run XDG_CONFIG_HOME=$world/config
export XDG_DATA_HOME=$world/data LANG=C.UTF-8
mkdir -m 700 "$XDG_RUNTIME_DIR"
mkdir -p "$world/bin" "$world/config"
cp "$1"/{rbee,rbeed,rbee-watch} "$world/bin/"
cp "$here/fake/fake_worker.py" "$world/bin/rbee-worker"
cp "$here"/fake/fake_{script,tell}.py "$world/bin/"
rbee=$world/bin/rbee
finish() {
    "$rbee" down -q --drain 0ms >/dev/null 2>&1 || true # it may not run
    rm -rf "$world"
}
trap finish EXIT

"$rbee" up -q
for i in {1..8}; do
    printf 'until gate\ntoken_ms 500\nslots 8\n' >"$world/model$i.gguf"
    "$rbee" model add "$world/model$i.gguf" -q >/dev/null
    "$rbee" worker start "model$i" --wait
    for _ in {1..8}; do
        "$rbee" infer -m "model$i" -n 1000000 --no-stdin hello >/dev/null 2>&1 &
    done
done

measure() { # MARKER COMMAND...
    for _ in $(seq "$rounds"); do
        "$here/top_terminal.py" cost "$seconds" "$@"
    done | python3 -c '
import json, statistics, sys
rows = [json.loads(line) for line in sys.stdin]
middle = lambda name: statistics.median(row[name] for row in rows)
print("%-12s first frame %6.1f ms   CPU %6.3f %%   %6d bytes/s" % (sys.argv[1], middle(
    "first_frame_ms"), middle("cpu_percent"), middle("bytes_per_s")))' "$(basename "$2") ${*:3}"
}

echo "80x24, 8 workers, 64 requests; medians of $rounds times $seconds s; bounds: 50 ms, 1 %"
measure 'LAST EVENTS|BREAKER(.|\n)*quit' "$rbee" top
measure 'Mem(.|\n)*Quit' htop
measure 'cpu(.|\n)*proc' btop
