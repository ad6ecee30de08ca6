/* Which place is the best one: the order of all there are, and that nothing is better than itself.
 */
#include "supervisor/choice.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The best first. What is free decides only between equals. */
static const struct choice ORDER[] = {
    {1, true, ROOM_GO, 20},         {1, true, ROOM_GO, 10},          {2, true, ROOM_GO, 90},
    {2, true, ROOM_GO, 80},         {1, true, ROOM_EVICT, 5},        {2, true, ROOM_EVICT, 70},
    {1, true, ROOM_WAIT_BUSY, 7},   {1, true, ROOM_WAIT_LEAVING, 6}, {1, true, ROOM_WAIT_RETURN, 5},
    {2, true, ROOM_WAIT_BUSY, 100}, {1, true, ROOM_NONE, 8},         {2, true, ROOM_NONE, 100},
    {1, false, ROOM_GO, 1},         {0, true, ROOM_GO, 0},
};

static void there_is_one_order(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(ORDER); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(ORDER); j++)
            assert_int_equal(choice_is_better(&ORDER[i], &ORDER[j]), i < j);
    }
}

/* An open circuit is the same whatever room there is behind it: the first of them stays. */
static void what_takes_no_start_is_all_the_same(void **state)
{
    const struct choice one = {1, false, ROOM_GO, 0};
    const struct choice other = {2, false, ROOM_NONE, 0};

    assert_false(choice_is_better(&one, &other));
    assert_false(choice_is_better(&other, &one));
}

static void two_are_for_what_does_not_fit_on_one(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(ORDER); i++)
        assert_int_equal(choice_may_be_two(&ORDER[i]), i > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_one_order),
        cmocka_unit_test(what_takes_no_start_is_all_the_same),
        cmocka_unit_test(two_are_for_what_does_not_fit_on_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
