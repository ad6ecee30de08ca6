/* The settings as `rbee config show` lists them. */
#ifndef RBEE_CLI_SETTINGS_H
#define RBEE_CLI_SETTINGS_H

#include <jansson.h>

struct config;

/* An array of SETTING records; the caller owns it. */
json_t *settings_list(const struct config *config);

#endif
