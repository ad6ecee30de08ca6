/* Files, whole: read with a limit, written so that either the old or the new content is there. */
#include "common/io.h"

#include "tests/folder_fixture.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static void a_file_is_read_up_to_the_limit_and_no_further(void **state)
{
    AUTO_FREE char *path = temp_folder_write(folder, "ten", "0123456789", 0600);
    struct err err = ERR_INIT;

    for (size_t max = 0; max < 20; max++) {
        AUTO_BUF struct buf buf = BUF_INIT(max);
        int rc = io_read_file(path, &buf, &err);

        assert_int_equal(rc, max >= 10 ? 0 : -1);
        if (rc == 0)
            assert_string_equal(buf.data, "0123456789");
        else
            assert_int_equal(err.kind, ERR_BODY_TOO_LARGE);
    }
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    AUTO_FREE char *fifo = paths_join(folder, "fifo");
    AUTO_FREE char *missing = paths_join(folder, "missing");
    AUTO_BUF struct buf buf = BUF_INIT(100);
    struct err err = ERR_INIT;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(io_read_file(fifo, &buf, &err), -1); /* nobody writes: it must not wait */
    assert_int_equal(err.kind, ERR_IO);
    assert_int_equal(io_read_file(folder, &buf, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_int_equal(io_read_file(missing, &buf, &err), -1);
    assert_int_equal(err.kind, ERR_NO_FILE);
}

static void folders_are_made_with_their_parents(void **state)
{
    static const char *const NAMES[] = {"a/b/c", "a/b/c", "a//d/", "x"};
    AUTO_FREE char *file = temp_folder_write(folder, "file", "", 0600);
    AUTO_FREE char *below_file = paths_join(file, "x");
    struct err err = ERR_INIT;
    struct stat info;

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        AUTO_FREE char *path = paths_join(folder, NAMES[i]);

        assert_int_equal(io_make_folders(path, 0700, &err), 0);
        assert_int_equal(stat(path, &info), 0);
        assert_true(S_ISDIR(info.st_mode));
        assert_int_equal(info.st_mode & 0777, 0700);
    }
    assert_int_equal(io_make_folders("/", 0700, &err), 0);
    assert_int_equal(io_make_folders(file, 0700, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_int_equal(io_make_folders(below_file, 0700, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
}

static void assert_holds(const char *path, const char *text)
{
    AUTO_BUF struct buf buf = BUF_INIT(1000);
    struct err err = ERR_INIT;

    assert_int_equal(io_read_file(path, &buf, &err), 0);
    assert_string_equal(buf.data, text);
}

static size_t count_files(void)
{
    DIR *dir = opendir(folder);
    size_t count = 0;

    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count - 2;
}

static void the_old_content_stays_until_the_new_is_whole(void **state)
{
    AUTO_FREE char *path = temp_folder_write(folder, "target", "old", 0600);
    struct err err = ERR_INIT;

    for (int commits = 0; commits < 2; commits++) {
        AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;

        assert_int_equal(io_atomic_begin(&file, path, 0600, &err), 0);
        assert_int_equal(io_write_all(file.fd, "new", 3, &err), 0);
        assert_holds(path, "old");
        if (commits > 0)
            assert_int_equal(io_atomic_commit(&file, &err), 0);
        io_atomic_release(&file);
        assert_holds(path, commits > 0 ? "new" : "old");
        assert_int_equal(count_files(), 1);
    }
}

static void a_link_is_written_through_and_a_device_is_never_replaced(void **state)
{
    AUTO_FREE char *path = temp_folder_write(folder, "target", "old", 0600);
    AUTO_FREE char *link = paths_join(folder, "link");
    struct err err = ERR_INIT;
    struct stat info;
    struct io_atomic file = IO_ATOMIC_INIT;

    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(io_atomic_begin(&file, link, 0644, &err), 0);
    assert_int_equal(io_write_all(file.fd, "new", 3, &err), 0);
    assert_int_equal(io_atomic_commit(&file, &err), 0);
    io_atomic_release(&file);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_holds(path, "new");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600); /* as it was, whatever a new file would get */
    assert_int_equal(io_atomic_begin(&file, "/dev/null", 0600, &err), 0);
    assert_int_equal(io_write_all(file.fd, "new", 3, &err), 0);
    assert_int_equal(io_atomic_commit(&file, &err), 0);
    io_atomic_release(&file);
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    assert_int_equal(io_atomic_begin(&file, folder, 0600, &err), -1);
    assert_int_equal(err.kind, ERR_OUTPUT);
}

/* As open(2) would make it: whoever put the link there wants the file at its other end. */
static void a_link_to_nothing_is_written_through(void **state)
{
    static const char *const TARGETS[] = {"real", "sub/../real", "", "link"};
    AUTO_FREE char *real = paths_join(folder, "real");
    AUTO_FREE char *sub = paths_join(folder, "sub");
    struct err err = ERR_INIT;

    assert_int_equal(mkdir(sub, 0700), 0);
    for (size_t i = 0; i < ARRAY_COUNT(TARGETS); i++) {
        const char *target = TARGETS[i][0] == '\0' ? real : TARGETS[i];
        bool is_loop = strcmp(target, "link") == 0;
        AUTO_FREE char *link = paths_join(folder, "link");
        AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;
        struct stat info;

        assert_int_equal(symlink(target, link), 0);
        assert_int_equal(io_atomic_check(link, 0600, &err), is_loop ? -1 : 0);
        assert_int_equal(io_atomic_begin(&file, link, 0600, &err), is_loop ? -1 : 0);
        if (!is_loop) {
            assert_int_equal(stat(real, &info), -1); /* not before all is there */
            assert_int_equal(io_write_all(file.fd, "new", 3, &err), 0);
            assert_int_equal(io_atomic_commit(&file, &err), 0);
            assert_holds(real, "new");
            assert_int_equal(unlink(real), 0);
        }
        assert_int_equal(lstat(link, &info), 0);
        assert_true(S_ISLNK(info.st_mode));
        assert_int_equal(unlink(link), 0);
        assert_int_equal(count_files(), 1);
    }
    assert_int_equal(err.kind, ERR_OUTPUT);
}

/* Of a pipe nothing is seen at its other end, of a file nothing beside it. */
static void a_check_leaves_nothing(void **state)
{
    AUTO_FREE char *path = temp_folder_write(folder, "target", "old", 0400);
    AUTO_FREE char *missing = paths_join(folder, "missing");
    AUTO_FREE char *below = paths_join(missing, "file");
    AUTO_FREE char *fifo = paths_join(folder, "fifo");
    struct err err = ERR_INIT;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(io_atomic_check(fifo, 0600, &err), 0); /* nobody reads: it must not wait */
    assert_int_equal(io_atomic_check(path, 0600, &err), 0);
    assert_int_equal(io_atomic_check(missing, 0600, &err), 0);
    assert_int_equal(io_atomic_check("/dev/null", 0600, &err), 0);
    assert_holds(path, "old");
    assert_int_equal(count_files(), 2);
    assert_int_equal(io_atomic_check(folder, 0600, &err), -1);
    assert_int_equal(err.kind, ERR_OUTPUT);
    assert_int_equal(io_atomic_check(below, 0600, &err), -1);
    assert_int_equal(err.kind, ERR_OUTPUT);
    assert_int_equal(io_atomic_check("", 0600, &err), -1);
}

static void a_full_disk_leaves_the_old_content(void **state)
{
    static const char BYTES[2048];
    AUTO_FREE char *path = temp_folder_write(folder, "target", "old", 0600);
    struct rlimit before;
    struct rlimit tiny;
    struct err err = ERR_INIT;
    struct io_atomic file = IO_ATOMIC_INIT;
    int rc = 0;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tiny = (struct rlimit){.rlim_cur = 1000, .rlim_max = before.rlim_max};
    assert_int_equal(io_atomic_begin(&file, path, 0600, &err), 0);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
    rc = io_write_all(file.fd, BYTES, sizeof(BYTES), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, -1);
    assert_int_equal(err.kind, ERR_OUTPUT);
    io_atomic_release(&file);
    assert_holds(path, "old");
    assert_int_equal(count_files(), 1);
}

/* One that we may write and not read cannot be synced by us, and that is no failure. */
static void a_folder_is_synced_where_that_can_be(void **state)
{
    AUTO_FREE char *missing = paths_join(folder, "missing");
    struct err err = ERR_INIT;

    assert_int_equal(io_sync_folder(folder, &err), 0);
    assert_int_equal(chmod(folder, 0300), 0);
    assert_int_equal(io_sync_folder(folder, &err), 0);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(io_sync_folder(missing, &err), -1);
    assert_int_equal(err.kind, ERR_OUTPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_file_is_read_up_to_the_limit_and_no_further),
        IN_FOLDER(what_is_no_file_is_refused_at_once),
        IN_FOLDER(folders_are_made_with_their_parents),
        IN_FOLDER(the_old_content_stays_until_the_new_is_whole),
        IN_FOLDER(a_link_is_written_through_and_a_device_is_never_replaced),
        IN_FOLDER(a_link_to_nothing_is_written_through),
        IN_FOLDER(a_check_leaves_nothing),
        IN_FOLDER(a_full_disk_leaves_the_old_content),
        IN_FOLDER(a_folder_is_synced_where_that_can_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
