/* A model: the checked file, its parameters and tensors by role (load.c), and one generic layer
 * (forward.c) that runs it on a backend. A model never changes after model_open; what changes
 * while it runs (KV, scratch) belongs to a session. */
#ifndef RBEE_HIP_MODEL_MODEL_H
#define RBEE_HIP_MODEL_MODEL_H

#include "common/device_name.h"
#include "common/err.h"
#include "common/kv_type.h"
#include "hip/model/gguf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct model;
struct backend;
struct session;
struct kv_table;

/* Maps and checks the file: architecture, parameters, every tensor's presence and shape. Reads no
 * weights. ERR_NO_FILE, ERR_IO, ERR_INVALID_MODEL ("architecture mamba is not supported"). */
struct model *model_open(const char *path, struct err *err);
/* The same on bytes of the caller (see gguf_open_memory). */
struct model *model_open_memory(const void *data, size_t len, struct err *err);
void model_free(struct model *model);
const struct gguf *model_gguf(const struct model *model);
uint32_t model_vocab_count(const struct model *model);    /* rows of the head */
uint32_t model_context_tokens(const struct model *model); /* what it was trained on */
/* One record for --describe: name (as the file calls itself, or null), architecture, parameters,
 * quantisation, size_bytes, context_tokens, template, layers, vocab_tokens. A new reference. */
json_t *model_describe(const struct model *model);

/* ---- running ---- */

struct session_options {
    uint32_t context_tokens; /* capacity of the KV store in tokens, of all sequences together */
    uint32_t sequence_count; /* at most SESSION_SEQUENCE_MAX_COUNT */
    enum kv_type kv_type;    /* one that the backend has */
    /* What the caller takes for each sequence, such as its logits: only counted here. */
    uint64_t sequence_bytes;
    /* Told from time to time while weights are made ready; may be NULL. */
    void (*on_progress)(void *owner, uint64_t done_bytes, uint64_t total_bytes);
    void *owner;
};

/* One that a session runs on. */
struct session_device {
    struct backend *backend; /* borrowed */
    const char *name;        /* in messages; borrowed */
    bool has_failed;         /* what last failed, failed there */
};

/* Makes the weights ready on the devices (borrowed, as MODEL is: all outlive the session) and
 * allocates KV and scratch. The first of two has the embedding and as many layers as make both keep
 * the same share of the memory that is free there, the second the others and the head.
 * ERR_NO_MEMORY, before anything is taken, with the numbers and with what would fit; ERR_CONFIG for
 * more devices than layers; ERR_INVALID_MODEL when the file has changed since it was opened. */
struct session *session_new_over(const struct model *model, struct session_device *devices,
                                 uint32_t device_count, const struct session_options *options,
                                 struct err *err);
/* On BACKEND alone. */
struct session *session_new(const struct model *model, struct backend *backend,
                            const struct session_options *options, struct err *err);
void session_free(struct session *session);
/* Of all devices, and of one of them. */
uint64_t session_memory_bytes(const struct session *session);
uint64_t session_device_bytes(const struct session *session, uint32_t device_index);
uint32_t session_device_layers(const struct session *session, uint32_t device_index);
uint64_t session_kv_bytes(const struct session *session);
uint32_t session_context_tokens(const struct session *session);

/* What a session of MODEL takes on BACKEND, as session_memory_bytes() counts: weights and the
 * scratch of the longest step, and more for each sequence and for each token of its context, in
 * whole blocks. The tokenizer is not in it: it is there before, and so missing in what is
 * available. */
struct session_need {
    uint64_t fixed_bytes;
    uint64_t sequence_bytes;
    uint64_t token_bytes;
};
void session_need(const struct model *model, struct backend *backend,
                  const struct session_options *options, struct session_need *out);
/* For who plans with two devices: what the first takes beside its layers (with the embedding), what
 * the last does (with the head, and a tied embedding again), and the weights of all layers. */
struct session_split_need {
    uint64_t first_bytes;
    uint64_t last_bytes;
    uint64_t layers_bytes;
};
void session_split_need(const struct model *model, struct backend *backend,
                        const struct session_options *options, struct session_split_need *out);

enum { SESSION_BATCH_MAX_ROWS = 512, SESSION_SEQUENCE_MAX_COUNT = 256 };

/* One step: COUNT rows (1 to SESSION_BATCH_MAX_ROWS), any mix of sequences. */
struct batch_row {
    uint32_t token;    /* below vocab_count */
    uint32_t position; /* the length of its sequence so far: none is left out or written again */
    uint32_t sequence; /* below the session's sequence_count */
    bool wants_logits;
    bool is_decode; /* as backend_step.decode_row_count counts them; they come first */
};
/* Computes the rows, writes K and V at their positions and, for each row that wants them, logits to
 * LOGITS [rows that want them][vocab_count], in row order. Positions must lie below the session's
 * context (the caller checks). ERR_NO_MEMORY when the sequences together need more KV blocks than
 * the session has, ERR_DEVICE or ERR_NO_MEMORY when the backend fails: the sequences are then as
 * they were before the step. */
int session_step(struct session *session, const struct batch_row *rows, uint32_t count,
                 float *logits, struct err *err);

/* What a step leaves of each row that wants logits: these, or the most probable candidates alone,
 * which a device with memory of its own picks so that not all logits have to leave it. */
struct step_output {
    float *logits;         /* [row][vocab_count] */
    uint64_t *picked;      /* [row][picked_count], as sampler_pick_from() takes them */
    uint32_t picked_count; /* wanted: at most CANDIDATES_PICKED_MAX_COUNT; 0: logits are wanted */
    uint32_t token_count;  /* of the logits of a row: what lies behind them is padding */
    bool is_picked;        /* set by the step: PICKED has been written instead of LOGITS */
};
/* The same to OUTPUT. */
int session_step_into(struct session *session, const struct batch_row *rows, uint32_t count,
                      struct step_output *output, struct err *err);
/* What the sequences hold: for who decides about it between steps (kv.h). */
struct kv_table *session_kv_table(struct session *session);

#endif
