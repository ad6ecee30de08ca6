/* Owns table `audit` and its head: how rows get into the chain, and what a start makes of what it
 * finds. Must not know what the texts mean. */
#include "db/audit_private.h"

#include "common/mem.h"
#include "db/audit_head.h"
#include "db/query.h"

#include <assert.h>
#include <string.h>

enum {
    /* At a start more than these are not looked at: it takes less than 100 ms. */
    AUDIT_OPEN_CHECK_ROWS = 10000,
};

static const char HEAD_NAME[] = "audit";

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct audit_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/audit.def"
};

static_assert(ARRAY_COUNT(COLUMNS) == AUDIT_FIELD_COUNT + 1, "each but the hash is a field");

TABLE_IS(audit, audit, .order = {"seq"}, .is_numbered = true, .is_chained = true, .time = "at_ms")
TABLE_IS_QUERIED(audit, audit)

/* ---- into the chain ---- */

void audit_link_behind(struct audit_chain *chain, const char *before, struct store_write *write)
{
    struct audit_field fields[AUDIT_FIELD_COUNT];
    struct store_value *hash = &write->values[AUDIT_FIELD_COUNT];

    assert(chain->is_on && write->table == &TABLE_audit &&
           write->value_count == AUDIT_FIELD_COUNT + 1);
    write->values[0].integer = chain->now.seq + 1;
    for (size_t i = 0; i < AUDIT_FIELD_COUNT; i++) {
        const struct store_value *value = &write->values[i];

        fields[i] = (struct audit_field){.text = value->text, .integer = value->integer};
        if (value->text != NULL)
            fields[i].len = strlen(value->text);
    }
    audit_row_hash(chain, before, fields, AUDIT_FIELD_COUNT, chain->now.hash);
    chain->now.seq++;
    free(hash->text);
    hash->text = xstrdup(chain->now.hash);
}

void audit_link(struct audit_chain *chain, struct store_write *write)
{
    const struct audit_head before = chain->now;

    audit_link_behind(chain, before.hash, write);
}

bool audit_has_moved(const struct audit_chain *chain)
{
    return chain->now.seq != chain->stored.seq;
}

struct store_write *audit_head_row(const struct audit_chain *chain)
{
    const struct audit_head *head = &chain->now;
    char mac[KEYED_HASH_TEXT_BYTES];
    const struct audit_head_row row = {
        .name = HEAD_NAME,
        .seq = head->seq,
        .hash = head->hash,
        .first_seq = head->first_seq,
        .first_hash = head->first_hash,
        .accepted_seq = head->accepted_seq,
        .broken_seq = head->broken_seq,
        .broken = audit_fault_name(head->broken),
        .mac = mac,
    };

    audit_head_mac(chain, head, mac);
    return store_table_write(&TABLE_audit_head, &row);
}

int audit_write_head(const struct audit_chain *chain, sqlite3 *db, struct err *err)
{
    struct store_write *write = audit_head_row(chain);
    int rc = store_write_now(write, db, err);

    store_write_free(write);
    return rc;
}

int audit_transaction_begin(struct audit_chain *chain, sqlite3 *db, struct err *err)
{
    chain->now = chain->stored;
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return store_file_fail(db, err, "begin");
    return 0;
}

int audit_transaction_end(struct audit_chain *chain, sqlite3 *db, int rc, struct err *err)
{
    if (rc == 0 && chain->is_on)
        rc = audit_write_head(chain, db, err);
    if (rc == 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        rc = store_file_fail(db, err, "commit");
    if (rc == 0)
        chain->stored = chain->now;
    else if (sqlite3_get_autocommit(db) == 0)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* closing would do it as well */
    return rc;
}

int audit_append(struct store *store, const struct audit_row *row, struct store_done done,
                 struct err *err)
{
    return store_table_put(store, &TABLE_audit, row, done, err);
}

int audit_append_now(struct store *store, const struct audit_row *row, struct err *err)
{
    struct store_write *write = store_table_write(&TABLE_audit, row);
    int rc = 0;

    audit_link(store_chain(store), write);
    rc = store_write_now(write, store_db(store), err);
    store_write_free(write);
    return rc;
}

/* ---- reading ---- */

const char *audit_read_fields(sqlite3_stmt *stmt, struct audit_field out[AUDIT_FIELD_COUNT])
{
    const char *hash = NULL;

    for (int i = 0; i < AUDIT_FIELD_COUNT; i++) {
        bool is_text = COLUMNS[i].type == STORE_TEXT;

        out[i] = (struct audit_field){.integer = sqlite3_column_int64(stmt, i)};
        if (!is_text)
            continue;
        out[i].text = (const char *)sqlite3_column_text(stmt, i);
        out[i].len = (size_t)sqlite3_column_bytes(stmt, i); /* NULs and what is behind them, too */
    }
    hash = (const char *)sqlite3_column_text(stmt, AUDIT_FIELD_COUNT);
    /* What stands behind a NUL is no part of ours. */
    return hash != NULL && strlen(hash) == (size_t)sqlite3_column_bytes(stmt, AUDIT_FIELD_COUNT)
               ? hash
               : "";
}

int audit_scan(sqlite3 *db, int64_t *from_seq, size_t limit,
               bool (*each)(void *owner, sqlite3_stmt *stmt), void *owner, struct err *err)
{
    AUTO_FREE char *sql = store_table_select_sql(&TABLE_audit, " WHERE seq >= ?2", false);
    AUTO_STMT sqlite3_stmt *stmt = NULL;
    size_t count = 0;
    int rc = 0;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, (int64_t)limit) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, *from_seq) != SQLITE_OK)
        return store_file_fail(db, err, "read the audit trail");
    while ((rc = store_next_row(stmt, err)) > 0) {
        int64_t seq = sqlite3_column_int64(stmt, 0);

        if (!each(owner, stmt) || seq == INT64_MAX)
            return 0;
        *from_seq = seq + 1;
        count++;
    }
    return rc < 0 ? -1 : count == limit;
}

/* ---- at a start ---- */

static void head_copy_hash(char out[KEYED_HASH_TEXT_BYTES], const char *text)
{
    if (keyed_hash_is_text(text))
        memcpy(out, text, KEYED_HASH_TEXT_BYTES);
}

static int64_t head_number(int64_t stored, int64_t min)
{
    return stored < min || stored >= AUDIT_SEQ_END ? min : stored;
}

/* Numbers that were not written by us, with which nothing can be counted. */
static void head_confine(struct audit_head *head)
{
    head->seq = head_number(head->seq, 0);
    head->first_seq = head_number(head->first_seq, 1);
    head->accepted_seq = head_number(head->accepted_seq, 0);
}

/* Whether ROW is a head as it was written. What it says is taken over in any case: there is nothing
 * better to go on from. */
static bool head_take(struct audit_chain *chain, const struct audit_head_row *row)
{
    struct audit_head *head = &chain->stored;
    char mac[KEYED_HASH_TEXT_BYTES];

    head->seq = row->seq;
    head->first_seq = row->first_seq;
    head->accepted_seq = row->accepted_seq;
    head->broken_seq = row->broken_seq;
    head->broken = audit_fault_of_name(row->broken);
    head_copy_hash(head->hash, row->hash);
    head_copy_hash(head->first_hash, row->first_hash);
    audit_head_mac(chain, head, mac);
    head_confine(head);
    return strcmp(row->name, HEAD_NAME) == 0 && strcmp(mac, row->mac) == 0;
}

/* The one with our name, or what there is: more than one were not written by us. */
static bool head_take_one(struct audit_chain *chain, const struct audit_head_row *rows,
                          size_t count)
{
    size_t ours = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, HEAD_NAME) == 0)
            ours = i;
    }
    return count > 0 && head_take(chain, &rows[ours]) && count == 1;
}

/* Rows without a head, or behind it: the next one must have a number that is free. */
static int head_pass_last_row(struct audit_chain *chain, sqlite3 *db, struct err *err)
{
    static const char FIND[] = "SELECT max(seq) FROM audit WHERE seq < ?1";
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, FIND, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, AUDIT_SEQ_END) != SQLITE_OK)
        return store_file_fail(db, err, "read the audit trail");
    if (store_next_row(stmt, err) < 0)
        return -1;
    if (sqlite3_column_int64(stmt, 0) > chain->stored.seq)
        chain->stored.seq = sqlite3_column_int64(stmt, 0);
    return 0;
}

static bool open_on_row(void *owner, sqlite3_stmt *stmt)
{
    struct audit_field fields[AUDIT_FIELD_COUNT];
    const char *hash = audit_read_fields(stmt, fields);

    return audit_walk_row(owner, fields, AUDIT_FIELD_COUNT, hash);
}

/* The row from whose successor on a chain of this length is looked at. */
static bool open_on_anchor(void *owner, sqlite3_stmt *stmt)
{
    struct audit_walk *walk = owner;
    struct audit_field fields[AUDIT_FIELD_COUNT];
    const char *hash = audit_read_fields(stmt, fields);

    if (fields[0].integer == walk->next_seq - 1 && keyed_hash_is_text(hash))
        memcpy(walk->before, hash, sizeof(walk->before));
    return false;
}

/* All of it when it is short, else its end; what is not looked at is audit_verify's. */
static int open_check(const struct audit_chain *chain, sqlite3 *db, struct audit_walk *walk,
                      struct err *err)
{
    const struct audit_head *head = &chain->stored;
    int64_t anchor_seq = head->seq - AUDIT_OPEN_CHECK_ROWS;
    int64_t from_seq = INT64_MIN;

    audit_walk_begin(walk, chain);
    if (anchor_seq < head->accepted_seq)
        anchor_seq = head->accepted_seq;
    if (head->seq - head->first_seq >= AUDIT_OPEN_CHECK_ROWS && anchor_seq >= head->first_seq) {
        audit_walk_begin_after(walk, chain, anchor_seq, "");
        from_seq = anchor_seq;
        if (audit_scan(db, &from_seq, 1, open_on_anchor, walk, err) < 0)
            return -1;
        from_seq = anchor_seq + 1;
    }
    if (audit_scan(db, &from_seq, SIZE_MAX >> 1, open_on_row, walk, err) < 0)
        return -1;
    audit_walk_end(walk);
    return 0;
}

/* Without a head the chain goes on from the last row, if there is one. */
static int open_without_head(struct audit_chain *chain, struct store *store, bool *out_is_new,
                             struct err *err)
{
    struct store_rows rows;
    const struct audit_row *last = NULL;

    if (store_table_load(store, &TABLE_audit, 1, &rows, err) < 0)
        return -1;
    *out_is_new = rows.count == 0;
    last = rows.rows;
    if (last != NULL) {
        chain->stored.seq = head_number(last->seq, 0);
        head_copy_hash(chain->stored.hash, last->hash);
    }
    store_rows_release(&rows);
    return 0;
}

/* *out_is_good: it is as it was written, or there is nothing yet. */
static int open_read_head(struct audit_chain *chain, struct store *store, bool *out_is_new,
                          bool *out_is_good, struct err *err)
{
    struct store_rows rows;
    int rc = 0;

    *out_is_new = false;
    audit_head_init(&chain->stored);
    if (store_table_load(store, &TABLE_audit_head, STORE_ALL_ROWS, &rows, err) < 0)
        return -1;
    *out_is_good = head_take_one(chain, rows.rows, rows.count);
    if (rows.count == 0) {
        rc = open_without_head(chain, store, out_is_new, err);
        *out_is_good = *out_is_new;
    }
    store_rows_release(&rows);
    return rc;
}

/* What the walk has found goes into the head, so that it is not forgotten when the chain goes on.
 */
static void open_judge(struct audit_chain *chain, const struct audit_walk *walk, bool is_head_good,
                       struct audit_report *report)
{
    struct audit_head *head = &chain->stored;

    report->fault = walk->fault;
    report->bad_seq = walk->bad_seq;
    if (report->fault == AUDIT_GOOD && !is_head_good) {
        report->fault = AUDIT_HEAD;
        report->bad_seq = walk->next_seq;
    }
    if (report->fault == AUDIT_GOOD)
        return;
    head->broken = report->fault;
    head->broken_seq = report->bad_seq;
}

int audit_open(struct store *store, const unsigned char key[KEYED_HASH_KEY_BYTES],
               bool must_be_there, struct audit_report *out, struct err *err)
{
    struct audit_chain *chain = store_chain(store);
    struct audit_report report = {.fault = AUDIT_GOOD};
    struct audit_walk walk;
    bool is_head_good = false;

    memcpy(chain->key, key, sizeof(chain->key));
    if (open_read_head(chain, store, &report.is_new, &is_head_good, err) < 0 ||
        open_check(chain, store_db(store), &walk, err) < 0 ||
        head_pass_last_row(chain, store_db(store), err) < 0)
        return -1;
    if (report.is_new && must_be_there)
        is_head_good = false;
    open_judge(chain, &walk, is_head_good, &report);
    chain->now = chain->stored;
    chain->is_on = true;
    *out = report;
    return 0;
}
