/* Owns what an earlier supervisor may have left behind: a process is ended only when pid, start
 * time and the instance on its command line all say that it is ours. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

/* From Linux 6.9 on; older kernels refuse it, and then the leader alone is ended. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

enum {
    PROC_FILE_MAX_BYTES = 64 << 10,
    /* proc(5): after "pid (comm) " comes field 3; the start time is field 22. */
    FIELDS_FROM_STATE_TO_START = 22 - 3,
};

static int orphan_read_proc(pid_t pid, const char *file, struct buf *out)
{
    AUTO_FREE char *path = xasprintf("/proc/%d/%s", (int)pid, file);
    AUTO_FCLOSE FILE *stream = fopen(path, "re");
    char chunk[1024];
    size_t len = 0;

    if (stream == NULL)
        return -1;
    while ((len = fread(chunk, 1, sizeof(chunk), stream)) > 0) {
        if (buf_add(out, chunk, len) != 0)
            return -1;
    }
    return 0;
}

uint64_t worker_orphan_start_ticks(pid_t pid)
{
    AUTO_BUF struct buf text = BUF_INIT(PROC_FILE_MAX_BYTES);
    const char *at = NULL;

    /* The name in parentheses may hold anything, also parentheses: the last one ends it. */
    if (orphan_read_proc(pid, "stat", &text) != 0 || text.len == 0)
        return 0;
    at = strrchr(text.data, ')');
    if (at == NULL)
        return 0;
    at++;
    for (int i = 0; i < FIELDS_FROM_STATE_TO_START; i++) {
        at = strchr(at + 1, ' ');
        if (at == NULL)
            return 0;
    }
    return strtoull(at + 1, NULL, 10);
}

/* Whether one of the arguments of PID is INSTANCE. */
static bool orphan_carries_instance(pid_t pid, const char *instance)
{
    AUTO_BUF struct buf text = BUF_INIT(PROC_FILE_MAX_BYTES);

    if (orphan_read_proc(pid, "cmdline", &text) != 0)
        return false;
    for (size_t at = 0; at < text.len; at += strlen(text.data + at) + 1) {
        if (strcmp(text.data + at, instance) == 0)
            return true;
    }
    return false;
}

void worker_orphan_end(const char *name, pid_t pid, uint64_t start_ticks, const char *instance)
{
    AUTO_CLOSE int pidfd = -1;

    if (pid <= 0 || instance[0] == '\0')
        return;
    /* First hold the process, then look who it is: it cannot become another in between. */
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 || worker_orphan_start_ticks(pid) != start_ticks ||
        !orphan_carries_instance(pid, instance))
        return;
    log_event(LOG_WARN, "orphan_killed", "name=%s pid=%d instance=%s", name, (int)pid, instance);
    if (pidfd_send_signal(pidfd, SIGKILL, NULL, PIDFD_SIGNAL_PROCESS_GROUP) != 0)
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* it may have just ended */
}
