/* Owns the reading of one direction of a connection: lines are gathered and asked of the door, then
 * llhttp takes the head apart, then the body is counted out. Knows nothing of sockets. */
#include "common/http/parser.h"

#include <string.h>

/* ---- what llhttp reports ---- */

static struct parser *parser_of(llhttp_t *grammar)
{
    return grammar->data;
}

/* llhttp may report one text in several calls; they lie side by side. */
static void parser_grow_span(struct parser *parser, struct parser_span *span, const char *at,
                             size_t len)
{
    if (span->len == 0)
        span->start = (uint16_t)(at - parser->head.data);
    assert(parser->head.data + span->start + span->len == at);
    span->len = (uint16_t)(span->len + len);
}

static int parser_on_target(llhttp_t *grammar, const char *at, size_t len)
{
    struct parser *parser = parser_of(grammar);

    parser_grow_span(parser, &parser->target, at, len);
    return HPE_OK;
}

static bool parser_is_in_trailers(const struct parser *parser)
{
    return parser->state != PARSER_IN_HEAD;
}

static int parser_on_name(llhttp_t *grammar, const char *at, size_t len)
{
    struct parser *parser = parser_of(grammar);

    if (!parser_is_in_trailers(parser))
        parser_grow_span(parser, &parser->names[parser->name_count], at, len);
    return HPE_OK;
}

static int parser_on_name_end(llhttp_t *grammar)
{
    struct parser *parser = parser_of(grammar);

    if (!parser_is_in_trailers(parser))
        parser->name_count++;
    return HPE_OK;
}

static int parser_on_value(llhttp_t *grammar, const char *at, size_t len)
{
    struct parser *parser = parser_of(grammar);

    if (!parser_is_in_trailers(parser))
        parser_grow_span(parser, &parser->values[parser->value_count], at, len);
    return HPE_OK;
}

static int parser_on_value_end(llhttp_t *grammar)
{
    struct parser *parser = parser_of(grammar);

    if (!parser_is_in_trailers(parser))
        parser->value_count++;
    return HPE_OK;
}

/* The door speaks before llhttp goes on to the body. */
static int parser_on_head_end(llhttp_t *grammar)
{
    grammar->upgrade = 0; /* nothing here upgrades: what follows is HTTP */
    return HPE_PAUSED;
}

static int parser_on_chunk(llhttp_t *grammar)
{
    parser_of(grammar)->left = grammar->content_length;
    return HPE_OK;
}

static int parser_on_end(llhttp_t *grammar)
{
    parser_of(grammar)->state = PARSER_AT_END;
    return HPE_PAUSED;
}

static const llhttp_settings_t PARSER_SETTINGS = {
    .on_url = parser_on_target,
    .on_header_field = parser_on_name,
    .on_header_field_complete = parser_on_name_end,
    .on_header_value = parser_on_value,
    .on_header_value_complete = parser_on_value_end,
    .on_headers_complete = parser_on_head_end,
    .on_chunk_header = parser_on_chunk,
    .on_message_complete = parser_on_end,
};

/* ---- life ---- */

void parser_init(struct parser *parser, enum parser_kind kind)
{
    *parser = (struct parser){.kind = kind, .state = PARSER_IN_HEAD};
    buf_init(&parser->head, HTTP_HEAD_MAX_BYTES);
}

void parser_release(struct parser *parser)
{
    buf_release(&parser->head);
}

void parser_next_message(struct parser *parser)
{
    enum { KEPT_HEAD_BYTES = 4096 }; /* an idle connection holds no more than that */

    if (parser->head.capacity > KEPT_HEAD_BYTES)
        buf_release(&parser->head);
    else
        buf_clear(&parser->head);
    parser->state = PARSER_IN_HEAD;
    parser->is_reply_to_head = false;
    parser->has_skipped_line = false;
    parser->line_start = 0;
    parser->line_count = 0;
    parser->line_len = 0;
    parser->trailer_count = 0;
    parser->left = 0;
}

void parser_expect_no_body(struct parser *parser)
{
    assert(parser->kind == PARSER_REPLIES && parser->state == PARSER_IN_HEAD);
    parser->is_reply_to_head = true;
}

bool parser_has_begun(const struct parser *parser)
{
    return parser->state != PARSER_DONE &&
           (parser->state != PARSER_IN_HEAD || parser->head.len > 0);
}

static enum parser_step parser_fail(struct parser *parser, struct err *err)
{
    parser->state = PARSER_BROKEN;
    if (parser->kind == PARSER_REPLIES) {
        err->kind = ERR_PROTOCOL;
        err_prefix(err, "reply refused");
    }
    return PARSER_FAILED;
}

static enum parser_step parser_fail_grammar(struct parser *parser, struct err *err)
{
    /* The door has let the line through, so the method is a word that llhttp does not know. */
    if (llhttp_get_errno(&parser->grammar) == HPE_INVALID_METHOD)
        err_fill(err, ERR_NOT_IMPLEMENTED, "unknown method");
    else
        err_fill(err, ERR_INVALID, "not HTTP: %s", llhttp_get_error_reason(&parser->grammar));
    return parser_fail(parser, err);
}

static void parser_take(struct parser_input *input, size_t len)
{
    input->data += len;
    input->len -= len;
}

/* ---- the head ---- */

static enum http_method parser_method(const struct parser *parser)
{
    switch ((llhttp_method_t)parser->grammar.method) {
    case LLHTTP_GET:
        return HTTP_GET;
    case LLHTTP_HEAD:
        return HTTP_HEAD;
    case LLHTTP_POST:
        return HTTP_POST;
    case LLHTTP_PUT:
        return HTTP_PUT;
    case LLHTTP_DELETE:
        return HTTP_DELETE;
    case LLHTTP_OPTIONS:
        return HTTP_OPTIONS;
    default:
        return HTTP_OTHER;
    }
}

/* Makes a string of what SPAN covers, without the blanks at its end. The byte after a span is a
 * delimiter that nobody needs any more. */
static char *parser_text(struct parser *parser, const struct parser_span *span)
{
    char *text = parser->head.data + span->start;
    size_t len = span->len;

    if (len == 0) /* llhttp says nothing of where an empty text is; the head's NUL is one */
        return parser->head.data + parser->head.len;
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    text[len] = '\0';
    return text;
}

static int parser_fill_message(struct parser *parser, struct err *err)
{
    struct http_head *head = &parser->message;

    assert(parser->name_count == parser->value_count);
    head->method = parser->kind == PARSER_REQUESTS ? parser_method(parser) : HTTP_OTHER;
    head->status = parser->kind == PARSER_REPLIES ? parser->grammar.status_code : 0;
    head->path = "";
    head->query = "";
    head->header_count = parser->name_count;
    for (size_t i = 0; i < parser->name_count; i++) {
        head->headers[i].name = parser_text(parser, &parser->names[i]);
        head->headers[i].value = parser_text(parser, &parser->values[i]);
    }
    if (parser->kind == PARSER_REPLIES)
        return 0;
    if (parser->grammar.method == HTTP_CONNECT)
        return err_set(err, ERR_INVALID, "CONNECT is not served here");
    head->path = parser_text(parser, &parser->target);
    if (door_split_target(parser_text(parser, &parser->target), &head->path, &head->query, err) ==
        0)
        return 0;
    if (err->kind != ERR_TRAVERSAL)
        head->path = ""; /* what it is not even is told to nobody */
    return -1;
}

static int parser_ask_door(struct parser *parser, struct err *err)
{
    struct door_message message = {
        .is_reply = parser->kind == PARSER_REPLIES,
        .is_reply_to_head = parser->is_reply_to_head,
        .says_close = (parser->grammar.flags & F_CONNECTION_CLOSE) != 0,
        .minor_version = parser->grammar.http_minor,
        .head = &parser->message,
    };

    return door_check_head(&message, &parser->framing, err);
}

/* llhttp goes on behind the head: only where it will be asked for the chunks. */
static void parser_begin_body(struct parser *parser)
{
    static const enum parser_state FIRST[] = {
        [DOOR_BODY_NONE] = PARSER_AT_END,
        [DOOR_BODY_LENGTH] = PARSER_IN_LENGTH,
        [DOOR_BODY_CHUNKED] = PARSER_IN_CHUNK_SIZE,
        [DOOR_BODY_TO_CLOSE] = PARSER_IN_REST,
    };

    parser->left = parser->framing.length;
    parser->state = FIRST[parser->framing.body];
}

/* The head is whole: from here on its bytes are llhttp's. */
static enum parser_step parser_complete_head(struct parser *parser, struct err *err)
{
    const char *rest = NULL;
    const char *end = parser->head.data + parser->head.len;

    parser->target = (struct parser_span){0};
    memset(parser->names, 0, sizeof(parser->names));
    memset(parser->values, 0, sizeof(parser->values));
    parser->name_count = 0;
    parser->value_count = 0;
    llhttp_init(&parser->grammar, parser->kind == PARSER_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE,
                &PARSER_SETTINGS);
    parser->grammar.data = parser;
    if (llhttp_execute(&parser->grammar, parser->head.data, parser->head.len) != HPE_PAUSED)
        return parser_fail_grammar(parser, err);
    rest = llhttp_get_error_pos(&parser->grammar);
    if (parser_fill_message(parser, err) < 0 || parser_ask_door(parser, err) < 0)
        return parser_fail(parser, err);
    parser_begin_body(parser);
    if (parser->framing.body == DOOR_BODY_CHUNKED) {
        llhttp_resume(&parser->grammar);
        if (llhttp_execute(&parser->grammar, rest, (size_t)(end - rest)) != HPE_OK)
            return parser_fail_grammar(parser, err);
    }
    return PARSER_FOUND_HEAD;
}

/* How much the line being read may still grow. */
static size_t parser_head_room(const struct parser *parser)
{
    size_t room = HTTP_HEAD_MAX_BYTES - parser->head.len;
    size_t first_line_max = HTTP_TARGET_MAX_BYTES + DOOR_START_LINE_EXTRA_BYTES;

    if (parser->line_count == 0)
        room = first_line_max - parser->head.len;
    return room;
}

static int parser_refuse_long_head(const struct parser *parser, struct err *err)
{
    if (parser->line_count == 0)
        return err_set(err, ERR_TARGET_TOO_LONG, "first line of more than %d bytes",
                       HTTP_TARGET_MAX_BYTES);
    return err_set(err, ERR_HEAD_TOO_LARGE, "head of more than %d bytes or %d headers",
                   HTTP_HEAD_MAX_BYTES, HTTP_HEADER_MAX_COUNT);
}

static int parser_check_head_line(struct parser *parser, const char *line, size_t len,
                                  struct err *err)
{
    if (parser->line_count > HTTP_HEADER_MAX_COUNT)
        return parser_refuse_long_head(parser, err);
    if (parser->line_count > 0)
        return door_check_header_line(line, len, err);
    if (parser->kind == PARSER_REQUESTS)
        return door_check_request_line(line, len, err);
    return door_check_status_line(line, len, err);
}

static bool parser_is_empty_line(const char *line, size_t len)
{
    return len == 2 && memcmp(line, "\r\n", 2) == 0;
}

static enum parser_step parser_read_head(struct parser *parser, struct parser_input *input,
                                         struct err *err)
{
    while (input->len > 0) {
        const char *line_end = memchr(input->data, '\n', input->len);
        size_t len = line_end == NULL ? input->len : (size_t)(line_end - input->data) + 1;
        const char *line = NULL;

        if (len > parser_head_room(parser) || buf_add(&parser->head, input->data, len) < 0) {
            (void)parser_refuse_long_head(parser, err); /* it only fills err */
            return parser_fail(parser, err);
        }
        parser_take(input, len);
        if (line_end == NULL)
            break;
        line = parser->head.data + parser->line_start;
        len = parser->head.len - parser->line_start;
        if (parser_is_empty_line(line, len) && parser->line_count > 0)
            return parser_complete_head(parser, err);
        /* RFC 9112, 2.2: old clients send an empty line behind a body. One is let go. */
        if (parser_is_empty_line(line, len) && parser->kind == PARSER_REQUESTS &&
            !parser->has_skipped_line) {
            parser->has_skipped_line = true;
            buf_clear(&parser->head);
            continue;
        }
        if (parser_check_head_line(parser, line, len, err) < 0)
            return parser_fail(parser, err);
        parser->line_count++;
        parser->line_start = parser->head.len;
    }
    return PARSER_NEEDS_INPUT;
}

/* ---- the body ---- */

static enum parser_step parser_read_length(struct parser *parser, struct parser_input *input)
{
    size_t len = parser->left < input->len ? (size_t)parser->left : input->len;

    if (len == 0)
        return PARSER_NEEDS_INPUT;
    parser->piece = (struct parser_input){.data = input->data, .len = len};
    parser_take(input, len);
    parser->left -= len;
    if (parser->left == 0)
        parser->state = PARSER_AT_END;
    return PARSER_FOUND_BODY;
}

static enum parser_step parser_read_rest(struct parser *parser, struct parser_input *input)
{
    if (input->len == 0)
        return PARSER_NEEDS_INPUT;
    parser->piece = *input;
    parser_take(input, input->len);
    return PARSER_FOUND_BODY;
}

static enum parser_step parser_read_chunk(struct parser *parser, struct parser_input *input,
                                          struct err *err)
{
    size_t len = parser->left < input->len ? (size_t)parser->left : input->len;

    if (len == 0)
        return PARSER_NEEDS_INPUT;
    if (llhttp_execute(&parser->grammar, input->data, len) != HPE_OK)
        return parser_fail_grammar(parser, err);
    parser->piece = (struct parser_input){.data = input->data, .len = len};
    parser_take(input, len);
    parser->left -= len;
    if (parser->left == 0)
        parser->state = PARSER_AFTER_CHUNK;
    return PARSER_FOUND_BODY;
}

static int parser_check_framing_line(struct parser *parser, struct err *err)
{
    if (parser->state == PARSER_IN_CHUNK_SIZE)
        return door_check_chunk_line(parser->line, parser->line_len, err);
    if (parser->state == PARSER_AFTER_CHUNK || parser_is_empty_line(parser->line, parser->line_len))
        return door_check_empty_line(parser->line, parser->line_len, err);
    if (++parser->trailer_count > DOOR_TRAILER_MAX_COUNT)
        return err_set(err, ERR_HEAD_TOO_LARGE, "more than %d trailers", DOOR_TRAILER_MAX_COUNT);
    return door_check_trailer_line(parser->line, parser->line_len, err);
}

/* Extensions mean nothing to us (RFC 9112, 7.1.1), and llhttp 8.1 refuses some good ones: it gets
 * the size alone. The door has looked at the whole line. */
static void parser_cut_extensions(struct parser *parser)
{
    char *extensions = memchr(parser->line, ';', parser->line_len);

    if (extensions == NULL)
        return;
    memcpy(extensions, "\r\n", 2); /* a ";" is followed by at least the line's own end */
    parser->line_len = (size_t)(extensions - parser->line) + 2;
}

/* One line between chunks, or a trailer; trailers are checked and dropped. */
static enum parser_step parser_end_framing_line(struct parser *parser, struct err *err)
{
    llhttp_errno_t result = HPE_OK;

    if (parser_check_framing_line(parser, err) < 0)
        return parser_fail(parser, err);
    if (parser->state == PARSER_IN_CHUNK_SIZE)
        parser_cut_extensions(parser);
    result = llhttp_execute(&parser->grammar, parser->line, parser->line_len);
    parser->line_len = 0;
    if (parser->state == PARSER_AT_END && result == HPE_PAUSED)
        return PARSER_NEEDS_INPUT; /* the next step finds the end */
    if (result != HPE_OK)
        return parser_fail_grammar(parser, err);
    if (parser->state == PARSER_IN_CHUNK_SIZE)
        parser->state = parser->left > 0 ? PARSER_IN_CHUNK : PARSER_IN_TRAILERS;
    else if (parser->state == PARSER_AFTER_CHUNK)
        parser->state = PARSER_IN_CHUNK_SIZE;
    return PARSER_NEEDS_INPUT;
}

static enum parser_step parser_read_framing(struct parser *parser, struct parser_input *input,
                                            struct err *err)
{
    const char *line_end = NULL;
    size_t len = input->len;

    if (len == 0)
        return PARSER_NEEDS_INPUT;
    line_end = memchr(input->data, '\n', input->len);
    if (line_end != NULL)
        len = (size_t)(line_end - input->data) + 1;
    if (len > sizeof(parser->line) - parser->line_len) {
        err_fill(err, ERR_INVALID, "a line between chunks of more than %zu bytes",
                 sizeof(parser->line));
        return parser_fail(parser, err);
    }
    memcpy(parser->line + parser->line_len, input->data, len);
    parser->line_len += len;
    parser_take(input, len);
    return line_end == NULL ? PARSER_NEEDS_INPUT : parser_end_framing_line(parser, err);
}

static enum parser_step parser_step_once(struct parser *parser, struct parser_input *input,
                                         struct err *err)
{
    switch (parser->state) {
    case PARSER_IN_HEAD:
        return parser_read_head(parser, input, err);
    case PARSER_IN_LENGTH:
        return parser_read_length(parser, input);
    case PARSER_IN_REST:
        return parser_read_rest(parser, input);
    case PARSER_IN_CHUNK:
        return parser_read_chunk(parser, input, err);
    case PARSER_IN_CHUNK_SIZE:
    case PARSER_AFTER_CHUNK:
    case PARSER_IN_TRAILERS:
        return parser_read_framing(parser, input, err);
    case PARSER_AT_END:
        parser->state = PARSER_DONE;
        return PARSER_FOUND_END;
    case PARSER_DONE:
    case PARSER_BROKEN:
        break;
    }
    assert(!"a parser that has ended is stepped");
    return PARSER_FAILED;
}

enum parser_step parser_step(struct parser *parser, struct parser_input *input, struct err *err)
{
    enum parser_step step = PARSER_NEEDS_INPUT;

    /* Framing lines lead to no step of their own: go on while there is anything to read. */
    do {
        step = parser_step_once(parser, input, err);
    } while (step == PARSER_NEEDS_INPUT && (input->len > 0 || parser->state == PARSER_AT_END));
    return step;
}

enum parser_step parser_finish(struct parser *parser, struct err *err)
{
    if (parser->state == PARSER_IN_REST) {
        parser->state = PARSER_DONE;
        return PARSER_FOUND_END;
    }
    err_fill(err, ERR_STREAM_BROKEN, "the connection ended %s",
             parser->state == PARSER_IN_HEAD ? "before the reply's head" : "inside the reply");
    parser->state = PARSER_BROKEN;
    return PARSER_FAILED;
}
