/* Owns the order of requests and the steps. What one request does with its rows is request.c's,
 * what the KV store holds is kv.c's; the thread they run on is engine.c's. */
#include "hip/engine/scheduler.h"

#include "common/clock.h"
#include "common/log.h"
#include "hip/engine/kv.h"
#include "hip/engine/request.h"

#include <assert.h>

/* ---- the order of requests ---- */

static struct kv_table *scheduler_kv(const struct scheduler *scheduler)
{
    return session_kv_table(scheduler->runtime->session);
}

/* A sequence that nobody has, or the number of slots. */
static uint32_t scheduler_free_sequence(const struct scheduler *scheduler)
{
    uint32_t sequence = 0;

    while (sequence < scheduler->runtime->slot_count && scheduler->is_taken[sequence])
        sequence++;
    return sequence;
}

static bool scheduler_has_free_slot(const struct scheduler *scheduler)
{
    return scheduler_free_sequence(scheduler) < scheduler->runtime->slot_count;
}

/* Ends REQUEST when nobody waits for it, or has until NOW_US. Returns whether it did. */
static bool drop_unwanted(struct engine_request *request, uint64_t now_us)
{
    if (atomic_load(&request->is_cancelled))
        engine_request_abandon(request);
    else if (deadline_is_over(&request->deadline, now_us))
        engine_request_miss_deadline(request);
    else
        return false;
    return true;
}

static void scheduler_prepare_next(struct scheduler *scheduler)
{
    struct engine_request *request = TAILQ_FIRST(&scheduler->arrived);

    if (request == NULL)
        return;
    TAILQ_REMOVE(&scheduler->arrived, request, link);
    if (!drop_unwanted(request, clock_monotonic_us()))
        engine_request_prepare(request, scheduler->runtime);
    if (request->state == REQUEST_DONE) {
        engine_request_hand_back(request);
        return;
    }
    TAILQ_INSERT_TAIL(&scheduler->waiting, request, link);
}

/* Those that cannot begin with the next step are told how many are before them. */
static void scheduler_tell_positions(struct scheduler *scheduler)
{
    struct engine_request *request = NULL;
    uint32_t position = 0;

    TAILQ_FOREACH(request, &scheduler->waiting, link)
    {
        position++;
        if (request->knows_position || request->began_us > 0)
            continue;
        request->knows_position = true;
        mailbox_deliver(scheduler->mailbox, request,
                        &(struct engine_event){.kind = ENGINE_EVENT_QUEUED, .position = position});
    }
}

void scheduler_take(struct scheduler *scheduler, struct request_list *arrived)
{
    TAILQ_CONCAT(&scheduler->arrived, arrived, link);
}

void scheduler_refuse(struct scheduler *scheduler, struct request_list *arrived,
                      const struct err *error)
{
    scheduler_take(scheduler, arrived);
    scheduler_fail_all(scheduler, error);
}

/* Takes REQUEST out of its slot; what it computed can be found again. */
static void scheduler_leave_slot(struct scheduler *scheduler, struct engine_request *request)
{
    TAILQ_REMOVE(&scheduler->running, request, link);
    kv_table_truncate(scheduler_kv(scheduler), request->sequence, 0);
    scheduler->is_taken[request->sequence] = false;
}

/* The same with one that is DONE, and tells the loop. */
static void scheduler_release_slot(struct scheduler *scheduler, struct engine_request *request)
{
    /* Keys and values that led to no numbers are not for others. */
    if (err_is_set(&request->outcome.error))
        kv_table_discard(scheduler_kv(scheduler), request->sequence);
    scheduler_leave_slot(scheduler, request);
    engine_request_hand_back(request);
}

static void drop_all_unwanted(struct request_list *list, uint64_t now_us)
{
    struct engine_request *request = NULL;
    struct engine_request *next = NULL;

    for (request = TAILQ_FIRST(list); request != NULL; request = next) {
        next = TAILQ_NEXT(request, link);
        if (!drop_unwanted(request, now_us))
            continue;
        TAILQ_REMOVE(list, request, link);
        engine_request_hand_back(request);
    }
}

static void scheduler_drop_unwanted(struct scheduler *scheduler, uint64_t now_us)
{
    struct engine_request *request = NULL;
    struct engine_request *next = NULL;

    drop_all_unwanted(&scheduler->arrived, now_us);
    drop_all_unwanted(&scheduler->waiting, now_us);
    for (request = TAILQ_FIRST(&scheduler->running); request != NULL; request = next) {
        next = TAILQ_NEXT(request, link);
        if (drop_unwanted(request, now_us))
            scheduler_release_slot(scheduler, request);
    }
}

static uint64_t list_next_deadline_us(const struct request_list *list, uint64_t earliest_us)
{
    const struct engine_request *request = NULL;

    TAILQ_FOREACH(request, list, link)
    {
        if (deadline_is_set(&request->deadline) && request->deadline.at_us < earliest_us)
            earliest_us = request->deadline.at_us;
    }
    return earliest_us;
}

uint64_t scheduler_next_deadline_us(const struct scheduler *scheduler)
{
    uint64_t earliest_us = MAILBOX_FOREVER_US;

    earliest_us = list_next_deadline_us(&scheduler->arrived, earliest_us);
    earliest_us = list_next_deadline_us(&scheduler->waiting, earliest_us);
    return list_next_deadline_us(&scheduler->running, earliest_us);
}

void scheduler_fail_all(struct scheduler *scheduler, const struct err *error)
{
    struct engine_request *request = NULL;

    TAILQ_CONCAT(&scheduler->waiting, &scheduler->arrived, link);
    while ((request = TAILQ_FIRST(&scheduler->running)) != NULL) {
        engine_request_fail(request, error);
        scheduler_release_slot(scheduler, request);
    }
    while ((request = TAILQ_FIRST(&scheduler->waiting)) != NULL) {
        TAILQ_REMOVE(&scheduler->waiting, request, link);
        engine_request_fail(request, error);
        engine_request_hand_back(request);
    }
}

/* ---- room in the KV store ---- */

/* Blocks that those who run will still take for the tokens they have: promised to them. */
static uint32_t scheduler_promised_blocks(const struct scheduler *scheduler)
{
    const struct kv_table *kv = scheduler_kv(scheduler);
    const struct engine_request *request = NULL;
    uint32_t count = 0;

    TAILQ_FOREACH(request, &scheduler->running, link)
    {
        count += kv_table_blocks_lacking(kv, request->sequence, (uint32_t)request->tokens.count);
    }
    return count;
}

/* The oldest that waits begins if its tokens, and one block more for its answer, have room beside
 * what runs; alone it always has. False when it has to wait. */
static bool scheduler_begin_next(struct scheduler *scheduler)
{
    struct kv_table *kv = scheduler_kv(scheduler);
    struct engine_request *request = TAILQ_FIRST(&scheduler->waiting);
    uint32_t sequence = scheduler_free_sequence(scheduler);
    uint32_t token_count = (uint32_t)request->tokens.count;
    uint32_t promised = scheduler_promised_blocks(scheduler);
    uint32_t held = kv_table_reuse(kv, sequence, request->tokens.ids, token_count);
    uint32_t wanted = kv_table_blocks_lacking(kv, sequence, token_count + KV_BLOCK_TOKENS);

    if (!TAILQ_EMPTY(&scheduler->running) && promised + wanted > kv_table_free_blocks(kv)) {
        kv_table_truncate(kv, sequence, 0);
        return false;
    }
    TAILQ_REMOVE(&scheduler->waiting, request, link);
    TAILQ_INSERT_TAIL(&scheduler->running, request, link);
    scheduler->is_taken[sequence] = true;
    engine_request_begin(request, sequence, held);
    return true;
}

static void scheduler_fill_slots(struct scheduler *scheduler)
{
    while (!TAILQ_EMPTY(&scheduler->waiting) && scheduler_has_free_slot(scheduler)) {
        if (!scheduler_begin_next(scheduler))
            return;
    }
}

static void scheduler_interrupt(struct scheduler *scheduler, struct engine_request *request)
{
    scheduler_leave_slot(scheduler, request);
    engine_request_interrupt(request);
    TAILQ_INSERT_HEAD(&scheduler->waiting, request, link);
}

/* Makes room for the next row of REQUEST beside what this step already takes. False when that
 * interrupted REQUEST itself, which was then the youngest. */
static bool scheduler_make_room(struct scheduler *scheduler, struct engine_request *request)
{
    struct kv_table *kv = scheduler_kv(scheduler);
    uint32_t lacking = kv_table_blocks_lacking(kv, request->sequence, request->computed_tokens + 1);

    while (scheduler->lacking_blocks + lacking > kv_table_free_blocks(kv)) {
        struct engine_request *youngest = TAILQ_LAST(&scheduler->running, request_list);

        /* Alone it has room: its tokens and its limit fit the store. */
        assert(youngest != TAILQ_FIRST(&scheduler->running));
        scheduler_interrupt(scheduler, youngest);
        if (youngest == request)
            return false;
    }
    return true;
}

/* ---- steps ---- */

/* Takes at most LIMIT rows of REQUEST into the step. */
static uint32_t scheduler_add_rows(struct scheduler *scheduler, struct engine_request *request,
                                   uint32_t limit)
{
    uint32_t added =
        engine_request_add_rows(request, scheduler->rows + scheduler->row_count, limit);

    if (added == 0)
        return 0;
    scheduler->stepping[scheduler->stepping_count++] = request;
    scheduler->row_count += added;
    scheduler->lacking_blocks += kv_table_blocks_lacking(scheduler_kv(scheduler), request->sequence,
                                                         request->computed_tokens + added);
    return added;
}

/* The oldest first: who has to give way is younger, and so has no rows in this step yet. */
static void scheduler_add_decodes(struct scheduler *scheduler)
{
    struct engine_request *request = TAILQ_FIRST(&scheduler->running);

    while (request != NULL) {
        if (request->state == REQUEST_DECODE && !engine_request_is_paused(request)) {
            if (!scheduler_make_room(scheduler, request))
                return;
            (void)scheduler_add_rows(scheduler, request, 1);
        }
        request = TAILQ_NEXT(request, link);
    }
}

/* The oldest always gets on. Where it decodes, its row comes first; where it prefills, room for a
 * row of its prompt is kept back from the decodes of this step. Returns the blocks that takes. */
static uint32_t scheduler_reserve_for_oldest(struct scheduler *scheduler)
{
    struct engine_request *oldest = TAILQ_FIRST(&scheduler->running);

    if (oldest->state != REQUEST_PREFILL || engine_request_is_paused(oldest))
        return 0;
    (void)scheduler_make_room(scheduler, oldest); /* it is not the one that gives way */
    return kv_table_blocks_lacking(scheduler_kv(scheduler), oldest->sequence,
                                   oldest->computed_tokens + 1);
}

static uint32_t scheduler_prefilling_count(const struct scheduler *scheduler)
{
    const struct engine_request *request = NULL;
    uint32_t count = 0;

    TAILQ_FOREACH(request, &scheduler->running, link)
    {
        count += request->state == REQUEST_PREFILL ? 1 : 0;
    }
    return count;
}

/* Rows that SEQUENCE of LENGTH can have with BLOCKS more. */
static uint32_t rows_that_fit(uint32_t length, uint32_t blocks)
{
    return blocks * KV_BLOCK_TOKENS +
           (KV_BLOCK_TOKENS - length % KV_BLOCK_TOKENS) % KV_BLOCK_TOKENS;
}

/* An equal share for each prompt, so that a short one does not wait for a long one; what one does
 * not need goes to those behind it. */
static void scheduler_add_prompts(struct scheduler *scheduler, uint32_t budget)
{
    const struct kv_table *kv = scheduler_kv(scheduler);
    uint32_t sharing = scheduler_prefilling_count(scheduler);
    struct engine_request *request = NULL;

    TAILQ_FOREACH(request, &scheduler->running, link)
    {
        uint32_t limit = 0;
        uint32_t fitting = 0;
        uint32_t added = 0;

        if (request->state != REQUEST_PREFILL)
            continue;
        assert(sharing > 0);
        limit = budget > sharing ? budget / sharing : 1; /* a row at least: each gets on */
        fitting = rows_that_fit(request->computed_tokens,
                                kv_table_free_blocks(kv) - scheduler->lacking_blocks);
        added = scheduler_add_rows(scheduler, request, limit < fitting ? limit : fitting);
        scheduler->prompt_rows += added;
        budget -= added < budget ? added : budget;
        sharing--;
    }
}

static void scheduler_build_batch(struct scheduler *scheduler)
{
    uint32_t reserved = 0;
    uint32_t budget = 0;
    uint32_t room = 0;

    scheduler->row_count = 0;
    scheduler->prompt_rows = 0;
    scheduler->lacking_blocks = 0;
    scheduler->stepping_count = 0;
    reserved = scheduler_reserve_for_oldest(scheduler);
    scheduler->lacking_blocks += reserved;
    scheduler_add_decodes(scheduler);
    scheduler->lacking_blocks -= reserved;
    room = SESSION_BATCH_MAX_ROWS - scheduler->row_count;
    budget = pace_rows(&scheduler->pace, scheduler->row_count > 0);
    if (budget > 0)
        scheduler_add_prompts(scheduler, budget < room ? budget : room);
}

/* Candidates will do where they do for each token of the step. */
static uint32_t scheduler_picked_count(const struct scheduler *scheduler)
{
    uint32_t most = 0;

    for (unsigned i = 0; i < scheduler->stepping_count; i++) {
        const struct engine_request *request = scheduler->stepping[i];
        uint32_t count = 0;

        if (!engine_request_wants_logits(request))
            continue;
        count = engine_request_picked_count(request);
        if (count == 0)
            return 0;
        most = count > most ? count : most;
    }
    return most;
}

static struct row_logits scheduler_logits(const struct scheduler *scheduler, size_t row)
{
    const struct step_output *output = &scheduler->output;

    return output->is_picked
               ? (struct row_logits){.picked = output->picked + row * output->picked_count}
               : (struct row_logits){.all = output->logits + row * scheduler->runtime->vocab_count};
}

/* The counters rise before any event of this step can be seen: who has seen a token finds it
 * counted. */
static void scheduler_count_step(struct scheduler *scheduler)
{
    unsigned token_count = 0;

    for (unsigned i = 0; i < scheduler->stepping_count; i++)
        token_count += engine_request_wants_logits(scheduler->stepping[i]);
    atomic_fetch_add(&scheduler->prefill_tokens, scheduler->prompt_rows);
    atomic_fetch_add(&scheduler->tokens, token_count);
}

static void scheduler_advance_all(struct scheduler *scheduler)
{
    size_t row = 0;

    scheduler_count_step(scheduler);
    for (unsigned i = 0; i < scheduler->stepping_count; i++) {
        struct engine_request *request = scheduler->stepping[i];
        struct row_logits logits = scheduler_logits(scheduler, row);

        row += engine_request_wants_logits(request);
        engine_request_advance(request, scheduler->runtime, &logits);
        if (request->state == REQUEST_DONE)
            scheduler_release_slot(scheduler, request);
    }
}

int scheduler_step(struct scheduler *scheduler, bool *out_is_idle, struct err *err)
{
    uint64_t start_us = clock_monotonic_us();
    struct err failure = ERR_INIT;

    scheduler_drop_unwanted(scheduler, start_us);
    scheduler_prepare_next(scheduler);
    scheduler_fill_slots(scheduler);
    scheduler_tell_positions(scheduler);
    *out_is_idle = TAILQ_EMPTY(&scheduler->arrived);
    if (TAILQ_EMPTY(&scheduler->running)) /* or nothing has been loaded */
        return 0;
    scheduler_build_batch(scheduler);
    if (scheduler->row_count == 0)
        return 0;
    *out_is_idle = false;
    scheduler->output.picked_count = scheduler_picked_count(scheduler);
    if (session_step_into(scheduler->runtime->session, scheduler->rows, scheduler->row_count,
                          &scheduler->output, &failure) < 0) {
        log_event(LOG_ERROR, "step_failed", "reason=%s", failure.message);
        if (failure.kind == ERR_DEVICE)
            return err_set(err, failure.kind, "%s", failure.message);
        scheduler_fail_all(scheduler, &failure);
        return 0;
    }
    pace_measure(&scheduler->pace,
                 &(struct pace_step){.prompt_rows = scheduler->prompt_rows,
                                     .decode_rows = scheduler->row_count - scheduler->prompt_rows,
                                     .took_us = clock_monotonic_us() - start_us});
    scheduler_advance_all(scheduler);
    return 0;
}

/* ---- life ---- */

void scheduler_init(struct scheduler *scheduler, struct runtime *runtime, struct mailbox *mailbox)
{
    scheduler->runtime = runtime;
    scheduler->mailbox = mailbox;
    TAILQ_INIT(&scheduler->arrived);
    TAILQ_INIT(&scheduler->waiting);
    TAILQ_INIT(&scheduler->running);
}

void scheduler_release(struct scheduler *scheduler)
{
    runtime_output_release(&scheduler->output);
}

int scheduler_warm_up(struct scheduler *scheduler, struct err *err)
{
    struct runtime *runtime = scheduler->runtime;
    uint64_t took_us = 0;

    if (runtime_output_init(runtime, runtime->slot_count, &scheduler->output, err) < 0)
        return -1;
    if (runtime_warm_up(runtime, scheduler->output.logits, &took_us, err) < 0)
        return err_wrap(err, "compute the first token");
    pace_init(&scheduler->pace, took_us);
    return 0;
}
