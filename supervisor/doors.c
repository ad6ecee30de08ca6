/* Owns the order in which sockets and tokens come and go. Knows no route. */
#include "supervisor/doors.h"

#include "common/mem.h"
#include "common/paths.h"
#include "supervisor/api.h"
#include "supervisor/supervisor.h"

#include <assert.h>
#include <string.h>

static bool doors_chose_address(const struct config *config)
{
    return config_origin(config, CONFIG_supervisor_listen) != CONFIG_FROM_DEFAULT;
}

/* What CONFIG wants of the port, given TOKENS; a port that was handed over is wanted. ERR_CONFIG
 * when that would be unsafe. */
static int doors_read_wish(const struct supervisor *supervisor, const struct config *config,
                           const struct tokens *tokens, struct tcp_wish *out, struct err *err)
{
    const char *listen = config_text(config, CONFIG_supervisor_listen);
    const struct handed *handed = &supervisor->handed;

    *out = (struct tcp_wish){.is_required = doors_chose_address(config)};
    if (handed->tcp_fd >= 0)
        out->address = handed->tcp_address;
    else if (strcmp(listen, "off") == 0)
        return 0;
    else if (http_address_parse(listen, &out->address, err) != 0)
        return -1;
    if (auth_check_bind(&out->address, tokens, err) != 0)
        return -1;
    out->is_on = tokens_has_any(tokens);
    return 0;
}

int doors_prepare(struct supervisor *supervisor, struct err *err)
{
    struct auth *auth = &supervisor->auth;
    struct tcp_wish wish;

    if (handed_take(&supervisor->handed, err) != 0)
        return -1;
    supervisor->listener.handed_fd = supervisor->handed.unix_fd;
    supervisor->tcp.handed_fd = supervisor->handed.tcp_fd;
    auth->config = supervisor->config;
    auth->address = &supervisor->tcp.wish.address;
    auth->metrics = &supervisor->metrics;
    if (auth_init(auth, err) != 0)
        return -1;
    supervisor->listener.has_group = auth->has_group;
    supervisor->listener.group = auth->group;
    return doors_read_wish(supervisor, supervisor->config, &auth->tokens, &wish, err);
}

char *doors_socket_path(const struct supervisor *supervisor)
{
    const char *socket = config_text(supervisor->config, CONFIG_supervisor_socket);

    if (supervisor->handed.unix_fd >= 0)
        return xstrdup(supervisor->handed.unix_address.path);
    return socket[0] == '\0' ? paths_socket() : xstrdup(socket);
}

static struct http_limits doors_limits(const struct config *config)
{
    return (struct http_limits){
        .body_max_bytes = (size_t)config_number(config, CONFIG_limits_body),
        .bodies_max_bytes = (size_t)config_number(config, CONFIG_limits_bodies),
        .client_max_count = (unsigned)config_number(config, CONFIG_limits_clients),
        .head_time_ms = (uint64_t)config_number(config, CONFIG_limits_head_time),
        .body_time_ms = (uint64_t)config_number(config, CONFIG_limits_body_time),
        .idle_time_ms = (uint64_t)config_number(config, CONFIG_limits_idle_time),
    };
}

int doors_open(struct supervisor *supervisor, struct err *err)
{
    struct listener *listener = &supervisor->listener;
    struct tcp *tcp = &supervisor->tcp;
    struct tcp_wish wish;

    listener->base = tcp->base = supervisor->base;
    listener->service = tcp->service = &SUPERVISOR_API;
    listener->owner = tcp->owner = supervisor;
    listener->limits = tcp->limits = doors_limits(supervisor->config);
    if (listener_open(listener, err) != 0 ||
        doors_read_wish(supervisor, supervisor->config, &supervisor->auth.tokens, &wish, err) != 0)
        return -1;
    return tcp_apply(tcp, &wish, err);
}

/* The port first: it is the last thing that can fail, and until the tokens are set, who comes in by
 * it needs the old ones. */
int doors_reload(struct supervisor *supervisor, const struct config *config, struct err *err)
{
    struct auth *auth = &supervisor->auth;
    struct tokens tokens;
    struct tcp_wish wish;

    if (tokens_load(&tokens, config, &auth->environment, err) != 0 ||
        doors_read_wish(supervisor, config, &tokens, &wish, err) != 0 ||
        tcp_apply(&supervisor->tcp, &wish, err) != 0)
        return -1;
    audit_tokens_changed(supervisor, &tokens);
    auth_set_tokens(auth, &tokens);
    feed_end_revoked(supervisor);
    pull_end_revoked(supervisor);
    verify_end_revoked(supervisor);
    log_streams_end_revoked(supervisor);
    return 0;
}

void doors_upkeep(struct supervisor *supervisor)
{
    listener_upkeep(&supervisor->listener);
    tcp_upkeep(&supervisor->tcp);
}

void doors_stop(struct supervisor *supervisor)
{
    listener_stop(&supervisor->listener);
    tcp_stop(&supervisor->tcp);
}

unsigned doors_client_count(const struct supervisor *supervisor)
{
    return listener_client_count(&supervisor->listener) + tcp_client_count(&supervisor->tcp);
}

void doors_close(struct supervisor *supervisor)
{
    listener_close(&supervisor->listener);
    tcp_close(&supervisor->tcp);
    handed_release(&supervisor->handed);
}

char *doors_warning(const struct supervisor *supervisor)
{
    const struct tcp *tcp = &supervisor->tcp;
    const char *listen = config_text(supervisor->config, CONFIG_supervisor_listen);

    if (err_is_set(&tcp->failure))
        return xasprintf("%s; supervisor.listen chooses another address", tcp->failure.message);
    if (supervisor->handed.tcp_fd >= 0 && !tcp->wish.is_on)
        return xasprintf("nobody is served on port %u, which was handed over, while there is no "
                         "token: rbee token new",
                         (unsigned)supervisor->handed.tcp_address.port);
    if (doors_chose_address(supervisor->config) && !tcp->wish.is_on && strcmp(listen, "off") != 0)
        return xasprintf("nothing listens on %s while there is no token: rbee token new", listen);
    return NULL;
}
