/* Table `workers`: each worker that was ever wanted, and the process that last was it. */
#ifndef RBEE_DB_WORKERS_H
#define RBEE_DB_WORKERS_H

#include "db/store.h"

/* No text is NULL in a loaded row; NULL is stored as "". */
struct worker_row {
    const char *name; /* key */
    const char *desired;
    const char *state;
    const char *model;      /* name, or "" */
    const char *model_path; /* absolute, or "" when the name decides */
    const char *device;
    int64_t context_tokens; /* 0: the default, as in config_keys.def */
    int64_t threads;
    int64_t slots;
    bool allow_cpu;
    bool autostart;
    /* The process, known again by pid, start time and boot together; pid 0: none. */
    const char *instance;
    int64_t pid;
    int64_t start_time_ticks; /* field 22 of /proc/PID/stat */
    const char *boot_id;
    const char *last_exit;
    const char *last_stderr;
    int64_t updated_ms; /* wall time */
    /* Supervision. */
    const char *held_reason;      /* "": not held */
    int64_t held_ms;              /* wall time */
    int64_t restart_count;        /* restarts ever made by policy */
    int64_t attempt;              /* those made in this incident */
    int64_t incident_ms;          /* wall time of the incident's first failure; 0: there is none */
    bool owes_restart;            /* it has failed and has not been started since */
    int64_t next_restart_at_ms;   /* CLOCK_MONOTONIC of the boot in boot_id; 0: none is due */
    int64_t next_restart_wall_ms; /* the same moment by the wall clock as it was */
    bool is_degraded;             /* it runs with the two below instead of what was asked */
    int64_t degraded_context;     /* tokens */
    int64_t degraded_slots;
    bool pin;
    bool is_failed;    /* no restart helps, whatever state it is in */
    const char *fault; /* class of the last failure, "" when there was none */
    int64_t ready_ms;  /* wall time at which it became ready; 0: it is not */
    const char *kv_type;
};

struct worker_rows {
    struct worker_row *rows;
    size_t count;
    struct store_texts texts;
};

/* By name. Before store_start. The caller releases *out. */
int workers_load_all(struct store *store, struct worker_rows *out, struct err *err);
void worker_rows_release(struct worker_rows *rows);
/* Inserts or replaces the row of this name; ROW is copied. ERR_BUSY when the queue is full. */
int workers_put(struct store *store, const struct worker_row *row, struct store_done done,
                struct err *err);
int workers_remove(struct store *store, const char *name, struct store_done done, struct err *err);

#endif
