/* Owns the reading of a DRM client's usage. Knows no file and no process. */
#include "gpu/fdinfo.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

enum {
    KIB = 1024,
    DIGITS_MAX_COUNT = 18, /* fit into 63 bits */
};
static const uint64_t MEMORY_MAX_BYTES = 1ULL << 50; /* as the figures of gpu_figures.def */

/* A key of the file, and what is behind its colon. */
struct line {
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
};

static bool line_is(const struct line *line, const char *key)
{
    return strlen(key) == line->key_len && memcmp(line->key, key, line->key_len) == 0;
}

/* The line at TEXT; *out_next is the one behind it. */
static bool line_read(const char *text, struct line *out, const char **out_next)
{
    const char *end = strchrnul(text, '\n');
    const char *colon = memchr(text, ':', (size_t)(end - text));

    *out_next = *end == '\0' ? end : end + 1;
    if (colon == NULL)
        return false;
    *out = (struct line){.key = text, .key_len = (size_t)(colon - text), .value = colon + 1};
    while (out->value < end && isspace((unsigned char)*out->value))
        out->value++;
    while (end > out->value && isspace((unsigned char)end[-1]))
        end--;
    out->value_len = (size_t)(end - out->value);
    return true;
}

static void word_read(const struct line *line, char out[FDINFO_WORD_BYTES])
{
    if (out[0] != '\0' || line->value_len >= FDINFO_WORD_BYTES)
        return;
    memcpy(out, line->value, line->value_len);
    out[line->value_len] = '\0';
}

/* Returns how many digits it has; 0: it is no number. */
static size_t number_read(const struct line *line, uint64_t *out)
{
    size_t count = 0;
    uint64_t value = 0;

    while (count < line->value_len && isdigit((unsigned char)line->value[count])) {
        if (count >= DIGITS_MAX_COUNT)
            return 0;
        value = value * 10 + (uint64_t)(line->value[count] - '0');
        count++;
    }
    *out = value;
    return count;
}

/* "1234 KiB", "5 MiB", or bytes; -1: none of these, or more than there is anywhere. */
static int64_t memory_read(const struct line *line)
{
    uint64_t value = 0;
    uint64_t unit = 0;
    size_t digits = number_read(line, &value);
    const char *rest = line->value + digits;
    size_t rest_len = line->value_len - digits;

    while (rest_len > 0 && *rest == ' ') {
        rest++;
        rest_len--;
    }
    if (rest_len == 0)
        unit = 1;
    else if (rest_len == 3 && memcmp(rest, "KiB", 3) == 0)
        unit = KIB;
    else if (rest_len == 3 && memcmp(rest, "MiB", 3) == 0)
        unit = KIB * KIB;
    if (digits == 0 || unit == 0 || value > MEMORY_MAX_BYTES / unit)
        return -1;
    return (int64_t)(value * unit);
}

/* What lies in the card's memory now is resident; drm-memory-vram is its older name. What was asked
 * for, drm-total-vram, may lie elsewhere. */
static void fdinfo_take(struct fdinfo *out, const struct line *line, bool *has_resident)
{
    uint64_t id = 0;
    int64_t bytes = -1;

    if (line_is(line, "drm-driver")) {
        word_read(line, out->driver);
    } else if (line_is(line, "drm-pdev")) {
        word_read(line, out->pdev);
    } else if (line_is(line, "drm-client-id") && !out->has_client_id) {
        out->has_client_id = number_read(line, &id) == line->value_len && line->value_len > 0;
        out->client_id = id;
    } else if (line_is(line, "drm-resident-vram") && !*has_resident) {
        bytes = memory_read(line);
        *has_resident = bytes >= 0;
        if (bytes >= 0)
            out->memory_bytes = bytes;
    } else if (line_is(line, "drm-memory-vram") && !*has_resident && out->memory_bytes < 0) {
        out->memory_bytes = memory_read(line);
    }
}

bool fdinfo_parse(const char *text, struct fdinfo *out)
{
    bool has_resident = false;

    *out = (struct fdinfo){.memory_bytes = -1};
    while (*text != '\0') {
        struct line line;

        if (line_read(text, &line, &text))
            fdinfo_take(out, &line, &has_resident);
    }
    return out->driver[0] != '\0';
}
