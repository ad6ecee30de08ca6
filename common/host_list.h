/* Lists of hosts and origins in the configuration: words with blanks or commas between them. */
#ifndef RBEE_COMMON_HOST_LIST_H
#define RBEE_COMMON_HOST_LIST_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Names and numeric addresses, with a port where only that one is meant: "gpu.lan [fd00::1]:7833".
 * ERR_USAGE names the word that is none. */
int host_list_check_hosts(const char *list, struct err *err);
/* As browsers send them: "https://chat.lan http://10.0.0.5:8080". */
int host_list_check_origins(const char *list, struct err *err);
/* Whether the LEN bytes of WORD are one of LIST's, in any case. */
bool host_list_has(const char *list, const char *word, size_t len);
/* How much of "HOST:PORT" is the host; brackets of an IPv6 address belong to it. */
size_t host_list_host_len(const char *authority);

#endif
