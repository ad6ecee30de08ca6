/* Owns the processes of a history: what each is going to do, and how it shows what it died of. */
#include "tests/history/world.h"

#include <assert.h>
#include <signal.h>

enum { LOAD_STALL_MS = 30000, HANG_MS = 20000 };

static const int64_t NEVER_MS = INT64_MAX;

static enum fault_class world_bad_end(struct world *world)
{
    return (enum fault_class)(1 + world_draw(world, FAULT_CLASS_COUNT - 1));
}

static void script_end_at(struct script *script, enum fault_class fault, int64_t at_ms)
{
    script->ends_by = fault;
    script->end_ms = at_ms;
}

void script_write(struct actor *actor)
{
    struct world *world = actor->world;
    struct script *script = &actor->script;
    enum fault_class fault = FAULT_NONE;
    int64_t after_ms = 0;

    assert(!script->is_there);
    *script = (struct script){.is_there = true,
                              .spawned_ms = world->now_ms,
                              .overdue_ms = NEVER_MS,
                              .hung_ms = NEVER_MS,
                              .end_ms = NEVER_MS,
                              .drained_ms = NEVER_MS,
                              .grace_ms = NEVER_MS};
    script->loaded_ms = world->now_ms + world_some_ms(world) / 4;
    if (!world_chance(world, actor->badness_pct))
        return;
    fault = world_bad_end(world);
    after_ms = world->now_ms + world_some_ms(world);
    if (fault == FAULT_LOAD_TIMEOUT) {
        script->loaded_ms = NEVER_MS;
        script->overdue_ms = after_ms + LOAD_STALL_MS;
    } else if (fault == FAULT_HANG) {
        script->hung_ms = script->loaded_ms + after_ms - world->now_ms + HANG_MS;
    } else {
        script_end_at(script, fault, after_ms);
    }
}

/* How a process shows its class, as worker_watch.c sees it. */
struct fault_signs script_signs(struct world *world, const struct actor *actor)
{
    const struct script *script = &actor->script;
    struct fault_signs signs = {
        .was_asked = actor->life == LIFE_STOPPING || actor->life == LIFE_LOST,
        .ours = script->judged,
        .was_killed_by_us = script->is_killed,
        .exit_code = script->is_killed ? -1 : 0,
        .signal = script->is_killed ? SIGKILL : 0,
        .words_class = "",
    };

    if (script->is_told_to_end)
        return signs;
    switch (script->ends_by) {
    case FAULT_CONFIG:
        signs.exit_code = 10;
        break;
    case FAULT_OOM_HOST:
        signs.kernel_saw_oom = world_chance(world, 50);
        signs.exit_code = signs.kernel_saw_oom ? -1 : 11;
        signs.signal = signs.kernel_saw_oom ? SIGKILL : 0;
        break;
    case FAULT_OOM_DEVICE:
        signs.exit_code = 12;
        break;
    case FAULT_GPU_FAULT:
        signs.exit_code = world_chance(world, 50) ? 13 : -1;
        signs.signal = signs.exit_code < 0 ? SIGABRT : 0;
        signs.words_class = "gpu_fault";
        break;
    case FAULT_KILLED:
        signs.exit_code = -1;
        signs.signal = SIGKILL;
        break;
    default:
        signs.exit_code = world_chance(world, 50) ? 14 : 0;
        break;
    }
    return signs;
}
