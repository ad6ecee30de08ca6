/* Owns the grammar of lists of hosts and origins. Must not know who is let in by them. */
#include "common/host_list.h"

#include <string.h>
#include <strings.h>

enum { SHOWN_MAX_BYTES = 80 }; /* of a word in a message */

static const char SEPARATORS[] = " ,\t";
static const char HOST_BYTES[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";

/* The next word at *AT, which goes behind it; its length, 0 at the end. */
static size_t host_list_next(const char **at, const char **out_word)
{
    size_t len = 0;

    *at += strspn(*at, SEPARATORS);
    *out_word = *at;
    len = strcspn(*at, SEPARATORS);
    *at += len;
    return len;
}

int host_list_check_hosts(const char *list, struct err *err)
{
    const char *word = NULL;
    size_t len = 0;

    while ((len = host_list_next(&list, &word)) > 0) {
        if (strspn(word, HOST_BYTES) < len)
            return err_set(err, ERR_USAGE, "\"%.*s\" is no host: a name or an address, as gpu.lan",
                           (int)(len < SHOWN_MAX_BYTES ? len : SHOWN_MAX_BYTES), word);
    }
    return 0;
}

int host_list_check_origins(const char *list, struct err *err)
{
    static const char AFTER_SCHEME[] = "://";
    const char *word = NULL;
    size_t len = 0;

    while ((len = host_list_next(&list, &word)) > 0) {
        size_t scheme_len = strcspn(word, ":");
        size_t host_at = scheme_len + strlen(AFTER_SCHEME);

        if (scheme_len == 0 || host_at >= len ||
            strncmp(word + scheme_len, AFTER_SCHEME, strlen(AFTER_SCHEME)) != 0 ||
            strspn(word + host_at, HOST_BYTES) < len - host_at)
            return err_set(err, ERR_USAGE,
                           "\"%.*s\" is no origin: a scheme and a host, as https://chat.lan",
                           (int)(len < SHOWN_MAX_BYTES ? len : SHOWN_MAX_BYTES), word);
    }
    return 0;
}

bool host_list_has(const char *list, const char *word, size_t len)
{
    const char *known = NULL;
    size_t known_len = 0;

    while ((known_len = host_list_next(&list, &known)) > 0) {
        if (known_len == len && strncasecmp(known, word, len) == 0)
            return true;
    }
    return false;
}

size_t host_list_host_len(const char *authority)
{
    const char *bracket = authority[0] == '[' ? strchr(authority, ']') : NULL;

    return bracket != NULL ? (size_t)(bracket - authority) + 1 : strcspn(authority, ":");
}
