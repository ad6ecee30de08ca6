/* The audit trail on real files: what is written, what a stranger's hand in the file does, what is
 * archived and accepted. */
#include "db/audit.h"

#include "common/mem.h"
#include "db/requests.h"
#include "tests/store_fixture.h"

#include <string.h>

enum { ROW_COUNT = 100 };

static const unsigned char KEY[KEYED_HASH_KEY_BYTES] = {1, 2, 3};

struct verdict {
    int count;
    struct audit_verdict verdict;
    struct err err;
};

static void on_verdict(void *owner, const struct audit_verdict *verdict, const struct err *err)
{
    struct verdict *found = owner;

    found->count++;
    found->verdict = *verdict;
    found->err = *err;
}

static struct audit_report open_trail(struct fixture *fixture)
{
    struct audit_report report;
    struct err err = ERR_INIT;

    open_store(fixture);
    assert_int_equal(audit_open(fixture->store, KEY, false, &report, &err), 0);
    start_store(fixture);
    return report;
}

static struct audit_row row_number(int i, char kind[16])
{
    (void)snprintf(kind, 16, "kind-%d", i);
    return (struct audit_row){.at_ms = 1000 + i,
                              .kind = kind,
                              .service = "service",
                              .actor = "uid:7",
                              .peer = "unix",
                              .method = "GET",
                              .path = "/path",
                              .request_id = "label",
                              .outcome = "ok",
                              .details = "{\"a\":1}"};
}

static void append_rows(struct fixture *fixture, int from, int to)
{
    char kind[16];
    struct err err = ERR_INIT;
    int target = fixture->done_count + 1;

    for (int i = from; i <= to; i++) {
        const struct audit_row row = row_number(i, kind);

        assert_int_equal(
            audit_append(fixture->store, &row, i == to ? told(fixture) : STORE_NOBODY, &err), 0);
    }
    dispatch_until(fixture, &fixture->done_count, target);
}

static struct verdict verify_against(struct fixture *fixture, int64_t seq, const char *hash)
{
    struct verdict found = {.count = 0};
    struct err err = ERR_INIT;

    assert_non_null(
        audit_verify(fixture->store, seq, hash, (struct audit_waiter){on_verdict, &found}, &err));
    dispatch_until(fixture, &found.count, 1);
    return found;
}

static struct verdict verify(struct fixture *fixture)
{
    struct verdict found = verify_against(fixture, 0, "");

    assert_false(err_is_set(&found.err));
    return found;
}

static void assert_found(const struct verdict *found, const char *what, enum audit_fault fault,
                         int64_t seq)
{
    if (found->verdict.fault != fault || found->verdict.bad_seq != seq)
        fail_msg("%s: found \"%s\" at %lld, not \"%s\" at %lld", what,
                 audit_fault_name(found->verdict.fault), (long long)found->verdict.bad_seq,
                 audit_fault_name(fault), (long long)seq);
}

/* Closes the store, lets SQL loose on the file without its triggers, opens it again. */
static struct audit_report tamper(struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;

    close_store(fixture);
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    if (sqlite3_exec(
            db, "DROP TRIGGER IF EXISTS audit_no_update;DROP TRIGGER IF EXISTS audit_no_delete",
            NULL, NULL, &message) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    (void)sqlite3_close(db);
    return open_trail(fixture);
}

static void fill(struct fixture *fixture)
{
    const struct audit_report report = open_trail(fixture);

    assert_true(report.is_new && report.fault == AUDIT_GOOD);
    append_rows(fixture, 1, ROW_COUNT);
}

/* ---- what is written ---- */

static void the_chain_goes_on_over_restarts(void **state)
{
    struct fixture *fixture = *state;
    struct audit_head head;

    for (int run = 0; run < 20; run++) {
        const struct audit_report report = open_trail(fixture);
        struct verdict found;

        assert_true(report.is_new == (run == 0) && report.fault == AUDIT_GOOD);
        append_rows(fixture, run * 5 + 1, run * 5 + 5);
        found = verify(fixture);
        assert_found(&found, "a restart", AUDIT_GOOD, 0);
        assert_true(found.verdict.row_count == (run + 1) * 5);
        close_store(fixture);
    }
    open_trail(fixture);
    audit_stored_head(fixture->store, &head);
    assert_true(head.seq == 100 && head.first_seq == 1);
    assert_int_equal(fixture->lost_count, 0);
}

static void rows_are_neither_changed_nor_deleted(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture);
    close_store(fixture);
    assert_int_equal(query(fixture->path, "UPDATE audit SET kind = 'other' WHERE seq = 5"), -1);
    assert_int_equal(query(fixture->path, "DELETE FROM audit WHERE seq = 5"), -1);
    assert_int_equal(query(fixture->path, "SELECT count(*) FROM audit WHERE kind = 'kind-5'"), 1);
}

/* Retention is for events, failures and requests. */
static void age_takes_no_row(void **state)
{
    struct fixture *fixture = *state;

    open_store(fixture);
    store_set_retention(fixture->store, (struct store_retention){.keep_ms = 1, .keep_rows = 10});
    close_store(fixture);
    fill(fixture);
    store_set_retention(fixture->store, (struct store_retention){.keep_ms = 1, .keep_rows = 10});
    for (int i = 0; i < 20; i++)
        assert_int_equal(append_event(fixture, "event", STORE_NOBODY), 0);
    append_rows(fixture, 101, 101);
    close_store(fixture);
    assert_int_equal(query(fixture->path, "SELECT count(*) FROM audit"), 101);
}

static void a_full_disk_leaves_no_gap(void **state)
{
    struct fixture *fixture = *state;
    char kind[16];
    struct audit_row row = row_number(2, kind);
    struct err err = ERR_INIT;
    struct verdict found;

    open_trail(fixture);
    append_rows(fixture, 1, 1);
    full_disk_limit(4096);
    assert_int_equal(audit_append(fixture->store, &row, told(fixture), &err), 0);
    dispatch_until(fixture, &fixture->failed_count, 1);
    assert_int_equal(audit_append(fixture->store, &row, STORE_NOBODY, &err), 0);
    found = verify(fixture); /* what is there can be read meanwhile */
    assert_found(&found, "full disk", AUDIT_GOOD, 0);
    assert_true(found.verdict.head.seq == 1);
    full_disk_limit(RLIM_INFINITY);
    append_rows(fixture, 3, 10);
    found = verify(fixture);
    assert_found(&found, "room again", AUDIT_GOOD, 0);
    assert_true(found.verdict.head.seq == 11);
    assert_int_equal(fixture->lost_count, 0);
}

static int tell_interrupted(void *owner, const struct request_row *row, struct err *err)
{
    struct fixture *fixture = owner;
    const struct audit_row audit = {.kind = "interrupted", .details = row->id};

    return audit_append_now(fixture->store, &audit, err);
}

static void interrupted_requests_get_their_rows_with_their_end(void **state)
{
    struct fixture *fixture = *state;
    const struct request_row open_request = {.id = "r-1", .submitted_ms = 1};
    struct audit_report report;
    struct err err = ERR_INIT;
    struct verdict found;
    int64_t count = 0;

    fill(fixture);
    assert_int_equal(
        requests_put_end(fixture->store, &open_request, &(struct store_place){NULL}, &err), 0);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(audit_open(fixture->store, KEY, false, &report, &err), 0);
    assert_int_equal(requests_end_interrupted(fixture->store,
                                              (struct request_teller){tell_interrupted, fixture},
                                              &count, &err),
                     0);
    assert_true(count == 1);
    start_store(fixture);
    found = verify(fixture);
    assert_found(&found, "interrupted", AUDIT_GOOD, 0);
    assert_true(found.verdict.head.seq == ROW_COUNT + 1);
    close_store(fixture);
    assert_int_equal(query(fixture->path, "SELECT count(*) FROM audit WHERE details = 'r-1'"), 1);
}

/* ---- what a stranger's hand does ---- */

/* What a stranger's hand may do to 100 rows, and the first row that is wrong then. */
static const struct change {
    const char *sql;
    enum audit_fault fault;
    int64_t seq;
} CHANGES[] = {
    {"UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET kind = 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET service = 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET actor = 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET peer = 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET method = 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET path = 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET request_id = 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET outcome = 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET details = '{}' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET details = details || char(0) || 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET hash = replace(hash, 'a', 'b') WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET hash = hash || char(0) || 'x' WHERE seq = 50", AUDIT_CHANGED, 50},
    /* Larger than any row of ours. */
    {"UPDATE audit SET details = hex(zeroblob(500000)) WHERE seq = 50", AUDIT_CHANGED, 50},
    {"UPDATE audit SET seq = 1000 WHERE seq = 50", AUDIT_MISSING, 50},
    {"UPDATE audit SET seq = -5 WHERE seq = 50", AUDIT_STRANGE, -5},
    {"UPDATE audit SET kind = 'x' WHERE seq = 1", AUDIT_CHANGED, 1},
    {"UPDATE audit SET kind = 'x' WHERE seq = 100", AUDIT_CHANGED, 100},
    {"DELETE FROM audit WHERE seq = 50", AUDIT_MISSING, 50},
    {"DELETE FROM audit WHERE seq <= 10", AUDIT_MISSING, 1},
    {"DELETE FROM audit WHERE seq > 90", AUDIT_MISSING, 91},
    {"DELETE FROM audit", AUDIT_MISSING, 1},
    {"INSERT INTO audit SELECT 101, at_ms, kind, service, actor, peer, method, path, "
     "request_id, outcome, details, hash FROM audit WHERE seq = 100",
     AUDIT_CHANGED, 101},
    {"INSERT INTO audit SELECT 0, at_ms, kind, service, actor, peer, method, path, "
     "request_id, outcome, details, hash FROM audit WHERE seq = 1",
     AUDIT_STRANGE, 0},
    /* The first and the last number that there are. */
    {"INSERT INTO audit SELECT -9223372036854775808, at_ms, kind, service, actor, peer, method, "
     "path, request_id, outcome, details, hash FROM audit WHERE seq = 1",
     AUDIT_STRANGE, INT64_MIN},
    {"INSERT INTO audit SELECT 9223372036854775807, at_ms, kind, service, actor, peer, method, "
     "path, request_id, outcome, details, hash FROM audit WHERE seq = 1",
     AUDIT_STRANGE, INT64_MAX},
    /* Inserted in the middle, those behind it moved up. */
    {"UPDATE audit SET seq = -seq WHERE seq > 50; UPDATE audit SET seq = 1 - seq WHERE seq < "
     "0; INSERT INTO audit SELECT 51, at_ms, kind, service, actor, peer, method, path, "
     "request_id, outcome, details, hash FROM audit WHERE seq = 50",
     AUDIT_CHANGED, 51},
    /* Swapped. */
    {"UPDATE audit SET seq = -1 WHERE seq = 50; UPDATE audit SET seq = 50 WHERE seq = 51; "
     "UPDATE audit SET seq = 51 WHERE seq = -1",
     AUDIT_CHANGED, 50},
    /* The tail cut, and the head made to fit. */
    {"DELETE FROM audit WHERE seq > 90; UPDATE audit_head SET seq = 90, hash = (SELECT hash "
     "FROM audit WHERE seq = 90)",
     AUDIT_HEAD, 91},
    {"DELETE FROM audit WHERE seq > 90; DELETE FROM audit_head", AUDIT_HEAD, 91},
    /* The beginning cut, as if it were archived. */
    {"DELETE FROM audit_head", AUDIT_HEAD, 101},
    {"UPDATE audit_head SET first_seq = 11, first_hash = (SELECT hash FROM audit WHERE seq = "
     "10); DELETE FROM audit WHERE seq <= 10",
     AUDIT_HEAD, 101},
    {"UPDATE audit_head SET accepted_seq = 60", AUDIT_CHANGED, 60},
    {"UPDATE audit_head SET broken_seq = 3", AUDIT_HEAD, 101},
    {"UPDATE audit_head SET mac = hash", AUDIT_HEAD, 101},
    {"UPDATE audit_head SET seq = 9223372036854775807", AUDIT_STRANGE, 1},
    {"UPDATE audit_head SET first_seq = -9223372036854775808", AUDIT_HEAD, 101},
    {"INSERT INTO audit_head SELECT 'b', seq, hash, first_seq, first_hash, accepted_seq, "
     "broken_seq, broken, mac FROM audit_head",
     AUDIT_HEAD, 101},
};

static void change_is_found(const struct change *change)
{
    struct fixture *fixture = NULL;
    struct audit_report report;
    struct verdict found;

    (void)set_up((void **)&fixture);
    fill(fixture);
    report = tamper(fixture, change->sql);
    if (report.fault != change->fault || report.bad_seq != change->seq)
        fail_msg("%s: a start found \"%s\" at %lld", change->sql, audit_fault_name(report.fault),
                 (long long)report.bad_seq);
    found = verify(fixture);
    assert_found(&found, change->sql, change->fault, change->seq);
    append_rows(fixture, 201, 210);
    close_store(fixture);
    (void)open_trail(fixture);
    found = verify(fixture);
    assert_found(&found, change->sql, change->fault, change->seq);
    assert_int_equal(fixture->lost_count, 0);
    (void)tear_down((void **)&fixture);
}

/* Each change is found at the next start and by verify, which names the row; a chain that goes on
 * meanwhile hides nothing. */
static void every_change_is_found_and_its_row_named(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(CHANGES); i++)
        change_is_found(&CHANGES[i]);
}

/* Another key cannot tell whether the rows are what they were. */
static void another_key_finds_the_first_row_changed(void **state)
{
    static const unsigned char OTHER[KEYED_HASH_KEY_BYTES] = {9};
    struct fixture *fixture = *state;
    struct audit_report report;
    struct err err = ERR_INIT;

    fill(fixture);
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(audit_open(fixture->store, OTHER, false, &report, &err), 0);
    assert_true(report.fault == AUDIT_CHANGED && report.bad_seq == 1);
}

/* An older copy of everything holds, but not against a head that was kept elsewhere. */
static void a_head_kept_elsewhere_finds_an_older_copy(void **state)
{
    struct fixture *fixture = *state;
    struct audit_head kept;
    struct verdict found;

    fill(fixture);
    audit_stored_head(fixture->store, &kept);
    found = verify_against(fixture, kept.seq, kept.hash);
    assert_found(&found, "its own head", AUDIT_GOOD, 0);
    found = verify_against(fixture, kept.seq - 1, kept.hash);
    assert_found(&found, "another row's hash", AUDIT_CHANGED, kept.seq - 1);
    found = verify_against(fixture, kept.seq + 5, kept.hash);
    assert_found(&found, "a later head", AUDIT_MISSING, kept.seq + 1);
}

/* ---- accepted, archived ---- */

static struct verdict accept_trail(struct fixture *fixture)
{
    const struct audit_row row = {.kind = "accepted", .details = "{}"};
    struct verdict found = {.count = 0};
    struct err err = ERR_INIT;

    assert_non_null(
        audit_accept(fixture->store, &row, (struct audit_waiter){on_verdict, &found}, &err));
    dispatch_until(fixture, &found.count, 1);
    return found;
}

static void what_is_broken_can_be_accepted_once(void **state)
{
    struct fixture *fixture = *state;
    struct verdict found;

    fill(fixture);
    found = accept_trail(fixture);
    assert_int_equal(found.err.kind, ERR_CONFLICT);
    (void)tamper(fixture, "DELETE FROM audit WHERE seq = 50");
    found = accept_trail(fixture);
    assert_false(err_is_set(&found.err));
    assert_found(&found, "what was accepted", AUDIT_MISSING, 50);
    append_rows(fixture, 201, 300);
    found = verify(fixture);
    assert_found(&found, "accepted", AUDIT_GOOD, 0);
    close_store(fixture);
    assert_true(open_trail(fixture).fault == AUDIT_GOOD);
    /* What was accepted is no place to hide later changes in. */
    (void)tamper(fixture, "DELETE FROM audit WHERE seq = 20");
    found = verify(fixture);
    assert_found(&found, "changed since", AUDIT_CHANGED, 101);
}

static void what_stands_beside_the_trail_is_accepted_for_good(void **state)
{
    struct fixture *fixture = *state;
    struct verdict found;

    fill(fixture);
    (void)tamper(fixture, "INSERT INTO audit_head SELECT 'b', seq, hash, first_seq, first_hash, "
                          "accepted_seq, broken_seq, broken, mac FROM audit_head; UPDATE audit SET "
                          "details = hex(zeroblob(500000)) WHERE seq = 50");
    found = accept_trail(fixture);
    assert_false(err_is_set(&found.err));
    close_store(fixture);
    assert_true(open_trail(fixture).fault == AUDIT_GOOD);
    found = verify(fixture);
    assert_found(&found, "accepted", AUDIT_GOOD, 0);
}

/* Nothing can be put behind it, and the chain does not go on from it. */
static void a_row_at_the_end_of_all_numbers_is_not_accepted(void **state)
{
    struct fixture *fixture = *state;
    struct verdict found;

    fill(fixture);
    (void)tamper(fixture, "UPDATE audit SET seq = 9223372036854775807 WHERE seq = 100");
    append_rows(fixture, 201, 210);
    found = accept_trail(fixture);
    assert_int_equal(found.err.kind, ERR_CONFLICT);
    (void)tamper(fixture, "DELETE FROM audit WHERE seq = 9223372036854775807");
    found = accept_trail(fixture);
    assert_false(err_is_set(&found.err));
    found = verify(fixture);
    assert_found(&found, "accepted", AUDIT_GOOD, 0);
}

static void a_trail_that_was_there_does_not_begin_anew(void **state)
{
    struct fixture *fixture = *state;
    struct audit_report report;
    struct verdict found;
    struct err err = ERR_INIT;

    open_store(fixture);
    assert_int_equal(audit_open(fixture->store, KEY, true, &report, &err), 0);
    assert_true(report.fault == AUDIT_HEAD && report.bad_seq == 1);
    start_store(fixture);
    append_rows(fixture, 1, 10);
    found = verify(fixture);
    assert_found(&found, "wiped", AUDIT_HEAD, 1);
}

static char *to_line(const struct audit_row *row)
{
    return xasprintf("%lld %s", (long long)row->seq, row->hash);
}

static struct verdict archive_before(struct fixture *fixture, int64_t before_ms, const char *path)
{
    const struct audit_archive archive = {.before_ms = before_ms,
                                          .path = path,
                                          .to_line = to_line,
                                          .row = {.kind = "archived", .details = "{}"}};
    struct verdict found = {.count = 0};
    struct err err = ERR_INIT;

    assert_non_null(
        audit_archive(fixture->store, &archive, (struct audit_waiter){on_verdict, &found}, &err));
    dispatch_until(fixture, &found.count, 1);
    return found;
}

static size_t count_lines(const char *path)
{
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    size_t count = 0;
    int c = 0;

    assert_non_null(file);
    while ((c = fgetc(file)) != EOF)
        count += c == '\n';
    return count;
}

static void the_chain_holds_over_an_archive(void **state)
{
    struct fixture *fixture = *state;
    AUTO_FREE char *path = paths_join(fixture->folder, "archive");
    struct verdict found;
    struct audit_head head;

    open_trail(fixture);
    append_rows(fixture, 1, 1000);
    audit_stored_head(fixture->store, &head);
    found = archive_before(fixture, 0, path);
    assert_int_equal(found.err.kind, ERR_CONFLICT);
    assert_int_equal(access(path, F_OK), -1);
    found = archive_before(fixture, 1000 + 701, path);
    assert_false(err_is_set(&found.err));
    assert_true(found.verdict.file_row_count == 700 && count_lines(path) == 700);
    assert_true(found.verdict.head.first_seq == 701 && found.verdict.head.seq == 1001);
    found = verify(fixture);
    assert_found(&found, "archived", AUDIT_GOOD, 0);
    assert_true(found.verdict.row_count == 301);
    found = verify_against(fixture, head.seq, head.hash);
    assert_found(&found, "a kept head", AUDIT_GOOD, 0);
    found = verify_against(fixture, 5, head.hash);
    assert_int_equal(found.err.kind, ERR_NOT_FOUND);
    close_store(fixture);
    assert_true(open_trail(fixture).fault == AUDIT_GOOD);
    append_rows(fixture, 1001, 1010);
    (void)tamper(fixture, "DELETE FROM audit WHERE seq <= 705");
    found = verify(fixture);
    assert_found(&found, "cut behind the archive", AUDIT_MISSING, 701);
    found = archive_before(fixture, INT64_MAX, path);
    assert_int_equal(found.err.kind, ERR_CONFLICT);
}

static void everything_can_be_archived(void **state)
{
    struct fixture *fixture = *state;
    AUTO_FREE char *path = paths_join(fixture->folder, "archive");
    struct verdict found;

    fill(fixture);
    (void)tamper(fixture, "DELETE FROM audit WHERE seq = 50");
    (void)accept_trail(fixture);
    found = archive_before(fixture, 1010, path);
    assert_int_equal(found.err.kind, ERR_CONFLICT); /* what was accepted goes together */
    found = archive_before(fixture, INT64_MAX, path);
    assert_false(err_is_set(&found.err));
    assert_true(found.verdict.file_row_count == 100 && found.verdict.head.accepted_seq == 0);
    found = verify(fixture);
    assert_found(&found, "all archived", AUDIT_GOOD, 0);
    assert_true(found.verdict.row_count == 1);
    close_store(fixture);
    assert_true(open_trail(fixture).fault == AUDIT_GOOD);
}

/* At a start the end of a long trail is looked at, all of it by verify. */
static void a_long_trail_is_verified_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    struct verdict found;

    open_trail(fixture);
    append_rows(fixture, 1, 12000);
    found = verify(fixture);
    assert_found(&found, "long", AUDIT_GOOD, 0);
    assert_true(found.verdict.row_count == 12000);
    assert_true(tamper(fixture, "UPDATE audit SET kind = 'x' WHERE seq = 3").fault == AUDIT_GOOD);
    found = verify(fixture);
    assert_found(&found, "an early row", AUDIT_CHANGED, 3);
    assert_true(tamper(fixture, "UPDATE audit SET kind = 'x' WHERE seq = 11000").bad_seq == 11000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(the_chain_goes_on_over_restarts),
        WITH_FILE(rows_are_neither_changed_nor_deleted),
        WITH_FILE(age_takes_no_row),
        WITH_FILE(a_full_disk_leaves_no_gap),
        WITH_FILE(interrupted_requests_get_their_rows_with_their_end),
        cmocka_unit_test(every_change_is_found_and_its_row_named),
        WITH_FILE(another_key_finds_the_first_row_changed),
        WITH_FILE(a_head_kept_elsewhere_finds_an_older_copy),
        WITH_FILE(what_is_broken_can_be_accepted_once),
        WITH_FILE(what_stands_beside_the_trail_is_accepted_for_good),
        WITH_FILE(a_row_at_the_end_of_all_numbers_is_not_accepted),
        WITH_FILE(a_trail_that_was_there_does_not_begin_anew),
        WITH_FILE(the_chain_holds_over_an_archive),
        WITH_FILE(everything_can_be_archived),
        WITH_FILE(a_long_trail_is_verified_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
