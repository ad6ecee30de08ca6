/* The emulator's HIP: queued work is done no sooner than somebody waits for it, memory is the
 * device's alone and runs out, and it fails as it is ordered to. Each test is a process of its own,
 * whose environment is read when the library is loaded. */
#include "tests/emulator/child.h"
#include "tests/emulator/emulate.h"
#include "tests/emulator/hip.h"
#include "tests/emulator/planted_args.h"
#include "tests/temp_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 64, FAILED_CHECK = 3 };

/* ---- a process that loads the library ---- */

static void *library;

#define CALL(name) ((__typeof__(name) *)emulator_symbol(library, #name))
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _exit(FAILED_CHECK);                                                                   \
        }                                                                                          \
    } while (0)
#define CHECK_OK(call) CHECK((call) == HIP_SUCCESS)

/* The child's status. ENVIRONMENT: names and values in turn, NULL behind the last. */
static int run(void (*body)(void), uint32_t wave, const char *const environment[])
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        child_begin();
        for (int i = 0; environment != NULL && environment[i] != NULL; i += 2)
            (void)setenv(environment[i], environment[i + 1], 1);
        library = emulator_open_library("gpu-planted", wave);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void check(void (*body)(void), const char *const environment[])
{
    assert_int_equal(run(body, 32, environment), 0);
    assert_int_equal(run(body, 64, environment), 0);
}

/* By a signal, or AddressSanitizer; not by a check of ours. */
static void check_ends(void (*body)(void), const char *const environment[])
{
    int status = run(body, 64, environment);

    assert_false(WIFEXITED(status) &&
                 (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FAILED_CHECK));
}

#define ORDER(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- what most of them need ---- */

struct rig {
    struct hip_stream *stream;
    void *module;
    float *device; /* [COUNT] */
    float host[COUNT];
};

static void rig_init(struct rig *rig)
{
    *rig = (struct rig){0};
    CHECK_OK(CALL(hipInit)(0));
    CHECK_OK(CALL(hipSetDevice)(0));
    CHECK_OK(CALL(hipStreamCreateWithFlags)(&rig->stream, 1));
    CHECK_OK(CALL(hipModuleLoadData)(&rig->module, "emulator"));
    CHECK_OK(CALL(hipMalloc)((void **)&rig->device, sizeof(rig->host)));
    CHECK((uintptr_t)rig->device % 256 == 0);
}

static void rig_release(struct rig *rig)
{
    CHECK_OK(CALL(hipFree)(rig->device));
    CHECK_OK(CALL(hipModuleUnload)(rig->module));
    CHECK_OK(CALL(hipStreamDestroy)(rig->stream));
}

static int launch(struct rig *rig, const char *name, unsigned threads, float *out, uint32_t count)
{
    struct args_planted args = {.out = out, .count = count};
    void *params[] = {&args}, *function = NULL;
    int error = CALL(hipModuleGetFunction)(&function, rig->module, name);

    if (error == HIP_SUCCESS)
        error = CALL(hipModuleLaunchKernel)(function, 1, 1, 1, threads, 1, 1, 0, rig->stream,
                                            params, NULL);
    memset(&args, 0, sizeof(args)); /* a launch keeps its own */
    return error;
}

/* Each thread's lane, turned COUNT times by one: its own after a whole turn. */
static int launch_lanes(struct rig *rig)
{
    return launch(rig, "many_meetings", COUNT, rig->device, COUNT);
}

static int download(struct rig *rig)
{
    return CALL(hipMemcpyDtoHAsync)(rig->host, rig->device, sizeof(rig->host), rig->stream);
}

static int upload(struct rig *rig)
{
    return CALL(hipMemcpyHtoDAsync)(rig->device, rig->host, sizeof(rig->host), rig->stream);
}

static int wait_for(struct rig *rig)
{
    return CALL(hipStreamSynchronize)(rig->stream);
}

static int wave(void)
{
    int value = 0;

    CHECK_OK(CALL(hipInit)(0));
    CHECK_OK(CALL(hipDeviceGetAttribute)(&value, 87, 0));
    return value;
}

static void check_lanes(const struct rig *rig)
{
    for (int i = 0; i < COUNT; i++)
        CHECK(rig->host[i] == (float)(i % wave()));
}

/* ---- devices ---- */

static void body_default_device(void)
{
    int count = 0, version = 0;
    char name[64], pci[32];
    unsigned char uuid[16];
    size_t total = 0;
    const char *architecture = CALL(gpu_emulator_architecture)();

    CHECK(CALL(hipGetDeviceCount)(&count) == HIP_NOT_INITIALIZED);
    CHECK_OK(CALL(hipInit)(0));
    CHECK_OK(CALL(hipGetDeviceCount)(&count));
    CHECK(count == 1);
    CHECK(CALL(hipSetDevice)(1) == HIP_INVALID_DEVICE);
    CHECK_OK(CALL(hipDeviceGetName)(name, sizeof(name), 0));
    CHECK_OK(CALL(hipDeviceGetPCIBusId)(pci, sizeof(pci), 0));
    CHECK(strcmp(pci, "0000:03:00.0") == 0);
    CHECK(CALL(hipDeviceGetPCIBusId)(pci, 12, 0) == HIP_INVALID_VALUE);
    CHECK_OK(CALL(hipDeviceGetUuid)(uuid, 0));
    CHECK_OK(CALL(hipDeviceTotalMem)(&total, 0));
    CHECK(total == 4ULL << 30);
    CHECK(CALL(hipDeviceGetName)(name, sizeof(name), 1) == HIP_INVALID_DEVICE);
    CHECK_OK(CALL(hipDriverGetVersion)(&version));
    CHECK(strcmp(architecture, wave() == 64 ? "emulator-64" : "emulator-32") == 0);
    CHECK(strcmp(CALL(hipGetErrorName)(2), "hipErrorOutOfMemory") == 0);
    CHECK(strcmp(CALL(hipGetErrorString)(-7), "unknown error") == 0);
}

static void body_two_devices(void)
{
    int count = 0;
    char text[64];
    size_t total = 0, left = 0;
    void *memory = NULL;

    CHECK_OK(CALL(hipInit)(0));
    CHECK_OK(CALL(hipGetDeviceCount)(&count));
    CHECK(count == 2);
    CHECK_OK(CALL(hipDeviceGetName)(text, sizeof(text), 1));
    CHECK(strcmp(text, "Big One") == 0);
    CHECK_OK(CALL(hipDeviceGetPCIBusId)(text, sizeof(text), 1));
    CHECK(strcmp(text, "0000:c3:00.0") == 0);
    CHECK_OK(CALL(hipSetDevice)(1));
    CHECK_OK(CALL(hipMalloc)(&memory, 1500));
    CHECK_OK(CALL(hipMemGetInfo)(&left, &total));
    CHECK(left == 500 && total == 2000);
    CHECK_OK(CALL(hipSetDevice)(0));
    CHECK_OK(CALL(hipMemGetInfo)(&left, &total));
    CHECK(left == 1000 && total == 1000);
    CHECK(CALL(hipMalloc)(&memory, 1001) == HIP_OUT_OF_MEMORY);
    CHECK_OK(CALL(hipFree)(memory));
}

static void body_no_device(void)
{
    CHECK(CALL(hipInit)(0) == HIP_NO_DEVICE);
}

static void test_devices_are_those_of_the_environment(void **state)
{
    check(body_default_device, NULL);
    check(body_two_devices,
          ORDER("RBEE_EMULATOR_DEVICES", "Small,0000:03:00.0,0000000000000001,1000;"
                                         "Big One,0000:c3:00.0,0000000000000002,2000"));
    check(body_no_device, ORDER("RBEE_EMULATOR_DEVICES", ""));
    check_ends(body_no_device, ORDER("RBEE_EMULATOR_DEVICES", "Small,0000:03:00.0"));
    check_ends(body_no_device, ORDER("RBEE_EMULATOR_FAIL", "hipInit"));
    check_ends(body_no_device, ORDER("RBEE_EMULATOR_ORDER", "sideways"));
}

/* ---- memory ---- */

static void body_never_written(void)
{
    struct rig rig;
    uint8_t *pinned = NULL;

    rig_init(&rig);
    CHECK_OK(download(&rig));
    CHECK_OK(wait_for(&rig));
    for (int i = 0; i < COUNT; i++)
        CHECK(isnan(rig.host[i]));
    CHECK_OK(CALL(hipHostMalloc)((void **)&pinned, 100, 0));
    CHECK(pinned[0] == 0xFF && pinned[99] == 0xFF);
    CHECK_OK(CALL(hipHostFree)(pinned));
    rig_release(&rig);
}

static void body_wrong_places(void)
{
    struct rig rig;
    float *host = rig.host;

    rig_init(&rig);
    /* One byte too many, at either end; the wrong way round; of nobody. */
    CHECK(CALL(hipMemcpyDtoHAsync)(host, rig.device, sizeof(rig.host) + 1, rig.stream) ==
          HIP_INVALID_VALUE);
    CHECK(CALL(hipMemcpyHtoDAsync)((char *)rig.device - 1, host, 8, rig.stream) ==
          HIP_INVALID_VALUE);
    CHECK(CALL(hipMemcpyHtoDAsync)(host, host, 4, rig.stream) == HIP_INVALID_VALUE);
    CHECK(CALL(hipMemcpyDtoHAsync)(rig.device, rig.device, 4, rig.stream) == HIP_INVALID_VALUE);
    CHECK(CALL(hipMemcpyDtoDAsync)(rig.device, host, 4, rig.stream) == HIP_INVALID_VALUE);
    CHECK(CALL(hipMemsetD8Async)(host, 0, 4, rig.stream) == HIP_INVALID_VALUE);
    CHECK(CALL(hipMemsetD8Async)(rig.device, 0, 4, NULL) == HIP_INVALID_HANDLE);
    CHECK(CALL(hipFree)(host) == HIP_INVALID_VALUE);
    CHECK(CALL(hipFree)(rig.device + 1) == HIP_INVALID_VALUE);
    CHECK_OK(CALL(hipFree)(NULL));
    rig_release(&rig);
}

static void test_memory_that_nobody_wrote_is_nan(void **state)
{
    check(body_never_written, NULL);
}

static void test_copies_stay_within_the_device(void **state)
{
    check(body_wrong_places, NULL);
}

static void body_host_reads(void)
{
    struct rig rig;

    rig_init(&rig);
    CHECK_OK(CALL(hipMemsetD8Async)(rig.device, 0, sizeof(rig.host), rig.stream));
    CHECK_OK(wait_for(&rig));
    CHECK(*(volatile float *)rig.device == 0.0f);
}

static void body_kernel_overruns(void)
{
    struct rig rig;

    rig_init(&rig);
    CHECK_OK(launch(&rig, "heap_overrun", COUNT, rig.device, 1));
    (void)wait_for(&rig);
}

static void body_kernel_after_free(void)
{
    struct rig rig;

    rig_init(&rig);
    CHECK_OK(CALL(hipFree)(rig.device));
    CHECK_OK(launch_lanes(&rig));
    (void)wait_for(&rig);
}

static void test_who_leaves_device_memory_ends_the_process(void **state)
{
    check_ends(body_host_reads, NULL);
    check_ends(body_kernel_overruns, NULL);
    check_ends(body_kernel_after_free, NULL);
}

/* ---- streams ---- */

static void body_no_sooner(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.host[0] = 1.0f;
    CHECK_OK(upload(&rig));
    rig.host[0] = 2.0f; /* too early: it is this that is copied */
    CHECK_OK(wait_for(&rig));
    rig.host[0] = 3.0f;
    CHECK_OK(download(&rig));
    CHECK(rig.host[0] == 3.0f);
    CHECK_OK(wait_for(&rig));
    CHECK(rig.host[0] == 2.0f);
    CHECK_OK(launch_lanes(&rig));
    CHECK_OK(download(&rig));
    CHECK(rig.host[0] == 2.0f);
    CHECK_OK(wait_for(&rig));
    check_lanes(&rig);
    rig_release(&rig);
}

static void body_events(void)
{
    struct rig rig;
    struct hip_event *first = NULL, *second = NULL;
    float ms = -1.0f;

    rig_init(&rig);
    CHECK_OK(CALL(hipEventCreateWithFlags)(&first, 0));
    CHECK_OK(CALL(hipEventCreateWithFlags)(&second, 0));
    CHECK_OK(CALL(hipEventSynchronize)(first));
    CHECK(CALL(hipEventElapsedTime)(&ms, first, second) == HIP_INVALID_HANDLE);
    CHECK_OK(CALL(hipMemsetD8Async)(rig.device, 0, sizeof(rig.host), rig.stream));
    CHECK_OK(download(&rig));
    CHECK_OK(CALL(hipEventRecord)(first, rig.stream));
    CHECK_OK(launch_lanes(&rig));
    CHECK_OK(download(&rig));
    CHECK_OK(CALL(hipEventRecord)(second, rig.stream));
    rig.host[1] = 5.0f;
    CHECK(CALL(hipEventElapsedTime)(&ms, first, second) == HIP_NOT_READY);
    CHECK_OK(CALL(hipEventSynchronize)(first)); /* and not what comes behind it */
    CHECK(rig.host[1] == 0.0f);
    CHECK_OK(CALL(hipEventSynchronize)(second));
    check_lanes(&rig);
    CHECK_OK(CALL(hipEventElapsedTime)(&ms, first, second));
    CHECK(ms >= 0.0f);
    CHECK_OK(CALL(hipEventDestroy)(first));
    CHECK_OK(CALL(hipEventDestroy)(second));
    rig_release(&rig);
}

static void test_work_is_done_when_somebody_waits(void **state)
{
    check(body_no_sooner, NULL);
    check(body_events, NULL);
}

/* A captured stream does nothing; its graph does it as often as it is launched. */
static void body_graph(void)
{
    struct hip_graph *graph = NULL;
    struct hip_runnable *runnable = NULL;
    struct rig rig;

    rig_init(&rig);
    CHECK_OK(CALL(hipStreamBeginCapture)(rig.stream, 1));
    CHECK_OK(upload(&rig));
    CHECK_OK(launch_lanes(&rig));
    CHECK_OK(download(&rig));
    CHECK_OK(CALL(hipStreamEndCapture)(rig.stream, &graph));
    rig.host[1] = 7.0f;
    CHECK_OK(wait_for(&rig));
    CHECK(rig.host[1] == 7.0f);
    CHECK_OK(CALL(hipGraphInstantiateWithFlags)(&runnable, graph, 0));
    CHECK_OK(CALL(hipGraphDestroy)(graph));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(CALL(hipGraphLaunch)(runnable, rig.stream));
        CHECK(rig.host[1] == 7.0f);
        CHECK_OK(wait_for(&rig));
        check_lanes(&rig);
        rig.host[1] = 7.0f;
    }
    CHECK_OK(CALL(hipGraphLaunch)(runnable, rig.stream));
    CHECK_OK(CALL(hipGraphExecDestroy)(runnable)); /* what is queued is done all the same */
    CHECK_OK(wait_for(&rig));
    check_lanes(&rig);
    rig_release(&rig);
}

static void body_spoilt_capture(void)
{
    struct hip_graph *graph = NULL;
    void *memory = NULL;
    struct rig rig;

    rig_init(&rig);
    CHECK(CALL(hipStreamEndCapture)(rig.stream, &graph) == HIP_ILLEGAL_STATE);
    CHECK(CALL(hipStreamBeginCapture)(rig.stream, 3) == HIP_INVALID_VALUE);
    for (int what = 0; what < 3; what++) {
        CHECK_OK(CALL(hipStreamBeginCapture)(rig.stream, 1));
        CHECK_OK(launch_lanes(&rig));
        CHECK((what == 0 ? CALL(hipMalloc)(&memory, 64)
               : what == 1
                   ? wait_for(&rig)
                   : CALL(hipStreamBeginCapture)(rig.stream, 1)) == HIP_CAPTURE_UNSUPPORTED);
        CHECK(CALL(hipStreamEndCapture)(rig.stream, &graph) == HIP_CAPTURE_INVALIDATED);
        CHECK(graph == NULL && memory == NULL);
    }
    CHECK_OK(launch_lanes(&rig));
    CHECK_OK(download(&rig));
    CHECK_OK(wait_for(&rig));
    check_lanes(&rig);
    rig_release(&rig);
}

static void body_capture_ends_to_order(void)
{
    struct hip_graph *graph = NULL;
    struct rig rig;

    rig_init(&rig);
    CHECK_OK(CALL(hipStreamBeginCapture)(rig.stream, 1));
    CHECK_OK(launch_lanes(&rig));
    CHECK(CALL(hipStreamEndCapture)(rig.stream, &graph) == HIP_CAPTURE_INVALIDATED);
    CHECK(graph == NULL);
    CHECK_OK(CALL(hipStreamBeginCapture)(rig.stream, 1));
    CHECK_OK(CALL(hipStreamEndCapture)(rig.stream, &graph));
    CHECK_OK(CALL(hipGraphDestroy)(graph));
    rig_release(&rig);
}

static void test_what_is_captured_is_done_as_a_graph(void **state)
{
    check(body_graph, NULL);
    check(body_spoilt_capture, NULL);
    check(body_capture_ends_to_order, ORDER("RBEE_EMULATOR_FAIL", "hipStreamEndCapture:1:901"));
}

static void body_bad_launches(void)
{
    struct rig rig;
    void *module = NULL, *function = NULL;

    rig_init(&rig);
    CHECK(CALL(hipModuleLoadData)(&module, "\177ELF....") == HIP_INVALID_IMAGE);
    CHECK(CALL(hipModuleGetFunction)(&function, rig.module, "nobody") == HIP_NOT_FOUND);
    CHECK(CALL(hipModuleGetFunction)(&function, rig.module, "never_written") == HIP_NOT_FOUND);
    CHECK(launch(&rig, "many_meetings", 16, rig.device, 1) == HIP_INVALID_CONFIGURATION);
    CHECK(launch(&rig, "many_meetings", 512, rig.device, 1) == HIP_INVALID_CONFIGURATION);
    CHECK_OK(wait_for(&rig));
    rig_release(&rig);
}

/* A process has 65530 mappings, and a library's stacks are 512 of them. */
static void body_opened_often(void)
{
    enum { MORE_THAN_FIT = 150 };
    const int width = wave();

    for (int i = 0; i < MORE_THAN_FIT; i++) {
        struct rig rig;

        CHECK(dlclose(library) == 0);
        library = emulator_open_library("gpu-planted", (uint32_t)width);
        rig_init(&rig);
        CHECK_OK(launch_lanes(&rig));
        CHECK_OK(download(&rig));
        CHECK_OK(wait_for(&rig));
        check_lanes(&rig);
        rig_release(&rig);
    }
}

static void test_a_closed_library_leaves_nothing(void **state)
{
    check(body_opened_often, NULL);
}

static void test_what_cannot_be_launched_is_refused(void **state)
{
    check(body_bad_launches, NULL);
}

/* ---- faults to order ---- */

static void body_init_fails(void)
{
    CHECK(CALL(hipInit)(0) == 3);
    CHECK_OK(CALL(hipInit)(0));
}

static void body_nth_call_fails(void)
{
    struct rig rig;
    void *memory = NULL;

    rig_init(&rig); /* the first allocation */
    CHECK(CALL(hipMalloc)(&memory, 16) == HIP_OUT_OF_MEMORY);
    CHECK_OK(CALL(hipMalloc)(&memory, 16));
    CHECK_OK(CALL(hipFree)(memory));
    CHECK(launch_lanes(&rig) == HIP_LAUNCH_FAILURE);
    CHECK(wait_for(&rig) == HIP_LAUNCH_FAILURE); /* for good */
    CHECK(CALL(hipMalloc)(&memory, 16) == HIP_LAUNCH_FAILURE);
}

static void body_second_launch_faults(void)
{
    struct rig rig;
    void *memory = NULL;

    rig_init(&rig);
    CHECK_OK(launch_lanes(&rig));
    CHECK_OK(download(&rig));
    CHECK_OK(wait_for(&rig));
    check_lanes(&rig);
    rig.host[1] = 7.0f;
    CHECK_OK(launch_lanes(&rig)); /* asynchronous: nobody knows yet */
    CHECK_OK(download(&rig));
    CHECK(wait_for(&rig) == HIP_ILLEGAL_ADDRESS);
    CHECK(rig.host[1] == 7.0f); /* nothing after it was done */
    CHECK(wait_for(&rig) == HIP_ILLEGAL_ADDRESS);
    CHECK(upload(&rig) == HIP_ILLEGAL_ADDRESS);
    CHECK(CALL(hipMalloc)(&memory, 16) == HIP_ILLEGAL_ADDRESS);
    CHECK(CALL(hipFree)(rig.device) == HIP_ILLEGAL_ADDRESS);
}

static void body_fault_by_file(void)
{
    struct rig rig;
    int file = -1;

    rig_init(&rig);
    CHECK_OK(launch_lanes(&rig));
    CHECK_OK(wait_for(&rig));
    file = open(getenv("RBEE_EMULATOR_FAULT_FILE"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    CHECK_OK(launch_lanes(&rig));
    CHECK(wait_for(&rig) == HIP_ILLEGAL_ADDRESS);
}

static void test_faults_come_to_order(void **state)
{
    check(body_init_fails, ORDER("RBEE_EMULATOR_FAIL", "hipInit:1:3"));
    check(body_nth_call_fails,
          ORDER("RBEE_EMULATOR_FAIL", "hipMalloc:2:2,hipModuleLaunchKernel:1:719"));
    check(body_second_launch_faults, ORDER("RBEE_EMULATOR_FAULT_LAUNCH", "2"));
    check_ends(body_second_launch_faults,
               ORDER("RBEE_EMULATOR_FAULT_LAUNCH", "2", "RBEE_EMULATOR_FAULT", "abort"));
}

static void test_a_file_orders_a_fault_of_a_process_that_runs(void **state)
{
    for (uint32_t i = 32; i <= 64; i *= 2) {
        AUTO_FREE char *folder = temp_folder_make();
        AUTO_FREE char *path = paths_join(folder, "fault");

        assert_int_equal(run(body_fault_by_file, i, ORDER("RBEE_EMULATOR_FAULT_FILE", path)), 0);
        temp_folder_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices_are_those_of_the_environment),
        cmocka_unit_test(test_memory_that_nobody_wrote_is_nan),
        cmocka_unit_test(test_copies_stay_within_the_device),
        cmocka_unit_test(test_who_leaves_device_memory_ends_the_process),
        cmocka_unit_test(test_work_is_done_when_somebody_waits),
        cmocka_unit_test(test_what_is_captured_is_done_as_a_graph),
        cmocka_unit_test(test_a_closed_library_leaves_nothing),
        cmocka_unit_test(test_what_cannot_be_launched_is_refused),
        cmocka_unit_test(test_faults_come_to_order),
        cmocka_unit_test(test_a_file_orders_a_fault_of_a_process_that_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
