/* What config.c (the settings of the program), config_file.c (one file of them) and config_scan.c
 * (its text) share. Nobody else includes this. */
#ifndef RBEE_COMMON_CONFIG_VALUES_H
#define RBEE_COMMON_CONFIG_VALUES_H

#include "common/buf.h"
#include "common/config.h"

enum {
    CONFIG_FILE_MAX_BYTES = 256 * 1024,
    CONFIG_TEXT_MAX_BYTES = 4096, /* of one value: PATH_MAX */
    CONFIG_WORKER_MAX_COUNT = 256,
};

struct config_value {
    char *text; /* of a TEXT key; NULL for the others */
    int64_t number;
    enum config_origin origin;
};

struct config_worker {
    char *name;
    struct config_value values[CONFIG_WORKER_KEY_COUNT];
};

struct config {
    char *path; /* of the one file that was asked for; NULL: the usual ones */
    struct config_value values[CONFIG_KEY_COUNT];
    struct config_worker *workers;
    size_t worker_count;
};

/* Reads TEXT as INFO wants it and puts it in the place of *VALUE, which keeps what it had when that
 * fails. ERR_USAGE says what is wrong, not where. */
int config_value_set(struct config_value *value, const struct config_key_info *info,
                     const char *text, enum config_origin origin, struct err *err);
/* Takes NAME as a worker of CONFIG, all keys at their defaults. The caller has checked that it is
 * new and that there is room. */
struct config_worker *config_add_worker(struct config *config, const char *name);
/* NULL when there is none. */
struct config_worker *config_find_worker(const struct config *config, const char *name);

/* Lays the file PATH over CONFIG. *out_is_missing: there is none, which only the caller can judge.
 * On failure CONFIG may hold a part of it. */
int config_file_read(struct config *config, const char *path, enum config_origin origin,
                     bool *out_is_missing, struct err *err);

/* Blanks out comments in TEXT and refuses what libconfuse would read otherwise than it looks. On
 * failure err says what and *out_line where. */
int config_scan_text(struct buf *text, int *out_line, struct err *err);

#endif
