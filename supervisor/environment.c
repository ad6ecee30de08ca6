/* Owns the list of what a worker may see of our environment, and the reading of whom it is meant
 * for. */
#include "supervisor/environment.h"

#include "common/attr.h"
#include "common/mem.h"
#include "common/process.h"
#include "common/units.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whole names end in '='; the others are beginnings: tuning of ROCm and CUDA, and locale. A token
 * is in none of them, whatever it is called. */
static const char *const PASSED_ON[] = {
    "PATH=",
    "HOME=",
    "USER=",
    "LOGNAME=",
    "LANG=",
    "LC_",
    "TZ=",
    "TMPDIR=",
    "LD_LIBRARY_PATH=",
    "XDG_CACHE_HOME=",
    "HIP_",
    "HSA_",
    "ROCR_",
    "ROCM_",
    "GPU_",
    "AMD_",
    "CUDA_",
    "RBEE_KERNELS=",
    "RBEE_GPU_GRAPHS=",
};

/* What libcurl looks at, and what makes its messages readable. */
static const char *const PASSED_TO_FETCH[] = {
    "http_proxy=", "https_proxy=", "HTTPS_PROXY=", "all_proxy=", "ALL_PROXY=",
    "no_proxy=",   "NO_PROXY=",    "LANG=",        "LC_",        "LD_LIBRARY_PATH=",
};

static bool environment_is_one_of(const char *entry, const char *const *beginnings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(entry, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    }
    return false;
}

static size_t environment_count(char *const *envp)
{
    size_t count = 0;

    while (envp[count] != NULL)
        count++;
    return count;
}

const char **environment_for_fetch(char *const *envp)
{
    size_t count = environment_count(envp);
    const char **out = xcalloc(count + 1, sizeof(*out));
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (environment_is_one_of(envp[i], PASSED_TO_FETCH, ARRAY_COUNT(PASSED_TO_FETCH)))
            out[kept++] = envp[i];
    }
    return out;
}

const char **environment_for_worker(char *const *envp, const char *instance)
{
    static const char NAME[] = PROCESS_INSTANCE_VARIABLE "=";
    size_t count = environment_count(envp);
    size_t kept = 0;
    size_t text_bytes = instance == NULL ? 0 : sizeof(NAME) + strlen(instance);
    const char **out = NULL;

    /* The entries with their end, and behind them the one text that is ours. */
    out = xcalloc(1, (count + 2) * sizeof(*out) + text_bytes);
    if (instance != NULL) {
        char *text = (char *)(out + count + 2);

        (void)snprintf(text, text_bytes, "%s%s", NAME, instance);
        out[kept++] = text;
    }
    for (size_t i = 0; i < count; i++) {
        if (environment_is_one_of(envp[i], PASSED_ON, ARRAY_COUNT(PASSED_ON)))
            out[kept++] = envp[i];
    }
    return out;
}

bool environment_has_our_pid(const char *name)
{
    const char *text = getenv(name);
    struct err ignored = ERR_INIT; /* not a pid: not ours */
    int64_t pid = 0;

    return text != NULL && units_parse_integer(text, 1, INT32_MAX, &pid, &ignored) == 0 &&
           pid == getpid();
}
