/* Owns stdin of rbee-fetch. Must not know how a job is done. */
#include "fetch/job.h"

#include "common/buf.h"
#include "common/json.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { JOB_ANSWER_MAX_BYTES = 16, JOB_TIME_MAX_MS = 24 * 60 * 60 * 1000, JOB_RETRIES_MAX = 1000 };

/* One byte at a time: what comes behind the line is for later. */
static int read_line(struct buf *line, struct err *err)
{
    for (;;) {
        char c = '\0';
        ssize_t len = read(STDIN_FILENO, &c, 1);

        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return err_set(err, ERR_CANCELLED, "stdin has ended");
        if (c == '\n')
            return 0;
        if (buf_add_byte(line, c) < 0)
            return err_set(err, ERR_BODY_TOO_LARGE, "the job has more than %d bytes",
                           JOB_MAX_BYTES);
    }
}

static int read_texts(struct job *job, struct err *err)
{
    const struct {
        const char *field;
        const char **out;
    } TEXTS[] = {
        {"kind", &job->kind},     {"endpoint", &job->endpoint}, {"repo", &job->repo},
        {"quant", &job->quant},   {"file", &job->file},         {"url", &job->url},
        {"folder", &job->folder}, {"path", &job->path},         {"token_file", &job->token_file},
    };

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        *TEXTS[i].out = "";
        if (json_read_text(job->json, TEXTS[i].field, TEXTS[i].out, err) < 0)
            return -1;
    }
    return 0;
}

int job_read(struct job *out, struct err *err)
{
    AUTO_BUF struct buf line = BUF_INIT(JOB_MAX_BYTES);

    *out = (struct job){.stall_ms = 0};
    if (read_line(&line, err) < 0)
        return -1;
    out->json = json_parse(line.data, line.len, JOB_MAX_BYTES, err);
    if (out->json == NULL || read_texts(out, err) < 0 ||
        json_read_bool(out->json, "token_is_optional", &out->token_is_optional, err) < 0 ||
        json_read_integer(out->json, "stall_ms", 1, JOB_TIME_MAX_MS, &out->stall_ms, err) < 0 ||
        json_read_integer(out->json, "retries", 0, JOB_RETRIES_MAX, &out->retries, err) < 0 ||
        json_read_integer(out->json, "retry_base_ms", 0, JOB_TIME_MAX_MS, &out->retry_base_ms,
                          err) < 0)
        return -1;
    out->files = json_object_get(out->json, "files");
    return 0;
}

void job_release(struct job *job)
{
    json_decref(job->json);
    job->json = NULL;
}

enum job_answer job_read_answer(void)
{
    static const char *const WORDS[] = {
        [JOB_GO] = "go", [JOB_COMMIT] = "commit", [JOB_DISCARD] = "discard"};
    AUTO_BUF struct buf line = BUF_INIT(JOB_ANSWER_MAX_BYTES);
    struct err ignored = ERR_INIT;

    if (read_line(&line, &ignored) < 0)
        return JOB_END;
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        if (strcmp(line.data, WORDS[i]) == 0)
            return (enum job_answer)i;
    }
    return JOB_END;
}
