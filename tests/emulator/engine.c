/* The engine: who of a block's threads runs next, and where they meet.
 *
 * A wave goes in rounds: each of its lanes runs once, in the order of turns, until it meets the
 * others (a collective), or ends. Then the round is over, and all must have come to the same place:
 * a shuffle or a reduction is answered and the wave's next round begins; a barrier parks the wave
 * until the others have come there. So the last lane of a round leads straight into the first of
 * the next, and there is no scheduler in between. */
#include "tests/emulator/engine.h"
#include "hip/kernels/gpu.h"
#include "tests/emulator/fiber.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAVES_MAX = GPU_THREADS_MAX / GPU_WAVE,
    SHARED_MAX_BYTES = 48 * 1024, /* what every GPU that is served grants a block */
};

enum meeting { MEET_BARRIER, MEET_SHUFFLE, MEET_SUM, MEET_MAX, MEET_TOGETHER, MEET_END };
static const char *const meeting_names[] = {
    "a barrier", "a shuffle", "a sum over lanes", "a maximum over lanes", "what a wave does as one",
    "its end"};

struct place {
    enum meeting meeting;
    uint32_t width; /* of a reduction */
    const char *file;
    int line;
};

struct wave;

struct lane {
    struct fiber fiber;            /* first: fiber.h */
    struct emulated_thread thread; /* what the kernel sees */
    struct wave *wave;
};

struct wave {
    struct lane *lanes;         /* [GPU_WAVE] */
    uint32_t arrived;           /* in this round */
    uint32_t first;             /* lane of them */
    struct place place;         /* where it is */
    bool is_parked;             /* at a barrier, or ended */
    uint32_t parity;            /* of the round: its slots */
    uint8_t turns[GPU_WAVE];    /* lanes in their order */
    int32_t words[2][GPU_WAVE]; /* of shuffles and reductions: those of the round before are still
                                   read while the next ones come */
    void *brought[GPU_WAVE];
    void (*all)(void *const *brought);
};

static struct lane lanes[GPU_THREADS_MAX];
static struct wave waves[WAVES_MAX];
static uint8_t wave_turns[WAVES_MAX];
static uint32_t wave_count;
static uint32_t parked_count;
static uint32_t turn_index;   /* in wave_turns */
static uint32_t shared_bytes; /* that the block has touched */
static struct fiber host;
static bool is_made;
static const struct emulated_kernel *kernel_now;
static const void *args_now;
static enum emulator_order order_now;
static uint64_t random_state = 1;

struct emulated_thread *emulated_now;
uint64_t emulated_block_number;

/* ---- what is wrong ---- */

static struct lane *lane_of(struct emulated_thread *thread)
{
    return (struct lane *)(void *)((uint8_t *)thread - offsetof(struct lane, thread));
}

static void print_thread(const struct emulated_thread *thread)
{
    fprintf(stderr, "gpu emulator: %s, block (%u, %u, %u), thread %u of %u (waves of %d): ",
            kernel_now->name, thread->block[0], thread->block[1], thread->block[2], thread->thread,
            thread->threads, GPU_WAVE);
}

static void print_place(const struct place *place)
{
    fprintf(stderr, "%s", meeting_names[place->meeting]);
    if (place->meeting == MEET_SUM || place->meeting == MEET_MAX)
        fprintf(stderr, " (%u lanes)", place->width);
    if (place->meeting != MEET_END)
        fprintf(stderr, " at %s:%d", place->file, place->line);
}

static void __attribute__((noreturn, cold))
end_diverged(const struct emulated_thread *one, const struct place *at, uint32_t other,
             const struct place *other_at)
{
    print_thread(one);
    fprintf(stderr, "has come to ");
    print_place(at);
    fprintf(stderr, ", but thread %u to ", other);
    print_place(other_at);
    fprintf(stderr, "\n");
    abort();
}

void emulated_refuse(const char *file, int line, const char *what)
{
    print_thread(emulated_now);
    fprintf(stderr, "%s at %s:%d\n", what, file, line);
    abort();
}

/* ---- turns ---- */

static uint32_t random_below(uint32_t limit)
{
    /* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators" */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545F4914F6CDD1DULL >> 32) * limit >> 32);
}

static void set_turns(uint8_t *turns, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        turns[i] = (uint8_t)(order_now == EMULATOR_REVERSE ? count - 1 - i : i);
    for (uint32_t i = count; order_now == EMULATOR_RANDOM && i > 1; i--) {
        uint32_t other = random_below(i);
        uint8_t turn = turns[other];

        turns[other] = turns[i - 1];
        turns[i - 1] = turn;
    }
}

static struct lane *first_lane(struct wave *wave)
{
    wave->arrived = 0;
    if (order_now == EMULATOR_RANDOM)
        set_turns(wave->turns, GPU_WAVE);
    return &wave->lanes[wave->turns[0]];
}

/* A wave stays until it is parked, but in random order. */
static struct wave *wave_after(struct wave *wave)
{
    if (order_now == EMULATOR_RANDOM)
        turn_index = random_below(wave_count);
    while (waves[wave_turns[turn_index]].is_parked)
        turn_index = (turn_index + 1) % wave_count;
    return &waves[wave_turns[turn_index]];
}

/* The block's next part, up to the next barrier. */
static struct lane *first_of_block(void)
{
    parked_count = 0;
    for (uint32_t i = 0; i < wave_count; i++)
        waves[i].is_parked = false;
    if (order_now == EMULATOR_RANDOM)
        set_turns(wave_turns, wave_count);
    turn_index = 0;
    return first_lane(&waves[wave_turns[0]]);
}

/* ---- meetings ---- */

static bool is_same_place(const struct place *a, const struct place *b)
{
    if (a->meeting != b->meeting || a->line != b->line || a->width != b->width)
        return false;
    return a->file == b->file || strcmp(a->file, b->file) == 0;
}

/* In the order of the butterfly of shuffles that gpu.h has. */
static void reduce(struct wave *wave)
{
    float values[2][GPU_WAVE];
    uint32_t from = 0;

    memcpy(values[0], wave->words[wave->parity], sizeof(values[0]));
    for (uint32_t step = wave->place.width / 2; step > 0; step /= 2, from ^= 1)
        for (uint32_t i = 0; i < GPU_WAVE; i++) {
            float mine = values[from][i], other = values[from][i ^ step];

            if (wave->place.meeting == MEET_SUM)
                values[from ^ 1][i] = mine + other;
            else
                values[from ^ 1][i] = mine > other ? mine : other;
        }
    memcpy(wave->words[wave->parity], values[from], sizeof(values[0]));
}

/* The wave stands at a barrier or has ended; NULL: so has the block. */
static struct lane *park(struct wave *wave)
{
    wave->is_parked = true;
    parked_count++;
    if (parked_count < wave_count)
        return first_lane(wave_after(wave));
    for (uint32_t i = 0; i < wave_count; i++)
        if (!is_same_place(&waves[i].place, &wave->place))
            end_diverged(&waves[i].lanes[0].thread, &waves[i].place, wave->lanes[0].thread.thread,
                         &wave->place);
    return wave->place.meeting == MEET_END ? NULL : first_of_block();
}

static __attribute__((noinline)) struct lane *end_round(struct wave *wave)
{
    switch (wave->place.meeting) {
    case MEET_BARRIER:
    case MEET_END:
        return park(wave);
    case MEET_SUM:
    case MEET_MAX:
        reduce(wave);
        break;
    case MEET_TOGETHER:
        wave->all(wave->brought);
        break;
    case MEET_SHUFFLE:
        break;
    }
    wave->parity ^= 1;
    return first_lane(order_now == EMULATOR_RANDOM ? wave_after(wave) : wave);
}

static void switch_to(struct lane *from, struct lane *to)
{
    if (to == from)
        return;
    if (to == NULL) {
        fiber_switch(&from->fiber, &host);
    } else {
        emulated_now = &to->thread;
        fiber_switch(&from->fiber, &to->fiber);
    }
}

/* Comes back when all have come. */
static inline __attribute__((always_inline)) void meet(struct lane *lane, const struct place *place)
{
    struct wave *wave = lane->wave;

    if (wave->arrived == 0) {
        wave->place = *place;
        wave->first = lane->thread.thread;
    } else if (!is_same_place(place, &wave->place)) {
        end_diverged(&lane->thread, place, wave->first, &wave->place);
    }
    wave->arrived++;
    if (wave->arrived < GPU_WAVE)
        switch_to(lane, &wave->lanes[wave->turns[wave->arrived]]);
    else
        switch_to(lane, end_round(wave));
}

static void run_lane(void)
{
    struct lane *lane = lane_of(emulated_now);
    const struct place end = {.meeting = MEET_END, .file = ""};

    for (;;) {
        kernel_now->run(args_now);
        meet(lane, &end);
    }
}

/* ---- what kernels call ---- */

int emulated_poison(uint64_t *seen_block, void *shared, size_t bytes, const char *file, int line)
{
    enum { NEVER_WRITTEN = 0xFF };

    *seen_block = emulated_block_number;
    memset(shared, NEVER_WRITTEN, bytes);
    shared_bytes += (uint32_t)bytes;
    if (shared_bytes > SHARED_MAX_BYTES)
        emulated_refuse(file, line, "more than 48 KB of shared memory");
    return 1;
}

void emulated_barrier(const char *file, int line)
{
    meet(lane_of(emulated_now),
         &(struct place){.meeting = MEET_BARRIER, .file = file, .line = line});
}

int32_t emulated_shuffle(int32_t value, uint32_t lane, const char *file, int line)
{
    struct lane *self = lane_of(emulated_now);
    int32_t *words = self->wave->words[self->wave->parity];

    if (lane >= GPU_WAVE)
        emulated_refuse(file, line, "a shuffle from a lane that the wave does not have");
    words[self->thread.thread % GPU_WAVE] = value;
    meet(self, &(struct place){.meeting = MEET_SHUFFLE, .file = file, .line = line});
    return words[lane];
}

static float meet_to_reduce(float value, const struct place *place)
{
    struct lane *self = lane_of(emulated_now);
    int32_t *word = &self->wave->words[self->wave->parity][self->thread.thread % GPU_WAVE];

    if (place->width == 0 || place->width > GPU_WAVE || (place->width & (place->width - 1)) != 0)
        emulated_refuse(place->file, place->line, "a width that is no power of 2 within the wave");
    memcpy(word, &value, sizeof(value));
    meet(self, place);
    memcpy(&value, word, sizeof(value));
    return value;
}

float emulated_sum_over(float value, uint32_t width, const char *file, int line)
{
    return meet_to_reduce(value, &(struct place){MEET_SUM, width, file, line});
}

float emulated_max_over(float value, uint32_t width, const char *file, int line)
{
    return meet_to_reduce(value, &(struct place){MEET_MAX, width, file, line});
}

void emulated_together(void (*all)(void *const *brought), void *mine, const char *file, int line)
{
    struct lane *self = lane_of(emulated_now);

    self->wave->all = all;
    self->wave->brought[self->thread.thread % GPU_WAVE] = mine;
    meet(self, &(struct place){.meeting = MEET_TOGETHER, .file = file, .line = line});
}

/* ---- launches ---- */

void engine_set_order(enum emulator_order order, uint64_t seed)
{
    order_now = order;
    random_state = seed * 2 + 1; /* not 0, where xorshift stays */
}

const char *engine_refuses(const uint32_t blocks[3], uint32_t threads)
{
    if (threads == 0 || threads > GPU_THREADS_MAX)
        return "a block has 1 to 256 threads";
    if (threads % GPU_WAVE != 0)
        return "blocks have whole waves";
    if (blocks[0] == 0 || blocks[1] == 0 || blocks[2] == 0)
        return "no dimension of a grid may be 0";
    if (blocks[1] > UINT16_MAX || blocks[2] > UINT16_MAX || blocks[0] > INT32_MAX)
        return "a grid has at most 65535 blocks in y and in z";
    return NULL;
}

static void prepare_lanes(uint32_t threads)
{
    if (!is_made)
        fiber_make(lanes, sizeof(lanes[0]), GPU_THREADS_MAX, run_lane);
    is_made = true;
    wave_count = threads / GPU_WAVE;
    set_turns(wave_turns, wave_count);
    for (uint32_t i = 0; i < wave_count; i++) {
        waves[i].lanes = &lanes[i * GPU_WAVE];
        set_turns(waves[i].turns, GPU_WAVE);
    }
    for (uint32_t i = 0; i < threads; i++) {
        lanes[i].thread.thread = i;
        lanes[i].thread.threads = threads;
        lanes[i].wave = &waves[i / GPU_WAVE];
    }
}

static void run_block(uint64_t index, const uint32_t blocks[3], uint32_t threads)
{
    const uint32_t block[3] = {(uint32_t)(index % blocks[0]),
                               (uint32_t)(index / blocks[0] % blocks[1]),
                               (uint32_t)(index / blocks[0] / blocks[1])};
    struct lane *first = NULL;

    for (uint32_t i = 0; i < threads; i++)
        memcpy(lanes[i].thread.block, block, sizeof(block));
    emulated_block_number++;
    shared_bytes = 0;
    first = first_of_block();
    emulated_now = &first->thread;
    fiber_switch(&host, &first->fiber);
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

void engine_run(const struct emulated_kernel *kernel, const uint32_t blocks[3], uint32_t threads,
                const void *args)
{
    const uint64_t count = (uint64_t)blocks[0] * blocks[1] * blocks[2];
    uint64_t step = 1, begin = 0;

    kernel_now = kernel;
    args_now = args;
    prepare_lanes(threads);
    if (order_now == EMULATOR_REVERSE) {
        step = count - 1;
        begin = count - 1;
    } else if (order_now == EMULATOR_RANDOM) {
        /* Steps without a common divisor come by each block once. */
        begin = random_below((uint32_t)(count > UINT32_MAX ? UINT32_MAX : count));
        do {
            step = random_below(UINT32_MAX) % count + 1;
        } while (greatest_common_divisor(step, count) != 1);
    }
    for (uint64_t i = 0, at = begin; i < count; i++, at = (at + step) % count)
        run_block(at, blocks, threads);
}
