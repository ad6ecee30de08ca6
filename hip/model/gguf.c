/* Owns a GGUF file: opening, mapping, its header, and the order in which the rest is read. Every
 * byte is foreign until it has been checked, here, in gguf_metadata.c and in gguf_tensors.c.
 * Looking things up afterwards is gguf_values.c, and a model in several files is gguf_split.c.
 *
 * The file is mapped, not copied. A file that is cut while it is mapped ends the process that reads
 * the missing part (SIGBUS): that costs one worker, whose supervisor says so, and gguf_check_same()
 * lets a loader notice before it reads the weights. */
#include "hip/model/gguf_internal.h"

#include "common/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    GGUF_MAGIC = 0x46554747, /* "GGUF", little endian */
    GGUF_VERSION_OLDEST = 2,
    GGUF_VERSION_NEWEST = 3,
};

static int read_header(struct gguf *gguf, struct cursor *cursor, uint64_t *out_tensor_count,
                       uint64_t *out_entry_count, struct err *err)
{
    uint32_t magic = 0;

    if (cursor_u32(cursor, "the magic", &magic, err) != 0)
        return -1;
    if (magic != GGUF_MAGIC)
        return err_set(err, ERR_INVALID_MODEL,
                       "not a GGUF file: it begins with the bytes %02x %02x %02x %02x",
                       gguf->data[0], gguf->data[1], gguf->data[2], gguf->data[3]);
    if (cursor_u32(cursor, "the version", &gguf->version, err) != 0)
        return -1;
    if (gguf->version != 0 && (gguf->version & 0xffff) == 0)
        return err_set(err, ERR_INVALID_MODEL, "a big-endian GGUF file is not supported");
    if (gguf->version < GGUF_VERSION_OLDEST || gguf->version > GGUF_VERSION_NEWEST)
        return err_set(err, ERR_INVALID_MODEL, "GGUF version %u is not supported, only %d and %d",
                       gguf->version, GGUF_VERSION_OLDEST, GGUF_VERSION_NEWEST);
    if (cursor_u64(cursor, "the tensor count", out_tensor_count, err) != 0)
        return -1;
    return cursor_u64(cursor, "the metadata count", out_entry_count, err);
}

static int read_file(struct gguf *gguf, struct err *err)
{
    struct cursor cursor = {.data = gguf->data, .len = gguf->len};
    uint64_t tensor_count = 0;
    uint64_t entry_count = 0;

    if (read_header(gguf, &cursor, &tensor_count, &entry_count, err) != 0)
        return -1;
    if (gguf_read_entries(gguf, &cursor, entry_count, err) != 0)
        return -1;
    if (gguf_read_alignment(gguf, err) != 0)
        return -1;
    return gguf_read_tensors(gguf, &cursor, tensor_count, err);
}

static int map_file(struct gguf *gguf, const char *path, struct err *err)
{
    struct stat status;
    void *map = NULL;

    /* Non-blocking, so that a FIFO does not hold us before it is refused. */
    gguf->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (gguf->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(err, ERR_NO_FILE, "there is no file %s", path);
    if (gguf->fd < 0)
        return err_set(err, ERR_IO, "open %s: %m", path);
    if (fstat(gguf->fd, &status) != 0)
        return err_set(err, ERR_IO, "stat %s: %m", path);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_INVALID_MODEL, "not a regular file");
    if (status.st_size == 0)
        return err_set(err, ERR_INVALID_MODEL, "the file is empty");
    map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, gguf->fd, 0);
    if (map == MAP_FAILED)
        return err_set(err, errno == ENOMEM ? ERR_NO_MEMORY : ERR_IO, "map %s: %m", path);
    gguf->data = map;
    gguf->len = (uint64_t)status.st_size;
    gguf->modified_at = status.st_mtim;
    return 0;
}

static void gguf_release(struct gguf **gguf)
{
    gguf_free(*gguf);
}

struct gguf *gguf_open_one(const char *path, struct err *err)
{
    __attribute__((cleanup(gguf_release))) struct gguf *gguf = xcalloc(1, sizeof(*gguf));

    gguf->fd = -1;
    if (map_file(gguf, path, err) != 0)
        return NULL;
    if (read_file(gguf, err) != 0)
        return NULL;
    return take_ptr(gguf);
}

struct gguf *gguf_open(const char *path, struct err *err)
{
    struct gguf *gguf = gguf_open_one(path, err);

    return gguf != NULL ? gguf_join_parts(gguf, path, err) : NULL;
}

struct gguf *gguf_open_memory(const void *data, size_t len, struct err *err)
{
    __attribute__((cleanup(gguf_release))) struct gguf *gguf = xcalloc(1, sizeof(*gguf));

    assert((uintptr_t)data % GGUF_ALIGNMENT_MIN == 0);
    gguf->fd = -1;
    gguf->data = data;
    gguf->len = len;
    if (read_file(gguf, err) != 0)
        return NULL;
    return gguf_join_parts(take_ptr(gguf), NULL, err);
}

int gguf_check_same(const struct gguf *gguf, struct err *err)
{
    struct stat status;

    for (size_t i = 0; i < gguf->other_count; i++) {
        if (gguf_check_same(gguf->others[i], err) != 0)
            return -1;
    }
    if (gguf->fd < 0)
        return 0;
    if (fstat(gguf->fd, &status) != 0)
        return err_set(err, ERR_IO, "stat the model's file: %m");
    if ((uint64_t)status.st_size != gguf->len ||
        status.st_mtim.tv_sec != gguf->modified_at.tv_sec ||
        status.st_mtim.tv_nsec != gguf->modified_at.tv_nsec)
        return err_set(err, ERR_INVALID_MODEL, "the file was changed while it was being loaded");
    return 0;
}

void gguf_free(struct gguf *gguf)
{
    if (gguf == NULL)
        return;
    for (size_t i = 0; i < gguf->other_count; i++)
        gguf_free(gguf->others[i]);
    free(gguf->others);
    for (size_t i = 0; i < gguf->entry_count; i++)
        free(gguf->entries[i].texts);
    free(gguf->entries);
    free(gguf->tensors_by_name);
    free(gguf->tensors);
    if (gguf->fd >= 0) {
        if (gguf->data != NULL)
            (void)munmap((void *)(uintptr_t)gguf->data, gguf->len); /* cannot fail on our own map */
        (void)close(gguf->fd);                                      /* only read from */
    }
    free(gguf);
}
