/* Owns secrets: their making, comparing and wiping. With keyed_hash.c the only user of libsodium
 * here; must not know who may do what with a token. */
#include "common/token.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum {
    TOKEN_ID_RANDOM_BYTES = 16, /* 22 characters of base64 */
    TOKEN_ID_STOCK_BYTES = 256, /* for 16 ids: what the kernel gives in one call, and at once */
};

/* Random bytes for ids to come: each would cost a system call, and a request has two. */
struct token_stock {
    unsigned char bytes[TOKEN_ID_STOCK_BYTES];
    size_t left;
};
static _Thread_local struct token_stock token_stock;

/* In a child that fork() made: its ids are not to be its parent's. */
static void token_drop_stock(void)
{
    token_stock.left = 0;
}

void token_init(void)
{
    if (sodium_init() < 0 || pthread_atfork(NULL, NULL, token_drop_stock) != 0) {
        static const char LAST_WORDS[] = "fatal: the system has no randomness\n";

        (void)!write(STDERR_FILENO, LAST_WORDS, sizeof(LAST_WORDS) - 1); /* the end anyway */
        abort();
    }
}

void token_new(char out[TOKEN_TEXT_BYTES])
{
    unsigned char secret[TOKEN_BYTES];

    randombytes_buf(secret, sizeof(secret));
    (void)sodium_bin2hex(out, TOKEN_TEXT_BYTES, secret, sizeof(secret));
    sodium_memzero(secret, sizeof(secret));
}

uint32_t token_random(void)
{
    return randombytes_random();
}

void token_new_id(char prefix, char out[TOKEN_ID_BYTES])
{
    struct token_stock *stock = &token_stock;

    static_assert(
        sodium_base64_ENCODED_LEN(TOKEN_ID_RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) +
                2 ==
            TOKEN_ID_BYTES,
        "an id is a letter, a dash and 22 characters");
    static_assert(TOKEN_ID_STOCK_BYTES % TOKEN_ID_RANDOM_BYTES == 0, "for whole ids");
    if (stock->left == 0) {
        randombytes_buf(stock->bytes, sizeof(stock->bytes));
        stock->left = sizeof(stock->bytes);
    }
    stock->left -= TOKEN_ID_RANDOM_BYTES;
    out[0] = prefix;
    out[1] = '-';
    (void)sodium_bin2base64(out + 2, TOKEN_ID_BYTES - 2, stock->bytes + stock->left,
                            TOKEN_ID_RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void token_hash(const char *token, struct token_hash *out)
{
    static_assert(sizeof(out->bytes) == crypto_hash_sha256_BYTES, "a SHA-256");
    (void)crypto_hash_sha256(out->bytes, (const unsigned char *)token,
                             strlen(token)); /* never fails */
}

bool token_hash_equal(const struct token_hash *a, const struct token_hash *b)
{
    return sodium_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool token_equal(const char *a, const char *b)
{
    struct token_hash hash_a;
    struct token_hash hash_b;

    token_hash(a, &hash_a);
    token_hash(b, &hash_b);
    return token_hash_equal(&hash_a, &hash_b);
}

void token_hash_fingerprint(const struct token_hash *hash, char out[TOKEN_FINGERPRINT_BYTES])
{
    (void)sodium_bin2hex(out, TOKEN_FINGERPRINT_BYTES, hash->bytes, TOKEN_FINGERPRINT_BYTES / 2);
}

void token_fingerprint(const char *token, char out[TOKEN_FINGERPRINT_BYTES])
{
    struct token_hash hash;

    token_hash(token, &hash);
    token_hash_fingerprint(&hash, out);
}

void token_wipe(void *secret, size_t len)
{
    sodium_memzero(secret, len);
}
