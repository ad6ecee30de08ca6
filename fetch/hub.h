/* A repository of models, as the Hugging Face API and its mirrors have it: which files there are,
 * how large, with which SHA-256, and where each is fetched. */
#ifndef RBEE_FETCH_HUB_H
#define RBEE_FETCH_HUB_H

#include "common/err.h"
#include "fetch/choose.h"
#include "fetch/transfer.h"

#include <jansson.h>

/* Adds the files of LISTING, one reply of /tree/, to OUT. Entries that are no files, or whose path
 * is not harmless, are passed over. ERR_PROTOCOL: it is no listing. */
int hub_read_listing(const json_t *listing, struct hub_files *out, struct err *err);
/* Asks for all files of REPO ("ORG/NAME"). The caller releases *out, after a failure too. */
int hub_list(struct transfer *transfer, const char *endpoint, const char *repo,
             struct hub_files *out, struct err *err);
/* Where PATH of REPO is fetched; the caller frees it. */
char *hub_file_url(const char *endpoint, const char *repo, const char *path);

#endif
