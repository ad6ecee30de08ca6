/* Owns when `rbee-worker --devices` is asked, and what its answer changes. Places no worker. */
#include "supervisor/gpu/survey.h"

#include "common/clock.h"
#include "common/device_name.h"
#include "common/devices_limit.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/api_gpus.h"
#include "supervisor/inquiry.h"
#include "supervisor/supervisor.h"

#include <string.h>

/* What workers of ours on GPU hold of it, by their own account; -1: one is loading, or does not
 * tell.
 */
static int64_t survey_held_bytes(const struct supervisor *supervisor, const struct gpu *gpu)
{
    const struct worker *worker = NULL;
    int64_t sum = 0;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        const struct device *device = worker_device_of(worker, gpu);

        if (device == NULL || !life_has_process(worker->state))
            continue;
        if (worker->state != LIFE_READY || worker->facts.memory_bytes == 0)
            return -1;
        /* It is the worker's own word. */
        if (__builtin_add_overflow(sum, worker_bytes_on(worker, device), &sum))
            sum = INT64_MAX;
    }
    return sum;
}

/* While it is not known whose memory is taken, what was known of it holds. */
static void survey_measure(const struct supervisor *supervisor, const struct ability_device *device)
{
    struct gpu *gpu = gpu_table_find(&supervisor->gpus.table, device->pci, NULL);
    int64_t held_bytes = gpu == NULL ? -1 : survey_held_bytes(supervisor, gpu);
    int64_t taken_bytes = 0;

    if (held_bytes < 0 || device->free_bytes < 0 || device->ability.memory_bytes < 0)
        return;
    taken_bytes = device->ability.memory_bytes - device->free_bytes;
    gpu->ability.foreign_bytes = taken_bytes > held_bytes ? taken_bytes - held_bytes : 0;
}

/* The delay that follows DELAY_MS. */
static int64_t survey_back_off(int64_t delay_ms)
{
    if (delay_ms == 0)
        return SURVEY_RETRY_FIRST_MS;
    return delay_ms * 2 < SURVEY_RETRY_MAX_MS ? delay_ms * 2 : SURVEY_RETRY_MAX_MS;
}

static void survey_fail(struct survey *survey, const struct err *failure)
{
    survey->failure = *failure;
    survey->retry_ms = survey_back_off(survey->retry_ms);
    log_event(LOG_WARN, "gpus_unknown", "error=%s again_ms=%lld", failure->message,
              (long long)survey->retry_ms);
}

/* ---- those that are missed ---- */

static bool seen_is_named(const struct survey_seen *seen, const char *name)
{
    return gpu_name_fits(seen->pci, seen->uuid, seen->index, name);
}

bool survey_has_seen(const struct supervisor *supervisor, const char *name)
{
    const struct survey *survey = &supervisor->survey;

    if (strcmp(name, DEVICE_NAME_ANY_GPU) == 0)
        return survey->seen_count > 0;
    for (size_t i = 0; i < survey->seen_count; i++) {
        if (seen_is_named(&survey->seen[i], name))
            return true;
    }
    return false;
}

/* As many as a machine can have: of more than that, exchanged one by one, the later are not kept.
 */
static void survey_see(struct survey *survey, const struct gpu *gpu, size_t index)
{
    size_t at = 0;

    while (at < survey->seen_count && strcmp(survey->seen[at].pci, gpu->pci) != 0)
        at++;
    if (at == GPU_MAX_COUNT)
        return;
    memcpy(survey->seen[at].pci, gpu->pci, sizeof(gpu->pci));
    memcpy(survey->seen[at].uuid, gpu->ability.uuid, sizeof(gpu->ability.uuid));
    survey->seen[at].index = index;
    survey->seen_count += at == survey->seen_count;
}

int64_t survey_miss(struct supervisor *supervisor)
{
    struct survey *survey = &supervisor->survey;

    survey->is_missed = true;
    if (survey->miss_ms == 0)
        survey->miss_ms = survey_back_off(0);
    return survey->ended_ms + survey->miss_ms;
}

/* ---- answers ---- */

static void survey_take(struct survey *survey, const struct ability_answer *answer)
{
    struct supervisor *supervisor = survey->supervisor;
    const struct gpu_table *table = &supervisor->gpus.table;

    err_clear(&survey->failure);
    survey->retry_ms = 0;
    survey->miss_ms = survey->is_missed ? survey_back_off(survey->miss_ms) : 0;
    survey->is_missed = false;
    survey->has_answered = true;
    memcpy(survey->reason, answer->reason, sizeof(survey->reason));
    gpu_table_see(&supervisor->gpus.table, answer);
    for (size_t i = 0; i < answer->count; i++)
        survey_measure(supervisor, &answer->devices[i]);
    for (size_t i = 0; i < table->count; i++) {
        if (table->gpus[i]->ability.is_usable)
            survey_see(survey, table->gpus[i], i);
    }
    if (answer->nameless_count > 0)
        log_event(LOG_WARN, "gpus_without_address", "count=%zu", answer->nameless_count);
    log_event(LOG_INFO, "gpus_known", "count=%zu reason=%s", answer->count, answer->reason);
    devices_adopt(supervisor);
}

static void survey_on_done(void *owner, const json_t *record, const struct err *failure)
{
    struct survey *survey = owner;
    struct ability_answer answer;
    struct err err = ERR_INIT;

    survey->inquiry = NULL;
    survey->ended_ms = (int64_t)clock_monotonic_ms();
    if (record == NULL)
        err = *failure;
    else if (ability_read(record, &answer, &err) != 0)
        (void)err_wrap(&err, "rbee-worker --devices");
    if (err_is_set(&err))
        survey_fail(survey, &err);
    else
        survey_take(survey, &answer);
    api_gpus_tell(survey->supervisor);
    worker_place_look_again(survey->supervisor);
}

/* One that was killed and is not gone holds the place of all others: the next would end there too.
 */
static int survey_begin(struct survey *survey, struct err *err)
{
    struct supervisor *supervisor = survey->supervisor;

    survey->is_old = survey->is_insisted = false;
    if (inquiry_count(supervisor, &survey->kind) > 0)
        return err_set(err, ERR_TIMED_OUT,
                       "an rbee-worker --devices that was killed is still there: the driver hangs");
    survey->kind = (struct inquiry_kind){
        .option = "--devices",
        .what = "asking rbee-worker --devices",
        .refusal = ERR_DEVICE,
        .limit_seconds = devices_limit_seconds(supervisor->gpus.table.count),
    };
    survey->inquiry = inquiry_begin(supervisor, &survey->kind, NULL, survey_on_done, survey, err);
    return survey->inquiry == NULL ? -1 : 0;
}

static bool survey_is_due(const struct survey *survey)
{
    if (err_is_set(&survey->failure))
        return survey->is_insisted ||
               (int64_t)clock_monotonic_ms() >= survey->ended_ms + survey->retry_ms;
    return !survey->has_answered || survey->is_old;
}

enum survey_state survey_ask(struct supervisor *supervisor, int64_t *out_until_ms)
{
    struct survey *survey = &supervisor->survey;
    struct err err = ERR_INIT;

    survey->supervisor = supervisor;
    if (survey->inquiry == NULL && survey_is_due(survey) && survey_begin(survey, &err) != 0) {
        survey->ended_ms = (int64_t)clock_monotonic_ms();
        survey_fail(survey, &err);
    }
    if (survey->inquiry != NULL)
        return SURVEY_PENDING;
    *out_until_ms = survey->ended_ms + survey->retry_ms;
    return err_is_set(&survey->failure) ? SURVEY_FAILED : SURVEY_KNOWN;
}

bool survey_has_answered(const struct supervisor *supervisor)
{
    return supervisor->survey.has_answered && !err_is_set(&supervisor->survey.failure);
}

bool survey_refusal_holds(const struct supervisor *supervisor)
{
    const struct survey *survey = &supervisor->survey;

    return !survey->is_insisted &&
           (int64_t)clock_monotonic_ms() - survey->ended_ms < SURVEY_REFUSAL_KEEP_MS;
}

void survey_outdate(struct supervisor *supervisor)
{
    supervisor->survey.is_old = true;
}

void survey_insist(struct supervisor *supervisor)
{
    supervisor->survey.is_insisted = true;
}

void survey_look_at_cards(struct supervisor *supervisor)
{
    struct survey *survey = &supervisor->survey;
    uint64_t cards = supervisor->gpus.table.change_count;

    bool is_first = !survey->knows_cards;
    bool has_changed = !is_first && survey->cards != cards;

    if (has_changed)
        survey_outdate(supervisor);
    survey->cards = cards;
    survey->knows_cards = true;
    devices_adopt(supervisor);
    /* Who came before could not be placed, and whom a card was missing for may have it now. */
    if (is_first || has_changed)
        worker_place_look_again(supervisor);
}

/* A driver's library wakes all cards there are. */
static bool survey_would_wake(const struct gpu_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->gpus[i]->state == GPU_ASLEEP)
            return true;
    }
    return false;
}

bool survey_is_awaited(struct supervisor *supervisor)
{
    const struct survey *survey = &supervisor->survey;
    const struct gpu_table *table = &supervisor->gpus.table;
    int64_t ignored_ms = 0;

    if (survey->has_answered || err_is_set(&survey->failure) || table->count == 0 ||
        (survey->inquiry == NULL && survey_would_wake(table)))
        return false;
    return survey_ask(supervisor, &ignored_ms) == SURVEY_PENDING;
}

const char *survey_reason(const struct supervisor *supervisor, const struct gpu *gpu)
{
    if (gpu->ability.is_usable)
        return "";
    if (gpu->ability.reason[0] != '\0')
        return gpu->ability.reason;
    if (gpu->ability.is_listed)
        return "rbee-worker gives no reason";
    return supervisor->survey.reason[0] != '\0' ? supervisor->survey.reason
                                                : "rbee-worker does not see it";
}

void survey_explain(const struct supervisor *supervisor, struct err *out)
{
    const struct survey *survey = &supervisor->survey;

    err_fill(out, ERR_DEVICE, "which GPUs there are is not known: %s; rbee doctor",
             err_is_set(&survey->failure) ? survey->failure.message : "they are being looked for");
}
