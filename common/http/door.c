/* Owns the policy of door.h, one function a rule. Knows neither llhttp nor sockets. */
#include "common/http/door.h"

#include "common/utf8.h"

#include <string.h>
#include <strings.h>

enum {
    DOOR_CONTENT_LENGTH_MAX_DIGITS = 18, /* below 2^63, whatever the digits */
    DOOR_CHUNK_SIZE_MAX_DIGITS = 15,     /* below 2^60 */
    DOOR_STATUS_DIGITS = 3,
    DOOR_FIRST_VISIBLE = 0x21,
    DOOR_DELETE = 0x7f,
    DOOR_HEX_BASE = 16,
};

/* ---- lines ---- */

/* A character of a header's name or a method: RFC 9110, 5.6.2 "token". */
static bool door_is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool door_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int door_hex_value(char c)
{
    if (door_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The length of LINE without its end; a lone LF, a CR anywhere else, NUL and all other control
 * characters but the tab are refused: they are where parsers disagree. */
static int door_check_text(const char *line, size_t len, size_t *out_text_len, struct err *err)
{
    if (len < 2 || line[len - 1] != '\n' || line[len - 2] != '\r')
        return err_set(err, ERR_INVALID, "a line does not end in CR LF");
    for (size_t i = 0; i < len - 2; i++) {
        unsigned char c = (unsigned char)line[i];

        if ((c < ' ' && c != '\t') || c == DOOR_DELETE)
            return err_set(err, ERR_INVALID, "control character 0x%02x in the head", c);
    }
    *out_text_len = len - 2;
    return 0;
}

/* "HTTP/1.0" or "HTTP/1.1" and nothing else. */
static int door_check_version(const char *text, size_t len, struct err *err)
{
    if (len != strlen("HTTP/1.1") || memcmp(text, "HTTP/", strlen("HTTP/")) != 0 ||
        !door_is_digit(text[5]) || text[6] != '.' || !door_is_digit(text[7]))
        return err_set(err, ERR_INVALID, "no HTTP version in the first line");
    if (text[5] != '1' || (text[7] != '0' && text[7] != '1'))
        return err_set(err, ERR_HTTP_VERSION, "HTTP version %.3s is not spoken here", text + 5);
    return 0;
}

int door_check_request_line(const char *line, size_t len, struct err *err)
{
    size_t text_len = 0;
    size_t method_len = 0;
    size_t target_len = 0;
    const char *target = NULL;

    if (door_check_text(line, len, &text_len, err) < 0)
        return -1;
    while (method_len < text_len && door_is_token_char(line[method_len]))
        method_len++;
    if (method_len == 0 || method_len == text_len || line[method_len] != ' ')
        return err_set(err, ERR_INVALID, "the first line does not begin with a method");
    target = line + method_len + 1;
    while (target + target_len < line + text_len && target[target_len] != ' ')
        target_len++;
    if (target_len > HTTP_TARGET_MAX_BYTES)
        return err_set(err, ERR_TARGET_TOO_LONG, "target of more than %d bytes",
                       HTTP_TARGET_MAX_BYTES);
    for (size_t i = 0; i < target_len; i++) {
        unsigned char c = (unsigned char)target[i];

        if (c < DOOR_FIRST_VISIBLE || c >= DOOR_DELETE)
            return err_set(err, ERR_INVALID,
                           "the target holds a byte that must be percent-encoded");
    }
    if (target_len == 0 || target + target_len == line + text_len)
        return err_set(err, ERR_INVALID, "no HTTP version in the first line");
    return door_check_version(target + target_len + 1, text_len - method_len - 1 - target_len - 1,
                              err);
}

int door_check_status_line(const char *line, size_t len, struct err *err)
{
    enum { VERSION_LEN = sizeof("HTTP/1.1") - 1, CODE_END = VERSION_LEN + 1 + DOOR_STATUS_DIGITS };
    size_t text_len = 0;

    if (door_check_text(line, len, &text_len, err) < 0)
        return -1;
    if (text_len < CODE_END || line[VERSION_LEN] != ' ')
        return err_set(err, ERR_INVALID, "no HTTP status in the first line");
    if (door_check_version(line, VERSION_LEN, err) < 0)
        return -1;
    for (size_t i = VERSION_LEN + 1; i < CODE_END; i++) {
        if (!door_is_digit(line[i]))
            return err_set(err, ERR_INVALID, "the status is not a number");
    }
    if (line[VERSION_LEN + 1] < '1' || line[VERSION_LEN + 1] > '5')
        return err_set(err, ERR_INVALID, "status outside 100 to 599");
    if (text_len > CODE_END && line[CODE_END] != ' ')
        return err_set(err, ERR_INVALID, "the status is not a number");
    return 0;
}

int door_check_header_line(const char *line, size_t len, struct err *err)
{
    size_t text_len = 0;
    size_t name_len = 0;

    if (door_check_text(line, len, &text_len, err) < 0)
        return -1;
    if (text_len > 0 && (line[0] == ' ' || line[0] == '\t'))
        return err_set(err, ERR_INVALID, "a header is folded over two lines");
    while (name_len < text_len && door_is_token_char(line[name_len]))
        name_len++;
    if (name_len == 0 || name_len == text_len || line[name_len] != ':')
        return err_set(err, ERR_INVALID, "a header's name is not directly followed by a colon");
    return 0;
}

int door_check_trailer_line(const char *line, size_t len, struct err *err)
{
    static const char *const REFUSED[] = {"Content-Length:", "Transfer-Encoding:", "Host:"};

    if (door_check_header_line(line, len, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(REFUSED); i++) {
        if (len > strlen(REFUSED[i]) && strncasecmp(line, REFUSED[i], strlen(REFUSED[i])) == 0)
            return err_set(err, ERR_INVALID, "a trailer that belongs into the head");
    }
    return 0;
}

int door_check_chunk_line(const char *line, size_t len, struct err *err)
{
    size_t text_len = 0;
    size_t digits = 0;

    if (door_check_text(line, len, &text_len, err) < 0)
        return -1;
    while (digits < text_len && door_hex_value(line[digits]) >= 0)
        digits++;
    if (digits == 0 || digits > DOOR_CHUNK_SIZE_MAX_DIGITS)
        return err_set(err, ERR_INVALID, "a chunk's size is not a number in range");
    if (digits < text_len && line[digits] != ';')
        return err_set(err, ERR_INVALID, "a chunk's size is followed by something else");
    return 0;
}

int door_check_empty_line(const char *line, size_t len, struct err *err)
{
    if (len != 2 || memcmp(line, "\r\n", 2) != 0)
        return err_set(err, ERR_INVALID, "a chunk does not end where its size says");
    return 0;
}

/* ---- heads ---- */

static const struct http_header *door_find(const struct door_message *message, const char *name,
                                           size_t *out_count)
{
    const struct http_header *found = NULL;

    *out_count = 0;
    for (size_t i = 0; i < message->head->header_count; i++) {
        if (!http_name_is(message->head->headers[i].name, name))
            continue;
        if (*out_count == 0)
            found = &message->head->headers[i];
        (*out_count)++;
    }
    return found;
}

/* Which host is meant must be said, and said once; whether it is one of ours is the service's
 * question. */
static int door_rule_host(const struct door_message *message, struct door_framing *out,
                          struct err *err)
{
    size_t count = 0;

    if (message->is_reply)
        return 0;
    (void)door_find(message, "Host", &count); /* its value is not looked at here */
    if (count > 1 || (count == 0 && message->minor_version == 1))
        return err_set(err, ERR_INVALID, "%zu Host headers where there must be one", count);
    return 0;
}

static int door_rule_transfer_encoding(const struct door_message *message, struct door_framing *out,
                                       struct err *err)
{
    size_t count = 0;
    size_t length_count = 0;
    const struct http_header *encoding = door_find(message, "Transfer-Encoding", &count);

    if (encoding == NULL)
        return 0;
    (void)door_find(message, "Content-Length", &length_count); /* only whether there is one */
    if (length_count > 0)
        return err_set(err, ERR_INVALID, "Transfer-Encoding beside Content-Length");
    if (message->minor_version == 0)
        return err_set(err, ERR_INVALID, "Transfer-Encoding in HTTP/1.0");
    if (count > 1)
        return err_set(err, ERR_INVALID, "more than one Transfer-Encoding");
    if (strcasecmp(encoding->value, "chunked") != 0)
        return err_set(err, ERR_NOT_IMPLEMENTED, "a Transfer-Encoding other than chunked");
    out->body = DOOR_BODY_CHUNKED;
    return 0;
}

static int door_rule_content_length(const struct door_message *message, struct door_framing *out,
                                    struct err *err)
{
    size_t count = 0;
    uint64_t length = 0;
    const struct http_header *header = door_find(message, "Content-Length", &count);

    if (header == NULL)
        return 0;
    if (count > 1)
        return err_set(err, ERR_INVALID, "more than one Content-Length");
    if (header->value[0] == '\0')
        return err_set(err, ERR_INVALID, "an empty Content-Length");
    for (const char *digit = header->value; *digit != '\0'; digit++) {
        if (!door_is_digit(*digit))
            return err_set(err, ERR_INVALID, "Content-Length is not a number");
        if (digit - header->value >= DOOR_CONTENT_LENGTH_MAX_DIGITS)
            return err_set(err, ERR_BODY_TOO_LARGE, "Content-Length is beyond all bounds");
        length = length * 10 + (uint64_t)(*digit - '0');
    }
    out->body = length > 0 ? DOOR_BODY_LENGTH : DOOR_BODY_NONE;
    out->length = length;
    return 0;
}

/* Nothing here unpacks: a packed body would be a bomb or would be misread. */
static int door_rule_content_encoding(const struct door_message *message, struct door_framing *out,
                                      struct err *err)
{
    size_t count = 0;

    if (door_find(message, "Content-Encoding", &count) != NULL)
        return err_set(err, ERR_ENCODING, "bodies with a Content-Encoding are not taken");
    return 0;
}

static int door_rule_expect(const struct door_message *message, struct door_framing *out,
                            struct err *err)
{
    size_t count = 0;
    const struct http_header *header = door_find(message, "Expect", &count);

    if (message->is_reply || header == NULL)
        return 0;
    if (count > 1 || strcasecmp(header->value, "100-continue") != 0)
        return err_set(err, ERR_EXPECTATION, "an Expect other than 100-continue");
    /* A 1.0 client does not know interim replies: RFC 9110, 10.1.1. */
    out->expects_continue = message->minor_version == 1;
    return 0;
}

static int door_rule_reply_body(const struct door_message *message, struct door_framing *out,
                                struct err *err)
{
    int status = message->head->status;
    size_t length_count = 0;

    if (!message->is_reply)
        return 0;
    if (message->is_reply_to_head || status / 100 == 1 || status == 204 || status == 304) {
        out->body = DOOR_BODY_NONE;
        out->length = 0;
        return 0;
    }
    (void)door_find(message, "Content-Length", &length_count); /* "0" has set no body */
    if (out->body == DOOR_BODY_NONE && length_count == 0)
        out->body = DOOR_BODY_TO_CLOSE;
    return 0;
}

static int door_rule_keep_alive(const struct door_message *message, struct door_framing *out,
                                struct err *err)
{
    out->keep_alive =
        message->minor_version == 1 && !message->says_close && out->body != DOOR_BODY_TO_CLOSE;
    return 0;
}

/* In this order: framing first, since it decides whether anything else can be believed. */
static int (*const DOOR_RULES[])(const struct door_message *message, struct door_framing *out,
                                 struct err *err) = {
    door_rule_transfer_encoding, door_rule_content_length, door_rule_host,
    door_rule_content_encoding,  door_rule_expect,         door_rule_reply_body,
    door_rule_keep_alive,
};

int door_check_head(const struct door_message *message, struct door_framing *out, struct err *err)
{
    struct door_framing framing = {.body = DOOR_BODY_NONE};

    for (size_t i = 0; i < ARRAY_COUNT(DOOR_RULES); i++) {
        if (DOOR_RULES[i](message, &framing, err) < 0)
            return -1;
    }
    *out = framing;
    return 0;
}

/* ---- targets ---- */

/* Decodes %XX in place. A decoded NUL or control character is refused: it would end a string, or
 * write into logs. */
static int door_decode(char *text, struct err *err)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        char c = *from;

        if (c == '%') {
            int high = door_hex_value(from[1]);
            int low = high < 0 ? -1 : door_hex_value(from[2]);

            if (low < 0)
                return err_set(err, ERR_INVALID, "a broken percent escape in the target");
            c = (char)(high * DOOR_HEX_BASE + low);
            if ((unsigned char)c < ' ' || c == DOOR_DELETE)
                return err_set(err, ERR_INVALID, "a control character in the target");
            from += 2;
        }
        *to++ = c;
    }
    *to = '\0';
    return 0;
}

static bool door_has_dot_segment(const char *path)
{
    for (const char *segment = strchr(path, '/'); segment != NULL;
         segment = strchr(segment + 1, '/')) {
        const char *text = segment + 1;
        size_t len = strcspn(text, "/");

        if ((len == 1 && text[0] == '.') || (len == 2 && text[0] == '.' && text[1] == '.'))
            return true;
    }
    return false;
}

int door_split_target(char *target, const char **out_path, const char **out_query, struct err *err)
{
    char *query = NULL;

    if (target[0] != '/')
        return err_set(err, ERR_INVALID, "the target is not a path");
    if (strchr(target, '#') != NULL)
        return err_set(err, ERR_INVALID, "a fragment in the target");
    if (strstr(target, "%00") != NULL)
        return err_set(err, ERR_INVALID, "a NUL in the target");
    query = strchr(target, '?');
    if (query != NULL)
        *query++ = '\0';
    if (door_decode(target, err) < 0)
        return -1;
    if (door_has_dot_segment(target))
        return err_set(err, ERR_TRAVERSAL, "a dot segment in the path");
    if (!utf8_is_valid(target, strlen(target)))
        return err_set(err, ERR_INVALID, "the path is not UTF-8");
    *out_path = target;
    *out_query = query == NULL ? "" : query;
    return 0;
}
