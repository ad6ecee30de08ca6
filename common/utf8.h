/* UTF-8 as of RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. Pure functions.
 */
#ifndef RBEE_COMMON_UTF8_H
#define RBEE_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one character. Returns its length in bytes (1 to 4); 0 when the bytes at TEXT are not a
 * character, or LEN ends inside one. *out_codepoint is set only on success. */
size_t utf8_decode(const char *text, size_t len, uint32_t *out_codepoint);
/* Writes CODEPOINT (a scalar value) to OUT[4]; returns the length, 0 if it is none. (jansson has a
 * function utf8_encode, and is linked in by make STATIC=1.) */
size_t utf8_write(uint32_t codepoint, char out[4]);
/* Offset of the first byte that is not part of a character; LEN when all is valid. */
size_t utf8_valid_len(const char *text, size_t len);
bool utf8_is_valid(const char *text, size_t len);
/* How many of the last bytes are a character that has begun but not ended (0 to 3). */
size_t utf8_incomplete_tail(const char *text, size_t len);
/* The longest prefix of at most MAX bytes that does not end inside a character. TEXT must hold at
 * least MAX bytes. */
size_t utf8_cut_len(const char *text, size_t max);

/* May stand in a line of a terminal, a log or a table: no control character (C0, DEL, C1), no line
 * separator, nothing that turns the direction of writing. */
bool utf8_is_printable(uint32_t codepoint);
/* Overwrites what is not: blanks for tabs and line ends, '?' for each byte of the rest, and of what
 * is not UTF-8. The length stays. */
void utf8_make_printable(char *text, size_t len);

#endif
