/* Routes that tell the metrics: as text for Prometheus, as JSON for people's programs. */
#include "common/json.h"
#include "common/metrics_text.h"
#include "supervisor/metrics_scrape.h"
#include "supervisor/supervisor.h"

int api_metrics_text(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *metrics = metrics_scrape(call->supervisor);
    AUTO_BUF struct buf text = BUF_INIT(METRICS_TEXT_MAX_BYTES);

    if (metrics_print(metrics, &text, err) != 0)
        return err_wrap(err, "print the metrics");
    http_reply(call->exchange, 200, METRICS_TEXT_TYPE, text.data, text.len);
    return 0;
}

int api_metrics(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *metrics = metrics_scrape(call->supervisor);

    http_reply_json(call->exchange, 200, metrics);
    return 0;
}
