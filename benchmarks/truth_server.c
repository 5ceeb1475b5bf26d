// SPDX-License-Identifier: Apache-2.0
// A ground-truth server that is never the limit: OpenAI-style streams at prescribed instants, every send stamped.
//
//     truth_server [--name=number ...] --log=PATH        (options: see `options` below; started by truth_server.py)
//
// Prints "listening on http://127.0.0.1:PORT", serves until SIGTERM, then writes the log. One thread, epoll, one heap of
// due instants. One event per transfer chunk, one chunk per send; what ends a stream (finish reason, usage, [DONE], the
// last transfer chunk) leaves in the send of its last token. Answers that do not stream are given at once.
//
// Rule 1: instants are absolute, from the arrival of a request; a late send does not shift the next.
// Rule 2: the log lies in memory that is there before the first request; nothing is written while streams run.
// Rule 3: between a stamp and its send there is nothing.
//
// The log, int64: head[6] = n_requests, n_sends, n_retries, run_delay_ns, n_without_room, t_first_ns; then
// struct request[n_requests]; struct send[n_sends]. All instants are CLOCK_MONOTONIC; t_first_ns is that of the first
// request of any kind.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL
#define MAX_EVENTS 256
#define SEND_BATCH 32 // sends between two looks at the sockets: a request is stamped at most 0.2 ms late in a burst
#define READ_BYTES 65536
#define MAX_REQUEST_BYTES (64 << 20)
#define ID_BYTES 48
#define N_WORDS 8

struct option {
    const char *name;
    double value;
};

// Times in milliseconds, uniform spreads as half their width.
static struct option options[] = {
    {"port", 0},         {"cpu", -1},          // -1: wherever the system puts it
    {"ttft-ms", 60},     {"ttft-spread-ms", 0}, // first chunk after the arrival: ttft-ms +- ttft-spread-ms
    {"gap-ms", 20},      {"gap-spread-ms", 0},  // chunk i is due i gaps after the first, +- gap-spread-ms
    {"n-chunks", 0},                            // 0: as many as the request's max_tokens
    {"stagger-ms", 0},   {"stagger-n", 1},      // request k starts (k mod stagger-n) * stagger-ms late
    {"seed", 0},         {"spin-us", 50},       // the last stretch before an instant is waited for without sleeping
    {"log-every", 1},                           // 0: no log
    {"max-requests", 0}, {"max-sends", 0},      // what the log has room for
};

struct request { // a row of the log
    int64_t conn, t_arrival_ns, t_start_ns, t_gone_ns, first_send, n_sends, n_sent;
    char x_request_id[ID_BYTES];
};

struct send {
    int64_t t_due_ns, t_before_ns, t_after_ns;
};

struct conn {
    int fd;
    int64_t number;
    char *in; // what came and is not answered yet
    size_t n_in, capacity;
    // The answer that is under way, if is_busy.
    bool is_busy, wants_usage, keeps_alive;
    int64_t t_first_ns, t_due_ns;
    int64_t n_chunks, i_chunk, n_prompt_tokens;
    uint64_t random;
    struct request *row; // NULL: not logged
    size_t i_heap;
    char *rest; // of a send that the socket did not take whole
    size_t n_rest, at_rest;
};

static volatile sig_atomic_t is_stopping;
static struct conn **conns; // by file descriptor
static struct conn **heap;  // by t_due_ns, earliest first
static size_t n_heap, n_conns_max;
static int64_t t_first_ns = -1, n_conns, n_generations, n_requests, n_sends, n_retries, n_without_room;
static struct request *requests;
static struct send *sends;
static int epoll_fd;
static char tokens[N_WORDS][512]; // a transfer chunk with one token each
static size_t token_bytes[N_WORDS];
static const char *WORDS[N_WORDS] = {" alpha", " bravo", " delta", " gamma", " kappa", " omega", " sigma", " theta"};

static const char HEAD[] = "HTTP/1.1 200 OK\r\nserver: truth\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                           "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
#define ENVELOPE(object) \
    "\"id\":\"chatcmpl-0f1e2d3c4b5a69788796a5b4c3d2e1f0\",\"object\":\"" object "\",\"created\":1700000000," \
    "\"model\":\"truth\""

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double option(const char *name) {
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (!strcmp(options[i].name, name)) return options[i].value;
    fprintf(stderr, "no option %s\n", name);
    exit(2);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

// How long this process has stood ready without a core.
static int64_t run_delay_ns(void) {
    long long running = 0, waiting = 0;
    FILE *schedstat = fopen("/proc/self/schedstat", "r");
    if (schedstat == NULL || fscanf(schedstat, "%lld %lld", &running, &waiting) != 2) return -1;
    fclose(schedstat);
    return waiting;
}

// Memory whose pages are there before the first use.
static void *reserve(size_t n_bytes) {
    void *memory = mmap(NULL, n_bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    return memory;
}

static uint64_t next_random(uint64_t *state) { // splitmix64
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// Uniform in -half..half.
static int64_t spread_ns(uint64_t *state, double half_ms) {
    double unit = (next_random(state) >> 11) * 0x1p-53;
    return (int64_t)((2 * unit - 1) * half_ms * NS_PER_MS);
}

// --- the heap ---------------------------------------------------------------------------------------------------------

static void put(size_t i, struct conn *conn) {
    heap[i] = conn;
    conn->i_heap = i;
}

// Where `conn` belongs, from its place downwards or upwards.
static void settle(struct conn *conn) {
    size_t i = conn->i_heap;
    while (i && heap[(i - 1) / 2]->t_due_ns > conn->t_due_ns) {
        put(i, heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (size_t child; (child = 2 * i + 1) < n_heap; i = child) {
        if (child + 1 < n_heap && heap[child + 1]->t_due_ns < heap[child]->t_due_ns) child++;
        if (heap[child]->t_due_ns >= conn->t_due_ns) break;
        put(i, heap[child]);
    }
    put(i, conn);
}

static void add(struct conn *conn) {
    put(n_heap++, conn);
    settle(conn);
}

static void take_out(struct conn *conn) {
    struct conn *last = heap[--n_heap];
    if (last == conn) return;
    put(conn->i_heap, last);
    settle(last);
}

// --- bytes ------------------------------------------------------------------------------------------------------------

// `event` as one transfer chunk. Returns its length.
static size_t chunk(char *out, const char *format, ...) {
    char event[1024];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(event, sizeof event, format, arguments);
    va_end(arguments);
    return sprintf(out, "%x\r\n%s\r\n", n, event);
}

static void make_tokens(void) {
    for (int i = 0; i < N_WORDS; i++)
        token_bytes[i] = chunk(tokens[i],
                               "data: {" ENVELOPE("chat.completion.chunk") ",\"choices\":[{\"index\":0,\"delta\":{"
                               "\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                               WORDS[i]);
}

static size_t ending(char *out, const struct conn *conn) {
    size_t n = chunk(out, "data: {" ENVELOPE("chat.completion.chunk") ",\"choices\":[{\"index\":0,\"delta\":{},"
                          "\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n");
    if (conn->wants_usage)
        n += chunk(out + n,
                   "data: {" ENVELOPE("chat.completion.chunk") ",\"choices\":[],\"usage\":{\"prompt_tokens\":%lld,"
                   "\"completion_tokens\":%lld,\"total_tokens\":%lld}}\n\n",
                   (long long)conn->n_prompt_tokens, (long long)conn->n_chunks,
                   (long long)(conn->n_prompt_tokens + conn->n_chunks));
    n += chunk(out + n, "data: [DONE]\n\n");
    return n + sprintf(out + n, "0\r\n\r\n");
}

// An answer in one piece, sent at once: it is small, and the socket is empty.
static void reply(struct conn *conn, const char *status, const char *body) {
    char out[2048];
    int n = snprintf(out, sizeof out, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                     status, strlen(body), body);
    if (send(conn->fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) n_retries++;
}

// --- requests ---------------------------------------------------------------------------------------------------------

// What follows `"name":` in a JSON text, or NULL. Prompts here are words, so that nothing in them looks like a name.
static const char *value_of(const char *body, size_t n_body, const char *name) {
    char quoted[64];
    int n = snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *at = memmem(body, n_body, quoted, n);
    if (at == NULL) return NULL;
    for (at += n; at < body + n_body && (*at == ' ' || *at == ':'); at++)
        ;
    return at < body + n_body ? at : NULL;
}

static bool is_true(const char *body, size_t n_body, const char *name) {
    const char *value = value_of(body, n_body, name);
    return value != NULL && *value == 't';
}

// Words of all message texts: a token is a word here.
static int64_t count_words(const char *body, size_t n_body) {
    int64_t n_words = 0;
    const char *end = body + n_body;
    for (const char *at; (at = value_of(body, end - body, "content")) != NULL; body = at) {
        bool was_space = true;
        for (at += *at == '"'; at < end && *at != '"'; at++) {
            n_words += was_space && *at != ' ';
            was_space = *at == ' ';
        }
    }
    return n_words;
}

static const char *header_of(const char *head, size_t n_head, const char *name) {
    size_t n = strlen(name);
    for (const char *line = memchr(head, '\n', n_head); line != NULL;
         line = memchr(line, '\n', head + n_head - line)) {
        line++;
        if ((size_t)(head + n_head - line) > n && !strncasecmp(line, name, n) && line[n] == ':') {
            for (line += n + 1; *line == ' '; line++)
                ;
            return line;
        }
    }
    return NULL;
}

static struct request *open_row(const struct conn *conn, const char *head, size_t n_head, int64_t t_arrival_ns,
                                int64_t t_start_ns) {
    int64_t every = (int64_t)option("log-every");
    if (!every || n_generations % every) return NULL;
    if (n_requests >= (int64_t)option("max-requests") || n_sends + conn->n_chunks > (int64_t)option("max-sends")) {
        n_without_room++;
        return NULL;
    }
    struct request *row = &requests[n_requests++];
    *row = (struct request){conn->number, t_arrival_ns, t_start_ns, -1, n_sends, conn->n_chunks, 0, ""};
    n_sends += conn->n_chunks;
    const char *id = header_of(head, n_head, "x-request-id");
    for (int i = 0; id != NULL && i < ID_BYTES - 1 && id[i] != '\r'; i++) row->x_request_id[i] = id[i];
    return row;
}

static void begin_stream(struct conn *conn, const char *head, size_t n_head, const char *body, size_t n_body,
                         int64_t t_arrival_ns) {
    static double stagger_ms, ttft_ms, ttft_spread_ms, seed;
    static int64_t stagger_n = 0, n_chunks;
    if (!stagger_n) {
        stagger_ms = option("stagger-ms"), stagger_n = option("stagger-n"), n_chunks = option("n-chunks");
        ttft_ms = option("ttft-ms"), ttft_spread_ms = option("ttft-spread-ms"), seed = option("seed");
    }
    const char *asked = value_of(body, n_body, "max_tokens");
    conn->n_chunks = n_chunks ? n_chunks : asked != NULL && atoll(asked) > 0 ? atoll(asked) : 32;
    conn->wants_usage = is_true(body, n_body, "include_usage");
    conn->n_prompt_tokens = conn->wants_usage ? count_words(body, n_body) : 0;
    conn->random = ((uint64_t)seed << 40) + n_generations;
    int64_t t_start_ns = t_arrival_ns + (int64_t)((n_generations % stagger_n) * stagger_ms * NS_PER_MS);
    conn->row = open_row(conn, head, n_head, t_arrival_ns, t_start_ns);
    n_generations++;
    conn->t_first_ns = t_start_ns + (int64_t)(ttft_ms * NS_PER_MS) + spread_ns(&conn->random, ttft_spread_ms);
    conn->t_due_ns = conn->t_first_ns;
    conn->i_chunk = 0;
    conn->is_busy = true;
    add(conn);
}

static void answer_whole(struct conn *conn, const char *body, size_t n_body) {
    char out[1024];
    long long n = count_words(body, n_body);
    snprintf(out, sizeof out,
             "{" ENVELOPE("chat.completion") ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
             "\"content\":\" alpha\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":%lld,"
             "\"completion_tokens\":1,\"total_tokens\":%lld}}", n, n + 1);
    reply(conn, "200 OK", out);
}

static bool is_path(const char *head, const char *line) {
    return !strncmp(head, line, strlen(line));
}

// Answer what stands at the beginning of the inbox, if it is a whole request.
static bool take_request(struct conn *conn, int64_t t_arrival_ns) {
    const char *end = memmem(conn->in, conn->n_in, "\r\n\r\n", 4);
    if (end == NULL) return false;
    size_t n_head = end + 4 - conn->in;
    const char *length = header_of(conn->in, n_head, "content-length");
    size_t n_body = length == NULL ? 0 : strtoull(length, NULL, 10);
    if (conn->n_in < n_head + n_body) return false;
    const char *body = conn->in + n_head;
    const char *connection = header_of(conn->in, n_head, "connection");
    conn->keeps_alive = connection == NULL || strncasecmp(connection, "close", 5);
    if (is_path(conn->in, "POST /v1/chat/completions ")) {
        if (is_true(body, n_body, "stream"))
            begin_stream(conn, conn->in, n_head, body, n_body, t_arrival_ns);
        else
            answer_whole(conn, body, n_body);
    } else if (is_path(conn->in, "GET /v1/models "))
        reply(conn, "200 OK",
              "{\"object\":\"list\",\"data\":[{\"id\":\"truth\",\"object\":\"model\",\"created\":1700000000,"
              "\"owned_by\":\"inferometer\",\"max_model_len\":131072}]}");
    else if (is_path(conn->in, "GET /health "))
        reply(conn, "200 OK", "{}");
    else
        reply(conn, "404 Not Found", "{\"error\":{\"message\":\"not served here\",\"type\":\"truth_error\"}}");
    conn->n_in -= n_head + n_body;
    memmove(conn->in, conn->in + n_head + n_body, conn->n_in);
    return true;
}

// --- connections ------------------------------------------------------------------------------------------------------

static void end_stream(struct conn *conn) {
    take_out(conn);
    conn->is_busy = false;
    conn->row = NULL;
}

static void drop(struct conn *conn) {
    if (conn->is_busy) {
        if (conn->row != NULL) conn->row->t_gone_ns = now_ns();
        end_stream(conn);
    }
    conns[conn->fd] = NULL;
    close(conn->fd);
    free(conn->in);
    free(conn->rest);
    free(conn);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct conn *conn = calloc(1, sizeof *conn);
        if (conn == NULL || (size_t)fd >= n_conns_max) die("too many connections");
        conn->fd = fd;
        conn->number = n_conns++;
        conns[fd] = conn;
        struct epoll_event interest = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest)) die("epoll_ctl");
    }
}

static void serve_inbox(struct conn *conn, int64_t t_arrival_ns) {
    while (!conn->is_busy && take_request(conn, t_arrival_ns))
        ;
}

static void on_readable(struct conn *conn) {
    if (conn->n_in + READ_BYTES > conn->capacity) {
        conn->capacity = conn->n_in < 4096 ? 2 * READ_BYTES : 2 * (conn->n_in + READ_BYTES);
        conn->in = conn->capacity > MAX_REQUEST_BYTES ? NULL : realloc(conn->in, conn->capacity);
        if (conn->in == NULL) die("a request is too large");
    }
    ssize_t n = recv(conn->fd, conn->in + conn->n_in, READ_BYTES, 0);
    int64_t t_arrival_ns = now_ns();
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        drop(conn);
        return;
    }
    if (t_first_ns < 0) t_first_ns = t_arrival_ns;
    conn->n_in += n;
    serve_inbox(conn, t_arrival_ns);
}

// Hand bytes to the socket. Returns false if the connection is gone; what did not fit is kept in `rest`.
static bool hand_over(struct conn *conn, const char *bytes, size_t n_bytes) {
    ssize_t n = send(conn->fd, bytes, n_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) return false;
    size_t n_sent = n < 0 ? 0 : n;
    if (n_sent == n_bytes) return true;
    n_retries++;
    char *rest = malloc(n_bytes - n_sent);
    if (rest == NULL) die("malloc");
    memcpy(rest, bytes + n_sent, n_bytes - n_sent);
    free(conn->rest);
    conn->rest = rest;
    conn->n_rest = n_bytes - n_sent;
    return true;
}

// The next chunk of a stream whose time has come.
static void send_next(struct conn *conn) {
    static double gap_ns = -1, gap_spread_ms;
    if (gap_ns < 0) gap_ns = option("gap-ms") * NS_PER_MS, gap_spread_ms = option("gap-spread-ms");
    char buffer[4096];
    bool is_first = conn->i_chunk == 0, is_last = conn->i_chunk == conn->n_chunks - 1;
    const char *bytes = tokens[conn->i_chunk % N_WORDS];
    size_t n_bytes = token_bytes[conn->i_chunk % N_WORDS];
    if (is_first || is_last) {
        size_t n = is_first ? sizeof HEAD - 1 : 0;
        if (is_first) memcpy(buffer, HEAD, n);
        memcpy(buffer + n, bytes, n_bytes);
        n_bytes += n;
        bytes = buffer;
        if (is_last) n_bytes += ending(buffer + n_bytes, conn);
    }
    struct send stamps = {.t_due_ns = conn->t_due_ns, .t_before_ns = now_ns()};
    bool is_there = hand_over(conn, bytes, n_bytes);
    stamps.t_after_ns = now_ns();
    if (conn->row != NULL && is_there) sends[conn->row->first_send + conn->row->n_sent++] = stamps;
    conn->i_chunk++;
    if (!is_there) {
        drop(conn);
    } else if (!is_last) {
        conn->t_due_ns =
            conn->t_first_ns + (int64_t)(conn->i_chunk * gap_ns) + spread_ns(&conn->random, gap_spread_ms);
        settle(conn);
    } else if (conn->rest == NULL) {
        end_stream(conn);
        if (!conn->keeps_alive)
            drop(conn);
        else
            serve_inbox(conn, stamps.t_after_ns);
    } else {
        settle(conn); // the end is still to be handed over
    }
}

// The client does not read as fast as we send: the rest first, a millisecond later. Returns whether there is none now.
static bool send_rest(struct conn *conn) {
    char *rest = conn->rest;
    conn->rest = NULL;
    bool is_there = hand_over(conn, rest, conn->n_rest);
    free(rest);
    if (!is_there) {
        drop(conn);
        return false;
    }
    if (conn->rest != NULL) {
        conn->t_due_ns = now_ns() + NS_PER_MS;
        settle(conn);
        return false;
    }
    if (conn->i_chunk == conn->n_chunks) {
        end_stream(conn);
        return false;
    }
    return true;
}

static void send_due(void) {
    for (int i = 0; i < SEND_BATCH && n_heap && heap[0]->t_due_ns <= now_ns(); i++) {
        struct conn *conn = heap[0];
        if (conn->rest == NULL || send_rest(conn)) send_next(conn);
    }
}

// --- the loop ---------------------------------------------------------------------------------------------------------

static void stop(int number) {
    (void)number;
    is_stopping = 1;
}

// Wait until something can be read, or the next chunk is nearly due. Returns how many are ready.
static int wait_ready(int timer, struct epoll_event *ready, int64_t spin_ns) {
    int64_t left_ns = n_heap ? heap[0]->t_due_ns - now_ns() - spin_ns : 100 * NS_PER_MS;
    if (left_ns <= 0) return epoll_wait(epoll_fd, ready, MAX_EVENTS, 0);
    if (left_ns > 100 * NS_PER_MS) left_ns = 100 * NS_PER_MS; // a signal may have come just before
    struct itimerspec at = {.it_value = {left_ns / NS_PER_S, left_ns % NS_PER_S}};
    timerfd_settime(timer, 0, &at, NULL);
    return epoll_wait(epoll_fd, ready, MAX_EVENTS, -1);
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16384)) die("listen");
    socklen_t n = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &n);
    printf("listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(int fd, uint32_t events) {
    struct epoll_event interest = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest)) die("epoll_ctl");
}

static void allow_files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    n_conns_max = limit.rlim_cur < 1000000 ? limit.rlim_cur : 1000000;
}

static void write_log(const char *path, int64_t delay_start_ns) {
    char partial[4096];
    snprintf(partial, sizeof partial, "%s.partial", path);
    FILE *file = fopen(partial, "wb");
    if (file == NULL) die(partial);
    int64_t head[6] = {n_requests,     n_sends,   n_retries, run_delay_ns() - delay_start_ns,
                       n_without_room, t_first_ns};
    fwrite(head, sizeof head, 1, file);
    fwrite(requests, sizeof *requests, n_requests, file);
    fwrite(sends, sizeof *sends, n_sends, file);
    if (ferror(file) || fclose(file) || rename(partial, path)) die(path);
}

static const char *read_options(int argc, char **argv) {
    const char *log = NULL;
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (strncmp(argv[i], "--", 2) || equals == NULL) {
            fprintf(stderr, "usage: truth_server [--name=number ...] --log=PATH\n");
            exit(2);
        }
        *equals = 0;
        if (!strcmp(argv[i], "--log")) {
            log = equals + 1;
            continue;
        }
        option(argv[i] + 2); // ends the program if there is none of that name
        for (size_t k = 0; k < sizeof options / sizeof *options; k++)
            if (!strcmp(options[k].name, argv[i] + 2)) options[k].value = atof(equals + 1);
    }
    return log;
}

int main(int argc, char **argv) {
    const char *log = read_options(argc, argv);
    if (option("cpu") >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET((int)option("cpu"), &cpus);
        if (sched_setaffinity(0, sizeof cpus, &cpus)) die("sched_setaffinity");
    }
    prctl(PR_SET_TIMERSLACK, 1);      // sleeps end when asked, not 50 us later
    prctl(PR_SET_PDEATHSIG, SIGTERM); // no server is left behind by a benchmark that was killed
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    allow_files();
    make_tokens();
    requests = reserve((size_t)option("max-requests") * sizeof *requests);
    sends = reserve((size_t)option("max-sends") * sizeof *sends);
    conns = reserve(n_conns_max * sizeof *conns);
    heap = reserve(n_conns_max * sizeof *heap);
    epoll_fd = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(timer, EPOLLIN | EPOLLET);
    int64_t delay_start_ns = run_delay_ns(), spin_ns = (int64_t)(option("spin-us") * 1000);
    int listener = listen_on((int)option("port"));
    watch(listener, EPOLLIN);
    while (!is_stopping) {
        struct epoll_event ready[MAX_EVENTS];
        int n_ready = wait_ready(timer, ready, spin_ns);
        for (int i = 0; i < n_ready; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener)
                accept_all(listener);
            else if (fd != timer && conns[fd] != NULL)
                on_readable(conns[fd]);
        }
        send_due();
    }
    if (log != NULL) write_log(log, delay_start_ns);
    return 0;
}
