#!/usr/bin/env bash
# Shows that the tests of restarts and breakers can fail: plants one fault at a time in a copy of the
# modules that decide, builds them anew and runs their unit tests and the histories. Each fault must
# be found by at least one. Not a part of `make test`.
#
#   tests/plant_faults.sh [NAME...]     RBEE_HISTORIES: how many are tried against each [20000]
set -euo pipefail

cd "$(dirname "$0")/.."
MODULES="fault restart breaker guard recovery life"
SUITES="fault restart breaker guard recovery histories"
export RBEE_HISTORIES=${RBEE_HISTORIES:-20000}

# Name @ module @ what sed does to it. An expression that changes nothing is an error.
FAULTS=(
    'jitter above the maximum      @ restart  @ s/return moved_ms < max_ms ? moved_ms : max_ms;/return moved_ms;/'
    'jitter one way only           @ restart  @ s/moved_ms = value_ms - span_ms +/moved_ms = value_ms +/'
    'delay not doubled             @ restart  @ s/delay_ms \*= 2;/delay_ms += policy->base_ms;/'
    'delay doubled too early       @ restart  @ s/int64_t i = 1; i < n \&\&/int64_t i = 0; i < n \&\&/'
    'delay not capped              @ restart  @ s/if (delay_ms > policy->max_ms)/if (delay_ms > 2 * policy->max_ms)/'
    'one attempt too many          @ restart  @ s/restart->attempt >= policy->max_attempts/restart->attempt > policy->max_attempts/'
    'no attempts with limit off    @ restart  @ s/policy->max_attempts > 0 \&\& //'
    'total not counted             @ restart  @ /restart->total++;/d'
    'incident never ends           @ restart  @ s/restart->is_in_incident = false;//'
    'attempts not forgiven         @ restart  @ s/restart->attempt = 0;//'
    'window one failure late       @ breaker  @ s/breaker_count(breaker, policy, now_ms) >= policy->failures/breaker_count(breaker, policy, now_ms) > policy->failures/'
    'window not stretched          @ breaker  @ s/if (stretched_ms > window_ms)/if (false \&\& stretched_ms > window_ms)/'
    'window stretched by the last  @ breaker  @ s/(int64_t)age < policy->failures; age++/(int64_t)age < 1; age++/'
    'window a millisecond long     @ breaker  @ s/now_ms - failure->at_ms < window_ms/now_ms - failure->at_ms <= window_ms/'
    'a pardon forgets one more     @ breaker  @ s/failure->at_ms >= from_ms/failure->at_ms > from_ms/'
    'flapping never seen           @ breaker  @ s/day >= policy->flap_failures/day > BREAKER_FAILURES_MAX_COUNT/'
    'flapping not forgiven         @ breaker  @ s/if (breaker->opened_by == BREAKER_BY_FLAPPING)/if (false)/'
    'any pardon forgives the day   @ breaker  @ s/if (breaker->opened_by == BREAKER_BY_FLAPPING)/if (true)/'
    'closing forgives nothing      @ breaker  @ /^bool breaker_on_probe_stable/,/^}/s/breaker->window_from_ms = now_ms;//'
    'gpu_fault counts like others  @ breaker  @ s/policy->gpu_faults > 0 \&\& gpu_faults/false \&\& gpu_faults/'
    'other classes as gpu_fault    @ breaker  @ s/return failure->fault == only;/return true;/'
    'config counts in the window   @ breaker  @ s/return fault_then(failure->fault) != FAULT_THEN_GIVE_UP;/return true;/'
    'failure counted twice         @ breaker  @ s/^    breaker_remember(breaker, failure);/&&/'
    'open time not doubled         @ breaker  @ s/breaker->open_time_ms \*= 2;//'
    'doubled without a probe       @ breaker  @ s/^        if (breaker->has_probe)$/        if (true)/'
    'open time above its maximum   @ breaker  @ s/if (breaker->open_time_ms > policy->open_max_ms)/if (false)/'
    'open time jitters above it    @ breaker  @ s/policy->open_max_ms, random);/INT64_MAX, random);/'
    'open time never back          @ breaker  @ /^void breaker_on_stable/,/^}/s/breaker->open_time_ms = 0;//'
    'open a millisecond too long   @ breaker  @ s/now_ms < breaker->until_ms/now_ms <= breaker->until_ms/'
    'two probes                    @ breaker  @ s/(breaker->state == BREAKER_HALF_OPEN \&\& !breaker->has_probe)/breaker->state == BREAKER_HALF_OPEN/'
    'probe outlives its verdict    @ breaker  @ s/^    breaker->has_probe = false;//'
    'no verdict counts as failure  @ breaker  @ s/return breaker_open(breaker, policy, BREAKER_BY_NO_VERDICT/breaker->open_time_ms *= 2;&/'
    'no verdict leaves it half open@ breaker  @ s/return breaker_open(breaker, policy, BREAKER_BY_NO_VERDICT.*/return false;/'
    'no verdict closes             @ breaker  @ s/return breaker_open(breaker, policy, BREAKER_BY_NO_VERDICT.*/return breaker_set(breaker, BREAKER_CLOSED, BREAKER_BY_NO_VERDICT);/'
    'forced open ends by time      @ breaker  @ s/breaker->state != BREAKER_OPEN || now_ms/breaker->state == BREAKER_CLOSED || now_ms/;/^bool breaker_half_open/,/^}/s/breaker->state != BREAKER_OPEN/breaker->state == BREAKER_CLOSED/'
    'a failure leaves forced open  @ breaker  @ /^bool breaker_record/,/^}/s/    case BREAKER_HALF_OPEN:/    case BREAKER_FORCED_OPEN:&/;/^bool breaker_record/,/^}/s/^    case BREAKER_FORCED_OPEN:$//'
    'reset keeps the counts        @ breaker  @ /^bool breaker_reset/,/^}/s/breaker_init(breaker);/breaker->state = BREAKER_CLOSED;/;/^bool breaker_reset/,/^}/s/= now_ms/= INT64_MIN/'
    'a probe survives the store    @ breaker  @ /^bool breaker_on_restored/,/^}/s/(void)breaker_on_no_verdict.*//'
    'a reboot is no matter         @ breaker  @ s/if (is_new_boot)/if (false)/'
    'guard one start late          @ guard    @ s/guard->start_count < limit/guard->start_count <= limit/;s/GUARD_STARTS_MAX_COUNT - limit)/GUARD_STARTS_MAX_COUNT - limit - 1)/'
    'guard looks at the latest     @ guard    @ s/GUARD_STARTS_MAX_COUNT - limit)/GUARD_STARTS_MAX_COUNT - 1)/'
    'guard a millisecond too long  @ guard    @ s/now_ms >= until_ms/now_ms > until_ms/'
    'two loads at a time           @ guard    @ s/guard->is_loading ? GUARD_LOADING : GUARD_GO/GUARD_GO/;s/assert(!guard->is_loading);//'
    'hold ignored                  @ recovery @ /^enum recovery_rest recovery_rest/,/^}/s/if (recovery->is_held)/if (false)/'
    'hold keeps the restart        @ recovery @ /^void recovery_hold/,/^}/s/recovery->is_waiting = false;//'
    'a fault ends the hold         @ recovery @ s/^    if (recovery->is_held) .*/    if (false)/'
    'config retried                @ recovery @ s/then == FAULT_THEN_GIVE_UP || //'
    'config counted                @ recovery @ s/fault_then(recovery->fault) != FAULT_THEN_GIVE_UP || recovery->breaker.has_probe/true/'
    'config ignored in a probe     @ recovery @ s/ || recovery->breaker.has_probe)/)/'
    'memory reduced twice          @ recovery @ s/ || (then == FAULT_THEN_REDUCE \&\& recovery->is_reduced)//'
    'memory not reduced            @ recovery @ s/recovery->is_reduced = true;/;/'
    'a request shortens a back-off @ recovery @ s/return asker != RECOVERY_REQUEST;/return true;/'
    'a request starts the failed   @ recovery @ s/return asker == RECOVERY_PERSON \&\& breaker/return breaker/'
    'a person starts the open      @ recovery @ s/return asker == RECOVERY_PERSON \&\& breaker_allows_start.*/return asker == RECOVERY_PERSON;/'
    'attempts by every start       @ recovery @ s/else if (recovery->owes_restart)/else/'
    'attempts by no start          @ recovery @ s/else if (recovery->owes_restart)/else if (false)/'
    'a person keeps the incident   @ recovery @ /^void recovery_on_person/,/^}/s/recovery_forgive(recovery);//'
    'a file keeps the incident     @ recovery @ /^void recovery_on_model_changed/,/^}/s/recovery_forgive(recovery);//'
    'the old wait stays            @ recovery @ /^static void recovery_forgive/,/^}/s/recovery->delay_ms = 0;//'
    'the wait is not in the window @ recovery @ s/load_ms + recovery->delay_ms/load_ms/'
    'the load is not in the window @ recovery @ s/load_ms + recovery->delay_ms/recovery->delay_ms/'
    'exhausted attempts wait       @ recovery @ s/if (restart_is_exhausted(.*/if (false) {/'
    'stability from the start      @ recovery @ /^void recovery_on_start/,/^}/s/recovery->ready_ms = NEVER_MS;/recovery->ready_ms = 0;/'
    'stability over a failure      @ recovery @ /^void recovery_on_fault/,/^}/s/recovery->ready_ms = NEVER_MS;//'
    'stable too early              @ recovery @ s/ready_for_ms >= policy->restart.stable_after_ms/ready_for_ms >= policy->breaker.probe_stable_ms/'
    'a probe keeps the attempts    @ recovery @ s/^        recovery_forgive(recovery);$/        ;/'
    'a probe is never stable       @ recovery @ s/ready_for_ms >= policy->breaker.probe_stable_ms/false/'
    'no time for a probe           @ recovery @ s/next_ms = recovery_earlier(next_ms, recovery->ready_ms + policy->breaker.probe_stable_ms);/;/'
    'no time for a restart         @ recovery @ s/next_ms = recovery_earlier(next_ms, recovery->due_ms);/;/'
    'the end of a probe untold     @ recovery @ /^void recovery_on_end/,/^}/s/(void)breaker_on_no_verdict.*/(void)random;/'
    'force keeps the restart       @ recovery @ /^void recovery_force_open/,/^}/s/recovery->is_waiting = false;//'
    'reset leaves it failed        @ recovery @ /^void recovery_reset/,/^}/s/recovery->has_failed_for_good = false;//'
    'reset keeps the total         @ recovery @ s/recovery->restart.total = 0;//'
    'an asked end is a fault       @ fault    @ s/if (signs->was_asked)/if (false)/'
    'our KILL is somebody else'"'"'s   @ fault    @ s/ \&\& !signs->was_killed_by_us//'
    'a hang is not of the device   @ fault    @ s/\.is_of_device = (device) == YES/.is_of_device = (device) == YES \&\& FAULT_##class != FAULT_HANG/'
)

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
HISTORY=(tests/history/*.c)
HISTORY=("${HISTORY[@]/#tests\/history/$build/objects}")
HISTORY=("${HISTORY[@]/%.c/.o}")
FLAGS=(-std=gnu17 -D_GNU_SOURCE -O1 -I"$build/src")

prepare() {
    mkdir -p "$build/src/supervisor" "$build/src/tests" "$build/objects" "$build/log"
    cp -r common "$build/src/"
    cp -r tests/unit tests/history "$build/src/tests/"
    for module in $MODULES; do
        cp supervisor/"$module".[ch] "$build/src/supervisor/"
    done
    cp supervisor/*.def "$build/src/supervisor/"
    for file in $(sources); do
        compile "$file"
    done
}

sources() {
    for module in $MODULES; do echo "supervisor/$module.c"; done
    for suite in $SUITES; do echo "tests/unit/test_$suite.c"; done
    ls tests/history/*.c
}

compile() { gcc "${FLAGS[@]}" -c -o "$build/objects/$(basename "$1" .c).o" "$build/src/$1"; }

# The suites that fail, or none.
run_suites() {
    local objects=() module suite extra
    for module in $MODULES; do objects+=("$build/objects/$module.o"); done
    for suite in $SUITES; do
        extra=()
        [ "$suite" != histories ] || extra=("${HISTORY[@]}")
        gcc -o "$build/test_$suite" "$build/objects/test_$suite.o" "${extra[@]}" "${objects[@]}" -lcmocka
        timeout 120 "$build/test_$suite" >"$build/log/$suite" 2>&1 || printf '%s ' "$suite"
    done
}

# plant NAME MODULE EXPRESSION
plant() {
    local file="supervisor/$2.c" found
    sed "$3" "$file" >"$build/src/$file"
    if cmp -s "$file" "$build/src/$file"; then
        echo "plant_faults: '$1' changes nothing in $file" >&2
        return 2
    fi
    compile "$file"
    found=$(run_suites)
    cp "$file" "$build/src/$file"
    compile "$file"
    printf '%-32s %-9s %s\n' "$1" "$2" "${found:-NOT FOUND}"
    [ -n "$found" ]
}

is_wanted() {
    local wanted=$1 name
    shift
    [ $# -gt 0 ] || return 0
    for name in "$@"; do
        [ "$name" != "$wanted" ] || return 0
    done
    return 1
}

trim() { sed 's/^ *//; s/ *$//' <<<"$1"; }

prepare
missed=$(run_suites)
if [ -n "$missed" ]; then
    echo "plant_faults: without a fault there fail: $missed" >&2
    exit 1
fi
count=0 failed=0
for row in "${FAULTS[@]}"; do
    name=$(trim "${row%%@*}")
    rest=${row#*@}
    is_wanted "$name" "$@" || continue
    count=$((count + 1))
    plant "$name" "$(trim "${rest%%@*}")" "$(trim "${rest#*@}")" || failed=$((failed + 1))
done
echo "$count faults planted, $failed not found"
[ "$failed" -eq 0 ]
