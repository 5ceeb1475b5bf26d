// SPDX-License-Identifier: Apache-2.0
// The least a client can do: epoll, recvmsg, kernel receive stamps, every byte kept. The yardstick for a driving loop.
//
//     client_loop PORT N_STREAMS MAX_READS MAX_BYTES BODY OUT
//
// Opens N_STREAMS connections to 127.0.0.1:PORT, sends one request on each (x-request-id: <stream>-c), reads until the
// server has closed them all, then writes OUT:
//     int64 n_streams, n_reads, n_bytes, cpu_ns, run_delay_ns
//     int64 t_sent_ns[n_streams]                       right before each send
//     struct read reads[n_reads]
//     char bytes[n_bytes]                              of all reads, in their order
// All instants are CLOCK_MONOTONIC; kernel stamps (CLOCK_REALTIME) are mapped with an offset taken once per pass.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define READ_BYTES 65536
#define MAX_EVENTS 256

struct read {
    int64_t stream;
    int64_t n_bytes;
    int64_t t_recv_ns; // kernel stamp, 0 if none came
    int64_t t_read_ns; // own clock, right after the read
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t cpu_ns(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NS_PER_S +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

// How long this process has stood ready without a core.
static int64_t run_delay_ns(void) {
    long long running = 0, waiting = 0;
    FILE *schedstat = fopen("/proc/self/schedstat", "r");
    if (schedstat == NULL || fscanf(schedstat, "%lld %lld", &running, &waiting) != 2) die("/proc/self/schedstat");
    fclose(schedstat);
    return waiting;
}

// Memory whose pages are there before the first read.
static void *reserve(size_t n_bytes) {
    void *memory = malloc(n_bytes);
    if (memory == NULL) die("malloc");
    memset(memory, 0, n_bytes);
    return memory;
}

static int open_stream(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on)) die("SO_TIMESTAMPNS");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int64_t kernel_stamp_ns(struct msghdr *message) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            return t.tv_sec * NS_PER_S + t.tv_nsec;
        }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: client_loop PORT N_STREAMS MAX_READS MAX_BYTES BODY OUT\n");
        return 2;
    }
    int port = atoi(argv[1]);
    int64_t n_streams = atoll(argv[2]), max_reads = atoll(argv[3]), max_bytes = atoll(argv[4]);
    const char *body = argv[5];
    struct read *reads = reserve(max_reads * sizeof *reads);
    char *bytes = reserve(max_bytes);
    int64_t *t_sent_ns = reserve(n_streams * sizeof *t_sent_ns);
    int64_t n_reads = 0, n_bytes = 0, n_open = n_streams;
    int *fds = reserve(n_streams * sizeof *fds);

    int epoll = epoll_create1(0);
    for (int64_t i = 0; i < n_streams; i++) {
        fds[i] = open_stream(port);
        struct epoll_event interest = {.events = EPOLLIN, .data.u64 = i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &interest)) die("epoll_ctl");
    }
    int64_t cpu_start_ns = cpu_ns(), delay_start_ns = run_delay_ns();
    for (int64_t i = 0; i < n_streams; i++) {
        char request[4096];
        int n = snprintf(request, sizeof request,
                         "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nx-request-id: %lld-c\r\n"
                         "content-length: %zu\r\n\r\n%s",
                         (long long)i, strlen(body), body);
        if (n >= (int)sizeof request) die("body too long");
        t_sent_ns[i] = clock_ns(CLOCK_MONOTONIC);
        if (send(fds[i], request, n, 0) != n) die("send");
    }
    while (n_open) {
        struct epoll_event ready[MAX_EVENTS];
        int n_ready = epoll_wait(epoll, ready, MAX_EVENTS, -1);
        int64_t offset_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
        for (int k = 0; k < n_ready; k++) {
            int64_t i = ready[k].data.u64;
            if (n_reads == max_reads || n_bytes + READ_BYTES > max_bytes) die("more came than was reserved for");
            char control[128];
            struct iovec part = {bytes + n_bytes, READ_BYTES};
            struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
            ssize_t n = recvmsg(fds[i], &message, 0);
            int64_t t_read_ns = clock_ns(CLOCK_MONOTONIC);
            if (n < 0 && errno == EAGAIN) continue;
            if (n < 0) die("recvmsg");
            if (n == 0) {
                close(fds[i]);
                n_open--;
                continue;
            }
            int64_t stamp_ns = kernel_stamp_ns(&message);
            reads[n_reads++] = (struct read){i, n, stamp_ns ? stamp_ns - offset_ns : 0, t_read_ns};
            n_bytes += n;
        }
    }
    int64_t head[5] = {n_streams, n_reads, n_bytes, cpu_ns() - cpu_start_ns, run_delay_ns() - delay_start_ns};
    FILE *out = fopen(argv[6], "wb");
    if (out == NULL) die(argv[6]);
    fwrite(head, sizeof head, 1, out);
    fwrite(t_sent_ns, sizeof *t_sent_ns, n_streams, out);
    fwrite(reads, sizeof *reads, n_reads, out);
    fwrite(bytes, 1, n_bytes, out);
    if (fclose(out)) die(argv[6]);
    return 0;
}
