/* Owns what each part of a bundle is made of. Must not know where it goes. */
#include "cli/api.h"
#include "cli/bundle.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/settings.h"
#include "common/config.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/metrics_text.h"
#include "common/paths.h"

#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    BUNDLE_ANSWER_MS = 3000, /* a supervisor that hangs is what a bundle is made for */
    BUNDLE_TEXT_MAX_BYTES = 32 << 20,
    BUNDLE_LOG_LINES = 2000,
    BUNDLE_LOG_TAIL_BYTES = 256 << 10, /* about as many, of the file */
    BUNDLE_PROC_MAX_BYTES = 16 << 10,  /* the first processors look like the others */
};

/* Asks the supervisor; 0 with *OUT NULL: it did not answer, and the file NAME says why. */
static int ask(struct bundle *bundle, const char *target, const char *name, json_t **out,
               struct err *err)
{
    const struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = BUNDLE_ANSWER_MS};
    struct err why = ERR_INIT;
    AUTO_JSON json_t *envelope = NULL;

    *out = NULL;
    if (!bundle->has_supervisor)
        return 0;
    json_decref(take_ptr(bundle->cli->failure)); /* of the last part */
    if (call_send(bundle->cli, &request, out, &why) == 0)
        return 0;
    if (bundle->cli->interrupt.signal != 0)
        return err_set(err, ERR_CANCELLED, "interrupted");
    bundle->has_supervisor = why.kind != ERR_TIMED_OUT; /* one wait is enough */
    envelope = json_error_envelope(&why, NULL, NULL);
    return bundle_add_json(bundle, name, envelope, err);
}

/* What the supervisor says at TARGET, without what it quotes, as the file NAME. */
static int add_record(struct bundle *bundle, const char *target, const char *name, struct err *err)
{
    AUTO_JSON json_t *record = NULL;

    if (ask(bundle, target, name, &record, err) < 0)
        return -1;
    if (record == NULL)
        return 0;
    scrub_quotes(record);
    return bundle_add_json(bundle, name, record, err);
}

int bundle_versions(struct bundle *bundle, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(BUNDLE_TEXT_MAX_BYTES);
    struct err ignored = ERR_INIT; /* a system without that file says less */
    struct utsname system;

    (void)buf_printf(&text, "rbee %s\n", RBEE_VERSION);
    if (uname(&system) == 0) /* without the machine's name */
        (void)buf_printf(&text, "%s %s %s %s\n", system.sysname, system.release, system.version,
                         system.machine);
    (void)io_read_file("/etc/os-release", &text, &ignored);
    return bundle_add_text(bundle, "versions.txt", text.data, text.len, err);
}

int bundle_doctor(struct bundle *bundle, struct err *err)
{
    struct doctor doctor;
    AUTO_JSON json_t *report = NULL;
    json_t *finding = NULL;
    size_t index = 0;

    doctor_init(&doctor, bundle->cli, NULL);
    doctor_run(&doctor);
    report = doctor_report(&doctor);
    doctor_release(&doctor);
    /* What it found is ours to say, but for what it has from the supervisor. */
    json_array_foreach(json_object_get(report, "checks"), index, finding)
    {
        if (strcmp(json_string_value(json_object_get(finding, "check")), "supervisor") == 0)
            scrub_quotes(finding);
    }
    return bundle_add_json(bundle, "doctor.json", report, err);
}

int bundle_settings(struct bundle *bundle, struct err *err)
{
    struct err why = ERR_INIT;
    AUTO_CONFIG struct config *config =
        config_load(args_text(bundle->cli->args, OPTION_CONFIG), &why);
    AUTO_JSON json_t *settings = NULL;
    json_t *setting = NULL;
    size_t index = 0;

    if (config == NULL)
        return bundle_add_text(bundle, "settings.txt", why.message, strlen(why.message), err);
    settings = settings_list(config);
    json_array_foreach(settings, index, setting)
    {
        const char *key = json_string_value(json_object_get(setting, "key"));
        const json_t *value = json_object_get(setting, "value");

        /* People put keys of other servers there. */
        if (strcmp(key, "command") == 0 && json_string_length(value) > 0)
            (void)json_object_set_new(setting, "value", json_string("(left out)"));
    }
    return bundle_add_json(bundle, "settings.json", settings, err);
}

static int add_metrics(struct bundle *bundle, struct err *err)
{
    AUTO_JSON json_t *metrics = NULL;
    AUTO_BUF struct buf text = BUF_INIT(METRICS_TEXT_MAX_BYTES);
    struct err why = ERR_INIT;

    if (ask(bundle, "/v1/metrics", "metrics.txt", &metrics, err) < 0)
        return -1;
    if (metrics == NULL)
        return 0;
    if (metrics_print(metrics, &text, &why) < 0)
        return bundle_add_text(bundle, "metrics.txt", why.message, strlen(why.message), err);
    return bundle_add_text(bundle, "metrics.txt", text.data, text.len, err);
}

int bundle_records(struct bundle *bundle, struct err *err)
{
    static const struct {
        const char *target;
        const char *name;
    } RECORDS[] = {
        {"/v1/status", "status.json"},
        {"/v1/models", "models.json"},
        {"/v1/breakers", "breakers.json"},
        {"/v1/events?limit=1000", "events.json"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(RECORDS); i++) {
        if (add_record(bundle, RECORDS[i].target, RECORDS[i].name, err) < 0)
            return -1;
    }
    return add_metrics(bundle, err);
}

int bundle_whys(struct bundle *bundle, struct err *err)
{
    AUTO_JSON json_t *reply = NULL;
    const json_t *worker = NULL;
    size_t index = 0;

    if (ask(bundle, "/v1/workers", "workers.json", &reply, err) < 0)
        return -1;
    json_array_foreach(json_object_get(reply, "workers"), index, worker)
    {
        const char *name = json_string_value(json_object_get(worker, "name"));
        struct err ignored = ERR_INIT; /* a name that is none has no reason */
        AUTO_FREE char *target = name != NULL ? call_worker_target(name, "/why", &ignored) : NULL;
        AUTO_FREE char *file = target != NULL ? xasprintf("why-%s.json", name) : NULL;

        if (file != NULL && add_record(bundle, target, file, err) < 0)
            return -1;
    }
    return 0;
}

static int add_log(struct bundle *bundle, const struct buf *text, struct err *err)
{
    return bundle_add_text(bundle, "rbeed.log", text->data, text->len, err);
}

/* The end of the log's file, for a supervisor that is gone. */
static int add_log_file(struct bundle *bundle, struct err *err)
{
    AUTO_FREE char *state = paths_state_dir();
    AUTO_FREE char *path = paths_join(state, "logs/rbeed.log");
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    AUTO_BUF struct buf tail = BUF_INIT(BUNDLE_TEXT_MAX_BYTES);
    AUTO_BUF struct buf text = BUF_INIT(BUNDLE_TEXT_MAX_BYTES);
    struct err ignored = ERR_INIT; /* a log that cannot be read is not in it */
    bool is_cut = fd >= 0 && lseek(fd, -BUNDLE_LOG_TAIL_BYTES, SEEK_END) >= 0;
    const char *newline = NULL;

    if (fd < 0 || io_read_all(fd, &tail, &ignored) < 0)
        return 0;
    for (const char *at = tail.data; (newline = strchr(at, '\n')) != NULL; at = newline + 1) {
        if (!is_cut || at > tail.data) /* the first one was begun before */
            scrub_log_line(at, (size_t)(newline - at), &text);
    }
    return add_log(bundle, &text, err);
}

int bundle_log(struct bundle *bundle, struct err *err)
{
    AUTO_FREE char *target = xasprintf("/v1/logs?lines=%d", BUNDLE_LOG_LINES);
    AUTO_JSON json_t *reply = NULL;
    AUTO_BUF struct buf text = BUF_INIT(BUNDLE_TEXT_MAX_BYTES);
    const json_t *line = NULL;
    size_t index = 0;

    if (!bundle->has_supervisor)
        return add_log_file(bundle, err);
    if (ask(bundle, target, "rbeed.log.json", &reply, err) < 0)
        return -1;
    json_array_foreach(json_object_get(reply, "lines"), index, line)
    {
        const json_t *words = json_object_get(line, "text");

        if (json_is_string(words))
            scrub_log_line(json_string_value(words), json_string_length(words), &text);
    }
    return reply != NULL ? add_log(bundle, &text, err) : 0;
}

int bundle_machine(struct bundle *bundle, struct err *err)
{
    static const char *const FILES[] = {"/proc/meminfo", "/proc/loadavg", "/proc/cpuinfo",
                                        "/proc/self/limits", "/proc/pressure/memory"};

    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        AUTO_BUF struct buf text = BUF_INIT(BUNDLE_TEXT_MAX_BYTES);
        struct err ignored = ERR_INIT; /* a kernel that lacks it has none */
        AUTO_FREE char *name = xasprintf("proc-%s.txt", strrchr(FILES[i], '/') + 1);

        if (io_read_file(FILES[i], &text, &ignored) < 0)
            continue;
        if (bundle_add_text(bundle, name, text.data,
                            text.len < BUNDLE_PROC_MAX_BYTES ? text.len : BUNDLE_PROC_MAX_BYTES,
                            err) < 0)
            return -1;
    }
    return 0;
}
