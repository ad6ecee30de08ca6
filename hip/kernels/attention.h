/* Attention over the KV store, for a split of a row's positions and some heads that share a key
 * head: each key and value is read once for them.
 *
 * A thread has a token for the scores, so that a wave reads 16 bytes of each of its keys side by
 * side; and for the values a piece of 16 bytes of every so manieth token. Which thread adds what
 * depends on the position of the row alone. */
#ifndef RBEE_HIP_KERNELS_ATTENTION_H
#define RBEE_HIP_KERNELS_ATTENTION_H

#include "hip/kernels/attention_read.h"
#include "hip/kernels/quantise.h"

enum { ATTENTION_SPLIT_BLOCKS = GPU_SPLIT_TOKENS / GPU_KV_BLOCK_TOKENS };

/* The block's threads are the split's tokens, and their pieces of values fill what the queries no
 * longer need. */
GPU_ASSERT((int)GPU_SPLIT_TOKENS == (int)GPU_THREADS_MAX, "a thread has one token");
GPU_ASSERT(GPU_SPLIT_TOKENS *GPU_KEY_DIMS <= GPU_QUERY_FLOATS, "pieces fit");

/* Queries, scaled and padded with zeros, and the blocks of the split. HEADS are those of the
 * variant: what is beyond head_count is zeros, too. */
GPU_DEVICE void attention_begin(const struct attention_work *work, uint32_t heads)
{
    const struct args_attention *a = work->a;
    uint32_t dim = a->kv.head_dim;
    uint32_t padded = a->kv.padded_dim;
    const float *q = a->q + ((uint64_t)work->row * a->head_count + work->first_head) * dim;
    uint32_t block_count =
        (work->end - work->begin + GPU_KV_BLOCK_TOKENS - 1) / GPU_KV_BLOCK_TOKENS;

    for (uint32_t i = gpu_thread(); i < heads * padded; i += gpu_threads()) {
        uint32_t head = i / padded;
        uint32_t d = i % padded;

        work->shared.queries[i] =
            head < work->head_count && d < dim ? a->scale * q[head * dim + d] : 0.0f;
    }
    if (gpu_thread() < block_count)
        work->shared.blocks[gpu_thread()] =
            kv_block(&a->step, work->row, work->begin + gpu_thread() * GPU_KV_BLOCK_TOKENS);
    gpu_barrier();
}

/* The thread's token; others than the row sees are left at minus infinity, whatever lies there. */
GPU_DEVICE void attention_scores(const struct attention_work *work, uint32_t heads)
{
    uint32_t token = gpu_thread();
    bool is_seen = work->begin + token >= work->first && work->begin + token < work->end;
    float sums[GPU_HEADS_PER_BLOCK];

    GPU_UNROLL
    for (uint32_t head = 0; head < heads; head++)
        sums[head] = 0.0f;
    if (is_seen && work->is_q8)
        attention_add_numbers(work, heads, token, sums);
    else if (is_seen)
        attention_add_halves(work, heads, token, sums);
    GPU_UNROLL
    for (uint32_t head = 0; head < heads; head++)
        work->shared.scores[head * GPU_SPLIT_TOKENS + token] =
            is_seen ? gpu_capped(sums[head], work->a->softcap) : -__builtin_inff();
    gpu_barrier();
}

/* Scores to weights, a wave for each head: exp(score - the largest), 0 where nothing is seen. */
GPU_DEVICE void attention_weights(const struct attention_work *work)
{
    for (uint32_t head = gpu_wave(); head < work->head_count; head += gpu_waves()) {
        float *scores = work->shared.scores + head * GPU_SPLIT_TOKENS;
        float largest = -__builtin_inff();
        float total = 0.0f;
        float base;

        for (uint32_t i = gpu_lane(); i < GPU_SPLIT_TOKENS; i += GPU_WAVE)
            largest = gpu_max(largest, scores[i]);
        largest = gpu_max_over(largest, GPU_WAVE);
        base = largest == -__builtin_inff() ? 0.0f : largest; /* infinities have no difference */
        for (uint32_t i = gpu_lane(); i < GPU_SPLIT_TOKENS; i += GPU_WAVE) {
            scores[i] = gpu_exp(scores[i] - base);
            total += scores[i];
        }
        total = gpu_sum_over(total, GPU_WAVE);
        if (gpu_lane() == 0) {
            work->shared.largest[head] = largest;
            work->shared.totals[head] = total;
        }
    }
    gpu_barrier();
}

/* Sums of the thread's piece of the values it reads. */
GPU_DEVICE void attention_values(const struct attention_work *work, uint32_t heads,
                                 float sums[][GPU_KEY_DIMS])
{
    const struct args_attention *a = work->a;
    uint32_t pieces = a->kv.padded_dim / GPU_KEY_DIMS;
    uint32_t readers = gpu_threads() / pieces; /* tokens at a time */
    uint32_t reader = gpu_thread() / pieces;
    uint32_t end = reader < readers ? work->end - work->begin : 0;

    GPU_UNROLL
    for (uint32_t head = 0; head < heads; head++)
        GPU_UNROLL
    for (uint32_t i = 0; i < GPU_KEY_DIMS; i++)
        sums[head][i] = 0.0f;
    for (uint32_t token = work->first - work->begin + reader; token < end;
         token += ATTENTION_LOADS * readers) {
        struct attention_value loads[ATTENTION_LOADS];

        GPU_UNROLL
        for (uint32_t i = 0; i < ATTENTION_LOADS; i++)
            loads[i] = attention_load_value(work, gpu_min_u32(token + i * readers, end - 1),
                                            gpu_thread() % pieces);
        GPU_UNROLL
        for (uint32_t i = 0; i < ATTENTION_LOADS; i++) {
            if (token + i * readers < end)
                attention_add_value(work, heads, token + i * readers, loads[i], sums);
        }
    }
}

/* Where the split's results of a head go, if the row has several. */
GPU_DEVICE float *attention_partial(const struct args_attention *a, uint32_t row, uint32_t head,
                                    uint32_t split)
{
    uint64_t at = ((uint64_t)(row - a->row_begin) * a->head_count + head) * a->split_max + split;

    return a->partials + at * (a->kv.head_dim + 2);
}

/* Adds up what the readers have of each dimension of HEAD in PIECES, and stores it. */
GPU_DEVICE void attention_store(const struct attention_work *work, const float *pieces,
                                uint32_t head, uint32_t split)
{
    const struct args_attention *a = work->a;
    uint32_t padded = a->kv.padded_dim;
    uint32_t readers = gpu_threads() / (padded / GPU_KEY_DIMS);
    uint32_t index = work->first_head + head;
    bool is_whole = work->range.split_count == 1;
    float total = work->shared.totals[head];
    float *to = is_whole ? a->out + ((uint64_t)work->row * a->head_count + index) * a->kv.head_dim
                         : attention_partial(a, work->row, index, split);

    for (uint32_t d = gpu_thread(); d < a->kv.head_dim; d += gpu_threads()) {
        float sum = 0.0f;

        for (uint32_t reader = 0; reader < readers; reader++)
            sum += pieces[reader * padded + d];
        to[d] = is_whole ? sum / total : sum;
    }
    if (!is_whole && gpu_thread() == 0) {
        to[a->kv.head_dim] = work->shared.largest[head];
        to[a->kv.head_dim + 1] = total;
    }
}

/* HEADS is a constant of each variant, so that sums are registers. */
GPU_DEVICE void attention_run(const struct attention_work *work, uint32_t split, uint32_t heads)
{
    float sums[GPU_HEADS_PER_BLOCK][GPU_KEY_DIMS];

    attention_begin(work, heads);
    attention_scores(work, heads);
    attention_weights(work);
    attention_values(work, heads, sums);
    /* By turns in two places, so that one barrier a head is enough. */
    GPU_UNROLL
    for (uint32_t head = 0; head < heads; head++) {
        float *pieces = head % 2 == 0 ? work->shared.queries : work->shared.scores;

        __builtin_memcpy(__builtin_assume_aligned(pieces + gpu_thread() * GPU_KEY_DIMS, 16),
                         sums[head], sizeof(sums[head]));
        gpu_barrier();
        if (head < work->head_count)
            attention_store(work, pieces, head, split);
    }
}

/* What the block has stored of a row's out, as integers. It is read back: for that no head's
 * results have to stay in registers. */
GPU_DEVICE void attention_quantise(const struct attention_work *work)
{
    const struct args_attention *a = work->a;
    uint32_t dim = a->kv.head_dim;
    uint32_t width = work->head_count * dim;
    uint64_t begin = ((uint64_t)work->row * a->head_count + work->first_head) * dim;

    gpu_barrier();
    for (uint32_t first = 0; first < width; first += gpu_threads() * GPU_LANE_COLUMNS) {
        uint32_t at = first + gpu_thread() * GPU_LANE_COLUMNS;
        struct quantise_values values = quantise_load(a->out + begin, at, width);

        quantise_values(&a->quantised, begin + at, at < width, &values);
    }
}

/* Grid: splits, blocks of heads, rows from row_begin on; GPU_THREADS_MAX threads. */
GPU_DEVICE void attention_block(const struct args_attention *a, struct attention_shared shared,
                                bool is_q8)
{
    uint32_t group = a->head_count / a->kv.kv_head_count;
    uint32_t blocks_per_group = (group + a->heads_per_block - 1) / a->heads_per_block;
    uint32_t in_group = gpu_block_y() % blocks_per_group * a->heads_per_block;
    struct attention_work work = {
        .a = a,
        .is_q8 = is_q8,
        .shared = shared,
        .range = attention_range_of(a, a->row_begin + gpu_block_z()),
        .row = a->row_begin + gpu_block_z(),
        .kv_head = gpu_block_y() / blocks_per_group,
    };

    if (gpu_block_x() >= work.range.split_count)
        return;
    work.first_head = work.kv_head * group + in_group;
    work.head_count = gpu_min_u32(group - in_group, a->heads_per_block);
    work.begin = (work.range.first_split + gpu_block_x()) * GPU_SPLIT_TOKENS;
    work.first = work.range.first > work.begin ? work.range.first : work.begin;
    work.end = gpu_min_u32(work.range.end, work.begin + GPU_SPLIT_TOKENS);
    if (work.head_count == 1)
        attention_run(&work, gpu_block_x(), 1);
    else if (work.head_count == 2)
        attention_run(&work, gpu_block_x(), 2);
    else if (work.head_count <= 4)
        attention_run(&work, gpu_block_x(), 4);
    else
        attention_run(&work, gpu_block_x(), GPU_HEADS_PER_BLOCK);
    if (a->quantised.upper != NULL && work.range.split_count == 1)
        attention_quantise(&work);
}

#define ATTENTION(name, is_q8)                                                                     \
    GPU_KERNEL(name, args_attention)                                                               \
    {                                                                                              \
        GPU_SHARED(float, queries, GPU_QUERY_FLOATS);                                              \
        GPU_SHARED(float, scores, GPU_HEADS_PER_BLOCK *GPU_SPLIT_TOKENS);                          \
        GPU_SHARED(float, largest, GPU_HEADS_PER_BLOCK);                                           \
        GPU_SHARED(float, totals, GPU_HEADS_PER_BLOCK);                                            \
        GPU_SHARED(uint32_t, blocks, ATTENTION_SPLIT_BLOCKS);                                      \
        struct attention_shared shared = {queries, scores, largest, totals, blocks};               \
                                                                                                   \
        attention_block(a, shared, is_q8);                                                         \
    }
ATTENTION(attention, false)
ATTENTION(attention_q8, true)
#undef ATTENTION

/* Rows of several splits: their sums, each by how its largest score compares with the largest of
 * all. Grid: heads, rows from row_begin on. */
GPU_KERNEL(attention_combine, args_attention)
{
    uint32_t row = a->row_begin + gpu_block_y();
    uint32_t dim = a->kv.head_dim;
    struct attention_range range = attention_range_of(a, row);
    const float *partial = attention_partial(a, row, gpu_block_x(), 0);
    uint64_t begin = ((uint64_t)row * a->head_count + gpu_block_x()) * dim;
    float largest = -__builtin_inff();
    float total = 0.0f;

    if (range.split_count == 1)
        return;
    for (uint32_t split = 0; split < range.split_count; split++)
        largest = gpu_max(largest, partial[split * (dim + 2) + dim]);
    for (uint32_t split = 0; split < range.split_count; split++)
        total += gpu_exp(partial[split * (dim + 2) + dim] - largest) *
                 partial[split * (dim + 2) + dim + 1];
    /* Threads of a wave go round together, past the end of the head: shuffles need them all. */
    for (uint32_t first = 0; first < dim; first += gpu_threads()) {
        uint32_t d = first + gpu_thread();
        float sum = 0.0f;

        if (d < dim) {
            for (uint32_t split = 0; split < range.split_count; split++)
                sum += gpu_exp(partial[split * (dim + 2) + dim] - largest) *
                       partial[split * (dim + 2) + d];
            sum /= total;
            a->out[begin + d] = sum;
        }
        if (a->quantised.upper != NULL)
            quantise_column(&a->quantised, begin + d, d < dim, sum);
    }
}

#endif
