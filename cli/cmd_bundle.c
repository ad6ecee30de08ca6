/* rbee bundle: a support tarball. Its files are made in a folder of our own and packed by tar(1),
 * which every system has, and which costs `rbee` no library; the folder is gone afterwards. */
#include "cli/bundle.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "cli/output.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/spawn.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUNDLE_MODE = 0600, BUNDLE_FOLDER_MODE = 0700, BUNDLE_PATH_MAX_BYTES = 8192 };

/* Folders: one of our own, and in it the one that the tarball unpacks to. */
struct bundle_place {
    char *outer;
    char *inner;
    char *name; /* of the inner one */
};

static int make_place(struct bundle_place *place, struct err *err)
{
    const char *temporary = getenv("TMPDIR");
    char now[CLOCK_RFC3339_BYTES];
    size_t len = 0;

    clock_format_rfc3339(clock_wall_ms(), now);
    /* 20261121T225107Z: a name that sorts, and that every shell takes. */
    for (const char *at = now; *at != '\0' && *at != '.'; at++) {
        if (*at != '-' && *at != ':')
            now[len++] = *at;
    }
    now[len] = '\0';
    place->name = xasprintf("rbee-bundle-%sZ", now);
    place->outer = xasprintf("%s/rbee-bundle.XXXXXX",
                             temporary != NULL && temporary[0] == '/' ? temporary : "/tmp");
    if (mkdtemp(place->outer) == NULL) {
        err_fill(err, ERR_OUTPUT, "make a folder like %s: %m", place->outer);
        free(take_ptr(place->outer));
        return -1;
    }
    place->inner = paths_join(place->outer, place->name);
    if (mkdir(place->inner, BUNDLE_FOLDER_MODE) < 0)
        return err_set(err, ERR_OUTPUT, "make folder %s: %m", place->inner);
    return 0;
}

/* Removes both folders, with the files of NAMES. */
static void remove_place(struct bundle_place *place, const json_t *names)
{
    const json_t *name = NULL;
    size_t index = 0;

    json_array_foreach(names, index, name)
    {
        AUTO_FREE char *path = paths_join(place->inner, json_string_value(name));

        (void)unlink(path); /* it is ours, and there */
    }
    if (place->inner != NULL)
        (void)rmdir(place->inner); /* one file that could not be written may be left in there */
    if (place->outer != NULL)
        (void)rmdir(place->outer);
    free(place->outer);
    free(place->inner);
    free(place->name);
}

static int await_tar(const struct cli *cli, pid_t pid, struct err *err)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return err_set(err, ERR_INTERNAL, "wait for tar: %m");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, ERR_OUTPUT, "tar could not write the bundle%s",
                       cli->is_verbose ? "" : "; with -v it says why");
    return 0;
}

/* Packs the inner folder into FD. What tar and its gzip say of a failure is told apart from our
 * own line only for who asks. */
static int run_tar(const struct cli *cli, const struct bundle_place *place, int fd, struct err *err)
{
    const char *const argv[] = {
        "tar",       "--create",        "--gzip",      "--sort=name", "--owner=0",
        "--group=0", "--numeric-owner", "--directory", place->outer,  place->name,
        NULL};
    struct spawn spawn = {.program = "tar", .argv = argv, .dies_with_parent = true};
    pid_t pid = 0;

    spawn.fds[spawn.fd_count++] = (struct spawn_fd){.parent_fd = fd, .child_fd = STDOUT_FILENO};
    if (cli->is_verbose)
        spawn.fds[spawn.fd_count++] =
            (struct spawn_fd){.parent_fd = STDERR_FILENO, .child_fd = STDERR_FILENO};
    if (spawn_process(&spawn, &pid, NULL, err) < 0)
        return err_wrap(err, "run tar");
    return await_tar(cli, pid, err);
}

/* Into PATH, whole or not at all; NULL: stdout. */
static int pack(const struct cli *cli, const struct bundle_place *place, const char *path,
                struct err *err)
{
    AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;

    if (path == NULL)
        return run_tar(cli, place, STDOUT_FILENO, err);
    if (io_atomic_begin(&file, path, BUNDLE_MODE, err) < 0)
        return -1;
    if (file.temporary_path != NULL && fchmod(file.fd, BUNDLE_MODE) < 0)
        return err_set(err, ERR_OUTPUT, "chmod %s: %m", path);
    if (run_tar(cli, place, file.fd, err) < 0)
        return -1;
    return io_atomic_commit(&file, err);
}

/* PATH NULL: stdout has the bundle itself, and nothing else. */
static int print(struct cli *cli, const char *path, json_t *names, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(BUNDLE_PATH_MAX_BYTES);
    AUTO_JSON json_t *report = NULL;
    const json_t *name = NULL;
    size_t index = 0;

    if (cli->wants_json && path != NULL) {
        report =
            json_pack("{s:o,s:O}", "file", json_text_lossy(path, strlen(path)), "names", names);
        return output_print_json(cli, report, err);
    }
    json_array_foreach(names, index, name)
    {
        message_note(cli, "in it: %s", json_string_value(name));
    }
    message_note(cli, "look through it before you hand it on");
    if (path == NULL)
        return 0;
    if (buf_printf(&text, "%s\n", path) < 0)
        return err_set(err, ERR_USAGE, "the name of the file is too long");
    return output_print(cli, &text, err);
}

/* The file to make, or NULL for stdout, which must be none that a person reads; the caller frees
 * it. */
static int choose_path(const struct cli *cli, const struct bundle_place *place, char **out,
                       struct err *err)
{
    const char *option = output_path(cli->args, OPTION_BUNDLE_FILE);

    if (option == NULL && args_has(cli->args, OPTION_BUNDLE_FILE)) {
        if (isatty(STDOUT_FILENO))
            return err_set(err, ERR_USAGE, "a bundle is not for a terminal: send stdout elsewhere");
        return 0;
    }
    *out = option != NULL ? xstrdup(option) : xasprintf("%s.tar.gz", place->name);
    return io_atomic_check(*out, BUNDLE_MODE, err);
}

int command_bundle(struct cli *cli, struct err *err)
{
    struct bundle_place place = {0};
    struct bundle bundle = {.cli = cli};
    AUTO_FREE char *path = NULL;
    int rc = interrupt_watch(&cli->interrupt, err);

    if (rc == 0)
        rc = make_place(&place, err);
    if (rc == 0)
        rc = choose_path(cli, &place, &path, err);
    if (rc == 0) {
        bundle_init(&bundle, cli, place.inner);
        rc = bundle_fill(&bundle, err);
    }
    if (rc == 0)
        rc = pack(cli, &place, path, err);
    if (rc == 0)
        rc = print(cli, path, bundle.names, err) < 0 ? -1 : EXIT_DONE;
    remove_place(&place, bundle.names);
    bundle_release(&bundle);
    return rc;
}
