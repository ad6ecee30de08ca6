/* Owns what is measured of a GPU for who wants to judge how fast a model runs there. */
#include "hip/backend/gpu_backend.h"

enum {
    AREA_BYTES = 256 << 20, /* no cache of a GPU is as large */
    AREA_MIN_BYTES = 1 << 20,
    COPY_COUNT = 8,
    US_A_SECOND = 1000000,
};

struct copies {
    void *from;
    void *to;
    uint64_t bytes;
    struct gpu_event *begin;
    struct gpu_event *end;
};

/* Where a model leaves little room, areas are smaller, and the reading is less sure. */
static int copies_init(struct copies *copies, struct gpu_context *context, struct err *err)
{
    for (copies->bytes = AREA_BYTES; copies->bytes >= AREA_MIN_BYTES; copies->bytes /= 2) {
        copies->from = gpu_alloc(context, copies->bytes, err);
        copies->to = copies->from == NULL ? NULL : gpu_alloc(context, copies->bytes, err);
        if (copies->to != NULL || err->kind != ERR_NO_MEMORY)
            break;
        gpu_free(context, copies->from);
        copies->from = NULL;
    }
    if (copies->to == NULL)
        return -1;
    err_clear(err); /* of the larger areas */
    copies->begin = gpu_event_new(context, err);
    copies->end = copies->begin == NULL ? NULL : gpu_event_new(context, err);
    return copies->end == NULL ? -1 : 0;
}

static void copies_release(struct copies *copies, struct gpu_context *context)
{
    gpu_event_free(context, copies->end);
    gpu_event_free(context, copies->begin);
    gpu_free(context, copies->to);
    gpu_free(context, copies->from);
}

static int copies_run(const struct copies *copies, struct gpu_context *context, double *out_us,
                      struct err *err)
{
    if (gpu_zero(context, copies->from, copies->bytes, err) < 0 ||
        gpu_copy(context, copies->to, copies->from, copies->bytes, err) < 0 ||
        gpu_event_record(context, copies->begin, err) < 0)
        return -1;
    for (int i = 0; i < COPY_COUNT; i++) {
        if (gpu_copy(context, copies->to, copies->from, copies->bytes, err) < 0)
            return -1;
    }
    if (gpu_event_record(context, copies->end, err) < 0)
        return -1;
    return gpu_event_elapsed_us(context, copies->begin, copies->end, out_us, err);
}

/* Copying: what is read and what is written both count. */
int gpu_measure_memory(struct backend *backend, double *out, struct err *err)
{
    struct gpu_context *context = gpu_of(backend)->context;
    struct copies copies = {.from = NULL};
    double us = 0;
    int result = copies_init(&copies, context, err);

    if (result == 0)
        result = copies_run(&copies, context, &us, err);
    copies_release(&copies, context);
    if (result == 0)
        *out = 2.0 * COPY_COUNT * (double)copies.bytes * US_A_SECOND / (us > 1 ? us : 1);
    return result;
}

uint64_t gpu_backend_launch_count(const struct backend *backend)
{
    return gpu_launch_count(((const struct gpu_backend *)backend)->context);
}
