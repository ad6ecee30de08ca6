/* Owns stdout of rbee-fetch. Must not know what is fetched. */
#include "fetch/tell.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    TELL_EVERY_MS = 200,  /* a line that changes five times a second can be read */
    TELL_SAMPLE_MS = 250, /* between two: all together they span 8 s, so that the rate is steady */
    TELL_MS_PER_SECOND = 1000,
};

void tell_line(json_t *value)
{
    AUTO_JSON json_t *owned = value;
    AUTO_FREE char *text = json_to_text(owned);
    size_t len = strlen(text);
    struct err ignored = ERR_INIT;

    text[len] = '\n'; /* in the place of the NUL: the line leaves in one piece */
    if (io_write_all(STDOUT_FILENO, text, len + 1, &ignored) < 0)
        _exit(EXIT_FAILURE);
}

void tell_note(const char *format, ...)
{
    char text[ERR_MESSAGE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* cut when longer */
    va_end(args);
    tell_line(
        json_pack("{s:s, s:o}", "type", "note", "message", json_text_lossy(text, strlen(text))));
}

void tell_error(const struct err *err)
{
    tell_line(json_error_event(err, NULL, NULL));
}

static void tell_sample(struct tell *tell, uint64_t now_ms, int64_t done_bytes)
{
    const struct tell_sample *last =
        tell->sample_count == 0 ? NULL : &tell->samples[tell->sample_count - 1];

    if (last != NULL && done_bytes < last->done_bytes) {
        tell->sample_count = 0; /* begun again: what was before is no rate */
        last = NULL;
    }
    if (last != NULL && now_ms - last->at_ms < TELL_SAMPLE_MS)
        return;
    if (tell->sample_count == TELL_SAMPLE_COUNT) {
        memmove(tell->samples, tell->samples + 1, sizeof(tell->samples) - sizeof(tell->samples[0]));
        tell->sample_count--;
    }
    tell->samples[tell->sample_count++] = (struct tell_sample){now_ms, done_bytes};
}

static int64_t tell_rate(const struct tell *tell, uint64_t now_ms, int64_t done_bytes)
{
    const struct tell_sample *first = &tell->samples[0];
    int64_t took_ms = (int64_t)(now_ms - first->at_ms);

    return took_ms <= 0 ? 0
                        : (int64_t)((double)(done_bytes - first->done_bytes) * TELL_MS_PER_SECOND /
                                    (double)took_ms);
}

void tell_progress(struct tell *tell, const char *phase, int64_t done_bytes, int64_t total_bytes)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (tell->phase == NULL || strcmp(tell->phase, phase) != 0)
        *tell = (struct tell){.phase = phase};
    tell_sample(tell, now_ms, done_bytes);
    if (tell->told_ms != 0 && now_ms - tell->told_ms < TELL_EVERY_MS && done_bytes != total_bytes)
        return;
    tell->told_ms = now_ms;
    tell_line(json_pack("{s:s, s:s, s:I, s:I, s:I}", "type", "progress", "phase", phase,
                        "done_bytes", (json_int_t)done_bytes, "total_bytes",
                        (json_int_t)total_bytes, "bytes_per_second",
                        (json_int_t)tell_rate(tell, now_ms, done_bytes)));
}
