/* The dashboard, for the command that shows it. */
#ifndef RBEE_TUI_TUI_H
#define RBEE_TUI_TUI_H

#include "common/buf.h"
#include "common/err.h"
#include "common/http/http.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct guard;

struct tui_options {
    struct http_address address;
    const char *token;    /* NULL: none is needed */
    uint64_t delay_ms;    /* between two looks at the supervisor */
    uint64_t frame_count; /* how many of them; 0: until it is left */
    bool is_readonly;
    bool is_ascii;
    bool has_colors;
    bool has_mouse;
};

/* Splits off the process that restores the terminal (guard.h); before anything is connected.
 * stdin and stdout must be a terminal. */
int tui_guard(struct guard **out, struct err *err);
/* Shows the dashboard until it is left. *OUT_SIGNAL: the signal that ended it, or 0; the terminal
 * is restored in any case. */
int tui_run(struct guard *guard, const struct tui_options *options, int *out_signal,
            struct err *err);

/* ---- without a terminal ---- */

struct tui_once; /* what was heard of the supervisor */

struct tui_once *tui_once_new(void);
void tui_once_free(struct tui_once *once);
/* What to ask for: GET of each of these; NULL behind the last. */
const char *tui_once_target(size_t index);
/* Takes over a reference to the REPLY to target INDEX. ERR_PROTOCOL. */
int tui_once_take(struct tui_once *once, size_t index, json_t *reply, struct err *err);
/* One screen of text, as high as it must be. */
void tui_once_draw(struct tui_once *once, int columns, bool is_ascii, struct buf *out);
/* All of it in one object, the caller's. */
json_t *tui_once_json(const struct tui_once *once);

/* Whether the locale is one of UTF-8; else graphs are drawn in ASCII. Sets the locale. */
bool tui_locale_is_utf8(void);

#endif
