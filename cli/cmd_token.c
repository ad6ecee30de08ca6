/* rbee token new: a token in a file, and how it is used. The token itself is never printed: what is
 * on a screen or in a pipe is no secret any more. */
#include "cli/call.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/start.h"
#include "common/config.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/token_file.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

enum { TOKEN_TEXT_MAX_BYTES = 64 * 1024 };

struct role {
    const char *name;
    const char *file;
    enum config_key key;
};

static const struct role *find_role(const struct cli *cli)
{
    static const struct role ROLES[] = {
#define TOKEN_ROLE(id, name_, file_, credential_, key_) {.name = name_, .file = file_, .key = key_},
#include "common/token_roles.def"
#undef TOKEN_ROLE
    };
    const char *name = args_text(cli->args, OPTION_ROLE);
    size_t index = ARRAY_COUNT(ROLES) - 1; /* admin */

    for (size_t i = 0; name != NULL && i < ARRAY_COUNT(ROLES); i++) {
        if (strcmp(ROLES[i].name, name) == 0)
            index = i;
    }
    return &ROLES[index];
}

/* What has become of the supervisor that runs. */
struct told {
    json_int_t pid; /* 0: none runs, or none that we can find */
    bool is_done;   /* it reads the token now */
};

/* A supervisor on the Unix socket is told with the signal by which it reads its tokens again. */
static struct told tell_supervisor(struct cli *cli)
{
    struct told told = {.pid = 0};
    struct err nobody = ERR_INIT;
    AUTO_JSON json_t *status = NULL;
    AUTO_CLOSE int pidfd = -1;

    if (start_find(cli, &nobody) < 0 || !cli->address.is_unix ||
        call_get(cli, "/v1/status", &status, &nobody) < 0)
        return told;
    told.pid = json_integer_value(json_object_get(status, "pid"));
    pidfd = pidfd_open((pid_t)told.pid, 0);
    told.is_done = pidfd >= 0 && pidfd_send_signal(pidfd, SIGHUP, NULL, 0) == 0;
    return told;
}

static void add_told(struct buf *text, const struct told *told)
{
    if (told->is_done)
        (void)buf_printf(text, "\nrbeed (pid %" JSON_INTEGER_FORMAT ") has been told to read it.\n",
                         told->pid);
    else if (told->pid != 0)
        (void)buf_printf(text,
                         "\nrbeed must be told to read it: kill -HUP %" JSON_INTEGER_FORMAT "\n",
                         told->pid);
    else
        (void)buf_add_string(text, "\nrbeed reads it when it starts.\n");
}

/* Printf is a shell's own: the token is in no argument that others can see. */
static void add_usage(struct buf *text, const struct role *role, const char *path,
                      const char *listen)
{
    bool is_infer = strcmp(role->name, "infer") == 0;

    if (strcmp(listen, "off") == 0) {
        (void)buf_add_string(text, "\nNothing listens for it: supervisor.listen is off.\n");
        return;
    }
    (void)buf_printf(text,
                     "\n    printf 'Authorization: Bearer %%s' \"$(cat '%s')\" |\n"
                     "        curl -H @- http://%s%s\n"
                     "    rbee --host http://%s --token-file '%s' %s\n",
                     path, listen, is_infer ? "/v1/models" : "/v1/status", listen, path,
                     is_infer ? "infer \"hello\"" : "status");
}

static int print_made(struct cli *cli, const struct role *role, const char *path,
                      const char *listen, const struct told *told, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(TOKEN_TEXT_MAX_BYTES);
    AUTO_JSON json_t *record = NULL;

    if (cli->wants_json) {
        record = json_pack("{s:s,s:s,s:o,s:s,s:I,s:b}", "state", "created", "role", role->name,
                           "path", json_text_lossy(path, strlen(path)), "listen", listen,
                           "supervisor_pid", told->pid, "is_told", told->is_done);
        return output_print_json(cli, record, err) < 0 ? -1 : EXIT_DONE;
    }
    /* Two paths and a few lines: they fit. */
    (void)buf_printf(&text, "%s holds a new token of the role %s.\n", path, role->name);
    add_usage(&text, role, path, listen);
    add_told(&text, told);
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

int command_token_new(struct cli *cli, struct err *err)
{
    AUTO_CONFIG struct config *config = config_load(args_text(cli->args, OPTION_CONFIG), err);
    const struct role *role = find_role(cli);
    AUTO_FREE char *path = NULL;
    struct told told;

    if (config == NULL)
        return -1;
    path = config_text(config, role->key)[0] != '\0' ? xstrdup(config_text(config, role->key))
                                                     : paths_user_token(role->file);
    if (token_file_create(path, args_has(cli->args, OPTION_REPLACE), err) < 0) {
        if (err->kind == ERR_CONFLICT)
            return err_set(err, ERR_CONFLICT,
                           "%s is there already; --force replaces it, and what it holds is no "
                           "token any more",
                           path);
        return -1;
    }
    told = tell_supervisor(cli);
    return print_made(cli, role, path, config_text(config, CONFIG_supervisor_listen), &told, err);
}
