/* Which request starts, waits or is refused: every state, with and without slots and room. */
#include "supervisor/scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A worker in STATE with one slot, nothing to do and room for two that wait. */
static struct scheduler_view idle_view(enum life_state state)
{
    return (struct scheduler_view){
        .state = state, .slot_count = 1, .queue_max_count = 2, .may_start = true};
}

static enum err_kind refusal_of(const struct scheduler_view *view)
{
    enum err_kind refusal = ERR_NONE;

    assert_int_equal(scheduler_admit(view, &refusal), SCHEDULER_REFUSE);
    return refusal;
}

static enum scheduler_verdict verdict_of(const struct scheduler_view *view)
{
    enum err_kind refusal = ERR_NONE;
    enum scheduler_verdict verdict = scheduler_admit(view, &refusal);

    assert_int_equal(refusal, verdict == SCHEDULER_REFUSE ? refusal : ERR_NONE);
    return verdict;
}

static void only_a_ready_worker_with_a_free_slot_is_sent_to(void **state)
{
    for (int s = 0; s < LIFE_STATE_COUNT; s++) {
        for (unsigned busy = 0; busy < 3; busy++) {
            struct scheduler_view view = idle_view((enum life_state)s);
            bool may = s == LIFE_READY && busy < 1;

            view.in_flight_count = busy;
            assert_int_equal(verdict_of(&view) == SCHEDULER_DISPATCH, may);
            view.queued_count = 1;
            assert_int_equal(scheduler_dispatch_count(&view) > 0, may);
        }
    }
}

static void nobody_overtakes(void **state)
{
    struct scheduler_view view = idle_view(LIFE_READY);

    view.queued_count = 1;
    assert_int_equal(verdict_of(&view), SCHEDULER_QUEUE);
}

static void as_many_go_as_there_are_slots(void **state)
{
    for (unsigned slots = 1; slots < 5; slots++) {
        for (unsigned busy = 0; busy < 6; busy++) {
            for (unsigned queued = 0; queued < 6; queued++) {
                struct scheduler_view view = idle_view(LIFE_READY);
                unsigned count = 0;

                view.slot_count = slots;
                view.in_flight_count = busy;
                view.queued_count = queued;
                count = scheduler_dispatch_count(&view);
                assert_true(count <= queued);
                assert_true(count == 0 || busy + count <= slots);
                assert_true(count == queued || busy + count >= slots);
            }
        }
    }
}

static void a_full_queue_refuses_in_every_state_that_queues(void **state)
{
    static const enum life_state QUEUEING[] = {LIFE_STARTING, LIFE_READY};

    for (size_t i = 0; i < sizeof(QUEUEING) / sizeof(QUEUEING[0]); i++) {
        struct scheduler_view view = idle_view(QUEUEING[i]);

        view.in_flight_count = 1;
        view.queued_count = 1;
        assert_int_equal(verdict_of(&view), SCHEDULER_QUEUE);
        view.queued_count = 2;
        assert_int_equal(refusal_of(&view), ERR_QUEUE_FULL);
    }
}

static void a_queue_of_none_still_lets_a_worker_start(void **state)
{
    struct scheduler_view view = idle_view(LIFE_DOWN);

    view.queue_max_count = 0;
    assert_int_equal(verdict_of(&view), SCHEDULER_START);
    view.state = LIFE_READY;
    assert_int_equal(verdict_of(&view), SCHEDULER_DISPATCH);
    view.in_flight_count = 1;
    assert_int_equal(refusal_of(&view), ERR_QUEUE_FULL);
}

/* It starts when there is room, whenever that is: who asks now is told at once. */
static void who_waits_without_hope_of_room_takes_nobody(void **state)
{
    struct scheduler_view view = idle_view(LIFE_WAITING);

    assert_int_equal(verdict_of(&view), SCHEDULER_QUEUE);
    view.has_no_room = true;
    assert_int_equal(refusal_of(&view), ERR_NO_MEMORY);
}

static void what_is_down_is_started_only_where_that_is_allowed(void **state)
{
    struct scheduler_view view = idle_view(LIFE_DOWN);

    assert_int_equal(verdict_of(&view), SCHEDULER_START);
    view.may_start = false;
    assert_int_equal(refusal_of(&view), ERR_WORKER_DOWN);
}

static void a_failed_worker_is_never_started_by_a_request(void **state)
{
    struct scheduler_view view = idle_view(LIFE_FAILED);

    assert_int_equal(refusal_of(&view), ERR_WORKER_FAILED);
    view.state = LIFE_LOST;
    assert_int_equal(refusal_of(&view), ERR_WORKER_FAILED);
}

/* A stop for idleness is nobody's wish; a stop that a person asked for is. */
static void a_stopping_worker_refuses_unless_it_stops_for_idleness(void **state)
{
    static const enum life_state ENDING[] = {LIFE_DRAINING, LIFE_STOPPING};

    for (size_t i = 0; i < sizeof(ENDING) / sizeof(ENDING[0]); i++) {
        struct scheduler_view view = idle_view(ENDING[i]);

        assert_int_equal(refusal_of(&view), ERR_WORKER_DRAINING);
        view.is_idle_stop = true;
        assert_int_equal(verdict_of(&view), SCHEDULER_START);
        view.may_start = false;
        assert_int_equal(refusal_of(&view), ERR_WORKER_DRAINING);
        view.starts_again = true;
        assert_int_equal(verdict_of(&view), SCHEDULER_QUEUE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_ready_worker_with_a_free_slot_is_sent_to),
        cmocka_unit_test(nobody_overtakes),
        cmocka_unit_test(as_many_go_as_there_are_slots),
        cmocka_unit_test(a_full_queue_refuses_in_every_state_that_queues),
        cmocka_unit_test(a_queue_of_none_still_lets_a_worker_start),
        cmocka_unit_test(who_waits_without_hope_of_room_takes_nobody),
        cmocka_unit_test(what_is_down_is_started_only_where_that_is_allowed),
        cmocka_unit_test(a_failed_worker_is_never_started_by_a_request),
        cmocka_unit_test(a_stopping_worker_refuses_unless_it_stops_for_idleness),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
