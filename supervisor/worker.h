/* Workers: one struct for each name that can serve requests, whether it runs or not.
 *
 * Desired state (wanted_up) and actual state (life.h) are two things. Everything that happens to a
 * worker goes through worker_step(): it alone assigns worker->state, carries out what the table of
 * life.def says, and writes the change down. Around it:
 *
 *   worker.c         registry, worker_step and its actions
 *   worker_wish.c    what people and requests want of it: start, stop, with which options
 *   worker_recovery.c what follows its end: restarts, breakers; every start
 *   worker_people.c  what people do to it by hand: restart, hold, release, its breaker
 *   worker_drill.c   faults made for a person to see
 *   worker_place.c   on which device it runs
 *   worker_need.c    how much memory it takes
 *   worker_room.c    whether there is room for it there, and who is evicted for it
 *   worker_time.c    its one timer
 *   worker_spawn.c   socket, token, environment, the process
 *   worker_command.c the same for a worker that is a command of the configuration
 *   worker_watch.c   the load's progress until ready; the exit
 *   worker_probe.c   small questions to it, for the others
 *   worker_live.c    whether it works from then on (liveness.c judges, worker_probe.c asks)
 *   worker_stop.c    drain, TERM, KILL
 *   worker_output.c  its log and its last words
 *   worker_record.c  what the API tells of it
 *   worker_restore.c what the configuration and the store know of it at the start
 *   worker_orphan.c  what an earlier supervisor left of it
 *
 * The supervisor owns all workers; a worker owns its process, its output and its queue's order, not
 * the requests in it. */
#ifndef RBEE_SUPERVISOR_WORKER_H
#define RBEE_SUPERVISOR_WORKER_H

#include "common/command_line.h"
#include "common/config.h"
#include "common/err.h"
#include "common/kv_type.h"
#include "common/token.h"
#include "supervisor/device_set.h"
#include "supervisor/dialect.h"
#include "supervisor/life.h"
#include "supervisor/models.h"
#include "supervisor/recovery.h"
#include "supervisor/request.h"
#include "supervisor/scheduler.h"
#include "supervisor/worker_live.h"
#include "supervisor/worker_output.h"
#include "supervisor/worker_probe.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct supervisor;
struct worker_rows;
struct http_client;
struct http_call;
struct event;
struct drill;
struct gpu;

enum {
    WORKER_DEVICE_MAX_BYTES = DEVICE_NAMES_MAX_BYTES,
    WORKER_MODEL_NAME_MAX_BYTES = 255, /* as a server of another's calls its model */
    WORKER_NOTE_MAX_BYTES = 255,
    /* One reply that is not a stream: a whole answer as JSON. A context of a million tokens of
     * text stays far below. */
    WORKER_REPLY_MAX_BYTES = 64 << 20,
};

/* How a worker is started. 0 and "" say: not given, the worker decides. */
struct worker_options {
    int64_t context_tokens;
    int64_t threads;
    int64_t slots;
    char device[WORKER_DEVICE_MAX_BYTES + 1];
    char kv_type[KV_TYPE_NAME_MAX_BYTES + 1];
    bool allow_cpu;
};

enum worker_stop_cause {
    WORKER_STOP_ASKED,
    WORKER_STOP_IDLE,
    WORKER_STOP_SHUTDOWN,
    WORKER_STOP_HELD,
    WORKER_STOP_EVICTED,
};

/* What belongs to one process; all zero between two. */
struct worker_process {
    pid_t pid;
    int pidfd;            /* -1: none */
    uint64_t start_ticks; /* field 22 of /proc/PID/stat: with the pid and the boot it names one
                             process */
    char instance[TOKEN_ID_BYTES];
    char token[TOKEN_TEXT_BYTES]; /* "": its command takes none */
    char *token_path;             /* of a command; NULL: none */
    uint16_t port;                /* at 127.0.0.1, of a command; 0: it has a socket */
    bool is_port_ours;            /* its group has been seen to listen there */
    bool is_port_lost;            /* somebody else does: killed, and made anew */
    char *socket_path;
    int socket_fd; /* O_PATH on it: reaches it when its name is gone; -1: none */
    struct http_client *client;
    struct event *exit_event;
    uint64_t spawned_ms;
    uint64_t ready_ms; /* 0: not yet */
    bool is_killed;    /* KILL has been sent by us */
    bool was_judged;   /* we end it for `fault`, and last_exit says so */
    enum fault_class fault;
    /* What fails until then is a drill: a person made it, to see what happens. 0: none is. */
    uint64_t drill_until_ms;
    int64_t oom_kills; /* the kernel's count when it began; -1: not known */
};

/* Of a start for which there is not enough room. */
struct worker_room {
    uint64_t turn;           /* its place in the line; 0: it is in none */
    bool has_evicted;        /* others, to have room */
    int64_t return_until_ms; /* when their memory must be back; 0: they are not gone yet */
};

/* A start that waits until its device takes it. */
struct worker_postponed {
    enum device_answer answer; /* DEVICE_GO: none */
    enum recovery_asker asker;
    int64_t until_ms; /* INT64_MAX: until the device changes */
    uint64_t turn;    /* who came first */
    struct worker_room room;
};

struct worker_load {
    struct worker_probe probe;
    struct event *poll_timer;
    uint64_t poll_interval_ms;
    uint64_t progress_ms; /* when the last progress was seen */
    uint64_t warm_up_ms;  /* when it was first seen to compute a token; 0: not yet */
    unsigned step;        /* of its dialect's questions */
    char note[WORKER_NOTE_MAX_BYTES + 1]; /* why it is not ready yet, where its dialect can tell */
    char phase[16];
    int64_t done_bytes;
    int64_t total_bytes;
};

/* What it told of itself when it became ready. */
struct worker_facts {
    int64_t context_tokens;
    int64_t memory_bytes;
    int64_t device_bytes[DEVICE_SET_MAX_COUNT]; /* of that, on each device; 0: not told */
    int64_t slots;
    struct liveness_counters counters; /* when it became ready */
    char device[WORKER_DEVICE_MAX_BYTES + 1];
    bool lacks_chat; /* a server that completes texts alone */
    char model_name[WORKER_MODEL_NAME_MAX_BYTES + 1];
};

/* What it held when it was last ready, and with what it had been started. */
struct worker_known {
    int64_t memory_bytes; /* 0: never */
    struct worker_options options;
    struct model_stamp stamp;
};

/* Of memory. */
struct worker_need {
    int64_t bytes[DEVICE_SET_MAX_COUNT]; /* on each of its devices */
};

enum { WORKER_RATE_SECONDS = 5 };

struct worker {
    TAILQ_ENTRY(worker) link;
    struct supervisor *supervisor;
    char name[CONFIG_NAME_MAX_BYTES + 1];
    char *model;      /* of the registry; "": the path decides */
    char *model_path; /* "": the model decides */
    const struct worker_dialect *dialect;
    struct command_line *command; /* NULL: rbee-worker */
    char *health;                 /* of a command: the path that answers 200; NULL */
    unsigned port_loss_count;     /* since it was last started for another reason than that */
    struct model_stamp stamp;     /* of the file at the last start */
    struct model_need described;  /* of a file that is no model of the registry */
    struct worker_known known;
    struct worker_need need;       /* for its last start or the next one */
    struct worker_options options; /* for every start */
    struct worker_options running; /* of this one: options, and what its request asked for */
    struct worker_options next_running;
    bool is_configured; /* `worker NAME { ... }` */
    bool is_autostart;
    bool asked_up;  /* by a person: comes back with us */
    bool wanted_up; /* by a person or autostart: does not stop for idleness */

    enum life_state state;
    int64_t state_since_ms;
    int64_t stage_since_ms; /* of draining, TERM or KILL: when it began */
    struct recovery recovery;
    struct device_set devices; /* of the last start, or the next one; empty: none yet */
    struct worker_postponed postponed;
    struct worker_ticket *ticket;  /* a spawn that waits until it is written down; NULL: none */
    struct worker_options reduced; /* context and slots since it ran out of memory */
    bool is_restart;               /* its last start followed a failure */
    int64_t failed_wait_ms;        /* the back-off before the process that failed last */
    char *held_reason;
    int64_t held_ms;      /* wall time; 0: not held */
    char *breaker_reason; /* of the person who forced its breaker open; "" */
    bool is_pinned;
    bool starts_again; /* wanted while it was stopping */
    enum recovery_asker again_asker;
    bool has_failed; /* the last process ended, or could not be made, without being asked to */
    enum worker_stop_cause stop_cause;
    char evicted_for[CONFIG_NAME_MAX_BYTES + 1]; /* with WORKER_STOP_EVICTED: who needs the room */
    uint64_t drain_ms;      /* what runs may take to finish, from stage_since_ms on */
    struct event *deadline; /* see worker_time.c */

    struct worker_process process;
    struct worker_load load;
    struct worker_live live;
    struct worker_facts facts;
    struct drill *drill; /* that it was asked for and has not answered; NULL: none */
    struct worker_output output;
    char *last_exit;  /* "" until there was one */
    char *last_words; /* what it said before that */

    struct request_queue queue; /* the oldest first */
    struct request_queue in_flight;
    unsigned queued_count;
    unsigned in_flight_count;
    uint64_t idle_since_ms;
    /* Tokens seen in each of the last seconds, by second modulo WORKER_RATE_SECONDS. */
    unsigned rate_tokens[WORKER_RATE_SECONDS];
    uint64_t rate_second[WORKER_RATE_SECONDS];
};

TAILQ_HEAD(worker_list, worker);

/* ---- registry ---- */

struct worker *worker_find(struct supervisor *supervisor, const char *name);
/* A new worker in state down. NAME is valid and not taken; MODEL or PATH may be "". */
struct worker *worker_new(struct supervisor *supervisor, const char *name, const char *model,
                          const char *path);
/* For a worker without a process, and that nobody waits for. */
void worker_free(struct worker *worker);
/* For a worker without a process: who waits for it is told, and the store forgets it too. */
void worker_remove(struct worker *worker);
/* For a worker without a process: another model from the next start on. */
void worker_set_model(struct worker *worker, const char *model, const char *path);
/* The file it would be started with; NULL when its model is not in the registry. Borrowed. */
const char *worker_path(const struct worker *worker);
/* Makes workers of the configuration and of the store, and clears what an earlier supervisor left:
 * processes that are provably its workers, and their sockets. */
int worker_load_all(struct supervisor *supervisor, struct err *err);
/* Made by a request that named a file: nobody has said that it is to be there, or not to be. */
bool worker_is_passing(const struct worker *worker);
/* Brings each to the rest it was in, and starts those that are wanted up. */
void worker_start_wanted(struct supervisor *supervisor);
/* The WORKER record; a new reference. */
json_t *worker_record(struct worker *worker);

/* ---- its life ---- */

/* The one place that changes worker->state. CAUSE says why, for the log, the store and the requests
 * that fail of it; it may be NULL for events that can fail none, which no stop and no exit is. */
void worker_step(struct worker *worker, enum life_event event, const struct err *cause);
/* A person's start: wanted up, with what ASKED gives on top of its options. ERR_CONFLICT when it
 * runs with others. */
int worker_want_up(struct worker *worker, const struct worker_options *asked, struct err *err);
/* A request's start: for this process alone the options that ASKED gives count. */
void worker_request_start(struct worker *worker, const struct worker_options *asked);
/* A person's stop: not wanted up any more; drained, or with FORCE killed at once. */
void worker_want_down(struct worker *worker, bool force);
/* A person's restart: drained and started anew; one without a process is started, and wanted up.
 * Refused, and nothing stopped, when the start would be. */
int worker_restart(struct worker *worker, struct err *err);
/* Kept down, over restarts and reboots, until it is released. Two steps, so that no hold whose stop
 * has begun is forgotten by a supervisor that is killed: it is held, which must be written down
 * before worker_hold_begin() stops it. */
void worker_hold(struct worker *worker, const char *reason);
void worker_hold_begin(struct worker *worker);
void worker_release(struct worker *worker);
/* Its breaker, by hand. A reset starts it again when it is wanted up. */
void worker_breaker_reset(struct worker *worker);
void worker_breaker_open(struct worker *worker, const char *reason);
/* A stop after what runs has had DRAIN_MS; a second one can only shorten that. */
void worker_stop(struct worker *worker, enum worker_stop_cause cause, uint64_t drain_ms);
/* A failed worker whose model file is another by now is down again. */
void worker_recheck_model(struct worker *worker);
/* Of what a request asks: ERR_CONFLICT naming both values when the worker runs, or is about to run
 * again, and ASKED wants other values; ERR_INVALID_FIELD when a worker that is started with them
 * could not run, and would be a failed one to everybody. */
int worker_check_request_options(const struct worker *worker, const struct worker_options *asked,
                                 struct err *err);
void worker_view(const struct worker *worker, bool may_start, struct scheduler_view *out);
/* Whether who waits for it to be ready may go on waiting. */
bool worker_may_come(const struct worker *worker);
/* Why it is not up, in one sentence for a person. */
void worker_explain(const struct worker *worker, struct err *out);
void worker_explain_held(const struct worker *worker, struct err *out);
/* Which breaker keeps it down, its own or its device's. */
void worker_explain_open(const struct worker *worker, struct err *out);
/* Why not even a person's start of a process would be made now. */
int worker_check_startable(const struct worker *worker, struct err *err);
/* The BREAKER record of its breaker; a new reference. */
json_t *worker_breaker_record(const struct worker *worker);
/* Its queue or its running requests have become fewer or more. */
void worker_requests_changed(struct worker *worker);

/* ---- between the files of the worker ---- */

/* Chooses instance and token of the process to come; fails when there is no file to load. */
int worker_spawn_prepare(struct worker *worker, struct err *err);
/* Makes socket and process. On failure nothing is left of it. */
int worker_spawn(struct worker *worker, struct err *err);
/* Chooses, writes down and makes the process of a worker in state starting that has none, and
 * begins to watch it; a failure to make it is an end of it. */
void worker_begin(struct worker *worker);
/* The file TYPE of an instance in the runtime folder; the caller frees it. */
char *worker_runtime_path(const struct supervisor *supervisor, const char *instance,
                          const char *type);
/* Where a worker's process listens in the runtime folder. */
int worker_socket_address(struct worker *worker, struct http_address *out, struct err *err);
/* Forgets a process that has been reaped, or never was. */
void worker_process_release(struct worker *worker);
/* Begins to watch a process that has just been made: its load, its exit. */
void worker_watch_begin(struct worker *worker);
/* The load is over, one way or the other. */
void worker_watch_load_end(struct worker *worker);
/* Milliseconds until the load counts as overdue; 0 when it is, and WHY says why. */
uint64_t worker_watch_load_left_ms(const struct worker *worker, struct err *why);
/* It will not start again after its stop: what waited for that fails. */
void worker_take_back_restart(struct worker *worker, const struct err *cause);
/* It starts again once its stop is over. */
void worker_start_again(struct worker *worker, enum recovery_asker asker,
                        const struct worker_options *options);
/* Its process is gone, or could not be made: what follows is recovery.h's decision. FAULT_NONE: it
 * ended as asked. */
void worker_ended(struct worker *worker, enum fault_class fault, const struct err *cause);
/* We end it for FAULT: KILL follows, and EXIT says in its record what it was. */
void worker_judge(struct worker *worker, enum fault_class fault, const char *exit);
/* A start with next_running, if recovery.h and the device let it through: else it waits, or who
 * waits for it is refused. */
void worker_try_start(struct worker *worker, enum recovery_asker asker);
/* Its device takes no start just now: it waits, which is no failure. WHY may be told to people. */
void worker_postpone(struct worker *worker, enum recovery_asker asker, enum device_answer answer,
                     int64_t until_ms, const struct err *why);
/* What it waits for is not to come by itself soon: who waits for it hears WHY, and only a worker
 * that is wanted up goes on waiting, until UNTIL_MS. */
void worker_put_off(struct worker *worker, enum recovery_asker asker, enum device_answer answer,
                    int64_t until_ms, const struct err *why);
/* The options it would be started with: its device by the name we have for it, and fewer of others
 * than next_running when it ran out of memory. */
struct worker_options worker_next_options(const struct worker *worker);
/* Where the next start is made: *OUT is set for FOUND, *out_until_ms, when it may be known, and WHY
 * for UNKNOWN, WHY for REFUSED. */
enum worker_place {
    WORKER_PLACE_FOUND,
    WORKER_PLACE_PENDING, /* worker_place_look_again() comes */
    WORKER_PLACE_UNKNOWN, /* or it is not there now, and may come */
    WORKER_PLACE_REFUSED, /* there is no such GPU, or models cannot run there: ERR_WORKER_CONFIG */
};
enum worker_place worker_place(struct worker *worker, enum recovery_asker asker,
                               struct device_set *out, int64_t *out_until_ms, struct err *why);
/* Why the GPU that it waits for is not known, or not there. */
void worker_explain_place(const struct worker *worker, struct err *out);
/* Which GPUs there are is known anew, or cannot be known. */
void worker_place_look_again(struct supervisor *supervisor);
/* That the device it is to run on can be used, as far as is known. */
int worker_check_place(const struct worker *worker, struct err *err);
/* Whether the devices of its process may be called TEXT: a name, two of them, or "gpu". */
bool worker_is_on(const struct worker *worker, const char *text);
/* Whether it takes any GPU. */
bool worker_chooses_gpu(const struct worker *worker);
/* Whether its next start may be made on DEVICE: it is its own, or one of those it chooses among. */
bool worker_may_run_on(const struct worker *worker, const struct device *device);
/* For a start that its devices let through. False: it waits for room, or has been refused. */
bool worker_room_take(struct worker *worker, enum recovery_asker asker);
/* What its devices are to hold of it, while it waits for a start that they do not let through. */
void worker_room_plan(struct worker *worker);
/* How DEVICES would judge a start of WORKER, and what they have free. */
enum room_verdict worker_room_try(const struct worker *worker, const struct device_set *devices,
                                  int64_t *out_free_bytes);
bool worker_waits_for_room(const struct worker *worker);
/* What it needs, what there is, and who holds it. */
void worker_explain_room(const struct worker *worker, struct err *out);
/* WORKER's state or its requests are others: who waits for room on its device is looked at soon. */
void worker_room_changed(struct worker *worker);
/* Tries anew the start of each that waits for room on DEVICE, in the order of their turns. */
void worker_room_look_again(struct device *device);
/* DEVICE takes starts it did not take before. */
void worker_device_changed(struct supervisor *supervisor, struct device *device);
/* From state down to the rest that recovery.h knows of, and on if it is wanted. CAUSE is why. */
void worker_come_to_rest(struct worker *worker, const struct err *cause);
/* Nobody waits for the start that is due or postponed any more. */
void worker_lapse(struct worker *worker);
/* The restart or the postponed start that is due, if anybody still wants it. */
void worker_restart_due(struct worker *worker);
/* Whether its breaker, once open, tries a start without being asked. */
bool worker_probes_by_itself(const struct worker *worker);
/* When recovery has something to do in the state it is in (INT64_MAX: nothing), and that moment. */
int64_t worker_recovery_due_ms(const struct worker *worker);
void worker_recovery_on_due(struct worker *worker);
uint64_t worker_drain_ms(const struct worker *worker);
/* The moments of worker_stop.c's: see worker_time.c. */
void worker_load_is_overdue(struct worker *worker, const struct err *why);
void worker_drain_is_over(struct worker *worker);
void worker_grace_is_over(struct worker *worker);
int64_t worker_stop_due_ms(const struct worker *worker);
/* Why a worker that drains or stops does so, for the requests that fail of it. */
void worker_explain_stop(const struct worker *worker, struct err *out);
/* Whether what fails now is a drill. */
bool worker_is_in_drill(const struct worker *worker);
/* Its process is gone: who waits for its answer to a drill is told. */
void worker_drill_end(struct worker *worker);
/* What is known of its model's needs; all zeros: nothing. */
const struct model_need *worker_described_need(const struct worker *worker);
/* What its next start needs, on one device or divided over two. */
int64_t worker_need_bytes(const struct worker *worker);
void worker_split_need(const struct worker *worker, struct split_need *out);
/* It is ready: what it holds is known for the next time. */
void worker_need_learn(struct worker *worker);
/* What it holds of DEVICE, or is to hold there. */
int64_t worker_bytes_on(const struct worker *worker, const struct device *device);
/* The one of its devices that is GPU; NULL: none. */
const struct device *worker_device_of(const struct worker *worker, const struct gpu *gpu);
/* Sends SIGNAL to the worker's group. */
void worker_signal(struct worker *worker, int signal);
/* Sets its timer anew, from absolute times: see worker_time.c. */
void worker_arm_deadline(struct worker *worker);
void worker_deadline_init(struct worker *worker);
/* Ends what an earlier supervisor of this boot left of the processes in ROWS: see worker_orphan.c.
 */
void worker_orphan_end(const struct worker_rows *rows, const char *boot_id);

/* worker_command.c: a worker that is a command of the configuration. COMMAND and HEALTH are checked
 * already; the worker has no process. */
void worker_set_command(struct worker *worker, const char *command, const char *health);
/* Makes the process of the command with the model file PATH ("": none). */
int worker_command_exec(struct worker *worker, const char *path, struct err *err);
/* What a start or a request wants of a command that it has no place for. */
int worker_command_check_options(const struct worker *worker, const struct worker_options *asked,
                                 struct err *err);
/* False: nobody listens at the worker's port yet, or somebody else does, and then it is killed to
 * be made anew. Without a port: true. */
bool worker_command_listens(struct worker *worker);
/* For a process that has been reaped: whether it ended because its port had become another's. Then
 * it is made anew, and its end is no failure. */
bool worker_command_start_over(struct worker *worker);
/* Why nobody but us should not be able to reach it; NULL: it is so. The caller frees it. */
char *worker_command_warning(const struct worker *worker);

/* worker_record.c */
/* Where it runs, or is to run; a GPU that is known is called by its address, also while nothing
 * runs there. NAME is room for it, and need not be what is returned; NULL or "": where nobody said.
 */
const char *worker_shown_device(const struct worker *worker, char name[DEVICE_NAMES_MAX_BYTES + 1]);
void worker_count_token(struct worker *worker, uint64_t now_ms);

#endif
