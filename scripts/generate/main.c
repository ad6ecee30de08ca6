/* generate SOURCE OUT: what the tables of the programs give, written below the folder OUT: the
 * completions of the shells and the pages of the manual. SOURCE is the tree. Called by "make
 * generated"; a test compares with what is committed. */
#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "scripts/generate/completion.h"
#include "scripts/generate/manual.h"

#include <stdio.h>

enum { FOLDER_MODE = 0755 };

static int generate(const char *source, const char *out, struct err *err)
{
    AUTO_FREE char *completions = xasprintf("%s/completions", out);
    AUTO_FREE char *man = xasprintf("%s/man", out);

    if (io_make_folders(completions, FOLDER_MODE, err) < 0 ||
        io_make_folders(man, FOLDER_MODE, err) < 0)
        return -1;
    if (completion_generate(source, out, err) < 0)
        return -1;
    return manual_generate(out, err);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: generate SOURCE OUT\n");
        return err_exit_code(ERR_USAGE);
    }
    if (generate(argv[1], argv[2], &err) == 0)
        return 0;
    (void)fprintf(stderr, "generate: %s\n", err.message);
    return err_exit_code(err.kind);
}
