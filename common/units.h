/* Durations and sizes as people write them, and numbers as people read them. Pure functions. */
#ifndef RBEE_COMMON_UNITS_H
#define RBEE_COMMON_UNITS_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

/* "500ms", "30s", "5m", "1h"; "0" and "off" are 0. A bare number, a negative or a fraction is
 * refused (ERR_USAGE), as is what does not fit. */
int units_parse_duration(const char *text, uint64_t *out_ms, struct err *err);
/* "4096", "64KiB", "10MiB", "2GiB" (powers of 1,024). */
int units_parse_size(const char *text, uint64_t *out_bytes, struct err *err);
/* A decimal integer in [min, max], nothing around it. */
int units_parse_integer(const char *text, int64_t min, int64_t max, int64_t *out, struct err *err);
/* A finite decimal number in [min, max]; NaN and infinity are refused. */
int units_parse_number(const char *text, double min, double max, double *out, struct err *err);

enum { UNITS_TEXT_BYTES = 24 };
/* As printf does with "%llu", for who writes many. Returns the length. */
size_t units_format_whole(uint64_t number, char out[UNITS_TEXT_BYTES]);
/* "98.4 MB"-style for tables, powers of 1,024 with KiB, MiB, GiB. */
void units_format_size(uint64_t bytes, char out[UNITS_TEXT_BYTES]);
/* "350ms", "12s", "5m03s", "2h10m", "3d4h" */
void units_format_duration(uint64_t ms, char out[UNITS_TEXT_BYTES]);

#endif
