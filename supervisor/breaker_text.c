/* Owns the words about breakers. Decides nothing. */
#include "supervisor/breaker_text.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/records.h"
#include "common/units.h"

/* Milliseconds until a start may be tried; -1: only a person can tell. */
static int64_t breaker_retry_after_ms(const struct breaker *breaker)
{
    int64_t left_ms = breaker->until_ms - (int64_t)clock_monotonic_ms();

    switch (breaker->state) {
    case BREAKER_OPEN:
        return left_ms > 0 ? left_ms : 0;
    case BREAKER_FORCED_OPEN:
        return -1;
    case BREAKER_CLOSED:
    case BREAKER_HALF_OPEN:
    case BREAKER_STATE_COUNT:
        break;
    }
    return 0;
}

void breaker_explain(const struct breaker *breaker, const char *name, const char *detail,
                     struct err *out)
{
    const char *why = breaker_cause_meaning(breaker->opened_by);
    const char *colon = detail[0] == '\0' ? "" : ": ";
    int64_t after_ms = breaker_retry_after_ms(breaker);
    char after[UNITS_TEXT_BYTES];

    units_format_duration(after_ms < 0 ? 0 : (uint64_t)after_ms, after);
    if (breaker->state == BREAKER_FORCED_OPEN)
        err_fill(out, ERR_CIRCUIT_OPEN,
                 "the circuit of %s was opened by a person%s%s; rbee breaker reset %s", name, colon,
                 detail, name);
    else if (breaker->state == BREAKER_HALF_OPEN)
        err_fill(out, ERR_CIRCUIT_OPEN, "the circuit of %s is half open, %s%s%s", name,
                 breaker->has_probe ? "a start is being tried" : "the next start is a trial", colon,
                 detail);
    else
        err_fill(out, ERR_CIRCUIT_OPEN,
                 "the circuit of %s is open (%s), next try in %s, or now with rbee breaker reset "
                 "%s%s%s",
                 name, why, after, name, colon, detail);
    if (after_ms > 0)
        out->retry_after_ms = (uint64_t)after_ms;
}

static json_t *breaker_time(int64_t mono_ms)
{
    char text[CLOCK_RFC3339_BYTES];

    clock_format_rfc3339(clock_wall_ms() + mono_ms - (int64_t)clock_monotonic_ms(), text);
    return json_string(text);
}

json_t *breaker_to_json(const struct breaker *breaker, const struct breaker_policy *policy,
                        const struct breaker_subject *subject)
{
    bool is_open = breaker->state == BREAKER_OPEN;
    bool is_closed = breaker->state == BREAKER_CLOSED;
    int64_t failures = breaker_count(breaker, policy, (int64_t)clock_monotonic_ms());
    int64_t after_ms = breaker_retry_after_ms(breaker);
    json_t *record = json_object();

    (void)json_object_set_new(record, "name", json_string(subject->name));
    (void)json_object_set_new(record, "kind", json_string(subject->kind));
    (void)json_object_set_new(record, "state", json_string(breaker_state_name(breaker->state)));
    (void)json_object_set_new(
        record, "cause",
        json_text_or_null(is_closed ? NULL : breaker_cause_name(breaker->opened_by)));
    (void)json_object_set_new(record, "last_change",
                              json_string(breaker_cause_name(breaker->cause)));
    (void)json_object_set_new(record, "failures", json_integer(failures));
    (void)json_object_set_new(record, "trips", json_integer(breaker->trip_count));
    (void)json_object_set_new(record, "until",
                              is_open ? breaker_time(breaker->until_ms) : json_null());
    (void)json_object_set_new(record, "retry_after_ms",
                              is_open ? json_integer(after_ms) : json_null());
    (void)json_object_set_new(record, "reason", json_text_or_null(subject->reason));
    (void)json_object_set_new(record, "last_stderr",
                              json_text_or_null(is_closed ? NULL : subject->last_words));
    record_check(RECORD_BREAKER, record);
    return record;
}
