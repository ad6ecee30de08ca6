/* Hashes that nobody can make without the key: HMAC-SHA256 (libsodium), as 64 hex digits. */
#ifndef RBEE_COMMON_KEYED_HASH_H
#define RBEE_COMMON_KEYED_HASH_H

#include "common/err.h"
#include "common/secret_file.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    KEYED_HASH_KEY_BYTES = 32,
    KEYED_HASH_TEXT_BYTES = 2 * 32 + 1, /* hex with its NUL */
};

void keyed_hash(const unsigned char key[KEYED_HASH_KEY_BYTES], const void *data, size_t len,
                char out[KEYED_HASH_TEXT_BYTES]);
/* Whether TEXT has the form of a hash: 64 digits, in lower case. */
bool keyed_hash_is_text(const char *text);
/* Reads a key: a file of 32 bytes, with a secret's rules. ERR_NO_FILE: there is none; ERR_CONFIG
 * says which rule was broken. The caller wipes it with token_wipe(). */
int keyed_hash_read_key(const char *path, enum secret_file_kind kind,
                        unsigned char out[KEYED_HASH_KEY_BYTES], struct err *err);
/* Makes a new key and the file PATH for it, mode 0600, on disk when this returns. ERR_CONFLICT:
 * there is one already. */
int keyed_hash_make_key(const char *path, unsigned char out[KEYED_HASH_KEY_BYTES], struct err *err);

#endif
