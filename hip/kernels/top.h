/* The most probable tokens of rows of logits, without anything being sorted as a whole.
 *
 *   top_slices(struct args_top): of each slice of GPU_TOP_SLICE tokens, to lists
 *   grid   x: slices   y: rows
 *   block  GPU_THREADS_MAX
 *   writes lists [row][slice][list]
 *
 *   top_merge(struct args_top): of the slices' lists
 *   grid   x: rows
 *   block  GPU_THREADS_MAX
 *   writes out [row][count]
 *
 * An entry is a candidate of hip/text/candidates.h: it orders as the logits do, and of equal ones
 * as the ids do, the other way round; no two are alike, so there is one right result. A logit that
 * is a fault makes the largest entry of all, and so the first of its row.
 *
 * Entries lie in runs of as many as are wanted (a power of 2), sorted, by turns falling and rising.
 * Of two neighbours the larger of each two entries in the same place are the largest of both, in a
 * bitonic order, which log2(run) steps sort: https://doi.org/10.1145/1468075.1468121 (Batcher
 * 1968), and for the largest alone https://doi.org/10.1145/3183713.3183735 (Shanbhag et al. 2018).
 */
#ifndef RBEE_HIP_KERNELS_TOP_H
#define RBEE_HIP_KERNELS_TOP_H

#include "hip/kernels/gpu.h"

/* Entries that each thread of a block brings. */
enum { TOP_LOADS = GPU_TOP_SLICE / GPU_THREADS_MAX };

GPU_DEVICE uint32_t top_load_at(uint32_t index)
{
    return index * GPU_THREADS_MAX + gpu_thread();
}

/* In bits alone, as floats mean nothing here: a compiler may think that there are no NaN. */
GPU_DEVICE uint64_t top_entry(float logit, uint32_t token)
{
    uint32_t bits = gpu_float_to_bits(logit);

    if (bits == 0xff800000) /* -infinity: never to come */
        return 0;
    if ((bits & 0x7fffffff) >= 0x7f800000) /* infinity, NaN */
        return ~(uint64_t)0;
    if (bits == 0x80000000) /* -0 is as large as 0 */
        bits = 0;
    bits = (bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000;
    return (uint64_t)bits << 32 | (uint32_t)~token;
}

/* Where entry AT of runs side by side is, when each begins SPREAD runs behind the one before. */
GPU_DEVICE uint32_t top_place(uint32_t at, uint32_t list, uint32_t spread)
{
    return (at & ~(list - 1)) * spread + (at & (list - 1));
}

/* One step of sorting COUNT entries in runs of LIST: each two that lie STRIDE apart are put in
 * order, falling where bit TURN of the place is 0, else rising. */
GPU_DEVICE void top_step(uint64_t *entries, uint32_t count, uint32_t list, uint32_t spread,
                         uint32_t stride, uint32_t turn)
{
    for (uint32_t pair = gpu_thread(); pair < count / 2; pair += gpu_threads()) {
        uint32_t at = top_place(2 * pair - (pair & (stride - 1)), list, spread);
        uint64_t first = entries[at];
        uint64_t second = entries[at + stride];

        if ((first < second) == ((at & turn) == 0)) {
            entries[at] = second;
            entries[at + stride] = first;
        }
    }
    gpu_barrier();
}

GPU_DEVICE void top_sort_runs(uint64_t *entries, uint32_t list)
{
    for (uint32_t size = 2; size <= list; size *= 2) {
        for (uint32_t stride = size / 2; stride > 0; stride /= 2)
            top_step(entries, GPU_TOP_SLICE, list, 1, stride, size);
    }
}

/* RUNS of them, a power of 2, become one, falling. */
GPU_DEVICE void top_reduce_runs(uint64_t *entries, uint32_t list, uint32_t runs)
{
    for (uint32_t spread = 2; spread <= runs; spread *= 2) {
        uint32_t count = runs / spread * list;
        uint32_t other = spread / 2 * list;

        for (uint32_t i = gpu_thread(); i < count; i += gpu_threads()) {
            uint32_t at = top_place(i, list, spread);

            if (entries[at] < entries[at + other])
                entries[at] = entries[at + other];
        }
        gpu_barrier();
        for (uint32_t stride = list / 2; stride > 0; stride /= 2)
            top_step(entries, count, list, spread, stride, spread * list);
    }
}

/* The block's slice of a row. Its loads are under way together. */
GPU_DEVICE void top_load_slice(const struct args_top *a, uint64_t *entries)
{
    const float *logits = a->logits + (uint64_t)gpu_block_y() * a->width;
    uint32_t first = gpu_block_x() * GPU_TOP_SLICE;
    float loads[TOP_LOADS];

    GPU_UNROLL
    for (uint32_t i = 0; i < TOP_LOADS; i++)
        loads[i] = logits[gpu_min_u32(first + top_load_at(i), a->token_count - 1)];
    GPU_UNROLL
    for (uint32_t i = 0; i < TOP_LOADS; i++) {
        uint32_t token = first + top_load_at(i);

        entries[top_load_at(i)] = token < a->token_count ? top_entry(loads[i], token) : 0;
    }
    gpu_barrier();
}

GPU_KERNEL(top_slices, args_top)
{
    GPU_SHARED(uint64_t, entries, GPU_TOP_SLICE);
    uint64_t *list =
        a->lists + ((uint64_t)gpu_block_y() * a->slice_count + gpu_block_x()) * a->list;

    top_load_slice(a, entries);
    top_sort_runs(entries, a->list);
    top_reduce_runs(entries, a->list, GPU_TOP_SLICE / a->list);
    for (uint32_t i = gpu_thread(); i < a->list; i += gpu_threads())
        list[i] = entries[i];
}

/* Lists of the row from FIRST on to runs from FROM on, as many as there are or have room; behind
 * them, up to a power of 2, runs of nothing. Returns the runs there are then. */
GPU_DEVICE uint32_t top_load_lists(const struct args_top *a, uint64_t *entries, uint32_t first,
                                   uint32_t from)
{
    const uint64_t *lists = a->lists + (uint64_t)gpu_block_x() * a->slice_count * a->list;
    uint32_t wanted = gpu_min_u32(GPU_TOP_SLICE / a->list, from + a->slice_count - first);
    uint32_t runs = 1;
    uint64_t loads[TOP_LOADS];

    while (runs < wanted)
        runs *= 2;
    GPU_UNROLL
    for (uint32_t i = 0; i < TOP_LOADS; i++) {
        uint32_t run = top_load_at(i) / a->list;
        uint32_t in_run = top_load_at(i) & (a->list - 1);
        uint64_t list = gpu_min_u32(first + run - from, a->slice_count - 1);

        if ((run & 1) != 0)
            in_run = a->list - 1 - in_run;
        loads[i] = lists[list * a->list + in_run];
    }
    GPU_UNROLL
    for (uint32_t i = 0; i < TOP_LOADS; i++) {
        uint32_t at = top_load_at(i);

        if (at >= from * a->list && at < runs * a->list)
            entries[at] = at < wanted * a->list ? loads[i] : 0;
    }
    gpu_barrier();
    return runs;
}

/* As many lists at a time as there is room for; the first run then is what those before have left.
 */
GPU_KERNEL(top_merge, args_top)
{
    GPU_SHARED(uint64_t, entries, GPU_TOP_SLICE);
    uint64_t *out = a->out + (uint64_t)gpu_block_x() * a->count;
    uint32_t room = GPU_TOP_SLICE / a->list;
    uint32_t from = 0;

    for (uint32_t first = 0; first < a->slice_count; first += room - from, from = 1)
        top_reduce_runs(entries, a->list, top_load_lists(a, entries, first, from));
    for (uint32_t i = gpu_thread(); i < a->count; i += gpu_threads())
        out[i] = entries[i];
}

#endif
