/* Owns the answer of `model add` and `model pull`. */
#include "cli/model_record.h"

#include "cli/call.h"
#include "cli/output.h"
#include "common/config.h"

int model_record_print(struct cli *cli, const json_t *record, struct err *err)
{
    const char *name = json_string_value(json_object_get(record, "name"));
    AUTO_BUF struct buf line = BUF_INIT(CONFIG_NAME_MAX_BYTES + sizeof("\n"));

    if (name == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer has no name");
    if (cli->wants_json)
        return call_print_record(cli, RECORD_MODEL, record, err);
    if (buf_printf(&line, "%s\n", name) < 0)
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer has too long a name");
    return output_print(cli, &line, err) < 0 ? -1 : EXIT_DONE;
}
