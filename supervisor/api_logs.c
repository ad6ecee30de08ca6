/* Routes of the logs: a worker's, and the supervisor's own. */
#include "common/mem.h"
#include "common/paths.h"
#include "supervisor/supervisor.h"

enum { LOGS_DEFAULT_LINES = 100 };

/* With since alone all lines from then on are meant. */
static int logs_answer(struct api_call *call, const char *path, struct err *err)
{
    struct log_wish wish = {.path = path};
    int64_t lines = -1;
    bool follows = false;

    if (api_read_query_number(call, "lines", 0, LOG_STREAM_MAX_LINES, &lines, err) != 0 ||
        api_read_query_moment(call, "since", &wish.since_ms, err) != 0 ||
        api_read_follow(call, &follows, err) != 0)
        return -1;
    if (lines < 0)
        lines = wish.since_ms > 0 ? LOG_STREAM_MAX_LINES : LOGS_DEFAULT_LINES;
    wish.line_count = (size_t)lines;
    return follows ? log_stream_begin(call, &wish, err) : log_reply(call, &wish, err);
}

int api_worker_logs(struct api_call *call, struct err *err)
{
    struct worker *worker = resolve_known_worker(call->supervisor, call->parameter, err);

    return worker == NULL ? -1 : logs_answer(call, worker->output.file.path, err);
}

int api_logs(struct api_call *call, struct err *err)
{
    const char *path = call->supervisor->own_log.path;

    if (path == NULL)
        return err_set(err, ERR_NO_FILE,
                       "rbeed has no log file: it logs to the stderr it was started with (under "
                       "systemd: journalctl -u rbeed)");
    return logs_answer(call, path, err);
}
