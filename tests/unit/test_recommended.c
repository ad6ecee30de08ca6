/* What a model's file recommends holds where a request says nothing, and only within the bounds
 * that a request has. */
#include "hip/text/recommended.h"
#include "tests/gguf_writer.h"

#include <math.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { FILE_MAX_BYTES = 4096 };

static const struct inference_request OURS = {
    .temperature = 0.8, .top_p = 0.95, .top_k = 40, .repeat_penalty = 1, .mirostat_tau = 5};

static void add_f32(struct gguf_writer *writer, const char *key, float value)
{
    uint32_t bits = 0;

    memcpy(&bits, &value, sizeof(bits));
    writer_key(writer, key, GGUF_F32);
    writer_u32(&writer->entries, bits);
}

static void apply(struct gguf_writer *writer, struct inference_request *request)
{
    struct err err = ERR_INIT;
    struct gguf *gguf = NULL;
    struct buf file;

    buf_init(&file, FILE_MAX_BYTES);
    writer_finish(writer, &file);
    gguf = gguf_open_memory(file.data, file.len, &err);
    assert_non_null(gguf);
    recommended_apply(gguf, request);
    gguf_free(gguf);
    buf_release(&file);
    writer_release(writer);
}

static void a_recommendation_holds_where_a_request_says_nothing(void **state)
{
    struct inference_request request = OURS;
    struct gguf_writer writer;

    writer_init(&writer, FILE_MAX_BYTES);
    add_f32(&writer, "general.sampling.temp", 0.5f);
    add_f32(&writer, "general.sampling.top_p", 0.25f);
    add_f32(&writer, "general.sampling.penalty_repeat", 1.5f);
    writer_add_u32(&writer, "general.sampling.top_k", 20);
    writer_add_u32(&writer, "general.sampling.mirostat", 2);
    request.top_p = 0.75;
    request.given = 1U << INFERENCE_FIELD_top_p;
    apply(&writer, &request);
    assert_true(request.temperature == 0.5);
    assert_true(request.top_p == 0.75); /* the request's own */
    assert_true(request.repeat_penalty == 1.5);
    assert_true(request.top_k == 20 && request.mirostat == 2);
    assert_true(request.mirostat_tau == 5); /* ours */
}

static void what_is_out_of_range_recommends_nothing(void **state)
{
    struct inference_request request = OURS;
    struct gguf_writer writer;

    writer_init(&writer, FILE_MAX_BYTES);
    add_f32(&writer, "general.sampling.temp", -1);
    add_f32(&writer, "general.sampling.top_p", NAN);
    add_f32(&writer, "general.sampling.penalty_repeat", 0);
    writer_add_text(&writer, "general.sampling.top_k", "20");
    writer_add_u32(&writer, "general.sampling.mirostat", 3);
    add_f32(&writer, "general.sampling.mirostat_tau", INFINITY);
    apply(&writer, &request);
    assert_memory_equal(&request, &OURS, sizeof(request));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recommendation_holds_where_a_request_says_nothing),
        cmocka_unit_test(what_is_out_of_range_recommends_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
