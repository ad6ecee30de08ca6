/* A process that tells when it began to run, and then waits to be ended: what bench_respawn lets
 * supervisors start again. Its first act is to read the clock; it writes "PID MICROSECONDS" (wall
 * time, as a shell reads it) to the FIFO MODEL.born of `--model MODEL`, as a worker is called, or
 * to newborn.born where it stands. Then it is s6's, and tells it on descriptor 3 that it is ready.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { US_PER_S = 1000000, NS_PER_US = 1000, TEXT_MAX_BYTES = 4096, READY_FD = 3 };

int main(int argc, char **argv)
{
    struct timespec now = {0, 0};
    char text[TEXT_MAX_BYTES] = "newborn.born";
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    bool is_of_s6 = true;
    int fd = -1, len = 0;

    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--model") != 0)
            continue;
        (void)snprintf(text, sizeof(text), "%s.born", argv[i + 1]);
        is_of_s6 = false;
    }
    fd = open(text, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    len = snprintf(text, sizeof(text), "%d %lld\n", (int)getpid(),
                   (long long)now.tv_sec * US_PER_S + now.tv_nsec / NS_PER_US);
    if (rc != 0 || fd < 0 || write(fd, text, (size_t)len) != len)
        return 1;
    if (is_of_s6 && write(READY_FD, "\n", 1) != 1)
        return 1;
    for (;;)
        (void)pause(); /* until a signal ends it */
}
