/* Owns the screen that explains a worker: what is worth a line, and in which order. Decides nothing
 * about workers. */
#include "common/why_text.h"

#include "common/attr.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/terminal.h"
#include "common/units.h"
#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    LABEL_COLUMNS = 13,
    LINE_MAX_BYTES = 4096,
};

static json_int_t number_of(const json_t *object, const char *field)
{
    return json_integer_value(json_object_get(object, field));
}

static bool has(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);

    return value != NULL && !json_is_null(value);
}

static char *duration_of(const json_t *object, const char *field)
{
    json_int_t ms = number_of(object, field);
    char text[UNITS_TEXT_BYTES];

    units_format_duration(ms > 0 ? (uint64_t)ms : 0, text);
    return xstrdup(text);
}

/* How many bytes of TEXT, which is clean, fit into COLUMNS; to the last blank before that where
 * there is one. *out_is_all: the whole of it. */
static size_t fit(const char *text, size_t len, size_t columns, bool *out_is_all)
{
    size_t at = 0;
    size_t blank = 0;

    while (at < len && columns > 0) {
        uint32_t ignored = 0;
        size_t step = utf8_decode(text + at, len - at, &ignored);

        if (text[at] == ' ')
            blank = at;
        at += step > 0 ? step : 1;
        columns--;
    }
    *out_is_all = at == len;
    return *out_is_all || blank == 0 || text[at] == ' ' ? at : blank;
}

/* TEXT made harmless, on at most LINE_COUNT lines of the screen behind LABEL. What does not fit is
 * left off, with a mark. */
static void add_text(struct buf *out, const char *label, unsigned line_count, const char *text)
{
    AUTO_BUF struct buf clean = BUF_INIT(LINE_MAX_BYTES * TERMINAL_GROWTH_MAX);
    const char *rest = NULL;
    bool is_all = false;

    (void)terminal_clean(&clean, text, strnlen(text, LINE_MAX_BYTES)); /* its room is for all */
    for (size_t i = 0; i < clean.len; i++) {
        if (clean.data[i] == '\n' || clean.data[i] == '\t')
            clean.data[i] = ' ';
    }
    rest = clean.data;
    while (!is_all && line_count-- > 0) {
        size_t left = strlen(rest);
        size_t len = fit(rest, left, WHY_TEXT_COLUMNS - LABEL_COLUMNS, &is_all);

        if (!is_all && line_count == 0) /* room for the mark */
            len = fit(rest, left, WHY_TEXT_COLUMNS - LABEL_COLUMNS - strlen(" >"), &is_all);
        (void)buf_printf(out, "%-*s", LABEL_COLUMNS, label);
        (void)buf_add(out, rest, len);
        (void)buf_add_string(out, !is_all && line_count == 0 ? " >\n" : "\n");
        rest += len + (rest[len] == ' ');
        label = "";
    }
}

PRINTF_LIKE(4, 5)
static void add_field(struct buf *out, const char *label, unsigned line_count, const char *format,
                      ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* what is cut would not be shown */
    va_end(args);
    add_text(out, label, line_count, text);
}

/* ---- the lines ---- */

static void add_headline(const json_t *record, struct buf *out)
{
    const json_t *worker = json_object_get(record, "worker");
    AUTO_FREE char *since = duration_of(record, "state_ms");
    const char *model = json_shown_text(worker, "model");
    const char *device = json_shown_text(worker, "device");
    const char *name = json_shown_text(record, "name");
    bool is_long = strlen(name) >= LABEL_COLUMNS; /* then it has a line for itself */

    if (is_long)
        (void)buf_printf(out, "%s\n", name);
    add_field(out, is_long ? "" : name, 1, "is %s for %s, since %s",
              json_shown_text(record, "state"), since, json_shown_text(record, "since"));
    add_field(out, "", 1, "wanted %s%s%s%s%s", json_shown_text(worker, "desired"),
              model[0] != '\0' ? "; model " : "", model, device[0] != '\0' ? "; on " : "", device);
}

static const struct {
    const char *word;
    const char *meaning;
} WAITS[] = {
    {"breaker", "its circuit breaker"},
    {"back_off", "its next restart"},
    {"device", "its device, which takes no starts"},
    {"storm_guard", "its turn: there were too many starts on its device"},
    {"gpu_list", "an answer to the question which GPUs there are (rbee-worker --devices)"},
    {"room", "room on its device: others hold the memory"},
    {"other_load", "another model that loads on its device"},
};

static void add_waiting(const json_t *record, struct buf *out)
{
    const char *word = json_shown_text(record, "waits_for");
    const char *meaning = word;
    AUTO_FREE char *left = duration_of(record, "next_retry_ms");

    if (word[0] == '\0')
        return;
    for (size_t i = 0; i < ARRAY_COUNT(WAITS); i++) {
        if (strcmp(WAITS[i].word, word) == 0)
            meaning = WAITS[i].meaning;
    }
    if (has(record, "next_retry_ms"))
        add_field(out, "waits for", 1, "%s, next try in %s (%s)", meaning, left,
                  json_shown_text(record, "next_retry_at"));
    else
        add_field(out, "waits for", 1, "%s", meaning);
}

/* What there is not enough of, or who has it now. */
static void add_room(const json_t *record, struct buf *out)
{
    static const char EVICTED[] = "evicted for ";
    const char *end = json_shown_text(record, "exit");

    if (strcmp(json_shown_text(record, "waits_for"), "room") == 0)
        add_field(out, "room", 3, "%s", json_shown_text(record, "summary"));
    else if (strcmp(json_shown_text(record, "state"), "down") == 0 &&
             strncmp(end, EVICTED, strlen(EVICTED)) == 0)
        add_field(out, "room", 2, "%s: %s", end, json_shown_text(record, "exit_meaning"));
}

static void add_held(const json_t *record, struct buf *out)
{
    const json_t *worker = json_object_get(record, "worker");
    const char *reason = json_shown_text(worker, "held_reason");

    if (has(record, "held_since"))
        add_field(out, "held", 2, "since %s%s%s", json_shown_text(record, "held_since"),
                  reason[0] != '\0' ? ": " : "", reason);
}

static void add_failure(const json_t *record, struct buf *out)
{
    const json_t *failure = json_object_get(record, "last_failure");
    const char *meaning = json_shown_text(failure, "exit_meaning");

    if (!json_is_object(failure))
        return;
    add_field(out, "last failure", 1, "%s: %s%s", json_shown_text(failure, "fault"),
              json_shown_text(failure, "fault_meaning"),
              json_is_true(json_object_get(failure, "is_drill")) ? " (a drill)" : "");
    add_field(out, "", 2, "%s  %s%s%s", json_shown_text(failure, "at"),
              json_shown_text(failure, "exit"), meaning[0] != '\0' ? ": " : "", meaning);
    if (has(failure, "last_words"))
        add_field(out, "last words", 2, "%s", json_shown_text(failure, "last_words"));
}

/* "2 of 3", or "2" where there is no limit. */
static char *of_limit(const json_t *record, const char *field, const char *limit)
{
    if (has(record, limit))
        return xasprintf("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT,
                         number_of(record, field), number_of(record, limit));
    return xasprintf("%" JSON_INTEGER_FORMAT, number_of(record, field));
}

static void add_counts(const json_t *record, struct buf *out)
{
    const json_t *worker = json_object_get(record, "worker");
    AUTO_FREE char *attempts = of_limit(record, "attempt", "max_attempts");
    AUTO_FREE char *failures = of_limit(record, "failures", "failures_limit");
    AUTO_FREE char *window = duration_of(record, "window_ms");

    add_field(out, "restarts", 1, "attempt %s, %" JSON_INTEGER_FORMAT " ever; failures %s in %s",
              attempts, number_of(worker, "restarts"), failures, window);
}

/* NAME says whose it is where the label does not; "". */
static void add_one_breaker(const json_t *breaker, const char *label, const char *name,
                            const char *meaning, struct buf *out)
{
    const char *cause = meaning[0] != '\0' ? meaning : json_shown_text(breaker, "cause");
    const char *reason = json_shown_text(breaker, "reason");

    if (!json_is_object(breaker) || strcmp(json_shown_text(breaker, "state"), "closed") == 0)
        return;
    add_field(out, label, 1, "%s%s%s: %s%s%s; trips %" JSON_INTEGER_FORMAT, name,
              name[0] != '\0' ? " " : "", json_shown_text(breaker, "state"), cause,
              reason[0] != '\0' ? ": " : "", reason, number_of(breaker, "trips"));
}

/* A worker with two devices has two, and each says whose it is. */
static void add_device_breakers(const json_t *record, struct buf *out)
{
    const json_t *first = json_object_get(record, "device_breaker");
    const json_t *other = json_object_get(record, "other_device_breaker");
    const char *name = json_is_object(other) ? json_shown_text(first, "name") : "";

    add_one_breaker(first, "device", name, "", out);
    add_one_breaker(other, "device", json_shown_text(other, "name"), "", out);
}

static void add_degraded(const json_t *record, struct buf *out)
{
    const json_t *less = json_object_get(record, "degraded");
    bool has_failed = strcmp(json_shown_text(record, "state"), "failed") == 0;
    AUTO_FREE char *wanted = NULL;

    if (!json_is_object(less))
        return;
    wanted = has(less, "wanted_context_tokens")
                 ? xasprintf(" (%" JSON_INTEGER_FORMAT " were wanted)",
                             number_of(less, "wanted_context_tokens"))
                 : xstrdup("");
    if (has_failed && has(less, "tried_context_tokens"))
        add_field(out, "degraded", 1,
                  "memory ran out again with a context of %" JSON_INTEGER_FORMAT "%s",
                  number_of(less, "tried_context_tokens"), wanted);
    else if (!has_failed)
        add_field(out, "degraded", 1,
                  "memory ran out: context %" JSON_INTEGER_FORMAT "%s, slots %" JSON_INTEGER_FORMAT,
                  number_of(less, "context_tokens"), wanted, number_of(less, "slots"));
}

/* The last COUNT of them. */
static void add_transitions(const json_t *record, size_t count, struct buf *out)
{
    const json_t *transitions = json_object_get(record, "transitions");
    size_t size = json_array_size(transitions);
    size_t first = size > count ? size - count : 0;

    for (size_t i = first; i < size; i++) {
        const json_t *transition = json_array_get(transitions, i);
        const char *at = json_shown_text(transition, "at");
        const char *cause = json_shown_text(transition, "cause");
        bool has_time = strlen(at) >= CLOCK_RFC3339_TIME_INDEX + CLOCK_RFC3339_TIME_LEN;

        add_field(out, i == first ? "changes" : "", 1, "%.*s %s -> %s  %s", CLOCK_RFC3339_TIME_LEN,
                  has_time ? at + CLOCK_RFC3339_TIME_INDEX : at,
                  json_shown_text(transition, "from"), json_shown_text(transition, "to"),
                  cause[0] != '\0' ? cause : json_shown_text(transition, "event"));
    }
}

/* The last COUNT lines of its output. */
static void add_stderr(const json_t *record, size_t count, struct buf *out)
{
    const json_t *lines = json_object_get(record, "stderr");
    size_t size = json_array_size(lines);
    size_t first = size > count ? size - count : 0;

    for (size_t i = first; i < size; i++) {
        const char *line = json_string_value(json_array_get(lines, i));

        add_field(out, i == first ? "stderr" : "", 1, "%s", line != NULL ? line : "");
    }
}

static void add_warnings(const json_t *record, struct buf *out)
{
    const json_t *warning = NULL;
    size_t index = 0;

    json_array_foreach(json_object_get(json_object_get(record, "worker"), "warnings"), index,
                       warning)
    {
        add_field(out, "warning", 2, "%s", json_string_value(warning));
    }
    if (has(record, "problem"))
        add_field(out, "warning", 2, "%s", json_shown_text(record, "problem"));
}

/* A command is shown whole, however long: it is there to be copied. */
static void add_next_step(const json_t *record, struct buf *out)
{
    const char *command = json_shown_text(record, "command");

    if (command[0] == '\0') {
        add_field(out, "next step", 2, "%s", json_shown_text(record, "advice"));
        return;
    }
    (void)buf_printf(out, "%-*s", LABEL_COLUMNS, "next step");
    (void)terminal_clean(out, command, strlen(command));
    (void)buf_add_byte(out, '\n');
    add_field(out, "", 3, "%s", json_shown_text(record, "advice"));
}

static size_t count_lines(const struct buf *text)
{
    size_t count = 0;

    for (size_t i = 0; i < text->len; i++)
        count += text->data[i] == '\n';
    return count;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What is always told, around the lines of which there may be fewer: its changes, and then those of
 * its output, get the room that the others leave. */
void why_text(const json_t *record, struct buf *out)
{
    AUTO_BUF struct buf end = BUF_INIT(out->max);
    size_t taken = 0;
    size_t room = 2; /* one of each, even if the screen is too small */
    size_t changes = 0;

    add_headline(record, out);
    add_waiting(record, out);
    add_held(record, out);
    add_room(record, out);
    add_failure(record, out);
    add_counts(record, out);
    add_one_breaker(json_object_get(record, "breaker"), "breaker", "",
                    json_shown_text(record, "breaker_meaning"), out);
    add_device_breakers(record, out);
    add_degraded(record, out);
    add_warnings(record, &end);
    add_next_step(record, &end);
    taken = count_lines(out) + count_lines(&end);
    if (taken + room < WHY_TEXT_LINES)
        room = WHY_TEXT_LINES - taken;
    changes = least(least(json_array_size(json_object_get(record, "transitions")), room - 1),
                    WHY_TEXT_CHANGES);
    add_transitions(record, changes, out);
    add_stderr(record, least(room - changes, WHY_TEXT_STDERR_LINES), out);
    (void)buf_add(out, end.data, end.len);
}
