/* One line an event on stderr: time, level, event name, key=value... Foreign text is escaped and
 * cut. Never prompts, completions, tokens or secrets.
 *
 *     log_event(LOG_INFO, "worker_ready", "name=%s pid=%d", name, pid);
 *
 * A value that has a blank, a quote, a backslash or anything that cannot be printed in it stands in
 * double quotes: \" and \\ are those two, \xNN is a byte. Any other value stands as it is and may
 * be empty. So a line splits at blanks outside of quotes, and each part at its first "=". */
#ifndef RBEE_COMMON_LOG_H
#define RBEE_COMMON_LOG_H

#include "common/attr.h"

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
bool log_is_enabled(enum log_level level);
/* FORMAT is "key=value key=value", its values text or the conversions that log_convert() knows, and
 * never quotes: they are put where they are needed. The line is cut at 4 KiB, between fields or
 * inside a value. */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
