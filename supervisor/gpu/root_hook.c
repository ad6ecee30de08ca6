/* Owns where a test has made GPUs up. Only in builds with TEST_HOOKS=1. */
#include "supervisor/gpu/root_hook.h"

#include <stddef.h>
#include <stdlib.h>

const char *gpu_root(void)
{
    const char *root = getenv("RBEE_TEST_GPU_ROOT");

    return root == NULL ? "" : root;
}
