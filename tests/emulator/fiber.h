/* Stacks that one OS thread runs in turns: the threads of an emulated GPU. Knows nothing of GPUs.
 * AddressSanitizer is told of each switch. */
#ifndef RBEE_TESTS_EMULATOR_FIBER_H
#define RBEE_TESTS_EMULATOR_FIBER_H

#include <stddef.h>

#ifndef __x86_64__
#define FIBER_UCONTEXT
#include <ucontext.h>
#endif

struct fiber {
#ifdef FIBER_UCONTEXT
    ucontext_t context;
#else
    void *stack_pointer; /* of one that does not run */
#endif
    void *fake_stack; /* AddressSanitizer's */
    const void *stack_bottom;
    size_t stack_bytes;
};

/* COUNT fibers that lie FIBER_BYTES apart from AT on, each the first member of something; a first
 * switch to one calls MAIN, which never returns. Once a library: they live
 * until it is closed. */
void fiber_make(void *at, size_t fiber_bytes, size_t count, void (*main)(void));
/* Leaves FROM, which may be a zeroed struct for the thread that first calls, and goes on with TO.
 */
void fiber_switch(struct fiber *from, struct fiber *to);

#endif
