/* Owns the order of a pull: choose, check room, fetch, wait for the word, name. Must not know how a
 * byte comes here. */
#include "fetch/pull.h"

#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/token.h"
#include "common/token_file.h"
#include "fetch/checksum.h"
#include "fetch/choose.h"
#include "fetch/download.h"
#include "fetch/file_name.h"
#include "fetch/hub.h"
#include "fetch/part.h"
#include "fetch/tell.h"
#include "fetch/transfer.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PULL_FOLDER_MODE = 0755 };

/* One file of the model. */
struct pull_file {
    char *url;
    char *name;         /* in the folder */
    int64_t size_bytes; /* -1: not known yet */
    char sha256[CHECKSUM_TEXT_BYTES];
    bool is_published; /* the sum is what the repository says */
    bool is_there;     /* it has its place, and is right */
    bool is_linked;    /* so it was, and is beside the others now, too */
};

struct pull {
    const struct job *job;
    struct transfer *transfer;
    struct tell tell;
    char *folder; /* of all its files; NULL: not chosen yet */
    struct pull_file *files;
    size_t file_count;
    int64_t total_bytes; /* -1: not known yet */
};

/* ---- the token ---- */

/* NULL without err: there is none, and *OUT_WHY says why. The caller wipes and frees it. */
static char *read_token(const struct job *job, struct err *out_why, struct err *err)
{
    char *token = NULL;

    err_fill(out_why, ERR_NO_FILE, "there is no %s", job->token_file);
    if (job->token_file[0] == '\0')
        return NULL;
    token = token_file_read(job->token_file, SECRET_FILE_OURS, out_why);
    if (token == NULL && !job->token_is_optional)
        *err = *out_why;
    return token;
}

/* ---- what to fetch ---- */

static struct pull_file *add_file(struct pull *pull, char *url, char *name)
{
    struct pull_file *file = NULL;

    pull->files = xgrow(pull->files, pull->file_count, sizeof(*pull->files));
    file = &pull->files[pull->file_count++];
    *file = (struct pull_file){.url = url, .name = name, .size_bytes = -1};
    return file;
}

/* Where the model will be: at its first file. The caller frees it. */
static char *first_place(const struct pull *pull)
{
    assert(pull->files != NULL); /* chosen already */
    return paths_join(pull->folder, pull->files[0].name);
}

static void tell_chosen(const struct pull *pull, const char *why)
{
    AUTO_FREE char *path = first_place(pull);

    tell_line(json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "type", "chosen", "file",
                        pull->files[0].name, "why", why, "files", (json_int_t)pull->file_count,
                        "total_bytes", (json_int_t)pull->total_bytes, "path",
                        json_text_lossy(path, strlen(path))));
}

/* PATH of a repository below FOLDER, without its last part: the folders of a repository are kept,
 * for two of its files may have one name. Owned by the caller. */
static char *folder_of(const char *folder, const char *path)
{
    const char *name = file_path_last(path);

    if (name == path)
        return xstrdup(folder);
    return xasprintf("%s/%.*s", folder, (int)(name - path) - 1, path);
}

static int add_chosen(struct pull *pull, const struct choice *choice, struct err *err)
{
    const struct job *job = pull->job;

    pull->folder = folder_of(job->folder, choice->files[0]->path); /* the parts lie together */
    pull->total_bytes = 0;
    for (size_t i = 0; i < choice->count; i++) {
        const struct hub_file *from = choice->files[i];
        struct pull_file *file = add_file(pull, hub_file_url(job->endpoint, job->repo, from->path),
                                          xstrdup(file_path_last(from->path)));

        file->size_bytes = from->size_bytes;
        file->is_published = from->sha256[0] != '\0';
        memcpy(file->sha256, from->sha256, sizeof(file->sha256));
        if (__builtin_add_overflow(pull->total_bytes, from->size_bytes, &pull->total_bytes))
            return err_set(err, ERR_PROTOCOL, "the listing has sizes that nothing has");
    }
    return 0;
}

static int find_in_hub(struct pull *pull, struct err *err)
{
    const struct job *job = pull->job;
    struct hub_files files = {.files = NULL};
    struct choice choice = {.files = NULL};
    struct retry retry = {.base_ms = job->retry_base_ms, .count_max = job->retries};
    int result = 0;

    while (hub_list(pull->transfer, job->endpoint, job->repo, &files, err) < 0) {
        hub_files_release(&files);
        if (!retry_wait(&retry, false, err))
            return err_wrap(err, "%s", job->repo);
    }
    result = choose_files(&files, job->quant, job->file, &choice, err);
    if (result == 0)
        result = add_chosen(pull, &choice, err);
    if (result == 0)
        tell_chosen(pull, choice.why);
    free(choice.files);
    hub_files_release(&files);
    return result < 0 ? err_wrap(err, "%s", job->repo) : 0;
}

static int find_url(struct pull *pull, struct err *err)
{
    char *name = file_name_of_url(pull->job->url, err);

    if (name == NULL)
        return -1;
    pull->folder = xstrdup(pull->job->folder);
    (void)add_file(pull, xstrdup(pull->job->url), name);
    tell_chosen(pull, "");
    return 0;
}

/* ---- what is there ---- */

/* Whether FILE has its place and is what it should be; of one whose sum nobody tells, download.c
 * looks when the server has said how long it is. */
static int look_for_place(struct pull *pull, struct pull_file *file, int64_t before_bytes,
                          struct err *err)
{
    AUTO_FREE char *place = paths_join(pull->folder, file->name);
    AUTO_CLOSE int fd = open(place, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const struct checksum_progress progress = {
        .tell = &pull->tell, .before_bytes = before_bytes, .total_bytes = pull->total_bytes};
    char sha256[CHECKSUM_TEXT_BYTES];
    struct stat status;
    int64_t size_bytes = 0;

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_size != file->size_bytes)
        return 0;
    if (!file->is_published) {
        file->is_there = true;
        return 0;
    }
    if (checksum_file(fd, &progress, sha256, &size_bytes, err) < 0)
        return -1;
    file->is_there = strcmp(sha256, file->sha256) == 0;
    return 0;
}

static int look_for_places(struct pull *pull, struct err *err)
{
    int64_t before_bytes = 0;

    for (size_t i = 0; i < pull->file_count; i++) {
        if (look_for_place(pull, &pull->files[i], before_bytes, err) < 0)
            return -1;
        before_bytes += pull->files[i].size_bytes;
    }
    return 0;
}

/* Bytes that lie in the parts already need no room any more. */
static int check_room(const struct pull *pull, struct err *err)
{
    int64_t needed_bytes = pull->total_bytes;

    for (size_t i = 0; i < pull->file_count; i++) {
        AUTO_FREE char *path = part_path(pull->folder, pull->files[i].name);
        struct stat status;

        if (pull->files[i].is_there)
            needed_bytes -= pull->files[i].size_bytes;
        else if (stat(path, &status) == 0)
            needed_bytes -= status.st_size;
    }
    return part_check_room(pull->folder, needed_bytes, err);
}

/* ---- fetching ---- */

static int fetch_file(struct pull *pull, struct pull_file *file, int64_t before_bytes,
                      struct err *err)
{
    struct download download = {
        .transfer = pull->transfer,
        .tell = &pull->tell,
        .retry = {.base_ms = pull->job->retry_base_ms, .count_max = pull->job->retries},
        .url = file->url,
        .folder = pull->folder,
        .name = file->name,
        .sha256 = file->is_published ? file->sha256 : "",
        .size_bytes = file->size_bytes,
        .before_bytes = before_bytes,
        .total_bytes = pull->total_bytes,
    };
    struct download_result result;

    if (download_run(&download, &result, err) < 0)
        return -1;
    file->is_there = result.was_there;
    if (result.was_there)
        return 0;
    file->size_bytes = result.size_bytes;
    memcpy(file->sha256, result.sha256, sizeof(file->sha256));
    return 0;
}

static int fetch_all(struct pull *pull, struct err *err)
{
    int64_t before_bytes = 0;

    for (size_t i = 0; i < pull->file_count; i++) {
        struct pull_file *file = &pull->files[i];

        if (!file->is_there && fetch_file(pull, file, before_bytes, err) < 0)
            return -1;
        before_bytes += file->size_bytes;
    }
    return 0;
}

/* ---- the word, and the names ---- */

/* What was linked has its place as before. */
static void unlink_all(const struct pull *pull)
{
    for (size_t i = 0; i < pull->file_count; i++) {
        if (pull->files[i].is_linked)
            part_remove(pull->folder, pull->files[i].name);
    }
}

/* What is known of the whole model is of all its files. */
static int learn_sum(struct pull *pull, struct pull_file *file, struct err *err)
{
    AUTO_FREE char *place = paths_join(pull->folder, file->name);
    AUTO_CLOSE int fd = open(place, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const struct checksum_progress progress = {.tell = &pull->tell,
                                               .total_bytes = file->size_bytes};

    if (fd < 0)
        return err_set(err, ERR_IO, "open %s: %m", place);
    return checksum_file(fd, &progress, file->sha256, &file->size_bytes, err);
}

static int link_file(struct pull *pull, struct pull_file *file, struct err *err)
{
    if (!file->is_there)
        return 0;
    if (!file->is_published && learn_sum(pull, file, err) < 0)
        return -1;
    if (part_link(pull->folder, file->name, err) < 0)
        return -1;
    file->is_linked = true;
    file->is_there = false;
    return 0;
}

/* The parts of a split model are looked at together: all where they belong, or all beside. Those
 * that have their places keep them: the model that they are of may be in use until the others are
 * good. */
static int gather(struct pull *pull, struct err *err)
{
    size_t there = 0;

    for (size_t i = 0; i < pull->file_count; i++)
        there += pull->files[i].is_there;
    for (size_t i = 0; there < pull->file_count && i < pull->file_count; i++) {
        if (link_file(pull, &pull->files[i], err) == 0)
            continue;
        unlink_all(pull);
        return -1;
    }
    return 0;
}

static void tell_fetched(const struct pull *pull)
{
    AUTO_FREE char *place = first_place(pull);
    AUTO_FREE char *path =
        pull->files[0].is_there ? take_ptr(place) : part_path(pull->folder, pull->files[0].name);

    tell_line(
        json_pack("{s:s, s:o}", "type", "fetched", "path", json_text_lossy(path, strlen(path))));
}

static void tell_done(const struct pull *pull)
{
    AUTO_FREE char *path = first_place(pull);
    json_t *files = json_array();

    for (size_t i = 0; i < pull->file_count; i++) {
        const struct pull_file *file = &pull->files[i];

        (void)json_array_append_new(files,
                                    json_pack("{s:s, s:I, s:s, s:b}", "file", file->name,
                                              "size_bytes", (json_int_t)file->size_bytes, "sha256",
                                              file->sha256, "is_published", file->is_published));
    }
    tell_line(json_pack("{s:s, s:o, s:o}", "type", "done", "path",
                        json_text_lossy(path, strlen(path)), "files", files));
}

/* The first part comes last: where it is, the model is whole. */
static int name_all(const struct pull *pull, struct err *err)
{
    for (size_t i = pull->file_count; i-- > 0;) {
        const struct pull_file *file = &pull->files[i];

        if (!file->is_there && !file->is_linked && part_commit(pull->folder, file->name, err) < 0)
            return -1;
    }
    return 0;
}

/* Of what nobody has a sum for, "no model" means that it is of no use; where the sum is right, it
 * is what its author made, and a later version of ours may read it. */
static void discard(const struct pull *pull)
{
    for (size_t i = 0; i < pull->file_count; i++) {
        if (!pull->files[i].is_there && !pull->files[i].is_published)
            part_remove(pull->folder, pull->files[i].name);
    }
}

static int finish(struct pull *pull, struct err *err)
{
    enum job_answer answer = JOB_END;

    tell_fetched(pull);
    answer = job_read_answer();
    if (answer == JOB_DISCARD)
        discard(pull);
    if (answer == JOB_COMMIT && name_all(pull, err) < 0)
        return -1;
    unlink_all(pull);
    if (answer != JOB_COMMIT)
        return err_set(err, ERR_CANCELLED, "not wanted any more");
    tell_done(pull);
    return 0;
}

/* ---- all of it ---- */

static int run(struct pull *pull, struct err *err)
{
    bool is_hub = strcmp(pull->job->kind, "hub") == 0;

    if ((is_hub ? find_in_hub(pull, err) : find_url(pull, err)) < 0)
        return -1;
    if (job_read_answer() != JOB_GO)
        return err_set(err, ERR_CANCELLED, "not wanted any more");
    if (io_make_folders(pull->folder, PULL_FOLDER_MODE, err) < 0)
        return -1;
    if (is_hub && (look_for_places(pull, err) < 0 || check_room(pull, err) < 0))
        return -1;
    if (fetch_all(pull, err) < 0 || gather(pull, err) < 0)
        return -1;
    return finish(pull, err);
}

static void pull_release(struct pull *pull)
{
    for (size_t i = 0; i < pull->file_count; i++) {
        free(pull->files[i].url);
        free(pull->files[i].name);
    }
    free(pull->files);
    free(pull->folder);
    transfer_free(pull->transfer);
}

int pull_run(const struct job *job, struct err *err)
{
    struct pull pull = {.job = job, .total_bytes = -1};
    struct err why = ERR_INIT;
    char *token = read_token(job, &why, err);
    const struct transfer_settings settings = {.endpoint = job->endpoint,
                                               .token = token,
                                               .no_token = why.message,
                                               .stall_ms = job->stall_ms};
    int result = -1;

    if (err_is_set(err))
        return err_wrap(err, "pull.token_file");
    pull.transfer = transfer_new(&settings, err);
    if (pull.transfer != NULL)
        result = run(&pull, err);
    pull_release(&pull);
    if (token != NULL)
        token_wipe(token, strlen(token));
    free(token);
    return result;
}
