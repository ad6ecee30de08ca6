/* Owns which pages there are. */
#include "scripts/generate/manual.h"

#include "common/mem.h"

int manual_generate(const char *out, struct err *err)
{
    AUTO_FREE char *folder = xasprintf("%s/man", out);

    if (manual_commands_generate(folder, err) < 0 || manual_config_generate(folder, err) < 0)
        return -1;
    return manual_exit_generate(folder, err);
}
