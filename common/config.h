/* rbee.conf, read by libconfuse and checked against config_keys.def. Precedence: flag >
 * user file > system file > default; this reads the last three, main() lays the
 * others on top with config_override(). */
#ifndef RBEE_COMMON_CONFIG_H
#define RBEE_COMMON_CONFIG_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_key {
#define KEY(section, key, type, def, min, max, summary) CONFIG_##section##_##key,
#define WORKER_KEY(key, type, def, min, max, summary)
#include "common/config_keys.def"
#undef KEY
#undef WORKER_KEY
    CONFIG_KEY_COUNT,
};

enum config_worker_key {
#define KEY(section, key, type, def, min, max, summary)
#define WORKER_KEY(key, type, def, min, max, summary) CONFIG_WORKER_##key,
#include "common/config_keys.def"
#undef KEY
#undef WORKER_KEY
    CONFIG_WORKER_KEY_COUNT,
};

/* A PATH is text, absolute or empty: the programs run in other folders than the one it was meant
 * in. A MODEL is a name, an absolute path, or empty; a COMMAND is one that command_line_parse()
 * takes, or empty; an ENDPOINT is a URL that paths are put behind; a TARGET goes into a request
 * line; a DEVICE is one of device_name.h; an ADDRESS is "off" or one of TCP that
 * http_address_parse() takes; HOSTS and ORIGINS are lists of host_list.h; a CHOICE is one of the
 * words of its default, "off|local", which is the first. */
enum config_type {
    CONFIG_TEXT,
    CONFIG_PATH,
    CONFIG_MODEL,
    CONFIG_COMMAND,
    CONFIG_ENDPOINT,
    CONFIG_TARGET,
    CONFIG_DEVICE,
    CONFIG_ADDRESS,
    CONFIG_HOSTS,
    CONFIG_ORIGINS,
    CONFIG_CHOICE,
    CONFIG_INTEGER,
    CONFIG_BOOL,
    CONFIG_DURATION,
    CONFIG_SIZE,
};

static inline bool config_type_is_text(enum config_type type)
{
    return type < CONFIG_INTEGER; /* those that are text come first */
}

enum config_origin { CONFIG_FROM_DEFAULT, CONFIG_FROM_SYSTEM, CONFIG_FROM_USER, CONFIG_FROM_FLAG };

struct config_key_info {
    const char *section; /* "worker" for the keys of a worker */
    const char *key;
    enum config_type type;
    const char *default_text;
    int64_t min;
    int64_t max;
    const char *summary;
};

struct config; /* sections and workers, each value with its origin */

/* Reads the system file, then the user file over it; a missing file is none. With PATH, that file
 * alone, and it must exist (ERR_NO_FILE). A file that group or others can write, an unknown or
 * duplicate key, a value out of range: ERR_CONFIG with "file:line: reason". */
struct config *config_load(const char *path, struct err *err);
/* What the files of CONFIG hold now, under the flags that were laid over it. */
struct config *config_load_again(const struct config *config, struct err *err);
/* All defaults, no file. */
struct config *config_new_default(void);
void config_free(struct config *config);
static inline void config_release(struct config **config)
{
    config_free(*config);
}
#define AUTO_CONFIG __attribute__((cleanup(config_release)))

const struct config_key_info *config_key_info(enum config_key key);
const struct config_key_info *config_worker_key_info(enum config_worker_key key);

/* The number of a DURATION (ms), SIZE (bytes), INTEGER or BOOL (0, 1) key. */
int64_t config_number(const struct config *config, enum config_key key);
/* The text of a key whose type is text, "" when empty; borrowed. */
const char *config_text(const struct config *config, enum config_key key);
enum config_origin config_origin(const struct config *config, enum config_key key);
/* Checks and sets one value as if a flag had given it. */
int config_override(struct config *config, enum config_key key, const char *value, struct err *err);

/* Whether KEY has the same value in both. */
bool config_is_same(const struct config *a, const struct config *b, enum config_key key);
/* KEY of CONFIG becomes what it is in FROM, its origin too. */
void config_adopt(struct config *config, const struct config *from, enum config_key key);

/* `worker NAME { ... }`, in file order. INDEX < config_worker_count(). */
size_t config_worker_count(const struct config *config);
const char *config_worker_name(const struct config *config, size_t index);
int64_t config_worker_number(const struct config *config, size_t index, enum config_worker_key key);
const char *config_worker_text(const struct config *config, size_t index,
                               enum config_worker_key key);

/* A value as it would stand in the file ("30s", "4MiB"); the caller frees it. */
char *config_value_text(const struct config *config, enum config_key key);
char *config_worker_value_text(const struct config *config, size_t index,
                               enum config_worker_key key);
const char *config_origin_name(enum config_origin origin);

/* Names of workers and models: 1 to 64 of [a-z0-9._-], the first a letter or digit; not the name of
 * the supervisor, whose log lies beside theirs as NAME.log. */
enum { CONFIG_NAME_MAX_BYTES = 64 };
bool config_name_is_valid(const char *name);
/* The same, with the reason in err, which gets KIND. */
int config_name_check(const char *name, enum err_kind kind, struct err *err);
/* Whether TEXT, where a model is to be given, means a file and not a name: it has a slash or ends
 * in
 * ".gguf". */
bool config_model_is_path(const char *text);

#endif
