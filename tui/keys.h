/* The table of keys (keys.def): what a key does, and what help and footer say of it. */
#ifndef RBEE_TUI_KEYS_H
#define RBEE_TUI_KEYS_H

#include "tui/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct top;

struct key_row {
    uint32_t key;
    const char *shown;
    unsigned views;    /* bit 1 << enum view_id */
    const char *where; /* the same in a word; "": everywhere */
    void (*run)(struct top *top, uint32_t key);
    const char *bottom;
    const char *help;
};

const struct key_row *keys_table(size_t *out_count);
bool key_is_of_view(const struct key_row *row, enum view_id view);
/* NULL: it does nothing in that view. */
const struct key_row *key_find(uint32_t key, enum view_id view);

#endif
