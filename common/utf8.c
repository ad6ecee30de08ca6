/* Owns the grammar of UTF-8 (RFC 3629, section 4). Must not know what a text is for. */
#include "common/utf8.h"

#include <string.h>

/* What may follow a lead byte: the length of the character and the range of its second byte, in
 * which overlong forms, surrogates and what lies above U+10FFFF are excluded. */
struct utf8_lead {
    uint8_t len; /* 0: no lead byte */
    uint8_t second_min;
    uint8_t second_max;
};

static struct utf8_lead utf8_lead_of(uint8_t byte)
{
    if (byte < 0x80)
        return (struct utf8_lead){1, 0, 0};
    if (byte < 0xc2)
        return (struct utf8_lead){0, 0, 0};
    if (byte < 0xe0)
        return (struct utf8_lead){2, 0x80, 0xbf};
    if (byte < 0xf0)
        return (struct utf8_lead){3, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    if (byte < 0xf5)
        return (struct utf8_lead){4, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
    return (struct utf8_lead){0, 0, 0};
}

/* How many of the LEN bytes at TEXT fit the beginning of a character; 0 when there is none. */
static size_t utf8_match(const char *text, size_t len, struct utf8_lead *out_lead)
{
    struct utf8_lead lead = {0, 0, 0};
    size_t matched = 1;

    if (len == 0)
        return 0;
    lead = utf8_lead_of((uint8_t)text[0]);
    if (lead.len == 0)
        return 0;
    while (matched < lead.len && matched < len) {
        uint8_t byte = (uint8_t)text[matched];
        uint8_t min = matched == 1 ? lead.second_min : 0x80;
        uint8_t max = matched == 1 ? lead.second_max : 0xbf;

        if (byte < min || byte > max)
            return 0;
        matched++;
    }
    *out_lead = lead;
    return matched;
}

size_t utf8_decode(const char *text, size_t len, uint32_t *out_codepoint)
{
    /* The bits that belong to the number, in a lead byte of a character of this length. */
    static const uint8_t LEAD_MASK[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    struct utf8_lead lead;
    size_t matched = utf8_match(text, len, &lead);
    uint32_t codepoint = 0;

    if (matched == 0 || matched < lead.len)
        return 0;
    codepoint = (uint8_t)text[0] & LEAD_MASK[lead.len];
    for (size_t i = 1; i < matched; i++)
        codepoint = codepoint << 6 | ((uint8_t)text[i] & 0x3f);
    *out_codepoint = codepoint;
    return matched;
}

size_t utf8_write(uint32_t codepoint, char out[4])
{
    if (codepoint < 0x80) {
        out[0] = (char)codepoint;
        return 1;
    }
    if (codepoint < 0x800) {
        out[0] = (char)(0xc0 | codepoint >> 6);
        out[1] = (char)(0x80 | (codepoint & 0x3f));
        return 2;
    }
    if (codepoint >= 0xd800 && codepoint <= 0xdfff)
        return 0;
    if (codepoint < 0x10000) {
        out[0] = (char)(0xe0 | codepoint >> 12);
        out[1] = (char)(0x80 | (codepoint >> 6 & 0x3f));
        out[2] = (char)(0x80 | (codepoint & 0x3f));
        return 3;
    }
    if (codepoint > 0x10ffff)
        return 0;
    out[0] = (char)(0xf0 | codepoint >> 18);
    out[1] = (char)(0x80 | (codepoint >> 12 & 0x3f));
    out[2] = (char)(0x80 | (codepoint >> 6 & 0x3f));
    out[3] = (char)(0x80 | (codepoint & 0x3f));
    return 4;
}

size_t utf8_valid_len(const char *text, size_t len)
{
    static const uint64_t HIGH_BITS = 0x8080808080808080u;
    size_t at = 0;

    while (at < len) {
        struct utf8_lead lead;
        size_t matched = 0;
        uint64_t eight = 0;

        /* Bodies of megabytes are checked here, and most of them are ASCII. */
        if (len - at >= sizeof(eight)) {
            memcpy(&eight, text + at, sizeof(eight));
            if ((eight & HIGH_BITS) == 0) {
                at += sizeof(eight);
                continue;
            }
        }
        matched = utf8_match(text + at, len - at, &lead);
        if (matched == 0 || matched < lead.len)
            return at;
        at += matched;
    }
    return len;
}

bool utf8_is_valid(const char *text, size_t len)
{
    return utf8_valid_len(text, len) == len;
}

size_t utf8_incomplete_tail(const char *text, size_t len)
{
    for (size_t tail = 1; tail <= 3 && tail <= len; tail++) {
        struct utf8_lead lead;

        if (utf8_match(text + len - tail, tail, &lead) == tail && tail < lead.len)
            return tail;
    }
    return 0;
}

size_t utf8_cut_len(const char *text, size_t max)
{
    return max - utf8_incomplete_tail(text, max);
}

bool utf8_is_printable(uint32_t codepoint)
{
    if (codepoint < 0x20 || (codepoint >= 0x7f && codepoint < 0xa0))
        return false;
    if (codepoint == 0x2028 || codepoint == 0x2029)
        return false;
    /* The marks, embeddings, overrides and isolates of Unicode's UAX #9. */
    return codepoint != 0x061c && codepoint != 0x200e && codepoint != 0x200f &&
           !(codepoint >= 0x202a && codepoint <= 0x202e) &&
           !(codepoint >= 0x2066 && codepoint <= 0x2069);
}

void utf8_make_printable(char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        uint32_t codepoint = 0;
        size_t step = 0;

        if (text[at] >= ' ' && text[at] <= '~') { /* nearly all */
            at++;
            continue;
        }
        step = utf8_decode(text + at, len - at, &codepoint);
        if (step == 0)
            text[at] = '?';
        else if (text[at] == '\t' || text[at] == '\n' || text[at] == '\r')
            text[at] = ' ';
        else if (!utf8_is_printable(codepoint))
            memset(text + at, '?', step);
        at += step == 0 ? 1 : step;
    }
}
