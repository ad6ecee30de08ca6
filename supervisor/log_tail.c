/* Owns the reading of logs: backwards from the end, then forwards, over the files that a log turns
 * over into. Knows nothing of what lines mean. */
#include "supervisor/log_tail.h"

#include "common/mem.h"
#include "supervisor/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void log_tail_init(struct log_tail *tail, const char *path)
{
    *tail = (struct log_tail){.path = xstrdup(path), .fd = -1};
}

void log_tail_release(struct log_tail *tail)
{
    attr_close(&tail->fd);
    free(tail->path);
}

/* The file that was turned over AGE times; its descriptor, or -1 when there is none. */
static int log_tail_open(const struct log_tail *tail, int age, int *out_fd, struct err *err)
{
    AUTO_FREE char *path = age == 0 ? xstrdup(tail->path) : xasprintf("%s.%d", tail->path, age);

    *out_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*out_fd < 0 && errno != ENOENT)
        return err_set(err, ERR_IO, "open the log: %m");
    return 0;
}

/* Appends up to SIZE bytes of FD from OFFSET on. */
static int log_tail_read(int fd, int64_t offset, size_t size, struct buf *out, struct err *err)
{
    ssize_t len = 0;

    if (buf_reserve(out, size) < 0)
        return err_set(err, ERR_INTERNAL, "no memory for %zu bytes of a log", size);
    len = pread(fd, out->data + out->len, size, offset);
    if (len < 0)
        return err_set(err, ERR_IO, "read the log: %m");
    /* A machine that lost its power leaves runs of NUL; they would end the text. */
    for (char *nul = out->data + out->len; len > 0 && nul < out->data + out->len + len; nul++) {
        if (*nul == '\0')
            *nul = ' ';
    }
    out->len += (size_t)len;
    out->data[out->len] = '\0';
    return 0;
}

/* ---- the past ---- */

static size_t log_tail_count_lines(const struct buf *text)
{
    size_t count = 0;

    for (const char *at = text->data; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

/* Puts the end of FD before TEXT. *out_is_cut: its beginning does not fit. */
static int log_tail_prepend(int fd, struct buf *text, bool *out_is_cut, int64_t *out_size,
                            struct err *err)
{
    AUTO_BUF struct buf joined = BUF_INIT(LOG_TAIL_MAX_BYTES);
    struct stat status;
    size_t room = LOG_TAIL_MAX_BYTES - text->len;
    size_t size = 0;

    if (fstat(fd, &status) != 0)
        return err_set(err, ERR_IO, "look at the log: %m");
    size = (uint64_t)status.st_size > room ? room : (size_t)status.st_size;
    if (size > 0 && log_tail_read(fd, status.st_size - (int64_t)size, size, &joined, err) != 0)
        return -1;
    *out_size = status.st_size;
    *out_is_cut = (uint64_t)status.st_size > room;
    if (*out_is_cut) { /* and so is its first line */
        const char *end = strchr(joined.data, '\n');

        buf_consume(&joined, end == NULL ? joined.len : (size_t)(end + 1 - joined.data));
    }
    if (buf_add(&joined, text->data, text->len) < 0)
        return err_set(err, ERR_INTERNAL, "no memory for a log");
    buf_release(text);
    *text = joined;
    joined = (struct buf)BUF_INIT(0);
    return 0;
}

/* Where the last LINE_COUNT lines of TEXT begin. */
static const char *log_tail_find(const struct buf *text, size_t line_count)
{
    size_t skip = log_tail_count_lines(text);
    const char *at = text->data;

    for (skip = skip > line_count ? skip - line_count : 0; skip > 0; skip--)
        at = strchr(at, '\n') + 1;
    return at;
}

/* Reads files from the newest to the oldest until there are LINE_COUNT lines in TEXT. */
static int log_tail_collect(struct log_tail *tail, size_t line_count, struct buf *text,
                            bool *out_is_cut, struct err *err)
{
    *out_is_cut = false;
    for (int age = 0; age < LOG_FILE_KEEP_COUNT && !*out_is_cut; age++) {
        AUTO_CLOSE int fd = -1;
        int64_t size = 0;

        if (log_tail_open(tail, age, &fd, err) != 0)
            return -1;
        if (fd < 0)
            break;
        if (log_tail_prepend(fd, text, out_is_cut, &size, err) != 0)
            return -1;
        if (age == 0) {
            tail->offset = size;
            tail->fd = take_fd(&fd);
        }
        if (log_tail_count_lines(text) >= line_count)
            break;
    }
    *out_is_cut = *out_is_cut && log_tail_count_lines(text) < line_count;
    return 0;
}

int log_tail_last(struct log_tail *tail, size_t line_count, struct buf *out, bool *out_is_cut,
                  struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(LOG_TAIL_MAX_BYTES);
    const char *end = NULL;
    const char *begin = NULL;

    if (log_tail_collect(tail, line_count, &text, out_is_cut, err) != 0)
        return -1;
    end = strrchr(text.data, '\n');
    if (end == NULL) {
        tail->offset = 0;
        return 0;
    }
    tail->offset -= (int64_t)strlen(end + 1); /* a line that is not whole yet is read later */
    begin = log_tail_find(&text, line_count);
    if (buf_add(out, begin, (size_t)(end + 1 - begin)) < 0)
        return err_set(err, ERR_INTERNAL, "no memory for a log");
    return 0;
}

/* ---- what comes ---- */

/* How often the file at FD has been turned over; -1: it is gone, or was never one of ours. */
static int log_tail_age(const struct log_tail *tail)
{
    struct stat mine;
    struct stat other;

    if (fstat(tail->fd, &mine) != 0)
        return -1;
    for (int age = 0; age < LOG_FILE_KEEP_COUNT; age++) {
        AUTO_FREE char *path = age == 0 ? xstrdup(tail->path) : xasprintf("%s.%d", tail->path, age);

        if (stat(path, &other) == 0 && other.st_ino == mine.st_ino && other.st_dev == mine.st_dev)
            return age;
    }
    return -1;
}

/* On to the file that came after the one at fd, whose end has been reached. 0: there is none. */
static int log_tail_turn_over(struct log_tail *tail, bool *out_has_gap, struct err *err)
{
    int age = tail->fd < 0 ? 1 : log_tail_age(tail);
    int newer_fd = -1;

    if (age == 0)
        return 0;
    *out_has_gap = *out_has_gap || age < 0;
    if (age < 0)
        age = LOG_FILE_KEEP_COUNT; /* the oldest there is */
    for (age--; age >= 0 && newer_fd < 0; age--) {
        if (log_tail_open(tail, age, &newer_fd, err) != 0)
            return -1;
    }
    if (newer_fd < 0)
        return 0;
    attr_close(&tail->fd);
    tail->fd = newer_fd;
    tail->offset = 0;
    return 1;
}

/* What follows the last line end is left for later, unless it fills a chunk alone. */
static void log_tail_cut(struct log_tail *tail, struct buf *chunk)
{
    const char *end = memrchr(chunk->data, '\n', chunk->len);

    if (end != NULL)
        chunk->len = (size_t)(end + 1 - chunk->data);
    else if (chunk->len < LOG_TAIL_CHUNK_BYTES)
        chunk->len = 0;
    tail->offset += (int64_t)chunk->len;
}

int log_tail_next(struct log_tail *tail, struct buf *out, bool *out_has_gap, struct err *err)
{
    AUTO_BUF struct buf chunk = BUF_INIT(LOG_TAIL_CHUNK_BYTES);
    int rc = 1;

    *out_has_gap = false;
    while (rc > 0) {
        buf_clear(&chunk);
        if (tail->fd >= 0 &&
            log_tail_read(tail->fd, tail->offset, LOG_TAIL_CHUNK_BYTES, &chunk, err) != 0)
            return -1;
        log_tail_cut(tail, &chunk);
        if (chunk.len > 0)
            break;
        rc = log_tail_turn_over(tail, out_has_gap, err);
    }
    if (rc > 0 && buf_add(out, chunk.data, chunk.len) < 0)
        return err_set(err, ERR_INTERNAL, "no memory for a log");
    return rc;
}
