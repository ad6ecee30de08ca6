/* The tokens that rbeed takes: one for each role, kept as hashes only.
 *
 * A role's token is the first of: the environment (RBEE_API_TOKEN or LLORCH_API_TOKEN, admin
 * alone), the file that the configuration names, systemd's credential, the file beside rbee.conf.
 * The others are not looked at, so that a token which was replaced is not good any more somewhere
 * else. */
#ifndef RBEE_SUPERVISOR_TOKENS_H
#define RBEE_SUPERVISOR_TOKENS_H

#include "common/config.h"
#include "common/err.h"
#include "common/token.h"

#include <stdbool.h>
#include <stddef.h>

enum token_role {
#define TOKEN_ROLE(id, name, file, credential, key) TOKEN_ROLE_##id,
#include "common/token_roles.def"
#undef TOKEN_ROLE
    TOKEN_ROLE_COUNT,
};

/* One token; empty when all is zero. */
struct token_known {
    size_t len;
    struct token_hash hash;
    char fingerprint[TOKEN_FINGERPRINT_BYTES];
    const char *source; /* "environment", "token_file", "credential", "default_file" */
};

struct tokens {
    struct token_known of[TOKEN_ROLE_COUNT];
};

const char *tokens_role_name(enum token_role role);
/* Reads the environment's token and overwrites it there, where /proc shows it to others; what we
 * start does not inherit it. *OUT is empty when there is none. ERR_CONFIG: it is no token. Once,
 * before any thread. */
int tokens_take_environment(struct token_known *out, struct err *err);
/* Finds each role's token. ERR_CONFIG with the file and the reason: one that is named must be good,
 * and so must one that nobody named but that is there. */
int tokens_load(struct tokens *out, const struct config *config,
                const struct token_known *environment, struct err *err);
bool tokens_has_any(const struct tokens *tokens);
/* The roles that TOKEN has, bit 1 << ROLE for each. All are compared, in a time that says neither
 * which one fits nor how far. FINGERPRINT is always filled. */
unsigned tokens_match(const struct tokens *tokens, const char *token,
                      char fingerprint[TOKEN_FINGERPRINT_BYTES]);

#endif
