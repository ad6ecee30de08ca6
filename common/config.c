/* Owns the settings of a program: the table of keys, their values and where each comes from. Must
 * not know how a file is written (config_file.c). */
#include "common/config.h"

#include "common/buf.h"
#include "common/command_line.h"
#include "common/config_values.h"
#include "common/device_name.h"
#include "common/host_list.h"
#include "common/http/http.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/units.h"
#include "common/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

static const struct config_key_info KEYS[CONFIG_KEY_COUNT] = {
#define KEY(section, key, type, def, min, max, summary)                                            \
    [CONFIG_##section##_##key] = {#section, #key, CONFIG_##type, def, min, max, summary},
#define WORKER_KEY(key, type, def, min, max, summary)
#include "common/config_keys.def"
#undef KEY
#undef WORKER_KEY
};

static const struct config_key_info WORKER_KEYS[CONFIG_WORKER_KEY_COUNT] = {
#define KEY(section, key, type, def, min, max, summary)
#define WORKER_KEY(key, type, def, min, max, summary)                                              \
    [CONFIG_WORKER_##key] = {"worker", #key, CONFIG_##type, def, min, max, summary},
#include "common/config_keys.def"
#undef KEY
#undef WORKER_KEY
};

/* ---- one value ---- */

/* NUMBER as it would stand in the file; the caller frees it. */
static char *config_format_number(enum config_type type, int64_t number)
{
    static const struct {
        enum config_type type;
        int64_t factor;
        const char *suffix;
    } UNITS[] = {
        {CONFIG_DURATION, 3600000, "h"},  {CONFIG_DURATION, 60000, "m"},
        {CONFIG_DURATION, 1000, "s"},     {CONFIG_DURATION, 1, "ms"},
        {CONFIG_SIZE, 1073741824, "GiB"}, {CONFIG_SIZE, 1048576, "MiB"},
        {CONFIG_SIZE, 1024, "KiB"},
    };

    if (type == CONFIG_BOOL)
        return xstrdup(number != 0 ? "true" : "false");
    for (size_t i = 0; i < ARRAY_COUNT(UNITS); i++) {
        if (UNITS[i].type == type && number != 0 && number % UNITS[i].factor == 0)
            return xasprintf("%" PRId64 "%s", number / UNITS[i].factor, UNITS[i].suffix);
    }
    return xasprintf("%" PRId64, number);
}

static int config_parse_bool(const char *text, int64_t *out, struct err *err)
{
    static const char *const WORDS[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};

    for (int64_t value = 0; value < 2; value++) {
        for (size_t i = 0; i < ARRAY_COUNT(WORDS[value]); i++) {
            if (strcmp(text, WORDS[value][i]) == 0) {
                *out = value;
                return 0;
            }
        }
    }
    return err_set(err, ERR_USAGE, "\"%.40s\" is not true or false", text);
}

static int config_check_range(const struct config_key_info *info, const char *text, uint64_t number,
                              int64_t *out, struct err *err)
{
    AUTO_FREE char *min = config_format_number(info->type, info->min);
    AUTO_FREE char *max = config_format_number(info->type, info->max);

    if (number < (uint64_t)info->min || number > (uint64_t)info->max)
        return err_set(err, ERR_USAGE, "%.40s is not in %s to %s", text, min, max);
    *out = (int64_t)number;
    return 0;
}

static int config_check_text(const char *text, struct err *err)
{
    size_t len = strlen(text);
    AUTO_FREE char *printable = NULL;

    if (len > CONFIG_TEXT_MAX_BYTES)
        return err_set(err, ERR_USAGE, "text of %zu bytes, the limit is %d", len,
                       CONFIG_TEXT_MAX_BYTES);
    if (!utf8_is_valid(text, len))
        return err_set(err, ERR_USAGE, "text is not UTF-8");
    printable = xstrdup(text);
    utf8_make_printable(printable, len);
    if (strcmp(text, printable) != 0)
        return err_set(err, ERR_USAGE, "text with control characters");
    return 0;
}

static int config_check_path(const char *path, struct err *err)
{
    if (config_check_text(path, err) < 0)
        return -1;
    if (path[0] != '\0' && path[0] != '/')
        return err_set(err, ERR_USAGE, "the path \"%.200s\" must be absolute", path);
    return 0;
}

static int config_check_model(const char *model, struct err *err)
{
    return config_model_is_path(model) ? config_check_path(model, err)
                                       : config_check_text(model, err);
}

static int config_check_command(const char *command, struct err *err)
{
    struct command_line line;

    if (config_check_text(command, err) < 0)
        return -1;
    if (command[0] == '\0')
        return 0;
    if (command_line_parse(command, &line, err) < 0)
        return -1;
    command_line_release(&line);
    return 0;
}

/* Paths are put behind it: there must be nothing in it that ends a path, and no password. */
static int config_check_endpoint(const char *text, struct err *err)
{
    const char *host = strstr(text, "://");

    if ((strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0) &&
        strspn(host + 3, "/") == 0 && host[3] != '\0' && strpbrk(text, " \t?#@\\") == NULL)
        return config_check_text(text, err);
    return err_set(err, ERR_USAGE, "must be a URL as https://huggingface.co, not \"%s\"", text);
}

/* As it may stand in a request line, and not end it. */
static int config_check_target(const char *target, struct err *err)
{
    if (config_check_text(target, err) < 0)
        return -1;
    for (const char *c = target; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            return err_set(err, ERR_USAGE, "\"%.200s\" has other than printable ASCII characters",
                           target);
    }
    if (target[0] != '/')
        return err_set(err, ERR_USAGE, "\"%.200s\" does not begin with /", target);
    return 0;
}

static int config_check_address(const char *text, struct err *err)
{
    struct http_address address;

    if (strcmp(text, "off") == 0)
        return 0;
    if (http_address_parse(text, &address, err) < 0)
        return -1;
    return address.is_unix ? err_set(err, ERR_USAGE, "a Unix socket is set with socket") : 0;
}

static int config_check_choice(const char *choices, const char *text, struct err *err)
{
    size_t len = strlen(text);

    for (const char *at = choices; len > 0 && *at != '\0'; at += strspn(at, "|")) {
        size_t word_len = strcspn(at, "|");

        if (word_len == len && memcmp(at, text, len) == 0)
            return 0;
        at += word_len;
    }
    return err_set(err, ERR_USAGE, "\"%.40s\" is none of %s", text, choices);
}

/* Puts what is a number into *OUT, and leaves it alone for text. */
static int config_check(const struct config_key_info *info, const char *text, int64_t *out,
                        struct err *err)
{
    uint64_t number = 0;

    switch (info->type) {
    case CONFIG_INTEGER:
        if (strcmp(text, "off") == 0) /* as for durations: 0, where the key allows it */
            text = "0";
        return units_parse_integer(text, info->min, info->max, out, err);
    case CONFIG_BOOL:
        return config_parse_bool(text, out, err);
    case CONFIG_DURATION:
        if (units_parse_duration(text, &number, err) < 0)
            return -1;
        return config_check_range(info, text, number, out, err);
    case CONFIG_SIZE:
        if (units_parse_size(text, &number, err) < 0)
            return -1;
        return config_check_range(info, text, number, out, err);
    case CONFIG_TEXT:
        return config_check_text(text, err);
    case CONFIG_PATH:
        return config_check_path(text, err);
    case CONFIG_MODEL:
        return config_check_model(text, err);
    case CONFIG_COMMAND:
        return config_check_command(text, err);
    case CONFIG_ENDPOINT:
        return config_check_endpoint(text, err);
    case CONFIG_TARGET:
        return config_check_target(text, err);
    case CONFIG_DEVICE:
        return device_name_check(text, ERR_USAGE, err);
    case CONFIG_ADDRESS:
        return config_check_address(text, err);
    case CONFIG_HOSTS:
        return config_check_text(text, err) < 0 ? -1 : host_list_check_hosts(text, err);
    case CONFIG_ORIGINS:
        return config_check_text(text, err) < 0 ? -1 : host_list_check_origins(text, err);
    case CONFIG_CHOICE:
        return config_check_choice(info->default_text, text, err);
    }
    return 0;
}

int config_value_set(struct config_value *value, const struct config_key_info *info,
                     const char *text, enum config_origin origin, struct err *err)
{
    int64_t number = 0;

    if (config_check(info, text, &number, err) < 0)
        return -1;
    free(value->text);
    value->text = config_type_is_text(info->type) ? xstrdup(text) : NULL;
    value->number = number;
    value->origin = origin;
    return 0;
}

static void config_value_default(struct config_value *value, const struct config_key_info *info)
{
    struct err err = ERR_INIT;
    size_t len = strlen(info->default_text);
    AUTO_FREE char *text = NULL;
    int rc = 0;

    if (info->type == CONFIG_CHOICE)
        len = strcspn(info->default_text, "|");
    text = xstrndup(info->default_text, len);
    rc = config_value_set(value, info, text, CONFIG_FROM_DEFAULT, &err);

    assert(rc == 0); /* a default of config_keys.def breaks its own rule */
}

static char *config_value_format(const struct config_value *value,
                                 const struct config_key_info *info)
{
    struct buf quoted;

    if (!config_type_is_text(info->type))
        return config_format_number(info->type, value->number);
    buf_init(&quoted, 2 * CONFIG_TEXT_MAX_BYTES + 2); /* every byte escaped, and the quotes */
    (void)buf_add_byte(&quoted, '"');                 /* fits, as the rest does */
    for (const char *c = value->text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            (void)buf_add_byte(&quoted, '\\');
        (void)buf_add_byte(&quoted, *c);
    }
    (void)buf_add_byte(&quoted, '"');
    return buf_take(&quoted);
}

/* ---- all of them ---- */

struct config *config_new_default(void)
{
    struct config *config = xcalloc(1, sizeof(*config));

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        config_value_default(&config->values[i], &KEYS[i]);
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        free(config->values[i].text);
    for (size_t i = 0; i < config->worker_count; i++) {
        for (size_t key = 0; key < CONFIG_WORKER_KEY_COUNT; key++)
            free(config->workers[i].values[key].text);
        free(config->workers[i].name);
    }
    free(config->workers);
    free(config->path);
    free(config);
}

struct config_worker *config_find_worker(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->worker_count; i++) {
        if (strcmp(config->workers[i].name, name) == 0)
            return &config->workers[i];
    }
    return NULL;
}

struct config_worker *config_add_worker(struct config *config, const char *name)
{
    struct config_worker *worker = NULL;

    assert(config->worker_count < CONFIG_WORKER_MAX_COUNT);
    config->workers = xgrow(config->workers, config->worker_count, sizeof(*config->workers));
    worker = &config->workers[config->worker_count++];
    *worker = (struct config_worker){.name = xstrdup(name)};
    for (size_t i = 0; i < CONFIG_WORKER_KEY_COUNT; i++)
        config_value_default(&worker->values[i], &WORKER_KEYS[i]);
    return worker;
}

static int config_read_places(struct config *config, struct err *err)
{
    AUTO_FREE char *user_path = paths_user_config();
    bool is_missing = false;

    if (config_file_read(config, paths_system_config(), CONFIG_FROM_SYSTEM, &is_missing, err) < 0)
        return -1;
    return config_file_read(config, user_path, CONFIG_FROM_USER, &is_missing, err);
}

static int config_read_named(struct config *config, const char *path, struct err *err)
{
    bool is_missing = false;

    if (config_file_read(config, path, CONFIG_FROM_USER, &is_missing, err) < 0)
        return -1;
    if (is_missing)
        return err_set(err, ERR_NO_FILE, "there is no configuration file %s", path);
    return 0;
}

struct config *config_load(const char *path, struct err *err)
{
    struct config *config = config_new_default();
    int rc = path != NULL ? config_read_named(config, path, err) : config_read_places(config, err);

    if (rc < 0) {
        config_free(config);
        return NULL;
    }
    config->path = path != NULL ? xstrdup(path) : NULL;
    return config;
}

struct config *config_load_again(const struct config *config, struct err *err)
{
    struct config *again = config_load(config->path, err);

    for (int key = 0; again != NULL && key < CONFIG_KEY_COUNT; key++) {
        if (config->values[key].origin == CONFIG_FROM_FLAG)
            config_adopt(again, config, (enum config_key)key);
    }
    return again;
}

const struct config_key_info *config_key_info(enum config_key key)
{
    assert(key < CONFIG_KEY_COUNT);
    return &KEYS[key];
}

const struct config_key_info *config_worker_key_info(enum config_worker_key key)
{
    assert(key < CONFIG_WORKER_KEY_COUNT);
    return &WORKER_KEYS[key];
}

int64_t config_number(const struct config *config, enum config_key key)
{
    assert(key < CONFIG_KEY_COUNT && !config_type_is_text(KEYS[key].type));
    return config->values[key].number;
}

const char *config_text(const struct config *config, enum config_key key)
{
    assert(key < CONFIG_KEY_COUNT && config_type_is_text(KEYS[key].type));
    return config->values[key].text;
}

enum config_origin config_origin(const struct config *config, enum config_key key)
{
    assert(key < CONFIG_KEY_COUNT);
    return config->values[key].origin;
}

bool config_is_same(const struct config *a, const struct config *b, enum config_key key)
{
    const struct config_value *values[] = {&a->values[key], &b->values[key]};

    return values[0]->number == values[1]->number &&
           (values[0]->text == NULL || strcmp(values[0]->text, values[1]->text) == 0);
}

void config_adopt(struct config *config, const struct config *from, enum config_key key)
{
    struct config_value *value = &config->values[key];

    free(value->text);
    *value = from->values[key];
    if (value->text != NULL)
        value->text = xstrdup(value->text);
}

int config_override(struct config *config, enum config_key key, const char *value, struct err *err)
{
    assert(key < CONFIG_KEY_COUNT);
    if (config_value_set(&config->values[key], &KEYS[key], value, CONFIG_FROM_FLAG, err) < 0)
        return err_wrap(err, "%s.%s", KEYS[key].section, KEYS[key].key);
    return 0;
}

size_t config_worker_count(const struct config *config)
{
    return config->worker_count;
}

const char *config_worker_name(const struct config *config, size_t index)
{
    assert(index < config->worker_count);
    return config->workers[index].name;
}

int64_t config_worker_number(const struct config *config, size_t index, enum config_worker_key key)
{
    assert(index < config->worker_count && key < CONFIG_WORKER_KEY_COUNT);
    assert(!config_type_is_text(WORKER_KEYS[key].type));
    return config->workers[index].values[key].number;
}

const char *config_worker_text(const struct config *config, size_t index,
                               enum config_worker_key key)
{
    assert(index < config->worker_count && key < CONFIG_WORKER_KEY_COUNT);
    assert(config_type_is_text(WORKER_KEYS[key].type));
    return config->workers[index].values[key].text;
}

char *config_value_text(const struct config *config, enum config_key key)
{
    assert(key < CONFIG_KEY_COUNT);
    return config_value_format(&config->values[key], &KEYS[key]);
}

char *config_worker_value_text(const struct config *config, size_t index,
                               enum config_worker_key key)
{
    assert(index < config->worker_count && key < CONFIG_WORKER_KEY_COUNT);
    return config_value_format(&config->workers[index].values[key], &WORKER_KEYS[key]);
}

const char *config_origin_name(enum config_origin origin)
{
    static const char *const NAMES[] = {
        [CONFIG_FROM_DEFAULT] = "default",
        [CONFIG_FROM_SYSTEM] = "system file",
        [CONFIG_FROM_USER] = "user file",
        [CONFIG_FROM_FLAG] = "flag",
    };

    assert((size_t)origin < ARRAY_COUNT(NAMES));
    return NAMES[origin];
}

static bool config_name_is_well_formed(const char *name)
{
    size_t len = strlen(name);

    return len >= 1 && len <= CONFIG_NAME_MAX_BYTES && name[0] != '.' && name[0] != '_' &&
           name[0] != '-' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static bool config_name_is_taken(const char *name)
{
    return strcmp(name, "rbeed") == 0;
}

bool config_name_is_valid(const char *name)
{
    return config_name_is_well_formed(name) && !config_name_is_taken(name);
}

int config_name_check(const char *name, enum err_kind kind, struct err *err)
{
    if (!config_name_is_well_formed(name))
        return err_set(
            err, kind,
            "\"%.80s\" cannot be a name: 1 to %d of a-z 0-9 . _ -, the first a letter or "
            "digit",
            name, CONFIG_NAME_MAX_BYTES);
    if (config_name_is_taken(name))
        return err_set(err, kind,
                       "\"%s\" cannot be a name: the supervisor is called so; choose another one",
                       name);
    return 0;
}

bool config_model_is_path(const char *text)
{
    static const char SUFFIX[] = ".gguf";
    size_t len = strlen(text);

    return strchr(text, '/') != NULL ||
           (len >= strlen(SUFFIX) && strcasecmp(text + len - strlen(SUFFIX), SUFFIX) == 0);
}
