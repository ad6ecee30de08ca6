/* Names of devices, as people and programs give them: "cpu"; "gpu:" and what says which one (a
 * number, a PCI address, a UUID); "gpu", the one that the supervisor chooses; or two of the second
 * kind with a comma between them, over which the layers of one model are divided. That there is
 * such a device is for who starts a worker there to see. */
#ifndef RBEE_COMMON_DEVICE_NAME_H
#define RBEE_COMMON_DEVICE_NAME_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    DEVICE_NAME_MAX_BYTES = 63,
    DEVICE_NAMES_MAX_COUNT = 2,                             /* a model has two parts at most */
    DEVICE_NAMES_MAX_BYTES = 2 * DEVICE_NAME_MAX_BYTES + 1, /* with the comma */
};

#define DEVICE_NAME_CPU "cpu"
#define DEVICE_NAME_ANY_GPU "gpu"

/* The names in one text. */
struct device_names {
    size_t count;
    char names[DEVICE_NAMES_MAX_COUNT][DEVICE_NAME_MAX_BYTES + 1];
};

/* TEXT is a name, or two; else the reason in err, which gets KIND. */
int device_name_check(const char *text, enum err_kind kind, struct err *err);
/* Of a text that is; what it does not hold ("" is the CPU) is not there. */
void device_names_split(const char *text, struct device_names *out);
/* Of a name that is, or two. */
bool device_name_is_gpu(const char *name);
/* NAME; where none was given (""), that of the CPU. */
const char *device_name_or_cpu(const char *name);

#endif
