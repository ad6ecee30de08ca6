/* What a cell of the canvas means; only the screen knows how that looks. */
#ifndef RBEE_TUI_STYLE_H
#define RBEE_TUI_STYLE_H

enum tui_style {
#define STYLE(name, color_256, color_8, attributes) STYLE_##name,
#include "tui/styles.def"
#undef STYLE
    STYLE_COUNT,
};

#endif
