/* Owns how a log is asked for, page by page or as a stream. Must not know what its rows mean. */
#include "cli/log_view.h"

#include "cli/call.h"
#include "cli/follow.h"
#include "common/clock.h"
#include "common/event_text.h"
#include "common/json.h"
#include "common/mem.h"

#include <inttypes.h>
#include <string.h>

enum { LOG_VIEW_PAGE_COUNT = 1000 };

/* An error or a cause may have several lines; a row has one. */
static void end_line(struct buf *line)
{
    for (size_t i = 0; i < line->len; i++) {
        if (line->data[i] == '\n' || line->data[i] == '\r')
            line->data[i] = ' ';
    }
    (void)buf_add_byte(line, '\n'); /* a line that was cut has no end; the next one has */
}

static int on_row(void *owner, const json_t *row, struct err *err)
{
    struct log_view *view = owner;
    const json_t *seq = json_object_get(row, "seq");
    AUTO_BUF struct buf line = BUF_INIT(LOG_VIEW_LINE_MAX_BYTES);

    if (json_is_integer(seq))
        view->last_seq = json_integer_value(seq);
    if (view->wants_json)
        return output_json(&view->output, row, err);
    if (strcmp(json_shown_text(row, "type"), "gap") == 0)
        event_text_gap(&line, row);
    else
        view->add_line(&line, row);
    end_line(&line);
    return output_text(&view->output, line.data, line.len, err);
}

/* From where it was left: after the last row that was shown, else as the options say. */
static char *view_target(const struct log_view *view, bool follows, bool is_forwards)
{
    char since[CLOCK_RFC3339_BYTES] = "";
    AUTO_BUF struct buf target = BUF_INIT(HTTP_TARGET_MAX_BYTES);
    bool is_resumed = view->last_seq >= 0;

    /* Names and numbers: all of it is far shorter than the maximum. */
    (void)buf_printf(&target, "%s?follow=%d", view->path, follows);
    if (view->wanted != NULL)
        (void)buf_printf(&target, "&%s=%s", view->filter, view->wanted);
    if (is_resumed || is_forwards)
        (void)buf_printf(&target, "&after=%" PRId64, is_resumed ? view->last_seq : 0);
    if (view->since_ms > 0 && !is_resumed) {
        clock_format_rfc3339(view->since_ms, since);
        (void)buf_printf(&target, "&since=%s", since);
    }
    if (view->count >= 0 || is_forwards)
        (void)buf_printf(&target, "&limit=%" PRId64,
                         is_forwards ? LOG_VIEW_PAGE_COUNT : view->count);
    return xstrdup(target.data);
}

static char *follow_target(void *owner)
{
    return view_target(owner, true, false);
}

/* One page; *out_has_more says whether another one follows. */
static int print_page(struct log_view *view, bool *out_has_more, struct err *err)
{
    bool is_forwards = view->count < 0;
    AUTO_FREE char *target = view_target(view, false, is_forwards);
    struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = API_ANSWER_MS};
    AUTO_JSON json_t *reply = NULL;
    const json_t *row = NULL;
    size_t index = 0;

    if (call_send(view->cli, &request, &reply, err) < 0)
        return -1;
    json_array_foreach(json_object_get(reply, view->list), index, row)
    {
        if (on_row(view, row, err) < 0)
            return -1;
    }
    *out_has_more = is_forwards && json_is_true(json_object_get(reply, "has_more"));
    return 0;
}

static int print_past(struct log_view *view, struct err *err)
{
    bool has_more = true;

    while (has_more) {
        if (print_page(view, &has_more, err) < 0)
            return -1;
    }
    return EXIT_DONE;
}

int log_view_read_options(struct log_view *view, int64_t default_count, struct err *err)
{
    const struct args *args = view->cli->args;

    view->last_seq = -1;
    view->wants_json = view->cli->wants_json;
    if (follow_read_since(view->cli, &view->since_ms, err) < 0)
        return -1;
    view->count = view->since_ms > 0 ? -1 : default_count;
    if (args_has(args, OPTION_EVENT_COUNT))
        view->count = args_integer(args, OPTION_EVENT_COUNT);
    return 0;
}

int log_view_run(struct log_view *view, struct err *err)
{
    const struct follow follow = {.target = follow_target, .on_event = on_row, .owner = view};
    struct cli *cli = view->cli;

    if (cli_connect(cli, err) < 0 || interrupt_watch(&cli->interrupt, err) < 0 ||
        output_open(&view->output, &cli->interrupt, NULL, err) < 0)
        return -1;
    if (args_has(cli->args, OPTION_FOLLOW))
        return follow_run(cli, &follow, err);
    return print_past(view, err);
}
