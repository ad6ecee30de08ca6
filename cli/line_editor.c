/* Owns libedit. Must not know what a line means.
 *
 * libedit's own handling of signals would send each to our whole process group once more; it reads
 * through read_character() instead, which waits for bytes and for signals at once. INT, TERM and
 * HUP come through interrupt.h; CONT (somebody put us back into the foreground: the terminal has to
 * be set again) and WINCH through a signalfd of its own. */
#include "cli/line_editor.h"

#include "cli/interrupt.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/terminal.h"
#include "common/utf8.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <wchar.h>

enum {
    HISTORY_FOLDER_MODE = 0700,
    HISTORY_FILE_MODE = 0600,
    UTF8_MAX_BYTES = 4,
};

#define EDIT_LIBRARY "libedit.so.2"

/* A line break that was pasted, as it stands in the line that is edited: one paste is one text, and
 * not as many turns as it has lines. */
#define PASTED_BREAK L'\u23CE'
#define PASTED_BREAK_UTF8 "\u23CE"
/* Behind an escape character: the begin and the end of a paste. */
#define PASTE_BEGIN "[200~"
#define PASTE_END "[201~"
enum { PASTE_MARK_BYTES = sizeof(PASTE_BEGIN) - 1 };
#define PASTE_MARKS_ON "\033[?2004h"
#define PASTE_MARKS_OFF "\033[?2004l"

/* What we use of libedit, by its own declarations. */
#define EDIT_FUNCTIONS(F)                                                                          \
    F(el_init)                                                                                     \
    F(el_end)                                                                                      \
    F(el_set)                                                                                      \
    F(el_get)                                                                                      \
    F(el_gets)                                                                                     \
    F(el_resize)                                                                                   \
    F(el_source)                                                                                   \
    F(history_init)                                                                                \
    F(history_end)                                                                                 \
    F(history)

struct edit_functions {
#define DECLARE(name) __typeof__(name) *name;
    EDIT_FUNCTIONS(DECLARE)
#undef DECLARE
};

struct line_editor {
    struct interrupt *interrupt;
    struct edit_functions use;
    void *library;
    EditLine *edit;
    History *history;
    char *history_path; /* NULL: none is kept */
    const char *prompt;
    int terminal_fd; /* a signalfd: CONT and WINCH */
    bool was_interrupted;
    bool is_pasting; /* between the marks that a terminal puts around what is pasted */
    /* What began like a mark and was none, to be read yet. */
    char pending[PASTE_MARK_BYTES];
    size_t pending_begin;
    size_t pending_end;
};

static int load(struct line_editor *editor, struct err *err)
{
    static const char *const NAMES[] = {
#define NAME(name) #name,
        EDIT_FUNCTIONS(NAME)
#undef NAME
    };
    void **places = (void **)&editor->use;

    static_assert(sizeof(editor->use) == sizeof(void *) * ARRAY_COUNT(NAMES), "one place a name");
    editor->library = dlopen(EDIT_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
    if (editor->library == NULL)
        return err_set(err, ERR_NO_FILE, "no editing of lines: %s", dlerror());
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        places[i] = dlsym(editor->library, NAMES[i]);
        if (places[i] == NULL)
            return err_set(err, ERR_NO_FILE, "no editing of lines: " EDIT_LIBRARY " has no %s",
                           NAMES[i]);
    }
    return 0;
}

/* libedit's callbacks get no pointer of ours, only its own object, which has one. Its getter is
 * looked up here because there is no place but that object where a callback could find it. */
static struct line_editor *editor_of(EditLine *edit)
{
    __typeof__(el_get) *get = NULL;
    struct line_editor *editor = NULL;

    *(void **)&get = dlsym(RTLD_DEFAULT, "el_get");
    if (get == NULL || get(edit, EL_CLIENTDATA, &editor) != 0)
        abort(); /* it was there when the editor was made */
    return editor;
}

static char *prompt_of(EditLine *edit)
{
    return (char *)(uintptr_t)editor_of(edit)->prompt; /* read only; libedit's type has no const */
}

/* Whether the terminal is to mark what is pasted, while a line is read. */
static void mark_pastes(const char *marks)
{
    int fd = isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO;

    if (terminal_can_redraw(fd) && write(fd, marks, strlen(marks)) < 0)
        return; /* the line that is read next fails, too */
}

/* Back from the background, or in a window of another size. */
static void mend_terminal(struct line_editor *editor)
{
    struct signalfd_siginfo info;

    while (read(editor->terminal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCONT) {
            /* The shell has set the terminal to its own ways, which libedit does not know: what it
             * believes to be raw already it would leave as it is. */
            (void)editor->use.el_set(editor->edit, EL_PREP_TERM, 0);
            (void)editor->use.el_set(editor->edit, EL_PREP_TERM, 1);
            mark_pastes(PASTE_MARKS_ON);
        }
        editor->use.el_resize(editor->edit);
        (void)editor->use.el_set(editor->edit, EL_REFRESH);
    }
}

/* One byte of the terminal; 0 at the end, -1 for a signal or a failure. */
static int read_terminal(struct line_editor *editor, char *out)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = editor->interrupt->fd, .events = POLLIN},
                           {.fd = editor->terminal_fd, .events = POLLIN}};
    ssize_t got = 0;

    for (;;) {
        if (poll(fds, ARRAY_COUNT(fds), -1) < 0 && errno != EINTR)
            return -1;
        if (fds[1].revents != 0) {
            interrupt_take(editor->interrupt);
            editor->was_interrupted = true;
            return -1;
        }
        if (fds[2].revents != 0)
            mend_terminal(editor);
        if (fds[0].revents == 0)
            continue;
        got = read(STDIN_FILENO, out, 1);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return (int)got;
    }
}

static int read_byte(struct line_editor *editor, char *out)
{
    if (editor->pending_begin == editor->pending_end)
        return read_terminal(editor, out);
    *out = editor->pending[editor->pending_begin++];
    return 1;
}

/* Behind an escape character: takes a mark of a paste away (*OUT_WAS_MARK), or leaves what stands
 * there to be read. Waiting for it changes nothing: libedit, too, waits for what an escape begins.
 */
static int take_mark(struct line_editor *editor, bool *out_was_mark)
{
    size_t len = 0;

    editor->pending_begin = 0;
    do {
        int got = read_terminal(editor, &editor->pending[len]);

        if (got <= 0)
            return got;
        editor->pending_end = ++len;
    } while (len < PASTE_MARK_BYTES && (memcmp(editor->pending, PASTE_BEGIN, len) == 0 ||
                                        memcmp(editor->pending, PASTE_END, len) == 0));
    *out_was_mark = memcmp(editor->pending, PASTE_BEGIN, len) == 0 ||
                    memcmp(editor->pending, PASTE_END, len) == 0;
    if (*out_was_mark) {
        editor->is_pasting = memcmp(editor->pending, PASTE_BEGIN, len) == 0;
        editor->pending_end = 0;
    }
    return 1;
}

/* The next byte that is none of a mark. */
static int read_unmarked(struct line_editor *editor, char *out)
{
    bool was_mark = false;

    do {
        bool is_new = editor->pending_begin == editor->pending_end;
        int got = read_byte(editor, out);

        was_mark = false;
        if (got <= 0 || *out != '\033' || !is_new)
            return got;
        got = take_mark(editor, &was_mark);
        if (got <= 0)
            return got;
    } while (was_mark);
    return 1;
}

/* For EL_GETCFN: one character. What is no UTF-8 is U+FFFD. */
static int read_character(EditLine *edit, wchar_t *out)
{
    struct line_editor *editor = editor_of(edit);
    char bytes[UTF8_MAX_BYTES];
    uint32_t codepoint = L'\uFFFD';
    size_t len = 0;

    do {
        int got = len == 0 ? read_unmarked(editor, &bytes[0]) : read_byte(editor, &bytes[len]);

        if (got <= 0)
            return got;
        len++;
    } while (utf8_decode(bytes, len, &codepoint) == 0 && utf8_incomplete_tail(bytes, len) == len &&
             len < UTF8_MAX_BYTES);
    *out = (wchar_t)codepoint;
    if (editor->is_pasting && (codepoint == '\r' || codepoint == '\n'))
        *out = PASTED_BREAK;
    else if (editor->is_pasting && codepoint == '\t')
        *out = L' '; /* a tab would be a command */
    return 1;
}

/* Appends TEXT with its line breaks as they were pasted. */
static int add_text(struct buf *line, const char *text, struct err *err)
{
    size_t break_len = strlen(PASTED_BREAK_UTF8);
    int rc = 0;

    for (const char *at = text; *at != '\0' && *at != '\n' && rc == 0;) {
        bool is_break = strncmp(at, PASTED_BREAK_UTF8, break_len) == 0;

        rc = buf_add_byte(line, is_break ? '\n' : *at);
        at += is_break ? break_len : 1;
    }
    if (rc < 0)
        return err_set(err, ERR_BODY_TOO_LARGE, "a line of more than %zu bytes", line->max);
    return 0;
}

/* A locale without UTF-8 would show é as \303\251; the text itself is UTF-8 in any case. */
static void set_locale(void)
{
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1)
        (void)setlocale(LC_CTYPE, "C.UTF-8"); /* not there: then it is shown that way */
}

static int watch_terminal(struct line_editor *editor, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCONT);
    sigaddset(&set, SIGWINCH);
    editor->terminal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (editor->terminal_fd < 0)
        return err_set(err, ERR_INTERNAL, "signalfd: %m");
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_set(err, ERR_INTERNAL, "sigprocmask: %m");
    return 0;
}

static void load_history(struct line_editor *editor)
{
    HistEvent event;

    (void)editor->use.history(editor->history, &event, H_SETSIZE, LINE_HISTORY_MAX_COUNT);
    (void)editor->use.history(editor->history, &event, H_SETUNIQUE, 1);
    if (editor->history_path != NULL) /* a first chat has none yet */
        (void)editor->use.history(editor->history, &event, H_LOAD, editor->history_path);
    (void)editor->use.el_set(editor->edit, EL_HIST, editor->use.history, editor->history);
}

static int start(struct line_editor *editor, struct err *err)
{
    FILE *echo = isatty(STDOUT_FILENO) ? stdout : stderr;

    if (load(editor, err) < 0 || watch_terminal(editor, err) < 0)
        return -1;
    set_locale();
    editor->edit = editor->use.el_init("rbee", stdin, echo, stderr);
    editor->history = editor->use.history_init();
    if (editor->edit == NULL || editor->history == NULL)
        return err_set(err, ERR_INTERNAL, "no editing of lines: libedit does not start");
    (void)editor->use.el_set(editor->edit, EL_CLIENTDATA, editor);
    (void)editor->use.el_set(editor->edit, EL_PROMPT, prompt_of);
    (void)editor->use.el_set(editor->edit, EL_EDITOR, "emacs");
    (void)editor->use.el_set(editor->edit, EL_GETCFN, read_character);
    (void)editor->use.el_source(editor->edit, NULL); /* ~/.editrc, where there is one */
    load_history(editor);
    return 0;
}

struct line_editor *line_editor_new(struct interrupt *interrupt, const char *history_path,
                                    struct err *err)
{
    struct line_editor *editor = xcalloc(1, sizeof(*editor));

    editor->interrupt = interrupt;
    editor->terminal_fd = -1;
    editor->prompt = "";
    editor->history_path = history_path != NULL ? xstrdup(history_path) : NULL;
    if (start(editor, err) == 0)
        return editor;
    line_editor_free(editor);
    return NULL;
}

void line_editor_free(struct line_editor *editor)
{
    if (editor == NULL)
        return;
    if (editor->edit != NULL)
        editor->use.el_end(editor->edit);
    if (editor->history != NULL)
        editor->use.history_end(editor->history);
    /* The library stays: unloading it would gain nothing before the end. */
    attr_close(&editor->terminal_fd);
    free(editor->history_path);
    free(editor);
}

static void remember(struct line_editor *editor, const char *line)
{
    HistEvent event;

    if (line[strspn(line, " \t\n")] != '\0')
        (void)editor->use.history(editor->history, &event, H_ENTER, line);
}

int line_editor_read(struct line_editor *editor, const char *prompt, struct buf *line,
                     enum line_result *out_result, struct err *err)
{
    const char *text = NULL;
    int count = 0;

    editor->prompt = prompt;
    editor->was_interrupted = false;
    editor->is_pasting = false;
    editor->pending_begin = editor->pending_end = 0; /* of a line that Ctrl-C has cleared */
    mark_pastes(PASTE_MARKS_ON);
    text = editor->use.el_gets(editor->edit, &count);
    mark_pastes(PASTE_MARKS_OFF);
    if (editor->was_interrupted) {
        if (editor->interrupt->signal != SIGINT)
            return err_set(err, ERR_CANCELLED, "interrupted");
        *out_result = LINE_CLEARED;
        return interrupt_rearm(editor->interrupt, err);
    }
    if (text == NULL || count <= 0) {
        *out_result = LINE_END;
        return 0;
    }
    remember(editor, text);
    *out_result = LINE_TEXT;
    return add_text(line, text, err);
}

int line_editor_save(struct line_editor *editor, struct err *err)
{
    AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;
    AUTO_FCLOSE FILE *stream = NULL;
    HistEvent event;
    int fd = -1;

    if (editor->history_path == NULL)
        return 0;
    if (io_make_folder_of(editor->history_path, HISTORY_FOLDER_MODE, err) < 0 ||
        io_atomic_begin(&file, editor->history_path, HISTORY_FILE_MODE, err) < 0)
        return -1;
    if (fchmod(file.fd, HISTORY_FILE_MODE) < 0) /* also one that somebody has opened to others */
        return err_set(err, ERR_OUTPUT, "chmod %s: %m", editor->history_path);
    fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
    stream = fd < 0 ? NULL : fdopen(fd, "w");
    if (stream == NULL)
        return err_set(err, ERR_OUTPUT, "open %s: %m", editor->history_path);
    (void)editor->use.history(editor->history, &event, H_SAVE_FP, stream); /* ferror says it */
    if (fflush(stream) != 0 || ferror(stream))
        return err_set(err, ERR_OUTPUT, "write %s: %m", editor->history_path);
    return io_atomic_commit(&file, err);
}
