/* Owns the order of things in rbee-watch: records until the end of the pipe, then the end of the
 * groups. */
#include "watch/watch.h"

#include "common/watch_record.h"
#include "watch/groups.h"

#include <stdbool.h>

enum {
    /* KILL takes effect at once unless a process hangs in the kernel, and then waiting longer would
     * change nothing. */
    WATCH_END_MS = 2000,
};

static int watch_take(struct watch_reader *reader, struct groups *groups, struct err *err)
{
    struct watch_record record;
    int got = 0;

    while ((got = watch_reader_next(reader, &record, err)) > 0) {
        if (record.kind == WATCH_REMOVE)
            groups_remove(groups, record.instance);
        else if (groups_add(groups, &record, err) != 0)
            return -1;
    }
    return got;
}

int watch_run(int fd, struct err *err)
{
    struct watch_reader reader = {.len = 0};
    AUTO_GROUPS struct groups groups = {.count = 0};
    int got = 0;

    while ((got = watch_reader_fill(&reader, fd, err)) > 0) {
        if (watch_take(&reader, &groups, err) != 0)
            return -1;
    }
    if (got < 0)
        return -1;
    if (!groups_end(&groups, WATCH_END_MS))
        return err_set(err, ERR_TIMED_OUT, "a process survived KILL for %d ms", WATCH_END_MS);
    return 0;
}
