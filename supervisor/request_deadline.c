/* Owns what a request's time goes into, and what is said of one that is late. Reads the request and
 * its worker; ends it through request_fail() alone. */
#include "supervisor/request_deadline.h"

#include "common/clock.h"
#include "supervisor/supervisor.h"

uint64_t request_load_us(const struct request *request, uint64_t now_us)
{
    const struct worker_process *process = &request->worker->process;
    uint64_t from_us = process->spawned_ms * 1000;
    uint64_t until_us = process->ready_ms == 0 ? now_us : process->ready_ms * 1000;

    if (process->spawned_ms == 0)
        return 0;
    if (request->arrived_us > from_us)
        from_us = request->arrived_us;
    if (until_us > now_us)
        until_us = now_us;
    return until_us > from_us ? until_us - from_us : 0;
}

static void request_measure_wait(const struct request *request, uint64_t now_us,
                                 struct deadline_spent *out)
{
    bool is_loading = request->state == REQUEST_QUEUED && request->worker->state == LIFE_STARTING;

    out->phase = is_loading ? DEADLINE_LOAD : DEADLINE_QUEUE;
    if (request->state == REQUEST_QUEUED && life_has_process(request->worker->state))
        out->us[DEADLINE_LOAD] = request_load_us(request, now_us);
    out->us[DEADLINE_QUEUE] = now_us - request->arrived_us - out->us[DEADLINE_LOAD];
}

void request_measure(const struct request *request, struct deadline_spent *out)
{
    uint64_t now_us = clock_monotonic_us();
    bool has_token = request->first_token_us != 0;
    uint64_t prefilled_us = has_token ? request->first_token_us : now_us;

    *out = (struct deadline_spent){.phase = DEADLINE_QUEUE};
    if (request->state != REQUEST_RUNNING) {
        request_measure_wait(request, now_us, out);
        return;
    }
    out->phase = has_token ? DEADLINE_DECODE : DEADLINE_PREFILL;
    out->us[DEADLINE_LOAD] = request->load_us;
    out->us[DEADLINE_QUEUE] = request->dispatched_us - request->arrived_us - request->load_us;
    out->us[DEADLINE_PREFILL] = prefilled_us - request->dispatched_us;
    out->us[DEADLINE_DECODE] = now_us - prefilled_us;
}

void request_fail_late(struct request *request)
{
    struct deadline_spent spent;
    struct err err = ERR_INIT;

    request_measure(request, &spent);
    (void)deadline_fail(&spent, &err);
    request_fail(request, &err);
}

bool request_end_if_late(struct request *request)
{
    if (!deadline_is_over(&request->deadline, clock_monotonic_us()))
        return false;
    request_fail_late(request);
    return true;
}

json_t *request_note_missed_deadline(const struct request *request)
{
    struct deadline_spent spent;

    request_measure(request, &spent);
    metrics_count(&request->supervisor->metrics, METRIC_DEADLINE_MISSES, spent.phase);
    return deadline_details(&spent);
}
