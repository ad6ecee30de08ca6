/* Owns the table of state words. Must not know whose states they are. */
#include "tui/word.h"

#include "common/attr.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    enum tui_style style;
    uint32_t sign;
    char ascii_sign;
} WORDS[] = {
#define WORD(text, style, sign, ascii_sign) {text, STYLE_##style, sign, ascii_sign},
#include "tui/words.def"
#undef WORD
};

/* ARRAY_COUNT(WORDS): it is none. */
static size_t word_index(const char *text)
{
    size_t i = 0;

    while (i < ARRAY_COUNT(WORDS) && strcmp(WORDS[i].text, text) != 0)
        i++;
    return i;
}

enum tui_style word_style(const char *text)
{
    size_t i = word_index(text);

    return i < ARRAY_COUNT(WORDS) ? WORDS[i].style : STYLE_NORMAL;
}

int word_rank(const char *text)
{
    return (int)word_index(text);
}

void word_with_sign(const struct canvas *canvas, const char *text, char out[WORD_MAX_BYTES])
{
    size_t i = word_index(text);
    char sign[5] = "";

    if (i == ARRAY_COUNT(WORDS)) {
        (void)snprintf(out, WORD_MAX_BYTES, "%.*s", WORD_MAX_BYTES - 1, text); /* a cell is less */
        return;
    }
    if (canvas->is_ascii)
        sign[0] = WORDS[i].ascii_sign;
    else
        (void)utf8_write(WORDS[i].sign, sign);
    (void)snprintf(out, WORD_MAX_BYTES, "%s %s", sign, text);
}
