/* The figures of a GPU (gpu_figures.def), as rbee-gpu reads them and rbeed keeps them. Unknown is
 * not zero: it is NaN here and null in JSON. */
#ifndef RBEE_COMMON_GPU_FIGURES_H
#define RBEE_COMMON_GPU_FIGURES_H

#include <jansson.h>
#include <stdbool.h>

enum gpu_figure {
#define FIGURE(id, name, kind, min, max) GPU_FIGURE_##id,
#include "common/gpu_figures.def"
#undef FIGURE
    GPU_FIGURE_COUNT,
};

struct gpu_figures {
    double values[GPU_FIGURE_COUNT]; /* NaN: unknown */
};

/* Knows nothing. */
void gpu_figures_init(struct gpu_figures *figures);
/* A VALUE that cannot be makes it unknown. */
void gpu_figures_set(struct gpu_figures *figures, enum gpu_figure figure, double value);
bool gpu_figures_knows(const struct gpu_figures *figures, enum gpu_figure figure);
bool gpu_figures_knows_any(const struct gpu_figures *figures);
/* A new reference: a number, or null. */
json_t *gpu_figures_value(enum gpu_figure figure, double value);
/* Sets a field for each in OBJECT. */
void gpu_figures_to_json(const struct gpu_figures *figures, json_t *object);
/* Takes them out of OBJECT; what is missing there or no number is unknown. */
void gpu_figures_from_json(const json_t *object, struct gpu_figures *out);

#endif
