/* Owns where tokens come from and whether a text is one of them. Must not know who may do what with
 * a role (auth.c). */
#include "supervisor/tokens.h"

#include "common/mem.h"
#include "common/paths.h"
#include "common/token_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *file;
    const char *credential;
    enum config_key key;
} ROLES[TOKEN_ROLE_COUNT] = {
#define TOKEN_ROLE(id, name, file, credential, key)                                                \
    [TOKEN_ROLE_##id] = {name, file, credential, key},
#include "common/token_roles.def"
#undef TOKEN_ROLE
};

const char *tokens_role_name(enum token_role role)
{
    assert(role < TOKEN_ROLE_COUNT);
    return ROLES[role].name;
}

static void tokens_know(const char *token, const char *source, struct token_known *out)
{
    out->len = strlen(token);
    out->source = source;
    token_hash(token, &out->hash);
    token_hash_fingerprint(&out->hash, out->fingerprint);
}

/* ---- the environment ---- */

static int tokens_read_variable(const char *name, char *value, struct token_known *out,
                                struct err *err)
{
    size_t len = strlen(value);
    bool is_good = len <= TOKEN_MAX_LEN;

    for (size_t i = 0; i < len; i++)
        is_good = is_good && value[i] > ' ' && value[i] <= '~';
    if (is_good && len > 0 && out->len == 0)
        tokens_know(value, "environment", out);
    token_wipe(value, len); /* in place: /proc/PID/environ shows this very memory */
    (void)unsetenv(name);   /* cannot fail: the name is ours */
    if (!is_good)
        return err_set(err, ERR_CONFIG,
                       "%s must have at most %d bytes of printable ASCII without blanks", name,
                       TOKEN_MAX_LEN);
    return 0;
}

int tokens_take_environment(struct token_known *out, struct err *err)
{
    static const char *const NAMES[] = {"RBEE_API_TOKEN", "LLORCH_API_TOKEN"};
    int rc = 0;

    *out = (struct token_known){.len = 0};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        char *value = getenv(NAMES[i]);

        /* The second one is overwritten as well, whatever becomes of the first. */
        if (value != NULL && tokens_read_variable(NAMES[i], value, out, err) != 0)
            rc = -1;
    }
    return rc;
}

/* ---- files ---- */

static int tokens_read_file(const char *path, enum secret_file_kind kind, const char *source,
                            struct token_known *out, struct err *err)
{
    char *token = token_file_read(path, kind, err);

    if (token == NULL)
        return -1;
    tokens_know(token, source, out);
    token_wipe(token, strlen(token));
    free(token);
    return 0;
}

/* A file that may be missing: then *OUT stays empty. */
static int tokens_read_optional(const char *path, enum secret_file_kind kind, const char *source,
                                struct token_known *out, struct err *err)
{
    if (tokens_read_file(path, kind, source, out, err) == 0)
        return 0;
    if (err->kind != ERR_NO_FILE)
        return -1;
    err_clear(err);
    return 0;
}

static int tokens_load_role(enum token_role role, const struct config *config,
                            struct token_known *out, struct err *err)
{
    const char *named = config_text(config, ROLES[role].key);
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    AUTO_FREE char *default_path = paths_user_token(ROLES[role].file);

    if (named[0] != '\0')
        return tokens_read_file(named, SECRET_FILE_OURS, "token_file", out, err);
    if (credentials != NULL && credentials[0] == '/') {
        AUTO_FREE char *path = paths_join(credentials, ROLES[role].credential);

        if (tokens_read_optional(path, SECRET_FILE_CREDENTIAL, "credential", out, err) != 0)
            return -1;
        if (out->len > 0)
            return 0;
    }
    return tokens_read_optional(default_path, SECRET_FILE_OURS, "default_file", out, err);
}

int tokens_load(struct tokens *out, const struct config *config,
                const struct token_known *environment, struct err *err)
{
    struct tokens found = {0};

    for (int role = 0; role < TOKEN_ROLE_COUNT; role++) {
        if (role == TOKEN_ROLE_ADMIN && environment->len > 0) {
            found.of[role] = *environment;
        } else if (tokens_load_role((enum token_role)role, config, &found.of[role], err) != 0) {
            err->kind = ERR_CONFIG; /* a file that is named and missing, too */
            return err_wrap(err, "the %s token", ROLES[role].name);
        }
    }
    *out = found;
    return 0;
}

/* ---- questions ---- */

bool tokens_has_any(const struct tokens *tokens)
{
    for (int role = 0; role < TOKEN_ROLE_COUNT; role++) {
        if (tokens->of[role].len > 0)
            return true;
    }
    return false;
}

/* No branch here depends on a secret (tests/tools/constant_time.c). */
unsigned tokens_match(const struct tokens *tokens, const char *token,
                      char fingerprint[TOKEN_FINGERPRINT_BYTES])
{
    struct token_hash hash;
    unsigned roles = 0;

    token_hash(token, &hash);
    token_hash_fingerprint(&hash, fingerprint);
    for (int role = 0; role < TOKEN_ROLE_COUNT; role++) {
        unsigned is_there = tokens->of[role].len > 0;

        roles |= ((unsigned)token_hash_equal(&hash, &tokens->of[role].hash) & is_there) << role;
    }
    return roles;
}
