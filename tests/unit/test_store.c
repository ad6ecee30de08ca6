/* The store, on real files: what it keeps over a kill, a full disk, a corrupt file, a newer schema,
 * and that nothing it was given goes in silence. */
#include "db/store.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/spawn.h"
#include "db/migrations.h"
#include "tests/store_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- the queue ---- */

static void who_waits_is_told_once_and_on_the_callers_thread(void **state)
{
    enum { COUNT = 3000 };
    struct fixture *fixture = *state;

    open_store(fixture);
    start_store(fixture);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(append_event(fixture, "k", i % 2 == 0 ? told(fixture) : STORE_NOBODY), 0);
    assert_int_equal(fixture->done_count, 0); /* never from inside a put */
    dispatch_until(fixture, &fixture->done_count, COUNT / 2);
    close_store(fixture);
    assert_int_equal(fixture->done_count, COUNT / 2);
    assert_int_equal(fixture->failed_count, 0);
    open_store(fixture);
    assert_int_equal(count_events(fixture), COUNT);
}

static void closing_writes_what_is_queued_and_tells(void **state)
{
    struct fixture *fixture = *state;

    open_store(fixture);
    start_store(fixture);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(append_event(fixture, "k", told(fixture)), 0);
    close_store(fixture);
    assert_int_equal(fixture->done_count, 1000);
    open_store(fixture);
    assert_int_equal(count_events(fixture), 1000);
}

static void a_row_that_the_schema_refuses_is_lost_alone_and_aloud(void **state)
{
    struct fixture *fixture = *state;

    open_store(fixture);
    close_store(fixture);
    (void)query(fixture->path, "CREATE TRIGGER test_refuses BEFORE INSERT ON events "
                               "WHEN NEW.kind = 'bad' BEGIN SELECT RAISE(ABORT, 'no bad'); END");
    open_store(fixture);
    start_store(fixture);
    for (int i = 0; i < 10; i++)
        assert_int_equal(append_event(fixture, i == 4 ? "bad" : "good", told(fixture)), 0);
    dispatch_until(fixture, &fixture->done_count, 10);
    assert_int_equal(fixture->failed_count, 1);
    assert_int_equal(fixture->lost_count, 1);
    assert_int_equal(fixture->last_lost.kind, ERR_INTERNAL);
    assert_non_null(strstr(fixture->last_lost.message, "no bad"));
    assert_int_equal(fixture->health_count, 0); /* the disk is well */
    close_store(fixture);
    assert_int_equal(query(fixture->path, "SELECT count(*) FROM events"), 9);
}

static void a_row_larger_than_the_limit_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    AUTO_FREE char *huge = xcalloc(STORE_ROW_MAX_BYTES + 1, 1);
    struct event_row row = {.kind = "k", .details = huge};
    struct err err = ERR_INIT;
    int64_t seq = 0;

    memset(huge, 'x', STORE_ROW_MAX_BYTES);
    open_store(fixture);
    start_store(fixture);
    assert_int_equal(events_append(fixture->store, &row, STORE_NOBODY, &seq, &err), -1);
    assert_int_equal(err.kind, ERR_INTERNAL);
    row.details = "";
    assert_int_equal(events_append(fixture->store, &row, STORE_NOBODY, &seq, &err), 0);
    assert_true(seq == 1); /* no number was used up */
}

/* ---- a disk that is full ---- */

static void a_full_disk_keeps_rows_waiting_and_says_so(void **state)
{
    struct fixture *fixture = *state;
    int queued = 0;

    open_store_on_full_disk(fixture);
    assert_int_equal(append_event(fixture, "during", told(fixture)), 0);
    dispatch_until(fixture, &fixture->health_count, 1);
    assert_int_equal(fixture->health.kind, ERR_IO);
    assert_int_equal(fixture->done_count, 2); /* told at once, and only once */
    assert_int_equal(fixture->failed_count, 1);
    /* The queue is bounded: in the end a put is refused, and nothing that was taken is dropped. */
    while (append_event(fixture, "during", STORE_NOBODY) == 0)
        queued++;
    assert_int_equal(queued + 1, STORE_QUEUE_MAX_ROWS);
    assert_int_equal(store_queued_count(fixture->store), STORE_QUEUE_MAX_ROWS);
    full_disk_limit(RLIM_INFINITY);
    dispatch_until(fixture, &fixture->health_count, 2);
    assert_int_equal(fixture->health.kind, ERR_NONE);
    close_store(fixture);
    assert_int_equal(fixture->lost_count, 0);
    assert_int_equal(fixture->done_count, 2);
    open_store(fixture);
    assert_int_equal(count_events(fixture), 1 + STORE_QUEUE_MAX_ROWS);
}

static void what_the_disk_refuses_to_the_end_is_reported_lost(void **state)
{
    struct fixture *fixture = *state;

    open_store_on_full_disk(fixture);
    for (int i = 0; i < 600; i++)
        assert_int_equal(append_event(fixture, "during", told(fixture)), 0);
    close_store(fixture);
    full_disk_limit(RLIM_INFINITY);
    assert_int_equal(fixture->lost_count, 600);
    assert_int_equal(fixture->done_count, 601);
    assert_int_equal(fixture->failed_count, 600);
    open_store(fixture);
    assert_int_equal(count_events(fixture), 1);
    assert_false(fixture->report.was_corrupt);
}

/* ---- the file ---- */

static void the_file_is_ours_alone(void **state)
{
    struct fixture *fixture = *state;
    AUTO_FREE char *wal = xasprintf("%s-wal", fixture->path);
    mode_t before = umask(0);
    struct stat info;

    open_store(fixture);
    start_store(fixture);
    assert_int_equal(append_event(fixture, "k", told(fixture)), 0);
    dispatch_until(fixture, &fixture->done_count, 1);
    (void)umask(before);
    assert_int_equal(stat(fixture->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(stat(wal, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    close_store(fixture);
    assert_int_equal(stat(wal, &info), -1); /* an orderly end leaves one file */
    assert_int_equal(chmod(fixture->path, 0644), 0);
    open_store(fixture);
    assert_int_equal(stat(fixture->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void a_second_store_is_refused(void **state)
{
    static const char *const ARGV[] = {"test_store", "open", NULL};
    struct fixture *fixture = *state;
    struct spawn spawn = {.program = "/proc/self/exe", .argv = ARGV};
    struct err err = ERR_INIT;
    int status = 0;
    pid_t pid = 0;

    open_store(fixture);
    assert_int_equal(setenv("RBEE_TEST_PATH", fixture->path, 1), 0);
    assert_int_equal(spawn_process(&spawn, &pid, NULL, &err), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ERR_CONFLICT);
}

static char *read_whole(const char *path)
{
    struct buf buf;
    struct err err = ERR_INIT;

    buf_init(&buf, 64 << 20);
    assert_int_equal(io_read_file(path, &buf, &err), 0);
    assert_true(buf.len > 0);
    return buf_take(&buf);
}

static void assert_refused_and_untouched(struct fixture *fixture, const char *a, const char *b)
{
    struct stat before;
    struct stat after;
    AUTO_FREE char *content = read_whole(fixture->path);
    AUTO_FREE char *content_after = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(stat(fixture->path, &before), 0);
    assert_null(store_open(fixture->path, &fixture->report, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.message, a));
    assert_non_null(strstr(err.message, b));
    assert_int_equal(stat(fixture->path, &after), 0);
    content_after = read_whole(fixture->path);
    assert_true(before.st_size == after.st_size && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    assert_memory_equal(content, content_after, (size_t)before.st_size);
}

static void a_newer_schema_is_refused_and_not_touched(void **state)
{
    struct fixture *fixture = *state;
    AUTO_FREE char *ours = xasprintf("%zu", MIGRATION_COUNT);

    open_store(fixture);
    assert_int_equal(fixture->report.migrated_from, 0);
    assert_int_equal(fixture->report.migrated_to, MIGRATION_COUNT);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(fixture->report.migrated_from, MIGRATION_COUNT);
    close_store(fixture);
    (void)query(fixture->path, "PRAGMA user_version = 4711");
    assert_refused_and_untouched(fixture, "4711", ours);
}

/* As after a kill -9 of the newer one: its last words are still in the log, and stay there. */
static void a_newer_schema_in_the_log_is_not_touched_either(void **state)
{
    struct fixture *fixture = *state;
    AUTO_FREE char *wal = xasprintf("%s-wal", fixture->path);
    AUTO_FREE char *log_before = NULL;
    AUTO_FREE char *log_after = NULL;
    struct stat before;
    struct stat after;
    sqlite3 *newer = NULL;

    open_store(fixture);
    close_store(fixture);
    assert_int_equal(sqlite3_open(fixture->path, &newer), SQLITE_OK);
    assert_int_equal(sqlite3_db_config(newer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(newer, "PRAGMA user_version = 4711", NULL, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(newer);
    log_before = read_whole(wal);
    assert_int_equal(stat(wal, &before), 0);
    assert_refused_and_untouched(fixture, "4711", "newer");
    log_after = read_whole(wal);
    assert_int_equal(stat(wal, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_memory_equal(log_before, log_after, (size_t)before.st_size);
}

static void another_programs_database_is_refused_and_not_touched(void **state)
{
    struct fixture *fixture = *state;

    (void)query(fixture->path, "CREATE TABLE theirs (x)");
    assert_refused_and_untouched(fixture, "another program", fixture->path);
    (void)query(fixture->path, "DROP TABLE theirs");
    (void)query(fixture->path, "PRAGMA application_id = 7");
    assert_refused_and_untouched(fixture, "another program", fixture->path);
}

/* Ways in which a file can be wrong. SIZE is the length of a good one. */
static void overwrite(const char *path, off_t at, const char *bytes, size_t len)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, bytes, len, at), len);
}

static void a_corrupt_file_is_set_aside_and_a_new_one_begun(void **state)
{
    struct fixture *fixture = *state;
    char rubbish[8192];

    memset(rubbish, 0x5a, sizeof(rubbish));
    for (int way = 0; way < 4; way++) {
        AUTO_FREE char *content = NULL;
        AUTO_FREE char *content_aside = NULL;
        struct stat info;

        (void)unlink(fixture->path);
        fixture->done_count = 0;
        open_store(fixture);
        start_store(fixture);
        for (int i = 0; i < 500; i++)
            assert_int_equal(append_event(fixture, "k", STORE_NOBODY), 0);
        close_store(fixture);
        assert_int_equal(stat(fixture->path, &info), 0);
        if (way == 0)
            overwrite(fixture->path, 0, rubbish, 100); /* no database at all */
        else if (way == 1)
            overwrite(fixture->path, 4096, rubbish, sizeof(rubbish)); /* pages in the middle */
        else if (way == 2)
            assert_int_equal(truncate(fixture->path, info.st_size / 2), 0);
        else
            overwrite(fixture->path, info.st_size - 4096, rubbish, 64); /* the last page */
        content = read_whole(fixture->path);
        assert_int_equal(stat(fixture->path, &info), 0);
        open_store(fixture);
        assert_true(fixture->report.was_corrupt);
        assert_memory_equal(fixture->report.corrupt_path, fixture->path, strlen(fixture->path));
        assert_non_null(strstr(fixture->report.corrupt_path, ".corrupt-"));
        content_aside = read_whole(fixture->report.corrupt_path);
        assert_memory_equal(content, content_aside, (size_t)info.st_size);
        assert_int_equal(count_events(fixture), 0);
        close_store(fixture);
    }
}

static void what_is_no_file_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    AUTO_FREE char *missing = paths_join(fixture->folder, "no/such/folder.db");
    struct err err = ERR_INIT;

    assert_null(store_open(fixture->folder, &fixture->report, &err));
    assert_int_equal(err.kind, ERR_IO);
    assert_null(store_open(missing, &fixture->report, &err));
    assert_int_equal(err.kind, ERR_IO);
}

/* ---- killed in the middle of writing ---- */

/* Writes events without end and says the number of each that is on disk. */
struct acknowledger {
    struct store *store;
    int64_t seq;
};

static void acknowledge(void *owner, const struct err *err)
{
    struct acknowledger *acknowledger = owner;

    if (err_is_set(err))
        _exit(1);
    acknowledger->seq++;
    if (write(STDOUT_FILENO, &acknowledger->seq, sizeof(acknowledger->seq)) < 0)
        _exit(1);
}

static int child_write(const char *path)
{
    struct err err = ERR_INIT;
    struct store_report report;
    struct store_listener listener = {NULL, NULL, NULL};
    struct acknowledger acknowledger = {.store = store_open(path, &report, &err)};
    struct event_rows events;

    if (acknowledger.store == NULL || events_load_last(acknowledger.store, 1, &events, &err) < 0 ||
        store_start(acknowledger.store, &listener, &err) < 0)
        return err.kind;
    acknowledger.seq = events.count > 0 ? events.rows[0].seq : 0;
    event_rows_release(&events);
    for (;;) {
        struct event_row row = {.kind = "k", .details = "{\"some\":\"details\"}"};
        struct pollfd ready = {.fd = store_fd(acknowledger.store), .events = POLLIN};

        while (events_append(acknowledger.store, &row,
                             (struct store_done){acknowledge, &acknowledger}, NULL, &err) == 0 &&
               store_queued_count(acknowledger.store) < 500)
            ;
        (void)poll(&ready, 1, -1);
        store_dispatch(acknowledger.store);
    }
}

static int child_open(const char *path)
{
    struct err err = ERR_INIT;
    struct store_report report;

    store_close(store_open(path, &report, &err));
    return err.kind;
}

static void kill_minus_9_loses_nothing_acknowledged(void **state)
{
    enum { ROUNDS = 8 };
    static const char *const ARGV[] = {"test_store", "write", NULL};
    struct fixture *fixture = *state;
    int64_t acknowledged = 0;

    assert_int_equal(setenv("RBEE_TEST_PATH", fixture->path, 1), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int fds[2] = {-1, -1};
        struct spawn spawn = {.program = "/proc/self/exe", .argv = ARGV};
        struct err err = ERR_INIT;
        int64_t enough = acknowledged + 100 + round * 300;
        int64_t seq = 0;
        pid_t pid = 0;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        spawn.fds[spawn.fd_count++] = (struct spawn_fd){.parent_fd = fds[1], .child_fd = 1};
        assert_int_equal(spawn_process(&spawn, &pid, NULL, &err), 0);
        (void)close(fds[1]);
        while (read(fds[0], &seq, sizeof(seq)) == sizeof(seq)) {
            acknowledged = seq;
            if (seq >= enough)
                (void)kill(pid, SIGKILL); /* again while the pipe empties: not reaped yet */
        }
        (void)close(fds[0]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(acknowledged >= enough);
        open_store(fixture);
        assert_false(fixture->report.was_corrupt);
        assert_true((int64_t)count_events(fixture) >= acknowledged);
        close_store(fixture);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(who_waits_is_told_once_and_on_the_callers_thread),
        WITH_FILE(closing_writes_what_is_queued_and_tells),
        WITH_FILE(a_row_that_the_schema_refuses_is_lost_alone_and_aloud),
        WITH_FILE(a_row_larger_than_the_limit_is_refused_at_once),
        WITH_FILE(a_full_disk_keeps_rows_waiting_and_says_so),
        WITH_FILE(what_the_disk_refuses_to_the_end_is_reported_lost),
        WITH_FILE(the_file_is_ours_alone),
        WITH_FILE(a_second_store_is_refused),
        WITH_FILE(a_newer_schema_is_refused_and_not_touched),
        WITH_FILE(a_newer_schema_in_the_log_is_not_touched_either),
        WITH_FILE(another_programs_database_is_refused_and_not_touched),
        WITH_FILE(a_corrupt_file_is_set_aside_and_a_new_one_begun),
        WITH_FILE(what_is_no_file_is_an_error),
        WITH_FILE(kill_minus_9_loses_nothing_acknowledged),
    };

    if (argc > 1 && strcmp(argv[1], "write") == 0)
        return child_write(getenv("RBEE_TEST_PATH"));
    if (argc > 1 && strcmp(argv[1], "open") == 0)
        return child_open(getenv("RBEE_TEST_PATH"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
