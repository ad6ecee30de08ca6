/* Owns libcurl's handle and what is asked of it. Must not know what is fetched. */
#include "fetch/transfer.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/units.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    TRANSFER_HOPS_MAX = 8, /* what servers need is two or three */
    TRANSFER_TICK_MS = 100,
    TRANSFER_BUFFER_BYTES = 256 << 10,
    /* A server that sends a byte now and then has stalled as well. */
    TRANSFER_STALL_MIN_BYTES = 1 << 10,
    TRANSFER_DROPPED_MAX_BYTES = 64
                                 << 10, /* the body of a redirect or an error, which nobody reads */
    TRANSFER_CONTENT_RANGE_BYTES = 96,  /* "bytes N-N/N" with the longest numbers */
    MS_PER_SECOND = 1000,
};

struct transfer {
    struct transfer_settings settings;
    struct origin endpoint;
    CURLM *multi;
    CURL *easy;
    char message[CURL_ERROR_SIZE];
    const struct transfer_request *request; /* the one that runs */
    struct err *err;                        /* its caller's */
    bool is_asked;                          /* the head has been judged */
    bool is_wanted;
    bool has_failed; /* err is filled */
    size_t dropped_bytes;
    /* For the stall: what had come when the window began. */
    int64_t got_bytes;
    int64_t window_bytes;
    uint64_t window_ms;
};

/* ---- heads ---- */

static const char *header_of(struct transfer *transfer, const char *name)
{
    struct curl_header *header = NULL;

    if (curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

/* "bytes 5-9/10", "bytes *" "/10" and "bytes 5-9" "/" "*": what is not said stays -1. */
static void read_content_range(const char *text, struct transfer_head *head)
{
    static const char UNIT[] = "bytes ";
    char number[TRANSFER_CONTENT_RANGE_BYTES];
    const char *slash = text == NULL ? NULL : strchr(text, '/');
    struct err ignored = ERR_INIT; /* a number that is none is not said */

    if (slash == NULL || strncasecmp(text, UNIT, strlen(UNIT)) != 0)
        return;
    (void)units_parse_integer(slash + 1, 0, INT64_MAX, &head->range_total_bytes, &ignored);
    (void)snprintf(number, sizeof(number), "%s", text + strlen(UNIT));
    number[strcspn(number, "-/")] = '\0';
    (void)units_parse_integer(number, 0, INT64_MAX, &head->range_first_byte, &ignored);
}

static void read_head(struct transfer *transfer, struct transfer_head *head)
{
    const char *etag = header_of(transfer, "ETag");
    curl_off_t length = -1;

    *head = (struct transfer_head){.range_first_byte = -1, .range_total_bytes = -1};
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &head->status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    head->length_bytes = length;
    read_content_range(header_of(transfer, "Content-Range"), head);
    /* A weak one does not say that the bytes are the same. */
    if (etag != NULL && etag[0] == '"' && strlen(etag) < sizeof(head->etag))
        memcpy(head->etag, etag, strlen(etag) + 1);
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static int refuse_access(struct transfer *transfer, long status, struct err *err)
{
    const char *code = header_of(transfer, "X-Error-Code");
    const struct transfer_settings *settings = &transfer->settings;

    if (code != NULL && strcmp(code, "RepoNotFound") == 0 && settings->token == NULL)
        return err_set(err, ERR_MODEL_NOT_FOUND,
                       "there is no such repository, or it is private and wants a token: "
                       "pull.token_file (%s)",
                       settings->no_token);
    if (code != NULL && strcmp(code, "GatedRepo") == 0)
        return err_set(err, ERR_FORBIDDEN,
                       "the model is gated: accept its terms on its page, and put a token of that "
                       "account into a file that pull.token_file names (%s)",
                       settings->token == NULL ? settings->no_token : "the one shown may not");
    if (settings->token == NULL)
        return err_set(err, ERR_FORBIDDEN,
                       "the server wants a token (%ld): put it into a file that pull.token_file "
                       "names (%s)",
                       status, settings->no_token);
    return err_set(err, ERR_FORBIDDEN,
                   "the server refuses us (%ld), whether it was shown our token or not", status);
}

static bool is_worth_a_try(long status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* Any other reply than those that bring something. */
static int refuse_status(struct transfer *transfer, long status, struct err *err)
{
    curl_off_t after_s = 0;

    if (status == 401 || status == 403)
        return refuse_access(transfer, status, err);
    if (status == 404 || status == 410)
        return err_set(err, ERR_MODEL_NOT_FOUND, "there is no such repository or file (%ld)",
                       status);
    if (!is_worth_a_try(status))
        return err_set(err, ERR_PROTOCOL, "the server answers with status %ld", status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &after_s);
    err_fill(err, ERR_DOWNLOAD, "the server is too busy, or broken (%ld)", status);
    if (after_s > 0)
        err->retry_after_ms = (uint64_t)after_s * MS_PER_SECOND;
    return -1;
}

static int judge_head(struct transfer *transfer, struct err *err)
{
    const char *encoding = header_of(transfer, "Content-Encoding");
    struct transfer_head head;
    int verdict = 0;

    transfer->is_asked = true;
    read_head(transfer, &head);
    if (is_redirect(head.status))
        return 0; /* its body is nobody's */
    if (head.status != 200 && head.status != 206 && head.status != 416)
        return refuse_status(transfer, head.status, err);
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0)
        return err_set(err, ERR_PROTOCOL, "the server sends the file encoded, as nobody asked for");
    verdict = transfer->request->on_head(transfer->request->owner, &head, err);
    transfer->is_wanted = verdict == 0;
    return verdict < 0 ? -1 : 0;
}

/* ---- bodies ---- */

/* Another count than LEN ends the transfer. */
static size_t on_body(char *data, size_t size, size_t len, void *owner)
{
    struct transfer *transfer = owner;

    if (!transfer->is_asked && judge_head(transfer, transfer->err) < 0) {
        transfer->has_failed = true;
        return 0;
    }
    transfer->got_bytes += (int64_t)len;
    if (!transfer->is_wanted) {
        transfer->dropped_bytes += len;
        return transfer->dropped_bytes > TRANSFER_DROPPED_MAX_BYTES ? 0 : len;
    }
    if (transfer->request->on_body(transfer->request->owner, data, len, transfer->err) == 0)
        return len;
    transfer->has_failed = true;
    return 0;
}

/* ---- one hop ---- */

static bool has_stalled(struct transfer *transfer)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (transfer->got_bytes - transfer->window_bytes >= TRANSFER_STALL_MIN_BYTES) {
        transfer->window_bytes = transfer->got_bytes;
        transfer->window_ms = now_ms;
    }
    return now_ms - transfer->window_ms >= (uint64_t)transfer->settings.stall_ms;
}

static CURLcode read_result(struct transfer *transfer)
{
    int left = 0;
    const CURLMsg *message = curl_multi_info_read(transfer->multi, &left);

    return message == NULL || message->msg != CURLMSG_DONE ? CURLE_OK : message->data.result;
}

/* Until it has ended, or has stalled: then *OUT_HAS_STALLED. */
static CURLcode run(struct transfer *transfer, bool *out_has_stalled)
{
    const struct transfer_request *request = transfer->request;
    int running = 1;

    transfer->window_ms = clock_monotonic_ms();
    transfer->got_bytes = transfer->window_bytes = 0;
    for (;;) {
        CURLMcode rc = curl_multi_perform(transfer->multi, &running);

        if (rc != CURLM_OK)
            return CURLE_FAILED_INIT;
        if (running == 0)
            return read_result(transfer);
        if (request->on_tick != NULL)
            request->on_tick(request->owner);
        *out_has_stalled = has_stalled(transfer);
        if (*out_has_stalled)
            return CURLE_OPERATION_TIMEDOUT;
        (void)curl_multi_poll(transfer->multi, NULL, 0, TRANSFER_TICK_MS, NULL); /* or at once */
    }
}

static int tell_failure(struct transfer *transfer, CURLcode code, struct err *err)
{
    const char *why = transfer->message[0] != '\0' ? transfer->message : curl_easy_strerror(code);

    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return err_set(err, ERR_PROTOCOL, "the server's certificate does not hold: %s", why);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return err_set(err, ERR_INVALID, "that is no URL to be fetched: %s", why);
    default:
        return err_set(err, ERR_DOWNLOAD, "%s", why);
    }
}

static int hop(struct transfer *transfer, struct err *err)
{
    bool stalled = false;
    CURLcode code = CURLE_OK;

    transfer->err = err;
    transfer->is_asked = transfer->is_wanted = transfer->has_failed = false;
    transfer->dropped_bytes = 0;
    transfer->message[0] = '\0';
    if (curl_multi_add_handle(transfer->multi, transfer->easy) != CURLM_OK)
        return err_set(err, ERR_INTERNAL, "libcurl takes no transfer");
    code = run(transfer, &stalled);
    (void)curl_multi_remove_handle(transfer->multi, transfer->easy); /* it was added */
    if (transfer->has_failed)
        return -1;
    if (stalled)
        return err_set(err, ERR_DOWNLOAD, "nothing came for %lld ms",
                       (long long)transfer->settings.stall_ms);
    if (transfer->is_asked && !transfer->is_wanted)
        return 0; /* ended by us, where it did not end by itself */
    if (code != CURLE_OK)
        return tell_failure(transfer, code, err);
    return transfer->is_asked ? 0 : judge_head(transfer, err); /* a reply without a body */
}

/* ---- the request and its hops ---- */

static void set_range(struct transfer *transfer, const struct transfer_request *request,
                      struct curl_slist **headers)
{
    char range[32];

    (void)curl_easy_setopt(transfer->easy, CURLOPT_RANGE, NULL);
    if (request->first_byte <= 0)
        return;
    (void)snprintf(range, sizeof(range), "%lld-", (long long)request->first_byte);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_RANGE, range);
    if (request->etag[0] != '\0') {
        AUTO_FREE char *line = xasprintf("If-Range: %s", request->etag);

        *headers = curl_slist_append(*headers, line);
    }
}

static int ask(struct transfer *transfer, const struct transfer_request *request, const char *url,
               const struct origin *origin, struct err *err)
{
    struct curl_slist *headers = NULL;
    const char *token = transfer->settings.token;
    int result = 0;

    set_range(transfer, request, &headers);
    /* What is on this machine goes through nobody's hands; elsewhere the environment's proxy. */
    (void)curl_easy_setopt(transfer->easy, CURLOPT_PROXY, origin_is_loopback(origin) ? "" : NULL);
    if (token != NULL && origin_takes_token(&transfer->endpoint, origin)) {
        AUTO_FREE char *line = xasprintf("Authorization: Bearer %s", token);

        headers = curl_slist_append(headers, line);
    }
    (void)curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    result = hop(transfer, err);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return result < 0 ? err_wrap(err, "%s", origin->host) : 0;
}

/* Where the last reply leads to; NULL: nowhere. Owned by the caller. */
static char *next_hop(struct transfer *transfer)
{
    long status = 0;
    char *url = NULL;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!is_redirect(status))
        return NULL;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &url);
    return xstrdup(url == NULL ? "" : url);
}

int transfer_get(struct transfer *transfer, const struct transfer_request *request, struct err *err)
{
    AUTO_FREE char *url = xstrdup(request->url);
    struct origin origin;
    struct origin before;

    if (origin_of(url, &origin, err) < 0)
        return -1;
    transfer->request = request;
    for (int hops = 0; hops <= TRANSFER_HOPS_MAX; hops++) {
        char *next = NULL;

        if (ask(transfer, request, url, &origin, err) < 0)
            return -1;
        next = next_hop(transfer);
        if (next == NULL)
            return 0;
        free(url);
        url = next;
        before = origin;
        if (origin_of(url, &origin, err) < 0) {
            err->kind = ERR_PROTOCOL;
            return err_wrap(err, "%s redirects", before.host);
        }
        if (!origin_may_follow(&before, &origin))
            return err_set(err, ERR_PROTOCOL, "%s redirects from https to http: not followed",
                           before.host);
    }
    return err_set(err, ERR_PROTOCOL, "%s redirects more than %d times", origin.host,
                   TRANSFER_HOPS_MAX);
}

char *transfer_next_link(struct transfer *transfer)
{
    const char *link = header_of(transfer, "Link");
    const char *end = link == NULL ? NULL : strchr(link, '>');

    if (end == NULL || link[0] != '<' || strstr(end, "rel=\"next\"") == NULL)
        return NULL;
    return xstrndup(link + 1, (size_t)(end - link - 1));
}

/* ---- the handle ---- */

/* Which of these fail depends on what libcurl was built with; none of them does here. */
static void set_up(struct transfer *transfer)
{
    CURL *easy = transfer->easy;

    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's are not ours */
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "rbee/" RBEE_VERSION);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)TRANSFER_BUFFER_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)transfer->settings.stall_ms);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

struct transfer *transfer_new(const struct transfer_settings *settings, struct err *err)
{
    struct transfer *transfer = xcalloc(1, sizeof(*transfer));

    transfer->settings = *settings;
    if (origin_of(settings->endpoint, &transfer->endpoint, err) < 0) {
        err->kind = ERR_CONFIG;
        free(transfer);
        return err_wrap_null(err, "pull.endpoint");
    }
    transfer->multi = curl_multi_init();
    transfer->easy = curl_easy_init();
    if (transfer->multi == NULL || transfer->easy == NULL) {
        transfer_free(transfer);
        return err_set_null(err, ERR_INTERNAL, "libcurl does not begin");
    }
    set_up(transfer);
    return transfer;
}

void transfer_free(struct transfer *transfer)
{
    if (transfer == NULL)
        return;
    curl_easy_cleanup(transfer->easy); /* both accept NULL */
    (void)curl_multi_cleanup(transfer->multi);
    free(transfer);
}
