/* Which layers of a model go to which device, and that there is room for them. Takes nothing. */
#ifndef RBEE_HIP_MODEL_PLAN_H
#define RBEE_HIP_MODEL_PLAN_H

#include "hip/model/model.h"
#include "hip/model/session.h"

/* Sets OUT [device_count]. Of the ways to split, with one layer on each device at least, it is the
 * one in which the device that gives the larger share of its free memory gives the least: both keep
 * the same share, as near as whole layers allow; of equal ones that with more on the first.
 * ERR_NO_MEMORY: by how much, on which device (has_failed of the one that lacks most is set), and
 * what would fit. ERR_CONFIG: more devices than layers. */
int plan_layers(const struct model *model, struct session_device *devices, uint32_t device_count,
                const struct session_options *options, struct layer_range *out, struct err *err);

#endif
