/* The worker's routes: who may call them, and what the small ones answer. */
#ifndef RBEE_HIP_API_H
#define RBEE_HIP_API_H

#include "common/http/http.h"

/* What a server of these routes is made with; the owner is a struct serve. */
extern const struct http_service API_SERVICE;

#endif
