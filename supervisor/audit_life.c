/* Owns what the audit trail says of workers, breakers, requests and models. Decides nothing. */
#include "supervisor/audit.h"

#include "common/json.h"
#include "common/mem.h"
#include "db/requests.h"
#include "supervisor/supervisor.h"

#include <assert.h>
#include <signal.h>
#include <string.h>

static json_t *text_json(const char *text)
{
    return json_text_lossy(text, strlen(text));
}

/* ---- workers ---- */

static json_t *worker_details(const struct worker *worker)
{
    return json_pack("{s:s, s:i, s:s}", "worker", worker->name, "pid", (int)worker->process.pid,
                     "instance", worker->process.instance);
}

void audit_worker_spawned(const struct worker *worker)
{
    json_t *details = NULL;

    if (!worker->supervisor->audit.is_on)
        return;
    details = worker_details(worker);
    (void)json_object_set_new(details, "model", text_json(worker->model));
    (void)json_object_set_new(details, "attempt",
                              json_integer((json_int_t)worker->recovery.restart.attempt));
    audit_raise(worker->supervisor, AUDIT_WORKER_SPAWN, NULL, details);
}

void audit_worker_restart(const struct worker *worker)
{
    if (!worker->supervisor->audit.is_on)
        return;
    audit_raise(worker->supervisor, AUDIT_WORKER_RESTART, NULL,
                json_pack("{s:s, s:s, s:I}", "worker", worker->name, "fault",
                          fault_name(worker->recovery.fault), "attempt",
                          (json_int_t)worker->recovery.restart.attempt));
}

/* The end of its process, asked for or not. */
static void worker_tell_end(const struct worker *worker, const struct err *cause)
{
    json_t *details = worker_details(worker);
    enum audit_kind kind = worker->has_failed ? AUDIT_WORKER_CRASH : AUDIT_WORKER_STOP;

    (void)json_object_set_new(details, "exit", text_json(worker->last_exit));
    if (worker->has_failed)
        (void)json_object_set_new(details, "fault",
                                  json_string(fault_name(worker->recovery.fault)));
    if (cause != NULL)
        (void)json_object_set_new(details, "cause", text_json(cause->message));
    audit_raise(worker->supervisor, kind, worker->has_failed ? "failed" : "ok", details);
}

void audit_worker_step(const struct worker *worker, enum life_state from, const struct err *cause)
{
    if (!worker->supervisor->audit.is_on)
        return;
    if (worker->state == LIFE_READY && from != LIFE_READY)
        audit_raise(worker->supervisor, AUDIT_WORKER_READY, NULL, worker_details(worker));
    else if (life_has_process(from) && !life_has_process(worker->state))
        worker_tell_end(worker, cause);
}

void audit_worker_killed(const struct worker *worker, const char *reason)
{
    json_t *details = NULL;

    if (!worker->supervisor->audit.is_on)
        return;
    details = worker_details(worker);
    (void)json_object_set_new(details, "signal", json_integer(SIGKILL));
    (void)json_object_set_new(details, "reason", text_json(reason));
    audit_raise(worker->supervisor, AUDIT_WORKER_FORCE_KILL, NULL, details);
}

void audit_worker_people(const struct worker *worker, enum audit_kind kind, const char *reason)
{
    if (worker->supervisor->audit.is_on)
        audit_raise(worker->supervisor, kind, NULL,
                    json_pack("{s:s, s:o}", "worker", worker->name, "reason", text_json(reason)));
}

void audit_breaker_changed(struct supervisor *supervisor, const char *worker, const char *device,
                           const struct breaker *before, const struct breaker *now,
                           const char *reason)
{
    static const enum audit_kind KINDS[] = {
        [BREAKER_CLOSED] = AUDIT_BREAKER_CLOSED,
        [BREAKER_OPEN] = AUDIT_BREAKER_OPEN,
        [BREAKER_HALF_OPEN] = AUDIT_BREAKER_HALF_OPEN,
        [BREAKER_FORCED_OPEN] = AUDIT_BREAKER_FORCED_OPEN,
    };

    if (!supervisor->audit.is_on)
        return;
    audit_raise(supervisor, KINDS[now->state], NULL,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "worker", worker, "device", device,
                          "from", breaker_state_name(before->state), "to",
                          breaker_state_name(now->state), "cause", breaker_cause_name(now->cause),
                          "count", (json_int_t)now->trip_count, "reason", text_json(reason)));
}

/* ---- requests ---- */

/* A prompt is known again by who has the key and the prompt, and by nobody else. */
static void request_add_prompt(const struct audit *audit, const struct inference_request *parsed,
                               json_t *details)
{
    AUTO_FREE char *messages = parsed->messages == NULL ? NULL : json_to_text(parsed->messages);
    const char *prompt = messages != NULL ? messages : parsed->prompt;
    char hash[KEYED_HASH_TEXT_BYTES];

    keyed_hash(audit->key, prompt, strlen(prompt), hash);
    (void)json_object_set_new(details, "prompt_bytes", json_integer((json_int_t)strlen(prompt)));
    (void)json_object_set_new(details, "prompt_hash", json_string(hash));
}

void audit_request_submitted(struct request *request, const struct api_call *call,
                             const struct inference_request *parsed)
{
    struct supervisor *supervisor = request->supervisor;
    struct audit_who who;
    json_t *details = NULL;

    if (!supervisor->audit.is_on)
        return;
    who = audit_who_of_call(call);
    request->origin = audit_origin_new(&who);
    details = json_pack("{s:s}", "id", request->id);
    if (parsed->model != NULL)
        (void)json_object_set_new(details, "model", text_json(parsed->model));
    request_add_prompt(&supervisor->audit, parsed, details);
    audit_raise_for(supervisor, &who, AUDIT_REQUEST_SUBMITTED, NULL, details);
}

void audit_request_ended(const struct request *request, enum request_outcome outcome)
{
    static const enum audit_kind KINDS[] = {
        [REQUEST_COMPLETED] = AUDIT_REQUEST_COMPLETED,
        [REQUEST_CANCELLED] = AUDIT_REQUEST_CANCELLED,
        [REQUEST_DEADLINE_EXCEEDED] = AUDIT_REQUEST_LATE,
        [REQUEST_FAILED] = AUDIT_REQUEST_FAILED,
    };
    const char *worker = request->worker == NULL ? "" : request->worker->name;
    struct audit_who who;
    json_t *details = NULL;

    static_assert(ARRAY_COUNT(KINDS) == REQUEST_OUTCOME_COUNT, "a kind for each outcome");
    if (request->origin == NULL)
        return;
    who = audit_who_of_origin(request->origin);
    details = json_pack("{s:s, s:s, s:s, s:I}", "id", request->id, "worker", worker, "stop_reason",
                        request->stop_reason, "tokens", (json_int_t)request->token_count);
    if (request->failure != ERR_NONE)
        (void)json_object_set_new(details, "code", json_string(err_wire_code(request->failure)));
    audit_raise_for(request->supervisor, &who, KINDS[outcome], request_outcome_name(outcome),
                    details);
}

int audit_request_interrupted(void *owner, const struct request_row *row, struct err *err)
{
    const struct audit_who who = {.request_id = row->request_id};

    return audit_raise_now(
        owner, &who, AUDIT_REQUEST_INTERRUPTED, REQUEST_OUTCOME_INTERRUPTED,
        json_pack("{s:o, s:o}", "id", text_json(row->id), "worker", text_json(row->worker)), err);
}

/* ---- settings ---- */

void audit_config_changed(struct supervisor *supervisor, const struct config_key_info *key,
                          const char *old, const char *new)
{
    AUTO_FREE char *name = NULL;

    if (!supervisor->audit.is_on)
        return;
    name = xasprintf("%s.%s", key->section, key->key);
    audit_raise(
        supervisor, AUDIT_CONFIG_CHANGED, NULL,
        json_pack("{s:s, s:o, s:o}", "key", name, "old", text_json(old), "new", text_json(new)));
}

/* Tokens are their fingerprints, "" where there is none. */
void audit_tokens_changed(struct supervisor *supervisor, const struct tokens *new)
{
    const struct auth *auth = &supervisor->auth;

    if (!supervisor->audit.is_on)
        return;
    for (int role = 0; role < TOKEN_ROLE_COUNT; role++) {
        if (auth_is_changed(auth, new, (enum token_role)role))
            audit_raise(
                supervisor, AUDIT_TOKEN_RELOADED, NULL,
                json_pack("{s:s, s:s, s:s}", "role", tokens_role_name((enum token_role)role), "old",
                          auth->tokens.of[role].fingerprint, "new", new->of[role].fingerprint));
    }
}

/* ---- models ---- */

void audit_model(struct supervisor *supervisor, const struct audit_who *who, enum audit_kind kind,
                 const char *name)
{
    audit_raise_for(supervisor, who, kind, NULL, json_pack("{s:o}", "model", text_json(name)));
}

void audit_model_pulled(struct supervisor *supervisor, const struct audit_who *who,
                        const struct model *model)
{
    const json_t *first = json_array_get(model->files, 0);
    const char *sha256 = json_string_value(json_object_get(first, "sha256"));

    audit_raise_for(supervisor, who, AUDIT_MODEL_PULLED, NULL,
                    json_pack("{s:o, s:o, s:s, s:b}", "model", text_json(model->name), "source",
                              text_json(model->source), "sha256", sha256 == NULL ? "" : sha256,
                              "published", model->is_published));
}

/* Where the file lies is nobody's business. */
static json_t *refusal_details(const char *path, const struct err *refusal)
{
    const char *slash = strrchr(path, '/');

    return json_pack("{s:o, s:s}", "file", text_json(slash == NULL ? path : slash + 1), "code",
                     err_wire_code(refusal->kind));
}

void audit_model_refused(struct supervisor *supervisor, const struct audit_who *who,
                         struct http_exchange *exchange, const char *path,
                         const struct err *refusal)
{
    struct store_done done;
    struct err full = ERR_INIT;

    if (refusal->kind != ERR_INVALID_MODEL)
        return;
    if (exchange == NULL) {
        audit_raise_for(supervisor, who, AUDIT_MALFORMED_MODEL, "refused",
                        refusal_details(path, refusal));
        return;
    }
    done = audit_hold_reply(supervisor, exchange);
    if (audit_post(supervisor, who, AUDIT_MALFORMED_MODEL, "refused",
                   refusal_details(path, refusal), done) == 0)
        return;
    err_fill(&full, ERR_BUSY, "too many rows wait for the disk");
    done.on_done(done.owner, &full);
}
