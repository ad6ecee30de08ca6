/* Owns the reading of small files and of the numbers in them. Knows no driver. */
#include "gpu/sysfs.h"

#include "common/attr.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NUMBER_BYTES = 32,
    DIGITS_MAX_COUNT = 18, /* fit into 63 bits */
};

bool sysfs_path(char out[SYSFS_PATH_BYTES], const char *folder, const char *name)
{
    int len = snprintf(out, SYSFS_PATH_BYTES, "%s/%s", folder, name);

    return len > 0 && len < SYSFS_PATH_BYTES;
}

/* Such a file comes with one read. */
bool sysfs_read(const char *folder, const char *name, char *out, size_t size)
{
    char path[SYSFS_PATH_BYTES];
    AUTO_CLOSE int fd = sysfs_path(path, folder, name) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t len = fd < 0 ? -1 : read(fd, out, size - 1);

    if (len <= 0)
        return false;
    while (len > 0 && isspace((unsigned char)out[len - 1]))
        len--;
    out[len] = '\0';
    return true;
}

bool sysfs_parse_number(const char *text, double *out)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t count = strspn(digits, "0123456789");

    if (count == 0 || count > DIGITS_MAX_COUNT || digits[count] != '\0')
        return false;
    *out = (double)strtoll(text, NULL, 10);
    return true;
}

bool sysfs_read_number(const char *folder, const char *name, double *out)
{
    char text[NUMBER_BYTES];

    return sysfs_read(folder, name, text, sizeof(text)) && sysfs_parse_number(text, out);
}

bool sysfs_read_link_name(const char *folder, const char *name, char *out, size_t size)
{
    char path[SYSFS_PATH_BYTES];
    char target[SYSFS_PATH_BYTES];
    ssize_t len = sysfs_path(path, folder, name) ? readlink(path, target, sizeof(target) - 1) : -1;
    const char *last = NULL;

    if (len <= 0)
        return false;
    target[len] = '\0';
    last = strrchr(target, '/');
    last = last == NULL ? target : last + 1;
    if (last[0] == '\0' || strlen(last) >= size)
        return false;
    memcpy(out, last, strlen(last) + 1);
    return true;
}

/* "1: 1200Mhz" in LINE, whose end is END. */
static bool level_parse_mhz(const char *line, const char *end, double *out)
{
    char digits[NUMBER_BYTES];
    const char *colon = memchr(line, ':', (size_t)(end - line));
    size_t count = 0;

    if (colon == NULL)
        return false;
    colon++;
    while (colon < end && *colon == ' ')
        colon++;
    while (colon + count < end && count + 1 < sizeof(digits) &&
           isdigit((unsigned char)colon[count])) {
        digits[count] = colon[count];
        count++;
    }
    digits[count] = '\0';
    return (size_t)(end - colon) >= count + 3 && strncasecmp(colon + count, "mhz", 3) == 0 &&
           sysfs_parse_number(digits, out);
}

bool sysfs_parse_level_mhz(const char *text, double *out)
{
    const char *line = text;

    while (*line != '\0') {
        const char *end = strchrnul(line, '\n');

        if (memchr(line, '*', (size_t)(end - line)) != NULL)
            return level_parse_mhz(line, end, out);
        line = *end == '\0' ? end : end + 1;
    }
    return false;
}
