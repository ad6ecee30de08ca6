/* Owns the words of the Hugging Face API. Must not know what becomes of the files. */
#include "fetch/hub.h"

#include "common/buf.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/split_name.h"
#include "fetch/file_name.h"
#include "fetch/tell.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum {
    HUB_LISTING_MAX_BYTES = 8 << 20, /* of one page: a thousand entries take a tenth of that */
    HUB_PAGES_MAX = 20,
    HUB_FILES_MAX_COUNT = 20000,
    HUB_PATH_ESCAPED_MAX_BYTES = 3 * FILE_PATH_MAX_BYTES,
};

static bool is_sha256(const char *text)
{
    if (text == NULL || strlen(text) != CHECKSUM_TEXT_BYTES - 1)
        return false;
    for (; *text != '\0'; text++) {
        if (!isxdigit((unsigned char)*text))
            return false;
    }
    return true;
}

static int read_entry(const json_t *entry, struct hub_files *out, struct err *err)
{
    const char *type = json_string_value(json_object_get(entry, "type"));
    const char *path = json_string_value(json_object_get(entry, "path"));
    const json_t *size = json_object_get(entry, "size");
    const char *sha256 = json_string_value(json_object_get(json_object_get(entry, "lfs"), "oid"));
    struct hub_file *file = NULL;

    if (type == NULL || path == NULL)
        return err_set(err, ERR_PROTOCOL, "an entry of its listing has no type or no path");
    if (strcmp(type, "file") != 0 || !split_name_is_gguf(path) || !file_path_is_harmless(path))
        return 0;
    if (json_integer_value(size) <= 0)
        return err_set(err, ERR_PROTOCOL, "its listing does not say how large %s is", path);
    if (out->count == HUB_FILES_MAX_COUNT)
        return err_set(err, ERR_PROTOCOL, "its listing has more than %d models",
                       HUB_FILES_MAX_COUNT);
    out->files = xgrow(out->files, out->count, sizeof(*out->files));
    file = &out->files[out->count++];
    *file = (struct hub_file){.path = xstrdup(path), .size_bytes = json_integer_value(size)};
    for (size_t i = 0; is_sha256(sha256) && i < CHECKSUM_TEXT_BYTES - 1; i++)
        file->sha256[i] = (char)tolower((unsigned char)sha256[i]);
    return 0;
}

int hub_read_listing(const json_t *listing, struct hub_files *out, struct err *err)
{
    const json_t *entry = NULL;
    size_t index = 0;

    if (!json_is_array(listing))
        return err_set(err, ERR_PROTOCOL, "its listing is no list");
    json_array_foreach(listing, index, entry)
    {
        if (read_entry(entry, out, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- asking ---- */

static int on_head(void *owner, const struct transfer_head *head, struct err *err)
{
    struct buf *page = owner;

    buf_clear(page);
    if (head->status != 200)
        return err_set(err, ERR_PROTOCOL, "the server answers with status %ld", head->status);
    return 0;
}

static int on_body(void *owner, const void *data, size_t len, struct err *err)
{
    if (buf_add(owner, data, len) == 0)
        return 0;
    return err_set(err, ERR_PROTOCOL, "its listing has more than %d bytes", HUB_LISTING_MAX_BYTES);
}

static int get_page(struct transfer *transfer, const char *url, struct hub_files *out,
                    struct err *err)
{
    AUTO_BUF struct buf page = BUF_INIT(HUB_LISTING_MAX_BYTES);
    AUTO_JSON json_t *listing = NULL;
    const struct transfer_request request = {
        .url = url, .on_head = on_head, .on_body = on_body, .owner = &page};

    if (transfer_get(transfer, &request, err) < 0)
        return -1;
    listing = json_parse(page.data, page.len, HUB_LISTING_MAX_BYTES, err);
    if (listing == NULL) {
        err->kind = ERR_PROTOCOL;
        return err_wrap(err, "the listing of the repository");
    }
    return hub_read_listing(listing, out, err);
}

/* A listing sends nobody anywhere else, as one does that a mirror has passed on without a look. */
static char *next_page(struct transfer *transfer, const char *endpoint)
{
    AUTO_FREE char *url = transfer_next_link(transfer);
    size_t len = strlen(endpoint);

    if (url == NULL)
        return NULL;
    if (strncmp(url, endpoint, len) == 0 && url[len] == '/')
        return take_ptr(url);
    tell_note("the listing goes on at another place, which is not asked: files may be missing");
    return NULL;
}

int hub_list(struct transfer *transfer, const char *endpoint, const char *repo,
             struct hub_files *out, struct err *err)
{
    AUTO_FREE char *url = xasprintf("%s/api/models/%s/tree/main?recursive=true", endpoint, repo);

    *out = (struct hub_files){.files = NULL};
    for (int page = 0; url != NULL; page++) {
        char *next = NULL;

        if (page == HUB_PAGES_MAX)
            return err_set(err, ERR_PROTOCOL, "its listing has more than %d pages", HUB_PAGES_MAX);
        if (get_page(transfer, url, out, err) < 0)
            return -1;
        next = next_page(transfer, endpoint);
        free(url);
        url = next;
    }
    return 0;
}

/* All but what needs no escape anywhere, and the slashes. */
static void escape_path(const char *path, struct buf *out)
{
    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;

        if ((isascii(c) && isalnum(c)) || strchr("/._-~", c) != NULL)
            (void)buf_add_byte(out, *path); /* the maximum is enough for the longest path */
        else
            (void)buf_printf(out, "%%%02X", c);
    }
}

char *hub_file_url(const char *endpoint, const char *repo, const char *path)
{
    AUTO_BUF struct buf escaped = BUF_INIT(HUB_PATH_ESCAPED_MAX_BYTES);

    escape_path(path, &escaped);
    return xasprintf("%s/%s/resolve/main/%s", endpoint, repo, escaped.data);
}
