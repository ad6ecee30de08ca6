/* Connecting, for the connection layer; the rest of addresses is in http.h. */
#ifndef RBEE_COMMON_HTTP_ADDRESS_H
#define RBEE_COMMON_HTTP_ADDRESS_H

#include "common/http/http.h"

#include <stdbool.h>

/* A non-blocking, CLOEXEC socket on its way to ADDRESS, or -1 with errno. *out_is_connecting: it
 * becomes writable once it stands, or has failed. */
int http_address_connect(const struct http_address *address, bool *out_is_connecting);
/* The value of a Host header for ADDRESS. */
enum { HTTP_HOST_MAX_BYTES = 280 };
void http_address_format_host(const struct http_address *address, char out[HTTP_HOST_MAX_BYTES]);

#endif
