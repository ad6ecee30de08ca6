/* Small files of the kernel: one number or one line each. What is not there, cannot be read or is
 * no number is simply unknown: cards differ in what they tell. */
#ifndef RBEE_GPU_SYSFS_H
#define RBEE_GPU_SYSFS_H

#include <stdbool.h>
#include <stddef.h>

enum { SYSFS_PATH_BYTES = 512 };

/* FOLDER/NAME in OUT; false when it would not fit. */
bool sysfs_path(char out[SYSFS_PATH_BYTES], const char *folder, const char *name);
/* The file FOLDER/NAME without blanks at its end, at most SIZE - 1 bytes of it. */
bool sysfs_read(const char *folder, const char *name, char *out, size_t size);
/* A file that is one decimal integer. */
bool sysfs_read_number(const char *folder, const char *name, double *out);
/* The last part of what the link FOLDER/NAME says. */
bool sysfs_read_link_name(const char *folder, const char *name, char *out, size_t size);

/* TEXT is one decimal integer of at most 18 digits. */
bool sysfs_parse_number(const char *text, double *out);
/* Of a table of levels, one a line as "1: 1200Mhz *", the one that is in force: pp_dpm_sclk and its
 * like. */
bool sysfs_parse_level_mhz(const char *text, double *out);

#endif
