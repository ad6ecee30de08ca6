/* The table of a worker's life, walked whole: every state with every event. */
#include "supervisor/life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The five ways in which a process can end, with the rest that follows. */
static const struct {
    enum life_event on;
    enum life_state to;
} EXITS[] = {
    {LIFE_ON_EXITED, LIFE_DOWN},          {LIFE_ON_EXITED_RETRY, LIFE_WAITING},
    {LIFE_ON_EXITED_OPEN, LIFE_OPEN},     {LIFE_ON_EXITED_HELD, LIFE_HELD},
    {LIFE_ON_EXITED_FAILED, LIFE_FAILED},
};

static bool is_exit(enum life_event event)
{
    for (size_t i = 0; i < sizeof(EXITS) / sizeof(EXITS[0]); i++) {
        if (EXITS[i].on == event)
            return true;
    }
    return false;
}

static bool is_start(enum life_event event)
{
    return event == LIFE_ON_START || event == LIFE_ON_REQUESTED || event == LIFE_ON_RESTART;
}

/* Calls CHECK with every pair that has a rule. */
static void walk(void (*check)(enum life_state from, enum life_event on,
                               const struct life_rule *rule))
{
    for (int from = 0; from < LIFE_STATE_COUNT; from++) {
        for (int on = 0; on < LIFE_EVENT_COUNT; on++) {
            const struct life_rule *rule = life_step((enum life_state)from, (enum life_event)on);

            if (rule != NULL)
                check((enum life_state)from, (enum life_event)on, rule);
        }
    }
}

/* A process may end at any moment, and whatever is decided about it then has a state. */
static void every_process_can_end_in_every_way(void **state)
{
    for (int from = 0; from < LIFE_STATE_COUNT; from++) {
        for (size_t i = 0; i < sizeof(EXITS) / sizeof(EXITS[0]); i++) {
            const struct life_rule *rule = life_step((enum life_state)from, EXITS[i].on);

            if (!life_has_process((enum life_state)from)) {
                assert_null(rule);
                continue;
            }
            assert_non_null(rule);
            assert_int_equal(rule->to, EXITS[i].to);
            assert_int_equal(rule->action, LIFE_SETTLE);
        }
    }
}

/* A process comes from SPAWN alone and goes by its exit alone: no rule forgets one, none makes a
 * second one beside it. */
static void check_process_is_accounted_for(enum life_state from, enum life_event on,
                                           const struct life_rule *rule)
{
    bool had = life_has_process(from);
    bool has = life_has_process(rule->to);

    assert_int_equal(rule->action == LIFE_SPAWN, !had && has);
    assert_int_equal(is_exit(on), had && !has);
    if (rule->action == LIFE_SPAWN)
        assert_true(is_start(on));
}

static void no_process_is_forgotten_or_doubled(void **state)
{
    walk(check_process_is_accounted_for);
}

static void check_wish_for_down(enum life_state from, enum life_event on,
                                const struct life_rule *rule)
{
    if (on != LIFE_ON_STOP && on != LIFE_ON_FORCE)
        return;
    assert_int_not_equal(rule->action, LIFE_SPAWN);
    if (!life_has_process(from)) {
        assert_int_equal(rule->to, LIFE_DOWN);
        return;
    }
    assert_true(rule->to == LIFE_DRAINING || rule->to == LIFE_STOPPING);
    if (on == LIFE_ON_FORCE)
        assert_int_equal(rule->action, LIFE_KILL);
}

static void a_wish_for_down_never_spawns(void **state)
{
    walk(check_wish_for_down);
}

/* Whatever happens first: from each state, FORCE and time and the exit lead to no process. */
static void every_state_can_be_ended(void **state)
{
    static const enum life_event WAY_DOWN[] = {LIFE_ON_FORCE, LIFE_ON_KILL_OVER, LIFE_ON_EXITED};

    for (int from = 0; from < LIFE_STATE_COUNT; from++) {
        enum life_state now = (enum life_state)from;

        for (size_t i = 0; i < sizeof(WAY_DOWN) / sizeof(WAY_DOWN[0]); i++) {
            const struct life_rule *rule = life_step(now, WAY_DOWN[i]);

            if (rule != NULL)
                now = rule->to;
        }
        assert_false(life_has_process(now));
    }
}

/* What a person holds down, no start whoever wants it gets up: it is released first. */
static void what_is_held_does_not_start(void **state)
{
    for (int on = 0; on < LIFE_EVENT_COUNT; on++) {
        const struct life_rule *rule = life_step(LIFE_HELD, (enum life_event)on);

        assert_int_equal(rule != NULL, on == LIFE_ON_RELEASED);
    }
    assert_int_equal(life_step(LIFE_HELD, LIFE_ON_RELEASED)->action, LIFE_NONE);
}

static void whatever_rests_can_be_held(void **state)
{
    for (int from = 0; from < LIFE_STATE_COUNT; from++) {
        const struct life_rule *rule = life_step((enum life_state)from, LIFE_ON_HOLD);

        if (life_has_process((enum life_state)from) || from == LIFE_HELD)
            assert_null(rule);
        else
            assert_int_equal(rule->to, LIFE_HELD);
    }
}

/* A person's start resets it first, and so it may wait for its device like any other. */
static void nothing_starts_a_failed_worker_as_it_is(void **state)
{
    for (int on = 0; on < LIFE_EVENT_COUNT; on++) {
        const struct life_rule *rule = life_step(LIFE_FAILED, (enum life_event)on);

        if (rule != NULL)
            assert_true(rule->to == LIFE_DOWN || rule->to == LIFE_HELD);
    }
    assert_int_equal(life_step(LIFE_FAILED, LIFE_ON_RESET)->to, LIFE_DOWN);
    assert_int_equal(life_step(LIFE_FAILED, LIFE_ON_MODEL_CHANGED)->to, LIFE_DOWN);
}

/* What waits in the queue fails when, and only when, the worker stops coming without having had a
 * process. */
static void check_refusal(enum life_state from, enum life_event on, const struct life_rule *rule)
{
    bool stops_coming = rule->to == LIFE_OPEN || rule->to == LIFE_HELD ||
                        (from == LIFE_WAITING && rule->to == LIFE_DOWN);

    if (!life_has_process(from) && !life_has_process(rule->to))
        assert_int_equal(rule->action == LIFE_REFUSE, stops_coming);
    else
        assert_int_not_equal(rule->action, LIFE_REFUSE);
}

static void who_waits_for_a_start_that_does_not_come_is_told(void **state)
{
    walk(check_refusal);
}

static void check_kill(enum life_state from, enum life_event on, const struct life_rule *rule)
{
    if (rule->action == LIFE_KILL || rule->action == LIFE_TERMINATE) {
        assert_true(life_has_process(from));
        assert_int_equal(rule->to, LIFE_STOPPING);
    }
}

static void signals_go_only_to_what_runs(void **state)
{
    walk(check_kill);
}

/* What hangs does not obey, and has nothing left to finish. */
static void a_hang_is_killed_wherever_work_is_done(void **state)
{
    for (int from = 0; from < LIFE_STATE_COUNT; from++) {
        const struct life_rule *rule = life_step((enum life_state)from, LIFE_ON_HUNG);

        if (from == LIFE_READY || from == LIFE_DRAINING)
            assert_int_equal(rule->action, LIFE_KILL);
        else
            assert_null(rule);
    }
}

static void names_are_all_there_and_all_different(void **state)
{
    for (int a = 0; a < LIFE_STATE_COUNT; a++) {
        for (int b = 0; b < a; b++)
            assert_string_not_equal(life_state_name((enum life_state)a),
                                    life_state_name((enum life_state)b));
    }
    for (int a = 0; a < LIFE_EVENT_COUNT; a++) {
        for (int b = 0; b < a; b++)
            assert_string_not_equal(life_event_name((enum life_event)a),
                                    life_event_name((enum life_event)b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_process_can_end_in_every_way),
        cmocka_unit_test(no_process_is_forgotten_or_doubled),
        cmocka_unit_test(a_wish_for_down_never_spawns),
        cmocka_unit_test(every_state_can_be_ended),
        cmocka_unit_test(what_is_held_does_not_start),
        cmocka_unit_test(whatever_rests_can_be_held),
        cmocka_unit_test(nothing_starts_a_failed_worker_as_it_is),
        cmocka_unit_test(who_waits_for_a_start_that_does_not_come_is_told),
        cmocka_unit_test(signals_go_only_to_what_runs),
        cmocka_unit_test(a_hang_is_killed_wherever_work_is_done),
        cmocka_unit_test(names_are_all_there_and_all_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
