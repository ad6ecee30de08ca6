/* rbee-gpu: reads what the graphics cards of this machine tell of themselves, for rbeed, which asks
 * for a round with a line on stdin and reads its lines from stdout (round.h).
 *
 * It is a program of its own because a driver that is wedged may keep a reader for ever: rbeed goes
 * on, and kills it. It ends when stdin does. */
#include "common/err.h"
#include "common/json.h"
#include "gpu/round.h"
#include "gpu/uses.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] = "usage: rbee-gpu [--root FOLDER]\n"
                           "\n"
                           "Started by rbeed: for each line on stdin one round of readings of "
                           "all GPUs on stdout, as JSON.\n"
                           "\n"
                           "  --root FOLDER   look for /sys, /proc and libraries below FOLDER\n";

static int main_run(const char *root, struct err *err)
{
    struct uses_pids users = {0};
    struct card_world world = {.root = root, .users = &users};
    char command[ROUND_COMMAND_MAX_BYTES];
    int result = 0;

    while (result == 0 && fgets(command, sizeof(command), stdin) != NULL) {
        command[strcspn(command, "\n")] = '\0';
        result = round_run(&world, command, STDOUT_FILENO, err);
    }
    free(users.pids);
    free(world.nvml);
    return result;
}

int main(int argc, char **argv)
{
    bool has_root = argc == 3 && strcmp(argv[1], "--root") == 0;
    struct err err = ERR_INIT;

    json_init();
    (void)signal(SIGPIPE, SIG_IGN); /* always succeeds; a reader that left is an error of write() */
    if (argc > 1 && !has_root) {
        (void)fputs(HELP, stderr); /* nothing to do if that fails */
        return err_exit_code(ERR_USAGE);
    }
    if (main_run(has_root ? argv[2] : "", &err) == 0)
        return 0;
    (void)fprintf(stderr, "rbee-gpu: %s\n", err.message); /* as above */
    return err_exit_code(err.kind);
}
