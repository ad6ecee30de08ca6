/* Owns what a second reading of the configuration changes. Must not know how tokens are found or
 * sockets opened (doors.c). */
#include "supervisor/reload.h"

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/doors.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum { RELOAD_NAMES_MAX_BYTES = 64 * 1024 };

/* Keys whose value is looked up each time it is needed, or is set anew here. All others shape what
 * was made at the start: sockets, limits of connections, processes. */
static bool reload_is_at_once(enum config_key key)
{
    static const char *const SECTIONS[] = {"life", "restart", "breaker", "deadline", "pull"};
    static const enum config_key KEYS[] = {
        CONFIG_supervisor_listen,
        CONFIG_supervisor_token_file,
        CONFIG_supervisor_infer_token_file,
        CONFIG_supervisor_allowed_hosts,
        CONFIG_supervisor_allowed_origins,
        CONFIG_supervisor_metrics_public,
        CONFIG_supervisor_default_model,
        CONFIG_limits_queue,
        CONFIG_limits_memory,
    };

    for (size_t i = 0; i < ARRAY_COUNT(SECTIONS); i++) {
        if (strcmp(config_key_info(key)->section, SECTIONS[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++) {
        if (KEYS[i] == key)
            return true;
    }
    return false;
}

/* A value as it is, without the quotes that a text has in the file: the log has its own. */
static char *reload_value(const struct config *config, enum config_key key)
{
    AUTO_FREE char *text = config_value_text(config, key);
    size_t len = strlen(text);

    if (text[0] == '"')
        return xstrndup(text + 1, len - 2);
    return take_ptr(text);
}

/* No key holds a secret: tokens are in files. */
static void reload_key(struct supervisor *supervisor, const struct config *config,
                       enum config_key key)
{
    const struct config_key_info *info = config_key_info(key);
    AUTO_FREE char *old = reload_value(supervisor->config, key);
    AUTO_FREE char *new = reload_value(config, key);

    log_event(LOG_INFO, "config_changed", "key=%s.%s old=%s new=%s", info->section, info->key, old,
              new);
    audit_config_changed(supervisor, info, old, new);
    config_adopt(supervisor->config, config, key);
}

static bool reload_find_worker(const struct config *config, const char *name, size_t *out)
{
    for (size_t i = 0; i < config_worker_count(config); i++) {
        if (strcmp(config_worker_name(config, i), name) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* Whether worker INDEX of A is the same in B. */
static bool reload_is_same_worker(const struct config *a, size_t index, const struct config *b)
{
    size_t other = 0;

    if (!reload_find_worker(b, config_worker_name(a, index), &other))
        return false;
    for (int key = 0; key < CONFIG_WORKER_KEY_COUNT; key++) {
        enum config_worker_key id = (enum config_worker_key)key;
        AUTO_FREE char *one = config_worker_value_text(a, index, id);
        AUTO_FREE char *two = config_worker_value_text(b, other, id);

        if (strcmp(one, two) != 0)
            return false;
    }
    return true;
}

static void reload_add_workers(const struct config *old, const struct config *new,
                               struct buf *names)
{
    size_t unused = 0;

    for (size_t i = 0; i < config_worker_count(new); i++) {
        if (!reload_is_same_worker(new, i, old)) /* 256 names of 64 bytes fit */
            (void)buf_printf(names, "%sworker.%s", names->len > 0 ? "," : "",
                             config_worker_name(new, i));
    }
    for (size_t i = 0; i < config_worker_count(old); i++) {
        if (!reload_find_worker(new, config_worker_name(old, i), &unused))
            (void)buf_printf(names, "%sworker.%s", names->len > 0 ? "," : "",
                             config_worker_name(old, i));
    }
}

/* Policies and timers that were made of old values. */
static void reload_derived(struct supervisor *supervisor)
{
    struct worker *worker = NULL;

    policy_read(supervisor->config, &supervisor->policy);
    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        worker_arm_deadline(worker);
    }
}

static void reload_settings(struct supervisor *supervisor, const struct config *config)
{
    AUTO_BUF struct buf names = BUF_INIT(RELOAD_NAMES_MAX_BYTES);

    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        enum config_key id = (enum config_key)key;
        const struct config_key_info *info = config_key_info(id);

        if (config_is_same(supervisor->config, config, id))
            continue;
        if (reload_is_at_once(id))
            reload_key(supervisor, config, id);
        else /* all keys fit */
            (void)buf_printf(&names, "%s%s.%s", names.len > 0 ? "," : "", info->section, info->key);
    }
    reload_add_workers(supervisor->config, config, &names);
    reload_derived(supervisor);
    if (names.len > 0)
        log_event(LOG_WARN, "config_needs_restart", "keys=%s", names.data);
}

void reload(struct supervisor *supervisor)
{
    struct err err = ERR_INIT;
    AUTO_CONFIG struct config *config = config_load_again(supervisor->config, &err);

    if (config == NULL || doors_reload(supervisor, config, &err) != 0) {
        log_event(LOG_ERROR, "reload_refused", "error=%s", err.message);
        return;
    }
    reload_settings(supervisor, config);
    log_event(LOG_INFO, "reloaded", "listen=%s",
              supervisor->tcp.name[0] == '\0' ? "off" : supervisor->tcp.name);
}
