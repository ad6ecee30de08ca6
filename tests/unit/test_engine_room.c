/* Room in the KV store, step by step: the scheduler without its thread, so that a test decides how
 * large a chunk is and who reads. */
#include "common/json.h"
#include "hip/engine/kv.h"
#include "hip/engine/request.h"
#include "hip/engine/scheduler.h"
#include "tests/unit/fake_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { CONTEXT = 16 * KV_BLOCK_TOKENS, LONG_PROMPT = 12 * KV_BLOCK_TOKENS, STEPS_MAX = 2000 };

struct rig {
    struct runtime runtime;
    struct mailbox mailbox;
    struct scheduler scheduler;
};

static void ignore_progress(void *owner, uint64_t done_bytes, uint64_t total_bytes)
{
}

static void rig_init(struct rig *rig)
{
    static const struct engine_options OPTIONS = {
        .model_path = "none", .device = "cpu", .context_tokens = CONTEXT, .slot_count = 2};
    struct err err = ERR_INIT;

    *rig = (struct rig){0};
    fake_model_reset();
    assert_int_equal(mailbox_init(&rig->mailbox, &err), 0);
    assert_int_equal(runtime_load(&rig->runtime, &OPTIONS, ignore_progress, NULL, &err), 0);
    scheduler_init(&rig->scheduler, &rig->runtime, &rig->mailbox);
    assert_int_equal(scheduler_warm_up(&rig->scheduler, &err), 0);
}

static void rig_release(struct rig *rig)
{
    scheduler_release(&rig->scheduler);
    runtime_release(&rig->runtime);
    mailbox_release(&rig->mailbox);
}

static struct engine_request *submit(struct rig *rig, size_t prompt_tokens)
{
    struct request_list arrived = TAILQ_HEAD_INITIALIZER(arrived);
    AUTO_FREE char *prompt = xmalloc(prompt_tokens + 1);
    AUTO_JSON json_t *unknown = json_array();
    struct engine_request *request = NULL;
    struct inference_request asked;
    struct err err = ERR_INIT;
    json_t *body = NULL;

    memset(prompt, 'a', prompt_tokens);
    prompt[prompt_tokens] = '\0';
    body = json_pack("{s:s, s:i, s:b}", "prompt", prompt, "temperature", 0, "raw", 1);
    assert_int_equal(inference_parse(body, &asked, unknown, &err), 0);
    request = engine_request_new(&rig->mailbox, &asked, body, NULL);
    TAILQ_INSERT_TAIL(&arrived, request, link);
    scheduler_take(&rig->scheduler, &arrived);
    return request;
}

/* A step whose prompts get one row together. */
static void small_step(struct rig *rig)
{
    struct err err = ERR_INIT;
    bool is_idle = false;

    rig->scheduler.pace.rows_beside = 1;
    rig->scheduler.pace.rows_alone = 1;
    assert_int_equal(scheduler_step(&rig->scheduler, &is_idle, &err), 0);
}

static void take_events(struct rig *rig, struct engine_request *request)
{
    struct engine_event *event = NULL;

    while ((event = mailbox_take(&rig->mailbox, request)) != NULL)
        free(event);
}

static void end(struct rig *rig, struct engine_request *request)
{
    take_events(rig, request);
    engine_request_delete(request);
}

/* One that began later has filled the store while the prompt was computed, and its reader takes
 * nothing: it gives its room back, and does not keep the older one waiting. */
static void a_younger_one_that_nobody_reads_does_not_hold_up_the_oldest(void **state)
{
    struct rig rig;
    struct engine_request *oldest = NULL;
    struct engine_request *unread = NULL;
    struct err stop = {.kind = ERR_WORKER_DRAINING};

    rig_init(&rig);
    oldest = submit(&rig, LONG_PROMPT);
    small_step(&rig);
    unread = submit(&rig, 1);
    for (int i = 0; i < STEPS_MAX && oldest->outcome.completion_tokens == 0; i++) {
        small_step(&rig);
        take_events(&rig, oldest);
    }
    assert_int_equal(oldest->outcome.completion_tokens, 1);
    assert_true(engine_request_is_paused(unread));
    assert_true(unread->outcome.completion_tokens > 0);
    scheduler_fail_all(&rig.scheduler, &stop);
    end(&rig, oldest);
    end(&rig, unread);
    rig_release(&rig);
}

/* Many that arrive together become tokens one a step, and who runs goes on meanwhile. */
static void arrivals_do_not_hold_up_who_runs(void **state)
{
    enum { ARRIVALS = 20, TOKENS = 50 };
    struct rig rig;
    struct engine_request *running = NULL;
    struct engine_request *arrivals[ARRIVALS];
    struct err stop = {.kind = ERR_WORKER_DRAINING};
    unsigned tokenized = 0;

    rig_init(&rig);
    running = submit(&rig, 1);
    small_step(&rig);
    tokenized = fake_model_tokenized_bytes();
    for (int i = 0; i < ARRIVALS; i++)
        arrivals[i] = submit(&rig, TOKENS);
    for (uint32_t i = 1; i <= ARRIVALS; i++) {
        uint32_t before = running->outcome.completion_tokens;

        small_step(&rig);
        assert_int_equal(running->outcome.completion_tokens, before + 1);
        assert_int_equal(fake_model_tokenized_bytes(), tokenized + i * TOKENS);
    }
    scheduler_fail_all(&rig.scheduler, &stop);
    end(&rig, running);
    for (int i = 0; i < ARRIVALS; i++)
        end(&rig, arrivals[i]);
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_younger_one_that_nobody_reads_does_not_hold_up_the_oldest),
        cmocka_unit_test(arrivals_do_not_hold_up_who_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
