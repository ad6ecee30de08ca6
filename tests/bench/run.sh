#!/usr/bin/env bash
# Runs the benches, one after the other, on a machine that should be doing nothing else. Called by
# `make bench`. Usage: run.sh BUILD-FOLDER [NAME...]; NAME as in bench_NAME.c or bench_NAME.sh
#
# Each bench gets BIN-FOLDER TESTS-FOLDER and, when the demo model is here, its name and its file; a
# supervisor of this run knows it. A bench prints what it measured beside its yardstick.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$PWD/$1
shift
for name in "$@"; do
    [ -e "tests/bench/bench_$name.c" ] || [ -e "tests/bench/bench_$name.sh" ] ||
        { echo "bench: there is no bench $name; see tests/bench/" >&2; exit 2; }
done
world=$(mktemp -d /tmp/rb.XXXXXX)
export HOME=$world XDG_CONFIG_HOME=$world XDG_STATE_HOME=$world/state XDG_DATA_HOME=$world/data
export XDG_RUNTIME_DIR=$world/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
finish() {
    "$build/bin/rbee" down -q --drain 0ms >/dev/null 2>&1 || true # it may not run
    rm -rf "$world"
}
trap finish EXIT

model=()
if file=$(scripts/demo_model.sh); then
    "$build/bin/rbee" model add "$file" --name smollm2-135m-instruct -q >/dev/null
    model=(smollm2-135m-instruct "$file")
fi

echo "machine: $(uname -m), $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
# Programs that compete for the cores show in every figure: a load of 1 is not a quiet machine.
echo "load: $(cut -d' ' -f1 /proc/loadavg)"
echo "commit: $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
for bench in "$build"/tests/bench_* tests/bench/bench_*.sh; do
    name=${bench##*/bench_}
    name=${name%.sh}
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    printf '\n%s\n' "$name"
    rc=0
    "$bench" "$build/bin" "$build/tests" "${model[@]}" | sed 's/^/  /' || rc=${PIPESTATUS[0]}
    case $rc in
    0) ;;
    77) echo "  skipped: what it needs is not here (the demo model, from a package registry, unless it says otherwise)" ;;
    *) echo "  FAILED ($rc)"; exit 1 ;;
    esac
done
