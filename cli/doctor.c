/* Owns the running of checks and their report. Must not know what any check looks at. */
#include "cli/doctor.h"

#include "cli/cli.h"
#include "common/config.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum { DOCTOR_MESSAGE_MAX_BYTES = 1024 };

static const struct {
    const char *name;
    void (*run)(struct doctor *doctor);
} CHECKS[] = {
#define CHECK(name_, function_) {.name = name_, .run = function_},
#include "cli/doctor_checks.def"
#undef CHECK
};

const char *doctor_level_name(enum doctor_level level)
{
    static const char *const NAMES[] = {
        [DOCTOR_OK] = "ok", [DOCTOR_WARNING] = "warning", [DOCTOR_PROBLEM] = "problem"};

    return NAMES[level];
}

void doctor_init(struct doctor *doctor, struct cli *cli, const char *root)
{
    struct err ignored = ERR_INIT; /* the check of the configuration says it */

    *doctor =
        (struct doctor){.cli = cli, .root = root != NULL ? root : "", .findings = json_array()};
    doctor->config = config_load(args_text(cli->args, OPTION_CONFIG), &ignored);
    if (doctor->config == NULL)
        doctor->config = config_new_default();
}

void doctor_release(struct doctor *doctor)
{
    config_free(doctor->config);
    json_decref(doctor->findings);
}

void doctor_run(struct doctor *doctor)
{
    for (size_t i = 0; i < ARRAY_COUNT(CHECKS); i++) {
        doctor->check = CHECKS[i].name;
        CHECKS[i].run(doctor);
    }
}

json_t *doctor_report(const struct doctor *doctor)
{
    return json_pack("{s:s,s:O}", "state", doctor_level_name(doctor->worst), "checks",
                     doctor->findings);
}

void doctor_say(struct doctor *doctor, enum doctor_level level, const char *fix, const char *format,
                ...)
{
    char message[DOCTOR_MESSAGE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args); /* cut when longer */
    va_end(args);
    if (level > doctor->worst)
        doctor->worst = level;
    (void)json_array_append_new(
        doctor->findings,
        json_pack("{s:s,s:s,s:o,s:o}", "check", doctor->check, "level", doctor_level_name(level),
                  "message", json_text_lossy(message, strlen(message)), "fix",
                  fix != NULL ? json_text_lossy(fix, strlen(fix)) : json_null()));
}

char *doctor_path(const struct doctor *doctor, const char *path)
{
    return xasprintf("%s%s", doctor->root, path);
}

bool doctor_exists(const struct doctor *doctor, const char *path)
{
    AUTO_FREE char *full = doctor_path(doctor, path);

    return access(full, F_OK) == 0;
}

bool doctor_read(const struct doctor *doctor, const char *path, struct buf *out)
{
    AUTO_FREE char *full = doctor_path(doctor, path);
    struct err ignored = ERR_INIT; /* not there is an answer, too */

    return io_read_file(full, out, &ignored) == 0;
}
