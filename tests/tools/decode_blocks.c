/* Blocks of a tensor type on stdin to floats on stdout, in the order of bytes of this machine:
 *
 *     decode_blocks TYPE      TYPE as quant_types.def names it
 *     decode_blocks --list    the types that have a reader, each with the bytes of a block
 *
 * So that the plain readers can be compared with somebody else's (tests/oracle/tensor_types.py). */
#include "common/buf.h"
#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "hip/model/quant.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS_MAX_BYTES = 64 * 1024 * 1024 };

static bool is_read(const struct quant_info *info)
{
    return info != NULL && info->decode != NULL;
}

static int list_types(void)
{
    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        if (is_read(quant_info(type)))
            (void)printf("%s %u\n", quant_info(type)->name, quant_info(type)->block_bytes);
    }
    return 0;
}

/* QUANT_TYPE_MAX + 1 when there is none, or none that is read. */
static uint32_t find_type(const char *name)
{
    uint32_t type = 0;

    while (type <= QUANT_TYPE_MAX &&
           !(is_read(quant_info(type)) && strcmp(quant_info(type)->name, name) == 0))
        type++;
    return type;
}

static int decode(uint32_t type, struct err *err)
{
    const struct quant_info *info = quant_info(type);
    AUTO_BUF struct buf blocks = BUF_INIT(BLOCKS_MAX_BYTES);
    AUTO_FREE float *values = NULL;
    size_t count = 0;

    if (io_read_all(STDIN_FILENO, &blocks, err) != 0)
        return -1;
    if (blocks.len % info->block_bytes != 0)
        return err_set(err, ERR_USAGE, "%zu bytes are no blocks of %u", blocks.len,
                       info->block_bytes);
    count = blocks.len / info->block_bytes * info->block_elements;
    values = xcalloc(count + 1, sizeof(*values));
    quant_decode(type, blocks.data, values, count);
    return io_write_all(STDOUT_FILENO, values, count * sizeof(*values), err);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    uint32_t type = 0;

    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list_types();
    if (argc != 2 || (type = find_type(argv[1])) > QUANT_TYPE_MAX) {
        (void)fputs("usage: decode_blocks TYPE|--list\n", stderr);
        return 2;
    }
    if (decode(type, &err) != 0) {
        (void)fprintf(stderr, "decode_blocks: %s\n", err.message);
        return 1;
    }
    return 0;
}
