/* Owns the registry of model files. Never opens one: rbee-worker does. */
#include "supervisor/models.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/records.h"
#include "db/models.h"
#include "supervisor/supervisor.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum {
    NANOSECONDS_PER_SECOND = 1000000000,
    MODEL_LAYERS_MAX_COUNT = 4096, /* the largest known ones have a few hundred */
    SPLIT_GUESS_LAYERS = 32,       /* of a small model; a larger one is divided more finely */
    SPLIT_GUESS_REST = 16,         /* that part of a model is embedding, head and scratch */
};

/* Nothing is as large; what a record says above it is not believed. */
static const int64_t MODEL_NEED_MAX_BYTES = (int64_t)1 << 60;

struct model *model_find(struct supervisor *supervisor, const char *name)
{
    struct model *model = NULL;

    TAILQ_FOREACH(model, &supervisor->models, link)
    {
        if (strcmp(model->name, name) == 0)
            return model;
    }
    return NULL;
}

struct model *model_find_path(struct supervisor *supervisor, const char *path)
{
    struct model *model = NULL;

    TAILQ_FOREACH(model, &supervisor->models, link)
    {
        if (strcmp(model->path, path) == 0)
            return model;
    }
    return NULL;
}

int model_stamp_of(const char *path, struct model_stamp *out, struct err *err)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return err_set(err, errno == ENOENT || errno == ENOTDIR ? ERR_NO_FILE : ERR_IO,
                       "model file %s: %m", path);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_INVALID_MODEL, "%s is not a regular file", path);
    out->size_bytes = status.st_size;
    out->modified_ns =
        (int64_t)status.st_mtim.tv_sec * NANOSECONDS_PER_SECOND + status.st_mtim.tv_nsec;
    return 0;
}

bool model_stamp_equal(const struct model_stamp *a, const struct model_stamp *b)
{
    return a->size_bytes == b->size_bytes && a->modified_ns == b->modified_ns;
}

enum model_state model_look(const struct model *model)
{
    struct model_stamp now = {0};
    struct err ignored = ERR_INIT;

    if (model_stamp_of(model->path, &now, &ignored) != 0)
        return MODEL_MISSING;
    return model_stamp_equal(&now, &model->stamp) ? MODEL_OK : MODEL_CHANGED;
}

static int64_t model_read_bytes(const json_t *details, const char *key)
{
    json_int_t bytes = json_integer_value(json_object_get(details, key));

    return bytes < 0 || bytes > MODEL_NEED_MAX_BYTES ? 0 : bytes;
}

struct model_need model_need_of(const json_t *details)
{
    static const struct model_need UNKNOWN;
    struct model_need need = {
        .fixed_bytes = model_read_bytes(details, "fixed_bytes"),
        .slot_bytes = model_read_bytes(details, "slot_bytes"),
        .token_bytes = model_read_bytes(details, "token_bytes"),
        .q8_0_token_bytes = model_read_bytes(details, "q8_0_token_bytes"),
        .context_tokens = json_integer_value(json_object_get(details, "context_tokens")),
        .layer_count = json_integer_value(json_object_get(details, "layers")),
        .layers_bytes = model_read_bytes(details, "layers_bytes"),
        .first_bytes = model_read_bytes(details, "first_bytes"),
        .last_bytes = model_read_bytes(details, "last_bytes"),
    };

    if (need.layer_count < 0 || need.layer_count > MODEL_LAYERS_MAX_COUNT)
        need.layer_count = 0;
    return need.fixed_bytes == 0 ? UNKNOWN : need;
}

struct model_need model_need_kept_as(const struct model_need *need, const char *kv_type)
{
    struct model_need out = *need;

    if (strcmp(kv_type, kv_type_name(KV_TYPE_Q8_0)) == 0 && need->q8_0_token_bytes > 0)
        out.token_bytes = need->q8_0_token_bytes;
    return out;
}

int64_t model_own_context_tokens(const struct model_need *need)
{
    return need->context_tokens > 0 && need->context_tokens < MODEL_CONTEXT_DEFAULT_TOKENS
               ? need->context_tokens
               : MODEL_CONTEXT_DEFAULT_TOKENS;
}

int64_t model_need_bytes(const struct model_need *need, int64_t context_tokens, int64_t slots)
{
    int64_t bytes = 0;
    int64_t slot_bytes = 0;

    if (context_tokens == 0)
        context_tokens = model_own_context_tokens(need);
    if (slots == 0)
        slots = MODEL_SLOTS_DEFAULT;
    if (__builtin_mul_overflow(need->token_bytes, context_tokens, &bytes) ||
        __builtin_mul_overflow(need->slot_bytes, slots, &slot_bytes) ||
        __builtin_add_overflow(bytes, slot_bytes, &bytes) ||
        __builtin_add_overflow(bytes, need->fixed_bytes, &bytes))
        return INT64_MAX;
    return bytes;
}

/* A description of before, or none: the layers are most of a model, and what comes with them is
 * counted for both. */
static void split_need_guess(const struct model_need *need, int64_t bytes, struct split_need *out)
{
    int64_t rest_bytes = bytes / SPLIT_GUESS_REST;

    *out = (struct split_need){
        .layer_count = need->layer_count > 0 ? need->layer_count : SPLIT_GUESS_LAYERS,
        .layers_bytes = bytes - rest_bytes,
        .part_bytes = {rest_bytes, rest_bytes},
    };
}

/* The first part has what the requests take as well: they are the host's, and counted once. */
void model_split_need(const struct model_need *need, int64_t context_tokens, int64_t slots,
                      int64_t bytes, struct split_need *out)
{
    const struct model_need layers = {.fixed_bytes = need->layers_bytes,
                                      .token_bytes = need->token_bytes,
                                      .context_tokens = need->context_tokens};
    const struct model_need first = {.fixed_bytes = need->first_bytes,
                                     .slot_bytes = need->slot_bytes};

    if (need->layers_bytes == 0) {
        split_need_guess(need, bytes, out);
        return;
    }
    *out = (struct split_need){
        .layer_count = need->layer_count,
        .layers_bytes = model_need_bytes(&layers, context_tokens, slots),
        .part_bytes = {model_need_bytes(&first, context_tokens, slots), need->last_bytes},
    };
}

int model_name_of(const char *path, char out[CONFIG_NAME_MAX_BYTES + 1], struct err *err)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    size_t len = dot != NULL && dot > base ? (size_t)(dot - base) : strlen(base);
    char name[CONFIG_NAME_MAX_BYTES + 1];

    if (len > CONFIG_NAME_MAX_BYTES)
        len = CONFIG_NAME_MAX_BYTES;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)base[i];

        name[i] = isascii(c) && (isalnum(c) || strchr("._-", c) != NULL) ? (char)tolower(c) : '-';
    }
    name[len] = '\0';
    if (config_name_check(name, ERR_INVALID, err) != 0)
        return err_wrap(
            err, "%s makes no name for a model, \"rbee model add FILE --name NAME\" gives it one",
            base);
    memcpy(out, name, len + 1);
    return 0;
}

static json_t *model_detail(const struct model *model, const char *key)
{
    json_t *value = json_object_get(model->details, key);

    return value == NULL ? json_null() : json_incref(value);
}

/* "published": its repository says what it must be; "recorded": it is what was found on the disk.
 */
static json_t *model_checksum_kind(const struct model *model)
{
    if (json_array_size(model->files) == 0)
        return json_null();
    return json_string(model->is_published ? "published" : "recorded");
}

/* Of a model in one file. */
static json_t *model_sha256(const struct model *model)
{
    json_t *sum = json_object_get(json_array_get(model->files, 0), "sha256");

    return json_array_size(model->files) == 1 && sum != NULL ? json_incref(sum) : json_null();
}

json_t *model_record(const struct model *model)
{
    static const char *const STATES[] = {"ok", "missing", "changed"};
    char added_at[CLOCK_RFC3339_BYTES];
    json_t *record = NULL;

    clock_format_rfc3339(model->added_ms, added_at);
    record = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "name", model->name,
        "state", STATES[model_look(model)], "architecture", model_detail(model, "architecture"),
        "parameters", model_detail(model, "parameters"), "quantisation",
        model_detail(model, "quantisation"), "size_bytes", (json_int_t)model->stamp.size_bytes,
        "context_tokens", model_detail(model, "context_tokens"), "template",
        model_detail(model, "template"), "path", json_text_lossy(model->path, strlen(model->path)),
        "source", json_text_or_null(model->source), "checksum", model_checksum_kind(model),
        "sha256", model_sha256(model), "added_at", added_at);
    record_check(RECORD_MODEL, record);
    return record;
}

static void model_free(struct supervisor *supervisor, struct model *model)
{
    TAILQ_REMOVE(&supervisor->models, model, link);
    json_decref(model->details);
    json_decref(model->files);
    free(model->source);
    free(model->path);
    free(model);
}

/* In the order of names, as every list of them is shown. */
static struct model *model_insert(struct supervisor *supervisor, const char *name)
{
    struct model *model = xcalloc(1, sizeof(*model));
    struct model *after = NULL;

    memcpy(model->name, name, strlen(name) + 1);
    TAILQ_FOREACH(after, &supervisor->models, link)
    {
        if (strcmp(after->name, name) > 0)
            break;
    }
    if (after != NULL)
        TAILQ_INSERT_BEFORE(after, model, link);
    else
        TAILQ_INSERT_TAIL(&supervisor->models, model, link);
    return model;
}

/* What --describe told comes from another program, or from a database that any program may have
 * written: a record is made of it only when it is of the right shape. */
static int model_check_details(const json_t *details, struct err *err)
{
    static const char *const TEXTS[] = {"architecture", "quantisation", "template"};
    static const char *const NUMBERS[] = {"parameters", "context_tokens", "fixed_bytes",
                                          "slot_bytes", "token_bytes",    "q8_0_token_bytes"};
    struct err inner = ERR_INIT;
    const char *text = NULL;
    int64_t number = 0;
    bool is_good = json_is_object(details);

    if (!is_good)
        err_fill(&inner, ERR_PROTOCOL, "it is no object");
    for (size_t i = 0; is_good && i < ARRAY_COUNT(TEXTS); i++)
        is_good = json_read_text(details, TEXTS[i], &text, &inner) == 0;
    for (size_t i = 0; is_good && i < ARRAY_COUNT(NUMBERS); i++)
        is_good = json_read_integer(details, NUMBERS[i], 0, INT64_MAX, &number, &inner) == 0;
    return is_good ? 0 : err_set(err, ERR_PROTOCOL, "the model's description: %s", inner.message);
}

/* The record of --describe as it was stored; an empty one when it cannot be used: the model is
 * known by name and file at least. */
static json_t *model_read_details(const char *text)
{
    struct err ignored = ERR_INIT;
    json_t *details = json_parse(text, strlen(text), INQUIRY_OUTPUT_MAX_BYTES, &ignored);

    if (details != NULL && model_check_details(details, &ignored) == 0)
        return details;
    json_decref(details);
    return json_object();
}

/* Likewise: sums that cannot be read are none. */
static json_t *model_read_files(const char *text)
{
    struct err ignored = ERR_INIT;
    json_t *files = json_parse(text, strlen(text), STORE_ROW_MAX_BYTES, &ignored);

    if (json_is_array(files))
        return files;
    json_decref(files);
    return json_array();
}

int models_load(struct supervisor *supervisor, struct err *err)
{
    struct model_rows rows = {0};

    if (models_load_all(supervisor->store, &rows, err) != 0)
        return err_wrap(err, "read the models");
    for (size_t i = 0; i < rows.count; i++) {
        const struct model_row *row = &rows.rows[i];
        struct model *model = NULL;

        if (!config_name_is_valid(row->name)) {
            log_event(LOG_WARN, "model_row_ignored", "name=%s", row->name);
            continue;
        }
        model = model_insert(supervisor, row->name);
        model->path = xstrdup(row->path);
        model->stamp = (struct model_stamp){row->size_bytes, row->file_modified_ns};
        model->added_ms = row->added_ms;
        model->source = xstrdup(row->source);
        model->files = model_read_files(row->files);
        model->is_published = row->is_published;
        model->details = model_read_details(row->details);
        model->need = model_need_of(model->details);
    }
    model_rows_release(&rows);
    return 0;
}

void models_release(struct supervisor *supervisor)
{
    while (!TAILQ_EMPTY(&supervisor->models))
        model_free(supervisor, TAILQ_FIRST(&supervisor->models));
}

static const char *model_detail_text(const struct model *model, const char *key)
{
    const char *text = json_string_value(json_object_get(model->details, key));

    return text == NULL ? "" : text;
}

static int model_store(struct supervisor *supervisor, const struct model *model,
                       struct store_done done, struct err *err)
{
    AUTO_FREE char *details = json_to_text(model->details);
    AUTO_FREE char *files = json_to_text(model->files);
    struct model_row row = {
        .name = model->name,
        .path = model->path,
        .architecture = model_detail_text(model, "architecture"),
        .parameters = json_integer_value(json_object_get(model->details, "parameters")),
        .quantisation = model_detail_text(model, "quantisation"),
        .size_bytes = model->stamp.size_bytes,
        .file_modified_ns = model->stamp.modified_ns,
        .context_tokens = json_integer_value(json_object_get(model->details, "context_tokens")),
        .chat_template = model_detail_text(model, "template"),
        .details = details,
        .added_ms = model->added_ms,
        .source = model->source,
        .files = files,
        .is_published = model->is_published,
    };

    return models_put(supervisor->store, &row, done, err);
}

/* A worker that failed of the file as it was may be asked again. */
static void model_tell_workers(struct supervisor *supervisor, const char *name)
{
    struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (strcmp(worker->model, name) == 0)
            worker_recheck_model(worker);
    }
}

int model_check_name(struct supervisor *supervisor, const char *name, const char *path,
                     struct err *err)
{
    struct model *model = model_find(supervisor, name);
    struct worker *worker = worker_find(supervisor, name);

    if (model != NULL && strcmp(model->path, path) != 0)
        return err_set(err, ERR_CONFLICT, "model %s is there already, with another file", name);
    if (worker != NULL && strcmp(worker->model, name) != 0 && strcmp(worker->model_path, path) != 0)
        return err_set(err, ERR_CONFLICT, "a worker called %s is there already, with another model",
                       name);
    return 0;
}

static void model_release_facts(struct model *model)
{
    free(model->path);
    free(model->source);
    json_decref(model->details);
    json_decref(model->files);
}

/* MODEL as it will be, in a struct of its own: nothing changes before the store has taken it. */
static struct model model_next(const struct model *model, const char *name,
                               const struct model_facts *facts)
{
    const struct model_origin *origin = facts->origin;
    struct model next = {.path = xstrdup(facts->path),
                         .stamp = *facts->stamp,
                         .details = json_incref(facts->details),
                         .added_ms = model != NULL ? model->added_ms : clock_wall_ms()};

    memcpy(next.name, name, strlen(name) + 1);
    assert(origin != NULL || model != NULL);
    if (origin == NULL) {
        bool is_same =
            strcmp(model->path, facts->path) == 0 && model_stamp_equal(&model->stamp, facts->stamp);

        next.source = xstrdup(model->source);
        next.files = is_same ? json_incref(model->files) : json_array();
        next.is_published = is_same && model->is_published;
        return next;
    }
    next.source = xstrdup(origin->source);
    next.files = origin->files == NULL ? json_array() : json_deep_copy(origin->files);
    next.is_published = origin->is_published;
    return next;
}

struct model *model_put(struct supervisor *supervisor, const char *name,
                        const struct model_facts *facts, struct store_done done, struct err *err)
{
    struct model *model = model_find(supervisor, name);
    struct model next;

    assert(config_name_is_valid(name));
    if (model_check_details(facts->details, err) != 0)
        return NULL;
    next = model_next(model, name, facts);
    if (model_store(supervisor, &next, done, err) != 0) {
        model_release_facts(&next);
        return NULL;
    }
    if (model == NULL)
        model = model_insert(supervisor, name);
    model_release_facts(model);
    next.link = model->link;
    next.need = model_need_of(facts->details);
    *model = next;
    model_tell_workers(supervisor, name);
    return model;
}

int model_record_files(struct supervisor *supervisor, struct model *model, const json_t *files,
                       struct store_done done, struct err *err)
{
    json_t *before = model->files;
    bool was_published = model->is_published;

    model->files = json_deep_copy(files);
    model->is_published = false;
    if (model_store(supervisor, model, done, err) == 0) {
        json_decref(before);
        return 0;
    }
    json_decref(model->files);
    model->files = before;
    model->is_published = was_published;
    return -1;
}

int model_remove(struct supervisor *supervisor, struct model *model, struct store_done done,
                 struct err *err)
{
    if (models_remove(supervisor->store, model->name, done, err) != 0)
        return -1;
    model_free(supervisor, model);
    return 0;
}
