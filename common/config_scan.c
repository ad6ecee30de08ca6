/* Owns what happens to the text of rbee.conf before libconfuse reads it. Must not know any key.
 *
 * libconfuse (3.3) counts the lines of comments more than once, takes a file that ends inside a
 * section or a text, cuts a value at "#" in silence, and replaces ${NAME} from the environment. So
 * comments are blanked out here, and what it would read otherwise than it looks is refused. */
#include "common/config_values.h"

#include "common/utf8.h"

#include <string.h>

struct config_scan {
    char *text;
    size_t len;
    size_t at;
    int line;
    int depth;     /* of braces */
    int open_line; /* of the outermost brace that is not closed */
    struct err *err;
};

static bool config_scan_sees(const struct config_scan *scan, const char *what)
{
    return strncmp(scan->text + scan->at, what, strlen(what)) == 0;
}

/* Whether the byte before belongs to an unquoted word. */
static bool config_scan_is_in_word(const struct config_scan *scan)
{
    return scan->at > 0 && strchr(" \t\r\n{}()=+,\"'", scan->text[scan->at - 1]) == NULL;
}

static bool config_scan_is_control(char byte)
{
    return ((unsigned char)byte < ' ' && byte != '\t') || byte == 0x7f;
}

static int config_scan_comment(struct config_scan *scan)
{
    bool is_block = config_scan_sees(scan, "/*");
    int first_line = scan->line;

    memset(scan->text + scan->at, ' ', is_block ? 2 : 1); /* so that its star ends nothing */
    while (scan->at < scan->len) {
        if (is_block && config_scan_sees(scan, "*/")) {
            memset(scan->text + scan->at, ' ', 2);
            scan->at += 2;
            return 0;
        }
        if (scan->text[scan->at] == '\n') {
            if (!is_block)
                return 0;
            scan->line++;
        } else {
            scan->text[scan->at] = ' ';
        }
        scan->at++;
    }
    if (!is_block)
        return 0;
    scan->line = first_line;
    return err_set(scan->err, ERR_CONFIG, "the comment is not closed");
}

/* Reads a quoted text to its end. No line ends and no escapes but of quotes and backslashes: a
 * value is one line of printable text anyway. */
static int config_scan_quoted(struct config_scan *scan)
{
    char quote = scan->text[scan->at++];

    for (; scan->at < scan->len && scan->text[scan->at] != '\n'; scan->at++) {
        if (scan->text[scan->at] == quote) {
            scan->at++;
            return 0;
        }
        if (config_scan_sees(scan, "${"))
            return err_set(scan->err, ERR_CONFIG,
                           "${...} is not replaced here: write the value itself");
        if (config_scan_is_control(scan->text[scan->at]))
            return err_set(scan->err, ERR_CONFIG, "control character in a text");
        if (scan->text[scan->at] == '\\') {
            scan->at++;
            if (scan->text[scan->at] == '\0' || strchr("\\\"'", scan->text[scan->at]) == NULL)
                return err_set(scan->err, ERR_CONFIG,
                               "a backslash stands before \", ' or \\ alone: write \\\\ for one");
        }
    }
    return err_set(scan->err, ERR_CONFIG, "the text is not closed on its line");
}

static int config_scan_brace(struct config_scan *scan)
{
    bool is_open = scan->text[scan->at] == '{';

    if (is_open && scan->depth == 0)
        scan->open_line = scan->line;
    scan->depth += is_open ? 1 : -1;
    if (scan->depth < 0)
        return err_set(scan->err, ERR_CONFIG, "} without a section");
    scan->at++;
    return 0;
}

/* One byte outside of texts and comments. */
static int config_scan_plain(struct config_scan *scan)
{
    unsigned char byte = (unsigned char)scan->text[scan->at];

    if (byte == '\r' && scan->text[scan->at + 1] == '\n')
        scan->text[scan->at] = ' '; /* a file from elsewhere */
    else if (byte != '\n' && config_scan_is_control((char)byte))
        return err_set(scan->err, ERR_CONFIG, "control character 0x%02x", byte);
    if (config_scan_sees(scan, "${"))
        return err_set(scan->err, ERR_CONFIG,
                       "${...} is not replaced here: write the value itself");
    if (byte == '\n')
        scan->line++;
    scan->at++;
    return 0;
}

static int config_scan_next(struct config_scan *scan)
{
    char byte = scan->text[scan->at];
    bool is_in_word = config_scan_is_in_word(scan);

    if (is_in_word && (byte == '#' || config_scan_sees(scan, "/*")))
        return err_set(scan->err, ERR_CONFIG,
                       "# or /* inside a word: put quotes around the text, or a blank before the "
                       "comment");
    if (byte == '#' || config_scan_sees(scan, "/*") ||
        (!is_in_word && config_scan_sees(scan, "//")))
        return config_scan_comment(scan);
    if (byte == '"' || byte == '\'')
        return config_scan_quoted(scan);
    if (byte == '{' || byte == '}')
        return config_scan_brace(scan);
    return config_scan_plain(scan);
}

int config_scan_text(struct buf *text, int *out_line, struct err *err)
{
    struct config_scan scan = {.text = text->data, .len = text->len, .line = 1, .err = err};
    size_t valid_len = utf8_valid_len(text->data, text->len);
    int rc = 0;

    if (valid_len < text->len)
        scan.len = valid_len;
    while (rc == 0 && scan.at < scan.len)
        rc = config_scan_next(&scan);
    if (rc == 0 && valid_len < text->len)
        rc = err_set(err, ERR_CONFIG, "invalid UTF-8");
    if (rc == 0 && scan.depth > 0) {
        scan.line = scan.open_line;
        rc = err_set(err, ERR_CONFIG, "the section that begins here is not closed");
    }
    *out_line = scan.line;
    return rc;
}
