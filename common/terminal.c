/* Owns what may reach a terminal. Must not know where the text comes from. */
#include "common/terminal.h"

#include "common/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    CODEPOINT_DELETE = 0x7f,
    CODEPOINT_C1_END = 0x9f,            /* C1 controls: 0x80 to here; CSI is one of them */
    CODEPOINT_CONTROL_PICTURE = 0x2400, /* plus the control character */
    CODEPOINT_DELETE_PICTURE = 0x2421,
    CODEPOINT_REPLACEMENT = 0xfffd,
};

/* Marks, embeddings, overrides and isolates of text direction (Unicode Bidi_Control), and the two
 * separators that some terminals take for line ends. */
static bool is_deceptive(uint32_t codepoint)
{
    return codepoint == 0x061c || codepoint == 0x200e || codepoint == 0x200f ||
           (codepoint >= 0x2028 && codepoint <= 0x202e) ||
           (codepoint >= 0x2066 && codepoint <= 0x2069);
}

static uint32_t harmless(uint32_t codepoint)
{
    if (codepoint == '\n' || codepoint == '\t')
        return codepoint;
    if (codepoint < ' ')
        return CODEPOINT_CONTROL_PICTURE + codepoint;
    if (codepoint == CODEPOINT_DELETE)
        return CODEPOINT_DELETE_PICTURE;
    if (codepoint > CODEPOINT_DELETE && codepoint <= CODEPOINT_C1_END)
        return CODEPOINT_REPLACEMENT;
    return is_deceptive(codepoint) ? CODEPOINT_REPLACEMENT : codepoint;
}

int terminal_clean(struct buf *out, const char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        uint32_t codepoint = CODEPOINT_REPLACEMENT;
        size_t step = utf8_decode(text + at, len - at, &codepoint);
        char bytes[4];

        if (buf_add(out, bytes, utf8_write(harmless(codepoint), bytes)) < 0)
            return -1;
        at += step > 0 ? step : 1;
    }
    return 0;
}

bool terminal_can_redraw(int fd)
{
    const char *term = getenv("TERM");

    return isatty(fd) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

bool terminal_has_colors(int fd)
{
    const char *no_color = getenv("NO_COLOR");

    return terminal_can_redraw(fd) && (no_color == NULL || no_color[0] == '\0');
}

struct terminal_size terminal_size(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0)
        return (struct terminal_size){0};
    return (struct terminal_size){.columns = size.ws_col, .rows = size.ws_row};
}
