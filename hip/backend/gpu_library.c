/* Owns the opening of drivers' libraries, the list of devices, and who is current. */
#include "hip/backend/gpu_library.h"

#include "common/attr.h"
#include "common/log.h"
#include "common/mem.h"
#include "hip/backend/gpu_abort.h"
#include "hip/backend/gpu_code.h"
#include "hip/backend/gpu_hardware.h"
#include "hip/backend/gpu_names.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct gpu_vendor *const VENDORS[GPU_DRIVERS_MAX_COUNT] = {&GPU_AMD, &GPU_NVIDIA};

/* ---- errors ---- */

/* Faults of kernels and of the hardware. Both APIs number them alike, as far as both have them. */
bool gpu_status_is_fatal(int status)
{
    switch (status) {
    case 4:   /* the driver is shutting down */
    case 46:  /* device unavailable */
    case 100: /* no device: it was there */
    case 101: /* invalid device, likewise */
    case 214: /* memory error that could not be corrected */
    case 220: /* link error that could not be corrected */
    case 700: /* illegal address */
    case 702: /* launch timed out */
    case 709: /* context destroyed */
    case 710: /* assertion of a kernel */
    case 714: /* hardware stack error */
    case 715: /* illegal instruction */
    case 716: /* misaligned address */
    case 717: /* invalid address space */
    case 718: /* invalid program counter */
    case 719: /* launch failed */
    case 999: /* unknown: a card that fell off the bus, or was reset */
        return true;
    default:
        return false;
    }
}

int gpu_fail(const struct gpu_driver *driver, int status, enum gpu_call call, struct err *err)
{
    const char *name = NULL;
    const char *text = NULL;
    const char *advice = driver->vendor->advise(status);
    char number[32];

    driver->vendor->explain(&driver->calls, status, &name, &text);
    (void)snprintf(number, sizeof(number), "error %d", status);
    if (name == NULL)
        name = number;
    if (text == NULL || strcmp(text, name) == 0) /* HIP 5 has the name again */
        text = "";
    return err_set(err, status == GPU_STATUS_NO_MEMORY ? ERR_NO_MEMORY : ERR_DEVICE,
                   "%s: %s%s%s%s%s%s", driver->vendor->call_names[call], name,
                   text[0] != '\0' ? " (" : "", text, text[0] != '\0' ? ")" : "",
                   advice[0] != '\0' ? "; " : "", advice);
}

/* ---- one library ---- */

/* A function's address through POSIX's detour: C knows no cast from an object's. */
static bool driver_bind(struct gpu_driver *driver, const char *name, void *out_function)
{
    void *symbol = dlsym(driver->handle, name);

    memcpy(out_function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static int driver_bind_all(struct gpu_driver *driver, const char *file, struct err *err)
{
    void *const functions[GPU_CALL_COUNT] = {
#define CALL(returns, member, hip, cuda, parameters) &driver->calls.member,
#include "hip/backend/gpu_calls.def"
#undef CALL
    };
    static const bool IS_OPTIONAL[GPU_CALL_COUNT] = {
#define CALL(returns, member, hip, cuda, parameters) [GPU_CALL_##member] = false,
#define OPTIONAL_CALL(returns, member, hip, cuda, parameters) [GPU_CALL_##member] = true,
#include "hip/backend/gpu_calls.def"
#undef CALL
    };

    for (int i = 0; i < GPU_CALL_COUNT; i++) {
        const char *name = driver->vendor->call_names[i];

        if (name != NULL && !driver_bind(driver, name, functions[i]) && !IS_OPTIONAL[i])
            return err_set(err, ERR_DEVICE,
                           "%s has no function %s: it is too old, or no driver's library", file,
                           name);
    }
    /* Drivers have no such thing. */
    (void)driver_bind(driver, "gpu_emulator_architecture", &driver->own_architecture);
    return 0;
}

static int driver_check_version(const struct gpu_driver *driver, const char *file, struct err *err)
{
    int version = 0;
    int status = driver->calls.version(&version);

    if (status != GPU_STATUS_OK)
        return gpu_fail(driver, status, GPU_CALL_version, err);
    log_event(LOG_DEBUG, "gpu_driver", "vendor=%s file=%s version=%d", driver->vendor->name, file,
              version);
    if ((uint32_t)version < driver->vendor->min_version)
        return err_set(err, ERR_DEVICE,
                       "%s driver is too old: it has version %d of its API, and %u is needed",
                       driver->vendor->title, version, driver->vendor->min_version);
    return 0;
}

/* A device that is hidden is none. */
static int driver_fail_empty(const struct gpu_driver *driver, const char *file, struct err *err)
{
    const char *visible = getenv(driver->vendor->visible);

    if (visible != NULL)
        return err_set(err, ERR_DEVICE, "%s shows no device, with %s=%.80s", file,
                       driver->vendor->visible, visible);
    return gpu_fail(driver, GPU_STATUS_NO_DEVICE, GPU_CALL_device_count, err);
}

static int driver_count(const struct gpu_driver *driver, const char *file, int *out_count,
                        struct err *err)
{
    int status = driver->calls.init(0);
    int count = 0;

    /* HIP 5 calls it an invalid device. */
    if (status == GPU_STATUS_NO_DEVICE || status == GPU_STATUS_INVALID_DEVICE)
        return driver_fail_empty(driver, file, err);
    if (status != GPU_STATUS_OK)
        return gpu_fail(driver, status, GPU_CALL_init, err);
    if (driver_check_version(driver, file, err) < 0)
        return -1;
    status = driver->calls.device_count(&count);
    if (status != GPU_STATUS_OK && status != GPU_STATUS_NO_DEVICE)
        return gpu_fail(driver, status, GPU_CALL_device_count, err);
    if (status == GPU_STATUS_NO_DEVICE || count <= 0)
        return driver_fail_empty(driver, file, err);
    *out_count = count;
    return 0;
}

/* ---- its devices ---- */

/* Texts come from somebody's library. */
static void device_read_texts(struct gpu_slot *slot)
{
    const struct gpu_calls *calls = &slot->driver->calls;
    struct gpu_info *info = &slot->info;
    char pci[GPU_PCI_BYTES] = "";

    if (calls->device_name(info->name, sizeof(info->name), slot->handle) != GPU_STATUS_OK ||
        info->name[0] == '\0')
        (void)snprintf(info->name, sizeof(info->name), "a GPU of %s", slot->driver->vendor->title);
    info->name[sizeof(info->name) - 1] = '\0';
    if (calls->device_pci(pci, sizeof(pci), slot->handle) != GPU_STATUS_OK)
        pci[0] = '\0';
    pci[sizeof(pci) - 1] = '\0';
    if (!gpu_pci_normalise(pci, info->pci))
        info->pci[0] = '\0';
}

static void device_read_figures(struct gpu_slot *slot)
{
    const struct gpu_calls *calls = &slot->driver->calls;
    const struct gpu_vendor *vendor = slot->driver->vendor;
    size_t total = 0;
    int wave = 0;

    if (calls->device_memory(&total, slot->handle) == GPU_STATUS_OK)
        slot->info.total_bytes = total;
    if (calls->device_attribute(&wave, vendor->wave_attribute, slot->handle) == GPU_STATUS_OK)
        slot->info.wave = (uint32_t)wave;
    if (slot->info.wave != 32 && slot->info.wave != 64)
        (void)snprintf(slot->info.reason, sizeof(slot->info.reason),
                       "its driver says that %u threads run in lockstep, and kernels are for 32 or "
                       "64",
                       slot->info.wave);
}

/* What stands in for a driver has its kernels in itself. */
static void device_look_for_kernels(struct gpu_slot *slot)
{
    struct err err = ERR_INIT;
    AUTO_FREE char *path = NULL;

    if (slot->info.reason[0] != '\0' || slot->driver->own_architecture != NULL)
        return;
    path = gpu_code_find(slot->info.architecture, &err);
    if (path == NULL)
        (void)snprintf(slot->info.reason, sizeof(slot->info.reason), "%.*s", GPU_REASON_BYTES - 1,
                       err.message);
}

static void library_add_device(struct gpu_library *library, const struct gpu_driver *driver,
                               int index)
{
    struct gpu_slot *slot = &library->devices[library->device_count];

    *slot = (struct gpu_slot){.driver = driver, .handle = index};
    slot->info.vendor = driver->vendor->name;
    if (driver->calls.device_get != NULL &&
        driver->calls.device_get(&slot->handle, index) != GPU_STATUS_OK)
        return; /* one that has just gone away */
    device_read_texts(slot);
    device_read_figures(slot);
    driver->vendor->describe(driver, slot->handle, &slot->info);
    device_look_for_kernels(slot);
    library->device_count++;
}

/* FILE is open as HANDLE. */
static int library_add(struct gpu_library *library, const struct gpu_vendor *vendor, void *handle,
                       const char *file, struct err *err)
{
    struct gpu_driver *driver = &library->drivers[library->driver_count];
    int count = 0;

    *driver = (struct gpu_driver){.vendor = vendor, .handle = handle, .root = ""};
    if (driver_bind_all(driver, file, err) < 0 || driver_count(driver, file, &count, err) < 0)
        return -1;
    library->driver_count++;
    gpu_abort_watch(dlsym(handle, vendor->call_names[GPU_CALL_init]));
    for (int i = 0; i < count && library->device_count < GPU_DEVICES_MAX_COUNT; i++)
        library_add_device(library, driver, i);
    return 0;
}

/* ---- all of them ---- */

static int slot_compare(const void *a, const void *b)
{
    return strcmp(((const struct gpu_slot *)a)->info.pci, ((const struct gpu_slot *)b)->info.pci);
}

static struct gpu_library *library_new(void)
{
    struct gpu_library *library = xcalloc(1, sizeof(*library));

    library->user_count = 1;
    return library;
}

/* What its library says when nothing came of it goes behind SAYS. */
static void library_try_vendor(struct gpu_library *library, const struct gpu_vendor *vendor,
                               char *says, size_t size)
{
    struct err err = ERR_INIT;
    size_t len = strlen(says);

    for (size_t i = 0; vendor->files[i] != NULL; i++) {
        void *handle = dlopen(vendor->files[i], RTLD_NOW | RTLD_LOCAL);

        if (handle == NULL)
            continue;
        if (library_add(library, vendor, handle, vendor->files[i], &err) < 0)
            (void)snprintf(says + len, size - len, "%s%.200s", len > 0 ? "; " : "", err.message);
        return;
    }
}

static struct gpu_library *library_end(struct gpu_library *library)
{
    qsort(library->devices, library->device_count, sizeof(library->devices[0]), slot_compare);
    return library;
}

struct gpu_library *gpu_library_open(struct err *err)
{
    struct gpu_library *library = NULL;
    char says[ERR_MESSAGE_MAX_BYTES] = "";
    char reason[ERR_MESSAGE_MAX_BYTES];

#ifdef RBEE_TEST_HOOKS
    if (getenv("RBEE_GPU_LIBRARY") != NULL)
        return gpu_library_open_file(getenv("RBEE_GPU_LIBRARY"), err);
#endif
    library = library_new();
    for (size_t i = 0; i < ARRAY_COUNT(VENDORS); i++)
        library_try_vendor(library, VENDORS[i], says, sizeof(says));
    if (library->device_count > 0)
        return library_end(library);
    gpu_library_close(library);
    gpu_hardware_explain("", says, reason, sizeof(reason));
    return err_set_null(err, ERR_DEVICE, "%s", reason);
}

struct gpu_library *gpu_library_open_file(const char *path, struct err *err)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct gpu_vendor *vendor = NULL;
    struct gpu_library *library = NULL;

    if (handle == NULL)
        return err_set_null(err, ERR_DEVICE, "%s", dlerror());
    for (size_t i = 0; i < ARRAY_COUNT(VENDORS) && vendor == NULL; i++) {
        if (dlsym(handle, VENDORS[i]->call_names[GPU_CALL_init]) != NULL)
            vendor = VENDORS[i];
    }
    if (vendor == NULL)
        return err_set_null(err, ERR_DEVICE, "%s is no library of a GPU's driver", path);
    library = library_new();
    if (library_add(library, vendor, handle, path, err) == 0)
        return library_end(library);
    gpu_library_close(library);
    (void)dlclose(handle); /* of no use */
    return NULL;
}

struct gpu_library *gpu_library_share(struct gpu_library *library)
{
    library->user_count++;
    return library;
}

/* Drivers are not made to be unloaded; what stands in for one is. */
void gpu_library_close(struct gpu_library *library)
{
    if (library == NULL || --library->user_count > 0)
        return;
    for (uint32_t i = 0; i < library->driver_count; i++) {
        if (library->drivers[i].own_architecture != NULL)
            (void)dlclose(library->drivers[i].handle); /* it was only used */
    }
    free(library);
}

/* ---- devices ---- */

uint32_t gpu_device_count(const struct gpu_library *library)
{
    return library->device_count;
}

const struct gpu_info *gpu_device(const struct gpu_library *library, uint32_t index)
{
    return &library->devices[index].info;
}

int gpu_device_find(const struct gpu_library *library, const char *name, uint32_t *out_index,
                    struct err *err)
{
    char list[ERR_MESSAGE_MAX_BYTES / 2] = "";

    for (uint32_t i = 0; i < library->device_count; i++) {
        const struct gpu_info *info = &library->devices[i].info;
        size_t len = strlen(list);

        if (gpu_name_matches(name, i, info) || (name[0] == '\0' && info->reason[0] == '\0')) {
            *out_index = i;
            return 0;
        }
        (void)snprintf(list + len, sizeof(list) - len, "%s%u (%s)", i > 0 ? ", " : "", i,
                       info->pci[0] != '\0' ? info->pci : info->name);
    }
    return name[0] == '\0'
               ? err_set(err, ERR_DEVICE, "none of gpu:%s can be used: %s", list,
                         library->devices[0].info.reason)
               : err_set(err, ERR_DEVICE, "there is no gpu:%.64s, only gpu:%s", name, list);
}

/* ---- who is current ---- */

int gpu_make_current(struct gpu_library *library, struct gpu_slot *slot, struct err *err)
{
    enum gpu_call failed = GPU_CALL_init;
    int status = 0;

    if (library->current == slot && pthread_equal(library->current_thread, pthread_self()))
        return 0;
    library->current = NULL;
    status = slot->driver->vendor->use(slot, &failed);
    if (status != GPU_STATUS_OK)
        return gpu_fail(slot->driver, status, failed, err);
    library->current = slot;
    library->current_thread = pthread_self();
    return 0;
}

int gpu_slot_take(struct gpu_library *library, struct gpu_slot *slot, struct err *err)
{
    enum gpu_call failed = GPU_CALL_init;
    int status = 0;

    if (slot->user_count == 0) {
        library->current = NULL;
        status = slot->driver->vendor->take(slot, &failed);
    }
    if (status != GPU_STATUS_OK) {
        if (slot->native != NULL)
            slot->driver->vendor->give_back(slot);
        return gpu_fail(slot->driver, status, failed, err);
    }
    slot->user_count++;
    if (gpu_make_current(library, slot, err) == 0)
        return 0;
    gpu_slot_release(library, slot);
    return -1;
}

void gpu_slot_release(struct gpu_library *library, struct gpu_slot *slot)
{
    slot->user_count--;
    if (slot->user_count > 0)
        return;
    library->current = NULL;
    if (slot->native != NULL)
        slot->driver->vendor->give_back(slot);
}

int gpu_read_free(struct gpu_library *library, uint32_t index, struct err *err)
{
    struct gpu_slot *slot = &library->devices[index];
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    int status = 0;

    if (gpu_slot_take(library, slot, err) < 0)
        return -1;
    status = slot->driver->calls.memory_info(&free_bytes, &total_bytes);
    gpu_slot_release(library, slot);
    if (status != GPU_STATUS_OK)
        return gpu_fail(slot->driver, status, GPU_CALL_memory_info, err);
    slot->info.free_bytes = free_bytes;
    return 0;
}
