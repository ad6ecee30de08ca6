/* A word as symbols that are joined two by two, the pair of the lowest rank first and the leftmost
 * of equal ones: what byte pair encoding and SentencePiece have in common. What a pair makes is the
 * matter of the rules. */
#ifndef RBEE_HIP_TEXT_JOINING_H
#define RBEE_HIP_TEXT_JOINING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* The memory for one word is bounded by this: 9 MiB. */
    JOINING_MAX_BYTES = 256 * 1024,
    JOINING_NONE = UINT32_MAX, /* no symbol, no token, no rank */
};

/* A symbol's number is the place of its first byte in the word, so that symbols that follow one
 * another are one text. */
struct joining_symbol {
    uint32_t token; /* JOINING_NONE: none stands for it */
    uint32_t previous;
    uint32_t next; /* JOINING_NONE at the ends */
    /* What it makes with the next one; a symbol that has been joined to its left has none. */
    uint32_t pair_rank;
    uint32_t pair_token;
};

/* Storage of the caller, kept from one word to the next. */
struct joining {
    struct joining_symbol *symbols; /* [capacity] */
    uint64_t *heap;                 /* rank << 32 | number of the left symbol; smallest first */
    size_t heap_count;
    size_t capacity;  /* in bytes of a word */
    const char *text; /* the word, borrowed */
    size_t len;
    uint32_t last; /* the symbol added last */
};

struct joining_rules {
    /* What the symbol LEFT and its next one make. False when nothing. */
    bool (*find)(const struct joining_rules *rules, const struct joining *joining, uint32_t left,
                 uint32_t *out_rank, uint32_t *out_token);
};

void joining_init(struct joining *joining);
void joining_release(struct joining *joining);

/* A new word of 1 to JOINING_MAX_BYTES; its symbols are added from left to right, the first one
 * AT 0. */
void joining_begin(struct joining *joining, const char *text, size_t len);
void joining_add(struct joining *joining, uint32_t at, uint32_t token);
/* Joins until nothing is left to join. The symbols are those from 0 on by `next`. */
void joining_run(struct joining *joining, const struct joining_rules *rules);
/* Bytes of a symbol. */
size_t joining_symbol_len(const struct joining *joining, uint32_t at);

#endif
