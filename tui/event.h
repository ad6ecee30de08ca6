/* What a person does at the terminal, in words that do not depend on it. */
#ifndef RBEE_TUI_EVENT_H
#define RBEE_TUI_EVENT_H

#include <stdbool.h>
#include <stdint.h>

/* Keys that are no characters; above every code point. */
enum {
    TUI_KEY_UP = 0x110000,
    TUI_KEY_DOWN,
    TUI_KEY_LEFT,
    TUI_KEY_RIGHT,
    TUI_KEY_PAGE_UP,
    TUI_KEY_PAGE_DOWN,
    TUI_KEY_HOME,
    TUI_KEY_END,
    TUI_KEY_BACKTAB,
    TUI_KEY_ENTER,
    TUI_KEY_ESCAPE,
    TUI_KEY_BACKSPACE,
    TUI_KEY_CLEAR_LINE, /* ctrl-U */
    TUI_KEY_CLICK,
    TUI_KEY_DOUBLE_CLICK,
    TUI_KEY_WHEEL_UP,
    TUI_KEY_WHEEL_DOWN,
};

struct tui_event {
    uint32_t key; /* a code point, or one of the above */
    int row;      /* of a click */
    int column;
};

#endif
