/* Owns the format of the records between rbeed and rbee-watch. Knows no process. */
#include "common/watch_record.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct watch_record watch_record_of(enum watch_kind kind, const char *instance)
{
    struct watch_record record = {.magic = WATCH_MAGIC, .kind = kind};

    assert(strlen(instance) < sizeof(record.instance));
    memcpy(record.instance, instance, strlen(instance));
    return record;
}

struct watch_record watch_record_add(pid_t pid, uint64_t start_ticks, const char *instance)
{
    struct watch_record record = watch_record_of(WATCH_ADD, instance);

    record.pid = pid;
    record.start_ticks = start_ticks;
    return record;
}

struct watch_record watch_record_remove(const char *instance)
{
    return watch_record_of(WATCH_REMOVE, instance);
}

int watch_reader_fill(struct watch_reader *reader, int fd, struct err *err)
{
    ssize_t got = 0;

    assert(reader->len < sizeof(struct watch_record));
    do
        got = read(fd, reader->bytes + reader->len, sizeof(reader->bytes) - reader->len);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(err, ERR_IO, "read the pipe: %m");
    reader->len += (size_t)got;
    return got > 0;
}

/* What token_new_id() makes: some characters of base64 for URLs, and zeros behind them. */
static bool watch_instance_is_valid(const char instance[WATCH_INSTANCE_BYTES])
{
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strnlen(instance, WATCH_INSTANCE_BYTES);

    if (len == 0 || len == WATCH_INSTANCE_BYTES || strspn(instance, ALPHABET) != len)
        return false;
    for (size_t i = len; i < WATCH_INSTANCE_BYTES; i++) {
        if (instance[i] != '\0')
            return false;
    }
    return true;
}

/* 0, 1 and what is below them are no worker's, and mean other things to kill(). */
static bool watch_leader_is_valid(const struct watch_record *record)
{
    if (record->kind == WATCH_REMOVE)
        return record->pid == 0 && record->start_ticks == 0;
    return record->pid > 1;
}

static int watch_record_check(const struct watch_record *record, struct err *err)
{
    if (record->magic != WATCH_MAGIC)
        return err_set(err, ERR_PROTOCOL, "no record: it begins with %08x", record->magic);
    if (record->kind != WATCH_ADD && record->kind != WATCH_REMOVE)
        return err_set(err, ERR_PROTOCOL, "a record of no kind: %u", record->kind);
    if (!watch_instance_is_valid(record->instance))
        return err_set(err, ERR_PROTOCOL, "a record without a valid instance");
    if (!watch_leader_is_valid(record))
        return err_set(err, ERR_PROTOCOL, "a record of process %d", (int)record->pid);
    return 0;
}

int watch_reader_next(struct watch_reader *reader, struct watch_record *out, struct err *err)
{
    struct watch_record record;

    if (reader->len < sizeof(record))
        return 0;
    memcpy(&record, reader->bytes, sizeof(record));
    if (watch_record_check(&record, err) != 0)
        return -1;
    reader->len -= sizeof(record);
    memmove(reader->bytes, reader->bytes + sizeof(record), reader->len);
    *out = record;
    return 1;
}
