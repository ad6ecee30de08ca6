#!/usr/bin/env bash
# Runs every libFuzzer target of a folder for a number of seconds each; a finding is kept as a file
# and fails the run. Usage: run.sh FOLDER SECONDS [NAME...]
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$1 seconds=$2
shift 2
names=("$@")
if [ "${#names[@]}" -eq 0 ]; then
    mapfile -t names < <(for source in tests/fuzz/fuzz_*.c; do basename "$source" .c; done)
fi

failed=0
for name in "${names[@]}"; do
    name=fuzz_${name#fuzz_}
    # What a run discovers stays out of the tree: the committed corpus is chosen by hand.
    found=build/fuzz/corpus/$name findings=build/fuzz/findings/$name
    mkdir -p "$found" "$findings"
    corpus=(tests/fuzz/corpus/"${name#fuzz_}")
    [ -d "${corpus[0]}" ] || corpus=()
    echo "fuzz: $name for $seconds s"
    if ! "$folder/$name" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$findings/" "$found" "${corpus[@]}" >"build/fuzz/$name.log" 2>&1; then
        tail -n 60 "build/fuzz/$name.log"
        echo "fuzz: $name FAILED; the input is in $findings/, the whole log in build/fuzz/$name.log"
        failed=1
    else
        grep -E 'number_of_executed_units|new_units_added' "build/fuzz/$name.log" | sed 's/^/  /'
    fi
done
exit "$failed"
