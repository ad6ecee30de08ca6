/* A hostile body of POST /v1/inference: refused, or every field inside its bounds. */
#include "common/inference.h"
#include "common/json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { FUZZ_BODY_MAX_BYTES = 64 * 1024, FUZZ_UNKNOWN_MAX_COUNT = 16 };

static void fuzz_check_request(const struct inference_request *request, const json_t *unknown)
{
    assert((request->prompt != NULL) != (request->messages != NULL));
    assert(request->prompt == NULL || request->prompt[0] != '\0');
    assert(request->messages == NULL ||
           json_array_size(request->messages) <= INFERENCE_MESSAGE_MAX_COUNT);
    assert(isfinite(request->temperature) && request->temperature >= 0);
    assert(request->top_p > 0 && request->top_p <= 1);
    assert(request->min_p >= 0 && request->min_p <= 1);
    assert(request->repeat_penalty > 0 && request->repeat_penalty <= 10);
    assert(fabs(request->frequency_penalty) <= 2 && fabs(request->presence_penalty) <= 2);
    assert(request->typical_p > 0 && request->typical_p <= 1);
    assert(request->mirostat >= 0 && request->mirostat <= 2);
    assert(request->mirostat_tau >= 0 && request->mirostat_eta >= 0);
    assert(request->logit_bias == NULL ||
           json_object_size(request->logit_bias) <= INFERENCE_BIAS_MAX_COUNT);
    assert(request->logprobs >= -1 && request->logprobs <= INFERENCE_LOGPROBS_MAX);
    assert(request->max_tokens == -1 || request->max_tokens >= 1);
    assert(request->stop_count <= INFERENCE_STOP_MAX_COUNT);
    for (size_t i = 0; i < request->stop_count; i++)
        assert(strlen(request->stop[i]) >= 1 &&
               strlen(request->stop[i]) <= INFERENCE_STOP_MAX_BYTES);
    assert(json_array_size(unknown) <= FUZZ_UNKNOWN_MAX_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = ERR_INIT;
    AUTO_JSON json_t *body = json_parse((const char *)data, len, FUZZ_BODY_MAX_BYTES, &err);
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request request;

    if (body == NULL) {
        assert(err_is_set(&err));
        return 0;
    }
    if (inference_parse(body, &request, unknown, &err) == 0)
        fuzz_check_request(&request, unknown);
    else
        assert(err.kind == ERR_INVALID_FIELD);
    return 0;
}
