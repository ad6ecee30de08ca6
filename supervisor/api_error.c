/* Owns what a client may read of a failure. Knows neither routes nor why something failed. */
#include "supervisor/api_error.h"

#include "common/json.h"

#include <stdbool.h>
#include <string.h>

/* What a path stands behind, and what ends it; a blank is both. */
static const char BEFORE_PATH[] = " \"'`=([{<,;:|";
static const char BEHIND_PATH[] = " \"'`)]}>,;|";

/* The bytes of the path at TEXT. A ':' ends it where a sentence goes on ("open /a/b: No such file",
 * "/a/b:12: ..."), and not before that: it may be part of a name. */
static size_t api_path_len(const char *text)
{
    size_t len = strcspn(text, BEHIND_PATH);

    while (len > 0 && (text[len - 1] == ':' || text[len - 1] == '.'))
        len--;
    return len;
}

static bool api_is_private(const char *path, size_t len, const char *sent, size_t sent_len)
{
    static const char ROUTES[] = "/v1/";

    if (len < 2 || memchr(path + 1, '/', len - 1) == NULL ||
        strncmp(path, ROUTES, strlen(ROUTES)) == 0)
        return false;
    return sent_len == 0 || memmem(sent, sent_len, path, len) == NULL;
}

/* What is shown of a path: its last part; of a list of them, as PATH is one, nothing. */
static size_t api_add_shown(char *to, const char *path, size_t len)
{
    static const char LIST[] = "...";
    const char *last = (const char *)memrchr(path, '/', len) + 1;

    if (memmem(path, len, ":/", 2) != NULL) {
        memcpy(to, LIST, strlen(LIST));
        return strlen(LIST);
    }
    len -= (size_t)(last - path);
    memmove(to, last, len);
    return len;
}

/* Takes the folders out of MESSAGE, which only gets shorter. */
static void api_hide_paths(char *message, const char *sent, size_t sent_len)
{
    char *to = message;

    for (const char *from = message; *from != '\0';) {
        bool may_begin = from == message || strchr(BEFORE_PATH, from[-1]) != NULL;
        size_t len = *from == '/' && may_begin ? api_path_len(from) : 0;

        if (len > 0 && api_is_private(from, len, sent, sent_len)) {
            to += api_add_shown(to, from, len);
            from += len;
        } else {
            len = len > 0 ? len : 1;
            memmove(to, from, len);
            to += len;
            from += len;
        }
    }
    *to = '\0';
}

static void api_clean(const struct http_exchange *exchange, const struct err *cause,
                      struct err *out)
{
    size_t len = 0;
    const char *body = http_exchange_body(exchange, &len);

    *out = *cause;
    api_hide_paths(out->message, body, len);
}

void api_reply_error(struct http_exchange *exchange, const struct err *cause, const json_t *details)
{
    struct err told;

    api_clean(exchange, cause, &told);
    http_reply_error(exchange, &told, details);
}

json_t *api_error_event(const struct http_exchange *exchange, const struct err *cause,
                        const json_t *details)
{
    struct err told;

    api_clean(exchange, cause, &told);
    return json_error_event(&told, http_exchange_request_id(exchange), details);
}
