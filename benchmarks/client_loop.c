// SPDX-License-Identifier: Apache-2.0
// The least a client can do: epoll, recvmsg, kernel receive stamps, every byte kept. The yardstick for a driving loop.
//
//     client_loop PORT N_STREAMS N_CHUNKS CPU OUT
//
// Opens N_STREAMS connections to 127.0.0.1:PORT, sends one request for N_CHUNKS tokens on each, all at once
// (x-request-id: <stream>-c), reads until the last transfer chunk of each has come, and only then looks for the events
// in what was read. Writes OUT:
//     int64 n_streams, n_reads, n_chunks, cpu_ns, run_delay_ns, t_due_ns, peak_rss_bytes
//     int64 t_sent_ns[n_streams]             right before each send; all were due at t_due_ns
//     struct chunk chunks[n_chunks]          events with text, in the order of the reads that completed them
// All instants are CLOCK_MONOTONIC; kernel stamps (CLOCK_REALTIME) are mapped with an offset taken once per pass.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define READ_BYTES 65536
#define EVENT_BYTES 300 // an upper bound of bytes per chunk, for what is reserved
#define MAX_EVENTS 256
#define END "\r\n0\r\n\r\n"
#define N_END (sizeof END - 1)

struct read {
    int64_t stream;
    int64_t n_bytes;
    int64_t t_recv_ns; // kernel stamp, 0 if none came
    int64_t t_read_ns; // own clock, right after the read
};

struct chunk {
    int64_t stream, read, t_recv_ns, t_read_ns;
};

// Where the search for events stands in one stream.
struct scan {
    uint8_t n_matched; // bytes of MARK
    bool has_text, was_line_end;
};

static const char MARK[] = "\"content\":";

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
    void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    return memory;
}

static void stay_on(int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus)) die("sched_setaffinity");
}

static void allow_files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
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

// Whether the stream ends with what was just read. `tail`: its last N_END bytes so far.
static bool is_end(char *tail, const char *bytes, size_t n_bytes) {
    if (n_bytes >= N_END) {
        memcpy(tail, bytes + n_bytes - N_END, N_END);
    } else {
        memmove(tail, tail + n_bytes, N_END - n_bytes);
        memcpy(tail + N_END - n_bytes, bytes, n_bytes);
    }
    return !memcmp(tail, END, N_END);
}

// Events with text that these bytes complete: between two empty lines, one `"content":`.
static int64_t count_events(struct scan *scan, const char *bytes, int64_t n_bytes) {
    int64_t n_events = 0;
    for (int64_t i = 0; i < n_bytes; i++) {
        char c = bytes[i];
        if (scan->n_matched == sizeof MARK - 2 && c != ':') scan->n_matched = 1; // its last quote may be a first one
        if (c == MARK[scan->n_matched])
            scan->n_matched++;
        else
            scan->n_matched = c == '"';
        if (scan->n_matched == sizeof MARK - 1) {
            scan->has_text = true;
            scan->n_matched = 0;
        }
        if (c == '\n' && scan->was_line_end) {
            n_events += scan->has_text;
            scan->has_text = false;
        }
        scan->was_line_end = c == '\n';
    }
    return n_events;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: client_loop PORT N_STREAMS N_CHUNKS CPU OUT\n");
        return 2;
    }
    int port = atoi(argv[1]);
    int64_t n_streams = atoll(argv[2]), n_chunks_asked = atoll(argv[3]);
    stay_on(atoi(argv[4]));
    allow_files();
    int64_t max_reads = n_streams * (n_chunks_asked + 8), max_bytes = max_reads * EVENT_BYTES + READ_BYTES;
    struct read *reads = reserve(max_reads * sizeof *reads);
    char *bytes = reserve(max_bytes);
    int64_t *t_sent_ns = reserve(n_streams * sizeof *t_sent_ns);
    char(*tails)[N_END] = reserve(n_streams * sizeof *tails);
    int64_t n_reads = 0, n_bytes = 0, n_open = n_streams;
    int *fds = reserve(n_streams * sizeof *fds);

    int epoll = epoll_create1(0);
    for (int64_t i = 0; i < n_streams; i++) {
        fds[i] = open_stream(port);
        struct epoll_event interest = {.events = EPOLLIN, .data.u64 = i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &interest)) die("epoll_ctl");
    }
    char body[256];
    snprintf(body, sizeof body,
             "{\"model\":\"truth\",\"messages\":[{\"role\":\"user\",\"content\":\"go\"}],\"max_tokens\":%lld,"
             "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
             (long long)n_chunks_asked);
    int64_t cpu_start_ns = cpu_ns(), delay_start_ns = run_delay_ns(), t_due_ns = clock_ns(CLOCK_MONOTONIC);
    for (int64_t i = 0; i < n_streams; i++) {
        char request[1024];
        int n = snprintf(request, sizeof request,
                         "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nx-request-id: %lld-c\r\n"
                         "content-length: %zu\r\n\r\n%s",
                         (long long)i, strlen(body), body);
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
            if (n <= 0) die("a stream ended early");
            int64_t stamp_ns = kernel_stamp_ns(&message);
            reads[n_reads++] = (struct read){i, n, stamp_ns ? stamp_ns - offset_ns : 0, t_read_ns};
            if (is_end(tails[i], bytes + n_bytes, n)) {
                close(fds[i]);
                n_open--;
            }
            n_bytes += n;
        }
    }
    int64_t cpu_end_ns = cpu_ns(), delay_end_ns = run_delay_ns();
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);

    struct scan *scans = reserve(n_streams * sizeof *scans);
    struct chunk *chunks = reserve(max_reads * sizeof *chunks);
    int64_t n_chunks = 0, at = 0;
    for (int64_t r = 0; r < n_reads; at += reads[r++].n_bytes) {
        int64_t n_events = count_events(&scans[reads[r].stream], bytes + at, reads[r].n_bytes);
        for (; n_events; n_events--)
            chunks[n_chunks++] = (struct chunk){reads[r].stream, r, reads[r].t_recv_ns, reads[r].t_read_ns};
    }
    int64_t head[7] = {n_streams, n_reads, n_chunks, cpu_end_ns - cpu_start_ns, delay_end_ns - delay_start_ns,
                       t_due_ns, usage.ru_maxrss * 1024LL};
    FILE *out = fopen(argv[5], "wb");
    if (out == NULL) die(argv[5]);
    fwrite(head, sizeof head, 1, out);
    fwrite(t_sent_ns, sizeof *t_sent_ns, n_streams, out);
    fwrite(chunks, sizeof *chunks, n_chunks, out);
    if (ferror(out) || fclose(out)) die(argv[5]);
    return 0;
}
