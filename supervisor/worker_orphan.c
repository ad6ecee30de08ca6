/* Owns what a supervisor that was killed may have left behind. Its workers die with it and
 * rbee-watch ends their groups; what hung in the kernel, left its group, or came when nobody
 * watched is ended by the next start. Only what carries the instance of a stored worker is touched.
 */
#include "common/attr.h"
#include "common/log.h"
#include "common/process.h"
#include "db/workers.h"
#include "supervisor/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

enum {
    /* What is gone gives its memory and its card to the workers that start now; what hangs in the
     * kernel may not keep us from starting. */
    ORPHAN_END_MS = 2000,
};

/* Rows of another boot name no process of this one. */
struct orphan_search {
    const struct worker_rows *rows;
    const char *boot_id;
};

static bool orphan_may_be_of(const struct orphan_search *search, const struct worker_row *row)
{
    return row->instance[0] != '\0' && strcmp(row->boot_id, search->boot_id) == 0;
}

static void orphan_tell(const struct worker_row *row, pid_t pid)
{
    log_event(LOG_WARN, "orphan_killed", "name=%s pid=%d instance=%s", row->name, (int)pid,
              row->instance);
}

/* A worker itself, with its group: pid, start time and the instance on its command line all say
 * that it is ours. First it is held, then looked at: it cannot become another in between. */
static void orphan_end_leader(const struct worker_row *row)
{
    pid_t pid = (pid_t)row->pid;
    AUTO_CLOSE int pidfd = -1;

    if (pid <= 0)
        return;
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 || process_start_ticks(pid) != (uint64_t)row->start_time_ticks ||
        !process_has_argument(pid, row->instance))
        return;
    orphan_tell(row, pid);
    if (pidfd_send_signal(pidfd, SIGKILL, NULL, PIDFD_SIGNAL_PROCESS_GROUP) != 0)
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* it may have just ended */
}

/* Whatever has inherited the instance, in whichever group or session it is by now. The command line
 * does not count here: whoever looks for the instance in a log has it there, too. */
static bool orphan_is_ours(void *owner, pid_t pid)
{
    const struct orphan_search *search = owner;
    char instance[PROCESS_INSTANCE_MAX_BYTES];

    if (!process_read_instance(pid, instance))
        return false;
    for (size_t i = 0; i < search->rows->count; i++) {
        const struct worker_row *row = &search->rows->rows[i];

        if (!orphan_may_be_of(search, row) || strcmp(row->instance, instance) != 0)
            continue;
        orphan_tell(row, pid);
        return true;
    }
    return false;
}

void worker_orphan_end(const struct worker_rows *rows, const char *boot_id)
{
    struct orphan_search search = {.rows = rows, .boot_id = boot_id};
    bool is_unclean = false;

    for (size_t i = 0; i < rows->count; i++) {
        if (!orphan_may_be_of(&search, &rows->rows[i]))
            continue;
        is_unclean = true;
        orphan_end_leader(&rows->rows[i]);
    }
    /* After a stop in good order no row has an instance, and nobody needs to be looked for. */
    if (is_unclean && !process_end_all(orphan_is_ours, &search, ORPHAN_END_MS))
        log_event(LOG_ERROR, "orphan_survived", "after_ms=%d", ORPHAN_END_MS);
}
