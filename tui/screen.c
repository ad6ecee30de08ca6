/* Owns the terminal. Must not know what is drawn on it. */
#include "tui/screen.h"

#include "common/attr.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tui/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NCURSES_NOMACROS 1
#include <ncurses.h>
#include <term.h>
#undef columns /* term.h takes plain words for the numbers of a terminal */
#undef lines

enum {
    SCREEN_ESCAPE_MS = 25, /* an escape that is followed by nothing for so long is the key */
    SCREEN_DOUBLE_CLICK_MS = 400,
    COLORS_MANY = 256,
    KEY_CONTROL_U = 'U' & 0x1f,
    CODEPOINT_DELETE = 0x7f,
};

/* What ncurses leaves on when it is not asked in time: both kinds of reporting the mouse. */
#define MOUSE_OFF "\033[?1000l\033[?1006l"

enum { TUI_DIM = A_DIM, TUI_BOLD = A_BOLD, TUI_REVERSE = A_REVERSE };
enum {
    COLOR_8_DEFAULT = -1,
    COLOR_8_CYAN = COLOR_CYAN,
    COLOR_8_MAGENTA = COLOR_MAGENTA,
    COLOR_8_RED = COLOR_RED,
};

static const struct {
    short color_256;
    short color_8;
    attr_t attributes;
} STYLES[STYLE_COUNT] = {
#define STYLE(name, color_256, color_8, attributes) {color_256, COLOR_8_##color_8, attributes},
#include "tui/styles.def"
#undef STYLE
};

struct screen {
    SCREEN *curses;
    struct guard *guard;
    bool has_colors;
    struct canvas shown;    /* what the terminal shows; 0 rows: not known */
    uint64_t last_click_ms; /* for the second one of a double click */
    int last_click_row;
};

/* ---- opening and closing ---- */

static void make_colors(struct screen *screen)
{
    if (!screen->has_colors || !has_colors() || start_color() == ERR ||
        use_default_colors() == ERR) {
        screen->has_colors = false;
        return;
    }
    for (int i = 0; i < STYLE_COUNT; i++) {
        short color = COLORS >= COLORS_MANY ? STYLES[i].color_256 : STYLES[i].color_8;

        (void)init_pair((short)(i + 1), color,
                        -1); /* fails where a terminal has fewer pairs: plain */
    }
}

static void add_capability(struct buf *out, const char *sequence)
{
    if (sequence != NULL)
        (void)buf_add_string(out, sequence); /* a few bytes each */
}

/* What turns the terminal back into what a shell expects, whatever was drawn. */
static void leave_word(struct screen *screen, bool has_mouse)
{
    AUTO_BUF struct buf words = BUF_INIT(GUARD_WORDS_MAX_BYTES);

    add_capability(&words, has_mouse ? MOUSE_OFF : NULL);
    add_capability(&words, exit_attribute_mode);
    add_capability(&words, keypad_local);
    add_capability(&words, cursor_normal);
    add_capability(&words, exit_ca_mode);
    guard_take_terminal(screen->guard, words.data, words.len);
}

static int check_terminal(struct err *err)
{
    const char *term = getenv("TERM");
    int status = 0;

    if (setupterm(NULL, STDOUT_FILENO, &status) != OK)
        return err_set(
            err, ERR_USAGE,
            "the terminal \"%s\" (TERM) is not known here; \"rbee top --once\" needs none",
            term != NULL ? term : "");
    if (cursor_address == NULL)
        return err_set(err, ERR_USAGE,
                       "nothing can be drawn on the terminal \"%s\" (TERM); \"rbee top --once\" "
                       "needs none",
                       term != NULL ? term : "");
    return 0;
}

static void set_modes(bool has_mouse)
{
    /* None of these fails on a terminal that newterm() took; what it cannot do it leaves. */
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)keypad(stdscr, true);
    (void)nodelay(stdscr, true);
    (void)meta(stdscr, true);
    (void)set_escdelay(SCREEN_ESCAPE_MS);
    (void)curs_set(0);
    if (has_mouse) {
        (void)mouseinterval(0); /* a click counts at once; double ones are told apart here */
        (void)mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
    }
}

struct screen *screen_open(struct guard *guard, bool has_colors, bool has_mouse, struct err *err)
{
    struct screen *screen = NULL;

    if (check_terminal(err) < 0)
        return NULL;
    screen = xcalloc(1, sizeof(*screen));
    screen->guard = guard;
    screen->has_colors = has_colors;
    leave_word(screen, has_mouse);
    (void)del_curterm(cur_term); /* what was looked at; newterm() looks for itself */
    screen->curses = newterm(NULL, stdout, stdin);
    if (screen->curses == NULL) {
        guard_give_terminal_back(guard);
        free(screen);
        return err_set_null(err, ERR_USAGE, "the terminal cannot be drawn on");
    }
    set_modes(has_mouse);
    make_colors(screen);
    /* ncurses' own answers to signals end the process, or stop it: that is the guard's affair. */
    (void)signal(SIGTSTP, SIG_DFL); /* these cannot fail */
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    canvas_init(&screen->shown, 0, 0, false);
    return screen;
}

void screen_close(struct screen *screen)
{
    if (screen == NULL)
        return;
    /* Where the guard was killed, the shell has the foreground before we have restored its
     * terminal: who ignores this may do that from the background. */
    (void)signal(SIGTTOU, SIG_IGN); /* cannot fail */
    (void)endwin();                 /* where the terminal is gone there is nothing to restore */
    guard_give_terminal_back(screen->guard);
    delscreen(screen->curses);
    canvas_release(&screen->shown);
    free(screen);
}

/* ---- drawing ---- */

void screen_size(struct screen *screen, int *out_rows, int *out_columns)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0 &&
        (size.ws_row != LINES || size.ws_col != COLS)) {
        (void)resizeterm(size.ws_row, size.ws_col); /* keeps the old size when memory is gone */
        canvas_clear(&screen->shown, 0, 0);
    }
    *out_rows = LINES;
    *out_columns = COLS;
}

bool screen_is_ours(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void screen_take_again(struct screen *screen)
{
    (void)endwin(); /* and on again: the terminal may have been anybody's meanwhile */
    guard_take_terminal_again(screen->guard);
    (void)clearok(curscr, true);
    (void)refresh();
    canvas_clear(&screen->shown, 0, 0);
}

static void to_curses(const struct screen *screen, const struct canvas_cell *cell, cchar_t *out)
{
    wchar_t text[2] = {(wchar_t)cell->codepoint, L'\0'};
    short pair = screen->has_colors ? (short)(cell->style + 1) : 0;

    (void)setcchar(out, text, STYLES[cell->style].attributes, pair, NULL); /* of one character */
}

static void show_row(const struct screen *screen, const struct canvas *canvas, int row)
{
    cchar_t line[CANVAS_MAX_COLUMNS + 1];
    int count = 0;

    memset(line, 0, sizeof(line));
    for (int column = 0; column < canvas->columns; column++) {
        const struct canvas_cell *cell = &canvas->cells[row * canvas->columns + column];

        if (cell->codepoint != 0) /* the second half of a wide one comes with it */
            to_curses(screen, cell, &line[count++]);
    }
    (void)mvadd_wchnstr(row, 0, line, count); /* outside: not drawn */
}

void screen_show(struct screen *screen, const struct canvas *canvas)
{
    size_t row_bytes = (size_t)canvas->columns * sizeof(*canvas->cells);
    bool is_new = screen->shown.rows != canvas->rows || screen->shown.columns != canvas->columns;

    if (is_new)
        canvas_clear(&screen->shown, canvas->rows, canvas->columns);
    for (int row = 0; row < canvas->rows; row++) {
        const struct canvas_cell *cells = canvas->cells + row * canvas->columns;
        struct canvas_cell *before = screen->shown.cells + row * canvas->columns;

        if (!is_new && memcmp(cells, before, row_bytes) == 0)
            continue;
        show_row(screen, canvas, row);
        memcpy(before, cells, row_bytes);
    }
    (void)refresh(); /* a terminal that is gone is seen where it is read */
}

/* ---- what the person does ---- */

static const struct {
    wint_t curses;
    uint32_t key;
} KEYS[] = {
    {KEY_UP, TUI_KEY_UP},
    {KEY_DOWN, TUI_KEY_DOWN},
    {KEY_LEFT, TUI_KEY_LEFT},
    {KEY_RIGHT, TUI_KEY_RIGHT},
    {KEY_PPAGE, TUI_KEY_PAGE_UP},
    {KEY_NPAGE, TUI_KEY_PAGE_DOWN},
    {KEY_HOME, TUI_KEY_HOME},
    {KEY_END, TUI_KEY_END},
    {KEY_BTAB, TUI_KEY_BACKTAB},
    {KEY_ENTER, TUI_KEY_ENTER},
    {KEY_BACKSPACE, TUI_KEY_BACKSPACE},
};

static uint32_t plain_key(wint_t character)
{
    switch (character) {
    case '\r':
    case '\n':
        return TUI_KEY_ENTER;
    case '\033':
        return TUI_KEY_ESCAPE;
    case '\b':
    case CODEPOINT_DELETE:
        return TUI_KEY_BACKSPACE;
    case KEY_CONTROL_U:
        return TUI_KEY_CLEAR_LINE;
    default:
        return (uint32_t)character;
    }
}

static bool read_mouse(struct screen *screen, struct tui_event *out)
{
    MEVENT mouse;
    uint64_t now_ms = clock_monotonic_ms();
    bool is_double = false;

    if (getmouse(&mouse) == ERR)
        return false;
    out->row = mouse.y;
    out->column = mouse.x;
    if ((mouse.bstate & BUTTON4_PRESSED) != 0)
        out->key = TUI_KEY_WHEEL_UP;
    else if ((mouse.bstate & BUTTON5_PRESSED) != 0)
        out->key = TUI_KEY_WHEEL_DOWN;
    else if ((mouse.bstate & BUTTON1_PRESSED) != 0) {
        is_double = mouse.y == screen->last_click_row &&
                    now_ms - screen->last_click_ms < SCREEN_DOUBLE_CLICK_MS;
        out->key = is_double ? TUI_KEY_DOUBLE_CLICK : TUI_KEY_CLICK;
        screen->last_click_ms = is_double ? 0 : now_ms;
        screen->last_click_row = mouse.y;
    } else
        return false;
    return true;
}

/* False: a key that means nothing here. */
static bool translate(struct screen *screen, int kind, wint_t character, struct tui_event *out)
{
    *out = (struct tui_event){.key = 0};
    if (kind != KEY_CODE_YES) {
        out->key = plain_key(character);
        return true;
    }
    if (character == KEY_MOUSE)
        return read_mouse(screen, out);
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++) {
        if (KEYS[i].curses == character)
            out->key = KEYS[i].key;
    }
    return out->key != 0;
}

bool screen_next_event(struct screen *screen, struct tui_event *out, bool *out_is_gone)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    wint_t character = 0;
    int kind = 0;

    *out_is_gone = false;
    while ((kind = get_wch(&character)) != ERR) {
        if (translate(screen, kind, character, out))
            return true;
    }
    /* Nothing to read, although there is something: its end. */
    *out_is_gone = poll(&input, 1, 0) > 0 && (input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
    return false;
}
