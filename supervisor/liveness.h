/* Whether a process still does its work, judged by what it has computed and never by what it says
 * of itself: an open port or a 200 proves nothing. Pure: no I/O, no clock; time comes in as now_ms,
 * and what carries it out is worker_live.c.
 *
 *   idle   nothing to do; one token (a canary) is asked for now and then
 *   busy   has work: tokens or prompt chunks must come
 *   held   has work, but waits for clients that do not read: owes nothing, gets no canary
 *
 * A process owes progress while it is busy or a canary is out. The time it owes adds up over
 * requests whose clients lose patience, and is forgotten with the next progress. Four faults end
 * it: no progress for the limit, silence for as long, refused connections (soon: there is nothing
 * to wait for), and a counter that falls. The limit is progress_ms, or LIVENESS_STEPS times the
 * slowest step that was seen, whichever is more. */
#ifndef RBEE_SUPERVISOR_LIVENESS_H
#define RBEE_SUPERVISOR_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#define LIVENESS_NEVER UINT64_MAX

enum {
    LIVENESS_STEPS = 20,
    /* A connection is refused by a process that has closed its socket, or by one that is about to
     * die: that many refusals over that time are the first. */
    LIVENESS_REFUSED_COUNT = 4,
    LIVENESS_REFUSED_RETRY_MS = 250,
    LIVENESS_REFUSED_MS = (LIVENESS_REFUSED_COUNT - 1) * LIVENESS_REFUSED_RETRY_MS,
    LIVENESS_REASON_BYTES = 160,
};

struct liveness_limits {
    uint64_t progress_ms;
    uint64_t canary_ms;     /* after the last work; 0: none at all */
    uint64_t canary_max_ms; /* what the doubled interval ends at */
    /* Its answers tell what it has computed. Without, an answer says only that somebody is there,
     * and is asked for seldom: some programs end the answer they work at to give it. */
    bool has_counters;
};

enum liveness_load { LIVENESS_IDLE, LIVENESS_BUSY, LIVENESS_HELD };

enum liveness_fault {
    LIVENESS_WELL,
    LIVENESS_NO_PROGRESS,   /* it answers, but computes nothing */
    LIVENESS_SILENT,        /* it takes connections, but answers nothing */
    LIVENESS_NONSENSE,      /* it computes nothing, and answers what is no answer */
    LIVENESS_REFUSES,       /* it lives, and takes no connection */
    LIVENESS_COUNTER_FELL,  /* a lie: counters only rise */
    LIVENESS_CANARY_FAILED, /* it answers canaries, but never with a token */
};

enum liveness_action {
    LIVENESS_WAIT,
    LIVENESS_PROBE,  /* read the counters */
    LIVENESS_CANARY, /* ask for one token */
    LIVENESS_HUNG,   /* end it: liveness_describe() says why */
};

struct liveness_counters {
    int64_t tokens;
    int64_t prefill_tokens;
};

struct liveness {
    struct liveness_limits limits;
    enum liveness_load load;
    enum liveness_fault fault;
    uint64_t fault_ms;        /* how long it had lasted */
    uint64_t slowest_step_ms; /* the longest time between two signs of progress */
    uint64_t owed_since_ms;   /* while it owes: the last progress, or when the work began */
    uint64_t debt_ms;         /* while it does not: what it owed when the work was taken away */
    bool has_worked;          /* real work has advanced since the canary was last planned */

    bool is_probing;
    uint64_t probe_sent_ms;
    uint64_t probe_due_ms;
    struct liveness_counters counters;
    struct liveness_counters fallen; /* what they fell to */
    unsigned refused_count;
    uint64_t refused_since_ms;

    bool is_canary_out;
    uint64_t canary_due_ms;
    uint64_t canary_interval_ms;
    uint64_t canary_failing_since_ms; /* LIVENESS_NEVER: the last one got its token */
};

/* A process is ready. STEP_MS is what its first token took, 0 when that is not known; FIRST are the
 * counters it said so with. */
void liveness_begin(struct liveness *liveness, const struct liveness_limits *limits,
                    uint64_t step_ms, const struct liveness_counters *first, uint64_t now_ms);

/* ---- what to do ---- */

/* When liveness_take() has something to do next; 0 for at once, LIVENESS_NEVER for nothing. */
uint64_t liveness_due_ms(const struct liveness *liveness);
/* What is due, which counts as done from here on: the probe or the canary is on its way. */
enum liveness_action liveness_take(struct liveness *liveness, uint64_t now_ms);
/* Whether time counts against it. */
bool liveness_owes(const struct liveness *liveness);
/* "made no progress for 20000 ms while it had work"; for a process that has a fault. */
void liveness_describe(const struct liveness *liveness, char out[LIVENESS_REASON_BYTES]);

/* ---- what happened ---- */

void liveness_set_load(struct liveness *liveness, enum liveness_load load, uint64_t now_ms);
/* A token, or the end of an answer, has come. */
void liveness_progress(struct liveness *liveness, uint64_t now_ms);
/* Answers to a probe. */
void liveness_read(struct liveness *liveness, const struct liveness_counters *counters,
                   uint64_t now_ms);
/* Of a process without counters. MAY_BE_READING: a prompt, which shows nowhere; then it owes
 * nothing up to now. */
void liveness_answered(struct liveness *liveness, bool may_be_reading, uint64_t now_ms);
void liveness_nonsense(struct liveness *liveness, uint64_t now_ms);
/* Any connection was refused, a probe's or a request's. */
void liveness_refused(struct liveness *liveness, uint64_t now_ms);
/* A probe could not be sent, for a reason that is ours. */
void liveness_missed(struct liveness *liveness, uint64_t now_ms);
/* The end of a canary. Withdrawn: real work has come, or its connection was refused. */
void liveness_canary_done(struct liveness *liveness, uint64_t now_ms);
void liveness_canary_failed(struct liveness *liveness, uint64_t now_ms);
void liveness_canary_withdrawn(struct liveness *liveness, uint64_t now_ms);
/* A canary that was due has not been sent: the card sleeps. */
void liveness_canary_put_off(struct liveness *liveness, uint64_t now_ms);
/* It is we who did nothing for MS (stopped, frozen, starved): that is no fault of the process. */
void liveness_overslept(struct liveness *liveness, uint64_t ms, uint64_t now_ms);

#endif
