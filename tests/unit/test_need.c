/* What a session takes is known to the byte before it is taken, and who asks for too much hears by
 * how much, and what would fit. */
#include "hip/backend/backend.h"
#include "hip/engine/kv.h"
#include "hip/engine/runtime.h"
#include "hip/model/model.h"
#include "tests/tiny_model.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    FILE_MAX_BYTES = 64 * 1024 * 1024,
    CONTEXT = 4096,
    SLOTS = 6,
    SLOT_BYTES = 3 * 1024 * 1024,
};

/* A backend with as much memory as the test says. */
struct rig {
    struct buf file;
    struct model *model;
    struct backend *backend;
    const struct backend_ops *own_ops;
    struct backend_ops ops;
};

static uint64_t available_bytes;

static uint64_t tell_available(struct backend *backend)
{
    return available_bytes;
}

static void rig_init(struct rig *rig)
{
    struct tiny_model tiny = tiny_model_default();
    struct err err = ERR_INIT;

    tiny.is_untied = true;
    buf_init(&rig->file, FILE_MAX_BYTES);
    tiny_model_build(&tiny, &rig->file);
    rig->model = model_open_memory(rig->file.data, rig->file.len, &err);
    rig->backend = backend_new("ref", 1, &err);
    rig->own_ops = rig->backend->ops;
    rig->ops = *rig->own_ops;
    rig->ops.memory_available = tell_available;
    rig->backend->ops = &rig->ops;
}

static void rig_release(struct rig *rig)
{
    rig->backend->ops = rig->own_ops;
    backend_free(rig->backend);
    model_free(rig->model);
    buf_release(&rig->file);
}

static struct session_options options_of(uint32_t context_tokens, uint32_t slots)
{
    return (struct session_options){
        .context_tokens = context_tokens, .sequence_count = slots, .sequence_bytes = SLOT_BYTES};
}

/* True when it fits what is available; *out_bytes is what it takes then. */
static bool does_fit(struct rig *rig, uint32_t context_tokens, uint32_t slots, uint64_t *out_bytes,
                     struct err *err)
{
    struct session_options options = options_of(context_tokens, slots);
    struct session *session = session_new(rig->model, rig->backend, &options, err);

    if (session == NULL) {
        assert_int_equal(err->kind, ERR_NO_MEMORY);
        return false;
    }
    *out_bytes = session_memory_bytes(session);
    session_free(session);
    return true;
}

static void what_it_takes_must_be_available_to_the_byte(void **state)
{
    static const uint32_t CONTEXTS[] = {1, 31, 32, 33, 500, 513, CONTEXT};
    struct rig rig;
    struct err err = ERR_INIT;

    rig_init(&rig);
    for (size_t i = 0; i < ARRAY_COUNT(CONTEXTS); i++) {
        uint64_t bytes = 0;

        available_bytes = UINT64_MAX;
        assert_true(does_fit(&rig, CONTEXTS[i], SLOTS, &bytes, &err));
        available_bytes = bytes;
        assert_true(does_fit(&rig, CONTEXTS[i], SLOTS, &bytes, &err));
        available_bytes--;
        assert_false(does_fit(&rig, CONTEXTS[i], SLOTS, &bytes, &err));
        err_clear(&err);
    }
    rig_release(&rig);
}

/* Whatever grows with what was asked for is in it. */
static void all_that_grows_is_counted(void **state)
{
    struct rig rig;
    struct err err = ERR_INIT;
    struct backend_kv_shape kv = {.layer_count = 2, .kv_head_count = 2, .head_dim = 16};
    uint64_t base = 0;
    uint64_t bytes = 0;

    rig_init(&rig);
    available_bytes = UINT64_MAX;
    assert_true(does_fit(&rig, CONTEXT, 1, &base, &err));
    assert_true(does_fit(&rig, CONTEXT, SLOTS, &bytes, &err));
    assert_true(bytes - base >= (SLOTS - 1) * SLOT_BYTES);
    assert_true(does_fit(&rig, 2 * CONTEXT, 1, &bytes, &err));
    kv.block_count = CONTEXT / KV_BLOCK_TOKENS;
    assert_true(bytes - base >= rig.own_ops->kv_bytes(rig.backend, &kv));
    rig.ops.scratch_bytes = NULL;
    assert_true(does_fit(&rig, CONTEXT, 1, &bytes, &err));
    assert_true(bytes < base);
    rig_release(&rig);
}

static uint64_t more_scratch(const struct backend *backend,
                             const struct backend_scratch_shape *shape)
{
    assert_int_equal(shape->row_max, SESSION_BATCH_MAX_ROWS);
    assert_int_equal(shape->logit_row_max, SLOTS);
    assert_int_equal(shape->width_max, 128); /* feed_forward */
    assert_int_equal(shape->position_max, CONTEXT);
    return 1000;
}

static void the_backend_says_what_it_takes_itself(void **state)
{
    struct rig rig;
    struct err err = ERR_INIT;
    uint64_t without = 0;
    uint64_t with = 0;

    rig_init(&rig);
    available_bytes = UINT64_MAX;
    rig.ops.scratch_bytes = NULL;
    assert_true(does_fit(&rig, CONTEXT, SLOTS, &without, &err));
    rig.ops.scratch_bytes = more_scratch;
    assert_true(does_fit(&rig, CONTEXT, SLOTS, &with, &err));
    assert_int_equal(with, without + 1000);
    rig_release(&rig);
}

/* As a number behind WORDS in what was said. */
static uint32_t number_behind(const struct err *err, const char *words)
{
    const char *at = strstr(err->message, words);

    if (at == NULL)
        fail_msg("no \"%s\" in \"%s\"", words, err->message);
    return (uint32_t)strtoul(at + strlen(words), NULL, 10);
}

static void who_asks_for_too_much_hears_what_would_fit(void **state)
{
    struct rig rig;
    struct err err = ERR_INIT;
    uint64_t needed = 0;
    uint64_t bytes = 0;
    uint32_t advised = 0;

    rig_init(&rig);
    available_bytes = UINT64_MAX;
    assert_true(does_fit(&rig, CONTEXT, SLOTS, &needed, &err));
    available_bytes = needed - 1200 * 1024;
    assert_false(does_fit(&rig, CONTEXT, SLOTS, &bytes, &err));
    assert_int_equal(number_behind(&err, "a context of "), CONTEXT);
    assert_int_equal(number_behind(&err, "tokens and "), SLOTS);
    assert_int_equal(number_behind(&err, "slots need "), (needed + (1 << 20) - 1) >> 20);
    assert_int_equal(number_behind(&err, "weights; "), available_bytes >> 20);
    assert_int_equal(number_behind(&err, "are available, "), 2); /* 1.17 MiB */
    advised = number_behind(&err, "too few; a context of ");
    assert_non_null(strstr(err.message, " would fit"));
    assert_null(strstr(err.message, "slot would fit"));
    assert_in_range(advised, 1, CONTEXT - 1);
    err_clear(&err);
    assert_true(does_fit(&rig, advised, SLOTS, &bytes, &err)); /* it does, and no more does */
    assert_false(does_fit(&rig, advised + KV_BLOCK_TOKENS, SLOTS, &bytes, &err));
    rig_release(&rig);
}

static void fewer_slots_are_advised_where_no_context_would_help(void **state)
{
    struct rig rig;
    struct err err = ERR_INIT;
    uint64_t bytes = 0;
    uint32_t advised = 0;

    rig_init(&rig);
    available_bytes = UINT64_MAX;
    assert_true(does_fit(&rig, 1, SLOTS, &bytes, &err));
    available_bytes = bytes - 2 * SLOT_BYTES;
    assert_false(does_fit(&rig, CONTEXT, SLOTS, &bytes, &err));
    advised = number_behind(&err, "too few; a context of ");
    assert_non_null(strstr(err.message, "with 1 slot would fit"));
    err_clear(&err);
    assert_true(does_fit(&rig, advised, 1, &bytes, &err));
    rig_release(&rig);
}

static void where_nothing_fits_that_is_said(void **state)
{
    struct rig rig;
    struct err err = ERR_INIT;
    uint64_t bytes = 0;

    rig_init(&rig);
    available_bytes = 1000;
    assert_false(does_fit(&rig, CONTEXT, SLOTS, &bytes, &err));
    assert_non_null(strstr(err.message, "no context would fit, however short"));
    err_clear(&err);
    available_bytes = 0; /* beyond counting, with the longest there can be */
    assert_false(does_fit(&rig, UINT32_MAX, 256, &bytes, &err));
    assert_non_null(strstr(err.message, "0 MiB are available"));
    rig_release(&rig);
}

/* Logits, and what a request's sampler and log-probabilities hold of the vocabulary. */
static void a_slot_takes_its_logits_at_least(void **state)
{
    struct rig rig;

    rig_init(&rig);
    assert_true(runtime_slot_bytes(rig.model) >=
                (uint64_t)model_vocab_count(rig.model) * (2 * sizeof(float) + sizeof(uint64_t)));
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_takes_must_be_available_to_the_byte),
        cmocka_unit_test(all_that_grows_is_counted),
        cmocka_unit_test(the_backend_says_what_it_takes_itself),
        cmocka_unit_test(who_asks_for_too_much_hears_what_would_fit),
        cmocka_unit_test(fewer_slots_are_advised_where_no_context_would_help),
        cmocka_unit_test(where_nothing_fits_that_is_said),
        cmocka_unit_test(a_slot_takes_its_logits_at_least),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
