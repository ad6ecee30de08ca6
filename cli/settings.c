/* Owns the listing of settings. Must not know who reads it. */
#include "cli/settings.h"

#include "common/config.h"
#include "common/json.h"

#include <stdlib.h>
#include <string.h>

static json_t *setting_new(const char *section, const char *name, const char *key, char *value,
                           const char *origin)
{
    json_t *setting =
        json_pack("{s:s,s:s?,s:s,s:o,s:s}", "section", section, "name", name, "key", key, "value",
                  json_text_lossy(value, strlen(value)), "origin", origin);

    free(value);
    return setting;
}

json_t *settings_list(const struct config *config)
{
    json_t *settings = json_array();

    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        enum config_key id = (enum config_key)key;
        const struct config_key_info *info = config_key_info(id);

        (void)json_array_append_new(
            settings, setting_new(info->section, NULL, info->key, config_value_text(config, id),
                                  config_origin_name(config_origin(config, id))));
    }
    for (size_t i = 0; i < config_worker_count(config); i++) {
        for (int key = 0; key < CONFIG_WORKER_KEY_COUNT; key++) {
            enum config_worker_key id = (enum config_worker_key)key;

            (void)json_array_append_new(
                settings, setting_new("worker", config_worker_name(config, i),
                                      config_worker_key_info(id)->key,
                                      config_worker_value_text(config, i, id), "file"));
        }
    }
    return settings;
}
