/* Owns the rules about hosts. Must not know what is asked there. */
#include "fetch/origin.h"

#include "common/units.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum { PORT_MAX = 65535 };

static bool url_has(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return has;
}

static int read_parts(CURLU *url, struct origin *out, struct err *err)
{
    char *scheme = NULL;
    char *host = NULL;
    char *port = NULL;
    int64_t number = 0;
    int result = -1;

    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        err_fill(err, ERR_INVALID, "the URL has no host");
    else if (strcasecmp(scheme, "https") != 0 && strcasecmp(scheme, "http") != 0)
        err_fill(err, ERR_INVALID, "only http:// and https:// are fetched, not %s://", scheme);
    else if (strlen(host) >= sizeof(out->host))
        err_fill(err, ERR_INVALID, "the host of the URL is too long");
    else
        result = units_parse_integer(port, 1, PORT_MAX, &number, err);
    if (result == 0) {
        out->is_https = strcasecmp(scheme, "https") == 0;
        out->port = (int)number;
        for (size_t i = 0; i <= strlen(host); i++)
            out->host[i] = (char)tolower((unsigned char)host[i]);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    return result;
}

int origin_of(const char *url, struct origin *out, struct err *err)
{
    CURLU *parsed = curl_url();
    int result = -1;

    if (parsed == NULL ||
        curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        err_fill(err, ERR_INVALID, "that is no URL");
    else if (url_has(parsed, CURLUPART_USER) || url_has(parsed, CURLUPART_PASSWORD))
        err_fill(err, ERR_INVALID,
                 "a URL with a user or a password in it would be written down in many places");
    else
        result = read_parts(parsed, out, err);
    curl_url_cleanup(parsed);
    return result;
}

bool origin_is_loopback(const struct origin *origin)
{
    unsigned char bytes[4]; /* an address, and no name that begins as one */

    if (inet_pton(AF_INET, origin->host, bytes) == 1)
        return bytes[0] == IN_LOOPBACKNET;
    return strcmp(origin->host, "localhost") == 0 || strcmp(origin->host, "[::1]") == 0;
}

bool origin_may_follow(const struct origin *from, const struct origin *to)
{
    return to->is_https || !from->is_https;
}

bool origin_takes_token(const struct origin *endpoint, const struct origin *to)
{
    return endpoint->is_https == to->is_https && endpoint->port == to->port &&
           strcmp(endpoint->host, to->host) == 0 && (to->is_https || origin_is_loopback(to));
}
