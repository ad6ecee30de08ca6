/* Owns the text of a worker's command: its words and its places. Must not know what is put there.
 */
#include "common/command_line.h"

#include "common/buf.h"
#include "common/mem.h"

#include <string.h>

static const char *const PLACE_NAMES[COMMAND_PLACE_COUNT] = {
#define PLACE(name, text, summary) [COMMAND_PLACE_##name] = text,
#include "common/command_places.def"
#undef PLACE
};

static const char PLACES_TEXT[] =
#define PLACE(name, text, summary) " {" text "}"
#include "common/command_places.def"
#undef PLACE
    ;

/* ---- words ---- */

struct command_scan {
    const char *text;
    size_t at;
    struct buf word;
    struct command_line *line;
    struct err *err;
};

/* Positions are told as editors count: from 1. */
static int command_refuse_byte(const struct command_scan *scan, const char *why)
{
    return err_set(scan->err, ERR_CONFIG, "%c at position %zu %s", scan->text[scan->at],
                   scan->at + 1, why);
}

static int command_refuse_shell(const struct command_scan *scan)
{
    return command_refuse_byte(scan, "is for a shell, and there is none here: put it into '...', "
                                     "or begin with sh -c");
}

static bool command_is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

static void command_add_byte(struct command_scan *scan)
{
    (void)buf_add_byte(&scan->word, scan->text[scan->at]); /* a word is no longer than the text */
    scan->at++;
}

static int command_scan_single(struct command_scan *scan)
{
    size_t begin = scan->at++;

    while (scan->text[scan->at] != '\'' && scan->text[scan->at] != '\0')
        command_add_byte(scan);
    if (scan->text[scan->at] == '\0') {
        scan->at = begin;
        return command_refuse_byte(scan, "is not closed");
    }
    scan->at++;
    return 0;
}

static int command_scan_double(struct command_scan *scan)
{
    size_t begin = scan->at++;

    while (scan->text[scan->at] != '"' && scan->text[scan->at] != '\0') {
        char byte = scan->text[scan->at];

        if (byte == '$' || byte == '`')
            return command_refuse_shell(scan);
        if (byte == '\\' && scan->text[scan->at + 1] != '\0' &&
            strchr("\"\\$`", scan->text[scan->at + 1]) != NULL)
            scan->at++;
        command_add_byte(scan);
    }
    if (scan->text[scan->at] == '\0') {
        scan->at = begin;
        return command_refuse_byte(scan, "is not closed");
    }
    scan->at++;
    return 0;
}

static int command_scan_plain(struct command_scan *scan, bool is_first)
{
    char byte = scan->text[scan->at];

    if (strchr("$`|&;<>()", byte) != NULL || (is_first && (byte == '~' || byte == '#')))
        return command_refuse_shell(scan);
    if (byte == '\\') {
        if (scan->text[scan->at + 1] == '\0')
            return command_refuse_byte(scan, "stands at the end, before nothing");
        scan->at++;
    }
    command_add_byte(scan);
    return 0;
}

static int command_scan_word(struct command_scan *scan)
{
    size_t begin = scan->at;

    buf_clear(&scan->word);
    while (scan->text[scan->at] != '\0' && !command_is_blank(scan->text[scan->at])) {
        char byte = scan->text[scan->at];
        int rc = byte == '\''  ? command_scan_single(scan)
                 : byte == '"' ? command_scan_double(scan)
                               : command_scan_plain(scan, scan->at == begin);

        if (rc != 0)
            return -1;
    }
    if (scan->line->word_count == COMMAND_LINE_WORD_MAX_COUNT)
        return err_set(scan->err, ERR_CONFIG, "more than %d words", COMMAND_LINE_WORD_MAX_COUNT);
    scan->line->words =
        xgrow(scan->line->words, scan->line->word_count, sizeof(*scan->line->words));
    scan->line->words[scan->line->word_count++] = xstrdup(scan->word.data);
    return 0;
}

static int command_split(const char *text, struct command_line *out, struct err *err)
{
    struct command_scan scan = {.text = text, .line = out, .err = err};
    int rc = 0;

    buf_init(&scan.word, COMMAND_LINE_MAX_BYTES);
    while (rc == 0) {
        while (command_is_blank(text[scan.at]))
            scan.at++;
        if (text[scan.at] == '\0')
            break;
        rc = command_scan_word(&scan);
    }
    buf_release(&scan.word);
    return rc;
}

/* ---- places ---- */

/* One piece of a word: a byte of its own, or a place. */
struct command_piece {
    enum command_place place; /* COMMAND_PLACE_COUNT: none, but BYTE */
    char byte;
    size_t len; /* in the word */
};

static int command_read_place(const char *text, struct command_piece *out, struct err *err)
{
    size_t len = strcspn(text + 1, "{}");

    if (text[1 + len] != '}')
        return err_set(err, ERR_CONFIG, "{ without its }: write {{ for one brace");
    for (int place = 0; place < COMMAND_PLACE_COUNT; place++) {
        if (strlen(PLACE_NAMES[place]) == len && memcmp(PLACE_NAMES[place], text + 1, len) == 0) {
            *out = (struct command_piece){.place = (enum command_place)place, .len = len + 2};
            return 0;
        }
    }
    return err_set(err, ERR_CONFIG, "{%.*s} is no place; there is:%s; write {{ for one brace",
                   len > 40 ? 40 : (int)len, text + 1, PLACES_TEXT);
}

/* What TEXT, the rest of a word that is not empty, begins with. */
static int command_read_piece(const char *text, struct command_piece *out, struct err *err)
{
    bool is_brace = text[0] == '{' || text[0] == '}';

    if (is_brace && text[1] != text[0]) {
        if (text[0] == '{')
            return command_read_place(text, out, err);
        return err_set(err, ERR_CONFIG, "} without its {: write }} for one brace");
    }
    *out = (struct command_piece){
        .place = COMMAND_PLACE_COUNT, .byte = text[0], .len = is_brace ? 2 : 1};
    return 0;
}

static int command_find_places(struct command_line *line, struct err *err)
{
    for (size_t i = 0; i < line->word_count; i++) {
        struct command_piece piece = {.len = 0};

        for (const char *at = line->words[i]; *at != '\0'; at += piece.len) {
            if (command_read_piece(at, &piece, err) != 0)
                return err_wrap(err, "word %zu", i + 1);
            if (piece.place != COMMAND_PLACE_COUNT)
                line->has[piece.place] = true;
        }
    }
    return 0;
}

/* ---- the whole ---- */

static int command_check(const struct command_line *line, struct err *err)
{
    const char *program = line->word_count > 0 ? line->words[0] : "";

    if (program[0] == '\0')
        return err_set(err, ERR_CONFIG, "it names no program");
    /* rbeed runs in another folder than the one that was meant. */
    if (program[0] != '/' && program[0] != '{' && strchr(program, '/') != NULL)
        return err_set(err, ERR_CONFIG,
                       "the program %.100s has a relative path: write all of it, or the name alone",
                       program);
    if (!line->has[COMMAND_PLACE_PORT] && !line->has[COMMAND_PLACE_SOCKET])
        return err_set(err, ERR_CONFIG,
                       "it has neither {port} nor {socket}: it could not be reached");
    if (line->has[COMMAND_PLACE_PORT] && line->has[COMMAND_PLACE_SOCKET])
        return err_set(err, ERR_CONFIG, "it has both {port} and {socket}: one is enough");
    return 0;
}

int command_line_parse(const char *text, struct command_line *out, struct err *err)
{
    struct command_line line = {.words = NULL};

    if (strlen(text) > COMMAND_LINE_MAX_BYTES)
        return err_set(err, ERR_CONFIG, "it has %zu bytes, the limit is %d", strlen(text),
                       COMMAND_LINE_MAX_BYTES);
    if (command_split(text, &line, err) != 0 || command_find_places(&line, err) != 0 ||
        command_check(&line, err) != 0) {
        command_line_release(&line);
        return -1;
    }
    *out = line;
    return 0;
}

void command_line_release(struct command_line *line)
{
    for (size_t i = 0; i < line->word_count; i++)
        free(line->words[i]);
    free(line->words);
    *line = (struct command_line){.words = NULL};
}

/* WORD with its values, and the NUL after it. */
static int command_fill_word(const char *word, const char *const values[COMMAND_PLACE_COUNT],
                             struct buf *out)
{
    struct command_piece piece = {.len = 0};
    struct err ignored = ERR_INIT; /* it has been read before */

    for (; *word != '\0'; word += piece.len) {
        (void)command_read_piece(word, &piece, &ignored);
        if ((piece.place == COMMAND_PLACE_COUNT ? buf_add_byte(out, piece.byte)
                                                : buf_add_string(out, values[piece.place])) != 0)
            return -1;
    }
    return buf_add_byte(out, '\0');
}

char **command_line_fill(const struct command_line *line,
                         const char *const values[COMMAND_PLACE_COUNT], struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(COMMAND_LINE_FILLED_MAX_BYTES);
    size_t head_bytes = (line->word_count + 1) * sizeof(char *);
    char **argv = NULL;
    char *at = NULL;

    for (size_t i = 0; i < line->word_count; i++) {
        if (command_fill_word(line->words[i], values, &text) != 0)
            return err_set_null(err, ERR_CONFIG,
                                "the command has more than %d bytes when filled in",
                                COMMAND_LINE_FILLED_MAX_BYTES);
    }
    argv = xmalloc(head_bytes + text.len);
    at = (char *)argv + head_bytes;
    memcpy(at, text.data, text.len);
    for (size_t i = 0; i < line->word_count; i++) {
        argv[i] = at;
        at += strlen(at) + 1;
    }
    argv[line->word_count] = NULL;
    return argv;
}
