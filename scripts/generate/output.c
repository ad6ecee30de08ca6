/* Owns opening and closing what is generated. Knows nothing of what is in it. */
#include "scripts/generate/output.h"

#include <stdbool.h>

int output_create(const char *path, FILE **out_file, struct err *err)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return err_set(err, ERR_OUTPUT, "open %s: %m", path);
    *out_file = file;
    return 0;
}

int output_close(const char *path, FILE *file, struct err *err)
{
    bool has_failed = ferror(file) != 0;

    if (fclose(file) != 0 || has_failed)
        return err_set(err, ERR_OUTPUT, "write %s: %m", path);
    return 0;
}
