/* The runtime for GPUs: how devices and architectures are written, which file of kernels is taken,
 * and, on a stand-in for NVIDIA's driver, that what is asked of it arrives there, that each failure
 * is the right error, and that everything is given back. */
#include "hip/backend/gpu_code.h"
#include "hip/backend/gpu_hardware.h"
#include "hip/backend/gpu_library.h"
#include "hip/backend/gpu_names.h"

#include "common/attr.h"
#include "common/buf.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/paths.h"
#include "tests/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- names ---- */

static void an_address_is_written_as_the_kernel_does(void **state)
{
    static const char *const BAD[] = {
        "",         "0", "03:00", "0000:03:00", "GPU-03:0.0", "0000:03:00.0x", "0000:03:00.0 ",
        "x:03:00.0"};
    char pci[GPU_PCI_BYTES] = "";

    assert_true(gpu_pci_normalise("0000:C1:00.0", pci));
    assert_string_equal(pci, "0000:c1:00.0");
    assert_true(gpu_pci_normalise("00000001:03:1f.7", pci));
    assert_string_equal(pci, "0001:03:1f.7");
    assert_true(gpu_pci_normalise("81:00.0", pci));
    assert_string_equal(pci, "0000:81:00.0");
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        assert_false(gpu_pci_normalise(BAD[i], pci));
}

static void a_uuid_is_written_as_the_vendors_tools_do(void **state)
{
    static const unsigned char BYTES[16] = {0x1d, 0x4c, 0x98, 0xb2, 0, 1, 2,  3,
                                            4,    5,    6,    7,    8, 9, 10, 0xff};
    char uuid[GPU_UUID_BYTES];

    gpu_uuid_of_bytes(BYTES, uuid);
    assert_string_equal(uuid, "GPU-1d4c98b2-0001-0203-0405-060708090aff");
    gpu_uuid_of_hip((const unsigned char *)"9f3a5c2e71b0d846", uuid);
    assert_string_equal(uuid, "GPU-9f3a5c2e71b0d846");
    /* What a card without one is given. */
    gpu_uuid_of_hip((const unsigned char *)"XX\0\0\0\0\0\0\0\0\0\0\0\0\0\0", uuid);
    assert_string_equal(uuid, "");
}

static void the_kernels_number_is_an_architecture(void **state)
{
    static const struct {
        uint32_t version;
        const char *name;
    } CASES[] = {
        {0, ""},
        {90000, "gfx900"},
        {90006, "gfx906"},
        {90010, "gfx90a"},
        {90402, "gfx942"},
        {90012, "gfx90c"},
        {100100, "gfx1010"},
        {100300, "gfx1030"},
        {110000, "gfx1100"},
        {110501, "gfx1151"},
        {120001, "gfx1201"},
    };
    char name[GPU_ARCHITECTURE_BYTES];

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        gpu_architecture_of_version(CASES[i].version, name);
        assert_string_equal(name, CASES[i].name);
    }
    assert_true(gpu_architecture_of_override("10.3.0", name));
    assert_string_equal(name, "gfx1030");
    assert_true(gpu_architecture_of_override("9.0.10", name));
    assert_string_equal(name, "gfx90a");
    assert_false(gpu_architecture_of_override("10.3", name));
    assert_false(gpu_architecture_of_override("gfx1030", name));
}

static void write_file(const char *root, const char *folder, const char *name, const char *text)
{
    AUTO_FREE char *path = xasprintf("%s/%s", root, folder);
    struct err err = ERR_INIT;

    assert_int_equal(io_make_folders(path, 0755, &err), 0);
    free(temp_folder_write(path, name, text, 0644));
}

static void the_kernels_list_of_devices_tells_the_architecture(void **state)
{
    AUTO_FREE char *root = temp_folder_make();
    char name[GPU_ARCHITECTURE_BYTES] = "";

    write_file(root, "sys/class/kfd/kfd/topology/nodes/0", "properties",
               "cpu_cores_count 16\nsimd_count 0\ngfx_target_version 0\nlocation_id 0\ndomain 0\n");
    write_file(root, "sys/class/kfd/kfd/topology/nodes/1", "properties",
               "cpu_cores_count 0\nsimd_count 192\ngfx_target_version 110000\nlocation_id 768\n"
               "domain 0\n");
    /* Bus c1, device 2, function 1, of another domain. */
    write_file(root, "sys/class/kfd/kfd/topology/nodes/2", "properties",
               "gfx_target_version 90010\nlocation_id 49425\ndomain 1\n");
    assert_true(gpu_architecture_of_kfd(root, "0000:03:00.0", name));
    assert_string_equal(name, "gfx1100");
    assert_true(gpu_architecture_of_kfd(root, "0001:c1:02.1", name));
    assert_string_equal(name, "gfx90a");
    assert_false(gpu_architecture_of_kfd(root, "0000:c1:02.1", name));
    assert_false(gpu_architecture_of_kfd(root, "0000:00:00.0", name));
    assert_false(gpu_architecture_of_kfd("/nowhere", "0000:03:00.0", name));
    temp_folder_remove(root);
}

static void a_device_goes_by_number_address_and_uuid(void **state)
{
    struct gpu_info info = {.pci = "0000:c1:00.0", .uuid = "GPU-9f3a5c2e71b0d846"};
    struct gpu_info nameless = {.pci = ""};

    assert_true(gpu_name_matches("1", 1, &info));
    assert_true(gpu_name_matches("0000:c1:00.0", 1, &info));
    assert_true(gpu_name_matches("C1:00.0", 1, &info));
    assert_true(gpu_name_matches("gpu-9F3A5C2E71B0D846", 1, &info));
    assert_false(gpu_name_matches("0", 1, &info));
    assert_false(gpu_name_matches("01", 1, &info));
    assert_false(gpu_name_matches("0001:c1:00.0", 1, &info));
    assert_false(gpu_name_matches("GPU-9f3a", 1, &info));
    assert_false(gpu_name_matches("", 1, &nameless));
}

/* ---- files of kernels ---- */

static void the_nearest_kernels_are_taken(void **state)
{
    static const struct {
        const char *architecture;
        const char *file; /* NULL: none */
    } CASES[] = {
        {"gfx1030", "gfx1030.co"},
        {"gfx1031", "gfx10-3-generic.co"},
        {"gfx1036", "gfx10-3-generic.co"},
        {"gfx1010", NULL},
        {"gfx906", "gfx9-generic.co"},
        {"gfx90a", NULL},
        {"gfx10", NULL},
        {"gfx1030x", NULL},
        {"sm_75", NULL},
        {"sm_85", "sm_80.ptx"},
        {"sm_86", "sm_86.cubin"},
        {"sm_87", "sm_86.cubin"},
        {"sm_89", "sm_86.cubin"},
        {"sm_90", "sm_90.ptx"},
        {"sm_120", "sm_90.ptx"},
        {"sm_", NULL},
        {"", NULL},
    };
    static const char *const FILES[] = {"gfx1030.co", "gfx10-3-generic.co", "gfx9-generic.co",
                                        "sm_80.ptx",  "sm_90.ptx",          "sm_86.cubin",
                                        "sm_.ptx",    "sm_85.ptx.old"};
    AUTO_FREE char *folder = temp_folder_make();
    char name[GPU_CODE_NAME_BYTES];

    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++)
        free(temp_folder_write(folder, FILES[i], "", 0644));
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        bool is_found = gpu_code_choose(folder, CASES[i].architecture, name);

        assert_int_equal(is_found, CASES[i].file != NULL);
        if (is_found)
            assert_string_equal(name, CASES[i].file);
    }
    temp_folder_remove(folder);
}

static void no_kernels_is_an_error_that_names_the_architecture(void **state)
{
    AUTO_FREE char *folder = temp_folder_make();
    struct err err = ERR_INIT;

    setenv("RBEE_KERNELS", folder, 1);
    assert_null(gpu_code_find("gfx1151", &err));
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_non_null(strstr(err.message, "make kernels ARCHS=gfx1151"));
    temp_folder_remove(folder);
}

/* ---- what a machine without a driver is told ---- */

static void pci_card(const char *root, const char *pci, const char *vendor, const char *class)
{
    AUTO_FREE char *folder = xasprintf("sys/bus/pci/devices/%s", pci);

    write_file(root, folder, "vendor", vendor);
    write_file(root, folder, "class", class);
}

static void who_has_a_card_is_told_what_is_missing(void **state)
{
    AUTO_FREE char *root = temp_folder_make();
    char text[ERR_MESSAGE_MAX_BYTES];

    pci_card(root, "0000:00:02.0", "0x8086\n", "0x030000\n");
    pci_card(root, "0000:00:14.0", "0x1002\n", "0x0c0330\n"); /* a USB controller of AMD's */
    gpu_hardware_explain(root, "", text, sizeof(text));
    assert_non_null(strstr(text, "no GPU of AMD's or NVIDIA's"));
    gpu_hardware_explain(root, "cuInit: x", text, sizeof(text));
    assert_string_equal(text, "no card of AMD's or NVIDIA's is seen on this machine: cuInit: x");

    pci_card(root, "0000:03:00.0", "0x1002\n", "0x030000\n");
    gpu_hardware_explain(root, "", text, sizeof(text));
    assert_non_null(strstr(text, "AMD's at 0000:03:00.0, but no /dev/kfd"));
    write_file(root, "dev", "kfd", "");
    gpu_hardware_explain(root, "", text, sizeof(text));
    assert_non_null(strstr(text, "libamdhip64.so is not installed"));
    gpu_hardware_explain(root, "hipInit: x", text, sizeof(text));
    assert_string_equal(text, "there is a card of AMD's at 0000:03:00.0, but hipInit: x");

    pci_card(root, "0000:c1:00.0", "0x10de\n", "0x030200\n");
    gpu_hardware_explain(root, "", text, sizeof(text));
    assert_non_null(strstr(text, "NVIDIA's at 0000:c1:00.0, but libcuda.so.1 is not installed"));
    assert_non_null(strstr(text, "; there is"));
    temp_folder_remove(root);
}

/* root opens everything; make test is an ordinary user. */
static void who_may_not_open_the_card_is_told_the_groups(void **state)
{
    AUTO_FREE char *root = temp_folder_make();
    AUTO_FREE char *kfd = NULL;
    AUTO_FREE char *render = NULL;
    char text[ERR_MESSAGE_MAX_BYTES];

    if (geteuid() == 0) {
        temp_folder_remove(root);
        free(take_ptr(root)); /* skip() does not return */
        skip();
    }
    pci_card(root, "0000:03:00.0", "0x1002\n", "0x120000\n");
    write_file(root, "dev", "kfd", "");
    write_file(root, "dev/dri", "renderD128", "");
    write_file(root, "dev/dri", "card0", "");
    kfd = xasprintf("%s/dev/kfd", root);
    render = xasprintf("%s/dev/dri/renderD128", root);
    assert_int_equal(chmod(render, 0), 0);
    gpu_hardware_explain(root, "hipInit: x", text, sizeof(text));
    assert_non_null(strstr(text, "may not open /dev/dri/renderD128"));
    assert_int_equal(chmod(kfd, 0), 0);
    gpu_hardware_explain(root, "", text, sizeof(text));
    assert_non_null(strstr(text, "may not open /dev/kfd: sudo usermod -aG render,video $USER"));
    temp_folder_remove(root);
}

/* ---- a stand-in for NVIDIA's driver ---- */

struct stand_in {
    char *folder;
    char *script;
    char *log;
};

static const char PTX[] = ".version 7.8\n.target sm_80\n.visible .entry norm(\n.entry quantise(\n";
static const char ONE_CARD[] = "device 00000000:C1:00.0 90 1000000 NVIDIA Made Up 100\n";

/* The path of the library, beside the test. The caller frees it. */
static char *stand_in_library(void)
{
    return paths_sibling_program("libcuda.so.1");
}

static struct gpu_library *stand_in_open(struct stand_in *stand_in, const char *orders,
                                         struct err *err)
{
    AUTO_FREE char *library = stand_in_library();

    *stand_in = (struct stand_in){.folder = temp_folder_make()};
    stand_in->script = temp_folder_write(stand_in->folder, "orders", orders, 0644);
    stand_in->log = paths_join(stand_in->folder, "orders.log");
    free(temp_folder_write(stand_in->folder, "sm_80.ptx", PTX, 0644));
    setenv("RBEE_FAKE_CUDA", stand_in->script, 1);
    setenv("RBEE_KERNELS", stand_in->folder, 1);
    return gpu_library_open_file(library, err);
}

static void stand_in_close(struct stand_in *stand_in, struct gpu_library *library)
{
    gpu_library_close(library);
    temp_folder_remove(stand_in->folder);
    free(stand_in->folder);
    free(stand_in->script);
    free(stand_in->log);
}

static void assert_log_has(const struct stand_in *stand_in, const char *line)
{
    AUTO_BUF struct buf text = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;

    assert_int_equal(io_read_file(stand_in->log, &text, &err), 0);
    assert_int_equal(buf_add_byte(&text, '\0'), 0);
    if (strstr(text.data, line) == NULL)
        fail_msg("no \"%s\" in: %s", line, text.data);
}

static void devices_are_listed_by_address(void **state)
{
    struct stand_in stand_in;
    struct err err = ERR_INIT;
    struct gpu_library *library = stand_in_open(&stand_in,
                                                "device 0000:C1:00.0 90 85899345920 NVIDIA H100\n"
                                                "device 0000:21:00.0 75 4000000000 Tesla T4\n",
                                                &err);
    const struct gpu_info *info = NULL;
    uint32_t index = 7;

    assert_non_null(library);
    assert_int_equal(gpu_device_count(library), 2);
    info = gpu_device(library, 1);
    assert_string_equal(info->vendor, "nvidia");
    assert_string_equal(info->name, "NVIDIA H100");
    assert_string_equal(info->pci, "0000:c1:00.0");
    assert_string_equal(info->uuid, "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_string_equal(info->architecture, "sm_90");
    assert_true(info->total_bytes == 85899345920ULL);
    assert_int_equal(info->wave, 32);
    assert_string_equal(info->reason, "");
    /* PTX for 8.0 and later is all there is. */
    assert_string_equal(gpu_device(library, 0)->architecture, "sm_75");
    assert_non_null(strstr(gpu_device(library, 0)->reason, "no kernels for sm_75"));
    assert_null(gpu_open(library, 0, &err));
    assert_non_null(strstr(err.message, "gpu:0 (Tesla T4) cannot be used: no kernels for sm_75"));

    assert_int_equal(gpu_device_find(library, "c1:00.0", &index, &err), 0);
    assert_int_equal(index, 1);
    index = 7;
    assert_int_equal(gpu_device_find(library, "", &index, &err), 0); /* the first of use */
    assert_int_equal(index, 1);
    assert_int_equal(gpu_device_find(library, "2", &index, &err), -1);
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_string_equal(err.message,
                        "there is no gpu:2, only gpu:0 (0000:21:00.0), 1 (0000:c1:00.0)");
    stand_in_close(&stand_in, library);
}

static void what_is_asked_arrives(void **state)
{
    struct stand_in stand_in;
    struct err err = ERR_INIT;
    struct gpu_library *library = stand_in_open(&stand_in, ONE_CARD, &err);
    struct gpu_context *context = gpu_open(library, 0, &err);
    const struct gpu_kernel *kernel = NULL;
    uint32_t args[4] = {42, 43, 44, 45};
    char *memory = NULL;
    char *pinned = NULL;

    assert_non_null(context);
    assert_true(gpu_context_info(context)->free_bytes == 1000000);
    memory = gpu_alloc(context, 2 * sizeof(args), &err);
    pinned = gpu_pinned_alloc(context, 2 * sizeof(args), &err);
    assert_true(memory != NULL && pinned != NULL);
    assert_int_equal(gpu_zero(context, memory, 2 * sizeof(args), &err), 0);
    assert_int_equal(gpu_upload(context, memory, args, sizeof(args), &err), 0);
    assert_int_equal(gpu_copy(context, memory + sizeof(args), memory, 8, &err), 0);
    assert_int_equal(gpu_download(context, pinned, memory, 2 * sizeof(args), &err), 0);
    assert_int_equal(gpu_sync(context, &err), 0);
    assert_memory_equal(pinned, ((uint32_t[]){42, 43, 44, 45, 42, 43, 0, 0}), 2 * sizeof(args));

    kernel = gpu_find_kernel(context, "norm", &err);
    assert_non_null(kernel);
    assert_ptr_equal(gpu_find_kernel(context, "norm", &err), kernel);
    gpu_gather_launches(context); /* of no use: this driver knows no graphs */
    assert_int_equal(gpu_launch(context, kernel, (uint32_t[]){7, 2, 3}, 128, args, &err), 0);
    assert_log_has(&stand_in, "launch norm 7x2x3 of 128x1x1, shared 0, first 42\n");
    assert_null(gpu_find_kernel(context, "nor", &err));
    assert_non_null(strstr(err.message, "the kernels of sm_90 lack nor"));
    /* That was no fault: all goes on. */
    assert_int_equal(gpu_sync(context, &err), 0);
    gpu_close(context);
    assert_log_has(&stand_in, "release 0 users, 0 bytes\n");
    stand_in_close(&stand_in, library);
}

static void what_is_allocated_is_counted(void **state)
{
    struct stand_in stand_in;
    struct err err = ERR_INIT;
    struct gpu_library *library = stand_in_open(&stand_in, ONE_CARD, &err);
    struct gpu_context *context = gpu_open(library, 0, &err);
    void *first = gpu_alloc(context, 600000, &err);
    void *second = gpu_alloc(context, 100000, &err);
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;

    assert_null(gpu_alloc(context, 400000, &err));
    assert_int_equal(err.kind, ERR_NO_MEMORY);
    assert_non_null(strstr(err.message, "400000 bytes of the GPU at 0000:c1:00.0, beside 700000"));
    assert_non_null(strstr(err.message, "cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY"));
    gpu_free(context, first);
    gpu_free(context, NULL);
    assert_true(gpu_allocated_bytes(context) == 100000);
    assert_true(gpu_allocated_peak_bytes(context) == 700000);
    assert_int_equal(gpu_memory(context, &free_bytes, &total_bytes, &err), 0);
    assert_true(free_bytes == 900000 && total_bytes == 1000000);
    /* Pinned memory is none of the device's. */
    gpu_free(context, gpu_pinned_alloc(context, 500000, &err));
    assert_true(gpu_allocated_peak_bytes(context) == 700000);
    assert_non_null(second);
    gpu_close(context); /* gives back what is left */
    assert_log_has(&stand_in, "release 0 users, 0 bytes\n");
    stand_in_close(&stand_in, library);
}

static void two_users_of_a_device_share_it(void **state)
{
    struct stand_in stand_in;
    struct err err = ERR_INIT;
    struct gpu_library *library = stand_in_open(
        &stand_in, "device 0000:01:00.0 80 1000 A\ndevice 0000:02:00.0 86 2000 B\n", &err);
    struct gpu_context *first = gpu_open(library, 0, &err);
    struct gpu_context *second = gpu_open(library, 0, &err);
    struct gpu_context *other = gpu_open(library, 1, &err);
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;

    assert_true(first != NULL && second != NULL && other != NULL);
    /* In turns: each call is about its own. */
    assert_non_null(gpu_alloc(first, 100, &err));
    assert_non_null(gpu_alloc(other, 500, &err));
    assert_non_null(gpu_alloc(second, 100, &err));
    assert_int_equal(gpu_memory(other, &free_bytes, &total_bytes, &err), 0);
    assert_true(free_bytes == 1500 && total_bytes == 2000);
    gpu_close(first);
    assert_int_equal(gpu_memory(second, &free_bytes, &total_bytes, &err), 0);
    assert_true(free_bytes == 900 && total_bytes == 1000);
    assert_int_equal(gpu_read_free(library, 0, &err), 0);
    assert_true(gpu_device(library, 0)->free_bytes == 900);
    gpu_close(second);
    gpu_close(other);
    stand_in_close(&stand_in, library);
}

static void events_order_and_measure(void **state)
{
    struct stand_in stand_in;
    struct err err = ERR_INIT;
    struct gpu_library *library = stand_in_open(&stand_in, ONE_CARD, &err);
    struct gpu_context *context = gpu_open(library, 0, &err);
    struct gpu_event *from = gpu_event_new(context, &err);
    struct gpu_event *to = gpu_event_new(context, &err);
    double us = 0;

    assert_int_equal(gpu_event_record(context, from, &err), 0);
    assert_int_equal(gpu_event_record(context, to, &err), 0);
    assert_int_equal(gpu_event_wait(context, to, &err), 0);
    assert_int_equal(gpu_event_elapsed_us(context, from, to, &us, &err), 0);
    assert_true(us > 1499.9 && us < 1500.1);
    gpu_event_free(context, from);
    gpu_event_free(context, to);
    gpu_event_free(context, NULL);
    gpu_close(context);
    stand_in_close(&stand_in, library);
}

/* A kernel's fault shows at whatever is called next, and the device is done for. */
static void a_fault_ends_the_device(void **state)
{
    struct stand_in stand_in;
    struct err err = ERR_INIT;
    AUTO_FREE char *orders = xasprintf("%sfail cuStreamSynchronize 700 2\n", ONE_CARD);
    struct gpu_library *library = stand_in_open(&stand_in, orders, &err);
    struct gpu_context *context = gpu_open(library, 0, &err);
    void *memory = gpu_alloc(context, 100, &err);

    assert_int_equal(gpu_sync(context, &err), 0);
    assert_int_equal(gpu_sync(context, &err), -1);
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_string_equal(err.message,
                        "cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access "
                        "was encountered); the kernel's log (dmesg) has an Xid line of it");
    assert_int_equal(gpu_zero(context, memory, 100, &err), -1);
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_non_null(strstr(err.message, "the GPU at 0000:c1:00.0 has failed before: cuStream"));
    assert_null(gpu_alloc(context, 1, &err));
    assert_null(gpu_event_new(context, &err));
    gpu_free(context, memory); /* which nobody can do any more, and nobody hears of it */
    gpu_close(context);
    stand_in_close(&stand_in, library);
}

static void each_failing_call_is_named(void **state)
{
    static const struct {
        const char *order;
        const char *message;
    } CASES[] = {
        {"fail cuDevicePrimaryCtxSetFlags_v2 708", "cuDevicePrimaryCtxSetFlags_v2: error 708"},
        {"fail cuDevicePrimaryCtxRetain 2", "cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY"},
        {"fail cuStreamCreate 999", "cuStreamCreate: error 999; the kernel module"},
        {"fail cuModuleLoadDataEx 222", "sm_80.ptx: cuModuleLoadDataEx: error 222"},
        {"fail cuMemGetInfo_v2 3", "cuMemGetInfo_v2: error 3"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct stand_in stand_in;
        struct err err = ERR_INIT;
        AUTO_FREE char *orders = xasprintf("%s%s\n", ONE_CARD, CASES[i].order);
        struct gpu_library *library = stand_in_open(&stand_in, orders, &err);

        assert_non_null(library);
        assert_null(gpu_open(library, 0, &err));
        if (strstr(err.message, CASES[i].message) == NULL)
            fail_msg("%s", err.message);
        assert_non_null(strstr(err.message, "gpu:0 (NVIDIA Made Up 100): "));
        stand_in_close(&stand_in, library);
    }
}

static void what_the_driver_says_of_bad_kernels_is_told(void **state)
{
    struct stand_in stand_in;
    struct err err = ERR_INIT;
    struct gpu_library *library = stand_in_open(&stand_in, ONE_CARD, &err);

    free(temp_folder_write(stand_in.folder, "sm_90.ptx", "no such thing", 0644));
    assert_null(gpu_open(library, 0, &err));
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_non_null(strstr(err.message, "sm_90.ptx (ptxas fatal: no version): cuModuleLoadDataEx"));
    stand_in_close(&stand_in, library);
}

static void a_driver_without_devices_or_too_old_is_refused(void **state)
{
    static const struct {
        const char *orders;
        const char *message;
    } CASES[] = {
        {"", "cuDeviceGetCount: error 100"},
        {"device 0:1:0.0 80 1 A\nversion 11070\n", "it has version 11070 of its API, and 11080"},
        {"device 0:1:0.0 80 1 A\nfail cuInit 803\n", "cuInit: error 803; library and kernel"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct stand_in stand_in;
        struct err err = ERR_INIT;

        assert_null(stand_in_open(&stand_in, CASES[i].orders, &err));
        assert_int_equal(err.kind, ERR_DEVICE);
        if (strstr(err.message, CASES[i].message) == NULL)
            fail_msg("%s", err.message);
        stand_in_close(&stand_in, NULL);
    }
}

static void hidden_devices_are_told_by_their_variable(void **state)
{
    struct stand_in stand_in;
    struct err err = ERR_INIT;

    setenv("CUDA_VISIBLE_DEVICES", "none", 1);
    assert_null(stand_in_open(&stand_in, "", &err));
    assert_non_null(strstr(err.message, "shows no device, with CUDA_VISIBLE_DEVICES=none"));
    unsetenv("CUDA_VISIBLE_DEVICES");
    stand_in_close(&stand_in, NULL);
}

static void what_is_no_driver_is_refused(void **state)
{
    struct err err = ERR_INIT;

    assert_null(gpu_library_open_file("/nowhere/libcuda.so.1", &err));
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_null(gpu_library_open_file("libc.so.6", &err));
    assert_string_equal(err.message, "libc.so.6 is no library of a GPU's driver");
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(an_address_is_written_as_the_kernel_does),
        cmocka_unit_test(a_uuid_is_written_as_the_vendors_tools_do),
        cmocka_unit_test(the_kernels_number_is_an_architecture),
        cmocka_unit_test(the_kernels_list_of_devices_tells_the_architecture),
        cmocka_unit_test(a_device_goes_by_number_address_and_uuid),
        cmocka_unit_test(the_nearest_kernels_are_taken),
        cmocka_unit_test(no_kernels_is_an_error_that_names_the_architecture),
        cmocka_unit_test(who_has_a_card_is_told_what_is_missing),
        cmocka_unit_test(who_may_not_open_the_card_is_told_the_groups),
        cmocka_unit_test(devices_are_listed_by_address),
        cmocka_unit_test(what_is_asked_arrives),
        cmocka_unit_test(what_is_allocated_is_counted),
        cmocka_unit_test(two_users_of_a_device_share_it),
        cmocka_unit_test(events_order_and_measure),
        cmocka_unit_test(a_fault_ends_the_device),
        cmocka_unit_test(each_failing_call_is_named),
        cmocka_unit_test(what_the_driver_says_of_bad_kernels_is_told),
        cmocka_unit_test(a_driver_without_devices_or_too_old_is_refused),
        cmocka_unit_test(hidden_devices_are_told_by_their_variable),
        cmocka_unit_test(what_is_no_driver_is_refused),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
