/* How devices and architectures are written. Pure. */
#ifndef RBEE_HIP_BACKEND_GPU_NAMES_H
#define RBEE_HIP_BACKEND_GPU_NAMES_H

#include "hip/backend/gpu_runtime.h"

/* An address as any driver writes it ("00000000:C1:00.0", "c1:00.0") as the kernel does:
 * "0000:c1:00.0". False when TEXT is none. */
bool gpu_pci_normalise(const char *text, char out[GPU_PCI_BYTES]);
/* 16 bytes as "GPU-1d4c98b2-…", as NVIDIA's tools print them. */
void gpu_uuid_of_bytes(const unsigned char bytes[16], char out[GPU_UUID_BYTES]);
/* HIP's are 16 hex digits as text, "GPU-" is put in front; "" where the card has none. */
void gpu_uuid_of_hip(const unsigned char bytes[16], char out[GPU_UUID_BYTES]);
/* The kernel's gfx_target_version: 90010 is "gfx90a". "" for 0. */
void gpu_architecture_of_version(uint32_t version, char out[GPU_ARCHITECTURE_BYTES]);
/* HSA_OVERRIDE_GFX_VERSION: "10.3.0" is "gfx1030". False when TEXT is no such thing. */
bool gpu_architecture_of_override(const char *text, char out[GPU_ARCHITECTURE_BYTES]);
/* From what the kernel says of compute devices (ROOT/sys/class/kfd), for the one at PCI. False when
 * it says nothing. */
bool gpu_architecture_of_kfd(const char *root, const char *pci, char out[GPU_ARCHITECTURE_BYTES]);
/* Whether NAME means the device: its INDEX, PCI address or UUID. */
bool gpu_name_matches(const char *name, uint32_t index, const struct gpu_info *info);

#endif
