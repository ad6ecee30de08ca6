/* rbee doctor: what would keep this machine from working, each with what mends it. Exit 1 when
 * something is a problem. */
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/output.h"
#include "common/json.h"
#include "common/terminal.h"

#include <string.h>

enum { DOCTOR_TEXT_MAX_BYTES = 1 << 20, DOCTOR_LEVEL_COLUMN = 8, DOCTOR_CHECK_COLUMN = 12 };

static const struct {
    const char *level;
    const char *color;
} COLORS[] = {{"ok", "\033[32m"}, {"warning", "\033[33m"}, {"problem", "\033[1;31m"}};
#define COLOR_END "\033[m"

static void add_level(const struct cli *cli, const char *level, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(COLORS) && cli->has_colors_out; i++) {
        if (strcmp(COLORS[i].level, level) == 0)
            (void)buf_add_string(out, COLORS[i].color);
    }
    (void)buf_printf(out, "%-*s", DOCTOR_LEVEL_COLUMN, level);
    if (cli->has_colors_out)
        (void)buf_add_string(out, COLOR_END);
}

static void add_finding(const struct cli *cli, const json_t *finding, struct buf *out)
{
    const char *message = json_shown_text(finding, "message");
    const char *fix = json_shown_text(finding, "fix");

    add_level(cli, json_shown_text(finding, "level"), out);
    (void)buf_printf(out, "%-*s", DOCTOR_CHECK_COLUMN, json_shown_text(finding, "check"));
    (void)terminal_clean(out, message, strlen(message));
    if (fix[0] != '\0') {
        (void)buf_printf(out, "\n%*sfix: ", DOCTOR_LEVEL_COLUMN + DOCTOR_CHECK_COLUMN, "");
        (void)terminal_clean(out, fix, strlen(fix));
    }
    (void)buf_add_byte(out, '\n');
}

static int print(struct doctor *doctor, struct err *err)
{
    AUTO_JSON json_t *report = doctor_report(doctor);
    AUTO_BUF struct buf text = BUF_INIT(DOCTOR_TEXT_MAX_BYTES);
    const json_t *finding = NULL;
    size_t index = 0;

    if (doctor->cli->wants_json)
        return output_print_json(doctor->cli, report, err);
    json_array_foreach(doctor->findings, index, finding)
    {
        add_finding(doctor->cli, finding, &text);
    }
    return output_print(doctor->cli, &text, err);
}

int command_doctor(struct cli *cli, struct err *err)
{
    struct doctor doctor;
    int rc = 0;

    doctor_init(&doctor, cli, args_text(cli->args, OPTION_ROOT));
    doctor_run(&doctor);
    rc = print(&doctor, err);
    if (rc == 0)
        rc = doctor.worst == DOCTOR_PROBLEM ? EXIT_DEGRADED : EXIT_DONE;
    doctor_release(&doctor);
    return rc;
}
