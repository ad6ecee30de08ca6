/* What rbeed tells rbee-watch: records of one size over a pipe. Each is written by one write(),
 * which a pipe never cuts at this size; the reader puts up with any cut all the same. */
#ifndef RBEE_COMMON_WATCH_RECORD_H
#define RBEE_COMMON_WATCH_RECORD_H

#include "common/err.h"
#include "common/token.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum watch_kind {
    WATCH_ADD = 1,    /* this group is to end with the supervisor */
    WATCH_REMOVE = 2, /* it has ended */
};

enum {
    WATCH_MAGIC = 0x31575252, /* "RRW1": another one is another format, or not the start of one */
    WATCH_INSTANCE_BYTES = 28,
    /* All of them fit into a pipe of the usual 64 KiB before anyone reads. */
    WATCH_GROUP_MAX_COUNT = 1024,
    WATCH_READ_COUNT = 32, /* records at a time */
};

struct watch_record {
    uint32_t magic;
    uint32_t kind;
    uint64_t start_ticks;
    int32_t pid;                         /* the leader's, which is the group's id; 0 in a REMOVE */
    char instance[WATCH_INSTANCE_BYTES]; /* zero behind its text */
};

static_assert(sizeof(struct watch_record) == 48, "no padding: it travels as it is");
static_assert((int)TOKEN_ID_BYTES <= (int)WATCH_INSTANCE_BYTES, "an instance fits");
static_assert(WATCH_GROUP_MAX_COUNT * sizeof(struct watch_record) <= 64 << 10, "as said above");

/* INSTANCE is one of token_new_id(). */
struct watch_record watch_record_add(pid_t pid, uint64_t start_ticks, const char *instance);
struct watch_record watch_record_remove(const char *instance);

struct watch_reader {
    char bytes[WATCH_READ_COUNT * sizeof(struct watch_record)];
    size_t len;
};

/* Reads what there is, waiting for it if need be; only when watch_reader_next() has said 0. 1: some
 * bytes came; 0: the end; -1: err. */
int watch_reader_fill(struct watch_reader *reader, int fd, struct err *err);
/* 1: *out is the next record; 0: it is not complete yet; -1: what came is none (ERR_PROTOCOL), and
 * nothing after it can be trusted. */
int watch_reader_next(struct watch_reader *reader, struct watch_record *out, struct err *err);

#endif
