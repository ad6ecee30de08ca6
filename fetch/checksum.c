/* Owns the reading of a file for its sum. Must not know what the sum is compared with. */
#include "fetch/checksum.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

enum { CHECKSUM_READ_BYTES = 1 << 20 };

int checksum_file(int fd, const struct checksum_progress *progress, char out[CHECKSUM_TEXT_BYTES],
                  int64_t *out_size_bytes, struct err *err)
{
    AUTO_FREE unsigned char *data = xmalloc(CHECKSUM_READ_BYTES);
    unsigned char sum[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    int64_t done_bytes = 0;

    /* A hint: the whole file is read once, from front to back. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    (void)crypto_hash_sha256_init(&state); /* these three cannot fail */
    for (;;) {
        ssize_t len = pread(fd, data, CHECKSUM_READ_BYTES, done_bytes);

        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return err_set(err, ERR_IO, "read: %m");
        if (len == 0)
            break;
        (void)crypto_hash_sha256_update(&state, data, (unsigned long long)len);
        done_bytes += len;
        tell_progress(progress->tell, "check", progress->before_bytes + done_bytes,
                      progress->total_bytes);
    }
    (void)crypto_hash_sha256_final(&state, sum);
    (void)sodium_bin2hex(out, CHECKSUM_TEXT_BYTES, sum, sizeof(sum));
    *out_size_bytes = done_bytes;
    return 0;
}
