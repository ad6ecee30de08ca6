/* For tests whose process is to end: a child that dies as a program does, and says why on stderr.
 */
#ifndef RBEE_TESTS_EMULATOR_CHILD_H
#define RBEE_TESTS_EMULATOR_CHILD_H

#include "tests/emulator/asan.h"

#include <signal.h>

#ifdef EMULATOR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

/* In the child, first thing. A fault is what the test wants: its report is no finding of the run.
 */
static inline void child_begin(void)
{
    (void)signal(SIGABRT, SIG_DFL); /* cmocka catches these */
    (void)signal(SIGSEGV, SIG_DFL);
#ifdef EMULATOR_ASAN
    __sanitizer_set_report_path("stderr");
#endif
}

static inline int child_has_address_sanitizer(void)
{
#ifdef EMULATOR_ASAN
    return 1;
#else
    return 0;
#endif
}

#endif
