/* The store, on real files: what it keeps over a kill, a full disk, a corrupt file, a newer schema,
 * and that nothing it was given goes in silence. */
#include "db/store.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/spawn.h"
#include "db/events.h"
#include "db/migrations.h"
#include "db/models.h"
#include "db/requests.h"
#include "db/workers.h"
#include "tests/temp_folder.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- a store in a folder of its own ---- */

struct fixture {
    char *folder;
    char *path;
    struct store *store;
    struct store_report report;
    /* What was told. */
    int done_count;
    int failed_count;
    int lost_count;
    int health_count;
    struct err health;
    struct err last_lost;
};

static int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    fixture->folder = temp_folder_make();
    fixture->path = paths_join(fixture->folder, "rbee.db");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    store_close(fixture->store);
    temp_folder_remove(fixture->folder);
    free(fixture->folder);
    free(fixture->path);
    free(fixture);
    return 0;
}

static void on_done(void *owner, const struct err *err)
{
    struct fixture *fixture = owner;

    fixture->done_count++;
    fixture->failed_count += err_is_set(err) ? 1 : 0;
}

static void on_lost(void *owner, const struct err *err)
{
    struct fixture *fixture = owner;

    fixture->lost_count++;
    fixture->last_lost = *err;
}

static void on_health(void *owner, const struct err *err)
{
    struct fixture *fixture = owner;

    fixture->health_count++;
    fixture->health = *err;
}

static void open_store(struct fixture *fixture)
{
    struct err err = ERR_INIT;

    fixture->store = store_open(fixture->path, &fixture->report, &err);
    if (fixture->store == NULL)
        fail_msg("%s", err.message);
}

static void start_store(struct fixture *fixture)
{
    struct store_listener listener = {on_health, on_lost, fixture};
    struct err err = ERR_INIT;

    assert_int_equal(store_start(fixture->store, &listener, &err), 0);
}

static void close_store(struct fixture *fixture)
{
    store_close(take_ptr(fixture->store));
}

static struct store_done told(struct fixture *fixture)
{
    return (struct store_done){on_done, fixture};
}

/* Until *COUNT has reached TARGET; what takes ten seconds does not come. */
static void dispatch_until(struct fixture *fixture, const int *count, int target)
{
    while (*count < target) {
        struct pollfd ready = {.fd = store_fd(fixture->store), .events = POLLIN};

        assert_int_equal(poll(&ready, 1, 10000), 1);
        store_dispatch(fixture->store);
    }
}

static int append_event(struct fixture *fixture, const char *kind, struct store_done done)
{
    struct event_row row = {.at_ms = 1, .kind = kind, .details = "{}"};
    struct err err = ERR_INIT;
    int rc = events_append(fixture->store, &row, done, NULL, &err);

    if (rc < 0)
        assert_int_equal(err.kind, ERR_BUSY);
    return rc;
}

static size_t count_events(struct fixture *fixture)
{
    struct event_rows events;
    struct err err = ERR_INIT;
    size_t count = 0;

    assert_int_equal(events_load_last(fixture->store, 1 << 20, &events, &err), 0);
    count = events.count;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(events.rows[i].seq, i + 1); /* none is missing, none twice */
    event_rows_release(&events);
    return count;
}

/* One number from the file, read past the store while that is closed. */
static int64_t query(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int64_t number = -1;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        number = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return number;
}

/* ---- rows ---- */

static const struct worker_row WORKER = {.name = "w",
                                         .desired = "up",
                                         .state = "ready",
                                         .model = "m",
                                         .model_path = "/m.gguf",
                                         .device = "cpu",
                                         .context_tokens = 1,
                                         .threads = 2,
                                         .slots = 3,
                                         .allow_cpu = true,
                                         .autostart = false,
                                         .instance = "w-1",
                                         .pid = 4,
                                         .start_time_ticks = 5,
                                         .boot_id = "boot",
                                         .last_exit = "exit",
                                         .last_stderr = "one\ntwo \xc3\xa9",
                                         .updated_ms = 6};
static const struct model_row MODEL = {.name = "m",
                                       .path = "/m.gguf",
                                       .architecture = "llama",
                                       .parameters = 1,
                                       .quantisation = "Q4_1",
                                       .size_bytes = 2,
                                       .file_modified_ns = INT64_MAX,
                                       .context_tokens = 4,
                                       .chat_template = "chatml",
                                       .details = "{}",
                                       .added_ms = 5};
static const struct request_row REQUEST = {.id = "r-1",
                                           .request_id = "label",
                                           .worker = "w",
                                           .model = "m",
                                           .submitted_ms = 1,
                                           .started_ms = 2,
                                           .ended_ms = 3,
                                           .outcome = "completed",
                                           .stop_reason = "stop",
                                           .prompt_tokens = 4,
                                           .completion_tokens = 5};

static void every_column_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct worker_rows workers;
    struct model_rows models;
    struct request_rows requests;
    struct err err = ERR_INIT;

    open_store(fixture);
    start_store(fixture);
    assert_int_equal(workers_put(fixture->store, &WORKER, STORE_NOBODY, &err), 0);
    assert_int_equal(models_put(fixture->store, &MODEL, STORE_NOBODY, &err), 0);
    assert_int_equal(requests_put(fixture->store, &REQUEST, STORE_NOBODY, &err), 0);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(workers_load_all(fixture->store, &workers, &err), 0);
    assert_int_equal(models_load_all(fixture->store, &models, &err), 0);
    assert_int_equal(requests_load_last(fixture->store, 10, &requests, &err), 0);
    assert_true(workers.count == 1 && models.count == 1 && requests.count == 1);
#define TEXT(got, wanted, column) assert_string_equal((got).column, (wanted).column);
#define INTEGER(got, wanted, column) assert_true((got).column == (wanted).column);
#define BOOL(got, wanted, column) INTEGER(got, wanted, column)
#define KEY(name, type) COLUMN(name, type)
#define COLUMN(name, type) type(workers.rows[0], WORKER, name)
#include "db/workers.def"
#define KEY(name, type) COLUMN(name, type)
#define COLUMN(name, type) type(models.rows[0], MODEL, name)
#include "db/models.def"
#define KEY(name, type) COLUMN(name, type)
#define COLUMN(name, type) type(requests.rows[0], REQUEST, name)
#include "db/requests.def"
#undef TEXT
#undef INTEGER
#undef BOOL
    worker_rows_release(&workers);
    model_rows_release(&models);
    request_rows_release(&requests);
}

static void a_put_replaces_and_a_removal_removes(void **state)
{
    struct fixture *fixture = *state;
    struct model_row model = {.name = "b", .path = "/first"};
    struct model_rows models;
    struct err err = ERR_INIT;

    open_store(fixture);
    start_store(fixture);
    assert_int_equal(models_put(fixture->store, &model, STORE_NOBODY, &err), 0);
    model.path = "/second";
    assert_int_equal(models_put(fixture->store, &model, STORE_NOBODY, &err), 0);
    model.name = "a";
    assert_int_equal(models_put(fixture->store, &model, STORE_NOBODY, &err), 0);
    model.name = "c";
    assert_int_equal(models_put(fixture->store, &model, STORE_NOBODY, &err), 0);
    assert_int_equal(models_remove(fixture->store, "c", STORE_NOBODY, &err), 0);
    assert_int_equal(models_remove(fixture->store, "never there", STORE_NOBODY, &err), 0);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(models_load_all(fixture->store, &models, &err), 0);
    assert_int_equal(models.count, 2);
    assert_string_equal(models.rows[0].name, "a");
    assert_string_equal(models.rows[1].path, "/second");
    assert_string_equal(models.rows[1].details, ""); /* never NULL */
    model_rows_release(&models);
    assert_int_equal(fixture->lost_count, 0);
}

static void events_are_numbered_on_over_restarts_and_never_change(void **state)
{
    struct fixture *fixture = *state;
    struct event_row row = {.kind = "k", .details = "{}"};
    struct event_rows events;
    struct err err = ERR_INIT;
    int64_t seq = 0;

    for (int64_t run = 0; run < 3; run++) {
        open_store(fixture);
        start_store(fixture);
        for (int64_t i = 1; i <= 5; i++) {
            assert_int_equal(events_append(fixture->store, &row, STORE_NOBODY, &seq, &err), 0);
            assert_true(seq == run * 5 + i);
        }
        close_store(fixture);
    }
    open_store(fixture);
    assert_int_equal(events_load_last(fixture->store, 2, &events, &err), 0);
    assert_int_equal(events.count, 2);
    assert_true(events.rows[0].seq == 14 && events.rows[1].seq == 15);
    event_rows_release(&events);
    close_store(fixture);
    (void)query(fixture->path, "UPDATE events SET kind = 'other'");
    assert_int_equal(query(fixture->path, "SELECT count(*) FROM events WHERE kind = 'k'"), 15);
}

static void requests_without_an_end_were_interrupted(void **state)
{
    struct fixture *fixture = *state;
    struct request_row running = {.id = "r-running", .submitted_ms = 1000};
    struct request_row ended = {
        .id = "r-ended", .submitted_ms = 2000, .ended_ms = 3000, .outcome = "completed"};
    struct request_row ahead = {.id = "r-ahead", .submitted_ms = INT64_MAX}; /* clock set back */
    struct request_rows requests;
    struct err err = ERR_INIT;

    open_store(fixture);
    assert_int_equal(fixture->report.interrupted_count, 0);
    start_store(fixture);
    assert_int_equal(requests_put(fixture->store, &running, STORE_NOBODY, &err), 0);
    assert_int_equal(requests_put(fixture->store, &ended, STORE_NOBODY, &err), 0);
    assert_int_equal(requests_put(fixture->store, &ahead, STORE_NOBODY, &err), 0);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(fixture->report.interrupted_count, 2);
    assert_int_equal(requests_load_last(fixture->store, 10, &requests, &err), 0);
    assert_int_equal(requests.count, 3);
    assert_string_equal(requests.rows[0].id, "r-running");
    assert_string_equal(requests.rows[0].outcome, REQUEST_OUTCOME_INTERRUPTED);
    assert_true(requests.rows[0].ended_ms > 1000);
    assert_string_equal(requests.rows[1].outcome, "completed");
    assert_true(requests.rows[1].ended_ms == 3000);
    assert_true(requests.rows[2].ended_ms >= requests.rows[2].submitted_ms);
    request_rows_release(&requests);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(fixture->report.interrupted_count, 0);
}

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

/* While it is small, no file of ours grows past SIZE. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size == RLIM_INFINITY ? limit.rlim_max : size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_keeps_rows_waiting_and_says_so(void **state)
{
    struct fixture *fixture = *state;
    int queued = 0;

    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    open_store(fixture);
    start_store(fixture);
    assert_int_equal(append_event(fixture, "before", told(fixture)), 0);
    dispatch_until(fixture, &fixture->done_count, 1);
    limit_files(4096);
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
    limit_files(RLIM_INFINITY);
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

    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    open_store(fixture);
    start_store(fixture);
    assert_int_equal(append_event(fixture, "before", told(fixture)), 0);
    dispatch_until(fixture, &fixture->done_count, 1);
    limit_files(4096);
    for (int i = 0; i < 600; i++)
        assert_int_equal(append_event(fixture, "during", told(fixture)), 0);
    close_store(fixture);
    limit_files(RLIM_INFINITY);
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

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(every_column_comes_back),
        WITH_FILE(a_put_replaces_and_a_removal_removes),
        WITH_FILE(events_are_numbered_on_over_restarts_and_never_change),
        WITH_FILE(requests_without_an_end_were_interrupted),
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
