/* Owns the list of what a worker may see of our environment. */
#include "supervisor/environment.h"

#include "common/attr.h"
#include "common/mem.h"
#include "common/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Whole names end in '='; the others are beginnings: tuning of ROCm and locale. A token is in none
 * of them, whatever it is called. */
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
};

static bool environment_is_passed_on(const char *entry)
{
    for (size_t i = 0; i < ARRAY_COUNT(PASSED_ON); i++) {
        if (strncmp(entry, PASSED_ON[i], strlen(PASSED_ON[i])) == 0)
            return true;
    }
    return false;
}

const char **environment_for_worker(char *const *envp, const char *instance)
{
    static const char NAME[] = PROCESS_INSTANCE_VARIABLE "=";
    size_t count = 0;
    size_t kept = 0;
    size_t text_bytes = instance == NULL ? 0 : sizeof(NAME) + strlen(instance);
    const char **out = NULL;

    while (envp[count] != NULL)
        count++;
    /* The entries with their end, and behind them the one text that is ours. */
    out = xcalloc(1, (count + 2) * sizeof(*out) + text_bytes);
    if (instance != NULL) {
        char *text = (char *)(out + count + 2);

        (void)snprintf(text, text_bytes, "%s%s", NAME, instance);
        out[kept++] = text;
    }
    for (size_t i = 0; i < count; i++) {
        if (environment_is_passed_on(envp[i]))
            out[kept++] = envp[i];
    }
    return out;
}
