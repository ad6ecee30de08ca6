/* Owns the reading of -m. Must not know which models there are. */
#include "cli/model_name.h"

#include "common/config.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/utf8.h"

#include <string.h>
#include <unistd.h>

char *model_name_resolve(const char *text, struct err *err)
{
    if (text[0] == '\0')
        return err_set_null(err, ERR_USAGE, "the name of a model must not be empty");
    if (!utf8_is_valid(text, strlen(text)))
        return err_set_null(err, ERR_INVALID_UTF8, "the name of a model must be UTF-8");
    if (config_model_is_path(text) || (!config_name_is_valid(text) && access(text, F_OK) == 0))
        return paths_absolute(text, err);
    return xstrdup(text);
}

int model_name_set(const char *text, json_t *body, struct err *err)
{
    AUTO_FREE char *name = model_name_resolve(text, err);

    if (name == NULL)
        return -1;
    (void)json_object_set_new(body, "model", json_string(name)); /* UTF-8: checked */
    return 0;
}
