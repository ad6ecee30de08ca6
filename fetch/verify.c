/* Owns the comparison of files with their sums. Must not know where the sums come from. */
#include "fetch/verify.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/split_name.h"
#include "fetch/checksum.h"
#include "fetch/tell.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { VERIFY_FILES_MAX_COUNT = 1024 };

struct verify {
    char *folder;
    const json_t *known; /* array; NULL: nothing is known */
    json_t *now;         /* what was found */
    struct tell tell;
    struct checksum_progress progress;
    struct err bad; /* the first file that is not what it was */
};

/* Of the file NAME of a model of whose parts nothing is known: the others follow from its name. */
static json_t *guess_files(const char *name)
{
    json_t *files = json_array();
    struct split_name split = {.count = 1};
    bool is_split = split_name_read(name, &split);

    for (unsigned i = 1; i <= split.count; i++) {
        AUTO_FREE char *part = is_split ? split_name_of(name, &split, i) : xstrdup(name);

        (void)json_array_append_new(
            files, json_pack("{s:o}", "file", json_text_lossy(part, strlen(part))));
    }
    return files;
}

static void note_bad(struct verify *verify, const char *name, const char *what)
{
    if (!err_is_set(&verify->bad))
        err_fill(&verify->bad, ERR_FAILED, "%s %s", name, what);
}

static int open_file(struct verify *verify, const char *name, struct stat *out, struct err *err)
{
    AUTO_FREE char *path = paths_join(verify->folder, name);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 && errno == ENOENT) {
        note_bad(verify, name, "is gone");
        return -1;
    }
    if (fd < 0 || fstat(fd, out) < 0)
        return err_set(err, ERR_IO, "open %s: %m", path);
    if (!S_ISREG(out->st_mode)) {
        note_bad(verify, name, "is no regular file");
        return -1;
    }
    return take_fd(&fd);
}

static int look_at(struct verify *verify, const json_t *file, struct err *err)
{
    const char *name = json_string_value(json_object_get(file, "file"));
    const char *expected = json_string_value(json_object_get(file, "sha256"));
    const json_t *size = json_object_get(file, "size_bytes");
    char sha256[CHECKSUM_TEXT_BYTES];
    struct stat status;
    int64_t size_bytes = 0;
    AUTO_CLOSE int fd = open_file(verify, name, &status, err);

    if (fd < 0)
        return err_is_set(err) ? -1 : 0;
    if (checksum_file(fd, &verify->progress, sha256, &size_bytes, err) < 0)
        return err_wrap(err, "%s", name);
    verify->progress.before_bytes += size_bytes;
    (void)json_array_append_new(verify->now,
                                json_pack("{s:s, s:I, s:s}", "file", name, "size_bytes",
                                          (json_int_t)size_bytes, "sha256", sha256));
    if (json_is_integer(size) && json_integer_value(size) != size_bytes)
        note_bad(verify, name, "has another size");
    else if (expected != NULL && expected[0] != '\0' && strcmp(expected, sha256) != 0)
        note_bad(verify, name, "has another checksum: its content is not what it was");
    return 0;
}

/* For the progress alone: what is missing is found later. */
static int64_t total_size(const struct verify *verify)
{
    int64_t total_bytes = 0;
    const json_t *file = NULL;
    size_t index = 0;

    json_array_foreach(verify->known, index, file)
    {
        AUTO_FREE char *path =
            paths_join(verify->folder, json_string_value(json_object_get(file, "file")));
        struct stat status;

        if (stat(path, &status) == 0)
            total_bytes += status.st_size;
    }
    return total_bytes;
}

static int check_files(const json_t *files, struct err *err)
{
    const json_t *file = NULL;
    size_t index = 0;

    if (!json_is_array(files) || json_array_size(files) > VERIFY_FILES_MAX_COUNT)
        return err_set(err, ERR_INVALID, "files must be a list");
    json_array_foreach(files, index, file)
    {
        const char *name = json_string_value(json_object_get(file, "file"));

        if (name == NULL || strchr(name, '/') != NULL)
            return err_set(err, ERR_INVALID, "a file must have a name");
    }
    return 0;
}

static int verify_all(struct verify *verify, struct err *err)
{
    const json_t *file = NULL;
    size_t index = 0;

    if (check_files(verify->known, err) < 0)
        return -1;
    verify->progress =
        (struct checksum_progress){.tell = &verify->tell, .total_bytes = total_size(verify)};
    json_array_foreach(verify->known, index, file)
    {
        if (look_at(verify, file, err) < 0)
            return -1;
    }
    tell_line(json_pack("{s:s, s:b, s:s, s:O}", "type", "done", "is_good",
                        !err_is_set(&verify->bad), "message", verify->bad.message, "files",
                        verify->now));
    return 0;
}

int verify_run(const struct job *job, struct err *err)
{
    const char *slash = strrchr(job->path, '/');
    bool is_known = json_array_size(job->files) > 0;
    AUTO_JSON json_t *guessed = is_known || slash == NULL ? NULL : guess_files(slash + 1);
    AUTO_JSON json_t *now = json_array();
    AUTO_FREE char *folder = NULL;
    struct verify verify = {.known = is_known ? job->files : guessed, .now = now};

    if (slash == NULL)
        return err_set(err, ERR_INVALID, "path must be absolute");
    folder = xstrndup(job->path, (size_t)(slash - job->path) + 1);
    verify.folder = folder;
    return verify_all(&verify, err);
}
