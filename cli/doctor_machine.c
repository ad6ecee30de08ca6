/* Owns the checks of the machine but for its GPUs: processor, memory, limits, clock, services. */
#include "cli/doctor.h"
#include "common/clock.h"
#include "common/host_memory.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/units.h"

#include <glob.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PROC_FILE_MAX_BYTES = 4 << 20, /* cpuinfo has 1.5 KB for each of hundreds of processors */
    MEMORY_LOW_BYTES = 512 << 20,  /* below what the smallest useful model takes */
    FILES_LOW = 1024,              /* connections, logs and workers of a busy supervisor */
    MS_PER_DAY = 24 * 60 * 60 * 1000,
    KIB = 1024,
};

/* Before this program was written: the clock has not been set. 2025-01-01. */
static const int64_t CLOCK_EARLIEST_MS = 1735689600000;

/* Whether a file of the kernel has WORD as one of the words of its line "NAME: ..."; the first such
 * line counts. */
static bool has_word(const struct buf *text, const char *name, const char *word)
{
    const char *line = strstr(text->data, name);
    size_t word_len = strlen(word);
    const char *end = NULL;

    if (line == NULL)
        return false;
    end = line + strcspn(line, "\n");
    for (const char *at = line; (at = strstr(at, word)) != NULL && at < end; at += word_len) {
        bool begins = at > line && (at[-1] == ' ' || at[-1] == '\t');

        if (begins && strchr(" \n", at[word_len]) != NULL) /* its NUL is found as well */
            return true;
    }
    return false;
}

void doctor_cpu(struct doctor *doctor)
{
    AUTO_BUF struct buf text = BUF_INIT(PROC_FILE_MAX_BYTES);
    bool is_x86 = false;

    if (!doctor_read(doctor, "/proc/cpuinfo", &text)) {
        doctor_say(doctor, DOCTOR_WARNING, NULL, "the processor's features are not known");
        return;
    }
    is_x86 = strstr(text.data, "\nflags") != NULL;
    if (is_x86 && !(has_word(&text, "flags", "avx2") && has_word(&text, "flags", "fma") &&
                    has_word(&text, "flags", "f16c")))
        doctor_say(doctor, DOCTOR_WARNING, NULL,
                   "the processor has no AVX2, FMA and F16C: models run many times slower");
    else if (is_x86 && has_word(&text, "flags", "avx512_vnni"))
        doctor_say(doctor, DOCTOR_OK, NULL, "the processor has %s",
                   has_word(&text, "flags", "amx_int8") ? "AVX2, AVX-512 VNNI and AMX"
                                                        : "AVX2 and AVX-512 VNNI");
    else
        doctor_say(doctor, DOCTOR_OK, NULL, "the processor has %s",
                   is_x86 ? "AVX2" : "what is needed");
}

/* MemAvailable of the machine that is looked at; 0: not known. */
static uint64_t available_bytes(const struct doctor *doctor)
{
    static const char NAME[] = "MemAvailable:";
    AUTO_BUF struct buf text = BUF_INIT(PROC_FILE_MAX_BYTES);
    struct host_memory memory = {.available_bytes = UINT64_MAX};
    const char *line = NULL;
    uint64_t bytes = 0;

    if (!doctor_read(doctor, "/proc/meminfo", &text))
        return 0;
    line = strstr(text.data, NAME);
    bytes = line != NULL ? strtoull(line + strlen(NAME), NULL, 10) * KIB : 0;
    if (doctor->root[0] == '\0') /* our control groups' limits count on this machine alone */
        host_memory_read(&memory);
    return bytes < memory.available_bytes ? bytes : memory.available_bytes;
}

void doctor_memory(struct doctor *doctor)
{
    uint64_t bytes = available_bytes(doctor);
    char text[UNITS_TEXT_BYTES];

    units_format_size(bytes, text);
    if (bytes == 0)
        doctor_say(doctor, DOCTOR_WARNING, NULL, "how much memory is available is not known");
    else if (bytes < MEMORY_LOW_BYTES)
        doctor_say(doctor, DOCTOR_WARNING, "ps -eo pid,rss,comm --sort=-rss | head",
                   "only %s of memory are available", text);
    else
        doctor_say(doctor, DOCTOR_OK, NULL, "%s of memory are available", text);
}

void doctor_limits(struct doctor *doctor)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_LOW)
        doctor_say(doctor, DOCTOR_WARNING, "ulimit -n 4096",
                   "a process may open only %" PRIu64 " files", (uint64_t)files.rlim_cur);
    else
        doctor_say(doctor, DOCTOR_OK, NULL, "a process may open enough files");
}

void doctor_clock(struct doctor *doctor)
{
    AUTO_FREE char *folder = paths_state_dir();
    AUTO_FREE char *database = paths_join(folder, "rbee.db");
    int64_t now_ms = clock_wall_ms();
    char now[CLOCK_RFC3339_BYTES];
    struct stat info;

    clock_format_rfc3339(now_ms, now);
    if (now_ms < CLOCK_EARLIEST_MS)
        doctor_say(doctor, DOCTOR_PROBLEM, "sudo timedatectl set-ntp true",
                   "the clock has not been set: it says %s", now);
    else if (stat(database, &info) == 0 && (int64_t)info.st_mtime * 1000 > now_ms + MS_PER_DAY)
        doctor_say(doctor, DOCTOR_WARNING, "sudo timedatectl set-ntp true",
                   "the clock says %s, and the database was written after that", now);
    else
        doctor_say(doctor, DOCTOR_OK, NULL, "the clock says %s", now);
}

/* Whether systemd starts a unit of ours when this user logs in. */
static bool is_user_service(void)
{
    AUTO_FREE char *config = paths_user_config();
    AUTO_FREE char *pattern = NULL;
    glob_t found = {0};
    bool is_any = false;

    /* .../rbee/rbee.conf: systemd's folder is beside rbee's. */
    *strrchr(config, '/') = '\0';
    *strrchr(config, '/') = '\0';
    pattern = xasprintf("%s/systemd/user/*.wants/rbee*", config);
    is_any = glob(pattern, GLOB_NOSORT, NULL, &found) == 0 && found.gl_pathc > 0;
    globfree(&found);
    return is_any;
}

void doctor_service(struct doctor *doctor)
{
    char storage[4096];
    struct passwd user;
    struct passwd *me = NULL;
    AUTO_FREE char *linger = NULL;

    if (!doctor_exists(doctor, "/run/systemd/system") || !is_user_service() ||
        getpwuid_r(geteuid(), &user, storage, sizeof(storage), &me) != 0 || me == NULL) {
        doctor_say(doctor, DOCTOR_OK, NULL, "rbee is no service of systemd for this user");
        return;
    }
    linger = xasprintf("/var/lib/systemd/linger/%s", me->pw_name);
    if (doctor_exists(doctor, linger))
        doctor_say(doctor, DOCTOR_OK, NULL, "this user's services run without a login");
    else
        doctor_say(doctor, DOCTOR_WARNING, "loginctl enable-linger \"$USER\"",
                   "this user's services, rbee among them, end with the last login");
}
