/* Owns the reading of amdgpu.ids. */
#include "gpu/amd_names.h"

#include "common/attr.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 256 };

static const char *skip_blanks(const char *text)
{
    while (isblank((unsigned char)*text))
        text++;
    return text;
}

/* What stands behind ID, which sysfs writes as 0x744c, and a comma; NULL: another one. */
static const char *skip_id(const char *line, const char *id)
{
    size_t len = 0;

    if (strncmp(id, "0x", 2) == 0)
        id += 2;
    len = strlen(id);
    line = skip_blanks(line);
    if (len == 0 || strncasecmp(line, id, len) != 0)
        return NULL;
    line = skip_blanks(line + len);
    return *line == ',' ? line + 1 : NULL;
}

bool amd_names_match(const char *line, const char *device, const char *revision,
                     char out[CARD_TEXT_BYTES])
{
    const char *rest = skip_id(line, device);
    size_t len = 0;

    rest = rest == NULL ? NULL : skip_id(rest, revision);
    if (rest == NULL)
        return false;
    rest = skip_blanks(rest);
    len = strcspn(rest, "\r\n");
    while (len > 0 && isblank((unsigned char)rest[len - 1]))
        len--;
    if (len == 0 || len >= CARD_TEXT_BYTES)
        return false;
    memcpy(out, rest, len);
    out[len] = '\0';
    return true;
}

bool amd_names_find(const char *root, const char *device, const char *revision,
                    char out[CARD_TEXT_BYTES])
{
    char path[SYSFS_PATH_BYTES];
    AUTO_FCLOSE FILE *file =
        sysfs_path(path, root, "usr/share/libdrm/amdgpu.ids") ? fopen(path, "re") : NULL;
    char line[LINE_BYTES];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (amd_names_match(line, device, revision, out))
            return true;
    }
    return false;
}
