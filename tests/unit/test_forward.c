/* A whole model on a device: what a batch computes is what its rows one by one compute, a truncated
 * sequence goes on as if the rest had never been, sequences do not see each other, and the options
 * of the file change what they should. */
#include "hip/model/model.h"

#include "common/attr.h"
#include "hip/backend/backend.h"
#include "hip/engine/kv.h"
#include "tests/refused_model.h"
#include "tests/session_rig.h"

enum { TOKENS = 100, CONTEXT = 128, SEQUENCES = 6 };

/* Logits of two ways to the same place: what is left is the order of sums and half-precision KV. */
static const double SAME = 1e-5;

static void rig_init(struct rig *rig, const struct tiny_model *tiny, const char *device)
{
    struct session_options options = {.context_tokens = CONTEXT, .sequence_count = SEQUENCES};

    rig_open(rig, tiny, device);
    rig_begin(rig, &options);
}

/* Computes positions FIRST to FIRST + COUNT of SEQUENCE in one step; the last row's logits to
 * LOGITS. */
static void run_rows(struct rig *rig, uint32_t sequence, uint32_t first, uint32_t count,
                     float *logits)
{
    struct batch_row rows[TOKENS];
    struct err err = ERR_INIT;

    for (uint32_t i = 0; i < count; i++)
        rows[i] = (struct batch_row){.token = rig_token(sequence, first + i),
                                     .position = first + i,
                                     .sequence = sequence,
                                     .wants_logits = i == count - 1};
    if (session_step(rig->session, rows, count, logits, &err) != 0)
        fail_msg("%s", err.message);
}

static float *new_logits(const struct rig *rig, uint32_t rows)
{
    float *logits = calloc((size_t)rows * rig->vocab_count, sizeof(*logits));

    assert_non_null(logits);
    return logits;
}

static double distance(const float *a, const float *exact, size_t count)
{
    double wrong = 0.0;
    double size = 0.0;

    for (size_t i = 0; i < count; i++) {
        wrong += ((double)a[i] - (double)exact[i]) * ((double)a[i] - (double)exact[i]);
        size += (double)exact[i] * (double)exact[i];
    }
    return wrong / size;
}

/* Logits after TOKENS tokens of a model on DEVICE. The caller frees. */
static float *logits_of(const struct tiny_model *tiny, const char *device)
{
    struct rig rig;
    float *logits = NULL;

    rig_init(&rig, tiny, device);
    logits = new_logits(&rig, 1);
    run_rows(&rig, 0, 0, TOKENS, logits);
    rig_release(&rig);
    return logits;
}

static void a_batch_equals_its_rows_one_by_one(void **state)
{
    static const char *const DEVICES[] = {"cpu", "cpu-plain", "ref", EMULATOR_32, EMULATOR_64};
    static const uint32_t BATCHES[] = {2, 7, 32, 33, TOKENS};
    struct tiny_model tiny = tiny_model_default();

    for (size_t d = 0; d < ARRAY_COUNT(DEVICES); d++) {
        AUTO_FREE float *one_by_one = NULL;
        AUTO_FREE float *batched = NULL;
        struct rig rig;

        rig_init(&rig, &tiny, DEVICES[d]);
        one_by_one = new_logits(&rig, 1);
        batched = new_logits(&rig, 1);
        for (uint32_t i = 0; i < TOKENS; i++)
            run_rows(&rig, 0, i, 1, one_by_one);
        for (size_t b = 0; b < ARRAY_COUNT(BATCHES); b++) {
            kv_table_truncate(session_kv_table(rig.session), 0, 0);
            for (uint32_t i = 0; i < TOKENS; i += BATCHES[b])
                run_rows(&rig, 0, i, TOKENS - i < BATCHES[b] ? TOKENS - i : BATCHES[b], batched);
            assert_true(distance(batched, one_by_one, rig.vocab_count) <= SAME);
        }
        rig_release(&rig);
    }
}

/* Bit for bit: how a prompt is cut depends on the time a step takes, the answer may not. */
static void every_split_of_a_prompt_gives_the_same_logits(void **state)
{
    static const char *const DEVICES[] = {"cpu", "cpu-plain"};
    static const uint32_t SPLITS[] = {1, 2, 3, 7, 8, 9, 31, 33, 64};
    struct tiny_model kinds[3];

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        kinds[i] = tiny_model_default();
    kinds[0].embedding = 576; /* longer than a strip of the plain loops */
    kinds[0].type = QUANT_Q4_1;
    kinds[1].embedding = 264; /* no multiple of a block of the fast loops */
    kinds[1].type = kinds[1].head_type = QUANT_F16;
    kinds[2].feed_forward = 544;
    kinds[2].type = QUANT_Q4_0;
    for (size_t i = 0; i < ARRAY_COUNT(kinds) * ARRAY_COUNT(DEVICES); i++) {
        AUTO_FREE float *whole = NULL;
        AUTO_FREE float *split = NULL;
        struct rig rig;

        rig_init(&rig, &kinds[i / ARRAY_COUNT(DEVICES)], DEVICES[i % ARRAY_COUNT(DEVICES)]);
        whole = new_logits(&rig, 1);
        split = new_logits(&rig, 1);
        run_rows(&rig, 0, 0, TOKENS, whole);
        for (size_t s = 0; s < ARRAY_COUNT(SPLITS); s++) {
            kv_table_truncate(session_kv_table(rig.session), 0, 0);
            for (uint32_t at = 0; at < TOKENS; at += SPLITS[s])
                run_rows(&rig, 0, at, TOKENS - at < SPLITS[s] ? TOKENS - at : SPLITS[s], split);
            if (memcmp(split, whole, rig.vocab_count * sizeof(*whole)) != 0)
                fail_msg("%s, kind %zu: steps of %u give other logits",
                         DEVICES[i % ARRAY_COUNT(DEVICES)], i / ARRAY_COUNT(DEVICES), SPLITS[s]);
        }
        rig_release(&rig);
    }
}

static void every_row_that_wants_logits_gets_its_own(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    AUTO_FREE float *together = NULL;
    AUTO_FREE float *alone = NULL;
    struct batch_row rows[12];
    struct err err = ERR_INIT;
    struct rig rig;

    rig_init(&rig, &tiny, "cpu");
    together = new_logits(&rig, 12);
    alone = new_logits(&rig, 1);
    for (uint32_t i = 0; i < 12; i++)
        rows[i] = (struct batch_row){
            .token = rig_token(0, i), .position = i, .wants_logits = i == 2 || i >= 10};
    assert_int_equal(session_step(rig.session, rows, 12, together, &err), 0);
    kv_table_truncate(session_kv_table(rig.session), 0, 0);
    run_rows(&rig, 0, 0, 3, alone);
    assert_true(distance(together, alone, rig.vocab_count) <= SAME);
    run_rows(&rig, 0, 3, 8, alone);
    assert_true(distance(together + rig.vocab_count, alone, rig.vocab_count) <= SAME);
    run_rows(&rig, 0, 11, 1, alone);
    assert_true(distance(together + 2 * (size_t)rig.vocab_count, alone, rig.vocab_count) <= SAME);
    rig_release(&rig);
}

static void a_truncated_sequence_goes_on_as_if_the_rest_had_never_been(void **state)
{
    static const uint32_t CUTS[] = {0, 1, 31, 32, 33, 63, 64};
    struct tiny_model tiny = tiny_model_default();
    AUTO_FREE float *straight = NULL;
    AUTO_FREE float *again = NULL;
    struct rig rig;

    rig_init(&rig, &tiny, "cpu");
    straight = new_logits(&rig, 1);
    again = new_logits(&rig, 1);
    run_rows(&rig, 0, 0, 80, straight);
    for (size_t i = 0; i < ARRAY_COUNT(CUTS); i++) {
        struct batch_row wrong = {.token = 99, .position = CUTS[i]};
        struct err err = ERR_INIT;

        kv_table_truncate(session_kv_table(rig.session), 0, CUTS[i]);
        assert_int_equal(session_step(rig.session, &wrong, 1, NULL, &err), 0);
        kv_table_truncate(session_kv_table(rig.session), 0, CUTS[i]);
        run_rows(&rig, 0, CUTS[i], 80 - CUTS[i], again);
        assert_true(distance(again, straight, rig.vocab_count) <= SAME);
    }
    rig_release(&rig);
}

/* Two sequences in the same steps give what each gives alone. */
static void sequences_in_one_batch_do_not_see_each_other(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    AUTO_FREE float *mixed = NULL;
    AUTO_FREE float *alone = NULL;
    struct err err = ERR_INIT;
    struct rig rig;

    rig_init(&rig, &tiny, "cpu");
    mixed = new_logits(&rig, 2);
    alone = new_logits(&rig, 1);
    for (uint32_t position = 0; position < 40; position++) {
        struct batch_row rows[2] = {
            {.token = rig_token(3, position), .position = position, .sequence = 3},
            {.token = rig_token(5, position), .position = position, .sequence = 5},
        };

        rows[0].wants_logits = rows[1].wants_logits = position == 39;
        assert_int_equal(session_step(rig.session, rows, 2, mixed, &err), 0);
    }
    kv_table_truncate(session_kv_table(rig.session), 3, 0);
    kv_table_truncate(session_kv_table(rig.session), 5, 0);
    run_rows(&rig, 3, 0, 40, alone);
    assert_true(distance(mixed, alone, rig.vocab_count) <= SAME);
    kv_table_truncate(session_kv_table(rig.session), 3, 0);
    run_rows(&rig, 5, 0, 40, alone);
    assert_true(distance(mixed + rig.vocab_count, alone, rig.vocab_count) <= SAME);
    rig_release(&rig);
}

static void a_step_that_finds_no_room_changes_nothing(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    AUTO_FREE float *before = NULL;
    AUTO_FREE float *after = NULL;
    struct batch_row rows[64];
    struct err err = ERR_INIT;
    struct rig rig;

    rig_init(&rig, &tiny, "cpu");
    before = new_logits(&rig, 1);
    after = new_logits(&rig, 1);
    run_rows(&rig, 0, 0, 70, before); /* three of the four blocks */
    kv_table_truncate(session_kv_table(rig.session), 0, 69);
    for (uint32_t i = 0; i < 64; i++)
        rows[i] = (struct batch_row){.token = 1, .position = i, .sequence = 1};
    assert_int_equal(session_step(rig.session, rows, 64, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_NO_MEMORY);
    assert_int_equal(session_step(rig.session, rows, 32, NULL, &err), 0);
    run_rows(&rig, 0, 69, 1, after);
    assert_true(distance(after, before, rig.vocab_count) <= SAME);
    rig_release(&rig);
}

static void every_kind_of_small_model_agrees_with_ref(void **state)
{
    struct tiny_model kinds[8];

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        kinds[i] = tiny_model_default();
    kinds[1].type = QUANT_Q4_1;
    kinds[2].type = QUANT_F16;
    kinds[2].head_type = QUANT_F32;
    kinds[3].is_untied = true;
    kinds[4].has_rope_freqs = true;
    kinds[5].rope_dims = 8;
    kinds[6].kv_heads = 1;
    kinds[6].type = QUANT_BF16;
    kinds[7].head_dim = 32; /* heads * head_dim is not the embedding */
    kinds[7].rope_dims = 32;
    kinds[7].type = QUANT_Q4_0;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        AUTO_FREE float *exact = logits_of(&kinds[i], "ref");
        AUTO_FREE float *cpu = logits_of(&kinds[i], "cpu");

        if (!(distance(cpu, exact, tiny_vocab_count()) <= SAME))
            fail_msg("kind %zu: %g", i, distance(cpu, exact, tiny_vocab_count()));
    }
}

/* An option that is read but not obeyed would pass every comparison of a device with another. */
static void what_the_file_says_changes_the_answer(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    AUTO_FREE float *plain = logits_of(&tiny, "ref");
    AUTO_FREE float *partly_turned = NULL;
    AUTO_FREE float *slowed = NULL;

    tiny.rope_dims = 8;
    partly_turned = logits_of(&tiny, "ref");
    tiny.rope_dims = 16;
    tiny.has_rope_freqs = true;
    slowed = logits_of(&tiny, "ref");
    assert_true(distance(partly_turned, plain, tiny_vocab_count()) > 1e-3);
    assert_true(distance(slowed, plain, tiny_vocab_count()) > 1e-3);
}

/* Linear is what a factor means when no type is named, and what the old key meant. */
static void a_rope_factor_is_obeyed_under_each_of_its_names(void **state)
{
    struct tiny_model plain = tiny_model_default();
    struct tiny_model named = plain;
    struct tiny_model unnamed = plain;
    struct tiny_model old = plain;
    struct tiny_model off = plain;
    AUTO_FREE float *exact = logits_of(&plain, "ref");
    AUTO_FREE float *scaled = NULL;
    AUTO_FREE float *by_factor = NULL;
    AUTO_FREE float *by_old_key = NULL;
    AUTO_FREE float *by_none = NULL;
    AUTO_FREE float *without_factor = NULL;
    size_t size = tiny_vocab_count() * sizeof(float);

    named.rope_type = "linear";
    without_factor = logits_of(&named, "ref");
    named.rope_factor = unnamed.rope_factor = off.rope_factor = old.rope_scale_linear = 4.0f;
    scaled = logits_of(&named, "ref");
    by_factor = logits_of(&unnamed, "ref");
    by_old_key = logits_of(&old, "ref");
    off.rope_type = "none";
    by_none = logits_of(&off, "ref");
    assert_true(distance(scaled, exact, tiny_vocab_count()) > 1e-3);
    assert_memory_equal(by_factor, scaled, size);
    assert_memory_equal(by_old_key, scaled, size);
    assert_memory_equal(by_none, exact, size);
    assert_memory_equal(without_factor, exact, size);
}

static void nan_weights_give_nan_logits(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    AUTO_FREE float *logits = NULL;

    tiny.nan_weights = true;
    logits = logits_of(&tiny, "cpu");
    for (uint32_t i = 0; i < tiny_vocab_count(); i++)
        assert_true(isnan(logits[i]));
}

struct progress {
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t longest_bytes;
};

static void note_progress(void *owner, uint64_t done_bytes, uint64_t total_bytes)
{
    struct progress *progress = owner;
    uint64_t piece = done_bytes - progress->done_bytes;

    assert_true(done_bytes > progress->done_bytes);
    progress->longest_bytes = piece > progress->longest_bytes ? piece : progress->longest_bytes;
    progress->done_bytes = done_bytes;
    progress->total_bytes = total_bytes;
}

/* A reader of progress takes silence for a hang: one large tensor may not be one silence. */
static void progress_of_a_large_tensor_comes_in_pieces(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    struct progress progress = {0};
    struct session_options options = {.context_tokens = CONTEXT,
                                      .sequence_count = SEQUENCES,
                                      .on_progress = note_progress,
                                      .owner = &progress};
    struct err err = ERR_INIT;
    struct session *session = NULL;
    struct rig rig;

    tiny.layers = 1;
    tiny.embedding = 16384; /* token_embd has 20 MB */
    tiny.feed_forward = 32;
    tiny.head_type = QUANT_F32;
    rig_init(&rig, &tiny, "cpu");
    session = session_new(rig.model, rig.backend, &options, &err);
    assert_non_null(session);
    assert_int_equal(progress.done_bytes, progress.total_bytes);
    assert_true(progress.total_bytes > 20 * 1000 * 1000);
    assert_int_equal(progress.longest_bytes, 16 * 1024 * 1024);
    session_free(session);
    rig_release(&rig);
}

/* ---- what is no model ---- */

static void a_file_that_is_no_model_of_ours_is_refused_by_name(void **state)
{
    struct tiny_model tiny = tiny_model_default();

    tiny.architecture = "mamba";
    expect_refused(&tiny, "architecture mamba is not supported");
    tiny = tiny_model_default();
    tiny.lacks_tensor = true;
    expect_refused(&tiny, "the tensor blk.0.attn_k.weight is missing");
    tiny = tiny_model_default();
    tiny.lacks_head_row = true;
    expect_refused(&tiny, "tokens but rows for only");
    tiny = tiny_model_default();
    tiny.wrong_shape = true;
    expect_refused(&tiny, "blk.0.ffn_down.weight is 64 x 128 x 1 x 1, not 128 x 64");
    tiny = tiny_model_default();
    tiny.kv_heads = 3;
    expect_refused(&tiny, "4 heads cannot share 3 key and value heads");
    tiny = tiny_model_default();
    tiny.rope_dims = 18;
    expect_refused(&tiny, "rope over 18 of 16 dimensions is impossible");
    tiny = tiny_model_default();
    tiny.context = 0;
    expect_refused(&tiny, "llama.context_length is 0");
    tiny = tiny_model_default();
    tiny.is_not_causal = true;
    expect_refused(&tiny, "not causal (llama.attention.causal) is not supported");
    tiny = tiny_model_default();
    tiny.rope_type = "longrope";
    expect_refused(&tiny, "rope scaling of type longrope is not supported");
    tiny = tiny_model_default();
    tiny.rope_factor = -1.0f;
    expect_refused(&tiny, "llama.rope.scaling.factor is -1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_equals_its_rows_one_by_one),
        cmocka_unit_test(every_split_of_a_prompt_gives_the_same_logits),
        cmocka_unit_test(every_row_that_wants_logits_gets_its_own),
        cmocka_unit_test(a_truncated_sequence_goes_on_as_if_the_rest_had_never_been),
        cmocka_unit_test(sequences_in_one_batch_do_not_see_each_other),
        cmocka_unit_test(a_step_that_finds_no_room_changes_nothing),
        cmocka_unit_test(every_kind_of_small_model_agrees_with_ref),
        cmocka_unit_test(what_the_file_says_changes_the_answer),
        cmocka_unit_test(a_rope_factor_is_obeyed_under_each_of_its_names),
        cmocka_unit_test(nan_weights_give_nan_logits),
        cmocka_unit_test(progress_of_a_large_tensor_comes_in_pieces),
        cmocka_unit_test(a_file_that_is_no_model_of_ours_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
