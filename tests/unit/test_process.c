/* What /proc tells of a process, and the ending of those that are not our children. */
#include "common/process.h"

#include "common/attr.h"
#include "common/clock.h"
#include "common/spawn.h"

#include <sched.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { END_MS = 60000, START_LIMIT_MS = 60000 };

static pid_t start(const char *argument, const char *variable, int *out_pidfd)
{
    struct err err = ERR_INIT;
    uint64_t give_up_ms = clock_monotonic_ms() + START_LIMIT_MS;
    pid_t pid = 0;

    assert_int_equal(
        spawn_process(
            &(struct spawn){
                .program = "/proc/self/exe",
                .argv = (const char *const[]){"test_process", "wait", argument, "", "last", NULL},
                .envp = (const char *const[]){"FIRST=1", variable, "LAST=1", NULL},
                .new_group = true},
            &pid, out_pidfd, &err),
        0);
    /* The kernel lets a vfork's parent go on before the child's new arguments are in place. */
    while (!process_has_argument(pid, "last")) {
        assert_true(clock_monotonic_ms() < give_up_ms);
        (void)sched_yield(); /* cannot fail on Linux */
    }
    return pid;
}

static void end(pid_t pid, int expected_signal)
{
    int status = 0;

    (void)kill(pid, SIGTERM); /* too late for one that was killed: that is what is looked at */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), expected_signal);
}

static void a_process_is_known_by_what_it_was_born_with(void **state)
{
    AUTO_CLOSE int pidfd = -1;
    pid_t pid = start("w-argument", "RBEE_INSTANCE=w-variable", &pidfd);
    struct process_facts facts = {0}, ours = {0};
    char instance[PROCESS_INSTANCE_MAX_BYTES] = "";

    assert_int_equal(process_look(pid, &facts), 0);
    assert_int_equal(process_look(getpid(), &ours), 0);
    assert_int_equal(facts.group_id, pid);
    assert_int_equal(ours.group_id, getpgrp());
    assert_true(facts.start_ticks >= ours.start_ticks && ours.start_ticks > 0);
    assert_int_equal(process_start_ticks(pid), facts.start_ticks);
    assert_true(process_has_argument(pid, "w-argument"));
    assert_true(process_has_argument(pid, "last"));
    assert_false(process_has_argument(pid, "w-argumen"));
    assert_false(process_has_argument(pid, "w-argument2"));
    assert_false(process_has_argument(pid, "w-variable"));
    assert_true(process_read_instance(pid, instance));
    assert_string_equal(instance, "w-variable");
    assert_true(process_has_instance(pid, "w-variable"));
    assert_false(process_has_instance(pid, "w-variabl"));
    assert_false(process_has_instance(pid, "w-argument"));
    end(pid, SIGTERM);
    assert_int_equal(process_look(pid, &facts), -1);
    assert_int_equal(process_start_ticks(pid), 0);
    assert_false(process_read_instance(pid, instance));
}

static void what_only_looks_like_an_instance_is_none(void **state)
{
    static const char LONG[] =
        "RBEE_INSTANCE=w-0123456789012345678901234567890123456789012345678901"
        "234567890123456789";
    const char *const variables[] = {"XRBEE_INSTANCE=w-0", "RBEE_INSTANCE2=w-0", "RBEE_INSTANC=w-0",
                                     LONG};

    for (size_t i = 0; i < ARRAY_COUNT(variables); i++) {
        AUTO_CLOSE int pidfd = -1;
        pid_t pid = start("", variables[i], &pidfd);
        char instance[PROCESS_INSTANCE_MAX_BYTES] = "";

        assert_false(process_read_instance(pid, instance));
        end(pid, SIGTERM);
    }
}

static bool is_marked(void *owner, pid_t pid)
{
    return process_has_instance(pid, owner);
}

static void all_that_match_are_ended_and_no_other(void **state)
{
    enum { COUNT = 80 }; /* more than are held at one time */
    pid_t pids[COUNT];
    AUTO_CLOSE int other_pidfd = -1;
    pid_t other = start("w-marked", "RBEE_INSTANCE=w-unmarked", &other_pidfd);
    char mark[] = "w-marked";

    for (int i = 0; i < COUNT; i++) {
        AUTO_CLOSE int pidfd = -1;

        pids[i] = start("", "RBEE_INSTANCE=w-marked", &pidfd);
    }
    assert_true(process_end_all(is_marked, mark, END_MS));
    for (int i = 0; i < COUNT; i++)
        end(pids[i], SIGKILL);
    end(other, SIGTERM);
    assert_true(process_end_all(is_marked, mark, END_MS)); /* nobody is left */
}

static void an_end_is_waited_for_until_its_time(void **state)
{
    AUTO_CLOSE int pidfd = -1;
    pid_t pid = start("", "RBEE_INSTANCE=w-0", &pidfd);

    assert_false(process_await(pidfd, 0));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_true(process_await(pidfd, clock_monotonic_ms() + END_MS));
    assert_true(process_await(pidfd, 0));
    end(pid, SIGKILL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_is_known_by_what_it_was_born_with),
        cmocka_unit_test(what_only_looks_like_an_instance_is_none),
        cmocka_unit_test(all_that_match_are_ended_and_no_other),
        cmocka_unit_test(an_end_is_waited_for_until_its_time),
    };

    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        return pause();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
