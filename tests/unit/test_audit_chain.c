/* The chain of the audit trail without a database: what its hashes depend on, and what a walk over
 * rows finds. */
#include "db/audit_chain.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROW_COUNT = 6, FIELD_COUNT = 3 };

struct row {
    struct audit_field fields[FIELD_COUNT];
    char hash[KEYED_HASH_TEXT_BYTES];
};

struct trail {
    struct audit_chain chain;
    struct row rows[ROW_COUNT];
};

static struct audit_field text_field(const char *text)
{
    return (struct audit_field){.text = text, .len = strlen(text)};
}

static struct audit_field number_field(int64_t number)
{
    return (struct audit_field){.integer = number};
}

static void make_trail(struct trail *trail)
{
    struct audit_head *head = &trail->chain.stored;

    *trail = (struct trail){.chain = {.is_on = true, .key = {7}}};
    audit_head_init(head);
    for (int i = 0; i < ROW_COUNT; i++) {
        struct row *row = &trail->rows[i];

        row->fields[0] = number_field(i + 1);
        row->fields[1] = text_field("kind");
        row->fields[2] = text_field("details");
        audit_row_hash(&trail->chain, head->hash, row->fields, FIELD_COUNT, row->hash);
        memcpy(head->hash, row->hash, sizeof(row->hash));
        head->seq = i + 1;
    }
}

/* Walks over COUNT of ROWS. */
static struct audit_walk walk_over(const struct audit_chain *chain, const struct row *rows,
                                   size_t count)
{
    struct audit_walk walk;
    bool is_good = true;

    audit_walk_begin(&walk, chain);
    for (size_t i = 0; i < count && is_good; i++)
        is_good = audit_walk_row(&walk, rows[i].fields, FIELD_COUNT, rows[i].hash);
    audit_walk_end(&walk);
    return walk;
}

static void assert_fault(const struct audit_walk *walk, enum audit_fault fault, int64_t seq)
{
    if (walk->fault != fault || walk->bad_seq != seq)
        fail_msg("found \"%s\" at %lld, not \"%s\" at %lld", audit_fault_name(walk->fault),
                 (long long)walk->bad_seq, audit_fault_name(fault), (long long)seq);
}

static void a_hash_depends_on_key_place_and_every_field(void **state)
{
    struct audit_chain chain = {.is_on = true, .key = {7}};
    const struct audit_field fields[] = {number_field(1), text_field("ab"), text_field("c")};
    /* The same bytes in a row, but other fields. */
    const struct audit_field moved[] = {number_field(1), text_field("a"), text_field("bc")};
    const struct audit_field nul[] = {number_field(1), {.text = "ab\0", .len = 3}, text_field("c")};
    char first[KEYED_HASH_TEXT_BYTES];
    char other[KEYED_HASH_TEXT_BYTES];

    audit_row_hash(&chain, "before", fields, 3, first);
    audit_row_hash(&chain, "before", fields, 3, other);
    assert_string_equal(first, other);
    assert_true(keyed_hash_is_text(first));
    audit_row_hash(&chain, "before", moved, 3, other);
    assert_string_not_equal(first, other);
    audit_row_hash(&chain, "before", nul, 3, other);
    assert_string_not_equal(first, other);
    audit_row_hash(&chain, "behind", fields, 3, other);
    assert_string_not_equal(first, other);
    chain.key[31] = 1;
    audit_row_hash(&chain, "before", fields, 3, other);
    assert_string_not_equal(first, other);
}

/* RFC 4231, test case 1 has a key of 20 bytes; HMAC fills it up with zeros, as we do here. */
static void the_hash_is_hmac_sha256(void **state)
{
    unsigned char key[KEYED_HASH_KEY_BYTES] = {0};
    char out[KEYED_HASH_TEXT_BYTES];

    memset(key, 0x0b, 20);
    keyed_hash(key, "Hi There", strlen("Hi There"), out);
    assert_string_equal(out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

static void the_code_of_a_head_depends_on_all_of_it(void **state)
{
    const struct audit_chain chain = {.is_on = true, .key = {7}};
    struct audit_head head;
    char code[KEYED_HASH_TEXT_BYTES];
    char other[KEYED_HASH_TEXT_BYTES];

    audit_head_init(&head);
    audit_head_mac(&chain, &head, code);
    for (int change = 0; change < 7; change++) {
        struct audit_head changed = head;

        changed.seq += change == 0;
        changed.hash[5] = (char)(change == 1 ? 'f' : changed.hash[5]);
        changed.first_seq += change == 2;
        changed.first_hash[5] = (char)(change == 3 ? 'f' : changed.first_hash[5]);
        changed.accepted_seq += change == 4;
        changed.broken_seq += change == 5;
        changed.broken = change == 6 ? AUDIT_MISSING : changed.broken;
        audit_head_mac(&chain, &changed, other);
        assert_string_not_equal(code, other);
    }
}

static void a_chain_that_was_left_alone_holds(void **state)
{
    struct trail trail;
    struct audit_walk walk;

    make_trail(&trail);
    walk = walk_over(&trail.chain, trail.rows, ROW_COUNT);
    assert_fault(&walk, AUDIT_GOOD, 0);
    assert_int_equal(walk.row_count, ROW_COUNT);
}

/* Wherever it is, the first row that is wrong is named. */
static void changes_removals_and_swaps_are_found(void **state)
{
    for (int at = 0; at < ROW_COUNT; at++) {
        struct trail trail;
        struct audit_walk walk;
        struct row row;

        make_trail(&trail);
        trail.rows[at].fields[2] = text_field("other");
        walk = walk_over(&trail.chain, trail.rows, ROW_COUNT);
        assert_fault(&walk, AUDIT_CHANGED, at + 1);

        make_trail(&trail);
        trail.rows[at].hash[0] = trail.rows[at].hash[0] == '0' ? '1' : '0';
        walk = walk_over(&trail.chain, trail.rows, ROW_COUNT);
        assert_fault(&walk, AUDIT_CHANGED, at + 1);

        make_trail(&trail);
        memmove(&trail.rows[at], &trail.rows[at + 1], sizeof(row) * (size_t)(ROW_COUNT - 1 - at));
        walk = walk_over(&trail.chain, trail.rows, ROW_COUNT - 1);
        assert_fault(&walk, AUDIT_MISSING, at + 1);

        if (at == 0)
            continue;
        make_trail(&trail);
        row = trail.rows[at];
        trail.rows[at] = trail.rows[at - 1];
        trail.rows[at].fields[0] = number_field(at + 1);
        trail.rows[at - 1] = row;
        trail.rows[at - 1].fields[0] = number_field(at);
        walk = walk_over(&trail.chain, trail.rows, ROW_COUNT);
        assert_fault(&walk, AUDIT_CHANGED, at);
    }
}

static void both_ends_are_watched(void **state)
{
    struct trail trail;
    struct audit_walk walk;
    struct row more[ROW_COUNT + 1];

    make_trail(&trail);
    walk = walk_over(&trail.chain, trail.rows, 0);
    assert_fault(&walk, AUDIT_MISSING, 1);
    memcpy(more, trail.rows, sizeof(trail.rows));
    more[ROW_COUNT] = more[0];
    more[ROW_COUNT].fields[0] = number_field(ROW_COUNT + 1);
    /* Even one that somebody with the key has made. */
    audit_row_hash(&trail.chain, more[ROW_COUNT - 1].hash, more[ROW_COUNT].fields, FIELD_COUNT,
                   more[ROW_COUNT].hash);
    walk = walk_over(&trail.chain, more, ROW_COUNT + 1);
    assert_fault(&walk, AUDIT_STRANGE, ROW_COUNT + 1);
    more[0].fields[0] = number_field(0);
    walk = walk_over(&trail.chain, more, ROW_COUNT);
    assert_fault(&walk, AUDIT_STRANGE, 0);
}

static void a_head_kept_elsewhere_finds_a_chain_that_was_made_anew(void **state)
{
    struct trail trail;
    struct audit_walk walk;

    make_trail(&trail);
    for (int is_other = 0; is_other < 2; is_other++) {
        bool is_good = true;

        audit_walk_begin(&walk, &trail.chain);
        walk.wanted_seq = 4;
        memcpy(walk.wanted_hash, trail.rows[3 - is_other].hash, sizeof(walk.wanted_hash));
        for (int i = 0; i < ROW_COUNT && is_good; i++)
            is_good = audit_walk_row(&walk, trail.rows[i].fields, FIELD_COUNT, trail.rows[i].hash);
        audit_walk_end(&walk);
        assert_fault(&walk, is_other ? AUDIT_CHANGED : AUDIT_GOOD, is_other ? 4 : 0);
    }
    audit_walk_begin(&walk, &trail.chain);
    walk.wanted_seq = ROW_COUNT + 3; /* what came after was cut off, head and all */
    for (int i = 0; i < ROW_COUNT; i++)
        assert_true(audit_walk_row(&walk, trail.rows[i].fields, FIELD_COUNT, trail.rows[i].hash));
    audit_walk_end(&walk);
    assert_fault(&walk, AUDIT_MISSING, ROW_COUNT + 1);
}

/* Row 3 is changed, row 5 accepts what is before it: from then on that is what must be there. */
static void what_was_accepted_must_stay_as_it_was(void **state)
{
    struct trail trail;
    struct audit_walk walk;
    struct audit_walk sum;

    make_trail(&trail);
    trail.rows[2].fields[2] = text_field("other");
    audit_walk_begin_sum(&sum, &trail.chain);
    for (int i = 0; i < 4; i++)
        assert_true(audit_walk_row(&sum, trail.rows[i].fields, FIELD_COUNT, trail.rows[i].hash));
    audit_row_hash(&trail.chain, sum.digest, trail.rows[4].fields, FIELD_COUNT, trail.rows[4].hash);
    audit_row_hash(&trail.chain, trail.rows[4].hash, trail.rows[5].fields, FIELD_COUNT,
                   trail.rows[5].hash);
    memcpy(trail.chain.stored.hash, trail.rows[5].hash, KEYED_HASH_TEXT_BYTES);
    trail.chain.stored.accepted_seq = 5;
    walk = walk_over(&trail.chain, trail.rows, ROW_COUNT);
    assert_fault(&walk, AUDIT_GOOD, 0);
    trail.rows[1].fields[1] = text_field("later");
    walk = walk_over(&trail.chain, trail.rows, ROW_COUNT);
    assert_fault(&walk, AUDIT_CHANGED, 5);
    walk = walk_over(&trail.chain, trail.rows, 4);
    assert_fault(&walk, AUDIT_MISSING, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_depends_on_key_place_and_every_field),
        cmocka_unit_test(the_hash_is_hmac_sha256),
        cmocka_unit_test(the_code_of_a_head_depends_on_all_of_it),
        cmocka_unit_test(a_chain_that_was_left_alone_holds),
        cmocka_unit_test(changes_removals_and_swaps_are_found),
        cmocka_unit_test(both_ends_are_watched),
        cmocka_unit_test(a_head_kept_elsewhere_finds_a_chain_that_was_made_anew),
        cmocka_unit_test(what_was_accepted_must_stay_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
