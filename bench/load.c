/* The clients in front of the proxies: one epoll loop on one thread.
 *
 *   load --port P --connections N [--seconds S] [--operations N] [--rate R] [--mix NAME]
 *        [--request B] [--reply B] [--pipeline N] [--per-connection N] [--until-closed]
 *        [--heads FILE]
 *
 * It opens its connections, does one small operation on each, prints "ready" and waits for a line
 * on standard input. Then it measures, prints one line of JSON, and keeps its connections open
 * until standard input ends.
 *
 *       CLOSED -> GREETED -> LOGGING_IN -> OPEN          (mix mysql; the others are open at once)
 *         ^                                 |
 *         +---- after --per-connection operations, or when the other side has closed
 *
 * Without --rate each connection asks again as soon as it is answered; after the given seconds the
 * last answers are waited for. With --rate requests are due at random times (a Poisson process,
 * the same in each run), whether or not earlier ones were answered, and latency counts from then.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEEPEST = 16, TEXT = 4096, MOST_HEADS = 256, HEARTBEAT_EVERY = 32, OPENING = 32 };
enum { LARGEST_REQUEST = 64 * 1024, SCRATCH = 1024 * 1024, WARM_REPLY = 4096, MOST_ERRORS = 100 };
static const uint64_t SECOND = 1000000000u;
static const int SILENCE = 10000; /* ms without any event, after which something is broken */

enum state { CLOSED, GREETED, LOGGING_IN, OPEN };

struct connection {
    int fd;
    enum state state;
    uint64_t received, expected; /* bytes; expected: at the end of all that was asked for */
    struct {
        uint64_t since, until; /* when it was due, and the byte that ends its reply */
    } asked[DEEPEST];
    unsigned first, in_flight; /* of asked, a ring */
    unsigned started, done;    /* operations since the connection was opened */
    bool warm, full;           /* full: waits until the socket is writable */
    char *unsent;
    size_t unsent_size;
    char *text; /* the head of an HTTP response as far as it has come */
    size_t text_size;
};

struct size {
    uint32_t request, reply;
};

/* Selects by key, small result sets, now and then a list. */
static const struct size mysql_sizes[] = {{60, 120},   {85, 300},  {52, 90},  {140, 1500},
                                          {70, 11},    {48, 700},  {95, 250}, {120, 16000},
                                          {300, 11},   {64, 4000}, {52, 90},  {85, 300}};
/* Publish and deliver: method, header and body frames of remote procedure calls. */
static const struct size amqp_sizes[] = {{350, 390},  {900, 950}, {420, 470},
                                         {2100, 260}, {260, 310}, {380, 1900}};
static struct size plain_size = {100, 200};
static const struct size *sizes = &plain_size;
static unsigned size_count = 1, next_size;

static int port, connection_count = 1, pipeline = 1, per_connection;
static double seconds = 1, rate;
static uint64_t operation_limit = UINT64_MAX;
static bool greets, heartbeats, until_closed; /* until_closed: by the server, after its reply */
static char *heads[MOST_HEADS];
static size_t head_count, next_head;

static int poller;
static struct connection *connections, **idle; /* idle: a stack, used with --rate */
static int idle_count, warm_count, opened_count;
static char scratch[SCRATCH], request[LARGEST_REQUEST];
static bool measuring, finishing;
static uint64_t *latencies, latency_count, latency_room;
static uint64_t started_count, done_count, error_count, busy_count, deadline, last_done;
static uint64_t *due, due_count, next_due;

static void open_connection(struct connection *at);
static void go_on(struct connection *at);

static void watch(struct connection *at, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = at};
    if (epoll_ctl(poller, operation, at->fd, &event) != 0)
        give_up("epoll_ctl");
}

static void close_connection(struct connection *at)
{
    if (at->state == CLOSED)
        return;
    close(at->fd);
    free(at->unsent);
    busy_count -= at->in_flight;
    *at = (struct connection){.fd = -1, .warm = at->warm, .text = at->text};
}

static void failed(struct connection *at, const char *what)
{
    if (++error_count > MOST_ERRORS) {
        fprintf(stderr, "more than %d errors, the last: %s\n", MOST_ERRORS, what);
        exit(1);
    }
    close_connection(at);
    if (!finishing)
        open_connection(at);
}

/* What the socket does not take is kept until it does. False where the connection failed. */
static bool send_bytes(struct connection *at, const char *bytes, size_t size)
{
    ssize_t sent = at->full ? 0 : send(at->fd, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return false;
    if (sent < 0)
        sent = 0;
    size_t left = size - (size_t)sent;
    if (left == 0)
        return true;
    at->unsent = realloc(at->unsent, at->unsent_size + left);
    if (at->unsent == NULL)
        give_up("realloc");
    memcpy(at->unsent + at->unsent_size, bytes + sent, left);
    at->unsent_size += left;
    if (!at->full)
        watch(at, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    at->full = true;
    return true;
}

static bool send_rest(struct connection *at)
{
    ssize_t sent = send(at->fd, at->unsent, at->unsent_size, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    at->unsent_size -= (size_t)sent;
    memmove(at->unsent, at->unsent + sent, at->unsent_size);
    if (at->unsent_size == 0) {
        at->full = false;
        watch(at, EPOLL_CTL_MOD, EPOLLIN);
    }
    return true;
}

static bool send_message(struct connection *at, uint32_t length, uint32_t reply)
{
    struct message head = {length, reply};
    memcpy(request, &head, sizeof head);
    at->expected += reply;
    return send_bytes(at, request, length);
}

/* One operation begins; `since` is when it was due. False where the connection failed. */
static bool ask(struct connection *at, uint64_t since)
{
    unsigned slot = (at->first + at->in_flight) % DEEPEST;
    bool sent;
    at->started++;
    at->in_flight++;
    busy_count++;
    if (measuring)
        started_count++;
    if (head_count > 0) {
        const char *head = heads[next_head++ % head_count];
        at->text_size = 0;
        at->expected = at->received + UINT32_MAX; /* until its head has come */
        sent = send_bytes(at, head, strlen(head));
    } else {
        const struct size *size = &sizes[next_size++ % size_count];
        sent = !(heartbeats && at->started % HEARTBEAT_EVERY == 0) || send_message(at, 8, 8);
        uint32_t reply = measuring || size->reply < WARM_REPLY ? size->reply : WARM_REPLY;
        sent = sent && send_message(at, size->request, reply);
    }
    at->asked[slot].since = since;
    at->asked[slot].until = at->expected;
    return sent;
}

static void record(uint64_t latency)
{
    if (latency_count == latency_room) {
        latency_room = latency_room ? 2 * latency_room : 65536;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (latencies == NULL)
            give_up("realloc");
    }
    latencies[latency_count++] = latency;
}

static bool may_ask(const struct connection *at, uint64_t now)
{
    if (!measuring || finishing || at->state != OPEN)
        return false;
    if (per_connection > 0 && at->started >= (unsigned)per_connection)
        return false;
    return now < deadline && started_count < operation_limit;
}

static void open_next(void)
{
    if (opened_count < connection_count)
        open_connection(&connections[opened_count++]);
}

/* An open connection does what is next: warms up, asks, or is replaced. */
static void go_on(struct connection *at)
{
    uint64_t now = now_ns();
    bool well = true;
    if (per_connection > 0 && at->done >= (unsigned)per_connection) {
        close_connection(at);
        if (measuring && !finishing && now < deadline)
            open_connection(at);
        return;
    }
    if (!measuring) {
        well = at->warm || at->in_flight > 0 || ask(at, now);
    } else if (rate > 0) {
        if (may_ask(at, now))
            idle[idle_count++] = at;
    } else {
        while (well && at->in_flight < (unsigned)pipeline && may_ask(at, now))
            well = ask(at, now);
    }
    if (!well)
        failed(at, strerror(errno));
}

static void completed(struct connection *at, uint64_t now)
{
    uint64_t since = at->asked[at->first].since;
    at->first = (at->first + 1) % DEEPEST;
    at->in_flight--;
    at->done++;
    busy_count--;
    if (measuring) {
        record(now - since);
        done_count++;
        last_done = now;
    } else if (!at->warm) {
        at->warm = true;
        warm_count++;
        open_next();
    }
}

/* The head of an HTTP response tells where the response ends. False where it is a bad one. */
static bool read_head(struct connection *at, const char *bytes, size_t size)
{
    if (at->text == NULL && (at->text = malloc(TEXT)) == NULL)
        give_up("malloc");
    if (size > TEXT - 1 - at->text_size)
        size = TEXT - 1 - at->text_size;
    memcpy(at->text + at->text_size, bytes, size);
    at->text_size += size;
    at->text[at->text_size] = 0;
    const char *end = strstr(at->text, "\r\n\r\n");
    if (end == NULL)
        return at->text_size < TEXT - 1;
    const char *length = strcasestr(at->text, "\r\ncontent-length:");
    if (strncmp(at->text, "HTTP/1.1 200 ", 13) != 0 || length == NULL || length > end)
        return false;
    at->expected = (uint64_t)(end + 4 - at->text) + strtoull(length + 17, NULL, 10) +
                   at->received - at->text_size;
    at->asked[at->first].until = at->expected;
    return true;
}

/* GREETED, then LOGGING_IN, then OPEN. False where the connection failed. */
static bool log_in(struct connection *at)
{
    if (at->received < at->expected)
        return true;
    if (at->state == LOGGING_IN) {
        at->state = OPEN;
        return true;
    }
    at->state = LOGGING_IN;
    at->expected += LOGIN_OK;
    return send_bytes(at, request, LOGIN);
}

static void readable(struct connection *at)
{
    /* MSG_TRUNC: TCP drops the bytes instead of copying them; only HTTP needs to see them. */
    ssize_t size = recv(at->fd, scratch, sizeof scratch, head_count > 0 ? 0 : MSG_TRUNC);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size == 0 && until_closed && at->in_flight == 1 && at->received == at->expected) {
        completed(at, now_ns());
        go_on(at);
        return;
    }
    if (size <= 0) {
        failed(at, size < 0 ? strerror(errno) : "the proxy closed a connection");
        return;
    }
    at->received += (uint64_t)size;
    if (head_count > 0 && at->in_flight > 0 && at->asked[at->first].until > at->received &&
        at->expected - at->received > UINT32_MAX / 2 && !read_head(at, scratch, (size_t)size)) {
        failed(at, "the response is not as expected");
        return;
    }
    if (at->state != OPEN) {
        if (!log_in(at))
            failed(at, strerror(errno));
        else if (at->state == OPEN)
            go_on(at);
        return;
    }
    uint64_t now = now_ns();
    bool any = false;
    while (!until_closed && at->in_flight > 0 && at->received >= at->asked[at->first].until) {
        completed(at, now);
        any = true;
    }
    if (any)
        go_on(at);
}

static void open_connection(struct connection *at)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    at->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (at->fd < 0)
        give_up("socket");
    setsockopt(at->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(at->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        give_up("connect");
    at->state = greets ? GREETED : OPEN;
    at->expected = greets ? GREETING : 0;
    watch(at, EPOLL_CTL_ADD, EPOLLIN);
    if (at->state == OPEN)
        go_on(at);
}

/* All events there are; waits for `timeout` nanoseconds at most. Where it is negative, silence is
 * a fault. */
static void turn(int64_t timeout)
{
    struct epoll_event events[512];
    struct timespec wait = {SILENCE / 1000, 0};
    if (timeout >= 0)
        wait = (struct timespec){timeout / (int64_t)SECOND, timeout % (int64_t)SECOND};
    int ready = epoll_pwait2(poller, events, 512, &wait, NULL);
    if (ready == 0 && timeout < 0) {
        fprintf(stderr, "no answer for %d seconds\n", SILENCE / 1000);
        exit(1);
    }
    for (int i = 0; i < ready; i++) {
        struct connection *at = events[i].data.ptr;
        if (at->state == CLOSED)
            continue;
        if (events[i].events & EPOLLOUT && !send_rest(at)) {
            failed(at, strerror(errno));
            continue;
        }
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            readable(at);
    }
}

static void plan(uint64_t start)
{
    uint64_t random = 88172645463325252u;
    double at = 0;
    due = malloc((size_t)(rate * seconds * 2 + 1000) * sizeof *due);
    if (due == NULL)
        give_up("malloc");
    for (;;) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        at += -log((double)((random >> 11) + 1) / 9007199254740993.0) / rate;
        if (at >= seconds || due_count >= (uint64_t)(rate * seconds * 2 + 1000))
            return;
        due[due_count++] = start + (uint64_t)(at * (double)SECOND);
    }
}

/* At the given rate. What was not answered in time counts with the time that it has waited. */
static void measure_rate(uint64_t start)
{
    plan(start);
    deadline = start + (uint64_t)(seconds * (double)SECOND) + SECOND;
    while ((next_due < due_count || busy_count > 0) && now_ns() < deadline) {
        uint64_t now = now_ns();
        while (idle_count > 0 && next_due < due_count && due[next_due] <= now) {
            struct connection *at = idle[--idle_count];
            if (at->state != OPEN || at->in_flight > 0)
                continue; /* it was replaced meanwhile, and came back by itself */
            if (!ask(at, due[next_due++]))
                failed(at, strerror(errno));
        }
        int64_t wait = (int64_t)(SECOND / 10);
        if (idle_count > 0 && next_due < due_count && due[next_due] < now + (uint64_t)wait)
            wait = due[next_due] > now ? (int64_t)(due[next_due] - now) : 0;
        turn(wait);
    }
    finishing = true;
    uint64_t now = now_ns();
    for (; next_due < due_count; next_due++)
        record(now - due[next_due]);
    for (int i = 0; i < connection_count; i++)
        for (unsigned n = 0; n < connections[i].in_flight; n++)
            record(now - connections[i].asked[(connections[i].first + n) % DEEPEST].since);
}

static void measure_closed(void)
{
    while (busy_count > 0 || (now_ns() < deadline && started_count < operation_limit))
        turn(-1);
    finishing = true;
}

static void start_all(void)
{
    for (int i = 0; i < connection_count; i++) {
        if (connections[i].state == CLOSED)
            open_connection(&connections[i]);
        else
            go_on(&connections[i]);
    }
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static double percentile(double share)
{
    if (latency_count == 0)
        return 0;
    uint64_t at = (uint64_t)(share * (double)latency_count);
    return (double)latencies[at < latency_count ? at : latency_count - 1] / 1000;
}

static void print_result(uint64_t start)
{
    qsort(latencies, latency_count, sizeof *latencies, compare);
    printf("{\"operations\": %lu, \"seconds\": %.6f, \"p50\": %.2f, \"p99\": %.2f, "
           "\"max\": %.2f, \"errors\": %lu, \"unanswered\": %lu}\n",
           done_count, (double)(last_done - start) / (double)SECOND, percentile(0.5),
           percentile(0.99), percentile(1), error_count, latency_count - done_count);
    fflush(stdout);
}

static void read_heads(const char *path)
{
    static char text[256 * 1024];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        give_up(path);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    for (char *at = text, *end; head_count < MOST_HEADS; at = end + 4) {
        if ((end = strstr(at, "\r\n\r\n")) == NULL)
            return;
        heads[head_count++] = strndup(at, (size_t)(end + 4 - at));
    }
}

static void set_mix(const char *name)
{
    if (strcmp(name, "mysql") == 0) {
        sizes = mysql_sizes;
        size_count = sizeof mysql_sizes / sizeof *mysql_sizes;
        greets = true;
    } else if (strcmp(name, "amqp") == 0) {
        sizes = amqp_sizes;
        size_count = sizeof amqp_sizes / sizeof *amqp_sizes;
        heartbeats = true;
    } else {
        fprintf(stderr, "unknown mix: %s\n", name);
        exit(1);
    }
}

static void read_options(int count, char **arguments)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"operations", required_argument, NULL, 'o'},
        {"rate", required_argument, NULL, 'r'},
        {"mix", required_argument, NULL, 'm'},
        {"request", required_argument, NULL, 'q'},
        {"reply", required_argument, NULL, 'a'},
        {"pipeline", required_argument, NULL, 'l'},
        {"per-connection", required_argument, NULL, 'n'},
        {"until-closed", no_argument, NULL, 'u'},
        {"heads", required_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'c': connection_count = atoi(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'o': operation_limit = strtoull(optarg, NULL, 10); break;
        case 'r': rate = atof(optarg); break;
        case 'm': set_mix(optarg); break;
        case 'q': plain_size.request = (uint32_t)atol(optarg); break;
        case 'a': plain_size.reply = (uint32_t)atol(optarg); break;
        case 'l': pipeline = atoi(optarg); break;
        case 'n': per_connection = atoi(optarg); break;
        case 'h': read_heads(optarg); break;
        case 'u': until_closed = true; per_connection = 1; break;
        default: exit(1);
        }
    }
    if (port <= 0 || connection_count < 1 || seconds <= 0 || pipeline < 1 || pipeline > DEEPEST ||
        plain_size.request < sizeof(struct message) || plain_size.request > sizeof request) {
        fprintf(stderr, "load: these options make no sense; the head of load.c lists them\n");
        exit(1);
    }
}

int main(int count, char **arguments)
{
    char line[64];
    read_options(count, arguments);
    connections = calloc((size_t)connection_count, sizeof *connections);
    idle = calloc((size_t)connection_count + MOST_ERRORS, sizeof *idle);
    if (connections == NULL || idle == NULL || (poller = epoll_create1(EPOLL_CLOEXEC)) < 0)
        give_up("cannot start");
    for (int i = 0; i < OPENING; i++)
        open_next();
    while (warm_count < connection_count)
        turn(-1);
    printf("ready\n");
    fflush(stdout);
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        return 0;

    uint64_t start = last_done = now_ns();
    deadline = start + (uint64_t)(seconds * (double)SECOND);
    measuring = true;
    if (rate > 0)
        deadline += 2 * SECOND;
    start_all();
    if (rate > 0)
        measure_rate(start);
    else
        measure_closed();
    print_result(start);
    while (read(STDIN_FILENO, line, sizeof line) > 0)
        ;
    return 0;
}
