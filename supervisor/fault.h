/* Fault classes: why a worker's process ended, told from its exit status or signal, its last words,
 * what we did to it and what the kernel counted. Pure. */
#ifndef RBEE_SUPERVISOR_FAULT_H
#define RBEE_SUPERVISOR_FAULT_H

#include <stdbool.h>

enum fault_class {
#define FAULT(name, text, device, then, meaning) FAULT_##name,
#include "supervisor/fault.def"
#undef FAULT
    FAULT_CLASS_COUNT,
};

/* What the policy does about a class. */
enum fault_then {
    FAULT_THEN_NOTHING,
    FAULT_THEN_RETRY,
    FAULT_THEN_REDUCE,  /* one retry that needs less memory; a second time it has failed */
    FAULT_THEN_GIVE_UP, /* no restart helps */
};

/* Why we sent KILL ourselves; FAULT_NONE in `ours` says that we did not, or for a stop. */
struct fault_signs {
    bool was_asked;          /* to end: a stop, an eviction, the end of the supervisor */
    enum fault_class ours;   /* HANG or LOAD_TIMEOUT: why we killed it */
    bool was_killed_by_us;   /* KILL has been sent by us */
    int exit_code;           /* -1: ended by a signal */
    int signal;              /* 0: it exited */
    const char *words_class; /* CLASS of its last line `fatal class=CLASS`; "" when it wrote none */
    bool kernel_saw_oom;     /* the kernel's count of memory kills rose while it lived */
};

enum fault_class fault_classify(const struct fault_signs *signs);
const char *fault_name(enum fault_class class);
/* A sentence without subject and full stop. */
const char *fault_meaning(enum fault_class class);
enum fault_then fault_then(enum fault_class class);
/* Whether it counts in the breaker of the GPU it happened on. */
bool fault_is_of_device(enum fault_class class);
/* FAULT_NONE for a name that is none. */
enum fault_class fault_of_name(const char *name);

#endif
