/* When a token may be told, and which part of the text is its own, where tokens and what is shown
 * end at different places. */
#include "hip/engine/untold.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 64 };

/* Of the last token that was added. */
static uint64_t last_end;

static struct untold *new_untold(void)
{
    static const float LOGITS[VOCAB];
    struct untold *untold = untold_new(0, VOCAB);

    last_end = 0;
    untold_keep(untold, LOGITS);
    return untold;
}

static void add_from(struct untold *untold, uint32_t token, struct text_extent extent)
{
    struct err err = ERR_INIT;

    assert_int_equal(untold_add(untold, token, &extent, &err), 0);
}

/* It begins where the one before ends. */
static void add(struct untold *untold, uint32_t token, uint64_t end, bool is_whole)
{
    add_from(untold, token, (struct text_extent){last_end, end, is_whole});
    last_end = end;
}

/* Tells all that can be told with SHOWN bytes of text shown and untold: "TOKEN:BYTES " of each. */
static void expect(struct untold *untold, size_t shown, enum untold_until until,
                   const char *expected)
{
    struct untold_token token;
    char told[256] = "";
    size_t len = 0;

    while (untold_next(untold, shown, until, &token)) {
        assert_true(token.text_len <= shown);
        shown -= token.text_len;
        len += (size_t)snprintf(told + len, sizeof(told) - len, "%u:%zu ", token.logprobs[0].token,
                                token.text_len);
    }
    assert_string_equal(told, expected);
}

static void a_token_is_told_with_its_last_byte(void **state)
{
    struct untold *untold = new_untold();

    expect(untold, 0, UNTOLD_ENDED, "");
    add(untold, 1, 3, true);
    expect(untold, 2, UNTOLD_SHOWN, ""); /* the third byte might begin a stop string */
    add(untold, 2, 5, true);
    add(untold, 3, 9, true);
    expect(untold, 6, UNTOLD_SHOWN, "1:3 2:2 ");
    expect(untold, 1, UNTOLD_SHOWN, "");
    expect(untold, 4, UNTOLD_SHOWN, "3:4 ");
    untold_free(untold);
}

/* A part of a character is told once something of that character is shown, without text. */
static void a_part_of_a_character_waits_for_the_rest(void **state)
{
    struct untold *untold = new_untold();

    add(untold, 1, 1, false); /* a letter, and the first byte of what follows */
    expect(untold, 1, UNTOLD_SHOWN, "");
    add(untold, 2, 1, false);
    add(untold, 3, 4, true);
    expect(untold, 4, UNTOLD_SHOWN, "1:1 2:0 3:3 ");
    untold_free(untold);
}

/* A part that turns out to be none is what is shown for it, also where a stop string follows. */
static void a_part_of_no_character_keeps_its_sign(void **state)
{
    struct untold *untold = new_untold();

    add(untold, 1, 1, false);
    add_from(untold, 2, (struct text_extent){4, 5, true});
    expect(untold, 4, UNTOLD_SHOWN, "1:4 ");
    expect(untold, 1, UNTOLD_SHOWN, "2:1 ");
    untold_free(untold);
    untold = new_untold();
    add(untold, 1, 1, false);
    add_from(untold, 2, (struct text_extent){4, 4, false});
    expect(untold, 4, UNTOLD_STOPPED, "1:4 ");
    untold_free(untold);
}

/* Of a text cut before a stop string, each token that is seen is told: with what is left of it. */
static void a_stop_string_drops_the_tokens_that_nobody_sees(void **state)
{
    struct untold *untold = new_untold();

    add(untold, 1, 2, true);
    add(untold, 2, 5, true);
    add(untold, 3, 6, true);
    expect(untold, 3, UNTOLD_STOPPED, "1:2 2:1 ");
    untold_free(untold);
    untold = new_untold(); /* the cut is between two of them */
    add(untold, 1, 2, true);
    add(untold, 2, 2, false); /* a part of the stop string's first character */
    add(untold, 3, 2, false); /* what completed it */
    expect(untold, 2, UNTOLD_STOPPED, "1:2 ");
    untold_free(untold);
    untold = new_untold(); /* the token that completes it has text before it */
    add(untold, 1, 2, true);
    add(untold, 2, 3, false);
    expect(untold, 3, UNTOLD_STOPPED, "1:2 2:1 ");
    untold_free(untold);
}

static void a_token_without_text_keeps_its_place(void **state)
{
    struct untold *untold = new_untold();

    add(untold, 1, 0, true);
    expect(untold, 0, UNTOLD_SHOWN, "1:0 ");
    add(untold, 2, 2, true);
    add(untold, 3, 2, true);
    expect(untold, 0, UNTOLD_SHOWN, "");
    expect(untold, 2, UNTOLD_SHOWN, "2:2 3:0 ");
    add(untold, 4, 2, true);
    add(untold, 5, 4, true);
    add(untold, 6, 4, true); /* behind the cut */
    expect(untold, 0, UNTOLD_STOPPED, "4:0 ");
    untold_free(untold);
}

/* What will never be a character becomes visible at the end, longer than any token knew. */
static void the_end_gives_the_rest_to_the_last(void **state)
{
    struct untold *untold = new_untold();

    add(untold, 1, 1, true);
    add(untold, 2, 1, false);
    add(untold, 3, 1, false);
    expect(untold, 4, UNTOLD_ENDED, "1:1 2:0 3:3 ");
    expect(untold, 0, UNTOLD_ENDED, "");
    untold_free(untold);
}

/* Text that is always held back in part: the queue is never empty, and takes no more room. */
static void told_tokens_make_room(void **state)
{
    struct untold *untold = new_untold();
    struct untold_token token;

    for (uint64_t end = 1; end <= (uint64_t)20 * UNTOLD_MAX_COUNT; end++) {
        add(untold, (uint32_t)(end % VOCAB), end, true);
        if (end <= 3)
            continue;
        assert_true(untold_next(untold, 1, UNTOLD_SHOWN, &token));
        assert_int_equal(token.logprobs[0].token, (end - 3) % VOCAB);
        assert_int_equal(token.text_len, 1);
        assert_false(untold_next(untold, 0, UNTOLD_SHOWN, &token));
    }
    untold_free(untold);
}

static void there_is_a_limit(void **state)
{
    struct untold *untold = new_untold();
    struct text_extent extent = {1, 1, true};
    struct err err = ERR_INIT;

    for (int i = 0; i < UNTOLD_MAX_COUNT; i++)
        add(untold, 1, 1, true);
    assert_int_equal(untold_add(untold, 1, &extent, &err), -1);
    assert_int_equal(err.kind, ERR_NO_MEMORY);
    assert_non_null(strstr(err.message, "1024 tokens"));
    untold_free(untold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_told_with_its_last_byte),
        cmocka_unit_test(a_part_of_a_character_waits_for_the_rest),
        cmocka_unit_test(a_part_of_no_character_keeps_its_sign),
        cmocka_unit_test(a_stop_string_drops_the_tokens_that_nobody_sees),
        cmocka_unit_test(a_token_without_text_keeps_its_place),
        cmocka_unit_test(the_end_gives_the_rest_to_the_last),
        cmocka_unit_test(told_tokens_make_room),
        cmocka_unit_test(there_is_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
