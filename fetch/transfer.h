/* One GET at a time, over libcurl: redirects are followed here and not there, so that each host
 * that a stranger's reply leads to is looked at before it is asked, and the token goes to its own
 * place alone.
 *
 * A failure is ERR_DOWNLOAD when trying again may help: no connection, a reply that breaks off,
 * silence, 408, 429 and 5xx. Everything else is final. */
#ifndef RBEE_FETCH_TRANSFER_H
#define RBEE_FETCH_TRANSFER_H

#include "common/err.h"
#include "fetch/origin.h"

#include <stddef.h>
#include <stdint.h>

struct transfer;

enum { TRANSFER_ETAG_MAX_BYTES = 256 };

/* The head of the last reply, after all redirects. */
struct transfer_head {
    long status;
    int64_t length_bytes;               /* of this body; -1: not said */
    int64_t range_first_byte;           /* 206 and 416; -1: not said */
    int64_t range_total_bytes;          /* the same; of the whole file */
    char etag[TRANSFER_ETAG_MAX_BYTES]; /* a strong one; "": none */
};

struct transfer_settings {
    const char *endpoint; /* borrowed, as all texts here */
    const char *token;    /* for the endpoint alone; NULL: none */
    const char *no_token; /* why there is none, for who is refused without one; never NULL */
    int64_t stall_ms;
};

struct transfer_request {
    const char *url;
    int64_t first_byte; /* above 0: a range to the end is asked for */
    const char *etag;   /* of what was got so far; "": unknown, the range is asked for as it is */
    /* The reply is one of 200, 206 and 416. 0: its body is wanted. 1: it is not. -1 with err. */
    int (*on_head)(void *owner, const struct transfer_head *head, struct err *err);
    int (*on_body)(void *owner, const void *data, size_t len, struct err *err);
    /* Several times a second, also while nothing comes. May be NULL. */
    void (*on_tick)(void *owner);
    void *owner;
};

struct transfer *transfer_new(const struct transfer_settings *settings, struct err *err);
void transfer_free(struct transfer *transfer);
/* 0: the reply is complete, or its body was not wanted. */
int transfer_get(struct transfer *transfer, const struct transfer_request *request,
                 struct err *err);
/* The target of the header "Link: <…>; rel="next"" of the last reply; the caller frees it. NULL:
 * there was none. */
char *transfer_next_link(struct transfer *transfer);

#endif
