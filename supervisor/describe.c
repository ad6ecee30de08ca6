/* Owns who waits for the description of which model file. Knows nothing of what is done with a
 * record. */
#include "supervisor/describe.h"

#include "common/mem.h"
#include "supervisor/inquiry.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum { DESCRIBE_SECONDS = 30 /* reading a header from a slow disk */ };

static const struct inquiry_kind DESCRIBE = {
    .option = "--describe",
    .what = "reading the model file",
    .refusal = ERR_INVALID_MODEL,
    .limit_seconds = DESCRIBE_SECONDS,
};

/* Who waits for a file's record. */
struct describe {
    TAILQ_ENTRY(describe) link;
    struct describe_file *file;
    describe_callback *on_done;
    void *owner;
};

TAILQ_HEAD(describe_waiters, describe);

struct describe_file {
    TAILQ_ENTRY(describe_file) link;
    struct supervisor *supervisor;
    struct describe_waiters waiters; /* there is one at least */
    char *path;
    struct model_stamp stamp; /* before it began to be read */
    struct inquiry *inquiry;
};

static void describe_leave(struct describe *describe)
{
    TAILQ_REMOVE(&describe->file->waiters, describe, link);
    free(describe);
}

static void describe_file_free(struct describe_file *file)
{
    while (!TAILQ_EMPTY(&file->waiters))
        describe_leave(TAILQ_FIRST(&file->waiters));
    free(file->path);
    free(file);
}

/* One who is told may make others leave, and begin anew: nobody joins what is over, and always the
 * first is taken. */
static void describe_on_done(void *owner, const json_t *record, const struct err *failure)
{
    struct describe_file *file = owner;

    TAILQ_REMOVE(&file->supervisor->describes, file, link);
    file->inquiry = NULL;
    while (!TAILQ_EMPTY(&file->waiters)) {
        struct describe *describe = TAILQ_FIRST(&file->waiters);
        describe_callback *on_done = describe->on_done;
        void *waiter = describe->owner;

        describe_leave(describe);
        on_done(waiter, record, failure);
    }
    describe_file_free(file);
}

static struct describe_file *describe_file_new(struct supervisor *supervisor, const char *path,
                                               const struct model_stamp *stamp, struct err *err)
{
    struct describe_file *file = NULL;

    if (inquiry_count(supervisor, &DESCRIBE) >= DESCRIBE_MAX_COUNT)
        return err_set_null(err, ERR_BUSY, "%d model files are being read", DESCRIBE_MAX_COUNT);
    file = xcalloc(1, sizeof(*file));
    file->supervisor = supervisor;
    file->path = xstrdup(path);
    file->stamp = *stamp;
    TAILQ_INIT(&file->waiters);
    file->inquiry = inquiry_begin(supervisor, &DESCRIBE, path, describe_on_done, file, err);
    if (file->inquiry == NULL) {
        describe_file_free(file);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&supervisor->describes, file, link);
    return file;
}

/* That is being read just now. */
static struct describe_file *describe_file_find(struct supervisor *supervisor, const char *path,
                                                const struct model_stamp *stamp)
{
    struct describe_file *file = NULL;

    TAILQ_FOREACH(file, &supervisor->describes, link)
    {
        if (strcmp(file->path, path) == 0 && model_stamp_equal(&file->stamp, stamp))
            return file;
    }
    return NULL;
}

struct describe *describe_begin(struct supervisor *supervisor, const char *path,
                                const struct model_stamp *stamp, describe_callback *on_done,
                                void *owner, struct err *err)
{
    struct describe_file *file = describe_file_find(supervisor, path, stamp);
    struct describe *describe = NULL;

    if (file == NULL)
        file = describe_file_new(supervisor, path, stamp, err);
    if (file == NULL)
        return NULL;
    describe = xcalloc(1, sizeof(*describe));
    describe->file = file;
    describe->on_done = on_done;
    describe->owner = owner;
    TAILQ_INSERT_TAIL(&file->waiters, describe, link);
    return describe;
}

void describe_cancel(struct describe *describe)
{
    struct describe_file *file = describe->file;

    describe_leave(describe);
    if (!TAILQ_EMPTY(&file->waiters) || file->inquiry == NULL)
        return; /* others wait, or describe_on_done() is telling them */
    inquiry_end(file->inquiry);
    TAILQ_REMOVE(&file->supervisor->describes, file, link);
    describe_file_free(file);
}

void describe_cancel_all(struct supervisor *supervisor)
{
    struct describe_file *file = NULL;

    while ((file = TAILQ_FIRST(&supervisor->describes)) != NULL) {
        inquiry_end(file->inquiry);
        TAILQ_REMOVE(&supervisor->describes, file, link);
        describe_file_free(file);
    }
}
