/* Owns servers whose socket is gone. Knows nothing of why. */
#include "supervisor/retired.h"

#include <stddef.h>

/* Closes the gap at INDEX. */
static void retired_drop(struct retired *retired, size_t index)
{
    http_server_free(retired->servers[index]);
    for (size_t i = index; i + 1 < RETIRED_MAX_COUNT; i++)
        retired->servers[i] = retired->servers[i + 1];
    retired->servers[RETIRED_MAX_COUNT - 1] = NULL;
}

void retired_add(struct retired *retired, struct http_server *server)
{
    size_t place = 0;

    if (retired->servers[RETIRED_MAX_COUNT - 1] != NULL)
        retired_drop(retired, 0);
    while (retired->servers[place] != NULL)
        place++;
    retired->servers[place] = server;
    http_server_stop_accepting(server);
}

void retired_upkeep(struct retired *retired)
{
    for (size_t i = RETIRED_MAX_COUNT; i-- > 0;) {
        if (retired->servers[i] != NULL && http_server_client_count(retired->servers[i]) == 0)
            retired_drop(retired, i);
    }
}

unsigned retired_client_count(const struct retired *retired)
{
    unsigned count = 0;

    for (size_t i = 0; i < RETIRED_MAX_COUNT; i++) {
        if (retired->servers[i] != NULL)
            count += http_server_client_count(retired->servers[i]);
    }
    return count;
}

void retired_release(struct retired *retired)
{
    while (retired->servers[0] != NULL)
        retired_drop(retired, 0);
}
