/* Owns --devices: what a worker sees of GPUs, as JSON. */
#include "hip/devices.h"

#include "common/attr.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "hip/backend/gpu_runtime.h"

#include <string.h>
#include <unistd.h>

static json_t *bytes_or_null(uint64_t bytes)
{
    return bytes == 0 ? json_null() : json_integer((json_int_t)bytes);
}

/* What drivers call things need be no UTF-8. */
static json_t *printable_or_null(const char *text)
{
    AUTO_FREE char *copy = xstrdup(text);

    utf8_make_printable(copy, strlen(copy));
    return json_text_or_null(copy);
}

/* The memory of one that is full does not even suffice for asking: it can be used all the same, as
 * soon as somebody gives some back. NULL with err: its driver fails. */
static json_t *device_read_free(struct gpu_library *library, uint32_t index, struct err *err)
{
    if (gpu_read_free(library, index, err) == 0)
        return bytes_or_null(gpu_device(library, index)->free_bytes);
    if (err->kind != ERR_NO_MEMORY)
        return NULL;
    return json_integer(0);
}

/* One whose kernels are there, and whose driver then fails, is of no use either. */
static json_t *device_record(struct gpu_library *library, uint32_t index)
{
    const struct gpu_info *info = gpu_device(library, index);
    struct err err = ERR_INIT;
    const char *reason = info->reason;
    json_t *free_bytes = reason[0] == '\0' ? device_read_free(library, index, &err) : NULL;

    if (reason[0] == '\0' && free_bytes == NULL)
        reason = err.message;
    return json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "index", (int)index,
                     "vendor", info->vendor, "pci", printable_or_null(info->pci), "uuid",
                     printable_or_null(info->uuid), "name", printable_or_null(info->name),
                     "architecture", printable_or_null(info->architecture), "memory_bytes",
                     bytes_or_null(info->total_bytes), "free_bytes",
                     free_bytes == NULL ? json_null() : free_bytes, "usable", reason[0] == '\0',
                     "reason", printable_or_null(reason));
}

int devices_run(struct err *err)
{
    struct err none = ERR_INIT;
    struct gpu_library *library = gpu_library_open(&none);
    AUTO_JSON json_t *list = json_array();
    AUTO_JSON json_t *record = NULL;
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *line = NULL;

    for (uint32_t i = 0; library != NULL && i < gpu_device_count(library); i++)
        (void)json_array_append_new(list, device_record(library, i));
    record = json_pack("{s:O, s:o}", "devices", list, "reason", printable_or_null(none.message));
    text = json_to_text(record);
    line = xasprintf("%s\n", text);
    if (io_write_all(STDOUT_FILENO, line, strlen(line), err) == 0)
        _exit(0); /* all is said, and a driver's own end may hang: whoever asked need not wait */
    gpu_library_close(library);
    return -1;
}
