/* rbee audit ls, verify, export, archive, accept: the audit trail. */
#include "cli/call.h"
#include "cli/log_view.h"
#include "cli/message.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/moment.h"

#include <string.h>

enum {
    AUDIT_DEFAULT_COUNT = 20,
    AUDIT_ANSWER_MAX_BYTES = 4096,
};

/* ---- ls, export ---- */

static void add_row(struct buf *out, const json_t *row)
{
    AUTO_FREE char *details = json_to_text(json_object_get(row, "details"));
    const char *path = json_shown_text(row, "path");
    const char *outcome = json_shown_text(row, "outcome");

    /* What does not fit is cut by the buf. */
    (void)buf_printf(out, "%s  %s  %s", json_shown_text(row, "at"), json_shown_text(row, "actor"),
                     json_shown_text(row, "kind"));
    if (strcmp(outcome, "ok") != 0)
        (void)buf_printf(out, " (%s)", outcome);
    if (path[0] != '\0')
        (void)buf_printf(out, "  %s %s", json_shown_text(row, "method"), path);
    if (strcmp(details, "{}") != 0)
        (void)buf_printf(out, "  %s", details);
}

static struct log_view audit_view(struct cli *cli)
{
    return (struct log_view){.cli = cli,
                             .path = "/v1/audit",
                             .list = "rows",
                             .filter = "actor",
                             .add_line = add_row,
                             .output = OUTPUT_INIT};
}

int command_audit_ls(struct cli *cli, struct err *err)
{
    static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyz0123456789:";
    struct log_view view = audit_view(cli);

    view.wanted = args_text(cli->args, OPTION_ACTOR);
    if (view.wanted != NULL &&
        (view.wanted[0] == '\0' || strspn(view.wanted, ALLOWED) != strlen(view.wanted)))
        return err_set(err, ERR_USAGE, "--actor must be uid:N, token:FINGERPRINT or internal");
    if (log_view_read_options(&view, AUDIT_DEFAULT_COUNT, err) < 0)
        return -1;
    return log_view_run(&view, err);
}

int command_audit_export(struct cli *cli, struct err *err)
{
    struct log_view view = audit_view(cli);

    if (log_view_read_options(&view, -1, err) < 0)
        return -1;
    view.wants_json = true;
    return log_view_run(&view, err);
}

/* ---- verify, archive, accept ---- */

/* All rows are looked at: however long that takes. */
static int audit_ask(struct cli *cli, enum http_method method, const char *target,
                     const json_t *body, json_t **out_reply, struct err *err)
{
    const struct api_request request = {.method = method, .target = target, .body = body};

    if (cli_connect(cli, err) < 0 || interrupt_watch(&cli->interrupt, err) < 0 ||
        call_send(cli, &request, out_reply, err) < 0)
        return -1;
    if (*out_reply == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer is empty");
    return 0;
}

static int audit_print(struct cli *cli, const json_t *reply, const char *text, struct err *err)
{
    AUTO_BUF struct buf out = BUF_INIT(AUDIT_ANSWER_MAX_BYTES);

    if (cli->wants_json)
        return output_print_json(cli, reply, err);
    (void)buf_printf(&out, "%s\n", text); /* a line of ours, which fits */
    return output_print(cli, &out, err);
}

/* As it may stand in an address. */
static int audit_check_head(const char *head, struct err *err)
{
    if (head[0] != '\0' && strspn(head, "0123456789abcdef:") == strlen(head))
        return 0;
    return err_set(err, ERR_USAGE, "--head must be SEQ:HASH, as the supervisor logs it");
}

int command_audit_verify(struct cli *cli, struct err *err)
{
    const char *head = args_text(cli->args, OPTION_HEAD);
    AUTO_FREE char *target =
        head == NULL ? xstrdup("/v1/audit/verify") : xasprintf("/v1/audit/verify?head=%s", head);
    AUTO_JSON json_t *reply = NULL;
    AUTO_FREE char *text = NULL;
    bool is_good = false;

    if (head != NULL && audit_check_head(head, err) < 0)
        return -1;
    if (audit_ask(cli, HTTP_GET, target, NULL, &reply, err) < 0)
        return -1;
    is_good = json_is_true(json_object_get(reply, "good"));
    text =
        xasprintf("%s\nhead %s", json_shown_text(reply, "message"), json_shown_text(reply, "head"));
    if (audit_print(cli, reply, text, err) < 0)
        return -1;
    return is_good ? EXIT_DONE : EXIT_BAD;
}

int command_audit_archive(struct cli *cli, struct err *err)
{
    const char *before = args_text(cli->args, OPTION_BEFORE);
    int64_t before_ms = 0;
    char at[CLOCK_RFC3339_BYTES];
    AUTO_JSON json_t *body = NULL;
    AUTO_JSON json_t *reply = NULL;
    AUTO_FREE char *text = NULL;

    if (before == NULL)
        return err_set(err, ERR_USAGE, "--before TIME is needed: which rows are to go");
    if (moment_parse(before, clock_wall_ms(), &before_ms, err) < 0)
        return err_wrap(err, "--before");
    clock_format_rfc3339(before_ms, at);
    body = json_pack("{s:s}", "before", at);
    if (audit_ask(cli, HTTP_POST, "/v1/audit/archive", body, &reply, err) < 0)
        return -1;
    text = xasprintf("%" JSON_INTEGER_FORMAT " rows are in %s",
                     json_integer_value(json_object_get(reply, "archived")),
                     json_shown_text(reply, "file"));
    return audit_print(cli, reply, text, err) < 0 ? -1 : EXIT_DONE;
}

int command_audit_accept(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = call_reason_body(cli, err);
    AUTO_JSON json_t *reply = NULL;
    AUTO_FREE char *text = NULL;

    if (body == NULL || audit_ask(cli, HTTP_POST, "/v1/audit/accept", body, &reply, err) < 0)
        return -1;
    text = xasprintf("accepted although %s", json_shown_text(reply, "message"));
    return audit_print(cli, reply, text, err) < 0 ? -1 : EXIT_DONE;
}
