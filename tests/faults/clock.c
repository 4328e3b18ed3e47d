/* A wrong clock for the programs that load this before their libraries: seconds from a file are added to the time of day.
 * Waiting and measuring (monotonic time) are left alone. libfaketime would do, but for Python 3.11's sleep. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    static time_t looked = -1;
    static long seconds = 0;
    struct timespec now;
    int before = errno;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec != looked) {
        char text[32] = "";
        int file = open("/etc/clock-offset", O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            ssize_t length = read(file, text, sizeof text - 1);
            close(file);
            seconds = length > 0 ? atol(text) : 0;
        }
        looked = now.tv_sec;
    }
    errno = before;
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    int result = (int)syscall(SYS_clock_gettime, clock, found);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        found->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    int result = (int)syscall(SYS_gettimeofday, found, zone);
    if (result == 0)
        found->tv_sec += offset();
    return result;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (found)
        *found = now.tv_sec;
    return now.tv_sec;
}
