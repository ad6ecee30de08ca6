/* Secrets and ids: random values, their fingerprints, comparison in constant time (libsodium). */
#ifndef RBEE_COMMON_TOKEN_H
#define RBEE_COMMON_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOKEN_BYTES = 32,                       /* random bytes in a token of ours */
    TOKEN_TEXT_BYTES = 2 * TOKEN_BYTES + 1, /* hex with its NUL */
    TOKEN_FINGERPRINT_BYTES = 7,            /* six hex digits of the SHA-256 and a NUL */
    TOKEN_ID_BYTES = 25,                    /* "r-" and 22 characters for an id, with its NUL */
    TOKEN_MIN_LEN = 16,
    TOKEN_MAX_LEN = 4096,
};

/* Once a process, before any other of these. Ends the process when the system has no randomness. */
void token_init(void);
void token_new(char out[TOKEN_TEXT_BYTES]);
/* An id that no one can guess: PREFIX is one letter, as 'r' for requests, 'w' for worker instances.
 */
void token_new_id(char prefix, char out[TOKEN_ID_BYTES]);

/* What is kept where a token need only be known again. */
struct token_hash {
    unsigned char bytes[32]; /* SHA-256 */
};
void token_hash(const char *token, struct token_hash *out);
/* In a time that depends on neither. */
bool token_hash_equal(const struct token_hash *a, const struct token_hash *b);
/* Equal texts, compared by their hashes: the time tells their lengths and nothing else. */
bool token_equal(const char *a, const char *b);
/* The first six hex digits: what logs and records show of a token. */
void token_hash_fingerprint(const struct token_hash *hash, char out[TOKEN_FINGERPRINT_BYTES]);
void token_fingerprint(const char *token, char out[TOKEN_FINGERPRINT_BYTES]);

/* 32 random bits, for jitter and the like. */
uint32_t token_random(void);
/* Overwrites a secret. */
void token_wipe(void *secret, size_t len);

#endif
