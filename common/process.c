/* Owns the reading of /proc and the ending of processes that are not our children. Must not know
 * what makes a process ours: the caller says so. */
#include "common/process.h"

#include "common/attr.h"
#include "common/clock.h"
#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PROCESS_PATH_MAX_BYTES = 64,
    /* 52 numbers of at most 20 digits, and a name of 64 bytes: proc(5). */
    PROCESS_STAT_MAX_BYTES = 2048,
    /* proc(5): after "pid (name) " comes field 3. */
    PROCESS_FIELD_STATE = 3,
    PROCESS_FIELD_GROUP = 5,
    PROCESS_FIELD_START = 22,
    /* Held at one time while they end; a pass that finds more is followed by another. */
    PROCESS_HELD_MAX_COUNT = 64,
};

/* ---- looking ---- */

static void process_path(pid_t pid, const char *file, char out[PROCESS_PATH_MAX_BYTES])
{
    (void)snprintf(out, PROCESS_PATH_MAX_BYTES, "/proc/%d/%s", (int)pid, file);
}

/* The text of field NUMBER, in what follows the name; NULL when there are fewer. */
static const char *process_field(const char *after_name, int number)
{
    const char *at = after_name;

    for (int i = PROCESS_FIELD_STATE; i <= number; i++) {
        at = strchr(at, ' ');
        if (at == NULL)
            return NULL;
        at++;
    }
    return at;
}

int process_look(pid_t pid, struct process_facts *out)
{
    char path[PROCESS_PATH_MAX_BYTES];
    char text[PROCESS_STAT_MAX_BYTES];
    const char *after_name = NULL;
    const char *group = NULL;
    const char *start = NULL;
    AUTO_CLOSE int fd = -1;
    ssize_t len = 0;

    process_path(pid, "stat", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    len = read(fd, text, sizeof(text) - 1);
    if (len <= 0)
        return -1;
    text[len] = '\0';
    /* The name in parentheses may hold anything, also parentheses: the last one ends it. */
    after_name = strrchr(text, ')');
    if (after_name == NULL)
        return -1;
    group = process_field(after_name, PROCESS_FIELD_GROUP);
    start = process_field(after_name, PROCESS_FIELD_START);
    if (group == NULL || start == NULL)
        return -1;
    out->start_ticks = strtoull(start, NULL, 10);
    out->group_id = (pid_t)strtol(group, NULL, 10);
    return 0;
}

uint64_t process_start_ticks(pid_t pid)
{
    struct process_facts facts = {0};

    return process_look(pid, &facts) == 0 ? facts.start_ticks : 0;
}

static FILE *process_open(pid_t pid, const char *file)
{
    char path[PROCESS_PATH_MAX_BYTES];

    process_path(pid, file, path);
    return fopen(path, "re");
}

bool process_has_argument(pid_t pid, const char *text)
{
    AUTO_FCLOSE FILE *stream = process_open(pid, "cmdline");
    AUTO_FREE char *argument = NULL;
    size_t capacity = 0;

    /* The kernel lets no argument, and below no variable, be longer than 128 KiB. */
    while (stream != NULL && getdelim(&argument, &capacity, '\0', stream) >= 0) {
        if (strcmp(argument, text) == 0)
            return true;
    }
    return false;
}

bool process_shows_nothing(pid_t pid)
{
    AUTO_FCLOSE FILE *stream = process_open(pid, "environ"); /* the last to be there */

    return stream != NULL && fgetc(stream) == EOF && ferror(stream) == 0;
}

bool process_read_instance(pid_t pid, char out[PROCESS_INSTANCE_MAX_BYTES])
{
    static const char NAME[] = PROCESS_INSTANCE_VARIABLE "=";
    AUTO_FCLOSE FILE *stream = process_open(pid, "environ");
    AUTO_FREE char *variable = NULL;
    size_t capacity = 0;

    while (stream != NULL && getdelim(&variable, &capacity, '\0', stream) >= 0) {
        const char *value = variable + sizeof(NAME) - 1;

        if (strncmp(variable, NAME, sizeof(NAME) - 1) != 0)
            continue;
        if (strlen(value) >= PROCESS_INSTANCE_MAX_BYTES)
            return false; /* none of ours is that long */
        memcpy(out, value, strlen(value) + 1);
        return true;
    }
    return false;
}

bool process_has_instance(pid_t pid, const char *instance)
{
    char carried[PROCESS_INSTANCE_MAX_BYTES];

    return process_read_instance(pid, carried) && strcmp(carried, instance) == 0;
}

/* ---- ending ---- */

struct process_ending {
    process_match *is_ours;
    void *owner;
    int held[PROCESS_HELD_MAX_COUNT]; /* pidfds of those that have been killed */
    size_t held_count;
};

/* The effective user, as /proc has it; one who has changed to another is not ours. */
static bool process_is_of_our_user(pid_t pid)
{
    char path[PROCESS_PATH_MAX_BYTES];
    struct stat status;

    process_path(pid, "", path);
    return stat(path, &status) == 0 && status.st_uid == geteuid();
}

/* First hold the process, then look who it is: it cannot become another in between. */
static void process_end_if_ours(struct process_ending *ending, pid_t pid)
{
    AUTO_CLOSE int pidfd = -1;

    if (pid == getpid() || !process_is_of_our_user(pid))
        return;
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 || !ending->is_ours(ending->owner, pid))
        return;
    if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) == 0) /* else it has just ended */
        ending->held[ending->held_count++] = take_fd(&pidfd);
}

static void process_end_pass(struct process_ending *ending)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry = NULL;

    if (proc == NULL)
        return;
    while (ending->held_count < PROCESS_HELD_MAX_COUNT && (entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for "self" and the like */

        if (pid > 0)
            process_end_if_ours(ending, pid);
    }
    (void)closedir(proc); /* only read */
}

bool process_await(int pidfd, uint64_t ends_ms)
{
    struct pollfd exit = {.fd = pidfd, .events = POLLIN};
    int result = 0;

    do {
        uint64_t now_ms = clock_monotonic_ms();

        result = poll(&exit, 1, now_ms >= ends_ms ? 0 : (int)(ends_ms - now_ms));
    } while (result < 0 && errno == EINTR);
    return result > 0;
}

static bool process_await_held(struct process_ending *ending, uint64_t ends_ms)
{
    bool all_gone = true;

    while (ending->held_count > 0) {
        int pidfd = ending->held[--ending->held_count];

        all_gone = process_await(pidfd, ends_ms) && all_gone;
        (void)close(pidfd); /* its process has its signal */
    }
    return all_gone;
}

bool process_end_all(process_match *is_ours, void *owner, uint64_t limit_ms)
{
    uint64_t ends_ms = clock_monotonic_ms() + limit_ms;
    struct process_ending ending = {.is_ours = is_ours, .owner = owner};

    for (;;) {
        process_end_pass(&ending);
        if (ending.held_count == 0)
            return true;
        if (!process_await_held(&ending, ends_ms) || clock_monotonic_ms() >= ends_ms)
            return false;
    }
}
