/* What the kernels of planted.c are given. */
#ifndef RBEE_TESTS_EMULATOR_PLANTED_ARGS_H
#define RBEE_TESTS_EMULATOR_PLANTED_ARGS_H

#include <stdint.h>

struct args_planted {
    const float *in;
    float *out;
    uint32_t *words;
    uint32_t count;
    uint32_t padding;
};

#endif
