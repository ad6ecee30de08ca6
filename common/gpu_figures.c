/* Owns which values of a figure can be, and what figures look like in JSON. Must not know where
 * they come from. */
#include "common/gpu_figures.h"

#include "common/attr.h"

#include <math.h>

static const struct gpu_figure_row {
    const char *name;
    bool is_whole;
    double min;
    double max;
} FIGURES[] = {
#define WHOLE true
#define REAL false
#define FIGURE(id, name, kind, min, max) {#name, kind, min, max},
#include "common/gpu_figures.def"
#undef FIGURE
#undef WHOLE
#undef REAL
};

void gpu_figures_init(struct gpu_figures *figures)
{
    for (size_t i = 0; i < GPU_FIGURE_COUNT; i++)
        figures->values[i] = NAN;
}

void gpu_figures_set(struct gpu_figures *figures, enum gpu_figure figure, double value)
{
    bool can_be = value >= FIGURES[figure].min && value <= FIGURES[figure].max; /* NaN is neither */

    figures->values[figure] = can_be ? value : NAN;
}

bool gpu_figures_knows(const struct gpu_figures *figures, enum gpu_figure figure)
{
    return !isnan(figures->values[figure]);
}

bool gpu_figures_knows_any(const struct gpu_figures *figures)
{
    for (int i = 0; i < GPU_FIGURE_COUNT; i++) {
        if (gpu_figures_knows(figures, (enum gpu_figure)i))
            return true;
    }
    return false;
}

json_t *gpu_figures_value(enum gpu_figure figure, double value)
{
    if (isnan(value))
        return json_null();
    return FIGURES[figure].is_whole ? json_integer(llround(value)) : json_real(value);
}

void gpu_figures_to_json(const struct gpu_figures *figures, json_t *object)
{
    for (int i = 0; i < GPU_FIGURE_COUNT; i++)
        (void)json_object_set_new(object, FIGURES[i].name,
                                  gpu_figures_value((enum gpu_figure)i, figures->values[i]));
}

void gpu_figures_from_json(const json_t *object, struct gpu_figures *out)
{
    gpu_figures_init(out);
    for (int i = 0; i < GPU_FIGURE_COUNT; i++) {
        const json_t *value = json_object_get(object, FIGURES[i].name);

        if (json_is_number(value))
            gpu_figures_set(out, (enum gpu_figure)i, json_number_value(value));
    }
}
