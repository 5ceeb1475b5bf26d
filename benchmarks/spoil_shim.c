// SPDX-License-Identifier: Apache-2.0
// Spoils one process from inside, for `spoiled_runs.py`: a slow disk, and a wall clock that is set.
//
//   LD_PRELOAD=spoil_shim.so SPOIL_CONTROL=file program...
//
// Rule 1: only the process itself is spoiled; disk and clock of the machine stay as they are.
// Rule 2: the file holds a `struct control`, shared with the script, which decides when something happens.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

struct control {
    volatile int64_t write_ns;  // how much longer a write to a file opened for appending takes
    volatile int64_t step_ns;   // by how much the wall clock is ahead between these two instants of its own time
    volatile int64_t from_ns, until_ns;
};

static struct control none = {0, 0, 0, 0};
static struct control *control = &none;
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_recvmsg)(int, struct msghdr *, int);
static int (*real_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_write = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    real_recvmsg = (ssize_t(*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("SPOIL_CONTROL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED) control = shared;
    close(fd);
}

static int is_appended_to(int fd) {
    struct stat facts;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_APPEND) && !fstat(fd, &facts) && S_ISREG(facts.st_mode);
}

ssize_t write(int fd, const void *data, size_t n_bytes) {
    int64_t longer_ns = control->write_ns;
    if (longer_ns > 0 && is_appended_to(fd)) {
        struct timespec left = {longer_ns / NS_PER_S, longer_ns % NS_PER_S};
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {}
    }
    return real_write(fd, data, n_bytes);
}

// What the clock says that was set, when it would have said `t` otherwise.
static void set_ahead(struct timespec *t) {
    int64_t t_ns = t->tv_sec * NS_PER_S + t->tv_nsec;
    if (t_ns < control->from_ns || t_ns >= control->until_ns) return;
    t_ns += control->step_ns;
    t->tv_sec = t_ns / NS_PER_S;
    t->tv_nsec = t_ns % NS_PER_S;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    int status = real_gettime(clock, t);
    if (!status && clock == CLOCK_REALTIME) set_ahead(t);
    return status;
}

// A kernel stamp is the wall clock at the arrival of a segment, not at its being read.
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    ssize_t n_bytes = real_recvmsg(fd, message, flags);
    if (n_bytes < 0) return n_bytes;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SO_TIMESTAMPNS) continue;
        struct timespec t;
        memcpy(&t, CMSG_DATA(part), sizeof t);
        set_ahead(&t);
        memcpy(CMSG_DATA(part), &t, sizeof t);
    }
    return n_bytes;
}
