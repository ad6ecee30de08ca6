/* Modules, kernels by name, and their launches. */
#include "tests/emulator/engine.h"
#include "tests/emulator/operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE_BYTES = 8 };

/* What hipModuleLoadData() takes for a code object, and nothing else (hip/backend/gpu_runtime.c).
 */
static const char image_magic[IMAGE_BYTES + 1] = "emulator";

int hipModuleLoadData(void **out, const void *image)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && memcmp(image, image_magic, IMAGE_BYTES) != 0)
        error = HIP_INVALID_IMAGE;
    if (error == HIP_SUCCESS)
        *out = memory_or_end(malloc(1)); /* so that one that is not unloaded is a leak */
    return hip_leave(error);
}

int hipModuleUnload(void *module)
{
    enum hip_error error = hip_enter(__func__);

    free(module);
    return hip_leave(error);
}

int hipModuleGetFunction(void **out, void *module, const char *name)
{
    enum hip_error error = hip_enter(__func__);
    const struct emulated_kernel *kernel = kernel_find(name);

    if (error == HIP_SUCCESS && kernel == NULL)
        error = HIP_NOT_FOUND;
    if (error == HIP_SUCCESS)
        memcpy(out, &kernel, sizeof(kernel)); /* a handle: who holds it does not look into it */
    return hip_leave(error);
}

int hipModuleLaunchKernel(void *function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,
                          unsigned threads_x, unsigned threads_y, unsigned threads_z,
                          unsigned shared_bytes, struct hip_stream *stream, void **params,
                          void **extra)
{
    enum hip_error error = hip_enter(__func__);
    struct operation launch = {.kind = OPERATION_LAUNCH,
                               .kernel = function,
                               .blocks = {blocks_x, blocks_y, blocks_z},
                               .threads = threads_x};
    const char *refusal = engine_refuses(launch.blocks, threads_x);

    if (threads_y != 1 || threads_z != 1 || shared_bytes != 0)
        refusal = "blocks lie in x, and shared memory is static";
    if (params == NULL || extra != NULL)
        refusal = "arguments come as params";
    if (error == HIP_SUCCESS && refusal != NULL) {
        fprintf(stderr, "gpu emulator: %s: %s\n", launch.kernel->name, refusal);
        error = HIP_INVALID_CONFIGURATION;
    }
    if (error == HIP_SUCCESS)
        launch.args = params[0];
    return stream_leave(error, stream, &launch);
}
