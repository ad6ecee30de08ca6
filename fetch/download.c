/* Owns the way of one file from its server to its part. Must not know whose model it is. */
#include "fetch/download.h"

#include "common/mem.h"
#include "common/paths.h"
#include "fetch/checksum.h"
#include "fetch/part.h"

#include <string.h>
#include <sys/stat.h>

#define GGUF_MAGIC "GGUF"

enum {
    /* So much at most is fetched again after a loss of power. */
    DOWNLOAD_SYNC_EVERY_BYTES = 64 << 20,
};

struct run {
    const struct download *download;
    struct part part;
    int64_t best_bytes; /* the most that has ever been there: progress is what passes it */
    bool is_mixed;      /* its bytes come from more than one reply */
    bool has_no_ranges; /* the server has shown that it cannot */
    bool was_there;
};

/* ---- what a reply says ---- */

static int begin_anew(struct run *run, struct err *err)
{
    run->is_mixed = false;
    return part_clear(&run->part, err);
}

/* Its name is taken, by a file as long as this one is: of a server that tells no sums, that is all
 * there is to compare. */
static bool is_there(const struct download *download, int64_t size_bytes)
{
    AUTO_FREE char *place = paths_join(download->folder, download->name);
    struct stat status;

    return download->sha256[0] == '\0' && stat(place, &status) == 0 && S_ISREG(status.st_mode) &&
           status.st_size == size_bytes;
}

/* The length of the whole file by HEAD; -1 with err when it is not said, or not what was. */
static int64_t whole_size(const struct run *run, const struct transfer_head *head, struct err *err)
{
    int64_t size_bytes = head->status == 206 ? head->range_total_bytes : head->length_bytes;
    int64_t expected_bytes = run->download->size_bytes;

    if (size_bytes < 0)
        return err_set(
            err, ERR_PROTOCOL,
            "the server does not say how long the file is: nobody could tell a whole one "
            "from one that is cut");
    if (size_bytes == 0)
        return err_set(err, ERR_PROTOCOL, "the server sends an empty file");
    if (expected_bytes >= 0 && size_bytes != expected_bytes)
        return err_set(err, ERR_PROTOCOL,
                       "the listing says that the file has %lld bytes, the server says %lld",
                       (long long)expected_bytes, (long long)size_bytes);
    return size_bytes;
}

/* Whether the reply is of another file than the part is. Where no sum will tell, its length must be
 * the same as well. */
static bool is_of_other(const struct run *run, const struct transfer_head *head)
{
    const struct part *part = &run->part;

    if (part->etag[0] != '\0' && head->etag[0] != '\0' && strcmp(part->etag, head->etag) != 0)
        return true;
    return run->download->sha256[0] == '\0' && part->size_bytes > 0 &&
           head->range_total_bytes != part->identity.size_bytes;
}

/* Ranges: 206 goes on where the part ends, if it is of the same file; all else begins anew. Where
 * no sum will tell, a server that does not say its ETag may be one that has not looked at ours. */
static int judge_range(struct run *run, const struct transfer_head *head, struct err *err)
{
    struct part *part = &run->part;
    bool is_other = is_of_other(run, head);
    bool is_sure = run->download->sha256[0] != '\0' || head->etag[0] != '\0';

    if (head->range_first_byte == part->size_bytes && part->size_bytes > 0 && !is_other && is_sure)
        return 0;
    run->has_no_ranges = run->has_no_ranges || !is_other;
    if (begin_anew(run, err) < 0)
        return -1;
    return err_set(err, ERR_DOWNLOAD, "%s",
                   is_other ? "the file has changed on the server: from the beginning"
                            : "the server sends another range than was asked for, or does not "
                              "say of what: from the beginning");
}

static int on_head(void *owner, const struct transfer_head *head, struct err *err)
{
    struct run *run = owner;
    int64_t size_bytes = 0;

    if (head->status == 416) { /* the part is longer than the file, or the server is odd */
        run->has_no_ranges = true;
        if (begin_anew(run, err) < 0)
            return -1;
        return err_set(err, ERR_DOWNLOAD,
                       "the server has nothing from there on: from the beginning");
    }
    size_bytes = whole_size(run, head, err);
    if (size_bytes < 0)
        return -1;
    if (head->status == 206 && judge_range(run, head, err) < 0)
        return -1;
    if (is_there(run->download, size_bytes)) {
        run->was_there = true;
        return 1;
    }
    if (head->status == 200 && begin_anew(run, err) < 0)
        return -1;
    if (part_check_room(run->part.folder, size_bytes - run->part.size_bytes, err) < 0)
        return -1;
    return part_note(&run->part, head->etag, size_bytes, err);
}

static int64_t all_bytes(const struct run *run)
{
    int64_t total_bytes = run->download->total_bytes;

    return total_bytes >= 0 ? total_bytes : run->part.identity.size_bytes;
}

/* A page that says "sign in", with status 200, is found after four bytes and not after all. */
static int check_magic(struct run *run, const char *data, size_t len, struct err *err)
{
    for (size_t i = 0; i < len && (size_t)run->part.size_bytes + i < strlen(GGUF_MAGIC); i++) {
        if (data[i] != GGUF_MAGIC[(size_t)run->part.size_bytes + i])
            return err_set(err, ERR_INVALID_MODEL, "what the server sends is no GGUF file");
    }
    return 0;
}

static int on_body(void *owner, const void *data, size_t len, struct err *err)
{
    struct run *run = owner;
    struct part *part = &run->part;

    if ((int64_t)len > part->identity.size_bytes - part->size_bytes)
        return err_set(err, ERR_PROTOCOL, "the server sends more than the %lld bytes it told",
                       (long long)part->identity.size_bytes);
    if (check_magic(run, data, len, err) < 0 || part_write(part, data, len, err) < 0)
        return -1;
    tell_progress(run->download->tell, "download", run->download->before_bytes + part->size_bytes,
                  all_bytes(run));
    if (part->size_bytes - part->synced_bytes < DOWNLOAD_SYNC_EVERY_BYTES)
        return 0;
    return part_sync(part, err);
}

static void on_tick(void *owner)
{
    struct run *run = owner;

    if (run->part.identity.size_bytes >= 0)
        tell_progress(run->download->tell, "download",
                      run->download->before_bytes + run->part.size_bytes, all_bytes(run));
}

/* ---- tries ---- */

/* Without a sum that is looked at in the end, or an ETag that the server looks at, nobody could
 * tell that the rest is of another file. */
static bool can_resume(const struct run *run)
{
    return !run->has_no_ranges && (run->download->sha256[0] != '\0' || run->part.etag[0] != '\0');
}

static int try_once(struct run *run, struct err *err)
{
    struct part *part = &run->part;
    struct transfer_request request = {.url = run->download->url,
                                       .etag = part->etag,
                                       .on_head = on_head,
                                       .on_body = on_body,
                                       .on_tick = on_tick,
                                       .owner = run};

    if (part->size_bytes > 0 && !can_resume(run) && begin_anew(run, err) < 0)
        return -1;
    request.first_byte = part->size_bytes;
    run->is_mixed = run->is_mixed || part->size_bytes > 0;
    if (transfer_get(run->download->transfer, &request, err) < 0)
        return -1;
    if (run->was_there || part->size_bytes == part->identity.size_bytes)
        return 0;
    return err_set(err, ERR_DOWNLOAD, "the server ended after %lld of %lld bytes",
                   (long long)part->size_bytes, (long long)part->identity.size_bytes);
}

/* Whether there is another try, after a while; else ERR is the end. */
static bool try_again(struct run *run, struct retry *retry, struct err *err)
{
    bool has_progress = run->part.size_bytes > run->best_bytes;

    if (has_progress)
        run->best_bytes = run->part.size_bytes;
    return retry_wait(retry, has_progress, err);
}

static int fetch_all(struct run *run, struct retry *retry, struct err *err)
{
    struct part *part = &run->part;

    if (part->identity.size_bytes > 0 && part->size_bytes == part->identity.size_bytes) {
        run->is_mixed = true; /* of another run; its sum tells, or its description */
        return 0;
    }
    while (try_once(run, err) < 0) {
        if (!try_again(run, retry, err))
            return -1;
    }
    return 0;
}

/* ---- the sum ---- */

static int check_sum(struct run *run, struct download_result *out, struct err *err)
{
    const struct download *download = run->download;
    const struct checksum_progress progress = {.tell = download->tell,
                                               .before_bytes = download->before_bytes,
                                               .total_bytes = all_bytes(run)};

    if (checksum_file(run->part.fd, &progress, out->sha256, &out->size_bytes, err) < 0)
        return -1;
    if (download->sha256[0] == '\0' || strcmp(download->sha256, out->sha256) == 0)
        return 0;
    return err_set(err, ERR_CHECKSUM,
                   "the checksum of %s is wrong: it should be %s and is %s; nothing of it is kept",
                   download->name, download->sha256, out->sha256);
}

/* What came in pieces may have been pieced together of two files: once more, in one piece. */
static int run_checked(struct run *run, struct download_result *out, struct err *err)
{
    struct retry retry = run->download->retry;

    for (;;) {
        if (fetch_all(run, &retry, err) < 0)
            return -1;
        out->was_there = run->was_there;
        if (run->was_there)
            return 0;
        if (part_sync(&run->part, err) < 0)
            return -1;
        if (check_sum(run, out, err) == 0)
            return 0;
        if (err->kind != ERR_CHECKSUM || !run->is_mixed)
            return -1;
        tell_note("the checksum of %s is wrong; what was there before may be of another file: from "
                  "the beginning",
                  run->download->name);
        err_clear(err);
        if (begin_anew(run, err) < 0)
            return -1;
    }
}

int download_run(const struct download *download, struct download_result *out, struct err *err)
{
    AUTO_FREE char *identity_url = xstrndup(download->url, strcspn(download->url, "?#"));
    const struct part_identity identity = {
        .url = identity_url, .sha256 = download->sha256, .size_bytes = download->size_bytes};
    struct run run = {.download = download, .part = {.fd = -1}};
    int result = part_open(&run.part, download->folder, download->name, &identity, err);
    bool is_useless = false;

    *out = (struct download_result){.was_there = false};
    if (result == 0) {
        run.best_bytes = run.part.size_bytes;
        result = run_checked(&run, out, err);
        /* What is wrong is no part of anything, and nothing is not either. */
        is_useless = out->was_there ||
                     (result < 0 && (err->kind == ERR_CHECKSUM || err->kind == ERR_INVALID_MODEL ||
                                     run.part.size_bytes == 0));
    }
    if (is_useless)
        part_remove(download->folder, download->name);
    part_release(&run.part);
    return result;
}
