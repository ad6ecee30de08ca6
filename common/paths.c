/* Owns the places of ARCHITECTURE.md, "Places". Looks at the environment and at folders, makes
 * none of them. */
#include "common/paths.h"

#include "common/buf.h"
#include "common/mem.h"

#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The variable's value; NULL unless it is an absolute path. The XDG specification wants relative
 * ones ignored. */
static const char *paths_variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] == '/' ? value : NULL;
}

static char *paths_home(void)
{
    const char *home = paths_variable("HOME");
    char storage[4096];
    struct passwd user;
    struct passwd *found = NULL;

    if (home != NULL)
        return xstrdup(home);
    /* cron and services may start without HOME; they must find the same places. */
    if (getpwuid_r(geteuid(), &user, storage, sizeof(storage), &found) == 0 && found != NULL &&
        found->pw_dir[0] == '/')
        return xstrdup(found->pw_dir);
    return xstrdup("/");
}

/* NAME below the folder that VARIABLE says, else below FALLBACK in the home folder. */
static char *paths_below(const char *variable, const char *fallback, const char *name)
{
    const char *base = paths_variable(variable);
    AUTO_FREE char *home = NULL;
    AUTO_FREE char *folder = NULL;

    if (base != NULL)
        return paths_join(base, name);
    home = paths_home();
    folder = paths_join(home, fallback);
    return paths_join(folder, name);
}

static char *paths_base(const char *variable, const char *fallback)
{
    return paths_below(variable, fallback, "rbee");
}

char *paths_user_config(void)
{
    return paths_user_token("rbee.conf");
}

char *paths_user_token(const char *name)
{
    AUTO_FREE char *folder = paths_base("XDG_CONFIG_HOME", ".config");

    return paths_join(folder, name);
}

const char *paths_system_config(void)
{
    return "/etc/rbee/rbee.conf";
}

char *paths_state_dir(void)
{
    return paths_base("XDG_STATE_HOME", ".local/state");
}

char *paths_models_dir(void)
{
    return paths_below("XDG_DATA_HOME", ".local/share", "rbee/models");
}

char *paths_cache_dir(void)
{
    return paths_base("XDG_CACHE_HOME", ".cache");
}

char *paths_hub_token(void)
{
    const char *home = paths_variable("HF_HOME");

    if (home != NULL)
        return paths_join(home, "token");
    return paths_below("XDG_CACHE_HOME", ".cache", "huggingface/token");
}

/* After su or a logout the variable may name a folder of another user, or one that is gone. */
static bool paths_is_our_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid();
}

char *paths_runtime_dir(void)
{
    const char *runtime = paths_variable("XDG_RUNTIME_DIR");
    AUTO_FREE char *run_user = xasprintf("/run/user/%u", (unsigned)geteuid());
    AUTO_FREE char *state = NULL;

    if (runtime != NULL && paths_is_our_folder(runtime))
        return paths_join(runtime, "rbee");
    if (paths_is_our_folder(run_user))
        return paths_join(run_user, "rbee");
    state = paths_state_dir();
    return paths_join(state, "run");
}

char *paths_socket(void)
{
    AUTO_FREE char *folder = paths_runtime_dir();

    return paths_join(folder, "rbee.sock");
}

/* Writes the parts of PATH behind OUT, which holds "" (the root) or "/a/b". OUT never gets longer
 * than what went in. */
static void paths_append_resolved(char *out, const char *path)
{
    while (*path != '\0') {
        size_t len = strcspn(path, "/");

        if (len == 2 && memcmp(path, "..", 2) == 0) {
            char *slash = strrchr(out, '/');

            if (slash != NULL)
                *slash = '\0';
        } else if (len > 0 && !(len == 1 && path[0] == '.')) {
            size_t used = strlen(out);

            out[used] = '/';
            memcpy(out + used + 1, path, len);
            out[used + 1 + len] = '\0';
        }
        path += len;
        path += strspn(path, "/");
    }
}

char *paths_sibling_program(const char *name)
{
    static const char *const FOLDERS[] = {".", "../libexec/rbee"};
    char own[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *slash = NULL;

    if (len <= 0)
        return xstrdup(name);
    own[len] = '\0';
    slash = strrchr(own, '/');
    if (slash == NULL)
        return xstrdup(name);
    *slash = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(FOLDERS); i++) {
        AUTO_FREE char *joined = xasprintf("%s/%s/%s", own, FOLDERS[i], name);
        AUTO_FREE char *sibling = xcalloc(strlen(joined) + 1, 1);

        paths_append_resolved(sibling, joined);
        if (access(sibling, X_OK) == 0)
            return take_ptr(sibling);
    }
    return xstrdup(name);
}

char *paths_join(const char *folder, const char *name)
{
    size_t len = strlen(folder);

    while (len > 0 && folder[len - 1] == '/')
        len--;
    return xasprintf("%.*s/%s", (int)len, folder, name);
}

char *paths_absolute(const char *path, struct err *err)
{
    AUTO_FREE char *current = NULL;
    AUTO_FREE char *resolved = NULL;

    if (path[0] != '/') {
        current = getcwd(NULL, 0);
        if (current == NULL)
            return err_set_null(err, ERR_IO, "current folder: %m");
    }
    resolved = xcalloc((current != NULL ? strlen(current) : 0) + strlen(path) + sizeof("//"), 1);
    if (current != NULL)
        paths_append_resolved(resolved, current);
    paths_append_resolved(resolved, path);
    /* Bytes of what ".." took away may stand behind the NUL. */
    return resolved[0] != '\0' ? take_ptr(resolved) : xstrdup("/");
}
