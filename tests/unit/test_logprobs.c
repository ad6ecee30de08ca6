/* Log-probabilities against the plain formula, and which tokens stand beside the one that was
 * taken. */
#include "hip/text/logprobs.h"

#include "common/attr.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { VOCAB = 6 };

static uint32_t compute(const float *logits, uint32_t top_count, uint32_t token,
                        struct logprob *out)
{
    struct logprobs *logprobs = logprobs_new(top_count, VOCAB);
    uint32_t count = 0;

    logprobs_keep(logprobs, logits);
    count = logprobs_read(logprobs, token, out);
    logprobs_free(logprobs);
    return count;
}

static void assert_near(double actual, double expected)
{
    assert_true(fabs(actual - expected) <= 1e-12 * fmax(1, fabs(expected)));
}

/* ln(exp(logit) / sum of exp), as one would write it down, for logits where nothing overflows. */
static void each_is_its_share(void **state)
{
    static const float LOGITS[VOCAB] = {0.5f, -1.25f, 3, 0, 2.75f, -7};
    struct logprob out[1 + LOGPROBS_TOP_MAX_COUNT];
    double sum = 0;
    double total = 0;

    for (int i = 0; i < VOCAB; i++)
        sum += exp((double)LOGITS[i]);
    for (uint32_t token = 0; token < VOCAB; token++) {
        assert_int_equal(compute(LOGITS, 0, token, out), 1);
        assert_int_equal(out[0].token, token);
        assert_near(out[0].value, log(exp((double)LOGITS[token]) / sum));
        total += exp(out[0].value);
    }
    assert_near(total, 1);
}

static void the_likeliest_stand_in_order(void **state)
{
    static const float LOGITS[VOCAB] = {0.5f, -1.25f, 3, 0, 2.75f, -7};
    static const uint32_t ORDER[VOCAB] = {2, 4, 0, 3, 1, 5};
    struct logprob out[1 + LOGPROBS_TOP_MAX_COUNT];
    struct logprob own[1];

    for (uint32_t top = 1; top <= VOCAB; top++) {
        assert_int_equal(compute(LOGITS, top, 1, out), 1 + top);
        assert_int_equal(out[0].token, 1);
        for (uint32_t i = 0; i < top; i++) {
            assert_int_equal(out[1 + i].token, ORDER[i]);
            (void)compute(LOGITS, 0, ORDER[i], own);
            assert_true(out[1 + i].value == own[0].value); /* the same, where a token is in both */
        }
    }
}

/* As the greedy sampler takes the first of them. */
static void of_equal_ones_the_lowest_id_comes_first(void **state)
{
    static const float LOGITS[VOCAB] = {1, 2, -0.0f, 2, 0, 2};
    static const uint32_t ORDER[VOCAB] = {1, 3, 5, 0, 2, 4};
    struct logprob out[1 + LOGPROBS_TOP_MAX_COUNT];

    assert_int_equal(compute(LOGITS, VOCAB, 0, out), 1 + VOCAB);
    for (uint32_t i = 0; i < VOCAB; i++)
        assert_int_equal(out[1 + i].token, ORDER[i]);
    assert_true(out[1].value == out[3].value && out[5].value == out[6].value);
}

static void what_can_never_come_is_not_there(void **state)
{
    static const float LOGITS[VOCAB] = {-INFINITY, 1, -INFINITY, 1, -INFINITY, -INFINITY};
    struct logprob out[1 + LOGPROBS_TOP_MAX_COUNT];

    assert_int_equal(compute(LOGITS, LOGPROBS_TOP_MAX_COUNT, 3, out), 1 + 2);
    assert_int_equal(out[1].token, 1);
    assert_int_equal(out[2].token, 3);
    assert_near(out[0].value, -log(2));
}

/* Numbers far out are finite all the same, and none is above 0. */
static void nothing_overflows(void **state)
{
    static const float LARGE[VOCAB] = {FLT_MAX, -FLT_MAX, 0, -FLT_MAX, -FLT_MAX, -FLT_MAX};
    static const float SMALL[VOCAB] = {-1e30f, -1e30f, -1e30f, -1e30f, -1e30f, -1e30f};
    struct logprob out[1 + LOGPROBS_TOP_MAX_COUNT];

    assert_int_equal(compute(LARGE, 2, 1, out), 1 + 2);
    assert_true(isfinite(out[0].value));
    assert_near(out[0].value, -2 * (double)FLT_MAX);
    assert_true(out[1].token == 0 && out[1].value == 0);
    assert_near(out[2].value, -(double)FLT_MAX);
    (void)compute(SMALL, 1, 0, out);
    assert_near(out[0].value, -log(VOCAB));
    assert_true(out[1].value <= 0);
}

/* The sampler changes its logits afterwards. */
static void later_changes_are_not_seen(void **state)
{
    float logits[VOCAB] = {1, 0, 0, 0, 0, 0};
    struct logprobs *logprobs = logprobs_new(1, VOCAB);
    struct logprob out[2];

    logprobs_keep(logprobs, logits);
    logits[0] = -100;
    (void)logprobs_read(logprobs, 3, out);
    assert_int_equal(out[1].token, 0);
    assert_near(out[1].value, 1 - log(exp(1) + 5));
    logprobs_free(logprobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_its_share),
        cmocka_unit_test(the_likeliest_stand_in_order),
        cmocka_unit_test(of_equal_ones_the_lowest_id_comes_first),
        cmocka_unit_test(what_can_never_come_is_not_there),
        cmocka_unit_test(nothing_overflows),
        cmocka_unit_test(later_changes_are_not_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
