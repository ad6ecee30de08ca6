/* Owns the classification of a process's end. Knows no process. */
#include "supervisor/fault.h"

#include "common/mem.h"

#include <assert.h>
#include <signal.h>
#include <string.h>

enum { NO = 0, YES = 1 };

static const struct {
    const char *name;
    const char *meaning;
    enum fault_then then;
    bool is_of_device;
} FAULTS[FAULT_CLASS_COUNT] = {
#define FAULT(class, text, device, next, what)                                                     \
    [FAULT_##class] = {.name = text,                                                               \
                       .meaning = what,                                                            \
                       .then = FAULT_THEN_##next,                                                  \
                       .is_of_device = (device) == YES},
#include "supervisor/fault.def"
#undef FAULT
};

/* Exit codes of rbee-worker, as ARCHITECTURE.md has them. 126 and 127 are what a shell, and we,
 * say of a command that cannot be run. */
static const struct {
    int code;
    enum fault_class class;
} EXIT_CODES[] = {
    {10, FAULT_CONFIG},    {11, FAULT_OOM_HOST}, {12, FAULT_OOM_DEVICE},
    {13, FAULT_GPU_FAULT}, {126, FAULT_CONFIG},  {127, FAULT_CONFIG},
};

/* Words of `fatal class=`. */
static const struct {
    const char *word;
    enum fault_class class;
} WORDS[] = {
    {"config", FAULT_CONFIG},
    {"host_memory", FAULT_OOM_HOST},
    {"device_memory", FAULT_OOM_DEVICE},
    {"gpu_fault", FAULT_GPU_FAULT},
};

static enum fault_class fault_of_exit(const struct fault_signs *signs)
{
    for (size_t i = 0; i < ARRAY_COUNT(EXIT_CODES); i++) {
        if (EXIT_CODES[i].code == signs->exit_code)
            return EXIT_CODES[i].class;
    }
    return FAULT_NONE;
}

/* A GPU driver may end a process in the middle of its own exit (abort in an atexit handler): then
 * what it said last is truer than how it ended. */
static enum fault_class fault_of_words(const struct fault_signs *signs)
{
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        if (strcmp(WORDS[i].word, signs->words_class) == 0)
            return WORDS[i].class;
    }
    return FAULT_NONE;
}

enum fault_class fault_classify(const struct fault_signs *signs)
{
    enum fault_class class = FAULT_NONE;

    if (signs->ours != FAULT_NONE)
        return signs->ours;
    if (signs->was_asked)
        return FAULT_NONE;
    if (signs->exit_code >= 0)
        class = fault_of_exit(signs);
    if (class == FAULT_NONE)
        class = fault_of_words(signs);
    if (class != FAULT_NONE)
        return class;
    if (signs->signal == SIGKILL && !signs->was_killed_by_us)
        return signs->kernel_saw_oom ? FAULT_OOM_HOST : FAULT_KILLED;
    return FAULT_CRASH;
}

const char *fault_name(enum fault_class class)
{
    assert(class < FAULT_CLASS_COUNT);
    return FAULTS[class].name;
}

const char *fault_meaning(enum fault_class class)
{
    assert(class < FAULT_CLASS_COUNT);
    return FAULTS[class].meaning;
}

enum fault_then fault_then(enum fault_class class)
{
    assert(class < FAULT_CLASS_COUNT);
    return FAULTS[class].then;
}

bool fault_is_of_device(enum fault_class class)
{
    assert(class < FAULT_CLASS_COUNT);
    return FAULTS[class].is_of_device;
}

enum fault_class fault_of_name(const char *name)
{
    for (int class = 0; class < FAULT_CLASS_COUNT; class ++) {
        if (strcmp(FAULTS[class].name, name) == 0)
            return (enum fault_class) class;
    }
    return FAULT_NONE;
}
