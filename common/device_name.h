/* Names of devices, as people and programs give them: "cpu", or "gpu:" and what says which one (a
 * PCI address, a UUID). That there is such a device is for who starts a worker there to see. */
#ifndef RBEE_COMMON_DEVICE_NAME_H
#define RBEE_COMMON_DEVICE_NAME_H

#include "common/err.h"

enum { DEVICE_NAME_MAX_BYTES = 63 };

/* NAME is one; else the reason in err, which gets KIND. */
int device_name_check(const char *name, enum err_kind kind, struct err *err);

#endif
