/* Replies of workers that may be anything. */
#include "tests/fuzz/http_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    cuts_compare(PARSER_REPLIES, data, len);
    return 0;
}
