/* Owns what the driver amdgpu tells in sysfs and hwmon (the kernel's documents "amdgpu: GPU
 * power/thermal controls and monitoring" and "hwmon sysfs interface"). */
#include "gpu/card.h"

#include "common/attr.h"
#include "gpu/amd_names.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum {
    MILLI = 1000,
    MICRO = 1000000,
    LEVELS_BYTES = 1024, /* a table of a dozen levels */
    TEMPERATURE_MAX_COUNT = 8,
    CLOCK_MAX_COUNT = 4,
    FAN_FULL = 255, /* of pwm1, as hwmon has it */
    PERCENT = 100,
    ENTRY_BYTES = 32,
};

static void read_figure(const char *folder, const char *name, double unit, enum gpu_figure figure,
                        struct gpu_figures *out)
{
    double value = 0;

    if (!gpu_figures_knows(out, figure) && sysfs_read_number(folder, name, &value))
        gpu_figures_set(out, figure, value / unit);
}

/* The figure of the Nth entry of KIND whose label is LABEL, as temp2_label says "junction". */
static void read_labelled(const char *folder, const char *kind, int max_count, const char *label,
                          double unit, enum gpu_figure figure, struct gpu_figures *out)
{
    for (int i = 1; i <= max_count; i++) {
        char name[ENTRY_BYTES];
        char text[CARD_TEXT_BYTES];

        (void)snprintf(name, sizeof(name), "%s%d_label", kind, i);
        if (!sysfs_read(folder, name, text, sizeof(text)) || strcmp(text, label) != 0)
            continue;
        (void)snprintf(name, sizeof(name), "%s%d_input", kind, i);
        read_figure(folder, name, unit, figure, out);
    }
}

static void read_fan_share(const char *folder, struct gpu_figures *out)
{
    double pwm = 0;
    double max = FAN_FULL;

    if (!sysfs_read_number(folder, "pwm1", &pwm))
        return;
    (void)sysfs_read_number(folder, "pwm1_max", &max); /* 255 where it is not told */
    if (max > 0)
        gpu_figures_set(out, GPU_FIGURE_FAN_SHARE, pwm * PERCENT / max);
}

static void read_hwmon(const char *folder, struct gpu_figures *out)
{
    read_labelled(folder, "temp", TEMPERATURE_MAX_COUNT, "edge", MILLI, GPU_FIGURE_TEMPERATURE,
                  out);
    read_labelled(folder, "temp", TEMPERATURE_MAX_COUNT, "junction", MILLI, GPU_FIGURE_JUNCTION,
                  out);
    /* Older cards have one sensor and no label. */
    read_figure(folder, "temp1_input", MILLI, GPU_FIGURE_TEMPERATURE, out);
    read_figure(folder, "power1_average", MICRO, GPU_FIGURE_POWER, out);
    read_figure(folder, "power1_input", MICRO, GPU_FIGURE_POWER, out);
    read_figure(folder, "power1_cap", MICRO, GPU_FIGURE_POWER_LIMIT, out);
    read_labelled(folder, "freq", CLOCK_MAX_COUNT, "sclk", MICRO, GPU_FIGURE_CORE_CLOCK, out);
    read_labelled(folder, "freq", CLOCK_MAX_COUNT, "mclk", MICRO, GPU_FIGURE_MEMORY_CLOCK, out);
    read_figure(folder, "freq1_input", MICRO, GPU_FIGURE_CORE_CLOCK, out);
    read_figure(folder, "fan1_input", 1, GPU_FIGURE_FAN, out);
    read_fan_share(folder, out);
}

/* The one folder hwmon/hwmonN of the card. */
static bool find_hwmon(const struct card *card, char out[SYSFS_PATH_BYTES])
{
    char folder[SYSFS_PATH_BYTES];
    DIR *dir = sysfs_path(folder, card->folder, "hwmon") ? opendir(folder) : NULL;
    const struct dirent *entry = NULL;
    bool is_found = false;

    while (dir != NULL && !is_found && (entry = readdir(dir)) != NULL)
        is_found = strncmp(entry->d_name, "hwmon", strlen("hwmon")) == 0 &&
                   sysfs_path(out, folder, entry->d_name);
    if (dir != NULL)
        (void)closedir(dir); /* it was only read */
    return is_found;
}

static void read_level(const struct card *card, const char *name, enum gpu_figure figure,
                       struct gpu_figures *out)
{
    char levels[LEVELS_BYTES];
    double mhz = 0;

    if (!gpu_figures_knows(out, figure) && sysfs_read(card->folder, name, levels, sizeof(levels)) &&
        sysfs_parse_level_mhz(levels, &mhz))
        gpu_figures_set(out, figure, mhz);
}

/* Boards for servers tell their name; for others there is libdrm's table. */
static void read_name(const struct card_world *world, const struct card *card,
                      char out[CARD_TEXT_BYTES])
{
    char device[CARD_TEXT_BYTES];
    char revision[CARD_TEXT_BYTES];

    if (sysfs_read(card->folder, "product_name", out, CARD_TEXT_BYTES) && out[0] != '\0')
        return;
    out[0] = '\0';
    if (!sysfs_read(card->folder, "device", device, sizeof(device)) || device[0] == '\0')
        return;
    if (!sysfs_read(card->folder, "revision", revision, sizeof(revision)) ||
        !amd_names_find(world->root, device, revision, out))
        (void)snprintf(out, CARD_TEXT_BYTES, "AMD GPU %.16s", device);
}

static void amdgpu_read(struct card_world *world, const struct card *card, struct card_reading *out)
{
    char hwmon[SYSFS_PATH_BYTES];
    struct gpu_figures *figures = &out->figures;

    read_figure(card->folder, "gpu_busy_percent", 1, GPU_FIGURE_BUSY, figures);
    read_figure(card->folder, "mem_info_vram_used", 1, GPU_FIGURE_MEMORY_USED, figures);
    read_figure(card->folder, "mem_info_vram_total", 1, GPU_FIGURE_MEMORY_TOTAL, figures);
    read_figure(card->folder, "mem_info_gtt_used", 1, GPU_FIGURE_GTT_USED, figures);
    read_figure(card->folder, "mem_info_gtt_total", 1, GPU_FIGURE_GTT_TOTAL, figures);
    if (find_hwmon(card, hwmon))
        read_hwmon(hwmon, figures);
    read_level(card, "pp_dpm_sclk", GPU_FIGURE_CORE_CLOCK, figures);
    read_level(card, "pp_dpm_mclk", GPU_FIGURE_MEMORY_CLOCK, figures);
    read_name(world, card, out->name);
}

const struct card_vendor CARD_AMD = {
    .name = "amd",
    .driver = "amdgpu",
    .list_folder = "sys/class/drm",
    .list_prefix = "card",
    .pci_link = "device",
    .read = amdgpu_read,
};
