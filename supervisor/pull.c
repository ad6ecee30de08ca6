/* Owns the pulls that are under way: their rbee-fetch, who follows them, what comes after which.
 * Must not know how a file is fetched, nor what a client is told in the end. */
#include "supervisor/pull.h"

#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/utf8.h"
#include "supervisor/fetch_child.h"
#include "supervisor/pull_follower.h"
#include "supervisor/pull_private.h"
#include "supervisor/supervisor.h"

#include <string.h>

struct pull {
    TAILQ_ENTRY(pull) link;
    struct supervisor *supervisor;
    struct pull_source source;
    struct pull_follower_list followers;
    struct fetch_child *child; /* NULL: it has ended */
    struct describe *describe; /* NULL: not yet, or no more */
    char *path;                /* where the model will be; NULL: not chosen yet */
    json_t *chosen;            /* what was told last, for who comes later; NULL: nothing yet */
    json_t *progress;
    struct model_stamp stamp; /* of what was described */
    json_t *details;
    json_t *files;
    struct err refusal; /* a worker's, of what came */
};

static void pull_free(struct pull *pull)
{
    TAILQ_REMOVE(&pull->supervisor->pulls, pull, link);
    if (pull->describe != NULL)
        describe_cancel(pull->describe);
    if (pull->child != NULL)
        fetch_child_end(pull->child);
    pull_source_release(&pull->source);
    json_decref(pull->chosen);
    json_decref(pull->progress);
    json_decref(pull->details);
    json_decref(pull->files);
    free(pull->path);
    free(pull);
}

/* ---- followers ---- */

static void pull_tell(struct pull *pull, const json_t *event)
{
    struct pull_follower *follower = NULL;

    TAILQ_FOREACH(follower, &pull->followers, link)
    {
        pull_follower_tell(follower, event);
    }
}

static void pull_take_out(struct pull *pull, struct pull_follower *follower)
{
    TAILQ_REMOVE(&pull->followers, follower, link);
    follower->pull = NULL;
}

static void pull_end(struct pull *pull, const struct err *cause)
{
    while (!TAILQ_EMPTY(&pull->followers)) {
        struct pull_follower *follower = TAILQ_FIRST(&pull->followers);

        pull_take_out(pull, follower);
        pull_follower_fail(follower, cause);
    }
    pull_free(pull);
}

void pull_forget(struct pull *pull, struct pull_follower *follower)
{
    pull_take_out(pull, follower);
    if (!TAILQ_EMPTY(&pull->followers))
        return;
    log_event(LOG_INFO, "pull_stopped", "source=%s reason=nobody_follows", pull->source.shown);
    pull_free(pull);
}

/* Those whose name is taken hear it now and not after gigabytes. Whether anybody is left. */
static bool pull_check_names(struct pull *pull)
{
    struct pull_follower *next = NULL;

    for (struct pull_follower *follower = TAILQ_FIRST(&pull->followers); follower != NULL;
         follower = next) {
        struct err err = ERR_INIT;

        next = TAILQ_NEXT(follower, link);
        if (pull_follower_check_name(follower, pull->path, &err) == 0)
            continue;
        pull_take_out(pull, follower);
        pull_follower_fail(follower, &err);
    }
    return !TAILQ_EMPTY(&pull->followers);
}

/* ---- what rbee-fetch says ---- */

static struct pull *pull_find_path(struct supervisor *supervisor, const char *path)
{
    struct pull *pull = NULL;

    TAILQ_FOREACH(pull, &supervisor->pulls, link)
    {
        if (pull->path != NULL && strcmp(pull->path, path) == 0)
            return pull;
    }
    return NULL;
}

static void pull_catch_up(const struct pull *pull, struct pull_follower *follower)
{
    if (pull->chosen != NULL)
        pull_follower_tell(follower, pull->chosen);
    if (pull->progress != NULL)
        pull_follower_tell(follower, pull->progress);
}

/* Another name for a file that is being fetched already: one fetch is enough. */
static void pull_join(struct pull *pull, struct pull *other)
{
    while (!TAILQ_EMPTY(&pull->followers)) {
        struct pull_follower *follower = TAILQ_FIRST(&pull->followers);

        TAILQ_REMOVE(&pull->followers, follower, link);
        follower->pull = other;
        TAILQ_INSERT_TAIL(&other->followers, follower, link);
        pull_catch_up(other, follower);
    }
    pull_free(pull);
    if (!pull_check_names(other))
        pull_free(other);
}

static void pull_on_chosen(struct pull *pull, const json_t *line)
{
    const char *path = json_string_value(json_object_get(line, "path"));
    struct pull *other = path == NULL ? NULL : pull_find_path(pull->supervisor, path);

    if (path == NULL)
        return;
    if (other != NULL) {
        pull_join(pull, other);
        return;
    }
    pull->path = xstrdup(path);
    pull->chosen = json_deep_copy(line);
    (void)json_object_del(pull->chosen, "path"); /* folders are nobody's business */
    pull_tell(pull, pull->chosen);
    if (pull_check_names(pull))
        fetch_child_say(pull->child, "go");
    else
        pull_free(pull);
}

static void pull_on_described(void *owner, const json_t *record, const struct err *failure)
{
    struct pull *pull = owner;

    pull->describe = NULL;
    if (failure != NULL) {
        pull->refusal = *failure;
        err_prefix(&pull->refusal, "what came is no model that can be run");
        fetch_child_say(pull->child, "discard");
        return;
    }
    pull->details = json_deep_copy(record);
    fetch_child_say(pull->child, "commit");
}

static void pull_on_fetched(struct pull *pull, const json_t *line)
{
    const char *path = json_string_value(json_object_get(line, "path"));
    struct err err = ERR_INIT;

    if (path == NULL)
        return;
    if (model_stamp_of(path, &pull->stamp, &err) == 0)
        pull->describe =
            describe_begin(pull->supervisor, path, &pull->stamp, pull_on_described, pull, &err);
    if (pull->describe == NULL)
        pull_end(pull, &err);
}

static void pull_on_line(void *owner, const json_t *line)
{
    struct pull *pull = owner;
    const char *type = json_string_value(json_object_get(line, "type"));

    if (strcmp(type, "chosen") == 0 && pull->path == NULL) {
        pull_on_chosen(pull, line);
    } else if (strcmp(type, "fetched") == 0 && pull->path != NULL && pull->describe == NULL) {
        pull_on_fetched(pull, line);
    } else if (strcmp(type, "done") == 0) {
        json_decref(pull->files);
        pull->files = json_incref(json_object_get(line, "files"));
    } else {
        if (strcmp(type, "progress") == 0) {
            json_decref(pull->progress);
            pull->progress = json_deep_copy(line);
        }
        pull_tell(pull, line);
    }
}

/* ---- the model ---- */

/* What is known of the files for good; of one that was there already, without a sum that anybody
 * tells, nothing is. */
static struct model_origin pull_origin(const struct pull *pull)
{
    struct model_origin origin = {
        .source = pull->source.shown, .files = pull->files, .is_published = true};
    const json_t *file = NULL;
    size_t index = 0;

    json_array_foreach(pull->files, index, file)
    {
        const char *sha256 = json_string_value(json_object_get(file, "sha256"));

        if (!json_is_true(json_object_get(file, "is_published")))
            origin.is_published = false;
        if (sha256 == NULL || sha256[0] == '\0')
            origin.files = NULL;
    }
    return origin;
}

static int64_t pull_size(const struct pull *pull)
{
    const json_t *file = NULL;
    size_t index = 0;
    int64_t size_bytes = 0;

    json_array_foreach(pull->files, index, file)
    {
        size_bytes += json_integer_value(json_object_get(file, "size_bytes"));
    }
    return size_bytes;
}

static void pull_finish(struct pull *pull)
{
    const struct model_origin origin = pull_origin(pull);
    const struct model_facts facts = {
        .path = pull->path, .stamp = &pull->stamp, .details = pull->details, .origin = &origin};

    log_event(LOG_INFO, "pulled", "source=%s path=%s published=%d", pull->source.shown, pull->path,
              (int)origin.is_published);
    metrics_count(&pull->supervisor->metrics, METRIC_MODEL_PULLS, 0);
    metrics_add(&pull->supervisor->metrics, METRIC_MODEL_PULL_BYTES, pull_size(pull));
    while (!TAILQ_EMPTY(&pull->followers)) {
        struct pull_follower *follower = TAILQ_FIRST(&pull->followers);

        pull_take_out(pull, follower);
        pull_follower_store(follower, &facts);
    }
    pull_free(pull);
}

static void pull_on_end(void *owner, const struct err *failure)
{
    struct pull *pull = owner;
    struct err odd = ERR_INIT;

    pull->child = NULL;
    if (err_is_set(&pull->refusal))
        failure = &pull->refusal;
    if (failure == NULL && (pull->details == NULL || !json_is_array(pull->files))) {
        err_fill(&odd, ERR_PROTOCOL, "rbee-fetch says that it is done, and was not told to be");
        failure = &odd;
    }
    if (failure != NULL)
        pull_end(pull, failure);
    else
        pull_finish(pull);
}

/* ---- beginning ---- */

/* Without the slashes at its end. */
static json_t *pull_endpoint_json(const char *endpoint)
{
    size_t len = strlen(endpoint);

    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    return json_text_lossy(endpoint, len);
}

static json_t *pull_path_json(const char *path)
{
    return json_text_lossy(path, strlen(path));
}

/* NULL with err: it cannot be told to rbee-fetch. */
static json_t *pull_job(const struct pull *pull, struct err *err)
{
    const struct config *config = pull->supervisor->config;
    const struct pull_source *source = &pull->source;
    const char *token_file = config_text(config, CONFIG_pull_token_file);
    AUTO_FREE char *usual_token = paths_hub_token();
    AUTO_FREE char *models = paths_models_dir();
    AUTO_FREE char *folder = paths_join(models, source->place);
    json_t *job = NULL;

    if (!utf8_is_valid(folder, strlen(folder)))
        return err_set_null(err, ERR_INVALID,
                            "the folder of the models has a name that is not UTF-8: XDG_DATA_HOME "
                            "can name another one");
    job = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "kind", source->is_hub ? "hub" : "url",
                    "repo", source->repo, "quant", source->quant, "file", source->file, "url",
                    source->text, "token_is_optional", token_file[0] == '\0');

    (void)json_object_set_new(job, "endpoint",
                              pull_endpoint_json(config_text(config, CONFIG_pull_endpoint)));
    (void)json_object_set_new(job, "folder", pull_path_json(folder));
    (void)json_object_set_new(job, "token_file",
                              pull_path_json(token_file[0] != '\0' ? token_file : usual_token));
    (void)json_object_set_new(job, "stall_ms",
                              json_integer(config_number(config, CONFIG_pull_stall)));
    (void)json_object_set_new(job, "retries",
                              json_integer(config_number(config, CONFIG_pull_retries)));
    (void)json_object_set_new(job, "retry_base_ms",
                              json_integer(config_number(config, CONFIG_pull_retry_base)));
    return job;
}

static int pull_check_room(const struct supervisor *supervisor, struct err *err)
{
    const struct pull *pull = NULL;
    unsigned count = 0;

    TAILQ_FOREACH(pull, &supervisor->pulls, link)
    {
        count++;
    }
    if (supervisor->is_stopping)
        return err_set(err, ERR_BUSY, "the supervisor is stopping");
    if (count >= PULL_MAX_COUNT)
        return err_set(err, ERR_BUSY, "%d models are being pulled already", PULL_MAX_COUNT);
    return 0;
}

/* SOURCE is taken over, also on failure. */
static struct pull *pull_begin(struct supervisor *supervisor, struct pull_source *source,
                               struct err *err)
{
    static const struct fetch_child_events EVENTS = {.on_line = pull_on_line,
                                                     .on_end = pull_on_end};
    struct pull *pull = NULL;
    AUTO_JSON json_t *job = NULL;

    if (pull_check_room(supervisor, err) != 0) {
        pull_source_release(source);
        return NULL;
    }
    pull = xcalloc(1, sizeof(*pull));
    pull->supervisor = supervisor;
    pull->source = *source;
    *source = (struct pull_source){.text = NULL};
    TAILQ_INIT(&pull->followers);
    TAILQ_INSERT_TAIL(&supervisor->pulls, pull, link);
    job = pull_job(pull, err);
    if (job != NULL)
        pull->child = fetch_child_start(supervisor, job, &EVENTS, pull, err);
    if (pull->child == NULL) {
        pull_free(pull);
        return NULL;
    }
    log_event(LOG_INFO, "pull_started", "source=%s", pull->source.shown);
    return pull;
}

/* One that is about to be refused is not joined. */
static struct pull *pull_find(struct supervisor *supervisor, const struct pull_source *source)
{
    struct pull *pull = NULL;

    TAILQ_FOREACH(pull, &supervisor->pulls, link)
    {
        if (strcmp(pull->source.text, source->text) == 0 && !err_is_set(&pull->refusal))
            return pull;
    }
    return NULL;
}

static unsigned pull_follower_count(const struct pull *pull)
{
    const struct pull_follower *follower = NULL;
    unsigned count = 0;

    TAILQ_FOREACH(follower, &pull->followers, link)
    {
        count++;
    }
    return count;
}

/* Another one for a pull that is under way; its name is looked at as those of the others were. */
static int pull_check_join(struct pull *pull, const char *name, struct err *err)
{
    if (pull_follower_count(pull) >= PULL_FOLLOWER_MAX_COUNT)
        return err_set(err, ERR_BUSY, "%d callers wait for this model already",
                       PULL_FOLLOWER_MAX_COUNT);
    if (pull->path == NULL || name[0] == '\0')
        return 0;
    return model_check_name(pull->supervisor, name, pull->path, err);
}

int pull_follow(struct api_call *call, struct pull_source *source, const char *name,
                struct err *err)
{
    struct pull *pull = pull_find(call->supervisor, source);
    struct pull_follower *follower = NULL;

    if (pull == NULL)
        pull = pull_begin(call->supervisor, source, err);
    else if (pull_check_join(pull, name, err) != 0)
        pull = NULL;
    pull_source_release(source);
    if (pull == NULL)
        return -1;
    follower = pull_follower_new(call, pull, name);
    TAILQ_INSERT_TAIL(&pull->followers, follower, link);
    pull_catch_up(pull, follower);
    /* It gets the name of the file, if it has none of its own; and those who were there may have
     * lost theirs meanwhile. */
    if (pull->path != NULL && !pull_check_names(pull))
        pull_free(pull);
    return 0;
}

/* ---- ends from outside ---- */

void pull_end_revoked(struct supervisor *supervisor)
{
    struct pull *next_pull = NULL;

    for (struct pull *pull = TAILQ_FIRST(&supervisor->pulls); pull != NULL; pull = next_pull) {
        struct pull_follower *next = NULL;

        next_pull = TAILQ_NEXT(pull, link);
        for (struct pull_follower *follower = TAILQ_FIRST(&pull->followers); follower != NULL;
             follower = next) {
            struct err err = ERR_INIT;

            next = TAILQ_NEXT(follower, link);
            if (api_may_still(follower->exchange, &err))
                continue;
            pull_take_out(pull, follower);
            pull_follower_fail(follower, &err);
        }
        if (TAILQ_EMPTY(&pull->followers))
            pull_free(pull);
    }
}

void pull_end_all(struct supervisor *supervisor)
{
    struct err cause = ERR_INIT;

    err_fill(&cause, ERR_BUSY,
             "the supervisor is stopping; what came is kept, the next pull goes on from there");
    while (!TAILQ_EMPTY(&supervisor->pulls))
        pull_end(TAILQ_FIRST(&supervisor->pulls), &cause);
}
