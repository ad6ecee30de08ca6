/* The audit trail as the supervisor has it: off it costs nothing, no text of a stranger's keeps a
 * form of its own, and strangers get few rows. */
#include "supervisor/audit.h"

#include "common/json.h"
#include "supervisor/audit_strangers.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"
#include "tests/allocations.h"
#include "tests/store_fixture.h"

/* ---- off ---- */

static void off_it_writes_allocates_and_hashes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct supervisor supervisor = {.config = config_new_default()};
    struct worker worker = {.supervisor = &supervisor, .state = LIFE_READY, .name = "w"};
    struct request request = {.supervisor = &supervisor};
    const struct breaker before = {.state = BREAKER_CLOSED};
    const struct breaker now = {.state = BREAKER_OPEN};
    struct err err = ERR_INIT;
    unsigned long allocations = 0;
    uint64_t posted = 0;

    open_store(fixture);
    supervisor.store = fixture->store;
    assert_int_equal(audit_begin(&supervisor, &err), 0);
    assert_false(supervisor.audit.is_on);
    start_store(fixture);
    posted = store_posted_count(fixture->store);
    allocations = *allocation_count();
    for (int i = 0; i < 1000; i++) {
        audit_tell_opened(&supervisor);
        audit_check(&supervisor);
        audit_upkeep(&supervisor);
        audit_worker_spawned(&worker);
        audit_worker_restart(&worker);
        audit_worker_step(&worker, LIFE_STARTING, NULL);
        audit_worker_killed(&worker, "reason");
        audit_worker_people(&worker, AUDIT_WORKER_HOLD, "reason");
        audit_breaker_changed(&supervisor, "w", "", &before, &now, "reason");
        audit_request_submitted(&request, NULL, NULL);
        audit_request_ended(&request, REQUEST_COMPLETED);
        audit_tell_closed(&supervisor);
        assert_true(audit_queued_count(&supervisor) == 0);
    }
    assert_int_equal(*allocation_count(), allocations);
    assert_true(store_posted_count(fixture->store) == posted);
    assert_null(supervisor.audit.strangers);
    audit_release(&supervisor.audit);
    config_free(supervisor.config);
}

/* ---- on ---- */

/* The rows that COUNT requests, which are over at once, are posted as. */
static uint64_t rows_of_requests(struct fixture *fixture, bool is_audited, uint32_t count)
{
    struct supervisor supervisor = {.store = fixture->store, .audit.is_on = is_audited};
    uint64_t before = store_posted_count(fixture->store);

    for (uint32_t i = 0; i < count; i++) {
        struct request request = {.supervisor = &supervisor, .submitted_ms = 1000};

        (void)snprintf(request.id, sizeof(request.id), "r-%d-%u", is_audited, i);
        journal_request(&request, "");
        journal_request(&request, "completed");
    }
    return store_posted_count(fixture->store) - before;
}

/* Else a request may be over on disk while the trail, whose rows come between the two, has no end.
 */
static void a_request_in_the_trail_is_two_rows(void **state)
{
    enum { COUNT = 100 };
    struct fixture *fixture = *state;

    open_store(fixture);
    start_store(fixture);
    assert_true(rows_of_requests(fixture, false, COUNT) < 2 * (uint64_t)COUNT);
    assert_true(rows_of_requests(fixture, true, COUNT) == 2 * (uint64_t)COUNT);
    close_store(fixture);
}

/* ---- texts ---- */

static void assert_clean(const char *text, size_t len, const char *expected)
{
    AUTO_FREE char *clean = audit_clean(text, len);

    assert_string_equal(clean, expected);
}

static void a_text_keeps_no_control_character_and_no_override(void **state)
{
    assert_clean("plain \xc3\xa9", 8, "plain \xc3\xa9");
    assert_clean("a\x1b[31m\r\nb\tc", 11, "a?[31m  b c");
    assert_clean("\xe2\x80\xae"
                 "abc\xe2\x81\xa6",
                 9, "???abc???");
    assert_clean("\xff\xfe", 2, "??");
    assert_clean("", 0, "");
}

static void a_long_text_is_cut_and_says_so(void **state)
{
    enum { LONG = 64 * 1024 };
    AUTO_FREE char *text = xmalloc(LONG + 1);

    memset(text, 'x', LONG);
    text[LONG] = '\0';
    for (size_t len = AUDIT_TEXT_MAX_BYTES - 1; len <= AUDIT_TEXT_MAX_BYTES + 1; len++) {
        AUTO_FREE char *clean = audit_clean(text, len);

        assert_int_equal(strlen(clean) == len, len <= AUDIT_TEXT_MAX_BYTES);
        assert_true(strlen(clean) <= AUDIT_TEXT_MAX_BYTES);
    }
    for (size_t shift = 0; shift < 2; shift++) { /* never in the middle of a character */
        AUTO_FREE char *clean = NULL;

        text[0] = 'x';
        for (size_t i = shift; i + 1 < LONG; i += 2)
            memcpy(text + i, "\xc3\xa9", 2);
        clean = audit_clean(text, LONG);
        assert_true(strlen(clean) <= AUDIT_TEXT_MAX_BYTES);
        assert_non_null(strstr(clean, "\xc3\xa9... (cut, 65536 bytes)"));
        assert_null(strchr(clean, '?'));
    }
}

static void details_are_clean_and_stay_json(void **state)
{
    AUTO_FREE char *text =
        audit_details_text(json_pack("{s:s, s:i}", "a", "x\ny\xe2\x80\xaez", "b", 7));
    AUTO_FREE char *nothing = audit_details_text(NULL);

    assert_string_equal(text, "{\"a\":\"x y???z\",\"b\":7}");
    assert_string_equal(nothing, "{}");
}

/* ---- strangers ---- */

static void one_peer_gets_ten_rows_a_minute_and_a_count(void **state)
{
    AUTO_FREE struct audit_strangers *strangers = xcalloc(1, sizeof(*strangers));
    struct stranger taken;
    uint64_t count = 0;
    int rows = 0;

    for (int i = 0; i < 100000; i++)
        rows += audit_strangers_admit(strangers, 1, "10.0.0.1", 1000 + i / 2);
    assert_int_equal(rows, STRANGERS_ROW_COUNT);
    assert_true(audit_strangers_admit(strangers, 2, "10.0.0.1", 1000)); /* of another kind */
    assert_true(audit_strangers_admit(strangers, 1, "10.0.0.2", 1000)); /* another one */
    assert_false(
        audit_strangers_take(strangers, 1000 + STRANGERS_WINDOW_MS - 1, false, &taken, &count));
    assert_true(audit_strangers_take(strangers, 1000 + STRANGERS_WINDOW_MS, false, &taken, &count));
    assert_true(count == 100000 - STRANGERS_ROW_COUNT);
    assert_string_equal(taken.peer, "10.0.0.1");
    assert_int_equal(taken.kind, 1);
    /* The others have all of their rows: nothing is left to be told. */
    assert_false(audit_strangers_take(strangers, 1000, true, &taken, &count));
    assert_true(audit_strangers_admit(strangers, 1, "10.0.0.1", 70000));
}

/* As many addresses as somebody may have: they share one place when there are too many. */
static void a_crowd_gets_a_bounded_number_of_rows(void **state)
{
    enum { CROWD = 100000 };
    AUTO_FREE struct audit_strangers *strangers = xcalloc(1, sizeof(*strangers));
    struct stranger taken;
    uint64_t count = 0;
    uint64_t counted = 0;
    uint64_t rows = 0;

    for (int i = 0; i < CROWD; i++) {
        char peer[STRANGERS_PEER_BYTES];

        (void)snprintf(peer, sizeof(peer), "2001:db8::%x", (unsigned)i);
        rows += audit_strangers_admit(strangers, 1, peer, 1000);
    }
    assert_true(rows <= STRANGERS_PEER_MAX_COUNT + STRANGERS_ROW_COUNT);
    while (audit_strangers_take(strangers, 1000, true, &taken, &count))
        counted += count;
    assert_true(rows + counted == CROWD); /* none is forgotten */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(off_it_writes_allocates_and_hashes_nothing),
        WITH_FILE(a_request_in_the_trail_is_two_rows),
        cmocka_unit_test(a_text_keeps_no_control_character_and_no_override),
        cmocka_unit_test(a_long_text_is_cut_and_says_so),
        cmocka_unit_test(details_are_clean_and_stay_json),
        cmocka_unit_test(one_peer_gets_ten_rows_a_minute_and_a_count),
        cmocka_unit_test(a_crowd_gets_a_bounded_number_of_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
