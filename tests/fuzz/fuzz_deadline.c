/* The headers of a deadline, whatever they hold: what is taken is a number of milliseconds that is
 * not further away than the limit, and over exactly where it has passed. */
#include "common/deadline.h"

#include "common/mem.h"

#include <assert.h>
#include <string.h>

enum { MAX_MS = 3600000, TEXT_MAX_BYTES = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct deadline_clock CLOCK = {
        .arrived_us = 5000000, .now_us = 5020000, .wall_ms = 1790000000000};
    static const char *const NAMES[] = {DEADLINE_HEADER, DEADLINE_TIMEOUT_HEADER,
                                        DEADLINE_LEFT_HEADER};
    AUTO_FREE char *text =
        xstrndup((const char *)data, size < TEXT_MAX_BYTES ? size : TEXT_MAX_BYTES);
    struct http_head head = {.header_count = 0};
    struct deadline deadline = {.at_us = DEADLINE_NONE_US};
    struct err err = ERR_INIT;

    /* The first byte says which headers there are. */
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        if (size > 0 && (data[0] >> i & 1) != 0)
            head.headers[head.header_count++] =
                (struct http_header){NAMES[i], text + (text[0] != '\0')};
    }
    if (deadline_read(&head, &CLOCK, MAX_MS, &deadline, &err) == 0 && deadline_is_set(&deadline))
        assert(deadline_left_us(&deadline, CLOCK.now_us) <= (uint64_t)MAX_MS * 1000 &&
               deadline_is_over(&deadline, CLOCK.now_us) ==
                   (deadline_left_us(&deadline, CLOCK.now_us) == 0));
    else
        assert(!deadline_is_set(&deadline) || err.kind == ERR_INVALID_DEADLINE);
    err_clear(&err);
    if (deadline_read_left(&head, CLOCK.arrived_us, &deadline, &err) != 0)
        assert(err.kind == ERR_INVALID_DEADLINE);
    return 0;
}
