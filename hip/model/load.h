/* A model's tensors by role. What load.c finds, forward.c runs. */
#ifndef RBEE_HIP_MODEL_LOAD_H
#define RBEE_HIP_MODEL_LOAD_H

#include "hip/model/arch.h"
#include "hip/model/gguf.h"

#include <stdint.h>

enum model_tensor {
#define ROLE_MODEL(role) MODEL_##role,
#define ROLE_LAYER(role)
#define TENSOR(scope, role, name, columns, rows, presence) ROLE_##scope(role)
#include "hip/model/tensors.def"
#undef ROLE_MODEL
#undef ROLE_LAYER
    MODEL_TENSOR_COUNT,
};

enum layer_tensor {
#define ROLE_MODEL(role)
#define ROLE_LAYER(role) LAYER_##role,
#include "hip/model/tensors.def"
#undef TENSOR
#undef ROLE_MODEL
#undef ROLE_LAYER
    LAYER_TENSOR_COUNT,
};

struct layer_tensors {
    const struct gguf_tensor *by_role[LAYER_TENSOR_COUNT];
};

struct model {
    struct gguf *gguf; /* owned */
    struct model_params params;
    const struct gguf_tensor *by_role[MODEL_TENSOR_COUNT]; /* NULL: an optional one is missing */
    struct layer_tensors *layers;                          /* [layer_count], owned */
};

#endif
