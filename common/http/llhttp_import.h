/* llhttp's header beside http.h: both call their methods HTTP_GET and so on, so llhttp's get a
 * prefix while its header is read. Include this, never <llhttp.h>. */
#ifndef RBEE_COMMON_HTTP_LLHTTP_IMPORT_H
#define RBEE_COMMON_HTTP_LLHTTP_IMPORT_H

#define HTTP_DELETE LLHTTP_DELETE
#define HTTP_GET LLHTTP_GET
#define HTTP_HEAD LLHTTP_HEAD
#define HTTP_POST LLHTTP_POST
#define HTTP_PUT LLHTTP_PUT
#define HTTP_OPTIONS LLHTTP_OPTIONS
#include <llhttp.h>
#undef HTTP_DELETE
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_OPTIONS

#endif
