/* Owns lines that were heard. Must not know of what. */
#include "tui/lines.h"

#include "common/attr.h"
#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert(LINES_MAX_COUNT <= UINT16_MAX, "an index fits");

void lines_release(struct lines *lines)
{
    for (size_t i = 0; i < ARRAY_COUNT(lines->ring); i++)
        free(lines->ring[i].text);
    memset(lines, 0, sizeof(*lines));
}

void lines_add(struct lines *lines, enum tui_style style, const char *text)
{
    struct line *line = &lines->ring[lines->next];

    free(line->text);
    line->text = xstrndup(text, strnlen(text, LINE_MAX_BYTES));
    line->style = style;
    lines->next = (lines->next + 1) % LINES_MAX_COUNT;
    if (lines->count < LINES_MAX_COUNT)
        lines->count++;
}

const struct line *lines_get(const struct lines *lines, size_t index)
{
    assert(index < lines->count);
    return &lines->ring[(lines->next + LINES_MAX_COUNT - lines->count + index) % LINES_MAX_COUNT];
}

size_t lines_filter(const struct lines *lines, const struct filter *filter, uint16_t *out)
{
    size_t count = 0;

    for (size_t i = 0; i < lines->count; i++) {
        if (filter_lets_pass(filter, lines_get(lines, i)->text))
            out[count++] = (uint16_t)i;
    }
    return count;
}
