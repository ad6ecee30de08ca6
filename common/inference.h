/* The body of POST /v1/inference, checked: what the supervisor and the worker both read. */
#ifndef RBEE_COMMON_INFERENCE_H
#define RBEE_COMMON_INFERENCE_H

#include "common/err.h"
#include "common/json.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    INFERENCE_STOP_MAX_COUNT = 16,
    INFERENCE_STOP_MAX_BYTES = 256,
    INFERENCE_MESSAGE_MAX_COUNT = 1024,
    INFERENCE_BIAS_MAX_COUNT = 1024,
    INFERENCE_BIAS_MAX = 100,    /* as OpenAI's API: of either sign */
    INFERENCE_LOGPROBS_MAX = 20, /* as OpenAI's API */
    /* Of the log-probabilities of an answer in one piece: who reads it takes JSON_VALUE_MAX_COUNT,
     * and the rest of it has well below a hundred. */
    INFERENCE_LOGPROB_VALUE_MAX_COUNT = JSON_VALUE_MAX_COUNT - 100,
};

/* The plain fields, as bits of inference_request.given. */
enum inference_field {
#define FIELD(field, ...) INFERENCE_FIELD_##field,
#include "common/inference_fields.def"
#undef FIELD
    INFERENCE_FIELD_COUNT,
};

/* Defaults of the sampling fields are llama.cpp's: what users of GGUF files are used to. */
struct inference_request {
    const char *model;        /* NULL: not given */
    const char *prompt;       /* this or messages, never both */
    const json_t *messages;   /* array of {role: system|user|assistant, content: text} */
    int64_t max_tokens;       /* -1: to the end of the context */
    double temperature;       /* [0, 100] 0.8; 0 is greedy */
    double top_p;             /* (0, 1] 0.95 */
    int64_t top_k;            /* [0, 1000000] 40; 0: off */
    double min_p;             /* [0, 1] 0.05 */
    double repeat_penalty;    /* (0, 10] 1.0, over the last 64 tokens */
    double frequency_penalty; /* [-2, 2] 0, for each time in the last 64 tokens */
    double presence_penalty;  /* [-2, 2] 0, where it is among them */
    double typical_p;         /* (0, 1] 1: off */
    int64_t mirostat;         /* [0, 2] 0: off */
    double mirostat_tau;      /* [0, 100] 5 */
    double mirostat_eta;      /* [0, 1] 0.1 */
    const json_t *logit_bias; /* {"TOKEN": number}, checked but for what the model has; NULL */
    int64_t logprobs; /* -1; from 0 on: the answer's, and of so many likeliest beside each */
    int64_t seed;     /* [0, 2^53]; -1: random */
    const char *stop[INFERENCE_STOP_MAX_COUNT];
    size_t stop_count;
    bool raw;    /* no chat template */
    bool stream; /* true */
    /* Where the worker is not running yet. */
    int64_t context_tokens; /* field "context"; 0: not given */
    int64_t slots;          /* 0: not given */
    const char *device;     /* as in device_name.h; NULL: not given */
    const char *kv_type;    /* of kv_types.def; NULL: not given */
    bool allow_cpu;
    bool start; /* field "start", true: start a worker that is down */
    /* Bit 1 << INFERENCE_FIELD_x: the body has it. What it does not have, the model's file may
     * know better than our defaults. */
    uint32_t given;
};

static inline bool inference_is_given(const struct inference_request *request,
                                      enum inference_field field)
{
    return (request->given & 1U << field) != 0;
}

/* Reads and checks BODY, from which all text in *out is borrowed. Fields that are none of ours are
 * added to UNKNOWN (a JSON array, owned by the caller) by name. ERR_INVALID_FIELD names the field,
 * its constraint and the value. Empty prompt: ERR_INVALID_FIELD; text with NUL: likewise. */
int inference_parse(const json_t *body, struct inference_request *out, json_t *unknown,
                    struct err *err);

#endif
