/* How tokenizers of the gpt2 kind write bytes in token texts: each byte is one printable character.
 * Printable Latin-1 bytes are themselves, the others, in order, the characters from U+0100 on, so
 * that a space is U+0120. Source: bytes_to_unicode() of OpenAI's GPT-2 release (encoder.py). */
#ifndef RBEE_HIP_TEXT_BYTE_TEXT_H
#define RBEE_HIP_TEXT_BYTE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest text of one byte, in UTF-8. */
enum { BYTE_TEXT_MAX_BYTES = 2 };

/* Writes the character that stands for BYTE; returns its length. */
size_t byte_text_encode(uint8_t byte, char out[BYTE_TEXT_MAX_BYTES]);
/* Writes the bytes that TEXT stands for to OUT, which has room for LEN, and their number to
 * *out_len. False when TEXT holds a character that stands for none. */
bool byte_text_decode(const char *text, size_t len, char *out, size_t *out_len);

#endif
