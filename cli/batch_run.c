/* Owns the sending of a batch. Must not know where requests come from and results go. */
#include "cli/batch_run.h"

#include "cli/api.h"
#include "cli/batch_input.h"
#include "cli/batch_output.h"
#include "cli/cli.h"
#include "cli/infer_ask.h"
#include "cli/message.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

#include <assert.h>
#include <event2/event.h>

enum {
    BATCH_TRIES_MAX = 8,
    BATCH_WAIT_DEFAULT_MS = 1000, /* where "later" has no time */
    /* A longer wait than that is no answer: the line fails, and --resume asks it again. */
    BATCH_WAIT_MAX_MS = 5 * 60 * 1000,
    EXIT_TRY_LATER = 75,
    MS_PER_S = 1000,
};

struct batch;

/* A place for one request on its way. */
struct batch_slot {
    struct batch *batch;
    struct event *again; /* pending while the request waits for another try */
    struct api_call *call;
    size_t index;
    unsigned tries;
    uint64_t deadline_ms; /* that it was sent with */
};

struct batch {
    struct cli *cli;
    const struct batch_input *input;
    struct batch_output *output;
    struct batch_counts *counts;
    size_t max_failures;
    size_t next_index;
    size_t busy_count; /* slots with a request */
    uint64_t deadline_ms;
    bool has_failed; /* err is set: nothing more is sent */
    struct err *err;
    size_t slot_count;
    struct batch_slot slots[BATCH_JOBS_MAX];
};

static void show_progress(struct batch *batch)
{
    message_progress(batch->cli, "%zu of %zu answered, %zu failed, %zu on their way",
                     batch->counts->answered, batch->input->count, batch->counts->failed,
                     batch->busy_count);
}

static bool may_send_more(const struct batch *batch)
{
    return !batch->has_failed &&
           (batch->max_failures == 0 || batch->counts->failed < batch->max_failures);
}

static void on_done(void *owner, struct api_call *call);

static void send_slot(struct batch_slot *slot)
{
    struct batch *batch = slot->batch;
    AUTO_JSON json_t *body = batch_input_body(batch->input, slot->index);
    const struct api_request request = {.method = HTTP_POST,
                                        .target = "/v1/inference",
                                        .body = body,
                                        .deadline_ms = batch->deadline_ms,
                                        .timeout_ms = batch->deadline_ms + INFER_GRACE_MS};

    slot->deadline_ms = batch->deadline_ms;
    slot->tries++;
    slot->call = api_call_start(batch->cli->api, &request, on_done, slot);
}

/* What waits for another try is left for --resume. */
static void drop_waiting(struct batch *batch)
{
    for (size_t i = 0; i < batch->slot_count; i++) {
        struct batch_slot *slot = &batch->slots[i];

        if (slot->again == NULL || !evtimer_pending(slot->again, NULL))
            continue;
        (void)evtimer_del(slot->again); /* it was added: cannot fail */
        batch->busy_count--;
    }
}

/* The slot's next request, if there is one; its own is done. */
static void go_on(struct batch_slot *slot)
{
    struct batch *batch = slot->batch;

    batch->busy_count--;
    while (batch->next_index < batch->input->count && batch->output->is_answered[batch->next_index])
        batch->next_index++;
    if (may_send_more(batch) && batch->next_index < batch->input->count) {
        batch->busy_count++;
        slot->index = batch->next_index++;
        slot->tries = 0;
        send_slot(slot);
    }
    if (!may_send_more(batch))
        drop_waiting(batch);
    show_progress(batch);
}

static void fail_batch(struct batch *batch, const struct err *failure)
{
    if (!batch->has_failed)
        *batch->err = *failure;
    batch->has_failed = true;
}

/* Writes {"id", "index"} and the fields of FIELDS. */
static int write_result(struct batch_slot *slot, json_t *fields)
{
    struct batch *batch = slot->batch;
    json_t *id = batch_input_id(batch->input, slot->index);
    AUTO_JSON json_t *result = json_pack("{s:O?,s:I}", "id", id, "index", (json_int_t)slot->index);
    struct err err = ERR_INIT;

    if (id == NULL)
        (void)json_object_set_new(result, "id", json_null());
    (void)json_object_update(result, fields);
    message_progress_clear(batch->cli); /* where both go to a terminal */
    if (batch_output_add(batch->output, result, &err) == 0)
        return 0;
    fail_batch(batch, &err);
    return -1;
}

static void take_answer(struct batch_slot *slot, json_t *reply)
{
    struct batch *batch = slot->batch;
    struct err err = ERR_INIT;

    if (!json_is_string(json_object_get(reply, "text"))) {
        err_fill(&err, ERR_PROTOCOL, "the supervisor's answer has no text");
        fail_batch(batch, &err);
        return;
    }
    /* "id" is the user's own here. */
    (void)json_object_set(reply, "request_id", json_object_get(reply, "id"));
    (void)json_object_del(reply, "id");
    if (write_result(slot, reply) == 0)
        batch->counts->answered++;
}

/* What is the same for every request; a model that is not there, where it is not the line's own. */
static bool is_for_all(const struct batch_slot *slot, enum err_kind kind)
{
    static const enum err_kind KINDS[] = {ERR_UNREACHABLE, ERR_MISSING_API_KEY, ERR_INVALID_API_KEY,
                                          ERR_FORBIDDEN,   ERR_MISDIRECTED,     ERR_PROTOCOL,
                                          ERR_IO,          ERR_INTERNAL};

    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (KINDS[i] == kind)
            return true;
    }
    return (kind == ERR_MODEL_NOT_FOUND || kind == ERR_NO_FILE) &&
           !batch_input_has_model(slot->batch->input, slot->index);
}

/* A supervisor that went away in the middle may be back at once: where it is not, the next try
 * says so. */
static bool is_for_later(const struct err *failure)
{
    return failure->kind == ERR_STREAM_BROKEN ||
           (err_exit_code(failure->kind) == EXIT_TRY_LATER && err_is_retryable(failure->kind));
}

static uint64_t wait_ms(const json_t *envelope)
{
    const json_t *error = json_object_get(envelope, "error");
    const json_t *after = json_object_get(error, "retry_after_ms");
    json_int_t ms = json_is_integer(after) ? json_integer_value(after) : BATCH_WAIT_DEFAULT_MS;

    return ms > 0 ? (uint64_t)ms : 0;
}

/* Whether the request waits for another try now. */
static bool try_later(struct batch_slot *slot, const json_t *envelope, const struct err *failure)
{
    uint64_t ms = wait_ms(envelope);
    const struct timeval time = clock_timeval(ms);

    if (!is_for_later(failure) || slot->tries >= BATCH_TRIES_MAX || ms > BATCH_WAIT_MAX_MS ||
        !may_send_more(slot->batch))
        return false;
    message_detail(slot->batch->cli, "request %zu waits %.1f s: %s", slot->index,
                   (double)ms / MS_PER_S, failure->message);
    return evtimer_add(slot->again, &time) == 0;
}

static void on_again(evutil_socket_t fd, short what, void *owner)
{
    send_slot(owner);
}

/* Nobody asked for a deadline, and ours was longer than the supervisor allows: it is sent again
 * with what it allows, which holds for all that follow. */
static bool lower_deadline(struct batch_slot *slot, const json_t *envelope, struct err *failure)
{
    struct batch *batch = slot->batch;

    if (failure->kind != ERR_INVALID_DEADLINE)
        return false;
    return slot->deadline_ms > batch->deadline_ms ||
           infer_deadline_lower(batch->cli, envelope, &batch->deadline_ms, failure) == 0;
}

/* Whether the request is done with. */
static bool take_failure(struct batch_slot *slot, json_t *envelope, struct err *failure)
{
    AUTO_JSON json_t *made = NULL;

    if (lower_deadline(slot, envelope, failure)) {
        send_slot(slot);
        return false;
    }
    if (is_for_all(slot, failure->kind)) {
        fail_batch(slot->batch, failure);
        return true;
    }
    if (try_later(slot, envelope, failure))
        return false;
    made = envelope != NULL ? json_incref(envelope) : json_error_envelope(failure, NULL, NULL);
    if (write_result(slot, made) == 0)
        slot->batch->counts->failed++;
    return true;
}

static void on_done(void *owner, struct api_call *call)
{
    struct batch_slot *slot = owner;
    AUTO_JSON json_t *reply = NULL;
    AUTO_JSON json_t *envelope = NULL;
    struct err failure = ERR_INIT;
    int rc = api_call_result(call, &reply, &envelope, &failure);

    api_call_free(take_ptr(slot->call));
    if (rc == 0)
        take_answer(slot, reply);
    else if (!take_failure(slot, envelope, &failure))
        return;
    go_on(slot);
}

static void on_signal(evutil_socket_t fd, short what, void *owner)
{
    struct batch *batch = owner;
    struct err err = ERR_INIT;

    interrupt_take(&batch->cli->interrupt);
    if (batch->cli->interrupt.signal == 0)
        return;
    err_fill(&err, ERR_CANCELLED, "interrupted");
    fail_batch(batch, &err);
}

/* Runs until nothing is on its way, or what is need not be waited for. */
static int run_loop(struct batch *batch, struct err *err)
{
    struct event_base *base = api_base(batch->cli->api);
    struct event *signals =
        event_new(base, batch->cli->interrupt.fd, EV_READ | EV_PERSIST, on_signal, batch);

    if (signals == NULL || event_add(signals, NULL) < 0)
        fail_batch(batch, &(struct err){.kind = ERR_INTERNAL, .message = "signals are not seen"});
    while (batch->busy_count > 0 && !batch->has_failed) {
        if (event_base_loop(base, EVLOOP_ONCE) < 0)
            fail_batch(batch, &(struct err){.kind = ERR_INTERNAL, .message = "event loop"});
    }
    if (signals != NULL)
        event_free(signals);
    message_progress_clear(batch->cli);
    return batch->has_failed ? -1 : 0;
}

int batch_run(struct cli *cli, const struct batch_input *input, struct batch_output *output,
              size_t job_count, size_t max_failures, struct batch_counts *counts, struct err *err)
{
    struct batch batch = {.cli = cli,
                          .input = input,
                          .output = output,
                          .counts = counts,
                          .max_failures = max_failures,
                          .deadline_ms = infer_deadline_ms(cli),
                          .err = err,
                          .slot_count = job_count};
    int rc = 0;

    assert(job_count <= BATCH_JOBS_MAX);
    *counts = (struct batch_counts){.answered = output->answered_count};
    for (size_t i = 0; i < job_count; i++) {
        struct batch_slot *slot = &batch.slots[i];

        slot->batch = &batch;
        slot->again = evtimer_new(api_base(cli->api), on_again, slot);
        if (slot->again == NULL)
            abort(); /* as xmalloc: memory is gone */
        batch.busy_count++;
        go_on(slot);
    }
    rc = run_loop(&batch, err);
    for (size_t i = 0; i < job_count; i++) {
        api_call_free(batch.slots[i].call); /* closes the connection: the worker stops */
        event_free(batch.slots[i].again);
    }
    return rc;
}
