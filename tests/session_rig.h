/* A tiny model on a device, as tests of whole steps use it. */
#ifndef RBEE_TESTS_SESSION_RIG_H
#define RBEE_TESTS_SESSION_RIG_H

#include "hip/model/model.h"

#include "common/buf.h"
#include "hip/backend/backend.h"
#include "tests/devices.h"
#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { RIG_FILE_MAX_BYTES = 64 * 1024 * 1024 };

struct rig {
    struct buf file;
    struct model *model;
    struct backend *backend;
    struct session *session; /* NULL until rig_begin() */
    uint32_t vocab_count;
};

static inline void rig_open(struct rig *rig, const struct tiny_model *tiny, const char *device)
{
    struct err err = ERR_INIT;

    *rig = (struct rig){0};
    buf_init(&rig->file, RIG_FILE_MAX_BYTES);
    tiny_model_build(tiny, &rig->file);
    rig->model = model_open_memory(rig->file.data, rig->file.len, &err);
    if (rig->model == NULL)
        fail_msg("%s", err.message);
    rig->backend = device_open(device, 2, &err);
    if (rig->backend == NULL)
        fail_msg("%s", err.message);
    rig->vocab_count = model_vocab_count(rig->model);
}

static inline void rig_begin(struct rig *rig, const struct session_options *options)
{
    struct err err = ERR_INIT;

    rig->session = session_new(rig->model, rig->backend, options, &err);
    if (rig->session == NULL)
        fail_msg("%s", err.message);
}

static inline void rig_release(struct rig *rig)
{
    session_free(rig->session);
    backend_free(rig->backend);
    model_free(rig->model);
    buf_release(&rig->file);
}

/* What a sequence of a test says: each has words of its own. */
static inline uint32_t rig_token(uint32_t sequence, uint32_t position)
{
    return (position * 31 + sequence * 17 + 5) % 256;
}

static inline struct batch_row rig_row(uint32_t sequence, uint32_t position, bool is_decode)
{
    return (struct batch_row){.token = rig_token(sequence, position),
                              .position = position,
                              .sequence = sequence,
                              .wants_logits = is_decode,
                              .is_decode = is_decode};
}

/* COUNT positions of SEQUENCE from FIRST on as a prompt, without logits. */
static inline uint32_t rig_add_prompt(struct batch_row *rows, uint32_t sequence, uint32_t first,
                                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        rows[i] = rig_row(sequence, first + i, false);
    return count;
}

static inline void rig_step(struct rig *rig, const struct batch_row *rows, uint32_t count,
                            float *logits)
{
    struct err err = ERR_INIT;

    if (session_step(rig->session, rows, count, logits, &err) != 0)
        fail_msg("%s", err.message);
}

#endif
