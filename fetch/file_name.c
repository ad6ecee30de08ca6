/* Owns the rules about names of files. Touches no file. */
#include "fetch/file_name.h"

#include "common/mem.h"
#include "common/split_name.h"
#include "common/utf8.h"

#include <curl/curl.h>
#include <stdint.h>
#include <string.h>

bool file_name_is_harmless(const char *name, size_t len)
{
    size_t at = 0;

    if (len == 0 || len > FILE_NAME_MAX_BYTES || name[0] == '.' || name[0] == ' ' || name[0] == '-')
        return false;
    while (at < len) {
        uint32_t codepoint = 0;
        size_t step = utf8_decode(name + at, len - at, &codepoint);

        if (step == 0 || !utf8_is_printable(codepoint) || name[at] == '/' || name[at] == '\\' ||
            name[at] == '\'')
            return false;
        at += step;
    }
    return true;
}

bool file_path_is_harmless(const char *path)
{
    if (strlen(path) > FILE_PATH_MAX_BYTES)
        return false;
    for (;;) {
        size_t len = strcspn(path, "/");

        if (!file_name_is_harmless(path, len))
            return false;
        if (path[len] == '\0')
            return true;
        path += len + 1;
    }
}

const char *file_path_last(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* The last part of URL's path, decoded; "" when there is none. Owned by the caller. */
static char *decode_last(const char *url)
{
    CURLU *parsed = curl_url();
    char *path = NULL;
    char *decoded = NULL;
    char *name = NULL;
    int len = 0;

    if (parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_PATH, &path, 0) == CURLUE_OK) {
        decoded = curl_easy_unescape(NULL, file_path_last(path), 0, &len);
        name = xstrndup(decoded, (size_t)len);
    }
    curl_free(decoded);
    curl_free(path);
    curl_url_cleanup(parsed);
    return name == NULL ? xstrdup("") : name;
}

char *file_name_of_url(const char *url, struct err *err)
{
    AUTO_FREE char *name = decode_last(url);

    if (!file_name_is_harmless(name, strlen(name)))
        return err_set_null(err, ERR_INVALID,
                            "the URL must end in the name of a file: letters, digits and what can "
                            "be printed, not hidden");
    return xasprintf("%s%s", name, split_name_is_gguf(name) ? "" : GGUF_SUFFIX);
}
