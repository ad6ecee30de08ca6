/* Owns the API's socket file and its servers. Knows nothing of routes. */
#include "supervisor/listener.h"

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    SOCKET_MODE = 0600,
    FOLDER_MODE = 0700,
    GROUP_SOCKET_MODE = 0660, /* with a socket_group */
    GROUP_FOLDER_MODE = 0750,
};

/* Whether somebody accepts on the socket at PATH. A full backlog is a living listener too. */
static bool listener_is_alive(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return true;
    return errno == EAGAIN;
}

static int listener_clear_place(const char *path, struct err *err)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno == ENOENT ? 0 : err_set(err, ERR_IO, "look at %s: %m", path);
    if (!S_ISSOCK(status.st_mode))
        return err_set(err, ERR_CONFLICT, "%s is there and is no socket", path);
    if (listener_is_alive(path))
        return err_set(err, ERR_CONFLICT, "another program listens on %s", path);
    if (unlink(path) != 0)
        return err_set(err, ERR_IO, "remove stale socket %s: %m", path);
    return 0;
}

static int listener_make_folder(const char *socket_path, char **out_folder, struct err *err)
{
    AUTO_FREE char *folder = xstrdup(socket_path);
    char *slash = strrchr(folder, '/');

    if (slash == NULL || slash == folder)
        return 0;
    *slash = '\0';
    if (io_make_folders(folder, FOLDER_MODE, err) != 0)
        return -1;
    *out_folder = take_ptr(folder);
    return 0;
}

/* The group first: there must be no moment in which another group may. */
static int listener_give_to_group(const struct listener *listener, const char *path, mode_t mode,
                                  struct err *err)
{
    if (chown(path, (uid_t)-1, listener->group) == 0 && chmod(path, mode) == 0)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "supervisor.socket_group: give %s to group %u: %m; rbeed must be in it", path,
                   (unsigned)listener->group);
}

/* A folder that is not ours was made so by somebody who knows. */
static int listener_admit_group(const struct listener *listener, const char *folder,
                                struct err *err)
{
    struct stat status;

    if (!listener->has_group)
        return 0;
    if (folder != NULL && stat(folder, &status) == 0 && status.st_uid == geteuid() &&
        listener_give_to_group(listener, folder, GROUP_FOLDER_MODE, err) != 0)
        return -1;
    return listener_give_to_group(listener, listener->path, GROUP_SOCKET_MODE, err);
}

/* Its place, its mode and its end are for who has made it. */
static int listener_open_handed(struct listener *listener, struct err *err)
{
    int fd = fcntl(listener->handed_fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return err_set(err, ERR_IO, "take over the socket %s: %m", listener->path);
    listener->server = http_server_new(listener->base, fd, &listener->limits, listener->service,
                                       listener->owner, err);
    return listener->server == NULL ? -1 : 0;
}

static int listener_open_own(struct listener *listener, struct err *err)
{
    struct http_address address = {.is_unix = true};
    struct stat status;
    AUTO_FREE char *folder = NULL;
    AUTO_CLOSE int fd = -1;

    if (strlen(listener->path) >= sizeof(address.path))
        return err_set(err, ERR_CONFIG, "socket path %s is longer than %zu bytes", listener->path,
                       sizeof(address.path) - 1);
    memcpy(address.path, listener->path, strlen(listener->path) + 1);
    if (listener_make_folder(listener->path, &folder, err) != 0 ||
        listener_clear_place(listener->path, err) != 0 ||
        http_address_listen(&address, SOCKET_MODE, &fd, err) != 0 ||
        listener_admit_group(listener, folder, err) != 0)
        return -1;
    if (lstat(listener->path, &status) != 0)
        return err_set(err, ERR_IO, "look at %s: %m", listener->path);
    listener->server = http_server_new(listener->base, fd, &listener->limits, listener->service,
                                       listener->owner, err);
    if (listener->server == NULL)
        return -1;
    (void)take_fd(&fd); /* the server's now */
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    return 0;
}

int listener_open(struct listener *listener, struct err *err)
{
    return listener->handed_fd >= 0 ? listener_open_handed(listener, err)
                                    : listener_open_own(listener, err);
}

static bool listener_owns_place(const struct listener *listener)
{
    struct stat status;

    return lstat(listener->path, &status) == 0 && status.st_dev == listener->device &&
           status.st_ino == listener->inode;
}

static void listener_reopen(struct listener *listener)
{
    struct err err = ERR_INIT;

    if (listener->server != NULL)
        retired_add(&listener->retired, listener->server);
    listener->server = NULL;
    if (listener_open(listener, &err) == 0) {
        log_event(LOG_WARN, "socket_made_again", "path=%s", listener->path);
        listener->has_failed = false;
        return;
    }
    if (!listener->has_failed)
        log_event(LOG_ERROR, "socket_lost", "path=%s error=%s", listener->path, err.message);
    listener->has_failed = true;
}

void listener_upkeep(struct listener *listener)
{
    retired_upkeep(&listener->retired);
    if (listener->handed_fd < 0 && !listener_owns_place(listener))
        listener_reopen(listener);
}

void listener_stop(struct listener *listener)
{
    if (listener->server == NULL)
        return;
    if (listener->handed_fd < 0 && listener_owns_place(listener))
        (void)unlink(listener->path); /* it may vanish between the look and this */
    http_server_stop_accepting(listener->server);
}

unsigned listener_client_count(const struct listener *listener)
{
    return retired_client_count(&listener->retired) +
           (listener->server == NULL ? 0 : http_server_client_count(listener->server));
}

void listener_close(struct listener *listener)
{
    listener_stop(listener);
    retired_release(&listener->retired);
    if (listener->server != NULL)
        http_server_free(listener->server);
    listener->server = NULL;
    free(listener->path);
    listener->path = NULL;
}
