/* Fault classes: every way in which a process can end has one, and every class its answer. */
#include "supervisor/fault.h"

#include "common/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { EXIT_CODE_COUNT = 256, SIGNAL_COUNT = 65 };

/* It exited by itself. */
static struct fault_signs exited(int code)
{
    return (struct fault_signs){.exit_code = code, .words_class = ""};
}

static struct fault_signs ended_by(int signal)
{
    return (struct fault_signs){.exit_code = -1, .signal = signal, .words_class = ""};
}

/* The codes that ARCHITECTURE.md gives to a worker mean what it says, and every other one that
 * nobody asked for is a crash: 0 and 14 too. */
static void every_exit_code_has_its_class(void **state)
{
    for (int code = 0; code < EXIT_CODE_COUNT; code++) {
        struct fault_signs signs = exited(code);
        enum fault_class expected = FAULT_CRASH;

        switch (code) {
        case 10:
        case 126:
        case 127:
            expected = FAULT_CONFIG;
            break;
        case 11:
            expected = FAULT_OOM_HOST;
            break;
        case 12:
            expected = FAULT_OOM_DEVICE;
            break;
        case 13:
            expected = FAULT_GPU_FAULT;
            break;
        default:
            break;
        }
        assert_int_equal(fault_classify(&signs), expected);
    }
}

/* A signal is a crash, whatever its number; KILL alone is somebody, or the kernel for memory, or
 * ourselves. */
static void every_signal_has_its_class(void **state)
{
    for (int signal = 1; signal < SIGNAL_COUNT; signal++) {
        struct fault_signs signs = ended_by(signal);
        bool is_kill = signal == SIGKILL;

        assert_int_equal(fault_classify(&signs), is_kill ? FAULT_KILLED : FAULT_CRASH);
        signs.kernel_saw_oom = true;
        assert_int_equal(fault_classify(&signs), is_kill ? FAULT_OOM_HOST : FAULT_CRASH);
        signs.was_killed_by_us = true;
        assert_int_equal(fault_classify(&signs), FAULT_CRASH);
    }
}

/* However a process ends that was asked to end, that is no failure. */
static void an_end_that_was_asked_for_is_no_failure(void **state)
{
    for (int code = -1; code < EXIT_CODE_COUNT; code++) {
        struct fault_signs signs = exited(code);

        signs.was_asked = true;
        signs.signal = code < 0 ? SIGKILL : 0;
        signs.was_killed_by_us = code < 0;
        signs.words_class = "gpu_fault";
        assert_int_equal(fault_classify(&signs), FAULT_NONE);
    }
}

/* What we killed it for is its fault, even while it is being stopped and whatever it says. */
static void what_we_killed_it_for_comes_first(void **state)
{
    static const enum fault_class OURS[] = {FAULT_HANG, FAULT_LOAD_TIMEOUT};

    for (size_t i = 0; i < ARRAY_COUNT(OURS); i++) {
        struct fault_signs signs = ended_by(SIGKILL);

        signs.ours = OURS[i];
        signs.was_killed_by_us = true;
        signs.was_asked = true;
        signs.kernel_saw_oom = true;
        signs.words_class = "config";
        assert_int_equal(fault_classify(&signs), OURS[i]);
    }
}

/* A driver that aborts in the middle of an exit hides the code, not the last words. */
static void last_words_tell_what_a_signal_or_a_plain_code_hides(void **state)
{
    static const struct {
        const char *word;
        enum fault_class class;
    } WORDS[] = {
        {"config", FAULT_CONFIG},
        {"host_memory", FAULT_OOM_HOST},
        {"internal", FAULT_CRASH},
        {"device_memory", FAULT_OOM_DEVICE},
        {"", FAULT_CRASH},
        {"gpu_fault", FAULT_GPU_FAULT},
        {"gpu_faults", FAULT_CRASH},
        {"CONFIG", FAULT_CRASH},
        {"crash config", FAULT_CRASH},
    };

    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        struct fault_signs signal = ended_by(SIGABRT);
        struct fault_signs plain = exited(1);
        struct fault_signs code = exited(12);

        signal.words_class = plain.words_class = code.words_class = WORDS[i].word;
        assert_int_equal(fault_classify(&signal), WORDS[i].class);
        assert_int_equal(fault_classify(&plain), WORDS[i].class);
        /* A code that says it is not gainsaid. */
        assert_int_equal(fault_classify(&code), FAULT_OOM_DEVICE);
    }
}

/* Only configuration is never retried, only memory is retried with less; and a GPU's breaker counts
 * gpu_fault, hang, device memory and load_timeout alone. */
static void every_class_has_its_answer(void **state)
{
    static const struct {
        const char *name;
        enum fault_then then;
        bool is_of_device;
    } EXPECTED[FAULT_CLASS_COUNT] = {
        [FAULT_NONE] = {"none", FAULT_THEN_NOTHING, false},
        [FAULT_CRASH] = {"crash", FAULT_THEN_RETRY, false},
        [FAULT_OOM_HOST] = {"oom", FAULT_THEN_REDUCE, false},
        [FAULT_OOM_DEVICE] = {"oom_device", FAULT_THEN_REDUCE, true},
        [FAULT_GPU_FAULT] = {"gpu_fault", FAULT_THEN_RETRY, true},
        [FAULT_HANG] = {"hang", FAULT_THEN_RETRY, true},
        [FAULT_LOAD_TIMEOUT] = {"load_timeout", FAULT_THEN_RETRY, true},
        [FAULT_KILLED] = {"killed", FAULT_THEN_RETRY, false},
        [FAULT_CONFIG] = {"config", FAULT_THEN_GIVE_UP, false},
    };

    for (int i = 0; i < FAULT_CLASS_COUNT; i++) {
        enum fault_class class = (enum fault_class)i;

        assert_string_equal(fault_name(class), EXPECTED[i].name);
        assert_int_equal(fault_then(class), EXPECTED[i].then);
        assert_int_equal(fault_is_of_device(class), EXPECTED[i].is_of_device);
        assert_true(strlen(fault_meaning(class)) > 0);
        assert_int_equal(fault_of_name(fault_name(class)), class);
    }
    assert_int_equal(fault_of_name("no such class"), FAULT_NONE);
    assert_int_equal(fault_of_name(""), FAULT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_exit_code_has_its_class),
        cmocka_unit_test(every_signal_has_its_class),
        cmocka_unit_test(an_end_that_was_asked_for_is_no_failure),
        cmocka_unit_test(what_we_killed_it_for_comes_first),
        cmocka_unit_test(last_words_tell_what_a_signal_or_a_plain_code_hides),
        cmocka_unit_test(every_class_has_its_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
