/* What is stored of recovery and breakers, and back: rows of db/ on one side, the pure structs on
 * the other. Monotonic times mean something only in the boot they were taken in; after a reboot
 * they are worked out anew from the wall time beside them. */
#ifndef RBEE_SUPERVISOR_STORED_H
#define RBEE_SUPERVISOR_STORED_H

#include "db/breakers.h"
#include "db/failures.h"
#include "db/workers.h"
#include "supervisor/recovery.h"

struct supervisor;

/* The kind of the event with which a run ends that ends in order. */
#define STORED_STOPPED_KIND "stopped"

/* Wall time of a monotonic moment; 0 for INT64_MIN, "never". */
int64_t stored_wall_ms(int64_t mono_ms);

/* The breaker's columns. Those that are not its own (key, last_words, reason, boot_id) are left. */
void stored_breaker(const struct breaker *breaker, struct breaker_row *row);
/* What a supervisor that starts makes of it. A row that cannot be understood counts as open. */
void stored_restore_breaker(const struct breaker_row *row, const struct breaker_policy *policy,
                            const char *boot_id, struct breaker *out);
/* Fills the columns of ROW that are recovery's. */
void stored_recovery(const struct recovery *recovery, struct worker_row *row);
/* The part of recovery that is not its breaker. */
void stored_restore_recovery(const struct worker_row *row, const char *boot_id,
                             struct recovery *out);
/* A failure as the breaker counted it. */
struct breaker_failure stored_restore_failure(const struct failure_row *row, const char *boot_id);

/* Reads breakers and failures of all workers and devices, which are there already, and how the last
 * run ended. Before store_start. */
int stored_load(struct supervisor *supervisor, struct err *err);
/* Puts the breakers back. What has become of one since it was written (a probe was cut off, the
 * machine has been started anew, the database was corrupt) is a transition, and written down as
 * such: after store_start. */
void stored_restore(struct supervisor *supervisor);

#endif
