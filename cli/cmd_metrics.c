/* rbee metrics: what the supervisor counts, as Prometheus reads it. */
#include "cli/call.h"
#include "cli/output.h"
#include "common/json.h"
#include "common/metrics_text.h"

int command_metrics(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *metrics = NULL;
    AUTO_BUF struct buf text = BUF_INIT(METRICS_TEXT_MAX_BYTES);

    if (call_get(cli, "/v1/metrics", &metrics, err) < 0)
        return -1;
    if (cli->wants_json)
        return output_print_json(cli, metrics, err) < 0 ? -1 : EXIT_DONE;
    if (metrics_print(metrics, &text, err) < 0)
        return err_wrap(err, "the supervisor's answer");
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}
