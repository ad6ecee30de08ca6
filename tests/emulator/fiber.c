/* Fibers: their stacks, and the switch from one to the next. */
#include "tests/emulator/fiber.h"
#include "tests/emulator/asan.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef EMULATOR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum {
    STACK_BYTES = 256 * 1024, /* kernels hold small arrays; only what is touched takes memory */
    GUARD_BYTES = 64 * 1024,  /* more than one frame jumps over */
    /* Stacks begin at other lines of the cache: 256 at the same offset of their pages evict one
     * another at every switch. */
    COLOUR_BYTES = 192,
    COLOUR_COUNT = 64,
};

static uint8_t *stacks; /* of all fibers; NULL: none */
static size_t stacks_bytes;
static struct fiber *left;       /* who ran before who runs */
static void (*fiber_main)(void); /* of all fibers */

#ifdef EMULATOR_ASAN

static void leave(struct fiber *from, struct fiber *to)
{
    left = from;
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack_bottom, to->stack_bytes);
}

/* Tells the bounds of the stack that was left: those of the first caller are not known before. */
static void arrive(void *fake_stack)
{
    __sanitizer_finish_switch_fiber(fake_stack, &left->stack_bottom, &left->stack_bytes);
}

#else

static void leave(struct fiber *from, struct fiber *to)
{
    left = from;
}

static void arrive(void *fake_stack)
{
}

#endif

static void begin(void)
{
    arrive(NULL);
    fiber_main();
}

#ifdef FIBER_UCONTEXT

static void fiber_prepare(struct fiber *fiber, uint8_t *stack, size_t bytes)
{
    (void)getcontext(&fiber->context); /* cannot fail on Linux */
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = bytes;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, begin, 0);
}

static void jump(struct fiber *from, struct fiber *to)
{
    (void)swapcontext(&from->context, &to->context);
}

#else

/* What the calling convention lets a callee keep lies on the stack of who waits, and nothing else.
 */
void fiber_jump(void **out_stack_pointer, void *stack_pointer)
    __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".p2align 4\n"
        ".globl fiber_jump\n"
        ".hidden fiber_jump\n"
        ".type fiber_jump, @function\n"
        "fiber_jump:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_jump, . - fiber_jump\n");

static void fiber_prepare(struct fiber *fiber, uint8_t *stack, size_t bytes)
{
    enum { SAVED_REGISTERS = 6 };
    uint8_t *top = stack + bytes;
    void **frame = (void **)(void *)top;

    /* A function finds the stack 8 bytes past a multiple of 16, where its return address lies: here
     * none, so that a trace ends. */
    *--frame = NULL;
    *--frame = (void *)begin;
    for (int i = 0; i < SAVED_REGISTERS; i++)
        *--frame = NULL;
    fiber->stack_pointer = (void *)frame;
}

static void jump(struct fiber *from, struct fiber *to)
{
    fiber_jump(&from->stack_pointer, to->stack_pointer);
}

#endif

void fiber_make(void *at, size_t fiber_bytes, size_t count, void (*main)(void))
{
    const size_t each = GUARD_BYTES + STACK_BYTES;

    assert(stacks == NULL);
    fiber_main = main;
    stacks_bytes = count * each;
    stacks = mmap(NULL, stacks_bytes, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stacks == MAP_FAILED) {
        fprintf(stderr, "gpu emulator: no address space for %zu stacks\n", count);
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        struct fiber *fiber = (struct fiber *)(void *)((uint8_t *)at + i * fiber_bytes);
        uint8_t *stack = stacks + i * each + GUARD_BYTES;
        size_t bytes = STACK_BYTES - i % COLOUR_COUNT * COLOUR_BYTES;

        if (mprotect(stack, STACK_BYTES, PROT_READ | PROT_WRITE) != 0) {
            fprintf(stderr, "gpu emulator: no memory for a stack: %m\n");
            abort();
        }
        fiber->stack_bottom = stack;
        fiber->stack_bytes = STACK_BYTES;
        fiber_prepare(fiber, stack, bytes);
    }
}

/* A library that is closed leaves no stacks behind. */
static void __attribute__((destructor)) give_stacks(void)
{
    if (stacks != NULL)
        (void)munmap(stacks, stacks_bytes); /* cannot fail on our own mapping */
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
    leave(from, to);
    jump(from, to);
    arrive(from->fake_stack);
}
