/* What arch.c and rope.c share: numbers under keys that begin with the architecture's name. */
#ifndef RBEE_HIP_MODEL_ARCH_KEYS_H
#define RBEE_HIP_MODEL_ARCH_KEYS_H

#include "common/err.h"
#include "hip/model/gguf.h"

enum { ARCH_KEY_MAX_BYTES = 128 };

/* "llama" and "block_count" to "llama.block_count". */
const char *arch_key(const char *architecture, const char *name, char out[ARCH_KEY_MAX_BYTES]);
/* A positive number. FALLBACK stands for a key that is not there; 0: it has to be. */
int arch_read_positive(const struct gguf *gguf, const char *architecture, const char *name,
                       double fallback, double *out, struct err *err);
/* A number that is not negative, FALLBACK where the key is not there. */
int arch_read_number(const struct gguf *gguf, const char *architecture, const char *name,
                     double fallback, double *out, struct err *err);

#endif
