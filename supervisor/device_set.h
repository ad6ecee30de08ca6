/* The devices that one worker runs on: one, or two GPUs over which the layers of its model are
 * divided. What is asked of a set is asked of each of its devices, and what it is told each of them
 * hears: it takes a start when all do. Of a fault they are told apart, where the worker has said
 * which one it was. */
#ifndef RBEE_SUPERVISOR_DEVICE_SET_H
#define RBEE_SUPERVISOR_DEVICE_SET_H

#include "common/device_name.h"
#include "supervisor/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEVICE_SET_MAX_COUNT = DEVICE_NAMES_MAX_COUNT };

/* In the order in which the worker uses them, each once. All zeros: none yet. */
struct device_set {
    struct device *devices[DEVICE_SET_MAX_COUNT];
    size_t count;
};

struct device_set device_set_of(struct device *device);
/* Those that TEXT, as in options, names: made where they are new. */
struct device_set device_set_get(struct supervisor *supervisor, const char *text);
/* Only those that are there. */
struct device_set device_set_find(struct supervisor *supervisor, const char *text);
/* Nothing, if they are not all there: to be shown, one would look as if it were alone. */
struct device_set device_set_find_all(struct supervisor *supervisor, const char *text);
/* Not a second time; there is room. */
void device_set_add(struct device_set *set, struct device *device);
void device_set_replace(struct device_set *set, const struct device *old, struct device *device);
bool device_set_has(const struct device_set *set, const struct device *device);
/* One of them is called NAME. */
bool device_set_has_name(const struct device_set *set, const char *name);
/* The same devices, in whichever order. */
bool device_set_equals(const struct device_set *a, const struct device_set *b);
bool device_set_is_gpu(const struct device_set *set);
/* Their names as in options, with a comma between them; "": there is none. */
void device_set_write_name(const struct device_set *set, char out[DEVICE_NAMES_MAX_BYTES + 1]);

/* As device_ask(): what keeps one from starting keeps the start from being made. */
enum device_answer device_set_ask(const struct device_set *set, int64_t now_ms,
                                  int64_t *out_until_ms);
/* The first that takes no start before a person or time has closed its breaker; NULL: none. */
const struct device *device_set_open(const struct device_set *set);
/* Why they take no start, or why the first of them takes none. */
void device_set_explain(const struct device_set *set, struct err *out);
bool device_set_is_asleep(const struct device_set *set);

/* As device_remember(). */
void device_set_remember(const struct device_set *set, const struct breaker_failure *failure);

void device_set_on_start(const struct device_set *set, struct worker *worker, int64_t now_ms);
void device_set_on_load_end(const struct device_set *set, const struct worker *worker);
/* The ones that a fault counts for: the one of NAME, as the worker called it ("": it has not said
 * which), or all. */
struct device_set device_set_blamed(const struct device_set *set, const char *name);
/* FAULT is that of those in BLAMED; for the others the process ended as if it had been asked to. */
void device_set_on_end(const struct device_set *set, const struct device_set *blamed,
                       const struct worker *worker, enum fault_class fault, int64_t now_ms);
void device_set_on_probe_stable(const struct device_set *set, const struct worker *worker,
                                int64_t now_ms);
void device_set_on_stable(const struct device_set *set);
void device_set_on_lost(const struct device_set *set);
void device_set_on_found(const struct device_set *set);

#endif
