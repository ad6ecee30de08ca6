/* Owns what roff takes for its own, and line lengths. Must not know what a page is about. */
#include "scripts/generate/mdoc.h"

#include "common/buf.h"
#include "common/mem.h"
#include "scripts/generate/output.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

enum { LINE_MAX_BYTES = 78, TEXT_MAX_BYTES = 16 * 1024 };

/* Of the text, not of the day it was made on: the same tables give the same bytes. */
#define MANUAL_DATE "November 28, 2026"

int mdoc_begin(struct mdoc *page, const char *folder, const char *name, const char *section,
               const char *summary, struct err *err)
{
    page->path = xasprintf("%s/%s.%s", folder, name, section);
    if (output_create(page->path, &page->file, err) < 0) {
        free(take_ptr(page->path));
        return -1;
    }
    (void)fprintf(page->file, ".\\\" Made by \"make generated\": do not edit.\n");
    (void)fprintf(page->file, ".Dd " MANUAL_DATE "\n.Dt ");
    for (const char *at = name; *at != '\0'; at++)
        (void)fputc(toupper((unsigned char)*at), page->file);
    (void)fprintf(page->file, " %s\n.Os\n.Sh NAME\n.Nm %s\n", section, name);
    mdoc_macro(page, "Nd", summary);
    return 0;
}

int mdoc_end(struct mdoc *page, struct err *err)
{
    AUTO_FREE char *path = take_ptr(page->path);

    return output_close(path, page->file, err);
}

void mdoc_line(struct mdoc *page, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(page->file, format, args); /* what cannot be written shows at the end */
    va_end(args);
    (void)fputc('\n', page->file);
}

/* A minus is typed as one, and must not become a hyphen. */
static void add_escaped(struct buf *out, const char *text, size_t len, bool is_argument)
{
    for (size_t i = 0; i < len; i++) {
        const char *escape = NULL;

        if (text[i] == '\\')
            escape = "\\e";
        else if (text[i] == '"' && is_argument)
            escape = "\\(dq";
        else if (text[i] == '-' && (i == 0 || text[i - 1] == '-' || text[i - 1] == ' '))
            escape = "\\-";
        else if (text[i] == '\'')
            escape = "\\(aq";
        if ((escape != NULL ? buf_add_string(out, escape) : buf_add_byte(out, text[i])) < 0)
            assert(!"a text is longer than TEXT_MAX_BYTES");
    }
}

void mdoc_macro(struct mdoc *page, const char *macro, const char *text)
{
    AUTO_BUF struct buf escaped = BUF_INIT(TEXT_MAX_BYTES);

    add_escaped(&escaped, text, strlen(text), true);
    (void)fprintf(page->file, ".%s \"%s\"\n", macro, escaped.data);
}

void mdoc_literal(struct mdoc *page, const char *text)
{
    AUTO_BUF struct buf escaped = BUF_INIT(TEXT_MAX_BYTES);

    add_escaped(&escaped, text, strlen(text), false);
    (void)fprintf(page->file, "%s%s\n", text[0] == '.' ? "\\&" : "", escaped.data);
}

/* ---- running text ---- */

struct filler {
    struct mdoc *page;
    size_t column;
};

static void break_line(struct filler *filler)
{
    if (filler->column > 0)
        (void)fputc('\n', filler->page->file);
    filler->column = 0;
}

static void add_word(struct filler *filler, const char *word, size_t len)
{
    AUTO_BUF struct buf escaped = BUF_INIT(TEXT_MAX_BYTES);

    add_escaped(&escaped, word, len, false);
    if (filler->column > 0 && filler->column + 1 + escaped.len > LINE_MAX_BYTES)
        break_line(filler);
    if (filler->column == 0 && word[0] == '.')
        filler->column += (size_t)fprintf(filler->page->file, "\\&");
    filler->column +=
        (size_t)fprintf(filler->page->file, "%s%s", filler->column > 0 ? " " : "", escaped.data);
    /* roff sets sentences apart when each ends its line. */
    if (len > 1 && strchr(".!?", word[len - 1]) != NULL)
        break_line(filler);
}

/* What is typed: a macro line of its own, with the punctuation behind it. Returns what comes next.
 */
static const char *add_typed(struct filler *filler, const char *text)
{
    const char *end = strchr(text + 1, '`');
    AUTO_BUF struct buf escaped = BUF_INIT(TEXT_MAX_BYTES);

    assert(end != NULL); /* the texts are ours */
    break_line(filler);
    add_escaped(&escaped, text + 1, (size_t)(end - text - 1), true);
    /* A mark alone would be taken for the end of a sentence. */
    (void)fprintf(filler->page->file, ".Ic \"%s%s\"", end == text + 2 ? "\\&" : "", escaped.data);
    for (end++; *end != '\0' && *end != ' '; end++)
        (void)fprintf(filler->page->file, " %c", *end);
    (void)fputc('\n', filler->page->file);
    return end;
}

void mdoc_text(struct mdoc *page, const char *text)
{
    struct filler filler = {.page = page};

    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (*text == '`') {
            text = add_typed(&filler, text);
        } else {
            if (len > 0)
                add_word(&filler, text, len);
            text += len;
        }
        text += strspn(text, " ");
    }
    break_line(&filler);
}

void mdoc_sentence(struct mdoc *page, const char *text)
{
    AUTO_FREE char *sentence = xasprintf("%s.", text);

    sentence[0] = (char)toupper((unsigned char)sentence[0]);
    mdoc_text(page, sentence);
}
