/* Owns the audit trail of the supervisor: its beginning and end, and how a row is made. Knows
 * neither what happens (audit_life.c) nor who has to wait (audit_door.c). */
#include "supervisor/audit.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/token.h"
#include "common/utf8.h"
#include "supervisor/audit_strangers.h"
#include "supervisor/supervisor.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    AUDIT_FOLDER_MODE = 0700,
    AUDIT_HEADS_MODE = 0600,
    AUDIT_CUT_MARK_BYTES = 40, /* "... (cut, N bytes)" */
};

static const char SERVICE[] = "rbeed";
static const char INTERNAL[] = "internal";

/* ---- kinds ---- */

const char *audit_kind_name(enum audit_kind kind)
{
    static const char *const NAMES[AUDIT_KIND_COUNT] = {
#define KIND(id, name, when) [AUDIT_##id] = name,
#include "supervisor/audit.def"
    };

    return NAMES[kind];
}

enum audit_when audit_kind_when(enum audit_kind kind)
{
    static const enum audit_when WHENS[AUDIT_KIND_COUNT] = {
#define KIND(id, name, when) [AUDIT_##id] = AUDIT_##when,
#include "supervisor/audit.def"
    };

    return WHENS[kind];
}

const char *audit_when_name(enum audit_when when)
{
    static const char *const NAMES[AUDIT_WHEN_COUNT] = {"critical", "grouped", "stranger"};

    return NAMES[when];
}

/* ---- who ---- */

struct audit_origin {
    char *actor;
    char *peer;
    char *method;
    char *path;
    char *request_id;
};

struct audit_who audit_who_of_exchange(const struct http_exchange *exchange, const char *actor)
{
    const struct http_head *head = http_exchange_head(exchange);
    const struct http_peer *peer = http_exchange_peer(exchange);

    return (struct audit_who){
        .actor = actor,
        .peer = peer->is_unix ? "unix" : peer->address,
        .method = http_method_name(head->method),
        .path = head->path,
        .request_id = http_exchange_request_id(exchange),
    };
}

struct audit_who audit_who_of_call(const struct api_call *call)
{
    return audit_who_of_exchange(call->exchange, call->caller.actor);
}

static char *copy_text(const char *text)
{
    return xstrdup(text == NULL ? "" : text);
}

struct audit_origin *audit_origin_new(const struct audit_who *who)
{
    struct audit_origin *origin = xcalloc(1, sizeof(*origin));

    origin->actor = copy_text(who->actor);
    origin->peer = copy_text(who->peer);
    origin->method = copy_text(who->method);
    origin->path = copy_text(who->path);
    origin->request_id = copy_text(who->request_id);
    return origin;
}

void audit_origin_free(struct audit_origin *origin)
{
    if (origin == NULL)
        return;
    free(origin->actor);
    free(origin->peer);
    free(origin->method);
    free(origin->path);
    free(origin->request_id);
    free(origin);
}

struct audit_who audit_who_of_origin(const struct audit_origin *origin)
{
    return (struct audit_who){
        .actor = origin->actor,
        .peer = origin->peer,
        .method = origin->method,
        .path = origin->path,
        .request_id = origin->request_id,
    };
}

/* ---- a row ---- */

char *audit_clean(const char *text, size_t len)
{
    AUTO_FREE char *clean = NULL;

    if (len <= AUDIT_TEXT_MAX_BYTES) {
        clean = xstrndup(text, len);
    } else {
        size_t kept = utf8_cut_len(text, AUDIT_TEXT_MAX_BYTES - AUDIT_CUT_MARK_BYTES);

        clean = xasprintf("%.*s... (cut, %zu bytes)", (int)kept, text, len);
    }
    utf8_make_printable(clean, strlen(clean));
    return take_ptr(clean);
}

static char *clean_text(const char *text)
{
    return audit_clean(text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
}

char *audit_details_text(json_t *details)
{
    AUTO_JSON json_t *owned = details == NULL ? json_object() : details;
    const char *key = NULL;
    json_t *value = NULL;

    json_object_foreach(owned, key, value)
    {
        AUTO_FREE char *clean = NULL;

        if (!json_is_string(value))
            continue;
        clean = audit_clean(json_string_value(value), json_string_length(value));
        if (strlen(clean) != json_string_length(value) ||
            memcmp(clean, json_string_value(value), strlen(clean)) != 0)
            (void)json_string_set(value, clean); /* it is UTF-8 */
    }
    return json_to_text(owned);
}

/* What a row borrows from. */
struct row_texts {
    char *actor;
    char *peer;
    char *path;
    char *details;
};

static void row_texts_release(struct row_texts *texts)
{
    free(texts->actor);
    free(texts->peer);
    free(texts->path);
    free(texts->details);
}

static void row_fill(const struct audit_who *who, enum audit_kind kind, const char *outcome,
                     json_t *details, struct row_texts *texts, struct audit_row *out)
{
    texts->actor = clean_text(who->actor);
    texts->peer = clean_text(who->peer);
    texts->path = clean_text(who->path);
    texts->details = audit_details_text(details);
    *out = (struct audit_row){
        .at_ms = clock_wall_ms(),
        .kind = audit_kind_name(kind),
        .service = SERVICE,
        .actor = texts->actor[0] == '\0' ? INTERNAL : texts->actor,
        .peer = texts->peer,
        .method = who->method,
        .path = texts->path,
        .request_id = who->request_id,
        .outcome = outcome == NULL ? "ok" : outcome,
        .details = texts->details,
    };
}

static void audit_lose(struct supervisor *supervisor, enum audit_kind kind, const struct err *err)
{
    supervisor->audit.lost_count++;
    metrics_count(&supervisor->metrics, METRIC_AUDIT_ROWS_LOST, 0);
    log_event(LOG_ERROR, "audit_row_lost", "kind=%s error=%s", audit_kind_name(kind), err->message);
}

int audit_post(struct supervisor *supervisor, const struct audit_who *who, enum audit_kind kind,
               const char *outcome, json_t *details, struct store_done done)
{
    struct audit *audit = &supervisor->audit;
    struct row_texts texts = {.actor = NULL};
    struct audit_row row;
    struct err err = ERR_INIT;
    int rc = 0;

    assert(audit->is_on);
    row_fill(who, kind, outcome, details, &texts, &row);
    rc = audit_append(supervisor->store, &row, done, &err);
    row_texts_release(&texts);
    if (rc != 0) {
        audit_lose(supervisor, kind, &err);
        return -1;
    }
    audit->last_mark = store_posted_count(supervisor->store);
    feed_wake(supervisor, FEED_AUDIT);
    metrics_count(&supervisor->metrics, METRIC_AUDIT_EVENTS, audit_kind_when(kind));
    return 0;
}

/* That somebody waits makes the writer hurry; what becomes of the row the store's health says. */
static void audit_on_written(void *owner, const struct err *err)
{
}

void audit_raise_for(struct supervisor *supervisor, const struct audit_who *who,
                     enum audit_kind kind, const char *outcome, json_t *details)
{
    struct store_done done = STORE_NOBODY;

    if (audit_kind_when(kind) != AUDIT_GROUPED)
        done = (struct store_done){audit_on_written, supervisor};
    (void)audit_post(supervisor, who, kind, outcome, details, done); /* audit_lose() has said it */
}

void audit_raise(struct supervisor *supervisor, enum audit_kind kind, const char *outcome,
                 json_t *details)
{
    static const struct audit_who NOBODY;
    const struct api_call *call = supervisor->audit.call;
    struct audit_who who = NOBODY;
    struct store_done done = STORE_NOBODY;

    if (call == NULL) {
        audit_raise_for(supervisor, &NOBODY, kind, outcome, details);
        return;
    }
    who = audit_who_of_call(call);
    if (audit_kind_when(kind) == AUDIT_CRITICAL)
        done = audit_hold_reply(supervisor, call->exchange);
    if (audit_post(supervisor, &who, kind, outcome, details, done) != 0 && done.on_done != NULL) {
        struct err err = ERR_INIT;

        err_fill(&err, ERR_BUSY, "too many rows wait for it");
        done.on_done(done.owner, &err);
    }
}

int audit_raise_now(struct supervisor *supervisor, const struct audit_who *who,
                    enum audit_kind kind, const char *outcome, json_t *details, struct err *err)
{
    struct row_texts texts = {.actor = NULL};
    struct audit_row row;
    int rc = 0;

    row_fill(who, kind, outcome, details, &texts, &row);
    rc = audit_append_now(supervisor->store, &row, err);
    row_texts_release(&texts);
    return rc;
}

void audit_fill_row(const struct audit_who *who, enum audit_kind kind, char *details,
                    struct audit_row *out)
{
    *out = (struct audit_row){
        .at_ms = clock_wall_ms(),
        .kind = audit_kind_name(kind),
        .service = SERVICE,
        .actor = who->actor,
        .peer = who->peer,
        .method = who->method,
        .path = who->path,
        .request_id = who->request_id,
        .outcome = "ok",
        .details = details,
    };
}

uint64_t audit_queued_count(const struct supervisor *supervisor)
{
    uint64_t done_count = 0;

    if (!supervisor->audit.is_on)
        return 0;
    done_count = store_done_count(supervisor->store);
    return supervisor->audit.last_mark > done_count ? supervisor->audit.last_mark - done_count : 0;
}

/* ---- the head ---- */

static char *head_path(const struct audit *audit)
{
    return paths_join(audit->dir, "heads");
}

/* There have been rows. After a database that was set aside nobody expects them. */
static bool head_was_kept(const struct supervisor *supervisor)
{
    AUTO_FREE char *path = head_path(&supervisor->audit);
    struct stat info;

    return supervisor->set_aside == NULL && stat(path, &info) == 0 && info.st_size > 0;
}

/* Kept where an older copy of the database does not take it along. */
static void head_keep(const struct audit *audit, const struct audit_head *head)
{
    AUTO_FREE char *path = head_path(audit);
    char at[CLOCK_RFC3339_BYTES];
    AUTO_FREE char *line = NULL;
    struct err err = ERR_INIT;
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, AUDIT_HEADS_MODE);

    clock_format_rfc3339(clock_wall_ms(), at);
    line = xasprintf("%s %" PRId64 ":%s\n", at, head->seq, head->hash);
    if (fd < 0)
        err_fill(&err, ERR_IO, "open %s: %m", path);
    if (fd < 0 || io_write_all(fd, line, strlen(line), &err) != 0)
        log_event(LOG_WARN, "audit_head_not_kept", "error=%s", err.message);
}

static void head_log(struct supervisor *supervisor)
{
    struct audit *audit = &supervisor->audit;
    struct audit_head head;

    audit_stored_head(supervisor->store, &head);
    audit->logged_seq = head.seq;
    log_event(LOG_INFO, "audit_head", "head=%" PRId64 ":%s", head.seq, head.hash);
    head_keep(audit, &head);
}

void audit_check(struct supervisor *supervisor)
{
    struct audit *audit = &supervisor->audit;
    struct audit_head head;

    if (!audit->is_on)
        return;
    audit_check_waiting(supervisor);
    audit_stored_head(supervisor->store, &head);
    if (head.seq / AUDIT_HEAD_EVERY_ROWS != audit->logged_seq / AUDIT_HEAD_EVERY_ROWS)
        head_log(supervisor);
}

/* ---- life ---- */

/* The configured file must be there; a systemd credential goes before the key of our own, which is
 * made when there is none. A credential's folder is ours alone, and its file may belong to a group
 * of whose members that says nothing (systemd opens it to us by an ACL). */
static int audit_read_key(struct supervisor *supervisor, struct err *err)
{
    const char *given = config_text(supervisor->config, CONFIG_audit_key_file);
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    AUTO_FREE char *credential =
        credentials == NULL ? NULL : paths_join(credentials, "rbee-audit-key");
    AUTO_FREE char *own = paths_join(supervisor->state_dir, "audit.key");
    unsigned char *key = supervisor->audit.key;
    int rc = 0;

    if (given[0] != '\0')
        rc = keyed_hash_read_key(given, SECRET_FILE_OURS, key, err);
    else if (credential != NULL && access(credential, F_OK) == 0)
        rc = keyed_hash_read_key(credential, SECRET_FILE_CREDENTIAL, key, err);
    else if (access(own, F_OK) == 0)
        rc = keyed_hash_read_key(own, SECRET_FILE_OURS, key, err);
    else
        return keyed_hash_make_key(own, key, err);
    if (rc != 0 && err->kind == ERR_NO_FILE)
        err->kind = ERR_CONFIG;
    return rc;
}

static void audit_judge(struct supervisor *supervisor, const struct audit_report *report)
{
    struct audit *audit = &supervisor->audit;

    audit->opened = *report;
    if (report->fault != AUDIT_GOOD)
        log_event(LOG_ERROR, "audit_broken", "row=%" PRId64 " fault=%s", report->bad_seq,
                  audit_fault_name(report->fault));
}

int audit_begin(struct supervisor *supervisor, struct err *err)
{
    const struct config *config = supervisor->config;
    const char *dir = config_text(config, CONFIG_audit_dir);
    struct audit *audit = &supervisor->audit;
    struct audit_report report;

    TAILQ_INIT(&audit->holds);
    TAILQ_INIT(&audit->waiting);
    if (strcmp(config_text(config, CONFIG_audit_mode), "local") != 0)
        return 0;
    audit->dir = dir[0] == '\0' ? paths_join(supervisor->state_dir, "audit") : xstrdup(dir);
    audit->refuses = strcmp(config_text(config, CONFIG_audit_on_full), "refuse") == 0;
    audit->queue_max = (uint64_t)config_number(config, CONFIG_audit_queue_rows);
    if (io_make_folders(audit->dir, AUDIT_FOLDER_MODE, err) != 0 ||
        audit_read_key(supervisor, err) != 0 ||
        audit_open(supervisor->store, audit->key, head_was_kept(supervisor), &report, err) != 0)
        return err_wrap(err, "audit");
    audit->strangers = xcalloc(1, sizeof(*audit->strangers));
    audit->is_on = true;
    audit_judge(supervisor, &report);
    return 0;
}

static void audit_on_head(void *owner, const struct err *err)
{
    if (!err_is_set(err)) /* else the store says what it could not write */
        head_log(owner);
}

/* The head of a new trail is kept at once: from then on it can be told from one that is gone. */
void audit_tell_opened(struct supervisor *supervisor)
{
    static const struct audit_who NOBODY;
    const struct audit_report *report = &supervisor->audit.opened;
    struct audit_head head;
    json_t *details = NULL;

    if (!supervisor->audit.is_on)
        return;
    audit_stored_head(supervisor->store, &head);
    supervisor->audit.logged_seq = head.seq;
    details = json_pack("{s:s}", "version", RBEE_VERSION);
    if (supervisor->set_aside != NULL)
        (void)json_object_set_new(details, "after", json_string("corrupt"));
    if (report->fault != AUDIT_GOOD) {
        (void)json_object_set_new(details, "chain", json_string(audit_fault_name(report->fault)));
        (void)json_object_set_new(details, "row", json_integer((json_int_t)report->bad_seq));
    }
    (void)audit_post(
        supervisor, &NOBODY, AUDIT_OPENED, report->fault == AUDIT_GOOD ? "ok" : "broken", details,
        (struct store_done){report->is_new ? audit_on_head : audit_on_written, supervisor});
}

void audit_tell_closed(struct supervisor *supervisor)
{
    static const struct audit_who NOBODY;

    if (!supervisor->audit.is_on)
        return;
    audit_sum_up_strangers(supervisor, true);
    (void)audit_post(supervisor, &NOBODY, AUDIT_CLOSED, NULL, NULL,
                     (struct store_done){audit_on_head, supervisor});
}

void audit_release(struct audit *audit)
{
    free(audit->dir);
    free(audit->strangers);
    token_wipe(audit->key, sizeof(audit->key));
}

void audit_upkeep(struct supervisor *supervisor)
{
    if (supervisor->audit.is_on)
        audit_sum_up_strangers(supervisor, false);
}

void audit_add_reasons(struct supervisor *supervisor, json_t *reasons)
{
    struct audit_head head;
    AUTO_FREE char *text = NULL;

    if (!supervisor->audit.is_on)
        return;
    audit_stored_head(supervisor->store, &head);
    if (head.broken != AUDIT_GOOD)
        text = xasprintf("the audit trail does not hold from row %" PRId64
                         " on: rbee audit verify, and rbee audit accept to take it as it is",
                         head.broken_seq);
    if (text != NULL)
        (void)json_array_append_new(reasons, json_string(text));
    if (supervisor->audit.lost_count > 0)
        (void)json_array_append_new(reasons, json_string("rows of the audit trail were lost"));
}
