/* A file that has to be refused, and why. */
#ifndef RBEE_TESTS_REFUSED_MODEL_H
#define RBEE_TESTS_REFUSED_MODEL_H

#include "hip/model/model.h"
#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { REFUSED_MODEL_MAX_BYTES = 64 * 1024 * 1024 };

/* The message has to contain REASON. */
static inline void expect_refused(const struct tiny_model *tiny, const char *reason)
{
    struct err err = ERR_INIT;
    struct buf file;

    buf_init(&file, REFUSED_MODEL_MAX_BYTES);
    tiny_model_build(tiny, &file);
    assert_null(model_open_memory(file.data, file.len, &err));
    assert_int_equal(err.kind, ERR_INVALID_MODEL);
    if (strstr(err.message, reason) == NULL)
        fail_msg("said \"%s\", not \"%s\"", err.message, reason);
    buf_release(&file);
}

#endif
