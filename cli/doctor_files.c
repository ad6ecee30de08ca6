/* Owns the checks of what lies on the disk: configuration, programs, folders, tokens. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "common/config.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/token_file.h"
#include "common/units.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    /* The database, its log and the logs of workers; a model needs far more, and pull says so. */
    DISK_LOW_BYTES = 1 << 30,
    DISK_FULL_BYTES = 64 << 20,
    MODE_OTHERS = 0077,
};

/* Magic numbers that Debian's linux/magic.h lacks; from the kernel's fs/fuse and fs/smb. */
#define FUSE_MAGIC 0x65735546
#define CIFS_MAGIC 0xFF534D42

void doctor_config(struct doctor *doctor)
{
    struct err err = ERR_INIT;
    AUTO_CONFIG struct config *config =
        config_load(args_text(doctor->cli->args, OPTION_CONFIG), &err);

    if (config == NULL)
        doctor_say(doctor, DOCTOR_PROBLEM, "${EDITOR:-vi} \"$(rbee config path)\"", "%s",
                   err.message);
    else
        doctor_say(doctor, DOCTOR_OK, NULL, "the configuration is valid");
}

/* Whether NAME, which may be looked for in the PATH, can be run. */
static bool can_run(const char *name)
{
    AUTO_FREE char *folders = xstrdup(getenv("PATH") != NULL ? getenv("PATH") : "");
    char *rest = folders;
    const char *folder = NULL;

    if (strchr(name, '/') != NULL)
        return access(name, X_OK) == 0;
    while ((folder = strsep(&rest, ":")) != NULL) {
        AUTO_FREE char *path = paths_join(folder, name);

        if (folder[0] == '/' && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

void doctor_programs(struct doctor *doctor)
{
    static const char *const NAMES[] = {"rbeed", "rbee-worker", "rbee-watch", "rbee-fetch",
                                        "rbee-gpu"};
    const char *worker = config_text(doctor->config, CONFIG_supervisor_worker_program);
    bool all_there = true;

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        AUTO_FREE char *beside = paths_sibling_program(NAMES[i]);
        bool is_named = strcmp(NAMES[i], "rbee-worker") == 0 && worker[0] != '\0';
        const char *path = is_named ? worker : beside;

        if (can_run(path))
            continue;
        all_there = false;
        doctor_say(doctor, DOCTOR_PROBLEM, "install rbee anew: its programs belong together",
                   "%s cannot be run", path);
    }
    if (all_there)
        doctor_say(doctor, DOCTOR_OK, NULL,
                   "rbeed, rbee-worker, rbee-watch, rbee-fetch and rbee-gpu are there");
}

/* PATH itself, or the nearest folder above it that is there; the caller frees it. */
static char *existing_folder(const char *path)
{
    AUTO_FREE char *folder = xstrdup(path);
    char *slash = NULL;

    while (access(folder, F_OK) < 0 && (slash = strrchr(folder, '/')) != NULL && slash > folder)
        *slash = '\0';
    return xstrdup(access(folder, F_OK) == 0 ? folder : "/");
}

/* A folder of ours: WHAT it is for. IS_PRIVATE: nobody else may look into it. */
static void check_folder(struct doctor *doctor, const char *path, const char *what, bool is_private)
{
    AUTO_FREE char *folder = existing_folder(path);
    AUTO_FREE char *fix = NULL;
    bool is_there = strcmp(folder, path) == 0;
    struct stat info;

    if (stat(folder, &info) < 0 || !S_ISDIR(info.st_mode)) {
        doctor_say(doctor, DOCTOR_PROBLEM, NULL, "%s, for %s, is no folder", folder, what);
    } else if (access(folder, R_OK | W_OK | X_OK) < 0) {
        fix = xasprintf("sudo chown -R \"$USER\": %s", folder);
        doctor_say(doctor, DOCTOR_PROBLEM, fix, "%s, for %s, cannot be %s: %m", path, what,
                   is_there ? "written" : "made");
    } else if (is_there && is_private && (info.st_mode & MODE_OTHERS) != 0) {
        fix = xasprintf("chmod 700 %s", path);
        doctor_say(doctor, DOCTOR_WARNING, fix, "%s, for %s, is open to others (mode %03o)", path,
                   what, info.st_mode & ACCESSPERMS);
    } else {
        doctor_say(doctor, DOCTOR_OK, NULL, "%s, for %s, %s", path, what,
                   is_there ? "is writable" : "can be made");
    }
}

void doctor_folders(struct doctor *doctor)
{
    AUTO_FREE char *state = paths_state_dir();
    AUTO_FREE char *runtime = paths_runtime_dir();
    AUTO_FREE char *models = paths_models_dir();

    check_folder(doctor, state, "the database and logs", true);
    check_folder(doctor, runtime, "sockets", false); /* socket_group opens it */
    check_folder(doctor, models, "models that were pulled", false);
}

static const struct {
    unsigned long magic;
    const char *name;
    const char *why;
} RISKY[] = {
    {NFS_SUPER_MAGIC, "NFS", "SQLite's locks do not hold there"},
    {CIFS_MAGIC, "CIFS", "SQLite's locks do not hold there"},
    {SMB2_SUPER_MAGIC, "SMB", "SQLite's locks do not hold there"},
    {V9FS_MAGIC, "9p", "SQLite's locks do not hold there"},
    {FUSE_MAGIC, "FUSE", "whether SQLite's locks hold there is not known"},
    {TMPFS_MAGIC, "tmpfs", "it is gone after a reboot"},
    {RAMFS_MAGIC, "ramfs", "it is gone after a reboot"},
    {OVERLAYFS_SUPER_MAGIC, "overlay", "in a container it goes with it, unless it is a volume"},
};

static void check_file_system(struct doctor *doctor, const char *folder)
{
    struct statfs info;

    if (statfs(folder, &info) < 0)
        return; /* the space is told, or why not */
    for (size_t i = 0; i < ARRAY_COUNT(RISKY); i++) {
        if ((unsigned long)(uint32_t)info.f_type == RISKY[i].magic) {
            doctor_say(doctor, DOCTOR_WARNING, "set XDG_STATE_HOME to a folder on a local disk",
                       "the database is on %s: %s", RISKY[i].name, RISKY[i].why);
            return;
        }
    }
}

void doctor_disk(struct doctor *doctor)
{
    AUTO_FREE char *state = paths_state_dir();
    AUTO_FREE char *folder = existing_folder(state);
    AUTO_FREE char *fix = xasprintf("df -h %s", folder);
    struct statvfs info;
    char text[UNITS_TEXT_BYTES];
    uint64_t free_bytes = 0;

    if (statvfs(folder, &info) < 0) {
        doctor_say(doctor, DOCTOR_WARNING, NULL, "the space at %s is not known: %m", folder);
        return;
    }
    free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    units_format_size(free_bytes, text);
    if (free_bytes < DISK_LOW_BYTES)
        doctor_say(doctor, free_bytes < DISK_FULL_BYTES ? DOCTOR_PROBLEM : DOCTOR_WARNING, fix,
                   "only %s are free for the database and logs", text);
    else
        doctor_say(doctor, DOCTOR_OK, NULL, "%s are free for the database and logs", text);
    check_file_system(doctor, folder);
}

/* The token that opens the port to ROLE, if there is one. */
static bool check_token(struct doctor *doctor, const char *role, const char *path)
{
    struct err err = ERR_INIT;
    char *token = token_file_read(path, SECRET_FILE_OURS, &err);
    AUTO_FREE char *fix = NULL;

    if (token != NULL) {
        doctor_say(doctor, DOCTOR_OK, NULL, "the token of %s is private", role);
        explicit_bzero(token, strlen(token));
        free(token);
        return true;
    }
    if (err.kind == ERR_NO_FILE)
        return false;
    fix =
        xasprintf("chmod 600 %s && rbee doctor # or: rbee token new --role %s --force", path, role);
    doctor_say(doctor, DOCTOR_PROBLEM, fix, "%s", err.message);
    return true;
}

void doctor_tokens(struct doctor *doctor)
{
    static const struct {
        const char *role;
        const char *file;
        enum config_key key;
    } ROLES[] = {
#define TOKEN_ROLE(id, name, file, credential, key) {name, file, key},
#include "common/token_roles.def"
#undef TOKEN_ROLE
    };
    bool is_any = false;

    for (size_t i = 0; i < ARRAY_COUNT(ROLES); i++) {
        const char *named = config_text(doctor->config, ROLES[i].key);
        AUTO_FREE char *usual = paths_user_token(ROLES[i].file);

        is_any |= check_token(doctor, ROLES[i].role, named[0] != '\0' ? named : usual);
    }
    if (!is_any)
        doctor_say(doctor, DOCTOR_OK, NULL, "there is no token: nothing listens on TCP");
}
