/* One line an event on stderr: time, level, event name, key=value... Foreign text is escaped and
 * cut. Never prompts, completions, tokens or secrets.
 *
 *     log_event(LOG_INFO, "worker_ready", "name=%s pid=%d", name, pid);
 */
#ifndef RBEE_COMMON_LOG_H
#define RBEE_COMMON_LOG_H

#include "common/attr.h"

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
bool log_is_enabled(enum log_level level);
/* FORMAT gives the "key=value" part; control characters in the result are written as \xNN, and the
 * line is cut at 4 KiB. */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
