/* rbee-fetch: one download, or one look at a model's checksums, for rbeed, which starts it and
 * reads what it says. It knows no database and no supervisor. */
#include "common/io.h"
#include "common/json.h"
#include "common/token.h"
#include "fetch/job.h"
#include "fetch/pull.h"
#include "fetch/tell.h"
#include "fetch/verify.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char HELP[] =
    "usage: rbee-fetch\n"
    "\n"
    "A part of rbee that rbeed starts: \"rbee model pull\" and \"rbee model verify\" are for "
    "people.\n"
    "It reads a job as one line of JSON from stdin and says on stdout how it goes.\n"
    "\n"
    "  --help     this text\n"
    "  --version  the version\n";

static int print(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(struct err *err)
{
    struct job job;
    int result = job_read(&job, err);

    if (result == 0 && strcmp(job.kind, "verify") == 0)
        result = verify_run(&job, err);
    else if (result == 0)
        result = pull_run(&job, err);
    job_release(&job);
    return result;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;

    json_init();
    io_fill_closed_stdio();
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return print(HELP);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return print("rbee-fetch " RBEE_VERSION "\n");
    if (argc > 1) {
        (void)fputs("rbee-fetch takes no arguments; see rbee-fetch --help\n", stderr);
        return err_exit_code(ERR_USAGE);
    }
    (void)umask(0077); /* always succeeds */
    /* Both always succeed: a reader that left, and a file that may not grow, are errors to handle.
     */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    token_init();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        err_fill(&err, ERR_INTERNAL, "libcurl does not begin");
    else if (run(&err) == 0)
        return EXIT_SUCCESS;
    tell_error(&err);
    return err_exit_code(err.kind);
}
