/* Owns the grammar of what can be pulled. Asks nobody whether it is there. */
#include "supervisor/pull_source.h"

#include "common/mem.h"
#include "common/token.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#define HUB_PREFIX "hf:"

enum { PLACE_HASH_BYTES = 4 }; /* of a URL: enough that two of one host do not meet */

static const char WORD[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/* LEN bytes of TEXT that may be the name of an organisation, a repository or a quantisation. */
static bool is_word(const char *text, size_t len)
{
    return len > 0 && text[0] != '.' && text[0] != '-' && strspn(text, WORD) >= len;
}

static int refuse(const char *text, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID_FIELD,
                   "%.200s cannot be pulled: %s; it is hf:ORG/REPO, hf:ORG/REPO:QUANT, "
                   "hf:ORG/REPO/FILE or a URL",
                   text, why);
}

/* ---- hf: ---- */

static int parse_hub(const char *text, struct pull_source *out, struct err *err)
{
    const char *org = text + strlen(HUB_PREFIX);
    size_t org_len = strcspn(org, "/");
    const char *name = org[org_len] == '\0' ? org + org_len : org + org_len + 1;
    size_t name_len = strcspn(name, "/:");
    size_t repo_len = (size_t)(name - org) + name_len;
    const char *rest = name + name_len;

    if (!is_word(org, org_len) || !is_word(name, name_len) || repo_len > PULL_REPO_MAX_BYTES)
        return refuse(text, "the repository must be ORG/REPO", err);
    if (*rest == ':' &&
        (!is_word(rest + 1, strlen(rest + 1)) || strlen(rest + 1) > PULL_QUANT_MAX_BYTES))
        return refuse(text, "the quantisation is a word as Q4_K_M", err);
    if (*rest == '/' && rest[1] == '\0')
        return refuse(text, "the name of the file is missing", err);
    out->is_hub = true;
    out->repo = xstrndup(org, repo_len);
    out->quant = xstrdup(*rest == ':' ? rest + 1 : "");
    out->file = xstrdup(*rest == '/' ? rest + 1 : "");
    out->shown = xstrdup(text);
    out->place = xasprintf("hf/%s", out->repo);
    return 0;
}

/* ---- URLs ---- */

/* The host of URL, which begins with a scheme; its port is in it. */
static const char *find_host(const char *url, size_t *out_len)
{
    const char *host = strstr(url, "://");

    if (host == NULL)
        return NULL;
    host += strlen("://");
    *out_len = strcspn(host, "/?#");
    return host;
}

static bool is_http(const char *text)
{
    return strncasecmp(text, "https://", 8) == 0 || strncasecmp(text, "http://", 7) == 0;
}

static bool is_one_word(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == '\177')
            return false;
    }
    return true;
}

/* The query is part of it, for it may say which file: a hash gives nothing of it away. */
static char *url_place(const char *text, const char *host, size_t host_len)
{
    struct token_hash hash;
    AUTO_FREE char *folder = xstrndup(host, host_len);
    char digits[2 * PLACE_HASH_BYTES + 1];

    token_hash(text, &hash);
    (void)sodium_bin2hex(digits, sizeof(digits), hash.bytes, PLACE_HASH_BYTES);
    for (char *at = folder; *at != '\0'; at++)
        *at = isascii((unsigned char)*at) && isalnum((unsigned char)*at)
                  ? (char)tolower((unsigned char)*at)
                  : '-';
    return xasprintf("url/%s-%s", folder, digits);
}

static int parse_url(const char *text, struct pull_source *out, struct err *err)
{
    size_t host_len = 0;
    const char *host = find_host(text, &host_len);

    if (host == NULL || host_len == 0 || host_len > PULL_REPO_MAX_BYTES || !is_one_word(text))
        return refuse(text, "the URL has no host, or blanks", err);
    if (memchr(host, '@', host_len) != NULL)
        return err_set(
            err, ERR_INVALID_FIELD,
            "a URL with a user or a password in it would be written down in many places");
    out->shown = xstrndup(text, strcspn(text, "?#"));
    out->repo = xstrdup("");
    out->quant = xstrdup("");
    out->file = xstrdup("");
    out->place = url_place(text, host, host_len);
    return 0;
}

int pull_source_parse(const char *text, struct pull_source *out, struct err *err)
{
    int result = -1;

    *out = (struct pull_source){.text = NULL};
    if (strlen(text) > PULL_SOURCE_MAX_BYTES)
        return err_set(err, ERR_INVALID_FIELD, "source must have at most %d bytes",
                       PULL_SOURCE_MAX_BYTES);
    if (strncmp(text, HUB_PREFIX, strlen(HUB_PREFIX)) == 0)
        result = parse_hub(text, out, err);
    else if (is_http(text))
        result = parse_url(text, out, err);
    else
        (void)refuse(text, "it is neither", err);
    if (result == 0)
        out->text = xstrdup(text);
    return result;
}

void pull_source_release(struct pull_source *source)
{
    free(source->text);
    free(source->repo);
    free(source->quant);
    free(source->file);
    free(source->shown);
    free(source->place);
    *source = (struct pull_source){.text = NULL};
}
