/* The dashboard without a terminal: draws one frame as text, of what a file says that the
 * supervisor said, after keys that were pressed.
 *
 *      draw_top [--ascii] [--readonly] ROWS COLUMNS FILE [KEY...]
 *
 * FILE is JSON: the replies "status", "gpus" and "breakers" of the API; "loads", a list of
 * {"tokens_per_second", "in_flight", "queued"} that were measured before; "events" and "log", lists
 * of events; "why". KEY is a character or the name of a key (up, enter, click:ROW:COLUMN…), or
 * "lost:SECONDS": the supervisor has gone so long ago; a text of several characters is typed. What
 * a key orders is printed behind the frame. */
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/units.h"
#include "common/utf8.h"
#include "tests/top_fixture.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

enum {
    FILE_MAX_BYTES = 4 << 20,
    FRAME_MAX_BYTES = 4 << 20,
    MS_PER_S = 1000,
};

static const struct {
    const char *name;
    uint32_t key;
} NAMES[] = {
    {"up", TUI_KEY_UP},
    {"down", TUI_KEY_DOWN},
    {"left", TUI_KEY_LEFT},
    {"right", TUI_KEY_RIGHT},
    {"pgup", TUI_KEY_PAGE_UP},
    {"pgdn", TUI_KEY_PAGE_DOWN},
    {"home", TUI_KEY_HOME},
    {"end", TUI_KEY_END},
    {"enter", TUI_KEY_ENTER},
    {"esc", TUI_KEY_ESCAPE},
    {"tab", '\t'},
    {"backtab", TUI_KEY_BACKTAB},
    {"backspace", TUI_KEY_BACKSPACE},
    {"space", ' '},
    {"wheelup", TUI_KEY_WHEEL_UP},
    {"wheeldown", TUI_KEY_WHEEL_DOWN},
};

static void press(struct top *top, uint32_t key, int row, int column)
{
    struct tui_event event = {.key = key, .row = row, .column = column};

    top_on_event(top, &event);
}

static void type(struct top *top, const char *text)
{
    while (*text != '\0') {
        uint32_t codepoint = 0;
        size_t step = utf8_decode(text, strlen(text), &codepoint);

        if (step == 0)
            return;
        press(top, codepoint, 0, 0);
        text += step;
    }
}

static void do_key(struct top *top, const char *word)
{
    int row = 0;
    int column = 0;
    char count[2] = "";

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        if (strcmp(NAMES[i].name, word) == 0) {
            press(top, NAMES[i].key, 0, 0);
            return;
        }
    }
    if (sscanf(word, "click:%d:%d%1s", &row, &column, count) == 2) {
        press(top, TUI_KEY_CLICK, row, column);
    } else if (sscanf(word, "double:%d:%d%1s", &row, &column, count) == 2) {
        press(top, TUI_KEY_DOUBLE_CLICK, row, column);
    } else if (sscanf(word, "lost:%d%1s", &row, count) == 1) {
        top_set_time(top, HEARD_NOW_MS + (uint64_t)row * MS_PER_S,
                     HEARD_WALL_MS + (int64_t)row * MS_PER_S);
        top_take_link(top, TOP_LOST, "no supervisor answers");
    } else {
        type(top, word);
    }
}

static json_t *read_json(const char *path, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(FILE_MAX_BYTES);

    if (io_read_file(path, &text, err) < 0)
        return NULL;
    return json_parse(text.data, text.len, FILE_MAX_BYTES, err);
}

static void print_order(struct top *top)
{
    struct top_order order;

    while (top_next_order(top, &order))
        printf("order: %s %s%s%s\n", http_method_name(order.method), order.target,
               order.has_reason ? " reason: " : "", order.reason);
    if (top->wants_quit)
        printf("left\n");
}

/* Into OUT, which may be NULL. */
static void draw(struct top *top, int rows, int columns, bool is_ascii, struct buf *out)
{
    struct canvas canvas;

    canvas_init(&canvas, rows, columns, is_ascii);
    top_draw(top, &canvas);
    if (out != NULL)
        canvas_add_text(&canvas, out);
    canvas_release(&canvas);
}

int main(int argc, char **argv)
{
    AUTO_JSON json_t *heard = NULL;
    AUTO_BUF struct buf text = BUF_INIT(FRAME_MAX_BYTES);
    struct err err = ERR_INIT;
    struct top top;
    int64_t rows = 0;
    int64_t columns = 0;
    bool is_ascii = false;
    bool is_readonly = false;
    int at = 1;

    json_init();
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* in every glibc of Debian */
    for (; at < argc && argv[at][0] == '-'; at++) {
        is_ascii |= strcmp(argv[at], "--ascii") == 0;
        is_readonly |= strcmp(argv[at], "--readonly") == 0;
    }
    if (argc - at < 3)
        return 2;
    if (units_parse_integer(argv[at], 1, CANVAS_MAX_ROWS, &rows, &err) == 0 &&
        units_parse_integer(argv[at + 1], 1, CANVAS_MAX_COLUMNS, &columns, &err) == 0)
        heard = read_json(argv[at + 2], &err);
    if (heard == NULL) {
        (void)fprintf(stderr, "draw_top: %s\n", err.message);
        return 1;
    }
    top_init(&top, HEARD_LOOK_MS, is_readonly);
    heard_take_all(&top, heard);
    for (int i = at + 3; i < argc; i++) {
        draw(&top, (int)rows, (int)columns, is_ascii, NULL); /* clicks go where things were drawn */
        do_key(&top, argv[i]);
        heard_take_wanted(&top, heard);
    }
    draw(&top, (int)rows, (int)columns, is_ascii, &text);
    (void)fwrite(text.data, 1, text.len, stdout); /* the test sees what is missing */
    print_order(&top);
    top_release(&top);
    return 0;
}
