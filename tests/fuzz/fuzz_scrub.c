/* Texts that go into a support bundle: whatever stands around it, a secret is not in what comes
 * out, and a line of the log stays a line. */
#include "cli/scrub.h"
#include "common/attr.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

enum { OUT_MAX_BYTES = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char SECRET[] = "0123456789abcdef";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_BUF struct buf text = BUF_INIT(OUT_MAX_BYTES);
    AUTO_BUF struct buf line = BUF_INIT(OUT_MAX_BYTES);
    struct scrub scrub = {0};

    scrub_hide(&scrub, SECRET, "(secret)");
    assert(scrub_text(&scrub, (const char *)data, len, &text) == 0);
    assert(memmem(text.data, text.len, SECRET, strlen(SECRET)) == NULL);
    scrub_release(&scrub);
    if (memchr(data, '\n', len) == NULL) {
        scrub_log_line((const char *)data, len, &line);
        assert(memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    }
    return 0;
}
