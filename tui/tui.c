/* Owns the loop of the dashboard: signals, time, keys and frames. Must not know what is shown. */
#include "tui/tui.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tui/feed.h"
#include "tui/guard.h"
#include "tui/screen.h"
#include "tui/top.h"

#include <event2/event.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
    /* A supervisor on this machine has answered by then: the first frame has something to show. */
    TUI_FIRST_FRAME_MS = 30,
    /* Data that comes in pieces is shown together, and a storm of it ten times a second. */
    TUI_GATHER_MS = 100,
};

enum tui_signal { TUI_INT, TUI_TERM, TUI_HUP, TUI_QUIT, TUI_WINCH, TUI_CONT, TUI_SIGNAL_COUNT };
static const int SIGNALS[TUI_SIGNAL_COUNT] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};

struct tui {
    const struct tui_options *options;
    struct event_base *base;
    struct screen *screen;
    struct feed *feed;
    struct top top;
    struct canvas canvas;
    struct event *signals[TUI_SIGNAL_COUNT];
    struct event *input;
    struct event *tick;  /* the next look at the supervisor */
    struct event *frame; /* what has changed is drawn then */
    uint64_t look_count;
    int signal;
    bool has_shown_data;
    bool is_over;
};

bool tui_locale_is_utf8(void)
{
    (void)setlocale(LC_CTYPE, ""); /* one that is not there leaves "C" */
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int tui_guard(struct guard **out, struct err *err)
{
    return guard_begin(out, err);
}

static void arm(struct event *timer, uint64_t ms)
{
    struct timeval time = clock_timeval(ms);

    (void)event_add(timer, &time); /* fails only without memory, where nothing works any more */
}

static void end(struct tui *tui)
{
    tui->is_over = true;
    (void)event_base_loopbreak(tui->base); /* cannot fail while the loop runs */
}

static void draw(struct tui *tui)
{
    int rows = 0;
    int columns = 0;

    screen_size(tui->screen, &rows, &columns);
    canvas_clear(&tui->canvas, rows, columns);
    top_set_time(&tui->top, clock_monotonic_ms(), clock_wall_ms());
    top_draw(&tui->top, &tui->canvas);
    screen_show(tui->screen, &tui->canvas);
}

static void draw_soon(struct tui *tui, uint64_t ms)
{
    if (!event_pending(tui->frame, EV_TIMEOUT, NULL))
        arm(tui->frame, ms);
}

static void on_frame(evutil_socket_t fd, short what, void *owner)
{
    draw(owner);
}

/* Looks again after the delay; sooner while there is nobody. */
static void on_tick(evutil_socket_t fd, short what, void *owner)
{
    struct tui *tui = owner;
    uint64_t delay_ms = tui->options->delay_ms;

    if (tui->options->frame_count > 0 && tui->look_count == tui->options->frame_count) {
        end(tui);
        return;
    }
    tui->look_count++;
    top_set_time(&tui->top, clock_monotonic_ms(), clock_wall_ms());
    feed_poll(tui->feed);
    draw_soon(tui, tui->look_count == 1 ? TUI_FIRST_FRAME_MS : TUI_GATHER_MS);
    if (tui->top.link != TOP_CONNECTED && delay_ms > FEED_RETRY_MS)
        delay_ms = FEED_RETRY_MS;
    arm(tui->tick, delay_ms);
}

static void on_input(evutil_socket_t fd, short what, void *owner)
{
    struct tui *tui = owner;
    struct tui_event event;
    bool is_gone = false;

    top_set_time(&tui->top, clock_monotonic_ms(), clock_wall_ms());
    while (screen_next_event(tui->screen, &event, &is_gone) && !tui->top.wants_quit)
        top_on_event(&tui->top, &event);
    if (is_gone)
        tui->signal = SIGHUP;
    if (is_gone || tui->top.wants_quit) {
        end(tui);
        return;
    }
    feed_sync(tui->feed);
    draw(tui);
}

static void on_signal(evutil_socket_t signo, short what, void *owner)
{
    struct tui *tui = owner;

    if (signo == SIGWINCH) {
        draw(tui);
    } else if (signo == SIGCONT && !screen_is_ours()) {
        (void)raise(SIGSTOP); /* "bg": there is nothing to do without a terminal; cannot fail */
    } else if (signo == SIGCONT) {
        screen_take_again(tui->screen);
        draw(tui);
    } else {
        tui->signal = (int)signo;
        end(tui);
    }
}

static int make_events(struct tui *tui, struct err *err)
{
    tui->input = event_new(tui->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, tui);
    tui->tick = evtimer_new(tui->base, on_tick, tui);
    tui->frame = evtimer_new(tui->base, on_frame, tui);
    if (tui->input == NULL || tui->tick == NULL || tui->frame == NULL ||
        event_add(tui->input, NULL) < 0)
        return err_set(err, ERR_INTERNAL, "watch the terminal: %m");
    for (int i = 0; i < TUI_SIGNAL_COUNT; i++) {
        tui->signals[i] = evsignal_new(tui->base, SIGNALS[i], on_signal, tui);
        if (tui->signals[i] == NULL || event_add(tui->signals[i], NULL) < 0)
            return err_set(err, ERR_INTERNAL, "watch signals: %m");
    }
    return 0;
}

static void free_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
}

static void tui_release(struct tui *tui)
{
    screen_close(tui->screen);
    feed_free(tui->feed);
    free_event(tui->input);
    free_event(tui->tick);
    free_event(tui->frame);
    for (int i = 0; i < TUI_SIGNAL_COUNT; i++)
        free_event(tui->signals[i]);
    if (tui->base != NULL)
        event_base_free(tui->base);
    canvas_release(&tui->canvas);
    top_release(&tui->top);
}

static int tui_loop(struct tui *tui, struct err *err)
{
    on_tick(-1, 0, tui);
    while (!tui->is_over) {
        if (event_base_loop(tui->base, EVLOOP_ONCE) < 0)
            return err_set(err, ERR_INTERNAL, "event loop: %m");
        if (!tui->has_shown_data && tui->top.snapshot.at_ms != 0) {
            tui->has_shown_data = true;
            draw(tui);
        } else if (tui->top.wants_redraw) {
            draw_soon(tui, TUI_GATHER_MS);
        }
    }
    return 0;
}

int tui_run(struct guard *guard, const struct tui_options *options, int *out_signal,
            struct err *err)
{
    struct tui tui = {.options = options};
    int rc = 0;

    top_init(&tui.top, options->delay_ms, options->is_readonly);
    canvas_init(&tui.canvas, 0, 0, options->is_ascii);
    tui.base = event_base_new();
    if (tui.base == NULL)
        rc = err_set(err, ERR_INTERNAL, "no event loop: %m");
    if (rc == 0) {
        tui.screen = screen_open(guard, options->has_colors, options->has_mouse, err);
        rc = tui.screen == NULL ? -1 : make_events(&tui, err);
    }
    if (rc == 0) {
        tui.feed = feed_new(tui.base, &options->address, options->token, &tui.top);
        rc = tui_loop(&tui, err);
    }
    *out_signal = tui.signal;
    tui_release(&tui);
    return rc;
}
