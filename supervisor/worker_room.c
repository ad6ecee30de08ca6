/* Owns the room that a worker needs on its device: how much that is, who holds it, and what follows
 * when there is not enough: others are evicted, the start waits, or who waits for it is refused.
 * Decides nothing that room.h decides. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/units.h"
#include "supervisor/room.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

enum {
    /* While memory is to come back: nobody tells us that it has. */
    LOOK_AGAIN_MS = 100,
    HOLDERS_TEXT_BYTES = 256, /* who holds it, in a message; more are counted */
};

static int64_t worker_room_timeout_ms(const struct worker *worker)
{
    return config_number(worker->supervisor->config, CONFIG_life_room_timeout);
}

/* ---- how much ---- */

static bool worker_is_known_with(const struct worker *worker, const struct worker_options *options,
                                 const struct model_stamp *stamp)
{
    const struct worker_known *known = &worker->known;

    return known->memory_bytes > 0 && known->options.context_tokens == options->context_tokens &&
           known->options.slots == options->slots &&
           strcmp(known->options.kv_type, options->kv_type) == 0 &&
           strcmp(known->options.device, options->device) == 0 &&
           model_stamp_equal(&known->stamp, stamp);
}

const struct model_need *worker_described_need(const struct worker *worker)
{
    const char *path = worker_path(worker);
    const struct model *model = NULL;

    if (worker->model[0] != '\0')
        model = model_find(worker->supervisor, worker->model);
    else if (path != NULL)
        model = model_find_path(worker->supervisor, path);
    return model == NULL ? &worker->described : &model->need;
}

/* What it took the last time, if it is the same again; else what its description says; else, as for
 * a command, the size of the file. */
static int64_t worker_need_bytes(const struct worker *worker)
{
    struct worker_options options = worker_next_options(worker);
    const char *path = worker_path(worker);
    struct model_need need = model_need_kept_as(worker_described_need(worker), options.kv_type);
    struct model_stamp stamp = {0};
    struct err ignored = ERR_INIT; /* a file that is not there is the start's to find */

    if (path != NULL && path[0] != '\0')
        (void)model_stamp_of(path, &stamp, &ignored);
    if (worker_is_known_with(worker, &options, &stamp))
        return worker->known.memory_bytes;
    if (worker->command != NULL || need.fixed_bytes == 0)
        return stamp.size_bytes;
    return model_need_bytes(&need, options.context_tokens, options.slots);
}

static void worker_room_learn(struct worker *worker)
{
    if (worker->state == LIFE_READY && worker->facts.memory_bytes > 0)
        worker->known = (struct worker_known){.memory_bytes = worker->facts.memory_bytes,
                                              .options = worker->running,
                                              .stamp = worker->stamp};
}

/* ---- who holds it ---- */

/* Waits for room that is to come, and has a place in the line. */
static bool worker_is_in_line(const struct worker *worker)
{
    return worker->postponed.room.turn != 0 && worker->postponed.answer != DEVICE_NO_ROOM;
}

static bool worker_comes_before(const struct worker *other, const struct worker *worker)
{
    uint64_t turn = worker->postponed.room.turn;

    return worker_is_in_line(other) && (turn == 0 || other->postponed.room.turn < turn);
}

static enum room_hold worker_hold_of(const struct worker *worker, const char **out_why)
{
    bool is_leaving = worker->state == LIFE_DRAINING || worker->state == LIFE_STOPPING;
    bool is_busy = worker->in_flight_count > 0 || worker->queued_count > 0;

    if (worker->state == LIFE_LOST || is_leaving) {
        *out_why = is_leaving ? "stopping" : "survived KILL";
        return is_leaving ? ROOM_LEAVING : ROOM_KEPT;
    }
    if (worker->is_pinned || worker->wanted_up) {
        *out_why = worker->is_pinned ? "pinned" : "wanted up";
        return ROOM_KEPT;
    }
    if (worker->state == LIFE_READY) {
        *out_why = is_busy ? "at work" : "idle";
        return is_busy ? ROOM_BUSY : ROOM_IDLE;
    }
    *out_why = worker->state == LIFE_STARTING ? "loading" : "waits for room too, and came first";
    return ROOM_BUSY;
}

static struct room_holder worker_as_holder(const struct worker *worker)
{
    struct room_holder holder = {
        .name = worker->name,
        .bytes = worker->need_bytes,
        .idle_since_ms = (int64_t)worker->idle_since_ms,
    };

    if (worker->facts.memory_bytes > 0)
        holder.bytes = worker->facts.memory_bytes;
    holder.hold = worker_hold_of(worker, &holder.why);
    return holder;
}

/* What DEVICE has for WORKER. The holders are the caller's to free. */
static void worker_room_read(const struct worker *worker, const struct device *device,
                             struct room *out)
{
    const struct worker *other = NULL;
    size_t count = 0;

    TAILQ_FOREACH(other, &worker->supervisor->workers, link)
    {
        count++;
    }
    *out = (struct room){.need_bytes = worker->need_bytes};
    device_room(device, out);
    out->holders = xcalloc(count, sizeof(*out->holders));
    TAILQ_FOREACH(other, &worker->supervisor->workers, link)
    {
        if (other == worker || other->device != device)
            continue;
        if (life_has_process(other->state) || worker_comes_before(other, worker))
            out->holders[out->holder_count++] = worker_as_holder(other);
    }
}

static bool room_is_being_left(const struct room *room)
{
    for (size_t i = 0; i < room->holder_count; i++) {
        if (room->holders[i].hold == ROOM_LEAVING)
            return true;
    }
    return false;
}

/* The time for memory to come back counts from when the processes are gone. */
static enum room_return worker_room_return(struct worker *worker, const struct room *room,
                                           int64_t now_ms)
{
    struct worker_room *own = &worker->postponed.room;

    /* What somebody else's end gives back shows with the next measure. */
    if (!own->has_evicted)
        return device_measure_is_old(worker->device) ? ROOM_RETURNING : ROOM_NOTHING_EVICTED;
    if (own->return_until_ms == 0 && !room_is_being_left(room))
        own->return_until_ms = now_ms + worker_room_timeout_ms(worker);
    return own->return_until_ms != 0 && now_ms >= own->return_until_ms ? ROOM_RETURN_OVERDUE
                                                                       : ROOM_RETURNING;
}

bool worker_waits_for_room(const struct worker *worker)
{
    return worker->postponed.answer == DEVICE_ROOM || worker->postponed.answer == DEVICE_NO_ROOM;
}

/* ---- in words ---- */

static void room_list_holders(const struct room *room, char out[HOLDERS_TEXT_BYTES])
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < room->holder_count; i++) {
        const struct room_holder *holder = &room->holders[i];
        char bytes[UNITS_TEXT_BYTES];
        int added = 0;

        units_format_size((uint64_t)holder->bytes, bytes);
        added = snprintf(out + len, HOLDERS_TEXT_BYTES - len, "%s%s holds %s (%s)",
                         i == 0 ? ": " : ", ", holder->name, bytes, holder->why);
        if (len + (size_t)added >= HOLDERS_TEXT_BYTES) {
            (void)snprintf(out + len, HOLDERS_TEXT_BYTES - len, ", and more"); /* or nothing */
            return;
        }
        len += (size_t)added;
    }
}

static void room_explain(const struct room *room, const struct worker *worker, struct err *out)
{
    char need[UNITS_TEXT_BYTES];
    char left[UNITS_TEXT_BYTES];
    char budget[UNITS_TEXT_BYTES];
    char holders[HOLDERS_TEXT_BYTES];

    units_format_size((uint64_t)room->need_bytes, need);
    units_format_size((uint64_t)room_free_bytes(room), left);
    units_format_size((uint64_t)room->budget_bytes, budget);
    room_list_holders(room, holders);
    err_fill(out, ERR_NO_MEMORY, "worker %s needs %s of memory, and %s has %s left of %s%s",
             worker->name, need, worker->device->name, left, budget, holders);
}

void worker_explain_room(const struct worker *worker, struct err *out)
{
    struct room room;

    worker_room_read(worker, worker->device, &room);
    room_explain(&room, worker, out);
    free(room.holders);
}

/* ---- what follows ---- */

static void worker_room_evict(struct worker *worker, const struct room *room)
{
    for (size_t i = 0; i < room->holder_count; i++) {
        struct worker *victim = NULL;

        if (!room->holders[i].is_evicted)
            continue;
        victim = worker_find(worker->supervisor, room->holders[i].name);
        memcpy(victim->evicted_for, worker->name, sizeof(victim->evicted_for));
        worker_stop(victim, WORKER_STOP_EVICTED, 0);
    }
    worker->postponed.room.has_evicted = true;
    worker->postponed.room.return_until_ms = 0;
}

static int64_t worker_room_next_look_ms(const struct worker *worker, const struct room *room,
                                        enum room_verdict verdict, int64_t now_ms)
{
    int64_t until_ms = worker->postponed.room.return_until_ms;

    if (verdict == ROOM_WAIT_RETURN)
        return until_ms == 0 || now_ms + LOOK_AGAIN_MS < until_ms ? now_ms + LOOK_AGAIN_MS
                                                                  : until_ms;
    /* What others on this machine take and give back, nobody tells us. */
    if (room->available_bytes != ROOM_UNLIMITED)
        return now_ms + worker_room_timeout_ms(worker);
    return INT64_MAX;
}

/* A worker that is wanted up starts when there is room; what waits for it now does not wait for
 * that. */
static void worker_room_refuse(struct worker *worker, enum recovery_asker asker, int64_t until_ms,
                               const struct err *why)
{
    worker->postponed.room.has_evicted = false;
    worker_put_off(worker, asker, DEVICE_NO_ROOM, until_ms, why);
}

enum room_verdict worker_room_try(struct worker *worker, const struct device *device,
                                  int64_t *out_free_bytes)
{
    enum room_verdict verdict = ROOM_NONE;
    struct room room;

    worker->need_bytes = worker_need_bytes(worker);
    worker_room_read(worker, device, &room);
    room.returning = ROOM_NOTHING_EVICTED;
    verdict = room_judge(&room);
    *out_free_bytes = room_free_bytes(&room);
    free(room.holders);
    return verdict;
}

bool worker_room_take(struct worker *worker, enum recovery_asker asker)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    enum room_verdict verdict = ROOM_GO;
    struct err why = ERR_INIT;
    struct room room;
    int64_t until_ms = 0;

    worker->need_bytes = worker_need_bytes(worker);
    worker_room_read(worker, worker->device, &room);
    room.returning = worker_room_return(worker, &room, now_ms);
    verdict = room_judge(&room);
    until_ms = worker_room_next_look_ms(worker, &room, verdict, now_ms);
    if (verdict != ROOM_GO)
        room_explain(&room, worker, &why);
    if (verdict == ROOM_NONE)
        worker_room_refuse(worker, asker, until_ms, &why);
    else if (verdict != ROOM_GO)
        worker_postpone(worker, asker, DEVICE_ROOM, until_ms, &why);
    if (verdict == ROOM_EVICT)
        worker_room_evict(worker, &room);
    free(room.holders);
    return verdict == ROOM_GO;
}

/* ---- again ---- */

/* The first that waits for room that may be DEVICE's, and came after TURN. */
static struct worker *worker_next_in_line(const struct device *device, uint64_t turn)
{
    struct worker *worker = NULL;
    struct worker *first = NULL;

    TAILQ_FOREACH(worker, &device->supervisor->workers, link)
    {
        uint64_t own = worker->postponed.room.turn;

        if (worker_may_run_on(worker, device) && worker_waits_for_room(worker) && own > turn &&
            (first == NULL || own < first->postponed.room.turn))
            first = worker;
    }
    return first;
}

void worker_room_look_again(struct device *device)
{
    uint64_t turn = 0;
    struct worker *worker = NULL;

    while (!device->supervisor->is_stopping &&
           (worker = worker_next_in_line(device, turn)) != NULL) {
        turn = worker->postponed.room.turn;
        worker_restart_due(worker);
    }
}

void worker_room_changed(struct worker *worker)
{
    worker_room_learn(worker);
    if (worker->device != NULL && worker_next_in_line(worker->device, 0) != NULL)
        event_active(worker->device->room, EV_TIMEOUT, 0);
}
