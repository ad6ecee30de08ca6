/* Devices that workers start on: the CPU, and each GPU, by its PCI address. A device guards its
 * starts (guard.h); a GPU has a circuit breaker as well, which counts only what speaks about the
 * GPU, over all its workers.
 *
 * Made when a GPU becomes known or the first worker asks for it, and kept. A start asks
 * device_ask() and, when it is let through, tells device_on_start(); the end of that load and of
 * that process are told in any case.
 */
#ifndef RBEE_SUPERVISOR_DEVICE_H
#define RBEE_SUPERVISOR_DEVICE_H

#include "common/device_name.h"
#include "common/err.h"
#include "supervisor/breaker.h"
#include "supervisor/guard.h"
#include "supervisor/room.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct supervisor;
struct worker;
struct event;

struct device {
    TAILQ_ENTRY(device) link;
    struct supervisor *supervisor;
    char name[DEVICE_NAME_MAX_BYTES + 1]; /* "cpu", "gpu:0000:03:00.0"; as given: not known yet */
    bool is_gpu;
    struct guard guard;
    struct worker *loading; /* whose load the guard waits for; NULL: none */
    struct breaker breaker; /* of a GPU; a CPU's stays closed */
    struct worker *probe;   /* half-open: whose start is the probe */
    char *breaker_reason;   /* of the person who forced it open; "" */
    int64_t ended_ms;       /* when the last process on it ended; 0: none has */
    unsigned lost_count;    /* processes on it that survived KILL and are still there */
    struct event *timer;    /* the end of its open time */
    struct event *room;     /* made active when who waits for room there is to be looked at */
};

TAILQ_HEAD(device_list, device);

enum device_answer {
    DEVICE_GO,
    DEVICE_OPEN,    /* its breaker, or a lost process on it, allows no start */
    DEVICE_STORM,   /* too many starts: *out_until_ms */
    DEVICE_LOADING, /* another model loads there */
    /* worker_place()'s, before any device has been asked: */
    DEVICE_PENDING, /* which GPUs there are is being asked */
    DEVICE_UNKNOWN, /* it cannot be known just now */
    /* worker_room_take()'s, after DEVICE_GO: */
    DEVICE_ROOM,    /* there will be room: others go, or will be idle */
    DEVICE_NO_ROOM, /* there is none, and none in sight */
};

/* NAME as in options ("" is the CPU); made when it is new. All names of a GPU that is known lead to
 * one device. */
struct device *device_get(struct supervisor *supervisor, const char *name);
/* NULL when no worker has used it, and it is no GPU that is known. */
struct device *device_find(struct supervisor *supervisor, const char *name);
/* What GPUs there are is known anew: each has a device from now on, by its PCI address, and what
 * was known by another name of it is its. */
void devices_adopt(struct supervisor *supervisor);
void devices_release(struct supervisor *supervisor);

/* *out_until_ms is set for DEVICE_STORM, and for DEVICE_OPEN to the end of the open time
 * (INT64_MAX: not known). */
enum device_answer device_ask(const struct device *device, int64_t now_ms, int64_t *out_until_ms);
/* Sets the budget of *OUT and what the device has free. A GPU is read again soon; where the room
 * hangs on what a worker program told long ago, the next start asks it anew. */
void device_room(const struct device *device, struct room *out);
/* As it was read last. */
bool device_is_asleep(const struct device *device);
/* What it has free was measured before the last process on it ended: it may be more by now. */
bool device_measure_is_old(const struct device *device);
void device_on_start(struct device *device, struct worker *worker, int64_t now_ms);
/* WORKER's load is over. Who waits for that may start: worker_recovery.c looks for them. */
void device_on_load_end(struct device *device, const struct worker *worker);
/* WORKER's process ended by FAULT (FAULT_NONE: as asked). */
void device_on_end(struct device *device, const struct worker *worker, enum fault_class fault,
                   int64_t now_ms);
/* WORKER has been ready for probe_stable. */
void device_on_probe_stable(struct device *device, const struct worker *worker, int64_t now_ms);
void device_on_stable(struct device *device);
/* A process on it has survived KILL, or is gone at last. */
void device_on_lost(struct device *device);
void device_on_found(struct device *device);

/* A failure that was counted before, out of the store: nothing follows. */
void device_remember(struct device *device, const struct breaker_failure *failure);

void device_force_open(struct device *device, const char *reason);
void device_reset(struct device *device);
/* Sets its timer anew from absolute times. */
void device_arm(struct device *device);
/* Why it takes no start. */
void device_explain(const struct device *device, struct err *out);

#endif
