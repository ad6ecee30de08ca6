/* Memory that is gone: the process ends with the words and the code it was given, and not with a
 * NULL in a library. */
#include "common/json.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char WORDS[] = "fatal class=test reason=out of memory\n";
enum { CODE = 11, ROOM_BYTES = 64 << 20 };

/* More than any machine has; volatile, so that no compiler sees through it. */
static void ask_for_too_much(void)
{
    volatile size_t size = (size_t)1 << 60;

    free(xmalloc(size));
}

/* jansson, until nothing is left. */
static void fill_memory_with_json(void)
{
    struct rlimit limit = {ROOM_BYTES, ROOM_BYTES};
    json_t *array = NULL;

    json_init();
    array = json_array();
    if (setrlimit(RLIMIT_AS, &limit) < 0)
        _exit(1);
    while (json_array_append_new(array, json_string("text")) == 0)
        continue;
    _exit(2);
}

static void expect_end(void (*exhaust)(void))
{
    char said[256] = "";
    int fds[2];
    int status = 0;
    pid_t child = 0;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        mem_set_end(WORDS, CODE);
        exhaust();
        _exit(0);
    }
    close(fds[1]);
    assert_true(read(fds[0], said, sizeof(said) - 1) >= 0);
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CODE);
    assert_string_equal(said, WORDS);
}

static void the_end_is_the_one_that_was_set(void **state)
{
    expect_end(ask_for_too_much);
}

static void json_without_memory_ends_the_same(void **state)
{
    expect_end(fill_memory_with_json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_is_the_one_that_was_set),
        cmocka_unit_test(json_without_memory_ends_the_same),
    };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
    (void)tests; /* sanitizers end such a process in their own way; clang does not say that it has
                  * them */
    return 0;
#else
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
