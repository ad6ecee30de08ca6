#!/usr/bin/env bash
# Whether `promtool check metrics` has anything to say of what rbeed prints, after a crash loop and a few
# requests, so that no metric is without samples. Usage: promtool.sh PROMTOOL BIN-FOLDER
set -euo pipefail

promtool=$1 bin=$2
world=$(mktemp -d /tmp/rpt.XXXXXX)
export HOME=$world XDG_CONFIG_HOME=$world/config XDG_STATE_HOME=$world/state XDG_RUNTIME_DIR=$world/run
mkdir -p "$world/config/rbee"
mkdir -m 700 "$world/run"
finish() {
    "$bin/rbee" down -q --drain 0ms >/dev/null 2>&1 || true # it may not run
    rm -rf "$world"
}
trap finish EXIT
cat >"$world/config/rbee/rbee.conf" <<'END'
restart { base = 0 }
worker brief { command = "sh -c 'exit 3' {port}" }
END
chmod 600 "$world/config/rbee/rbee.conf"

"$bin/rbee" up -q
"$bin/rbee" infer -m brief hi >/dev/null 2>&1 || true # it fails, and counts
"$bin/rbee" metrics >"$world/metrics"
said=$("$promtool" check metrics <"$world/metrics" 2>&1) || { echo "$said"; exit 1; }
[ -z "$said" ] || { echo "$said"; exit 1; }
echo "promtool: $(grep -c '^# TYPE' "$world/metrics") metrics, nothing to say of them"
