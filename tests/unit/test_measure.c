/* What a bench counts and chooses: medians, the work of a token, how often a reading is taken. */
#include "hip/measure.h"

#include "hip/model/model.h"
#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MODEL_MAX_BYTES = 1 << 20 };

static void a_median_has_as_many_below_as_above(void **state)
{
    double one[] = {3};
    double two[] = {4, 1};
    double odd[] = {9, -1, 2, 1000, 2};
    double even[] = {8, 2, 4, 1000};

    assert_true(measure_median(one, 1) == 3);
    assert_true(measure_median(two, 2) == 2.5);
    assert_true(measure_median(odd, 5) == 2);
    assert_true(measure_median(even, 4) == 6);
}

static void what_takes_long_is_done_less_often_within_the_bounds(void **state)
{
    assert_int_equal(measure_times(1000, 100, 3, 32), 10);
    assert_int_equal(measure_times(1000, 1, 3, 32), 32);
    assert_int_equal(measure_times(1000, 0, 3, 32), 32);
    assert_int_equal(measure_times(1000, 5000, 3, 32), 3);
    assert_int_equal(measure_times(UINT64_MAX, 1, 3, 32), 32);
}

/* What is counted of a model. */
struct counted {
    struct measure_work work;
    const char *types[QUANT_TYPE_MAX + 1];
    size_t type_count;
};

static struct counted count(const struct tiny_model *tiny)
{
    AUTO_BUF struct buf file = BUF_INIT(MODEL_MAX_BYTES);
    struct err err = ERR_INIT;
    struct model *model = NULL;
    struct counted counted;

    tiny_model_build(tiny, &file);
    model = model_open_memory(file.data, file.len, &err);
    assert_non_null(model);
    counted.work = measure_work_of(model);
    counted.type_count = measure_tensor_types(model, counted.types);
    model_free(model);
    return counted;
}

static struct measure_work work_of(const struct tiny_model *tiny)
{
    return count(tiny).work;
}

/* Embedding 64, 2 layers, 4 heads of 16, of which 2 for keys and values, feed-forward 128, Q8_0
 * with 34 bytes for 32 weights. */
static void a_token_multiplies_with_every_matrix_of_the_layers(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    uint64_t q_and_out = 2 * 64 * 64;
    uint64_t k_and_v = 2 * 64 * 32;
    uint64_t feed_forward = 3 * 64 * 128;

    assert_int_equal(work_of(&tiny).token_macs, 2 * (q_and_out + k_and_v + feed_forward));
    tiny.has_qkv_bias = true; /* is added, not multiplied */
    tiny.architecture = "qwen2";
    tiny.is_untied = true; /* the head is no layer */
    assert_int_equal(work_of(&tiny).token_macs, 2 * (q_and_out + k_and_v + feed_forward));
}

/* Of an embedding that is not the head too, a token reads one row. */
static void a_token_reads_every_weight_but_an_embedding_of_its_own(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    uint64_t norms = (2 * 2 + 1) * 64 * sizeof(float);
    uint64_t layers = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128) / 32 * 34;
    uint64_t head = (uint64_t)tiny_token_count(&tiny) * 64 / 32 * 34;

    assert_int_equal(work_of(&tiny).token_read_bytes, norms + layers + head);
    tiny.is_untied = true;
    assert_int_equal(work_of(&tiny).token_read_bytes, norms + layers + head);
}

/* As in files called Q4_K_M: the bytes are those of each tensor's own type. */
static void finer_tensors_are_read_as_what_they_are(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    struct tiny_model fine = tiny;
    uint64_t more = 0;

    fine.fine_type = QUANT_F32; /* which is none */
    assert_int_equal(work_of(&fine).token_read_bytes, work_of(&tiny).token_read_bytes);
    tiny.layers = fine.layers = 8;
    fine.fine_type = QUANT_F16;
    for (uint32_t layer = 0; layer < fine.layers; layer++)
        more += tiny_is_fine_layer(&fine, layer) ? 64 * 32 + 64 * 128 : 0;
    assert_in_range(more, 1, 7 * (64 * 32 + 64 * 128));
    assert_int_equal(work_of(&fine).token_read_bytes - work_of(&tiny).token_read_bytes,
                     more / 32 * (64 - 34));
}

/* The type of most bytes is the one that people call the file by. Floats of norms are no matrix. */
static void types_are_listed_by_their_bytes(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    struct counted counted = count(&tiny);

    assert_int_equal(counted.type_count, 1);
    assert_string_equal(counted.types[0], "Q8_0");
    tiny.layers = 8;
    tiny.head_type = QUANT_F16;
    tiny.type = QUANT_Q4_0;
    tiny.fine_type = QUANT_BF16;
    counted = count(&tiny);
    assert_int_equal(counted.type_count, 3);
    assert_string_equal(counted.types[0], "Q4_0");
    assert_string_equal(counted.types[1], "BF16");
    assert_string_equal(counted.types[2], "F16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_median_has_as_many_below_as_above),
        cmocka_unit_test(what_takes_long_is_done_less_often_within_the_bounds),
        cmocka_unit_test(a_token_multiplies_with_every_matrix_of_the_layers),
        cmocka_unit_test(a_token_reads_every_weight_but_an_embedding_of_its_own),
        cmocka_unit_test(finer_tensors_are_read_as_what_they_are),
        cmocka_unit_test(types_are_listed_by_their_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
