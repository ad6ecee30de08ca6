/* rbee-watch: the records it is told, and which processes it ends. Processes are real: this program
 * starts itself, as leaders and members of groups. */
#include "watch/watch.h"

#include "common/process.h"
#include "common/spawn.h"
#include "common/token.h"
#include "supervisor/watcher.h"
#include "watch/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { END_MS = 60000 }; /* a busy machine is no failure; nobody waits that long when all is well */

/* ---- leaders ---- */

/* posix_spawn() returns when the new program has its memory, and before its arguments are there. */
static void a_leader_is_held_while_its_program_is_being_loaded(void **state)
{
    enum { COUNT = 50 };
    char *arguments[] = {(char[]){"sleep"}, (char[]){"infinity"}, NULL};
    char *environment[] = {(char[]){PROCESS_INSTANCE_VARIABLE "=w-AbCdEfGhIjKlMnOpQrStUv"}, NULL};

    for (int i = 0; i < COUNT; i++) {
        AUTO_GROUPS struct groups groups = {0};
        struct watch_record added;
        struct err err = ERR_INIT;
        pid_t pid = -1;

        assert_int_equal(posix_spawn(&pid, "/bin/sleep", NULL, NULL, arguments, environment), 0);
        added = watch_record_add(pid, process_start_ticks(pid), "w-AbCdEfGhIjKlMnOpQrStUv");
        assert_int_equal(groups_add(&groups, &added, &err), 0);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(groups.held_count, 1);
    }
}

/* ---- records ---- */

static void write_all(int fd, const void *data, size_t len)
{
    assert_int_equal(write(fd, data, len), len);
}

static void a_record_arrives_whole_however_it_is_cut(void **state)
{
    const struct watch_record sent[] = {
        watch_record_add(4711, 123456789012345, "w-AbCdEfGhIjKlMnOpQrStUv"),
        watch_record_remove("w-0"),
    };

    for (size_t cut = 1; cut < sizeof(sent); cut++) {
        struct watch_reader reader = {.len = 0};
        struct watch_record got[2] = {0};
        struct err err = ERR_INIT;
        size_t count = 0;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        for (size_t at = 0; at < sizeof(sent); at += cut) {
            size_t len = sizeof(sent) - at < cut ? sizeof(sent) - at : cut;

            write_all(fds[1], (const char *)sent + at, len);
            assert_int_equal(watch_reader_fill(&reader, fds[0], &err), 1);
            while (watch_reader_next(&reader, &got[count], &err) == 1)
                count++;
        }
        (void)close(fds[1]);
        assert_int_equal(watch_reader_fill(&reader, fds[0], &err), 0);
        (void)close(fds[0]);
        assert_false(err_is_set(&err));
        assert_int_equal(count, 2);
        assert_memory_equal(got, sent, sizeof(sent));
    }
}

static void as_many_records_as_there_are_at_once_are_read(void **state)
{
    enum { COUNT = 2 * WATCH_READ_COUNT + 1 };
    struct watch_reader reader = {.len = 0};
    struct watch_record record = watch_record_remove("w-0");
    struct err err = ERR_INIT;
    int count = 0;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    for (int i = 0; i < COUNT; i++)
        write_all(fds[1], &record, sizeof(record));
    (void)close(fds[1]);
    while (watch_reader_fill(&reader, fds[0], &err) == 1) {
        while (watch_reader_next(&reader, &record, &err) == 1)
            count++;
    }
    (void)close(fds[0]);
    assert_int_equal(count, COUNT);
}

/* What RECORD is taken for, and that it is not taken off when it is none. */
static int read_one(const struct watch_record *record)
{
    struct watch_reader reader = {.len = sizeof(*record)};
    struct watch_record got = {0};
    struct err err = ERR_INIT;
    int result = 0;

    memcpy(reader.bytes, record, sizeof(*record));
    result = watch_reader_next(&reader, &got, &err);
    assert_int_equal(err_is_set(&err), result < 0);
    assert_int_equal(reader.len, result == 1 ? 0 : sizeof(*record));
    return result;
}

static void what_is_no_record_is_refused(void **state)
{
    const struct watch_record good = watch_record_add(4711, 1, "w-AbCdEfGhIjKlMnOpQrStUv");
    const int32_t bad_pids[] = {0, 1, -1, -4711, INT32_MIN};
    const char *const bad_instances[] = {"", "w/0", "w 0", "w\n", "w.0", "w\x80"};
    struct watch_record record = good;

    assert_int_equal(read_one(&record), 1);
    record.magic++;
    assert_int_equal(read_one(&record), -1);
    for (uint32_t kind = 0; kind < 5; kind++) {
        record = good;
        record.kind = kind;
        assert_int_equal(read_one(&record), kind == WATCH_ADD ? 1 : -1); /* REMOVE has no pid */
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad_pids); i++) {
        record = good;
        record.pid = bad_pids[i];
        assert_int_equal(read_one(&record), -1);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad_instances); i++) {
        record = good;
        memset(record.instance, 0, sizeof(record.instance));
        memcpy(record.instance, bad_instances[i], strlen(bad_instances[i]));
        assert_int_equal(read_one(&record), -1);
    }
    record = good;
    memset(record.instance, 'w', sizeof(record.instance)); /* longer than its place: no end */
    assert_int_equal(read_one(&record), -1);
    record = good;
    record.instance[sizeof(record.instance) - 1] = 'x'; /* something behind its end */
    assert_int_equal(read_one(&record), -1);
}

static void noise_is_refused(void **state)
{
    unsigned random = 1; /* of a linear congruential generator: the same noise each time */

    for (int round = 0; round < 1000; round++) {
        struct watch_record record;
        unsigned char *bytes = (unsigned char *)&record;

        for (size_t i = 0; i < sizeof(record); i++) {
            random = random * 1103515245u + 12345u;
            bytes[i] = (unsigned char)(random >> 16);
        }
        assert_int_equal(read_one(&record), -1);
    }
}

/* ---- processes ---- */

struct member {
    pid_t pid;
    int pidfd;
};

/* Prints the pid of a child, which has the environment that argv[2] says, and waits with it. */
static int play_leader(const char *environment)
{
    static const char *const ARGV[] = {"test_watch", "wait", NULL};
    static const char *const BARE[] = {NULL};
    struct spawn spawn = {.program = "/proc/self/exe", .argv = ARGV};
    struct err err = ERR_INIT;
    pid_t pid = 0;

    if (strcmp(environment, "bare") == 0)
        spawn.envp = BARE;
    if (spawn_process(&spawn, &pid, NULL, &err) != 0)
        return 1;
    printf("%d\n", (int)pid);
    (void)fflush(stdout);
    return pause();
}

/* A group's leader, and its child, which becomes ours when the leader is gone. */
static struct member start_leader(const char *instance, const char *child_environment,
                                  struct member *out_child)
{
    char variable[128];
    int fds[2];
    char text[32] = "";
    struct err err = ERR_INIT;
    struct member leader = {.pidfd = -1};

    (void)snprintf(variable, sizeof(variable), "%s=%s", PROCESS_INSTANCE_VARIABLE, instance);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(
        spawn_process(&(struct spawn){.program = "/proc/self/exe",
                                      .argv = (const char *const[]){"test_watch", "leader",
                                                                    child_environment, NULL},
                                      .envp = (const char *const[]){"LANG=C", variable, NULL},
                                      .fds = {{fds[1], STDOUT_FILENO}},
                                      .fd_count = 1,
                                      .new_group = true},
                      &leader.pid, &leader.pidfd, &err),
        0);
    (void)close(fds[1]);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    (void)close(fds[0]);
    out_child->pid = (pid_t)strtol(text, NULL, 10);
    out_child->pidfd = pidfd_open(out_child->pid, 0);
    assert_true(out_child->pidfd >= 0);
    return leader;
}

static void reap(struct member *member)
{
    assert_int_equal(waitpid(member->pid, NULL, 0), member->pid);
    (void)close(member->pidfd);
}

static void assert_was_killed(struct member *member)
{
    struct pollfd end = {.fd = member->pidfd, .events = POLLIN};

    assert_int_equal(poll(&end, 1, END_MS), 1);
    reap(member);
}

/* A KILL that had been sent would be what ends it, and not our TERM. */
static void assert_was_let_alone(struct member *member)
{
    int status = 0;

    assert_int_equal(kill(member->pid, SIGTERM), 0);
    assert_int_equal(waitpid(member->pid, &status, 0), member->pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    (void)close(member->pidfd);
}

static bool kernel_signals_groups(void)
{
    AUTO_CLOSE int self = pidfd_open(getpid(), 0);

    /* We may lead no group: then there is nobody, which is another answer than not knowing how. */
    return pidfd_send_signal(self, 0, NULL, PIDFD_SIGNAL_PROCESS_GROUP) == 0 || errno != EINVAL;
}

/* Says COUNT records to a watcher, and then nothing any more. */
static int watch_told(const struct watch_record *records, size_t count, struct err *err)
{
    int fds[2];
    int result = 0;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    write_all(fds[1], records, count * sizeof(*records));
    (void)close(fds[1]);
    result = watch_run(fds[0], err);
    (void)close(fds[0]);
    return result;
}

static void the_end_of_the_pipe_ends_whole_groups(void **state)
{
    enum { COUNT = 5 };
    struct watch_record records[COUNT];
    struct member leaders[COUNT], children[COUNT];
    struct err err = ERR_INIT;

    for (size_t i = 0; i < COUNT; i++) {
        char instance[TOKEN_ID_BYTES];

        token_new_id('w', instance);
        leaders[i] = start_leader(instance, "ours", &children[i]);
        records[i] =
            watch_record_add(leaders[i].pid, process_start_ticks(leaders[i].pid), instance);
    }
    assert_int_equal(watch_told(records, COUNT, &err), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_was_killed(&leaders[i]);
        assert_was_killed(&children[i]);
    }
}

/* The usual case: the leader has died of its parent-death signal and is reaped before the watcher
 * looks; what is left of the group is ended, whether or not it still carries anything of ours. */
static void a_group_is_ended_after_its_leader(void **state)
{
    const char *const environments[] = {"ours", "bare"};

    for (size_t i = 0; i < ARRAY_COUNT(environments); i++) {
        AUTO_GROUPS struct groups groups = {.count = 0};
        struct err err = ERR_INIT;
        struct member child;
        struct member leader = start_leader("w-leader-gone", environments[i], &child);
        struct watch_record record =
            watch_record_add(leader.pid, process_start_ticks(leader.pid), "w-leader-gone");

        assert_int_equal(groups_add(&groups, &record, &err), 0);
        assert_int_equal(kill(leader.pid, SIGKILL), 0);
        reap(&leader);
        assert_true(groups_end(&groups, END_MS));
        if (strcmp(environments[i], "bare") == 0 && !kernel_signals_groups())
            assert_was_let_alone(&child);
        else
            assert_was_killed(&child);
    }
}

/* A leader that was gone, or another, when it was added: then each process has to show that it is
 * in the group and carries the instance. */
static void a_group_that_is_not_held_needs_both_proofs(void **state)
{
    struct err err = ERR_INIT;
    struct member ours_child, bare_child, other_child, elsewhere_child;
    struct member ours = start_leader("w-ours", "ours", &ours_child);
    struct member bare = start_leader("w-bare", "bare", &bare_child);
    struct member other = start_leader("w-other", "ours", &other_child);
    struct member elsewhere = start_leader("w-elsewhere", "ours", &elsewhere_child);
    const struct watch_record records[] = {
        watch_record_add(ours.pid, 1, "w-ours"), /* no process of now began that early */
        watch_record_add(bare.pid, 1, "w-bare"), watch_record_add(other.pid, 1, "w-not-other"),
        watch_record_add(other.pid, 1, "w-elsewhere"), /* its instance is in another group */
    };

    assert_int_equal(watch_told(records, ARRAY_COUNT(records), &err), 0);
    assert_was_killed(&ours);
    assert_was_killed(&ours_child);
    assert_was_killed(&bare);
    assert_was_let_alone(&bare_child);
    assert_was_let_alone(&other);
    assert_was_let_alone(&other_child);
    assert_was_let_alone(&elsewhere);
    assert_was_let_alone(&elsewhere_child);
}

static void a_group_that_was_removed_is_let_alone(void **state)
{
    struct err err = ERR_INIT;
    struct member child;
    struct member leader = start_leader("w-removed", "ours", &child);
    const struct watch_record records[] = {
        watch_record_add(leader.pid, process_start_ticks(leader.pid), "w-removed"),
        watch_record_add(leader.pid, process_start_ticks(leader.pid), "w-removed"),
        watch_record_remove("w-removed"),
        watch_record_remove("w-never-added"),
    };

    assert_int_equal(watch_told(records, ARRAY_COUNT(records), &err), 0);
    assert_was_let_alone(&leader);
    assert_was_let_alone(&child);
}

static void who_is_told_rubbish_ends_nothing(void **state)
{
    struct err err = ERR_INIT;
    struct member child;
    struct member leader = start_leader("w-rubbish", "ours", &child);
    struct watch_record records[] = {
        watch_record_add(leader.pid, process_start_ticks(leader.pid), "w-rubbish"),
        watch_record_remove("w-nobody"),
    };

    records[1].kind = 77;
    assert_int_equal(watch_told(records, ARRAY_COUNT(records), &err), -1);
    assert_int_equal(err.kind, ERR_PROTOCOL);
    assert_was_let_alone(&leader);
    assert_was_let_alone(&child);
}

static void there_is_a_limit(void **state)
{
    AUTO_GROUPS struct groups groups = {.count = 0};
    struct err err = ERR_INIT;
    char instance[WATCH_INSTANCE_BYTES];
    struct watch_record record;

    for (int i = 0; i < WATCH_GROUP_MAX_COUNT; i++) {
        (void)snprintf(instance, sizeof(instance), "w-%d", i);
        record = watch_record_add(getpid(), 1, instance);
        assert_int_equal(groups_add(&groups, &record, &err), 0);
    }
    assert_int_equal(groups_add(&groups, &record, &err), 0); /* the same one again */
    record = watch_record_add(getpid(), 1, "w-one-more");
    assert_int_equal(groups_add(&groups, &record, &err), -1);
    assert_int_equal(err.kind, ERR_BUSY);
    groups_remove(&groups, "w-0");
    assert_int_equal(groups_add(&groups, &record, &err), 0);
}

/* ---- the supervisor's side ---- */

static void a_watcher_that_keeps_dying_is_started_ever_more_rarely(void **state)
{
    uint64_t delay_ms = 0;
    uint64_t sum_ms = 0;

    for (int i = 0; i < 20; i++) {
        uint64_t next_ms = watcher_backoff_ms(delay_ms, 0);

        assert_true(next_ms > delay_ms || next_ms == 60000);
        delay_ms = next_ms;
        sum_ms += next_ms;
    }
    assert_int_equal(delay_ms, 60000);
    assert_true(sum_ms > 600000);
    assert_int_equal(watcher_backoff_ms(delay_ms, 59999), 60000);
    assert_int_equal(watcher_backoff_ms(delay_ms, 60000), watcher_backoff_ms(0, 0));
}

static int setup(void **state)
{
    token_init();
    /* What a leader leaves behind comes to us, so that it can be reaped. */
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_is_held_while_its_program_is_being_loaded),
        cmocka_unit_test(a_record_arrives_whole_however_it_is_cut),
        cmocka_unit_test(as_many_records_as_there_are_at_once_are_read),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(noise_is_refused),
        cmocka_unit_test(the_end_of_the_pipe_ends_whole_groups),
        cmocka_unit_test(a_group_is_ended_after_its_leader),
        cmocka_unit_test(a_group_that_is_not_held_needs_both_proofs),
        cmocka_unit_test(a_group_that_was_removed_is_let_alone),
        cmocka_unit_test(who_is_told_rubbish_ends_nothing),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(a_watcher_that_keeps_dying_is_started_ever_more_rarely),
    };

    if (argc > 2 && strcmp(argv[1], "leader") == 0)
        return play_leader(argv[2]);
    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        return pause();
    return cmocka_run_group_tests(tests, setup, NULL);
}
