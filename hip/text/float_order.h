/* Floats as whole numbers of the same order, for keys that are compared or packed. */
#ifndef RBEE_HIP_TEXT_FLOAT_ORDER_H
#define RBEE_HIP_TEXT_FLOAT_ORDER_H

#include <stdint.h>
#include <string.h>

/* Rises as VALUE does, which is not NaN; -0 is as large as 0. */
static inline uint32_t float_order(float value)
{
    float number = value + 0.0f;
    uint32_t bits = 0;

    memcpy(&bits, &number, sizeof(bits));
    return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

#endif
