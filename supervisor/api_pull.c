/* Routes that fetch models and look at their files; what they begin answers by itself. */
#include "common/json.h"
#include "supervisor/supervisor.h"

#include <string.h>

int api_model_pull(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    const char *text = NULL;
    const char *name = "";
    struct pull_source source;

    if (body == NULL || json_read_text(body, "source", &text, err) != 0 ||
        json_read_text(body, "name", &name, err) != 0)
        return -1;
    if (text == NULL)
        return err_set(err, ERR_INVALID_FIELD, "source must say what to pull");
    if (name[0] != '\0' && config_name_check(name, ERR_INVALID_FIELD, err) != 0)
        return err_wrap(err, "name");
    if (pull_source_parse(text, &source, err) != 0)
        return -1;
    return pull_follow(call, &source, name, err);
}

int api_model_verify(struct api_call *call, struct err *err)
{
    const struct model *model = model_find(call->supervisor, call->parameter);

    if (model == NULL)
        return err_set(err, ERR_MODEL_NOT_FOUND, "there is no model %s", call->parameter);
    return verify_begin(call, model, err);
}
