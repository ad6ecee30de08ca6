/* rbee gpu ls, show: the graphics cards and who uses them. */
#include "cli/call.h"
#include "cli/message.h"
#include "cli/output.h"
#include "common/json.h"

enum { GPU_SCREEN_MAX_BYTES = 1 << 20 };

/* A machine without one is no failure: a script gets an empty list. */
int command_gpu_ls(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *reply = NULL;

    if (call_get(cli, "/v1/gpus", &reply, err) < 0)
        return -1;
    if (json_is_array(json_object_get(reply, "gpus")) &&
        json_array_size(json_object_get(reply, "gpus")) == 0)
        message_note(cli, "this machine has no GPU whose driver is loaded (amdgpu, nvidia)");
    return call_print_list(cli, RECORD_GPU, reply, "gpus", err);
}

static int print_screen(struct cli *cli, const json_t *record, struct err *err)
{
    const json_t *processes = json_object_get(record, "processes");
    AUTO_BUF struct buf text = BUF_INIT(GPU_SCREEN_MAX_BYTES);

    record_print_details(RECORD_GPU, record, &text);
    /* Cut at the maximum, as a table is. */
    if (!json_is_array(processes)) {
        (void)buf_add_string(&text, "processes: -\n");
    } else if (json_array_size(processes) == 0) {
        (void)buf_add_string(&text, "processes: none\n");
    } else {
        (void)buf_add_byte(&text, '\n');
        record_print_table(RECORD_GPU_PROCESS, processes, &text);
    }
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

int command_gpu_show(struct cli *cli, struct err *err)
{
    AUTO_FREE char *target = call_gpu_target(cli->args->operands[0], "", err);
    AUTO_JSON json_t *record = NULL;

    if (target == NULL || call_get(cli, target, &record, err) < 0)
        return -1;
    return cli->wants_json ? call_print_record(cli, RECORD_GPU, record, err)
                           : print_screen(cli, record, err);
}
