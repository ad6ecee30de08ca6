/* A model that takes the place of the real one in the test that includes this: it defines the
 * functions of model.h, backend.h, vocab.h and chat_template.h that the engine calls, so the linker
 * leaves the real ones in their archive.
 *
 * Its vocabulary is the 256 bytes; the text "a" is the token 'a'. After a token it says the next
 * one, and 'a' after 'z', so that "a" is continued with "bcdef..." for ever. Byte 0 ends a text. */
#ifndef RBEE_TESTS_UNIT_FAKE_MODEL_H
#define RBEE_TESTS_UNIT_FAKE_MODEL_H

#include "hip/backend/backend.h"
#include "hip/engine/kv.h"
#include "hip/model/model.h"
#include "hip/text/candidates.h"
#include "hip/text/chat_template.h"
#include "hip/text/vocab.h"

#include "common/mem.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_CONTEXT_TOKENS = 4096 };

enum { VOCAB_COUNT = 256 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum err_kind load_failure;
    enum err_kind step_failure;
    bool is_nan;
    bool is_deep;
    bool picks;
    bool is_held;
    unsigned let_count;
    unsigned step_count; /* the warm-up is the first */
    unsigned row_count;
    unsigned picked_step_count;
    unsigned tokenized_bytes;
    const char *said; /* NULL: as above */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Opaque to the engine; only their addresses are used. */
static char a_model, a_vocab, a_format, a_backend;

/* The block table is the real one. What was written at each place of the store is kept, and each
 * row sees what a real one would see: the tokens of its sequence, through the table. */
struct session {
    struct kv_table *table;
    uint32_t sequence_count;
    uint32_t *store; /* [block][KV_BLOCK_TOKENS] */
};

/* ---- for the test ---- */

static inline void fake_lock(void)
{
    pthread_mutex_lock(&fake.lock);
}

static inline void fake_unlock(void)
{
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

/* Everything as it is when all is well; before engine_new(). */
static inline void fake_model_reset(void)
{
    fake_lock();
    fake.load_failure = ERR_NONE;
    fake.step_failure = ERR_NONE;
    fake.is_nan = false;
    fake.is_deep = false;
    fake.picks = false;
    fake.is_held = false;
    fake.let_count = 0;
    fake.step_count = 0;
    fake.row_count = 0;
    fake.picked_step_count = 0;
    fake.tokenized_bytes = 0;
    fake.said = NULL;
    fake_unlock();
}

static inline void fake_model_fail_load(enum err_kind kind)
{
    fake_lock();
    fake.load_failure = kind;
    fake_unlock();
}

/* Steps fail with this until told otherwise (ERR_NONE). */
static inline void fake_model_fail_steps(enum err_kind kind)
{
    fake_lock();
    fake.step_failure = kind;
    fake_unlock();
}

static inline void fake_model_make_nan(bool is_nan)
{
    fake_lock();
    fake.is_nan = is_nan;
    fake_unlock();
}

/* What it says depends on every token of the sequence, as a model's does: fake_deep_next(). */
static inline void fake_model_make_deep(void)
{
    fake_lock();
    fake.is_deep = true;
    fake_unlock();
}

/* It gives candidates where they are wanted, as a device that picks them. */
static inline void fake_model_make_picking(void)
{
    fake_lock();
    fake.picks = true;
    fake_unlock();
}

/* Steps that gave candidates instead of logits. */
static inline unsigned fake_model_picked_step_count(void)
{
    unsigned count = 0;

    fake_lock();
    count = fake.picked_step_count;
    fake_unlock();
    return count;
}

/* After a prompt of one token it says the bytes of TEXT, which must outlive it, and ends. */
static inline void fake_model_say(const char *text)
{
    fake_lock();
    fake.said = text;
    fake_unlock();
}

/* Closes a gate: no step begins until one is let through. */
static inline void fake_model_hold_steps(void)
{
    fake_lock();
    fake.is_held = true;
    fake.let_count = 0;
    fake_unlock();
}

static inline void fake_model_let_steps(unsigned count)
{
    fake_lock();
    fake.let_count += count;
    fake_unlock();
}

static inline void fake_model_release_steps(void)
{
    fake_lock();
    fake.is_held = false;
    fake_unlock();
}

/* What has been computed since the reset, without the warm-up. */
static inline unsigned fake_model_step_count(void)
{
    unsigned count = 0;

    fake_lock();
    count = fake.step_count - 1;
    fake_unlock();
    return count;
}

static inline unsigned fake_model_row_count(void)
{
    unsigned count = 0;

    fake_lock();
    count = fake.row_count - 1;
    fake_unlock();
    return count;
}

/* Of prompts, since the reset. */
static inline unsigned fake_model_tokenized_bytes(void)
{
    unsigned count = 0;

    fake_lock();
    count = fake.tokenized_bytes;
    fake_unlock();
    return count;
}

/* Returns when that many steps have been computed. */
static inline void fake_model_wait_for_steps(unsigned count)
{
    fake_lock();
    while (fake.step_count - 1 < count)
        pthread_cond_wait(&fake.changed, &fake.lock);
    fake_unlock();
}

/* ---- model.h, backend.h ---- */

struct model *model_open(const char *path, struct err *err)
{
    enum err_kind kind = ERR_NONE;

    fake_lock();
    kind = fake.load_failure;
    fake_unlock();
    if (kind != ERR_NONE)
        return err_set_null(err, kind, "the fake was told to fail");
    return (struct model *)&a_model;
}

void model_free(struct model *model)
{
}

/* A file that says nothing. */
const struct gguf *model_gguf(const struct model *model)
{
    /* magic, version 3, no tensors, no metadata */
    static const uint64_t EMPTY[] = {0x46554747UL | 3UL << 32, 0, 0};
    static struct gguf *gguf;
    struct err err = ERR_INIT;

    if (gguf == NULL)
        gguf = gguf_open_memory(EMPTY, sizeof(EMPTY), &err);
    return gguf;
}

uint32_t model_vocab_count(const struct model *model)
{
    return VOCAB_COUNT;
}

uint32_t model_context_tokens(const struct model *model)
{
    return FAKE_CONTEXT_TOKENS;
}

struct backend *backend_new_beside(const char *device, uint32_t threads, struct backend *other,
                                   struct err *err)
{
    return (struct backend *)&a_backend;
}

void backend_free(struct backend *backend)
{
}

bool backend_is_gpu(const char *device)
{
    return false;
}

int backend_check_kv_type(const struct backend *backend, const char *device, enum kv_type type,
                          struct err *err)
{
    return 0;
}

struct session *session_new_over(const struct model *model, struct session_device *devices,
                                 uint32_t device_count, const struct session_options *options,
                                 struct err *err)
{
    struct session *session = xcalloc(1, sizeof(*session));
    uint32_t blocks = (options->context_tokens + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS;

    session->sequence_count = options->sequence_count;
    session->table = kv_table_new(blocks, options->sequence_count);
    session->store = xcalloc((size_t)blocks * KV_BLOCK_TOKENS, sizeof(*session->store));
    options->on_progress(options->owner, 1, 2);
    options->on_progress(options->owner, 2, 2);
    return session;
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    kv_table_free(session->table);
    free(session->store);
    free(session);
}

uint64_t session_memory_bytes(const struct session *session)
{
    return 1000;
}

uint64_t session_device_bytes(const struct session *session, uint32_t device_index)
{
    return 1000;
}

uint32_t session_device_layers(const struct session *session, uint32_t device_index)
{
    return 1;
}

uint32_t session_context_tokens(const struct session *session)
{
    return FAKE_CONTEXT_TOKENS;
}

struct kv_table *session_kv_table(struct session *session)
{
    return session->table;
}

static uint32_t fake_next(uint32_t token)
{
    return token == 'z' ? 'a' : (token + 1) % VOCAB_COUNT;
}

/* What is said after COUNT tokens when the fake is deep: a letter that each of them decides. */
static uint32_t fake_deep_next(uint32_t hash)
{
    return 'a' + (hash >> 16) % 26;
}

static uint32_t fake_deep_hash(uint32_t hash, uint32_t token)
{
    return (hash ^ token) * 2654435761u + 1;
}

static uint32_t *fake_place(const struct session *session, uint32_t sequence, uint32_t position)
{
    const uint32_t *blocks = kv_table_blocks(session->table) +
                             (size_t)sequence * kv_table_blocks_per_sequence(session->table);

    return session->store + (size_t)blocks[position / KV_BLOCK_TOKENS] * KV_BLOCK_TOKENS +
           position % KV_BLOCK_TOKENS;
}

static uint32_t fake_answer(const struct session *session, const struct batch_row *row,
                            bool is_deep, const char *said)
{
    uint32_t hash = 0;

    if (said != NULL)
        return (unsigned char)said[row->position];
    if (!is_deep)
        return fake_next(row->token);
    for (uint32_t position = 0; position <= row->position; position++)
        hash = fake_deep_hash(hash, *fake_place(session, row->sequence, position));
    return fake_deep_next(hash);
}

/* As the real one places them: the sequences are as before when there is no room. */
static int fake_place_rows(struct session *session, const struct batch_row *rows, uint32_t count,
                           struct err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        assert(rows[i].position == kv_table_length(session->table, rows[i].sequence));
        if (kv_table_append(session->table, rows[i].sequence, rows[i].token, err) != 0) {
            while (i-- > 0)
                kv_table_truncate(session->table, rows[i].sequence, rows[i].position);
            return -1;
        }
        *fake_place(session, rows[i].sequence, rows[i].position) = rows[i].token;
    }
    return 0;
}

/* Rows that decode come first, and each has its sequence to itself. */
static void fake_check_decodes(const struct batch_row *rows, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        assert(!rows[i].is_decode || rows[i - 1].is_decode);
        assert(!rows[i - 1].is_decode || rows[i].sequence != rows[i - 1].sequence);
    }
}

int session_step(struct session *session, const struct batch_row *rows, uint32_t count,
                 float *logits, struct err *err)
{
    enum err_kind failure = ERR_NONE;
    bool is_nan = false;
    bool is_deep = false;
    const char *said = NULL;

    fake_lock();
    while (fake.is_held && fake.let_count == 0)
        pthread_cond_wait(&fake.changed, &fake.lock);
    if (fake.is_held)
        fake.let_count--;
    fake.step_count++;
    fake.row_count += count;
    failure = fake.step_failure;
    is_nan = fake.is_nan;
    is_deep = fake.is_deep;
    said = fake.said;
    fake_unlock();
    if (failure != ERR_NONE)
        return err_set(err, failure, "the fake was told to fail");
    if (fake_place_rows(session, rows, count, err) != 0)
        return -1;
    fake_check_decodes(rows, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t answer = 0;

        if (!rows[i].wants_logits)
            continue;
        answer = fake_answer(session, &rows[i], is_deep, said);
        for (uint32_t token = 0; token < VOCAB_COUNT; token++)
            logits[token] = is_nan ? NAN : (float)(token == answer);
        logits += VOCAB_COUNT;
    }
    for (uint32_t sequence = 0; sequence < session->sequence_count; sequence++)
        kv_table_commit(session->table, sequence);
    return 0;
}

/* The candidates of a row of logits, which nobody is to read any more. */
static void fake_pick(float *logits, uint32_t count, uint64_t *out)
{
    uint64_t rising[CANDIDATES_PICKED_MAX_COUNT];
    uint32_t found = candidates_top(rising, logits, VOCAB_COUNT, count);

    for (uint32_t i = 0; i < count; i++)
        out[i] = i < found ? rising[found - 1 - i] : CANDIDATE_NONE;
    if (isnan(logits[0]))
        out[0] = CANDIDATE_FAULTY;
    for (uint32_t token = 0; token < VOCAB_COUNT; token++)
        logits[token] = NAN;
}

int session_step_into(struct session *session, const struct batch_row *rows, uint32_t count,
                      struct step_output *output, struct err *err)
{
    uint32_t at = 0;

    output->is_picked = false;
    if (session_step(session, rows, count, output->logits, err) != 0)
        return -1;
    fake_lock();
    output->is_picked = fake.picks && output->picked_count > 0;
    fake.picked_step_count += output->is_picked;
    fake_unlock();
    for (uint32_t i = 0; i < count && output->is_picked; i++) {
        if (!rows[i].wants_logits)
            continue;
        fake_pick(output->logits + (size_t)at * VOCAB_COUNT, output->picked_count,
                  output->picked + (size_t)at * output->picked_count);
        at++;
    }
    return 0;
}

/* ---- vocab.h, chat_template.h ---- */

struct vocab *vocab_new(const struct gguf *gguf, struct err *err)
{
    return (struct vocab *)&a_vocab;
}

void vocab_free(struct vocab *vocab)
{
}

uint32_t vocab_count(const struct vocab *vocab)
{
    return VOCAB_COUNT;
}

uint32_t vocab_bos(const struct vocab *vocab)
{
    return VOCAB_NONE;
}

bool vocab_adds_space(const struct vocab *vocab)
{
    return false;
}

bool vocab_is_end(const struct vocab *vocab, uint32_t token)
{
    return token == 0;
}

const char *vocab_piece(const struct vocab *vocab, uint32_t token, bool with_control,
                        size_t *out_len)
{
    static char pieces[VOCAB_COUNT];

    pieces[token] = (char)token;
    *out_len = 1;
    return &pieces[token];
}

struct chat_format *chat_format_new(const struct gguf *gguf, struct err *err)
{
    return (struct chat_format *)&a_format;
}

void chat_format_free(struct chat_format *format)
{
}

int chat_format_raw(const struct vocab *vocab, const char *text, size_t len, struct token_list *out,
                    struct err *err)
{
    for (size_t i = 0; i < len; i++) {
        fake_lock();
        fake.tokenized_bytes++;
        fake_unlock();
        if (token_list_add(out, (unsigned char)text[i], err) < 0)
            return -1;
    }
    return 0;
}

int chat_format_render(const struct chat_format *format, const struct vocab *vocab,
                       const json_t *messages, struct token_list *out, struct err *err)
{
    const json_t *first = json_array_get(messages, 0);
    const char *text = json_string_value(json_object_get(first, "content"));

    return chat_format_raw(vocab, text, strlen(text), out, err);
}

#endif
