/* Requests of strangers: heads, bodies and what is pipelined behind them. */
#include "tests/fuzz/http_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    cuts_compare(PARSER_REQUESTS, data, len);
    return 0;
}
