/* A page in mdoc(7), written line by line. Text goes in as it is to be read: what roff would take
 * for its own is escaped here, and each sentence of running text begins a line and is filled to
 * lines of at most 78 bytes.
 *
 * In running text `words` in backquotes are shown as what is typed. */
#ifndef RBEE_SCRIPTS_GENERATE_MDOC_H
#define RBEE_SCRIPTS_GENERATE_MDOC_H

#include "common/attr.h"
#include "common/err.h"

#include <stdio.h>

struct mdoc {
    FILE *file;
    char *path;
};

/* Makes FOLDER/NAME.SECTION and writes its head: NAME and what it is, in a few words. */
int mdoc_begin(struct mdoc *page, const char *folder, const char *name, const char *section,
               const char *summary, struct err *err);
int mdoc_end(struct mdoc *page, struct err *err);

/* One macro line, made of our own words: nothing is escaped. */
void mdoc_line(struct mdoc *page, const char *format, ...) PRINTF_LIKE(2, 3);
/* The macro with TEXT as its one argument. */
void mdoc_macro(struct mdoc *page, const char *macro, const char *text);
/* Running text. */
void mdoc_text(struct mdoc *page, const char *text);
/* The same, made a sentence: a capital at its beginning, a full stop at its end. */
void mdoc_sentence(struct mdoc *page, const char *text);
/* A line of a literal display, as it is. */
void mdoc_literal(struct mdoc *page, const char *text);

#endif
