/* Owns the room that a worker needs on its devices: who holds it, and what follows when there is
 * not enough: others are evicted, the start waits, or who waits for it is refused. Decides nothing
 * that room.h and split.h decide. */
#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/units.h"
#include "supervisor/split.h"
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

static struct room_holder worker_as_holder(const struct worker *worker, const struct device *device)
{
    struct room_holder holder = {
        .name = worker->name,
        .bytes = worker_bytes_on(worker, device),
        .idle_since_ms = (int64_t)worker->idle_since_ms,
    };

    holder.hold = worker_hold_of(worker, &holder.why);
    return holder;
}

/* Of one device, or of two. */
struct worker_rooms {
    struct room rooms[SPLIT_PARTS];
    const struct device *devices[SPLIT_PARTS];
    size_t count;
};

/* What DEVICE has for WORKER. */
static void worker_room_read(const struct worker *worker, const struct device *device,
                             struct room *out)
{
    const struct worker *other = NULL;
    size_t count = 0;

    TAILQ_FOREACH(other, &worker->supervisor->workers, link)
    {
        count++;
    }
    *out = (struct room){0};
    device_room(device, out);
    out->holders = xcalloc(count, sizeof(*out->holders));
    TAILQ_FOREACH(other, &worker->supervisor->workers, link)
    {
        if (other == worker || !device_set_has(&other->devices, device))
            continue;
        if (life_has_process(other->state) || worker_comes_before(other, worker))
            out->holders[out->holder_count++] = worker_as_holder(other, device);
    }
}

/* What DEVICES have for WORKER, of which nothing was evicted. The caller releases it. */
static void worker_rooms_read(const struct worker *worker, const struct device_set *devices,
                              struct worker_rooms *out)
{
    *out = (struct worker_rooms){.count = devices->count};
    for (size_t i = 0; i < devices->count; i++) {
        out->devices[i] = devices->devices[i];
        worker_room_read(worker, devices->devices[i], &out->rooms[i]);
    }
}

static void worker_rooms_release(struct worker_rooms *rooms)
{
    for (size_t i = 0; i < rooms->count; i++)
        free(rooms->rooms[i].holders);
}

/* Sets what each of them needs. */
static enum room_verdict worker_rooms_judge(const struct worker *worker, struct worker_rooms *rooms)
{
    struct split_need need;

    if (rooms->count < SPLIT_PARTS) {
        rooms->rooms[0].need_bytes = worker_need_bytes(worker);
        return room_judge(&rooms->rooms[0]);
    }
    worker_split_need(worker, &need);
    return split_judge(&need, rooms->rooms);
}

/* A model that cannot be divided between two devices, whatever room they have. */
static bool worker_rooms_are_too_many(const struct worker *worker, const struct worker_rooms *rooms)
{
    struct split_need need;

    if (rooms->count < SPLIT_PARTS)
        return false;
    worker_split_need(worker, &need);
    return need.layer_count < SPLIT_PARTS;
}

static bool room_is_being_left(const struct room *room)
{
    for (size_t i = 0; i < room->holder_count; i++) {
        if (room->holders[i].hold == ROOM_LEAVING)
            return true;
    }
    return false;
}

static bool worker_rooms_are_being_left(const struct worker_rooms *rooms)
{
    bool are_left = false;

    for (size_t i = 0; i < rooms->count; i++)
        are_left = are_left || room_is_being_left(&rooms->rooms[i]);
    return are_left;
}

/* Whether memory of DEVICE may still come back to it. The time for what it has evicted counts from
 * when the processes are gone. */
static enum room_return worker_room_return(const struct worker *worker, const struct device *device,
                                           int64_t now_ms)
{
    const struct worker_room *own = &worker->postponed.room;

    /* What somebody else's end gives back shows with the next measure. */
    if (!own->has_evicted)
        return device_measure_is_old(device) ? ROOM_RETURNING : ROOM_NOTHING_EVICTED;
    return own->return_until_ms != 0 && now_ms >= own->return_until_ms ? ROOM_RETURN_OVERDUE
                                                                       : ROOM_RETURNING;
}

static void worker_rooms_return(struct worker *worker, struct worker_rooms *rooms, int64_t now_ms)
{
    struct worker_room *own = &worker->postponed.room;

    if (own->has_evicted && own->return_until_ms == 0 && !worker_rooms_are_being_left(rooms))
        own->return_until_ms = now_ms + worker_room_timeout_ms(worker);
    for (size_t i = 0; i < rooms->count; i++)
        rooms->rooms[i].returning = worker_room_return(worker, rooms->devices[i], now_ms);
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

static void room_say(const struct room *room, const struct device *device, struct buf *out)
{
    char left[UNITS_TEXT_BYTES];
    char budget[UNITS_TEXT_BYTES];
    char holders[HOLDERS_TEXT_BYTES];

    units_format_size((uint64_t)room_free_bytes(room), left);
    units_format_size((uint64_t)room->budget_bytes, budget);
    room_list_holders(room, holders);
    (void)buf_printf(out, ", and %s has %s left of %s%s", device->name, left, budget, holders);
}

static void worker_rooms_explain(const struct worker *worker, const struct worker_rooms *rooms,
                                 struct err *out)
{
    AUTO_BUF struct buf text = BUF_INIT(SPLIT_PARTS * ERR_MESSAGE_MAX_BYTES); /* it is cut there */
    int64_t need_bytes = 0;
    char need[UNITS_TEXT_BYTES];

    if (worker_rooms_are_too_many(worker, rooms)) {
        err_fill(out, ERR_WORKER_CONFIG,
                 "worker %s: two devices are more than its model has layers", worker->name);
        return;
    }
    for (size_t i = 0; i < rooms->count; i++) {
        if (__builtin_add_overflow(need_bytes, rooms->rooms[i].need_bytes, &need_bytes))
            need_bytes = INT64_MAX;
        room_say(&rooms->rooms[i], rooms->devices[i], &text);
    }
    units_format_size((uint64_t)need_bytes, need);
    err_fill(out, ERR_NO_MEMORY, "worker %s needs %s of memory%s", worker->name, need, text.data);
}

void worker_explain_room(const struct worker *worker, struct err *out)
{
    struct worker_rooms rooms;

    worker_rooms_read(worker, &worker->devices, &rooms);
    (void)worker_rooms_judge(worker, &rooms); /* for what each needs */
    worker_rooms_explain(worker, &rooms, out);
    worker_rooms_release(&rooms);
}

/* ---- what follows ---- */

static void worker_room_evict_from(struct worker *worker, const struct room *room)
{
    for (size_t i = 0; i < room->holder_count; i++) {
        struct worker *victim = NULL;

        if (!room->holders[i].is_evicted)
            continue;
        victim = worker_find(worker->supervisor, room->holders[i].name);
        memcpy(victim->evicted_for, worker->name, sizeof(victim->evicted_for));
        worker_stop(victim, WORKER_STOP_EVICTED, 0);
    }
}

static void worker_room_evict(struct worker *worker, const struct worker_rooms *rooms)
{
    for (size_t i = 0; i < rooms->count; i++)
        worker_room_evict_from(worker, &rooms->rooms[i]);
    worker->postponed.room.has_evicted = true;
    worker->postponed.room.return_until_ms = 0;
}

static int64_t worker_room_next_look_ms(const struct worker *worker,
                                        const struct worker_rooms *rooms, enum room_verdict verdict,
                                        int64_t now_ms)
{
    int64_t until_ms = worker->postponed.room.return_until_ms;

    if (verdict == ROOM_WAIT_RETURN)
        return until_ms == 0 || now_ms + LOOK_AGAIN_MS < until_ms ? now_ms + LOOK_AGAIN_MS
                                                                  : until_ms;
    /* What others on this machine take and give back, nobody tells us. */
    for (size_t i = 0; i < rooms->count; i++) {
        if (rooms->rooms[i].available_bytes != ROOM_UNLIMITED)
            return now_ms + worker_room_timeout_ms(worker);
    }
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

enum room_verdict worker_room_try(const struct worker *worker, const struct device_set *devices,
                                  int64_t *out_free_bytes)
{
    enum room_verdict verdict = ROOM_NONE;
    struct worker_rooms rooms;
    int64_t free_bytes = 0;

    worker_rooms_read(worker, devices, &rooms);
    for (size_t i = 0; i < rooms.count; i++) {
        /* What has ended there just now is still in the measure, and soon in none. */
        if (device_measure_is_old(rooms.devices[i]))
            rooms.rooms[i].available_bytes = ROOM_UNLIMITED;
    }
    verdict = worker_rooms_judge(worker, &rooms);
    for (size_t i = 0; i < rooms.count; i++) {
        if (__builtin_add_overflow(free_bytes, room_free_bytes(&rooms.rooms[i]), &free_bytes))
            free_bytes = INT64_MAX;
    }
    worker_rooms_release(&rooms);
    *out_free_bytes = free_bytes;
    return verdict;
}

/* The verdict on WORKER's start, which is carried out. */
static void worker_room_follow(struct worker *worker, enum recovery_asker asker,
                               enum room_verdict verdict, const struct worker_rooms *rooms,
                               int64_t now_ms)
{
    int64_t until_ms = worker_room_next_look_ms(worker, rooms, verdict, now_ms);
    struct err why = ERR_INIT;

    if (verdict != ROOM_GO)
        worker_rooms_explain(worker, rooms, &why);
    if (verdict == ROOM_NONE)
        worker_room_refuse(worker, asker, until_ms, &why);
    else if (verdict != ROOM_GO)
        worker_postpone(worker, asker, DEVICE_ROOM, until_ms, &why);
    if (verdict == ROOM_EVICT)
        worker_room_evict(worker, rooms);
}

/* Devices that are its own are a fault of its configuration, which its start finds; those that a
 * request wants beyond that fail the request alone. */
static bool worker_start_refuses(const struct worker *worker, const struct worker_rooms *rooms)
{
    return strcmp(worker->next_running.device, worker->options.device) == 0 &&
           worker_rooms_are_too_many(worker, rooms);
}

static void worker_need_plan(struct worker *worker, const struct worker_rooms *rooms)
{
    for (size_t i = 0; i < rooms->count; i++)
        worker->need.bytes[i] = rooms->rooms[i].need_bytes;
}

void worker_room_plan(struct worker *worker)
{
    struct worker_rooms rooms;

    worker_rooms_read(worker, &worker->devices, &rooms);
    (void)worker_rooms_judge(worker, &rooms); /* for what each needs */
    worker_need_plan(worker, &rooms);
    worker_rooms_release(&rooms);
}

bool worker_room_take(struct worker *worker, enum recovery_asker asker)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    enum room_verdict verdict = ROOM_GO;
    struct worker_rooms rooms;

    worker_rooms_read(worker, &worker->devices, &rooms);
    worker_rooms_return(worker, &rooms, now_ms);
    verdict = worker_rooms_judge(worker, &rooms);
    if (worker_start_refuses(worker, &rooms))
        verdict = ROOM_GO;
    worker_need_plan(worker, &rooms);
    worker_room_follow(worker, asker, verdict, &rooms, now_ms);
    worker_rooms_release(&rooms);
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
    worker_need_learn(worker);
    for (size_t i = 0; i < worker->devices.count; i++) {
        const struct device *device = worker->devices.devices[i];

        if (worker_next_in_line(device, 0) != NULL)
            event_active(device->room, EV_TIMEOUT, 0);
    }
}
