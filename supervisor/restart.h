/* The restart policy: how long a worker waits before it is started again, and how often. Pure.
 *
 * An incident begins with the first failure and ends when the worker has been ready for
 * stable_after without a break, or when a person starts it. `attempt` counts the restarts that were
 * made in it. */
#ifndef RBEE_SUPERVISOR_RESTART_H
#define RBEE_SUPERVISOR_RESTART_H

#include <stdbool.h>
#include <stdint.h>

struct restart_policy {
    int64_t base_ms;
    int64_t max_ms;
    int64_t jitter_pct;
    int64_t max_attempts; /* 0: no limit */
    int64_t stable_after_ms;
};

struct restart {
    int64_t attempt; /* restarts made in this incident */
    int64_t total;   /* restarts ever made; only a person's reset takes it back */
    bool is_in_incident;
};

/* VALUE_MS moved by at most PCT percent either way, by RANDOM (all 32 bits used), and never above
 * MAX_MS. */
int64_t restart_jitter_ms(int64_t value_ms, int64_t pct, int64_t max_ms, uint32_t random);
/* The wait before restart N, from 1, of an incident: base × 2^(N-1), capped, with jitter. */
int64_t restart_delay_ms(const struct restart_policy *policy, int64_t n, uint32_t random);
/* Whether the next failure has no restart left. */
bool restart_is_exhausted(const struct restart_policy *policy, const struct restart *restart);
/* A restart is about to be made. */
void restart_count(struct restart *restart);
/* The incident is over. */
void restart_forgive(struct restart *restart);

#endif
