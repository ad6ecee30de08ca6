/* Owns the handler of SIGABRT in a process that uses a GPU: whose abort() it was shows in the
 * stack. */
#include "hip/backend/gpu_abort.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <gnu/libc-version.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { LIBRARIES_MAX_COUNT = 8, FRAMES_MAX_COUNT = 64 };

/* A signal handler can be told nothing in any other way. Written by the thread that opens drivers.
 */
static struct {
    const char *words;
    int code;
    const void *bases[LIBRARIES_MAX_COUNT]; /* where drivers' libraries begin in memory */
    size_t base_count;
} gpu_abort_end;

static const void *base_of(const void *address)
{
    Dl_info info;

    return dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

static bool is_driver(const void *base)
{
    for (size_t i = 0; i < gpu_abort_end.base_count; i++) {
        if (gpu_abort_end.bases[i] == base)
            return true;
    }
    return false;
}

/* The stack from the handler down: the handler's object, the C library, who called abort(). An
 * assertion of ours has the handler's object there, too; a sanitizer's frames may lie between. */
static bool driver_has_aborted(void)
{
    void *frames[FRAMES_MAX_COUNT];
    int count = backtrace(frames, FRAMES_MAX_COUNT);
    const void *own = base_of((const void *)gpu_abort_set_end);
    const void *libc = base_of((const void *)gnu_get_libc_version);
    bool is_past_libc = false;

    for (int i = 0; i < count; i++) {
        const void *base = base_of(frames[i]);

        if (is_driver(base))
            return true;
        if (base == own && is_past_libc)
            return false;
        is_past_libc = is_past_libc || base == libc;
    }
    return false;
}

/* The process ends here in any case, so it matters little that dladdr() is no call for a handler.
 */
static void on_abort(int signal_number)
{
    if (driver_has_aborted()) {
        (void)!write(STDERR_FILENO, gpu_abort_end.words, strlen(gpu_abort_end.words));
        _exit(gpu_abort_end.code);
    }
    /* abort() goes on, without a handler, when this one returns. */
}

void gpu_abort_set_end(const char *words, int code)
{
    gpu_abort_end.words = words;
    gpu_abort_end.code = code;
}

static void watch_base(const void *base)
{
    if (base != NULL && !is_driver(base) && gpu_abort_end.base_count < LIBRARIES_MAX_COUNT)
        gpu_abort_end.bases[gpu_abort_end.base_count++] = base;
}

void gpu_abort_watch(const void *function)
{
    struct sigaction action = {.sa_handler = on_abort};
    void *warm_up[1];
    void *hsa = NULL;

    if (gpu_abort_end.words == NULL)
        return;
    (void)backtrace(warm_up, 1); /* its first call loads a library, which a handler must not */
    watch_base(base_of(function));
    /* The runtime below HIP, where the faults are told; it is there by now, or nowhere. */
    hsa = dlopen("libhsa-runtime64.so.1", RTLD_NOW | RTLD_NOLOAD);
    if (hsa != NULL) {
        watch_base(base_of(dlsym(hsa, "hsa_init")));
        (void)dlclose(hsa); /* HIP holds it */
    }
    (void)sigaction(SIGABRT, &action, NULL); /* fails for no signal that can be caught */
}
