/* Owns the check of what models can run on, as `rbee-worker --devices` tells. Only that program
 * calls a driver, and is killed when it takes too long: one that hangs would hang us. */
#include "cli/doctor.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/devices_limit.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/process.h"
#include "common/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

enum {
    MS_PER_S = 1000,
    END_MS = 1000, /* after KILL; what takes longer is wedged, and the kernel's to reap */
    ANSWER_MAX_BYTES = 256 << 10,
    READ_BYTES = 16 << 10,
};

static int left_ms(uint64_t until_ms)
{
    uint64_t now_ms = clock_monotonic_ms();

    return now_ms < until_ms ? (int)(until_ms - now_ms) : 0;
}

/* Reads to the end of FD, or to UNTIL_MS: then false. What is too long is no answer of ours. */
static bool read_answer(int fd, uint64_t until_ms, struct buf *out)
{
    struct pollfd event = {.fd = fd, .events = POLLIN};
    char data[READ_BYTES];

    for (;;) {
        int count = poll(&event, 1, left_ms(until_ms));
        ssize_t len = 0;

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        len = read(fd, data, sizeof(data));
        if (len <= 0)
            return true;
        if (buf_add(out, data, (size_t)len) < 0)
            return true;
    }
}

/* Its exit code; -1: it died otherwise, or does not even die. */
static int end_of(int pidfd, uint64_t until_ms)
{
    siginfo_t status = {0};

    if (!process_await(pidfd, until_ms)) {
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* it may have ended just now */
        /* One that is still there is left behind. */
        (void)process_await(pidfd, clock_monotonic_ms() + END_MS);
    }
    if (waitid(P_PIDFD, (id_t)pidfd, &status, WEXITED | WNOHANG) != 0 || status.si_pid == 0)
        return -1;
    return status.si_code == CLD_EXITED ? status.si_status : -1;
}

/* What it prints within LIMIT_SECONDS; -1 with err when that is no use. */
static int ask_devices(const char *program, unsigned limit_seconds, struct buf *out,
                       struct err *err)
{
    const char *const argv[] = {program, "--devices", NULL};
    uint64_t until_ms = clock_monotonic_ms() + (uint64_t)limit_seconds * MS_PER_S;
    AUTO_CLOSE int pidfd = -1;
    AUTO_CLOSE int answer = -1;
    int ends[2] = {-1, -1};
    pid_t pid = 0;
    int rc = 0;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_IO, "pipe: %m");
    answer = ends[0];
    rc = spawn_process(&(struct spawn){.program = program,
                                       .argv = argv,
                                       .fds = {{ends[1], STDOUT_FILENO}},
                                       .fd_count = 1,
                                       .new_group = true,
                                       .dies_with_parent = true,
                                       .no_core = true},
                       &pid, &pidfd, err);
    (void)close(ends[1]); /* the child's */
    if (rc != 0)
        return -1;
    if (!read_answer(answer, until_ms, out)) {
        (void)end_of(pidfd, 0);
        return err_set(err, ERR_TIMED_OUT, "%s --devices took more than %u s", program,
                       limit_seconds);
    }
    rc = end_of(pidfd, until_ms);
    if (rc != 0)
        return err_set(err, ERR_DEVICE, "%s --devices failed", program);
    return 0;
}

static void say_device(struct doctor *doctor, const json_t *device)
{
    const char *pci = json_shown_text(device, "pci");
    const char *name = json_shown_text(device, "name");
    const char *reason = json_shown_text(device, "reason");

    if (json_is_true(json_object_get(device, "usable")))
        doctor_say(doctor, DOCTOR_OK, NULL, "models can run on gpu:%s (%s, %s)", pci, name,
                   json_shown_text(device, "architecture"));
    else
        doctor_say(doctor, DOCTOR_WARNING, "what the reason says, or run models with --device cpu",
                   "models cannot run on gpu:%s (%s): %s", pci, name,
                   reason[0] == '\0' ? "rbee-worker gives no reason" : reason);
}

static void say_answer(struct doctor *doctor, const char *program, const struct buf *answer)
{
    struct err err = ERR_INIT;
    AUTO_JSON json_t *record = json_parse(answer->data, answer->len, ANSWER_MAX_BYTES, &err);
    const json_t *devices = json_object_get(record, "devices");
    const char *reason = json_shown_text(record, "reason");
    const json_t *device = NULL;
    size_t index = 0;

    if (!json_is_array(devices)) {
        doctor_say(doctor, DOCTOR_PROBLEM, "install rbee anew: its programs belong together",
                   "%s --devices gave no list of devices", program);
        return;
    }
    if (json_array_size(devices) == 0)
        doctor_say(doctor, DOCTOR_WARNING, "what gpu-amd or gpu-nvidia says above",
                   "models can run on no GPU: %s",
                   reason[0] == '\0' ? "rbee-worker sees none" : reason);
    json_array_foreach(devices, index, device)
    {
        say_device(doctor, device);
    }
}

void doctor_gpu_models(struct doctor *doctor)
{
    const char *named = config_text(doctor->config, CONFIG_supervisor_worker_program);
    AUTO_FREE char *beside = paths_sibling_program("rbee-worker");
    const char *program = named[0] == '\0' ? beside : named;
    AUTO_BUF struct buf answer = BUF_INIT(ANSWER_MAX_BYTES);
    struct err err = ERR_INIT;

    if (!doctor_has_gpu(doctor)) {
        doctor_say(doctor, DOCTOR_OK, NULL, "models run on the CPU, there is no GPU");
        return;
    }
    if (ask_devices(program, devices_limit_seconds(doctor_card_count(doctor)), &answer, &err) != 0)
        doctor_say(
            doctor, DOCTOR_PROBLEM,
            "what gpu-amd or gpu-nvidia says above; sudo dmesg says whether the driver hangs",
            "which GPUs models can run on is not known: %s", err.message);
    else
        say_answer(doctor, program, &answer);
}
