/* Owns the writing of bytes as characters in token texts. Must not know the tokens. */
#include "hip/text/byte_text.h"

#include "common/utf8.h"

#include <string.h>

/* The bytes that are not printable in Latin-1 come in three runs; each is moved up so that all lie
 * side by side from U+0100 on. */
static const struct {
    uint8_t first;
    uint8_t last;
    uint16_t codepoint; /* of the first */
} MOVED[] = {
    {0x00, 0x20, 0x100},
    {0x7f, 0xa0, 0x121},
    {0xad, 0xad, 0x143},
};
enum { MOVED_COUNT = sizeof(MOVED) / sizeof(MOVED[0]) };

static uint32_t codepoint_of_byte(uint8_t byte)
{
    for (size_t i = 0; i < MOVED_COUNT; i++) {
        if (byte >= MOVED[i].first && byte <= MOVED[i].last)
            return MOVED[i].codepoint + (uint32_t)(byte - MOVED[i].first);
    }
    return byte;
}

static bool byte_of_codepoint(uint32_t codepoint, uint8_t *out_byte)
{
    for (size_t i = 0; i < MOVED_COUNT; i++) {
        uint32_t count = (uint32_t)(MOVED[i].last - MOVED[i].first) + 1;

        if (codepoint >= MOVED[i].codepoint && codepoint < MOVED[i].codepoint + count) {
            *out_byte = (uint8_t)(MOVED[i].first + (codepoint - MOVED[i].codepoint));
            return true;
        }
    }
    if (codepoint > 0xff || codepoint_of_byte((uint8_t)codepoint) != codepoint)
        return false;
    *out_byte = (uint8_t)codepoint;
    return true;
}

size_t byte_text_encode(uint8_t byte, char out[BYTE_TEXT_MAX_BYTES])
{
    char text[4];
    size_t len = utf8_write(codepoint_of_byte(byte), text);

    memcpy(out, text, len); /* all below U+0800: two bytes at most */
    return len;
}

bool byte_text_decode(const char *text, size_t len, char *out, size_t *out_len)
{
    size_t count = 0;

    for (size_t i = 0; i < len;) {
        uint32_t codepoint = 0;
        size_t char_len = utf8_decode(text + i, len - i, &codepoint);
        uint8_t byte = 0;

        if (char_len == 0 || !byte_of_codepoint(codepoint, &byte))
            return false;
        out[count++] = (char)byte;
        i += char_len;
    }
    *out_len = count;
    return true;
}
