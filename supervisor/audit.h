/* The audit trail: what happened and who did it, as rows of db/audit.h. Off, it costs a branch.
 *
 *   audit_raise()    a row about what is going on: in whose name, the call that is being handled
 *                    says; outside of one it was our own doing
 *   audit_admit()    before a handler runs: may this be done now, when it could not be written
 * down?
 *
 * A row is on its way to the disk when these return, in the order of their calls. Those of critical
 * kinds hold the reply of the call that they belong to until they are on disk; when the disk
 * refuses, the reply becomes AUDIT_UNAVAILABLE. Nothing is dropped in silence: what the store takes
 * no more is counted, logged and shown as a degraded status. */
#ifndef RBEE_SUPERVISOR_AUDIT_H
#define RBEE_SUPERVISOR_AUDIT_H

#include "common/http/http.h"
#include "common/keyed_hash.h"
#include "db/audit.h"
#include "supervisor/auth.h"
#include "supervisor/life.h"
#include "supervisor/request.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct api_call;
struct audit_hold;
struct audit_strangers;
struct audit_waiting;
struct breaker;
struct config_key_info;
struct inference_request;
struct model;
struct request_row;
struct supervisor;
struct tokens;
struct worker;

enum audit_kind {
#define KIND(id, name, when) AUDIT_##id,
#include "supervisor/audit.def"
    AUDIT_KIND_COUNT,
};

enum audit_when { AUDIT_CRITICAL, AUDIT_GROUPED, AUDIT_STRANGER, AUDIT_WHEN_COUNT };

enum {
    AUDIT_TEXT_MAX_BYTES = 1024,  /* of one field; longer ones are cut, and say so */
    AUDIT_HEAD_EVERY_ROWS = 1000, /* the head is logged */
};

TAILQ_HEAD(audit_hold_list, audit_hold);
TAILQ_HEAD(audit_waiting_list, audit_waiting);

struct audit {
    bool is_on;
    bool refuses; /* when rows come too fast; else requests wait */
    uint64_t queue_max;
    unsigned char key[KEYED_HASH_KEY_BYTES]; /* of prompts' hashes, too */
    char *dir;
    struct audit_report opened;  /* what our start has found */
    const struct api_call *call; /* whose handler is being run; NULL: none's */
    bool call_never_waits;       /* it is a stop */
    uint64_t last_mark;          /* rows that had been posted with the last one of ours */
    int64_t logged_seq;          /* of the head that was logged last */
    uint64_t lost_count;         /* rows that the store did not take */
    struct audit_strangers *strangers;
    struct audit_hold_list holds;
    struct audit_waiting_list waiting;
};

/* In whose name something is done. Texts are borrowed; NULL is "". */
struct audit_who {
    const char *actor;
    const char *peer;
    const char *method;
    const char *path;
    const char *request_id;
};

/* A copy of one, for what goes on after the call. */
struct audit_origin;

const char *audit_kind_name(enum audit_kind kind);
enum audit_when audit_kind_when(enum audit_kind kind);
const char *audit_when_name(enum audit_when when);

/* ---- life ---- */

/* Reads the configuration; when it is on, finds or makes the key, and opens the trail of the store,
 * which was opened and not started. */
int audit_begin(struct supervisor *supervisor, struct err *err);
/* The first row of a run; after store_start. */
void audit_tell_opened(struct supervisor *supervisor);
/* The last one. */
void audit_tell_closed(struct supervisor *supervisor);
/* After store_close. */
void audit_release(struct audit *audit);
/* The store has told something: who waits goes on, and the head is logged now and then. */
void audit_check(struct supervisor *supervisor);
/* Every few seconds: what strangers did is summed up. */
void audit_upkeep(struct supervisor *supervisor);
/* Why not all is well with the trail is added to the array REASONS. */
void audit_add_reasons(struct supervisor *supervisor, json_t *reasons);
/* Rows that must be on disk before all of ours are. */
uint64_t audit_queued_count(const struct supervisor *supervisor);

/* ---- rows ---- */

/* Takes over DETAILS, an object of short texts and numbers, or NULL; who calls this has looked
 * whether the trail is on before making one. OUTCOME NULL: "ok". */
void audit_raise(struct supervisor *supervisor, enum audit_kind kind, const char *outcome,
                 json_t *details);
void audit_raise_for(struct supervisor *supervisor, const struct audit_who *who,
                     enum audit_kind kind, const char *outcome, json_t *details);
/* The same, DONE is told; -1: it could not even be queued, DONE is not told, and that has been
 * counted and logged. */
int audit_post(struct supervisor *supervisor, const struct audit_who *who, enum audit_kind kind,
               const char *outcome, json_t *details, struct store_done done);
/* The same for a row of ours before store_start, in requests_end_interrupted(). */
int audit_raise_now(struct supervisor *supervisor, const struct audit_who *who,
                    enum audit_kind kind, const char *outcome, json_t *details, struct err *err);

/* A row that is written by a job (db/audit.h); it borrows from WHO and DETAILS, which are clean. */
void audit_fill_row(const struct audit_who *who, enum audit_kind kind, char *details,
                    struct audit_row *out);

struct audit_who audit_who_of_exchange(const struct http_exchange *exchange, const char *actor);
struct audit_who audit_who_of_call(const struct api_call *call);
struct audit_origin *audit_origin_new(const struct audit_who *who);
void audit_origin_free(struct audit_origin *origin);
struct audit_who audit_who_of_origin(const struct audit_origin *origin);
/* TEXT as it may stand in a row; the caller frees it. */
char *audit_clean(const char *text, size_t len);
/* DETAILS as text, in which no text of a stranger's has kept what a terminal or a reader would take
 * for something else. Takes them over; the caller frees it. */
char *audit_details_text(json_t *details);

/* ---- calls (audit_door.c) ---- */

enum audit_need {
    AUDIT_NEEDS_NOTHING, /* anybody may ask */
    AUDIT_NEEDS_ROOM,    /* it changes nothing: its row may reach the disk later */
    AUDIT_NEEDS_DISK,    /* it changes something: not while nothing can be written */
    AUDIT_NEVER_WAITS,   /* a stop */
};

/* Whether the handler of CALL may run. Else it has been answered, or api_serve() comes later. */
bool audit_admit(struct api_call *call, enum audit_need need);
/* ACTOR may not do what was asked. The reply is about to be REFUSAL; it becomes AUDIT_UNAVAILABLE
 * when no row can be written. In on_head and on_refused. */
void audit_refused(struct supervisor *supervisor, struct http_exchange *exchange, const char *actor,
                   enum audit_kind kind, struct err *refusal);
/* The reply of EXCHANGE waits for the row that is about to be raised. Returns who is to be told. */
struct store_done audit_hold_reply(struct supervisor *supervisor, struct http_exchange *exchange);
/* The reply of EXCHANGE does not wait any more, and what there is of it is taken back. Returns
 * whether it did wait. */
bool audit_withdraw_reply(struct supervisor *supervisor, struct http_exchange *exchange);
void audit_check_waiting(struct supervisor *supervisor);
/* Rows of what was only counted, for windows that are over; IS_END: for all. */
void audit_sum_up_strangers(struct supervisor *supervisor, bool is_end);

/* ---- what happens (audit_life.c) ----
 *
 * Each looks itself whether the trail is on, but for those that are told in whose name. */

void audit_worker_spawned(const struct worker *worker);
void audit_worker_restart(const struct worker *worker);
/* It has come from state FROM to the one it is in. */
void audit_worker_step(const struct worker *worker, enum life_state from, const struct err *cause);
/* It is about to get KILL. */
void audit_worker_killed(const struct worker *worker, const char *reason);
void audit_worker_people(const struct worker *worker, enum audit_kind kind, const char *reason);
/* WORKER or DEVICE is "". */
void audit_breaker_changed(struct supervisor *supervisor, const char *worker, const char *device,
                           const struct breaker *before, const struct breaker *now,
                           const char *reason);
void audit_request_submitted(struct request *request, const struct api_call *call,
                             const struct inference_request *parsed);
void audit_request_ended(const struct request *request, enum request_outcome outcome);
void audit_config_changed(struct supervisor *supervisor, const struct config_key_info *key,
                          const char *old, const char *new);
/* NEW is about to be in force. */
void audit_tokens_changed(struct supervisor *supervisor, const struct tokens *new);
/* As requests_end_interrupted() tells it; OWNER is the supervisor. */
int audit_request_interrupted(void *owner, const struct request_row *row, struct err *err);
void audit_model(struct supervisor *supervisor, const struct audit_who *who, enum audit_kind kind,
                 const char *name);
/* MODEL has come from where its source says. */
void audit_model_pulled(struct supervisor *supervisor, const struct audit_who *who,
                        const struct model *model);
/* REFUSAL of a model file; others than those of a malformed one are no matter of the trail.
 * EXCHANGE is about to be answered with it; NULL: its client has left. */
void audit_model_refused(struct supervisor *supervisor, const struct audit_who *who,
                         struct http_exchange *exchange, const char *path,
                         const struct err *refusal);

#endif
