/* Ports: one that is free, and whose it is afterwards. */
#include "supervisor/port.h"

#include "common/attr.h"
#include "common/http/http.h"
#include "common/spawn.h"

#include <signal.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void a_port_is_free_then_ours_then_anothers(void **state)
{
    static const char *const HOSTS[] = {"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"};
    const pid_t nobody = 1; /* the group of no test */

    for (size_t i = 0; i < ARRAY_COUNT(HOSTS); i++) {
        struct http_address address = {.port = 0};
        struct err err = ERR_INIT;
        AUTO_CLOSE int fd = -1;

        assert_int_equal(port_pick(&address.port, &err), 0);
        assert_true(address.port > 0);
        assert_int_equal(port_find_holder(address.port, getpgrp()), PORT_FREE);
        (void)snprintf(address.host, sizeof(address.host), "%s", HOSTS[i]);
        if (http_address_listen(&address, 0, &fd, &err) != 0)
            continue; /* a machine without IPv6 */
        assert_int_equal(port_find_holder(address.port, getpgrp()), PORT_OF_GROUP);
        assert_int_equal(port_find_holder(address.port, nobody), PORT_FOREIGN);
    }
}

/* A process that has ended and is not reaped shows its descriptors to root alone: that is not taken
 * for hiding the listener. */
static void a_process_that_has_ended_holds_nothing(void **state)
{
    static const char *const ARGV[] = {"true", NULL};
    struct spawn spawn = {.program = "true", .argv = ARGV, .new_group = true};
    struct http_address address = {.host = "127.0.0.1", .port = 0};
    struct err err = ERR_INIT;
    AUTO_CLOSE int fd = -1;
    siginfo_t status = {0};
    pid_t pid = 0;

    assert_int_equal(port_pick(&address.port, &err), 0);
    assert_int_equal(http_address_listen(&address, 0, &fd, &err), 0);
    assert_int_equal(spawn_process(&spawn, &pid, NULL, &err), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &status, WEXITED | WNOWAIT), 0);
    assert_int_equal(port_find_holder(address.port, pid), PORT_FOREIGN);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A connection to 127.0.0.1 does not end there. */
static void a_listener_elsewhere_does_not_count(void **state)
{
    struct http_address address = {.host = "127.0.0.2", .port = 0};
    struct err err = ERR_INIT;
    AUTO_CLOSE int fd = -1;

    assert_int_equal(port_pick(&address.port, &err), 0);
    assert_int_equal(http_address_listen(&address, 0, &fd, &err), 0);
    assert_int_equal(port_find_holder(address.port, getpgrp()), PORT_FREE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_is_free_then_ours_then_anothers),
        cmocka_unit_test(a_process_that_has_ended_holds_nothing),
        cmocka_unit_test(a_listener_elsewhere_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
