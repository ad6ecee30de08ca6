/* Owns what the hashes of the audit trail are over, and how a chain of them is checked. Must not
 * know SQL, nor what the fields mean. */
#include "db/audit_chain.h"

#include "common/buf.h"

#include <assert.h>
#include <string.h>

enum {
    /* The largest row that can be read (db/file.c), and its lengths. One that a stranger's hand
     * put into the file may be larger than any of ours. */
    CHAIN_ENCODING_MAX_BYTES = 2 * 1024 * 1024,
    CHAIN_NUMBER_BYTES = 8,
    CHAIN_BITS_OF_BYTE = 8,
};

/* What is hashed begins with what it is, so that no row can stand for a head. */
static const char ROW_LABEL[] = "rbee audit row 1";
static const char HEAD_LABEL[] = "rbee audit head 1";
static const char DIGEST_LABEL[] = "rbee audit digest 1";
/* Before the first row there is no other. */
static const char NO_HASH[] = "0000000000000000000000000000000000000000000000000000000000000000";

static_assert(sizeof(NO_HASH) == KEYED_HASH_TEXT_BYTES, "in the place of a hash");

/* ---- names ---- */

static const char *const FAULT_NAMES[AUDIT_FAULT_COUNT] = {
    [AUDIT_GOOD] = "",           [AUDIT_CHANGED] = "changed", [AUDIT_MISSING] = "missing",
    [AUDIT_STRANGE] = "strange", [AUDIT_HEAD] = "head",
};

const char *audit_fault_name(enum audit_fault fault)
{
    return FAULT_NAMES[fault];
}

enum audit_fault audit_fault_of_name(const char *name)
{
    for (int fault = 0; fault < AUDIT_FAULT_COUNT; fault++) {
        if (strcmp(FAULT_NAMES[fault], name) == 0)
            return (enum audit_fault)fault;
    }
    return AUDIT_HEAD;
}

/* ---- encoding ---- */

static void chain_add(struct buf *out, const void *data, size_t len)
{
    int rc = buf_add(out, data, len);

    assert(rc == 0); /* no row is that large */
}

static void chain_add_number(struct buf *out, uint64_t number)
{
    unsigned char bytes[CHAIN_NUMBER_BYTES];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(number >> (i * CHAIN_BITS_OF_BYTE));
    chain_add(out, bytes, sizeof(bytes));
}

static void chain_add_bytes(struct buf *out, const char *bytes, size_t len)
{
    chain_add_number(out, len);
    chain_add(out, bytes, len);
}

static void chain_add_text(struct buf *out, const char *text)
{
    chain_add_bytes(out, text, strlen(text));
}

static void chain_add_integer(struct buf *out, int64_t integer)
{
    chain_add_number(out, CHAIN_NUMBER_BYTES);
    chain_add_number(out, (uint64_t)integer);
}

static void chain_add_fields(struct buf *out, const struct audit_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].text != NULL)
            chain_add_bytes(out, fields[i].text, fields[i].len);
        else
            chain_add_integer(out, fields[i].integer);
    }
}

static void chain_hash(const struct audit_chain *chain, const struct buf *encoding,
                       char out[KEYED_HASH_TEXT_BYTES])
{
    keyed_hash(chain->key, encoding->data, encoding->len, out);
}

void audit_row_hash(const struct audit_chain *chain, const char *before,
                    const struct audit_field *fields, size_t count, char out[KEYED_HASH_TEXT_BYTES])
{
    AUTO_BUF struct buf encoding = BUF_INIT(CHAIN_ENCODING_MAX_BYTES);

    chain_add_text(&encoding, ROW_LABEL);
    chain_add_text(&encoding, before);
    chain_add_fields(&encoding, fields, count);
    chain_hash(chain, &encoding, out);
}

/* Unlike a row's hash it is also over what stands there as the hash. */
static void chain_digest(struct audit_walk *walk, const struct audit_field *fields, size_t count,
                         const char *hash)
{
    AUTO_BUF struct buf encoding = BUF_INIT(CHAIN_ENCODING_MAX_BYTES);

    chain_add_text(&encoding, DIGEST_LABEL);
    chain_add_text(&encoding, walk->digest);
    chain_add_fields(&encoding, fields, count);
    chain_add_text(&encoding, hash);
    chain_hash(walk->chain, &encoding, walk->digest);
}

/* ---- the head ---- */

void audit_head_init(struct audit_head *head)
{
    *head = (struct audit_head){.first_seq = 1, .broken = AUDIT_GOOD};
    memcpy(head->hash, NO_HASH, sizeof(NO_HASH));
    memcpy(head->first_hash, NO_HASH, sizeof(NO_HASH));
}

void audit_head_mac(const struct audit_chain *chain, const struct audit_head *head,
                    char out[KEYED_HASH_TEXT_BYTES])
{
    AUTO_BUF struct buf encoding = BUF_INIT(CHAIN_ENCODING_MAX_BYTES);

    chain_add_text(&encoding, HEAD_LABEL);
    chain_add_integer(&encoding, head->seq);
    chain_add_text(&encoding, head->hash);
    chain_add_integer(&encoding, head->first_seq);
    chain_add_text(&encoding, head->first_hash);
    chain_add_integer(&encoding, head->accepted_seq);
    chain_add_integer(&encoding, head->broken_seq);
    chain_add_text(&encoding, audit_fault_name(head->broken));
    chain_hash(chain, &encoding, out);
}

/* ---- walks ---- */

void audit_walk_begin(struct audit_walk *walk, const struct audit_chain *chain)
{
    const struct audit_head *head = &chain->stored;

    audit_walk_begin_after(walk, chain, head->first_seq - 1, head->first_hash);
    walk->accepted_seq = head->accepted_seq;
}

void audit_walk_begin_sum(struct audit_walk *walk, const struct audit_chain *chain)
{
    audit_walk_begin_after(walk, chain, 0, NO_HASH);
    walk->accepted_seq = INT64_MAX;
}

void audit_walk_begin_after(struct audit_walk *walk, const struct audit_chain *chain,
                            int64_t after_seq, const char *hash)
{
    *walk = (struct audit_walk){.chain = chain, .next_seq = after_seq + 1};
    (void)snprintf(walk->before, sizeof(walk->before), "%s", hash);
    memcpy(walk->digest, NO_HASH, sizeof(NO_HASH));
}

static bool walk_fail(struct audit_walk *walk, enum audit_fault fault, int64_t seq)
{
    walk->fault = fault;
    walk->bad_seq = seq;
    return false;
}

/* Rows that a person has accepted are only summed up. */
static bool walk_is_accepted(const struct audit_walk *walk, int64_t seq)
{
    return walk->accepted_seq > 0 && seq < walk->accepted_seq;
}

static bool walk_check_link(struct audit_walk *walk, const struct audit_field *fields, size_t count,
                            const char *hash)
{
    int64_t seq = fields[0].integer;
    char wanted[KEYED_HASH_TEXT_BYTES];

    if (seq < walk->next_seq)
        return walk_fail(walk, AUDIT_STRANGE, seq);
    if (seq >= AUDIT_SEQ_END && walk->next_seq > walk->chain->stored.seq)
        return walk_fail(walk, AUDIT_STRANGE, seq);
    if (seq > walk->next_seq)
        return walk_fail(walk, AUDIT_MISSING, walk->next_seq);
    audit_row_hash(walk->chain, walk->before, fields, count, wanted);
    if (strcmp(wanted, hash) != 0)
        return walk_fail(walk, AUDIT_CHANGED, seq);
    return true;
}

bool audit_walk_wants(const struct audit_walk *walk, const char *hash)
{
    return strncmp(walk->wanted_hash, hash, strlen(walk->wanted_hash)) == 0;
}

bool audit_walk_row(struct audit_walk *walk, const struct audit_field *fields, size_t count,
                    const char *hash)
{
    int64_t seq = fields[0].integer;

    if (walk->accepted_seq > 0 && seq == walk->accepted_seq) {
        memcpy(walk->before, walk->digest, sizeof(walk->digest));
        walk->next_seq = seq;
    }
    if (walk->accepted_seq > 0 && seq > walk->accepted_seq && walk->next_seq <= walk->accepted_seq)
        return walk_fail(walk, AUDIT_MISSING, walk->accepted_seq);
    if (!walk_is_accepted(walk, seq) && !walk_check_link(walk, fields, count, hash))
        return false;
    if (walk->wanted_seq == seq && !audit_walk_wants(walk, hash))
        return walk_fail(walk, AUDIT_CHANGED, seq);
    if (walk_is_accepted(walk, seq))
        chain_digest(walk, fields, count, hash);
    (void)snprintf(walk->before, sizeof(walk->before), "%s", hash);
    if (!walk_is_accepted(walk, seq))
        walk->next_seq = seq + 1;
    walk->row_count++;
    return true;
}

/* What the rows alone do not tell: whether the end is the end, and what a start has found. */
static void walk_check_end(struct audit_walk *walk)
{
    const struct audit_head *head = &walk->chain->stored;

    if (walk->next_seq <= walk->accepted_seq)
        (void)walk_fail(walk, AUDIT_MISSING, walk->accepted_seq);
    else if (walk->next_seq <= head->seq)
        (void)walk_fail(walk, AUDIT_MISSING, walk->next_seq);
    else if (walk->next_seq > head->seq + 1)
        (void)walk_fail(walk, AUDIT_STRANGE, head->seq + 1);
    else if (strcmp(walk->before, head->hash) != 0)
        (void)walk_fail(walk, AUDIT_CHANGED, head->seq);
    else if (head->broken != AUDIT_GOOD)
        (void)walk_fail(walk, head->broken, head->broken_seq);
    else if (walk->wanted_seq > head->seq)
        (void)walk_fail(walk, AUDIT_MISSING, head->seq + 1);
}

void audit_walk_end(struct audit_walk *walk)
{
    if (walk->fault == AUDIT_GOOD)
        walk_check_end(walk);
}
