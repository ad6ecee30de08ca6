#!/usr/bin/env bash
# Prints a sample rbee.conf made from common/config_keys.def: every key with its default, as a
# comment. packaging/rbee.conf is what it printed last; tests/sample_config.bats keeps it current.
set -euo pipefail
cd "$(dirname "$0")/.."

cat <<'TXT'
# rbee.conf: every key with its default. The user's file ($XDG_CONFIG_HOME/rbee/rbee.conf) goes before
# the system's (/etc/rbee/rbee.conf), a flag before both. `rbee config check` says what is
# wrong with yours, `rbee config show` what is in force and where it comes from.
#
# Durations: 500ms 30s 5m 1h. Sizes: 4096 64KiB 4MiB. `off` turns a limit off where that is allowed.
TXT
# Columns: KEY(section, key, TYPE, "default", min, max, "summary"); WORKER_KEY has no section.
sed -nE 's/^KEY\( *([a-z_]+), *([a-z_]+), *([A-Z]+), *"([^"]*)",.*, *"(.*)"\)$/\1\t\2\t\3\t\4\t\5/p
         s/^WORKER_KEY\( *([a-z_]+), *([A-Z]+), *"([^"]*)",.*, *"(.*)"\)$/worker big\t\1\t\2\t\3\t\4/p' \
    common/config_keys.def | awk -F'\t' '
    $1 != section { if (section != "") print "# }"; section = $1; print "\n# " section " {" }
    {
        if ($3 == "CHOICE") { $5 = $5 " (" $4 ")"; sub(/\|.*/, "", $4) }
        value = $3 ~ /^(TEXT|PATH|MODEL|COMMAND|ENDPOINT|TARGET|DEVICE|ADDRESS|HOSTS|ORIGINS)$/ ? "\"" $4 "\"" : $4
        printf "#     # %s\n#     %s = %s\n", $5, $2, value
    }
    END { print "# }" }'
