/* Owns the line at the bottom in which a person types or answers. Must not know keys of views. */
#include "common/utf8.h"
#include "tui/top.h"

#include <stdio.h>
#include <string.h>

void top_prompt_open(struct top *top, enum top_prompt_kind kind, const char *text)
{
    top->mode = TOP_PROMPT;
    top->prompt = kind;
    top->prompt_error[0] = '\0';
    (void)snprintf(top->prompt_text, sizeof(top->prompt_text), "%s",
                   text); /* as long as a filter */
}

/* ---- typing ---- */

static void type(struct top *top, uint32_t key)
{
    size_t len = strlen(top->prompt_text);
    char bytes[4];
    size_t step = utf8_is_printable(key) ? utf8_write(key, bytes) : 0;

    if (step == 0 || len + step >= sizeof(top->prompt_text))
        return;
    memcpy(top->prompt_text + len, bytes, step);
    top->prompt_text[len + step] = '\0';
}

static void erase(struct top *top)
{
    size_t len = strlen(top->prompt_text);

    if (len > 0)
        top->prompt_text[utf8_cut_len(top->prompt_text, len - 1)] = '\0';
}

/* ---- a view by its name ---- */

/* The view whose word begins with TEXT; VIEW_COUNT: none, or several. */
static enum view_id find_view(const char *text)
{
    enum view_id found = VIEW_COUNT;

    for (int i = 0; i < VIEW_COUNT; i++) {
        if (text[0] == '\0' || strncmp(view_get(i)->word, text, strlen(text)) != 0)
            continue;
        if (found != VIEW_COUNT)
            return VIEW_COUNT;
        found = i;
    }
    return found;
}

static void complete(struct top *top)
{
    enum view_id view = find_view(top->prompt_text);

    if (top->prompt == TOP_PROMPT_COMMAND && view != VIEW_COUNT)
        top_prompt_open(top, TOP_PROMPT_COMMAND, view_get(view)->word);
}

static void go(struct top *top)
{
    enum view_id view = find_view(top->prompt_text);

    if (strcmp(top->prompt_text, "q") == 0 || strcmp(top->prompt_text, "quit") == 0)
        top->wants_quit = true;
    else if (view != VIEW_COUNT)
        top_show_view(top, view);
    else
        (void)snprintf(top->prompt_error, sizeof(top->prompt_error),
                       "overview, workers, requests, gpus, breakers, events, logs or quit");
}

/* ---- what is typed, done ---- */

/* While it is typed, so that the list shows what it would leave; one that is no expression changes
 * nothing. */
static void try_filter(struct top *top)
{
    struct err err = ERR_INIT;

    top->prompt_error[0] = '\0';
    if (filter_set(&top->filters[top->view], top->prompt_text, &err) < 0)
        (void)snprintf(top->prompt_error, sizeof(top->prompt_error), "%s", err.message);
}

static void accept(struct top *top)
{
    switch (top->prompt) {
    case TOP_PROMPT_FILTER:
        top->mode = TOP_NORMAL;
        break;
    case TOP_PROMPT_COMMAND:
        top->mode = TOP_NORMAL;
        go(top);
        if (top->prompt_error[0] != '\0')
            top->mode = TOP_PROMPT; /* what was typed can be mended */
        break;
    case TOP_PROMPT_REASON:
        memcpy(top->order.reason, top->prompt_text, sizeof(top->order.reason));
        top->order.has_reason = true;
        top->has_order = true;
        top->mode = TOP_NORMAL;
        break;
    }
}

static void leave(struct top *top)
{
    if (top->prompt == TOP_PROMPT_FILTER)
        filter_release(&top->filters[top->view]);
    top->mode = TOP_NORMAL;
}

void top_prompt_on_key(struct top *top, uint32_t key)
{
    if (key == TUI_KEY_ENTER) {
        accept(top);
        return;
    }
    if (key == TUI_KEY_ESCAPE) {
        leave(top);
        return;
    }
    top->prompt_error[0] = '\0';
    if (key == TUI_KEY_BACKSPACE)
        erase(top);
    else if (key == TUI_KEY_CLEAR_LINE)
        top->prompt_text[0] = '\0';
    else if (key == '\t')
        complete(top);
    else
        type(top, key);
    if (top->prompt == TOP_PROMPT_FILTER)
        try_filter(top);
}

void top_confirm_on_key(struct top *top, uint32_t key)
{
    if (key == 'y' || key == 'Y')
        top->has_order = true;
    else
        top_say(top, STYLE_NORMAL, "nothing was changed");
    top->mode = TOP_NORMAL;
}
