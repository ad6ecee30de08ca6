/* Where GPUs are looked for: "" (the machine), but in builds with TEST_HOOKS=1 the folder that
 * RBEE_TEST_GPU_ROOT names, below which a test has made up /sys and /proc. */
#ifndef RBEE_SUPERVISOR_GPU_ROOT_HOOK_H
#define RBEE_SUPERVISOR_GPU_ROOT_HOOK_H

#ifdef RBEE_TEST_HOOKS
const char *gpu_root(void);
#else
static inline const char *gpu_root(void)
{
    return "";
}
#endif

#endif
