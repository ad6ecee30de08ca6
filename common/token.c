/* Owns secrets: their making, comparing, reading and wiping. The only user of libsodium here; must
 * not know who may do what with a token. */
#include "common/token.h"

#include "common/mem.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

enum {
    TOKEN_ID_RANDOM_BYTES = 16, /* 22 characters of base64 */
    TOKEN_FOREIGN_BITS = 077,   /* what group and others may do */
};

void token_init(void)
{
    if (sodium_init() < 0) {
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
    unsigned char random[TOKEN_ID_RANDOM_BYTES];

    static_assert(
        sodium_base64_ENCODED_LEN(TOKEN_ID_RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) +
                2 ==
            TOKEN_ID_BYTES,
        "an id is a letter, a dash and 22 characters");
    randombytes_buf(random, sizeof(random));
    out[0] = prefix;
    out[1] = '-';
    (void)sodium_bin2base64(out + 2, TOKEN_ID_BYTES - 2, random, sizeof(random),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool token_equal(const char *a, const char *b)
{
    unsigned char hash_a[crypto_hash_sha256_BYTES];
    unsigned char hash_b[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256(hash_a, (const unsigned char *)a, strlen(a)); /* cannot fail */
    (void)crypto_hash_sha256(hash_b, (const unsigned char *)b, strlen(b)); /* cannot fail */
    return sodium_memcmp(hash_a, hash_b, sizeof(hash_a)) == 0;
}

void token_fingerprint(const char *token, char out[TOKEN_FINGERPRINT_BYTES])
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256(hash, (const unsigned char *)token, strlen(token)); /* cannot fail */
    (void)sodium_bin2hex(out, TOKEN_FINGERPRINT_BYTES, hash, TOKEN_FINGERPRINT_BYTES / 2);
}

void token_wipe(void *secret, size_t len)
{
    sodium_memzero(secret, len);
}

/* A pipe is ours alone; a file must be as well. */
static int token_check_file(int fd, struct err *err)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return err_set(err, ERR_CONFIG, "token: %m");
    if (S_ISDIR(info.st_mode))
        return err_set(err, ERR_CONFIG, "token: is a folder");
    if (S_ISREG(info.st_mode) && (info.st_mode & TOKEN_FOREIGN_BITS) != 0)
        return err_set(err, ERR_CONFIG,
                       "token file has mode %04o: group and others must have no access (chmod 600)",
                       (unsigned)(info.st_mode & ALLPERMS));
    return 0;
}

/* Fills TEXT to the end of FD or its own; returns the length. */
static ssize_t token_read_bytes(int fd, char *text, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t got = read(fd, text + len, size - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static char *token_check_text(const char *text, size_t len, struct err *err)
{
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len < TOKEN_MIN_LEN || len > TOKEN_MAX_LEN)
        return err_set_null(err, ERR_CONFIG, "token must have %d to %d bytes", TOKEN_MIN_LEN,
                            TOKEN_MAX_LEN);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '!' || text[i] > '~')
            return err_set_null(err, ERR_CONFIG,
                                "token must be one line of printable ASCII without blanks");
    }
    return xstrndup(text, len);
}

char *token_read(int fd, struct err *err)
{
    char text[TOKEN_MAX_LEN + 2]; /* one for the line end, one to see that there is more */
    ssize_t len = 0;
    char *token = NULL;

    if (token_check_file(fd, err) < 0)
        return NULL;
    len = token_read_bytes(fd, text, sizeof(text));
    if (len < 0)
        err_fill(err, ERR_CONFIG, "read the token: %m");
    else
        token = token_check_text(text, (size_t)len, err);
    token_wipe(text, sizeof(text));
    return token;
}
