/* The dashboard as a state: what was heard, what is shown of it, and what the person is about to
 * do. No terminal and no socket: data and keys come in, frames and orders go out, so that a test
 * can be the person, the terminal and the supervisor.
 *
 *      feed.c  --data-->  top_take_*()                     top_next_order()  -->  feed.c
 *      screen.c --keys--> top_on_event()  --> state -->    top_draw()        -->  screen.c
 *
 * A view is shown, or what is known of one of its rows (detail). HELP and COLUMNS lie over that;
 * PROMPT and CONFIRM take the keys until they are answered. */
#ifndef RBEE_TUI_TOP_H
#define RBEE_TUI_TOP_H

#include "common/err.h"
#include "common/http/http.h"
#include "common/units.h"
#include "tui/canvas.h"
#include "tui/event.h"
#include "tui/filter.h"
#include "tui/history.h"
#include "tui/lines.h"
#include "tui/snapshot.h"
#include "tui/table.h"
#include "tui/view.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    TOP_PROMPT_MAX_BYTES = FILTER_MAX_BYTES,
    TOP_MESSAGE_MAX_BYTES = 256,
    TOP_MESSAGE_MS = 5000, /* how long one stays */
    TOP_TARGET_MAX_BYTES = 512,
};

enum top_mode {
    TOP_NORMAL,
    TOP_HELP,
    TOP_COLUMNS,
    TOP_PROMPT,
    TOP_CONFIRM,
};

enum top_prompt_kind { TOP_PROMPT_FILTER, TOP_PROMPT_COMMAND, TOP_PROMPT_REASON };

/* What the supervisor is to do. */
struct top_order {
    enum http_method method;
    char target[TOP_TARGET_MAX_BYTES];
    char reason[TOP_PROMPT_MAX_BYTES]; /* of a hold; "" */
    char what[TOP_MESSAGE_MAX_BYTES];  /* "restart worker a" */
    bool has_reason;
};

enum top_link { TOP_CONNECTING, TOP_CONNECTED, TOP_LOST };

/* Where a text of lines stands: at its end, or BACK lines before it; SHIFT columns are to the left
 * of the screen. */
struct top_scroll {
    size_t back;
    int shift;
    bool is_held; /* what comes does not move it */
};

struct top_detail {
    bool is_open;
    enum view_id view;
    char key[TABLE_KEY_BYTES];
    json_t *why; /* of a worker; NULL: not heard yet */
    int first;   /* line on the screen */
    int line_count;
};

struct top {
    struct snapshot snapshot;
    struct history history;
    struct lines events;
    struct lines log;
    char log_worker[TABLE_KEY_BYTES]; /* whose log; "": the supervisor's */
    enum top_link link;
    char link_reason[TOP_MESSAGE_MAX_BYTES];

    enum view_id view;
    enum top_mode mode;
    struct table_state tables[VIEW_COUNT];
    struct filter filters[VIEW_COUNT];
    struct top_scroll scrolls[VIEW_COUNT];
    struct top_detail detail;
    int help_first;       /* line of the help on the screen */
    size_t column_choice; /* in COLUMNS */

    enum top_prompt_kind prompt;
    char prompt_text[TOP_PROMPT_MAX_BYTES];
    char prompt_error[TOP_MESSAGE_MAX_BYTES];
    struct top_order order; /* to be confirmed, or given a reason */
    bool has_order;         /* confirmed: top_next_order() hands it out */

    char message[TOP_MESSAGE_MAX_BYTES];
    enum tui_style message_style;
    uint64_t message_end_ms;

    uint64_t now_ms;          /* monotonic, as of the last call that told */
    int64_t wall_ms;          /* for the clock in the corner */
    struct area list_area;    /* where the last frame had its table, for clicks */
    int tab_ends[VIEW_COUNT]; /* behind each tab */
    uint64_t look_ms;         /* between two readings of what is drawn as a graph */
    bool is_readonly;
    bool is_paused;
    bool wants_quit;
    bool wants_redraw; /* something changed that no key did */
};

/* Storage of the caller. The supervisor is going to be asked every LOOK_MS. */
void top_init(struct top *top, uint64_t look_ms, bool is_readonly);
void top_release(struct top *top);

/* ---- data in ---- */

void top_set_time(struct top *top, uint64_t monotonic_ms, int64_t wall_ms);
/* Takes over a reference to REPLY. A reply that has not its form is told as a lost link. */
void top_take_part(struct top *top, enum snapshot_part part, json_t *reply);
void top_take_event(struct top *top, const json_t *event);
void top_take_log_line(struct top *top, const json_t *line);
void top_take_why(struct top *top, const char *worker, json_t *why);
/* What was measured of GPU ID before the dashboard looked; goes before what it has seen itself. */
void top_take_gpu_history(struct top *top, const char *id, const json_t *reply);
void top_take_link(struct top *top, enum top_link link, const char *reason);
/* What became of an order. */
void top_take_outcome(struct top *top, const struct top_order *order, const struct err *failure);
void top_say(struct top *top, enum tui_style style, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- keys in, orders out ---- */

void top_on_event(struct top *top, const struct tui_event *event);
/* True once for each that was confirmed. */
bool top_next_order(struct top *top, struct top_order *out);
/* Whose log is on the screen: a worker's name, "" for the supervisor's; NULL: none is. */
const char *top_wanted_log(const struct top *top);
/* Of which worker the why is on the screen; NULL: of none. */
const char *top_wanted_why(const struct top *top);

/* ---- what its own files share ---- */

/* The table of the view that is shown; the caller releases it. */
void top_build_table(struct top *top, struct table *out);
/* The table of any view, in which nothing is chosen and filtered. */
void top_draw_plain_table(struct top *top, enum view_id view, struct canvas *canvas,
                          const struct area *area);
/* While it is paused, what is shown stays as it is. */
void top_pause(struct top *top, bool is_paused);
/* Shows another view, without detail. */
void top_show_view(struct top *top, enum view_id view);
/* From now on the log of WORKER is followed; "" is the supervisor's. */
void top_choose_log(struct top *top, const char *worker);
/* The row that keys are about: the one of the detail, or the chosen one; NULL: there is none.
 * *OUT_VIEW says what it is of. For as long as the snapshot stays. */
const json_t *top_subject(struct top *top, enum view_id *out_view);
/* Keys of the modes PROMPT and CONFIRM. */
void top_prompt_open(struct top *top, enum top_prompt_kind kind, const char *text);
void top_prompt_on_key(struct top *top, uint32_t key);
void top_confirm_on_key(struct top *top, uint32_t key);
/* What is drawn of each GPU as a graph. */
struct top_gpu_graph {
    const char *field; /* of the GPU record */
    const char *caption;
    const char *limit; /* the field that is the top of the graph; NULL: what is seen */
    double least_max;
};
const struct top_gpu_graph *top_gpu_graphs(size_t *out_count);
/* What the readings of FIELD of GPU ID are called in the history. */
void top_name_gpu_series(const char *id, const char *field, char out[HISTORY_NAME_BYTES]);
/* FIELD of a GPU record, as short as it can be told; "-": not known. */
void top_format_reading(const json_t *gpu, const char *field, char out[UNITS_TEXT_BYTES]);
/* The parts of a frame. */
void top_draw_title(const struct top *top, struct canvas *canvas);
void top_draw_overview(struct top *top, struct canvas *canvas, const struct area *body);
void top_draw_gpus(struct top *top, struct canvas *canvas, const struct area *body);
void top_draw_table(struct top *top, struct canvas *canvas, const struct area *area);
void top_draw_lines(struct top *top, struct canvas *canvas, const struct area *area);
void top_draw_last_events(struct top *top, struct canvas *canvas, const struct area *area);
void top_draw_detail(struct top *top, struct canvas *canvas, const struct area *body);
void top_draw_help(struct top *top, struct canvas *canvas, const struct area *body);
void top_draw_columns(struct top *top, struct canvas *canvas, const struct area *body);
void top_draw_footer(struct top *top, struct canvas *canvas);

/* ---- frames out ---- */

/* Draws all of CANVAS, which has its size already. */
void top_draw(struct top *top, struct canvas *canvas);
/* All of it at once, for a text that nobody scrolls in: how many rows it takes, and the rows. */
int top_static_rows(const struct top *top);
void top_draw_static(struct top *top, struct canvas *canvas);

#endif
