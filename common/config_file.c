/* Owns the reading of one rbee.conf through libconfuse, the only place that knows the library: who
 * may write the file, its size, where in it a fault lies. Must not know what a key is for.
 *
 * libconfuse is given every key as text and hands each value to config_on_value() while it parses,
 * so that ranges, duplicates and their line numbers are ours. No include function is registered;
 * what else it would do unasked is shut out by config_scan.c before it sees the text. */
#include "common/config_values.h"

#include "common/buf.h"
#include "common/command_line.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/nearest.h"

#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CONFIG_FOREIGN_WRITE_BITS = 022 };

/* One file while it is read. */
struct config_reader {
    struct config *config;
    const char *path;
    enum config_origin origin;
    struct err *err; /* filled by the first fault; those that follow from it are not reported */
    int last_line;   /* of CONFIG_END_KEY */
    bool is_end_seen;
    bool is_seen[CONFIG_KEY_COUNT];
    /* [worker][key] */
    bool is_worker_key_seen[CONFIG_WORKER_MAX_COUNT][CONFIG_WORKER_KEY_COUNT];
    int command_lines[CONFIG_WORKER_MAX_COUNT]; /* where each worker's command stands; 0: not here
                                                 */
};

/* libconfuse's callbacks carry no pointer of ours, and its scanner is one for the whole process. */
static _Thread_local struct config_reader *config_reading;

static int config_refuse(int line, const char *format, ...) PRINTF_LIKE(2, 3);

/* The first fault is kept as "path:line: reason". */
static int config_refuse(int line, const char *format, ...)
{
    struct config_reader *reader = config_reading;
    char reason[ERR_MESSAGE_MAX_BYTES];
    va_list args;

    if (err_is_set(reader->err))
        return -1;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    return err_set(reader->err, ERR_CONFIG, "%s:%d: %s", reader->path, line, reason);
}

/* ---- called by libconfuse ---- */

static struct config_worker *config_reader_worker(cfg_t *section)
{
    struct config *config = config_reading->config;
    const char *name = cfg_title(section);
    struct config_worker *worker = NULL;
    struct err err = ERR_INIT;

    if (config_name_check(name, ERR_CONFIG, &err) < 0) {
        (void)config_refuse(section->line, "worker: %s", err.message);
        return NULL;
    }
    worker = config_find_worker(config, name);
    if (worker != NULL)
        return worker;
    if (config->worker_count == CONFIG_WORKER_MAX_COUNT) {
        (void)config_refuse(section->line, "more than %d workers", CONFIG_WORKER_MAX_COUNT);
        return NULL;
    }
    return config_add_worker(config, name);
}

static size_t config_find_key(const char *section, const char *name)
{
    size_t key = 0;

    while (key < CONFIG_KEY_COUNT && (strcmp(config_key_info(key)->section, section) != 0 ||
                                      strcmp(config_key_info(key)->key, name) != 0))
        key++;
    assert(key < CONFIG_KEY_COUNT); /* libconfuse knows no others */
    return key;
}

static int config_reader_set(cfg_t *section, const struct config_key_info *info,
                             struct config_value *value, bool *is_seen, const char *text)
{
    struct err err = ERR_INIT;
    const char *owner = cfg_title(section) != NULL ? cfg_title(section) : "";
    const char *blank = owner[0] != '\0' ? " " : "";

    if (*is_seen)
        return config_refuse(section->line, "%s%s%s.%s is set twice", info->section, blank, owner,
                             info->key);
    *is_seen = true;
    if (config_value_set(value, info, text, config_reading->origin, &err) < 0)
        return config_refuse(section->line, "%s%s%s.%s: %s", info->section, blank, owner, info->key,
                             err.message);
    return 0;
}

/* A value has been read. libconfuse keeps *RESULT as the value; it is not asked for it again. */
static int config_on_value(cfg_t *section, cfg_opt_t *option, const char *text, void *result)
{
    struct config_reader *reader = config_reading;
    size_t key = config_find_key(cfg_name(section), cfg_opt_name(option));

    *(const char **)result = text;
    return config_reader_set(section, config_key_info(key), &reader->config->values[key],
                             &reader->is_seen[key], text);
}

static int config_on_worker_value(cfg_t *section, cfg_opt_t *option, const char *text, void *result)
{
    struct config_reader *reader = config_reading;
    struct config_worker *worker = config_reader_worker(section);
    size_t key = 0;

    *(const char **)result = text;
    if (worker == NULL)
        return -1;
    while (strcmp(config_worker_key_info(key)->key, cfg_opt_name(option)) != 0)
        key++;
    if (key == CONFIG_WORKER_command)
        reader->command_lines[worker - reader->config->workers] = section->line;
    return config_reader_set(section, config_worker_key_info(key), &worker->values[key],
                             &reader->is_worker_key_seen[worker - reader->config->workers][key],
                             text);
}

/* What a worker's keys must not be together; the values themselves have been checked. */
static int config_check_worker(const struct config_worker *worker, int line)
{
    static const enum config_worker_key OURS[] = {CONFIG_WORKER_context, CONFIG_WORKER_threads,
                                                  CONFIG_WORKER_kv_type};
    const char *text = worker->values[CONFIG_WORKER_command].text;
    struct command_line command;
    struct err ignored = ERR_INIT;
    bool has_model = false;

    if (text[0] == '\0' || command_line_parse(text, &command, &ignored) < 0)
        return 0;
    has_model = command.has[COMMAND_PLACE_MODEL];
    command_line_release(&command);
    if (has_model && worker->values[CONFIG_WORKER_model].text[0] == '\0')
        return config_refuse(line, "worker %s.command has {model}, and the worker has no model",
                             worker->name);
    for (size_t i = 0; i < ARRAY_COUNT(OURS); i++) {
        const struct config_value *value = &worker->values[OURS[i]];

        if (value->number != 0 || (value->text != NULL && value->origin != CONFIG_FROM_DEFAULT))
            return config_refuse(line,
                                 "worker %s.%s is for rbee-worker: write it into the command, as "
                                 "its program wants it",
                                 worker->name, config_worker_key_info(OURS[i])->key);
    }
    return 0;
}

/* The end of a worker's section: one without any key is a worker too. */
static int config_on_worker_end(cfg_t *config, cfg_opt_t *option)
{
    struct config_reader *reader = config_reading;
    cfg_t *section = cfg_opt_getnsec(option, cfg_opt_size(option) - 1);
    const struct config_worker *worker = config_reader_worker(section);
    int line = 0;

    if (worker == NULL)
        return -1;
    line = reader->command_lines[worker - reader->config->workers];
    return config_check_worker(worker, line != 0 ? line : section->line);
}

/* The name nearest to WORD among the keys of SECTION, or the sections when that is the root. */
static void config_suggest(const char *section, const char *word, char *out, size_t size)
{
    const char *candidates[CONFIG_KEY_COUNT + CONFIG_WORKER_KEY_COUNT];
    bool is_root = strcmp(section, "root") == 0;
    size_t count = 0;
    size_t best = 0;

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key_info *info = config_key_info(i);

        if (is_root)
            candidates[count++] = info->section;
        else if (strcmp(info->section, section) == 0)
            candidates[count++] = info->key;
    }
    for (size_t i = 0; i < CONFIG_WORKER_KEY_COUNT; i++) {
        if (strcmp(section, "worker") == 0)
            candidates[count++] = config_worker_key_info(i)->key;
    }
    if (is_root)
        candidates[count++] = "worker";
    best = nearest_find(word, candidates, count);
    if (best < count)
        (void)snprintf(out, size, "; did you mean %s?", candidates[best]);
}

/* A key that stands in another section than it should: says which. */
static void config_suggest_section(const char *word, char *out, size_t size)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_key_info(i)->key, word) == 0) {
            (void)snprintf(out, size, "; it belongs into %s { }", config_key_info(i)->section);
            return;
        }
    }
}

static void config_on_unknown(cfg_t *section, const char *word)
{
    char hint[160] = "";

    config_suggest_section(word, hint, sizeof(hint));
    if (hint[0] == '\0')
        config_suggest(cfg_name(section), word, hint, sizeof(hint));
    if (strcmp(cfg_name(section), "root") == 0)
        (void)config_refuse(section->line, "unknown key %.80s%s", word, hint);
    else
        (void)config_refuse(section->line, "unknown key %.80s in %s%s", word, cfg_name(section),
                            hint);
}

/* libconfuse's own complaints: about syntax, and about keys it does not know. */
static void config_on_complaint(cfg_t *section, const char *format, va_list args) PRINTF_LIKE(2, 0);

static void config_on_complaint(cfg_t *section, const char *format, va_list args)
{
    char text[ERR_MESSAGE_MAX_BYTES];

    if (strcmp(format, "no such option '%s'") == 0) {
        config_on_unknown(section, va_arg(args, const char *));
        return;
    }
    (void)vsnprintf(text, sizeof(text), format, args);
    (void)config_refuse(section->line, "%s", text);
}

/* ---- the file ---- */

/* One section's options: keys of NAME, or of a worker when NAME is that. The caller frees them. */
static cfg_opt_t *config_section_options(const char *name)
{
    static const cfg_opt_t END = CFG_END();
    cfg_opt_t *options = xcalloc(CONFIG_KEY_COUNT + CONFIG_WORKER_KEY_COUNT + 1, sizeof(*options));
    size_t count = 0;

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_key_info(i)->section, name) == 0)
            options[count++] =
                (cfg_opt_t)CFG_STR_CB(config_key_info(i)->key, NULL, CFGF_NONE, config_on_value);
    }
    for (size_t i = 0; i < CONFIG_WORKER_KEY_COUNT; i++) {
        if (strcmp(name, "worker") == 0)
            options[count++] = (cfg_opt_t)CFG_STR_CB(config_worker_key_info(i)->key, NULL,
                                                     CFGF_NONE, config_on_worker_value);
    }
    options[count] = END;
    return options;
}

/* Builds libconfuse's table from ours, which it copies. */
static cfg_t *config_make_parser(void)
{
    cfg_opt_t root[CONFIG_KEY_COUNT + 2]; /* no more sections than keys, "worker", the end */
    cfg_opt_t *sections[CONFIG_KEY_COUNT + 1];
    size_t count = 0;
    cfg_t *parser = NULL;

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const char *name = config_key_info(i)->section;

        /* Keys of a section stand together in config_keys.def. */
        if (i > 0 && strcmp(config_key_info(i - 1)->section, name) == 0)
            continue;
        sections[count] = config_section_options(name);
        root[count] = (cfg_opt_t)CFG_SEC(name, sections[count], CFGF_NONE);
        count++;
    }
    sections[count] = config_section_options("worker");
    root[count] = (cfg_opt_t)CFG_SEC("worker", sections[count],
                                     CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    root[count + 1] = (cfg_opt_t)CFG_END();
    parser = cfg_init(root, CFGF_NONE);
    for (size_t i = 0; i <= count; i++)
        free(sections[i]);
    return parser;
}

static int config_parse(struct buf *text)
{
    struct err err = ERR_INIT;
    cfg_t *parser = NULL;
    int line = 0;
    int rc = 0;

    if (config_scan_text(text, &line, &err) < 0)
        return config_refuse(line, "%s", err.message);
    parser = config_make_parser();
    if (parser == NULL)
        return config_refuse(0, "no memory for the parser");
    (void)cfg_set_error_function(parser, config_on_complaint); /* returns the one before */
    (void)cfg_set_validate_func(parser, "worker", config_on_worker_end);
    rc = cfg_parse_buf(parser, text->data);
    if (rc != CFG_SUCCESS)
        (void)config_refuse(parser->line, "syntax error");
    (void)cfg_free(parser);
    return err_is_set(config_reading->err) ? -1 : 0;
}

/* Whoever can write the file chooses which programs rbeed starts. */
static int config_check_owner(int fd, const char *path, struct err *err)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return err_set(err, ERR_CONFIG, "stat %s: %m", path);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_CONFIG, "%s is not a regular file", path);
    if ((info.st_mode & CONFIG_FOREIGN_WRITE_BITS) != 0)
        return err_set(err, ERR_CONFIG, "%s has mode %04o: others can write it (chmod go-w %s)",
                       path, (unsigned)(info.st_mode & ALLPERMS), path);
    if (info.st_uid != 0 && info.st_uid != geteuid())
        return err_set(err, ERR_CONFIG, "%s belongs to uid %u, neither to you nor to root", path,
                       (unsigned)info.st_uid);
    return 0;
}

int config_file_read(struct config *config, const char *path, enum config_origin origin,
                     bool *out_is_missing, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    AUTO_BUF struct buf text = BUF_INIT(CONFIG_FILE_MAX_BYTES);
    AUTO_FREE struct config_reader *reader = NULL;
    int rc = 0;

    *out_is_missing = fd < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (*out_is_missing)
        return 0;
    if (fd < 0)
        return err_set(err, ERR_CONFIG, "open %s: %m", path);
    if (config_check_owner(fd, path, err) < 0)
        return -1;
    if (io_read_all(fd, &text, err) < 0) {
        err->kind = ERR_CONFIG;
        return err_wrap(err, "%s", path);
    }
    reader = xcalloc(1, sizeof(*reader));
    *reader = (struct config_reader){.config = config, .path = path, .origin = origin, .err = err};
    err_clear(err); /* the first fault is known by it */
    config_reading = reader;
    rc = config_parse(&text);
    config_reading = NULL;
    return rc;
}
