/* That a vocabulary is refused, and with which words. */
#ifndef RBEE_TESTS_UNIT_VOCAB_REFUSED_H
#define RBEE_TESTS_UNIT_VOCAB_REFUSED_H

#include "tests/vocab_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline void expect_refused(const struct fixture *fixture, const char *said)
{
    struct err err = ERR_INIT;

    assert_null(fixture_vocab(fixture, &err));
    assert_int_equal(err.kind, ERR_INVALID_MODEL);
    if (strstr(err.message, said) == NULL)
        fail_msg("'%s' does not say '%s'", err.message, said);
}

#endif
