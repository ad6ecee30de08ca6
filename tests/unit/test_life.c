/* The table of a worker's life, walked whole: every state with every event. */
#include "supervisor/life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_exit(enum life_event event)
{
    return event == LIFE_ON_EXITED || event == LIFE_ON_EXITED_CONFIG;
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

/* A process that is gone is never expected any more, whatever the state was. */
static void check_exit_leaves_no_process(enum life_state from, enum life_event on,
                                         const struct life_rule *rule)
{
    if (is_exit(on) || on == LIFE_ON_SPAWN_FAILED)
        assert_false(life_has_process(rule->to));
}

static void after_an_exit_no_process_is_expected(void **state)
{
    walk(check_exit_leaves_no_process);
    for (int from = 0; from < LIFE_STATE_COUNT; from++) {
        if (!life_has_process((enum life_state)from))
            continue;
        assert_non_null(life_step((enum life_state)from, LIFE_ON_EXITED));
        assert_non_null(life_step((enum life_state)from, LIFE_ON_EXITED_CONFIG));
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
    if (had && !has)
        assert_true(is_exit(on) || on == LIFE_ON_SPAWN_FAILED);
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

static void a_request_starts_what_is_down_and_nothing_else(void **state)
{
    for (int from = 0; from < LIFE_STATE_COUNT; from++) {
        const struct life_rule *rule = life_step((enum life_state)from, LIFE_ON_REQUESTED);

        if (from == LIFE_DOWN)
            assert_int_equal(rule->action, LIFE_SPAWN);
        else
            assert_null(rule);
    }
}

static void check_way_out_of_failed(enum life_state from, enum life_event on,
                                    const struct life_rule *rule)
{
    if (from == LIFE_FAILED)
        assert_true(on == LIFE_ON_START || on == LIFE_ON_MODEL_CHANGED);
}

static void only_a_person_or_another_file_ends_a_configuration_fault(void **state)
{
    walk(check_way_out_of_failed);
    assert_int_equal(life_step(LIFE_STARTING, LIFE_ON_EXITED_CONFIG)->to, LIFE_FAILED);
    assert_int_equal(life_step(LIFE_READY, LIFE_ON_EXITED_CONFIG)->to, LIFE_FAILED);
    /* Asked to end, it may end with any code. */
    assert_int_equal(life_step(LIFE_STOPPING, LIFE_ON_EXITED_CONFIG)->to, LIFE_DOWN);
}

/* Who asked for it does not bury, who did not ask does not settle. */
static void check_asked_and_unasked(enum life_state from, enum life_event on,
                                    const struct life_rule *rule)
{
    if (is_exit(on) && (from == LIFE_STOPPING || from == LIFE_LOST))
        assert_int_equal(rule->action, LIFE_SETTLE);
    else if (is_exit(on))
        assert_int_equal(rule->action, LIFE_BURY);
}

static void an_unasked_exit_is_a_death(void **state)
{
    walk(check_asked_and_unasked);
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
        cmocka_unit_test(after_an_exit_no_process_is_expected),
        cmocka_unit_test(no_process_is_forgotten_or_doubled),
        cmocka_unit_test(a_wish_for_down_never_spawns),
        cmocka_unit_test(every_state_can_be_ended),
        cmocka_unit_test(a_request_starts_what_is_down_and_nothing_else),
        cmocka_unit_test(only_a_person_or_another_file_ends_a_configuration_fault),
        cmocka_unit_test(an_unasked_exit_is_a_death),
        cmocka_unit_test(signals_go_only_to_what_runs),
        cmocka_unit_test(names_are_all_there_and_all_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
