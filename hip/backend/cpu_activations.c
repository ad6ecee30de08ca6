/* Owns a matmul's activations as integers: the buffers, and who converts which rows. */
#include "hip/backend/cpu.h"

#include <stdlib.h>
#include <string.h>

static uint32_t strips_of(uint32_t columns)
{
    return (columns + CPU_STRIP - 1) / CPU_STRIP;
}

static int reserve(struct cpu_activations *own, const struct cpu_kernels *kernels,
                   uint64_t strip_count, struct err *err)
{
    if (strip_count <= own->strip_capacity)
        return 0;
    cpu_activations_release(own);
    own->values = host_alloc(strip_count, kernels->group_row_bytes); /* `few` wants no more */
    own->sums = host_alloc(strip_count, 2 * CPU_STRIP_SUMS * sizeof(*own->sums));
    own->units = host_alloc(strip_count, sizeof(*own->units));
    if (own->values == NULL || own->sums == NULL || own->units == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for activations as integers");
    own->strip_capacity = strip_count;
    return 0;
}

uint64_t cpu_activations_bytes(const struct cpu_backend *cpu, uint32_t row_count, uint32_t columns)
{
    uint64_t strips = (uint64_t)(row_count + CPU_GROUP) * strips_of(columns);

    return strips *
           (cpu->kernels->group_row_bytes + 2 * CPU_STRIP_SUMS * sizeof(int16_t) + sizeof(float));
}

struct convert_job {
    const struct cpu_kernels *kernels;
    struct cpu_activations *own;
    const float *x;
    uint32_t row_count;
    uint32_t columns;
    uint32_t group_count;
};

/* Every row for `few`. */
static void convert_rows(const struct convert_job *job)
{
    for (uint32_t strip = 0; strip < strips_of(job->columns); strip++) {
        uint32_t first = strip * CPU_STRIP;
        uint32_t left = job->columns - first;

        for (uint32_t r = 0; r < job->row_count; r++) {
            uint64_t place = (uint64_t)strip * job->row_count + r;

            job->own->units[place] = job->kernels->to_integers(
                job->x + (uint64_t)r * job->columns + first, left < CPU_STRIP ? left : CPU_STRIP,
                job->own->values + place * CPU_STRIP, job->own->sums + place * 2 * CPU_STRIP_SUMS);
        }
    }
}

/* A strip of a group of rows for `many`; rows that are not there are zeroes. */
static void convert_strip(const struct convert_job *job, uint32_t group, uint32_t strip)
{
    _Alignas(HOST_ALIGNMENT) int16_t values[CPU_GROUP][CPU_STRIP];
    int16_t sums[CPU_GROUP][CPU_STRIP_SUMS][2] = {0};
    uint64_t place = ((uint64_t)strip * job->group_count + group) * CPU_GROUP;
    int16_t *sums_of_group = job->own->sums + place * 2 * CPU_STRIP_SUMS;
    uint32_t first = strip * CPU_STRIP;
    uint32_t left = job->columns - first;
    uint32_t rows = job->row_count - group * CPU_GROUP;

    for (uint32_t r = 0; r < CPU_GROUP; r++) {
        const float *x = job->x + (uint64_t)(group * CPU_GROUP + r) * job->columns + first;

        if (r >= rows)
            memset(values[r], 0, sizeof(values[r]));
        job->own->units[place + r] =
            r < rows ? job->kernels->to_integers(x, left < CPU_STRIP ? left : CPU_STRIP, values[r],
                                                 sums[r][0])
                     : 0.0f;
        for (uint32_t i = 0; i < CPU_STRIP_SUMS; i++)
            memcpy(sums_of_group + ((uint64_t)i * CPU_GROUP + r) * 2, sums[r][i],
                   sizeof(sums[r][i]));
    }
    job->kernels->to_group(values[0],
                           (char *)job->own->values + place * job->kernels->group_row_bytes);
}

static void convert_group(void *context, uint32_t group, uint32_t thread)
{
    const struct convert_job *job = context;

    for (uint32_t strip = 0; strip < strips_of(job->columns); strip++)
        convert_strip(job, group, strip);
}

int cpu_activations_convert(struct cpu_backend *cpu, const float *x, uint32_t row_count,
                            uint32_t columns, struct cpu_integers *out, struct err *err)
{
    struct convert_job job = {
        .kernels = cpu->kernels,
        .own = &cpu->activations,
        .x = x,
        .row_count = row_count,
        .columns = columns,
        .group_count = (row_count + CPU_GROUP - 1) / CPU_GROUP,
    };
    struct pool_job pool_job = {
        .task = convert_group, .context = &job, .task_count = job.group_count};
    bool is_few = row_count <= CPU_FEW_ROWS;
    uint64_t rows = is_few ? row_count : (uint64_t)job.group_count * CPU_GROUP;

    if (reserve(job.own, cpu->kernels, rows * strips_of(columns), err) != 0)
        return -1;
    if (is_few)
        convert_rows(&job);
    else
        pool_run(cpu->pool, &pool_job);
    *out = (struct cpu_integers){
        .row_count = row_count,
        .columns = columns,
        .values = job.own->values,
        .sums = job.own->sums,
        .units = job.own->units,
    };
    return 0;
}

void cpu_activations_release(struct cpu_activations *own)
{
    free(own->values);
    free(own->sums);
    free(own->units);
    *own = (struct cpu_activations){0};
}
