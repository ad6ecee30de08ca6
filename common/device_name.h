/* Names of devices, as people and programs give them: "cpu"; "gpu:" and what says which one (a
 * number, a PCI address, a UUID); or "gpu", the one that the supervisor chooses. That there is such
 * a device is for who starts a worker there to see. */
#ifndef RBEE_COMMON_DEVICE_NAME_H
#define RBEE_COMMON_DEVICE_NAME_H

#include "common/err.h"

#include <stdbool.h>

enum { DEVICE_NAME_MAX_BYTES = 63 };

#define DEVICE_NAME_CPU "cpu"
#define DEVICE_NAME_ANY_GPU "gpu"

/* NAME is one; else the reason in err, which gets KIND. */
int device_name_check(const char *name, enum err_kind kind, struct err *err);
/* Of one that is. */
bool device_name_is_gpu(const char *name);
/* NAME; where none was given (""), that of the CPU. */
const char *device_name_or_cpu(const char *name);

#endif
