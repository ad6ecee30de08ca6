#!/usr/bin/env bash
# What a change must pass before it is committed, each step with its own verdict; called by
# `make check` (CHECK_FLAGS holds the preprocessor's flags). Usage: check.sh [STEP...]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

#      name          what it runs
STEPS=(
    "format       clang-format finds nothing to change"
    "tidy         the house rules of tests/tidy.sh"
    "shell        shellcheck on every script and suite"
    "cppcheck     cppcheck"
    "analyzer     gcc -fanalyzer"
    "lint         clang-tidy (.clang-tidy)"
    "clang        everything compiles with clang, too"
    "promtool     promtool has nothing to say of the metrics"
    "test         make test"
)

declare -a flags=()
eval "flags=(${CHECK_FLAGS:?called by make check})" # it is quoted for a shell, as in a recipe
mapfile -t c_files < <(git ls-files '*.c' | grep -v '^tests/oracle/')
mapfile -t c_and_h_files < <(git ls-files '*.c' '*.h')
# The product's own code: tests may do what an analyzer frowns at (plant faults, leak on purpose).
mapfile -t product_files < <(printf '%s\n' "${c_files[@]}" | grep -v '^tests/')

step_format() {
    clang-format --dry-run -Werror "${c_and_h_files[@]}"
}

step_tidy() {
    tests/tidy.sh
}

step_shell() {
    git ls-files '*.sh' '*.bash' '*.bats' .ci/run | xargs shellcheck -x
}

step_cppcheck() {
    mkdir -p build/cppcheck
    cppcheck --quiet --error-exitcode=1 --inline-suppr -j "$(nproc)" --std=c17 \
        --cppcheck-build-dir=build/cppcheck --enable=warning,performance,portability \
        --suppressions-list=tests/cppcheck.suppressions "${flags[@]}" "${product_files[@]}"
}

# Runs COMMAND FILE for each of the product's files, as many at a time as there are cores. One file
# each: clang-tidy 14 reports a false valist.Uninitialized when it is given several.
each_file() {
    printf '%s\0' "${product_files[@]}" | xargs -0 -P "$(nproc)" -n 1 "$@"
}

step_analyzer() {
    # gcc 12 does not see that take_ptr() empties its variable, and reports a double free.
    each_file gcc "${flags[@]}" -std=gnu17 -O1 -Werror -fanalyzer -Wno-analyzer-double-free \
        -o /dev/null -c
}

step_lint() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    each_file bash -c 'clang-tidy --quiet --warnings-as-errors="*" "${@: -1}" -- "${@:1:$#-1}" -std=gnu17 \
        2> >(grep -v "warnings generated" >&2)' lint "${flags[@]}"
}

step_clang() {
    make --no-print-directory -s CC=clang -j"$(nproc)" test-programs
}

step_promtool() {
    local tool
    tool=$(scripts/promtool.sh) && make --no-print-directory -s -j"$(nproc)" all &&
        tests/promtool.sh "$tool" build/plain/bin
}

step_test() {
    make --no-print-directory test
}

wanted=" ${*:-$(printf '%s\n' "${STEPS[@]}" | cut -d' ' -f1 | tr '\n' ' ')} "
failed=()
for row in "${STEPS[@]}"; do
    step=${row%% *}
    [[ $wanted == *" $step "* ]] || continue
    printf 'check: %s\n' "$row"
    "step_$step" || failed+=("$step")
done
if [ "${#failed[@]}" -gt 0 ]; then
    echo "check: FAILED: ${failed[*]}"
    exit 1
fi
echo 'check: all is well'
