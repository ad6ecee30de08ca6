/* Owns what the headers of deadlines mean, and how a missed one is told. Knows no request and reads
 * no clock. */
#include "common/deadline.h"

#include <inttypes.h>
#include <string.h>

enum {
    US_PER_MS = 1000,
    /* The year 33658 in milliseconds; a sum with any clock fits 64 bits. */
    DEADLINE_MAX_DIGITS = 15,
    DEADLINE_SHOWN_BYTES = 24, /* of a wrong value */
};

/* The value of the header NAME, NULL when there is none. */
static int deadline_find(const struct http_head *head, const char *name, const char **out,
                         struct err *err)
{
    *out = NULL;
    for (size_t i = 0; i < head->header_count; i++) {
        if (!http_name_is(head->headers[i].name, name))
            continue;
        if (*out != NULL)
            return err_set(err, ERR_INVALID_DEADLINE, "more than one %s", name);
        *out = head->headers[i].value;
    }
    return 0;
}

/* Digits and nothing else, each number spelt in one way: no sign, no blank, no leading zero. */
static int deadline_parse(const char *name, const char *text, int64_t *out, struct err *err)
{
    size_t len = strlen(text);
    int64_t value = 0;

    if (len == 0 || len > DEADLINE_MAX_DIGITS || strspn(text, "0123456789") != len ||
        (text[0] == '0' && len > 1))
        return err_set(err, ERR_INVALID_DEADLINE,
                       "%s must be milliseconds in at most %d decimal digits, not \"%.*s\"", name,
                       DEADLINE_MAX_DIGITS, DEADLINE_SHOWN_BYTES, text);
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (text[i] - '0');
    *out = value;
    return 0;
}

static int deadline_check_distance(const char *name, int64_t left_ms, uint64_t max_ms,
                                   struct err *err)
{
    if (max_ms == 0 || left_ms <= 0 || (uint64_t)left_ms <= max_ms)
        return 0;
    return err_set(err, ERR_INVALID_DEADLINE,
                   "%s is %" PRId64 " ms away, and deadline.max is %" PRIu64, name, left_ms,
                   max_ms);
}

static struct deadline deadline_from(uint64_t from_us, int64_t left_ms, int64_t wall_ms)
{
    /* One of a wall clock may have passed long ago. */
    uint64_t left_us = left_ms > 0 ? (uint64_t)left_ms * US_PER_MS : 0;

    return (struct deadline){.at_us = from_us + left_us, .wall_ms = wall_ms};
}

static int64_t deadline_wall_of_arrival(const struct deadline_clock *clock)
{
    return clock->wall_ms - (int64_t)((clock->now_us - clock->arrived_us) / US_PER_MS);
}

struct deadline deadline_after(const struct deadline_clock *clock, uint64_t ms)
{
    if (ms == 0)
        return (struct deadline){.at_us = DEADLINE_NONE_US};
    return deadline_from(clock->arrived_us, (int64_t)ms,
                         deadline_wall_of_arrival(clock) + (int64_t)ms);
}

static int deadline_read_absolute(const struct http_head *head, const struct deadline_clock *clock,
                                  uint64_t max_ms, struct deadline *out, struct err *err)
{
    const char *text = NULL;
    int64_t wall_ms = 0;

    if (deadline_find(head, DEADLINE_HEADER, &text, err) < 0)
        return -1;
    if (text == NULL)
        return 0;
    if (deadline_parse(DEADLINE_HEADER, text, &wall_ms, err) < 0 ||
        deadline_check_distance(DEADLINE_HEADER, wall_ms - clock->wall_ms, max_ms, err) < 0)
        return -1;
    *out = deadline_from(clock->now_us, wall_ms - clock->wall_ms, wall_ms);
    return 0;
}

static int deadline_read_relative(const struct http_head *head, const struct deadline_clock *clock,
                                  uint64_t max_ms, struct deadline *out, struct err *err)
{
    const char *text = NULL;
    int64_t left_ms = 0;

    if (deadline_find(head, DEADLINE_TIMEOUT_HEADER, &text, err) < 0)
        return -1;
    if (text == NULL)
        return 0;
    if (deadline_parse(DEADLINE_TIMEOUT_HEADER, text, &left_ms, err) < 0 ||
        deadline_check_distance(DEADLINE_TIMEOUT_HEADER, left_ms, max_ms, err) < 0)
        return -1;
    *out = deadline_from(clock->arrived_us, left_ms, deadline_wall_of_arrival(clock) + left_ms);
    return 0;
}

int deadline_read(const struct http_head *head, const struct deadline_clock *clock, uint64_t max_ms,
                  struct deadline *out, struct err *err)
{
    struct deadline absolute = {.at_us = DEADLINE_NONE_US};
    struct deadline relative = {.at_us = DEADLINE_NONE_US};

    if (deadline_read_absolute(head, clock, max_ms, &absolute, err) < 0 ||
        deadline_read_relative(head, clock, max_ms, &relative, err) < 0)
        return -1;
    *out = absolute;
    if (!deadline_is_set(&absolute) ||
        (deadline_is_set(&relative) && relative.at_us < absolute.at_us))
        *out = relative;
    return 0;
}

int deadline_read_left(const struct http_head *head, uint64_t arrived_us, struct deadline *out,
                       struct err *err)
{
    const char *text = NULL;
    int64_t left_ms = 0;

    *out = (struct deadline){.at_us = DEADLINE_NONE_US};
    if (deadline_find(head, DEADLINE_LEFT_HEADER, &text, err) < 0)
        return -1;
    if (text == NULL)
        return 0;
    if (deadline_parse(DEADLINE_LEFT_HEADER, text, &left_ms, err) < 0)
        return -1;
    *out = deadline_from(arrived_us, left_ms, 0);
    return 0;
}

bool deadline_is_over(const struct deadline *deadline, uint64_t now_us)
{
    return deadline_is_set(deadline) && now_us >= deadline->at_us;
}

uint64_t deadline_left_us(const struct deadline *deadline, uint64_t now_us)
{
    return deadline->at_us > now_us ? deadline->at_us - now_us : 0;
}

/* ---- one that was missed ---- */

const char *deadline_phase_name(enum deadline_phase phase)
{
    static const char *const NAMES[DEADLINE_PHASE_COUNT] = {
        [DEADLINE_ARRIVAL] = "arrival", [DEADLINE_QUEUE] = "queue",   [DEADLINE_LOAD] = "load",
        [DEADLINE_PREFILL] = "prefill", [DEADLINE_DECODE] = "decode",
    };

    return NAMES[phase];
}

int deadline_fail(const struct deadline_spent *spent, struct err *err)
{
    if (spent->phase == DEADLINE_ARRIVAL)
        return err_set(err, ERR_DEADLINE, "the deadline had passed when the request came");
    return err_set(err, ERR_DEADLINE,
                   "the deadline passed in %s: %" PRIu64 " ms went into the queue, %" PRIu64
                   " into the load, %" PRIu64 " into the prompt, %" PRIu64 " into the answer",
                   deadline_phase_name(spent->phase), spent->us[DEADLINE_QUEUE] / US_PER_MS,
                   spent->us[DEADLINE_LOAD] / US_PER_MS, spent->us[DEADLINE_PREFILL] / US_PER_MS,
                   spent->us[DEADLINE_DECODE] / US_PER_MS);
}

json_t *deadline_details(const struct deadline_spent *spent)
{
    json_t *spent_ms = json_object();

    for (enum deadline_phase phase = DEADLINE_QUEUE; phase < DEADLINE_PHASE_COUNT; phase++)
        (void)json_object_set_new(spent_ms, deadline_phase_name(phase),
                                  json_integer((json_int_t)(spent->us[phase] / US_PER_MS)));
    return json_pack("{s:s, s:o}", "phase", deadline_phase_name(spent->phase), "spent_ms",
                     spent_ms);
}

int deadline_refuse(struct http_exchange *x, const struct deadline_spent *spent, struct err *err)
{
    http_reply_details(x, deadline_details(spent));
    return deadline_fail(spent, err);
}
