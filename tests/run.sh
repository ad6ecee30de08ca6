#!/usr/bin/env bash
# Runs the suites and counts: unit binaries, the corpus of each fuzz target, and the bats suites, as
# many at a time as there are cores. Called by `make test`, which has built everything into $BUILD.
#
#   tests/run.sh [NAME...]     all suites, or those named (infer = tests/infer.bats, err = test_err)
#
# The last line is `N passed, N failed`, with `, N skipped` where some were. What failed is printed
# with its output before that, and each skip with its reason.
#
# Nothing runs in the tree itself: a copy is staged in a short-named folder (a Unix socket's path has
# 107 bytes), owned by the user who runs the suite. Run as root, that is an ordinary user for every
# suite whose file name does not end in _root. A suite that has the line "# run: alone" in it
# measures time and gets the machine for itself.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

build=${BUILD:-build/plain}
hooks=${HOOKS_BUILD:-build/hooks}
jobs=$(nproc)
suite_limit_s=${SUITE_SECONDS:-900} # a suite that hangs fails instead of the whole run
ordinary_uid=$(id -u nobody 2>/dev/null || echo 65534)

stage=$(mktemp -d /tmp/rt.XXXXXX)
tree=$stage/tree
results=$stage/results
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'stop_suites; remove_stage' EXIT

# Whoever is interrupted leaves nothing that runs. A suite is in a group of its own (timeout makes
# it), which neither Ctrl-C nor our end reaches; a suite that has ended has an .rc. What TERM does not
# end, timeout kills; until then it still writes.
stop_suites() {
    local file pid
    local -a pids=()
    for file in "$results"/*.pid; do
        [ ! -e "$file" ] || [ -e "${file%.pid}.rc" ] || pids+=("$(cat "$file")")
    done
    [ "${#pids[@]}" -eq 0 ] || kill -TERM "${pids[@]}" 2>/dev/null
    for pid in "${pids[@]}"; do
        tail --pid="$pid" -f /dev/null
    done
}

# What a suite started may still be writing its last lines.
remove_stage() {
    for _ in {1..100}; do
        rm -rf "$stage" 2>/dev/null && return
    done
}

# ---- the stage ----

prepare_stage() {
    mkdir -p "$tree/$build" "$tree/$hooks" "$stage/tmp" "$stage/home" "$results" "$stage/sanitizer"
    tar -cf - --exclude=./.git --exclude=./build --exclude=./.cache . | tar -xf - -C "$tree" -o
    cp -r "$build/bin" "$build/tests" "$tree/$build/"
    [ ! -d "$hooks/bin" ] || cp -r "$hooks/bin" "$tree/$hooks/"
    if [ -n "${RBEE_DEMO_MODEL:-}" ]; then
        mkdir -p "$tree/.cache/models" # where scripts/demo_model.sh looks
        cp --reflink=auto "$RBEE_DEMO_MODEL" "$tree/.cache/models/"
        RBEE_DEMO_MODEL=$tree/.cache/models/$(basename "$RBEE_DEMO_MODEL")
    fi
    if [ -n "${RBEE_GOLDEN_VOCABULARIES:-}" ]; then
        mkdir -p "$tree/.cache"
        cp -r --reflink=auto "$RBEE_GOLDEN_VOCABULARIES" "$tree/.cache/golden_vocabularies"
        RBEE_GOLDEN_VOCABULARIES=$tree/.cache/golden_vocabularies
    fi
    if [ "$(id -u)" -eq 0 ]; then
        chmod -R u+w,go+rX,go-w "$stage"
        chown -R "$ordinary_uid:$ordinary_uid" "$stage"
        chmod 1777 "$stage/tmp" "$stage/sanitizer"
        chown -R root:root "$results"
    fi
}

# Runs a command as the user of this suite, in the stage, with an environment of its own.
in_stage() {
    local suite=$1
    shift
    local -a as_user=()
    if [ "$(id -u)" -eq 0 ] && [[ $suite != *_root ]]; then
        as_user=(setpriv "--reuid=$ordinary_uid" "--regid=$ordinary_uid" --clear-groups --)
    fi
    local report=log_path=$stage/sanitizer/$suite
    (cd "$tree" && echo "$BASHPID" >"$results/$suite.pid" && exec env -i \
        "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" \
        "HOME=$stage/home" "TMPDIR=$stage/tmp" LANG=C.UTF-8 \
        "RBEE_BUILD=$tree/$build" "RBEE_HOOKS_BUILD=$tree/$hooks" \
        "RBEE_DEMO_MODEL=${RBEE_DEMO_MODEL:-}" \
        "RBEE_GOLDEN_VOCABULARIES=${RBEE_GOLDEN_VOCABULARIES:-}" \
        CMOCKA_MESSAGE_OUTPUT=TAP \
        "ASAN_OPTIONS=$report" "UBSAN_OPTIONS=print_stacktrace=1:$report" \
        "TSAN_OPTIONS=second_deadlock_stack=1:$report" \
        "${as_user[@]}" timeout --kill-after=10 "$suite_limit_s" "$@")
}

# ---- which suites there are ----

# One suite a line: its name and its kind (unit, replay, bats).
list_suites() {
    local file
    for file in tests/unit/test_*.c; do
        [ -e "$file" ] && echo "$(basename "$file" .c) unit"
    done
    for file in tests/fuzz/fuzz_*.c; do
        [ -e "$file" ] && echo "replay_$(basename "$file" .c) replay"
    done
    for file in tests/*.bats; do
        [ -e "$file" ] && echo "$(basename "$file" .bats) bats"
    done
}

is_wanted() {
    local suite=$1 name
    shift
    [ $# -gt 0 ] || return 0
    for name in "$@"; do
        case $suite in
        "$name" | "test_$name" | "replay_$name" | "replay_fuzz_$name") return 0 ;;
        esac
    done
    return 1
}

runs_alone() {
    grep -qx '# run: alone' "tests/$1.bats" 2>/dev/null
}

# ---- running ----

# Leaves NAME.tap and NAME.rc in the results, and says that the suite is done.
run_suite() {
    local suite=$1 kind=$2 rc=0 begin=$EPOCHREALTIME
    local -a inputs=()
    case $kind in
    unit) in_stage "$suite" "$build/tests/$suite" ;;
    replay)
        mapfile -t inputs < <(find "tests/fuzz/corpus/${suite#replay_fuzz_}" -type f 2>/dev/null | sort)
        in_stage "$suite" "$build/tests/$suite" "${inputs[@]}"
        ;;
    bats) in_stage "$suite" bats --formatter tap "tests/$suite.bats" ;;
    esac >"$results/$suite.tap" 2>&1 </dev/null || rc=$?
    echo "$rc" >"$results/$suite.rc"
    # EPOCHREALTIME without its point is microseconds.
    printf '%-28s %6d ms%s\n' "$suite" $(((${EPOCHREALTIME/./} - ${begin/./}) / 1000)) \
        "$([ "$rc" -eq 0 ] || echo '   FAILED')"
}

run_all() {
    local suite kind
    local -a alone=()
    while read -r suite kind; do
        if runs_alone "$suite"; then
            alone+=("$suite $kind")
            continue
        fi
        while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
            wait -n
        done
        run_suite "$suite" "$kind" &
    done
    wait
    for suite in "${alone[@]}"; do
        # shellcheck disable=SC2086 # two words: name and kind
        run_suite $suite
    done
}

# ---- counting ----

passed=0 failed=0 skipped=0

# The block of a failed test in a TAP file: its line and the comment lines that follow.
print_failures() {
    awk '/^not ok/ && !/# [Ss][Kk][Ii][Pp]/ { show = 1; print "  " $0; next }
         /^(ok|not ok|1\.\.)/ { show = 0 }
         show { print "      " $0 }' "$1"
}

fail() {
    failed=$((failed + 1))
    printf '\nFAILED %s\n' "$*"
}

count_suite() {
    local suite=$1 tap=$results/$1.tap rc planned seen bad
    rc=$(cat "$results/$suite.rc" 2>/dev/null || echo none)
    planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$tap" | awk '{ n += $1 } END { print n + 0 }')
    seen=$(grep -cE '^(not )?ok [0-9]+' "$tap")
    skipped=$((skipped + $(grep -cE '^(not )?ok [0-9]+.*# [Ss][Kk][Ii][Pp]' "$tap")))
    passed=$((passed + $(grep -E '^ok [0-9]+' "$tap" | grep -cvE '# [Ss][Kk][Ii][Pp]')))
    bad=$(grep -E '^not ok [0-9]+' "$tap" | grep -cvE '# [Ss][Kk][Ii][Pp]')
    if [ "$bad" -gt 0 ]; then
        failed=$((failed + bad))
        printf '\nFAILED %s\n' "$suite"
        print_failures "$tap"
    fi
    if [ "$seen" -ne "$planned" ] || { [ "$rc" != 0 ] && [ "$bad" -eq 0 ]; }; then
        fail "$suite: ended with $rc after $seen of $planned tests"
        tail -n 40 "$tap" | sed 's/^/  /'
    fi
}

# Processes whose program lies in the stage, whoever started them.
staged_processes() {
    local exe
    for exe in /proc/[0-9]*/exe; do
        [[ $(readlink "$exe" 2>/dev/null) == "$stage"/* ]] && basename "$(dirname "$exe")"
    done
}

check_leftovers() {
    local pid report
    for pid in $(staged_processes); do
        fail "left behind: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
        kill -KILL "$pid" 2>/dev/null
    done
    for report in "$stage"/sanitizer/*; do
        [ -s "$report" ] || continue
        fail "sanitizer report of $(basename "$report")"
        head -n 60 "$report" | sed 's/^/  /'
    done
}

print_skips() {
    [ "$skipped" -gt 0 ] || return 0
    printf '\nSKIPPED:\n'
    grep -HE '^(not )?ok [0-9]+.*# [Ss][Kk][Ii][Pp]' "$results"/*.tap |
        sed -E 's|^.*/([^/]*)\.tap:(not )?ok [0-9]+ |  \1: |'
}

# Lines "# figure: ..." of a suite: what was measured, for people to read.
print_figures() {
    grep -hs '^# figure: ' "$results"/*.tap | sed 's/^# figure: /  /' >"$stage/figures"
    [ ! -s "$stage/figures" ] || { printf '\nMeasured:\n'; cat "$stage/figures"; }
}

# ---- main ----

prepare_stage
mapfile -t suites < <(list_suites | while read -r suite kind; do
    is_wanted "$suite" "$@" && echo "$suite $kind"
done)
if [ "${#suites[@]}" -eq 0 ]; then
    echo "no suite is named: $*" >&2
    echo "there are: $(list_suites | cut -d' ' -f1 | tr '\n' ' ')" >&2
    exit 2
fi
[ "$(id -u)" -ne 0 ] || echo "run as root: the suites run as uid $ordinary_uid, but for *_root"
run_all < <(printf '%s\n' "${suites[@]}")
for suite in "${suites[@]}"; do
    count_suite "${suite% *}"
done
check_leftovers
print_figures
print_skips
printf '\n%d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ]
