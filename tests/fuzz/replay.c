/* Runs a fuzz target over files instead of under libFuzzer, so that every corpus is part of
 * `make test` with any compiler. Knows nothing of the targets but their entry point. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/io.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { REPLAY_MAX_BYTES = 64 << 20 };

int main(int argc, char **argv)
{
    /* TAP, as every test program here prints it. */
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) {
        struct err err = ERR_INIT;
        AUTO_BUF struct buf input = BUF_INIT(REPLAY_MAX_BYTES);

        if (io_read_file(argv[i], &input, &err) < 0) {
            printf("not ok %d - %s\n# %s\n", i, argv[i], err.message);
            continue;
        }
        (void)LLVMFuzzerTestOneInput((const uint8_t *)input.data, input.len); /* always 0 */
        printf("ok %d - %s\n", i, argv[i]);
        (void)fflush(stdout); /* the next input may end the process */
    }
    return 0;
}
