/* Names of AMD's cards, from the table that libdrm installs (amdgpu.ids). */
#ifndef RBEE_GPU_AMD_NAMES_H
#define RBEE_GPU_AMD_NAMES_H

#include "gpu/card.h"

/* The name of device DEVICE ("0x744c"), revision REVISION ("0xc8"), both as sysfs has them; false
 * when the table is not there or does not know it. */
bool amd_names_find(const char *root, const char *device, const char *revision,
                    char out[CARD_TEXT_BYTES]);
/* The same for one line of the table, "744C,\tC8,\tAMD Radeon RX 7900 XTX". */
bool amd_names_match(const char *line, const char *device, const char *revision,
                     char out[CARD_TEXT_BYTES]);

#endif
