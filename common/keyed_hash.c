/* Owns keyed hashes and the files of their keys. Must not know what is hashed. */
#include "common/keyed_hash.h"

#include "common/io.h"
#include "common/mem.h"
#include "common/token.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_MODE = 0600,
};

static_assert((int)KEYED_HASH_KEY_BYTES == crypto_auth_hmacsha256_KEYBYTES &&
                  (int)KEYED_HASH_TEXT_BYTES == 2 * crypto_auth_hmacsha256_BYTES + 1,
              "the sizes are those of HMAC-SHA256");

void keyed_hash(const unsigned char key[KEYED_HASH_KEY_BYTES], const void *data, size_t len,
                char out[KEYED_HASH_TEXT_BYTES])
{
    unsigned char hash[crypto_auth_hmacsha256_BYTES];

    (void)crypto_auth_hmacsha256(hash, data, len, key); /* cannot fail */
    (void)sodium_bin2hex(out, KEYED_HASH_TEXT_BYTES, hash, sizeof(hash));
}

bool keyed_hash_is_text(const char *text)
{
    return strlen(text) == KEYED_HASH_TEXT_BYTES - 1 &&
           strspn(text, "0123456789abcdef") == KEYED_HASH_TEXT_BYTES - 1;
}

int keyed_hash_read_key(const char *path, enum secret_file_kind kind,
                        unsigned char out[KEYED_HASH_KEY_BYTES], struct err *err)
{
    struct stat info;
    AUTO_CLOSE int fd = secret_file_open(path, kind, &info, err);

    if (fd < 0 && err->kind == ERR_NO_FILE)
        return err_set(err, ERR_NO_FILE, "there is no key %s (a key is %d random bytes, mode 0600)",
                       path, KEYED_HASH_KEY_BYTES);
    if (fd < 0)
        return err_wrap(err, "the key");
    if (info.st_size != KEYED_HASH_KEY_BYTES)
        return err_set(err, ERR_CONFIG, "%s has %lld bytes: a key has %d", path,
                       (long long)info.st_size, KEYED_HASH_KEY_BYTES);
    if (read(fd, out, KEYED_HASH_KEY_BYTES) != KEYED_HASH_KEY_BYTES)
        return err_set(err, ERR_CONFIG, "read the key %s: %m", path);
    return 0;
}

int keyed_hash_make_key(const char *path, unsigned char out[KEYED_HASH_KEY_BYTES], struct err *err)
{
    AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;
    unsigned char key[KEYED_HASH_KEY_BYTES];
    int rc = 0;

    if (access(path, F_OK) == 0)
        return err_set(err, ERR_CONFLICT, "there is a key %s already", path);
    randombytes_buf(key, sizeof(key));
    if (io_atomic_begin(&file, path, KEY_MODE, err) < 0 ||
        io_write_all(file.fd, key, sizeof(key), err) < 0 || io_atomic_commit(&file, err) < 0)
        rc = -1;
    else
        memcpy(out, key, sizeof(key));
    token_wipe(key, sizeof(key));
    return rc;
}
