/* rbee-watch: kills the workers' groups when the supervisor is gone, however it went. The
 * parent-death signal reaches workers alone, and not what they have started.
 *
 * rbeed starts it with the read end of a pipe as stdin, in a session of its own, in /, with no
 * other descriptor open than that and /dev/null. It touches no file but /proc. It is a program of
 * its own and no mode of rbeed, because it has to be there when rbeed is not: what ends "rbeed" by
 * name or for its memory does not end it; and because it lives as long as rbeed does, it should not
 * load the libraries of rbeed. */
#include "common/err.h"
#include "watch/watch.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char HELP[] = "usage: rbee-watch\n"
                           "\n"
                           "Started by rbeed, with a pipe as stdin: ends the processes of workers "
                           "when rbeed is gone.\n";

static bool main_has_pipe(void)
{
    struct stat status;

    return fstat(STDIN_FILENO, &status) == 0 && S_ISFIFO(status.st_mode);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    sigset_t all;

    /* It ends by the end of the pipe alone; KILL and STOP cannot be refused. */
    (void)sigfillset(&all);                     /* cannot fail */
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* cannot fail with these arguments */
    if (argc > 1 || !main_has_pipe()) {
        (void)fputs(HELP, stderr); /* nothing to do if that fails */
        return err_exit_code(ERR_USAGE);
    }
    if (watch_run(STDIN_FILENO, &err) == 0)
        return 0;
    (void)fprintf(stderr, "rbee-watch: %s\n", err.message); /* as above */
    return err_exit_code(err.kind);
}
