/* A hostile rbee.conf: read or refused with a line number, and what was read can be written as it
 * stands in a file and read again. */
#include "common/config.h"
#include "common/mem.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* An unnamed file with DATA, as config_load wants one: nobody else may write it. */
static int fuzz_make_file(const uint8_t *data, size_t len)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    ssize_t written = fd >= 0 ? write(fd, data, len) : -1;

    assert(written == (ssize_t)len);
    assert(fchmod(fd, 0600) == 0);
    return fd;
}

static void fuzz_check_config(const struct config *config)
{
    struct config *again = config_new_default();

    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const struct config_key_info *info = config_key_info(key);
        AUTO_FREE char *text = config_value_text(config, key);
        struct err err = ERR_INIT;

        if (!config_type_is_text(info->type)) {
            assert(config_number(config, key) >= info->min || info->type == CONFIG_BOOL);
            assert(config_override(again, key, text, &err) == 0);
            assert(config_number(again, key) == config_number(config, key));
        } else {
            assert(config_override(again, key, config_text(config, key), &err) == 0);
        }
    }
    for (size_t i = 0; i < config_worker_count(config); i++)
        assert(config_name_is_valid(config_worker_name(config, i)));
    config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_CLOSE int fd = fuzz_make_file(data, len);
    AUTO_FREE char *path = xasprintf("/proc/self/fd/%d", fd);
    struct err err = ERR_INIT;
    struct config *config = config_load(path, &err);

    if (config != NULL)
        fuzz_check_config(config);
    else
        assert(err.kind == ERR_CONFIG && strncmp(err.message, path, strlen(path)) == 0);
    config_free(config);
    return 0;
}
