/* The files of compiled kernels (make kernels): which one a device takes, and where they lie:
 * in kernels/ beside the program or in ../libexec/rbee, or in the build's kernels/; RBEE_KERNELS in
 * the environment names another folder, which is then the only one. */
#ifndef RBEE_HIP_BACKEND_GPU_CODE_H
#define RBEE_HIP_BACKEND_GPU_CODE_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { GPU_CODE_NAME_BYTES = 64, GPU_CODE_MAX_BYTES = 256 << 20 };

/* The nearest file in FOLDER for ARCHITECTURE: its own ("gfx1030.co"), its family's
 * ("gfx10-3-generic.co"); for NVIDIA's the highest "sm_86.cubin" of its major number, else the
 * highest PTX, that its capability reaches. False when none fits. */
bool gpu_code_choose(const char *folder, const char *architecture, char out[GPU_CODE_NAME_BYTES]);
/* The path of the one for ARCHITECTURE, the caller frees it. ERR_DEVICE names the architecture. */
char *gpu_code_find(const char *architecture, struct err *err);
/* The file in BUF, with a 0 behind it that is not counted, as text wants it. */
int gpu_code_read(const char *path, struct buf *buf, struct err *err);

#endif
