/* The servers behind the proxies: one epoll loop, one listener for each kind named as argument.
 *
 *   origin reply once mysql amqp note ...
 *
 * reply  sends back as many bytes as each message asks for
 * once   the same, and then closes the connection
 * mysql  the same after a greeting and a login
 * amqp   the same, but each reply begins with a small frame of its own, the acknowledgement
 * note   notes when clients came; whatever they say is answered with HTTP's 200, and the end
 *
 * It prints the ports as a JSON list, in the order of its arguments. A line on standard input is
 * answered with the times noted since the last one, one list for each listener, in seconds of the
 * monotonic clock; the end of standard input ends it.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_LISTENERS = 512, MOST_NOTES = 4096, PATTERN = 256 * 1024, SCRATCH = 64 * 1024 };

enum kind { REPLY, ONCE, MYSQL, AMQP, NOTE };

struct peer {
    int fd;
    enum kind kind;
    bool listens, sends; /* sends: waits until the socket is writable */
    int listener;
    uint32_t login;   /* bytes of it that have not come yet */
    uint32_t missing; /* bytes of the current message that have not come yet */
    size_t head_size;
    struct message head;
    uint64_t pending; /* bytes to send */
};

static int poller;
static char pattern[PATTERN], scratch[SCRATCH];
static struct {
    double times[MOST_NOTES];
    int count;
} notes[MOST_LISTENERS];
static int listeners;

static void watch(struct peer *peer, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(poller, operation, peer->fd, &event) != 0)
        give_up("epoll_ctl");
}

static void drop(struct peer *peer)
{
    close(peer->fd);
    free(peer);
}

/* False where the peer is gone. */
static bool flush(struct peer *peer)
{
    while (peer->pending > 0) {
        size_t size = peer->pending < PATTERN ? peer->pending : PATTERN;
        ssize_t sent = send(peer->fd, pattern, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0) {
            if (!peer->sends)
                watch(peer, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            peer->sends = true;
            return true;
        }
        peer->pending -= (uint64_t)sent;
    }
    if (peer->sends)
        watch(peer, EPOLL_CTL_MOD, EPOLLIN);
    peer->sends = false;
    return true;
}

static bool reply(struct peer *peer, uint32_t size)
{
    peer->pending += size;
    return peer->sends || flush(peer);
}

static bool answer(struct peer *peer)
{
    uint32_t size = peer->head.reply;
    peer->head_size = 0;
    if (peer->kind == AMQP && size > ACK)
        return reply(peer, ACK) && reply(peer, size - ACK);
    return reply(peer, size) && peer->kind != ONCE;
}

static uint32_t smaller(uint32_t left, size_t right)
{
    return left < right ? left : (uint32_t)right;
}

/* The head of a message, or what is left of it; gives the number of bytes used. */
static uint32_t take_head(struct peer *peer, const char *bytes, size_t size)
{
    uint32_t used = smaller((uint32_t)(sizeof peer->head - peer->head_size), size);
    memcpy((char *)&peer->head + peer->head_size, bytes, used);
    peer->head_size += used;
    if (peer->head_size == sizeof peer->head)
        peer->missing = peer->head.length - (uint32_t)sizeof peer->head;
    return used;
}

/* False where the connection is over. */
static bool received(struct peer *peer, const char *bytes, size_t size)
{
    if (peer->kind == NOTE) {
        const char *well = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
        send(peer->fd, well, strlen(well), MSG_NOSIGNAL);
        return false;
    }
    while (size > 0) {
        uint32_t used;
        bool complete = false, logged_in = false;
        if (peer->login > 0) {
            used = smaller(peer->login, size);
            peer->login -= used;
            logged_in = peer->login == 0;
        } else if (peer->head_size < sizeof peer->head) {
            used = take_head(peer, bytes, size);
            complete = peer->head_size == sizeof peer->head && peer->missing == 0;
        } else {
            used = smaller(peer->missing, size);
            peer->missing -= used;
            complete = peer->missing == 0;
        }
        bytes += used;
        size -= used;
        if ((logged_in && !reply(peer, LOGIN_OK)) || (complete && !answer(peer)))
            return false;
    }
    return true;
}

static struct peer *new_peer(int fd, enum kind kind, int listener)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        give_up("calloc");
    peer->fd = fd;
    peer->kind = kind;
    peer->listener = listener;
    return peer;
}

static void note(int listener)
{
    if (notes[listener].count < MOST_NOTES)
        notes[listener].times[notes[listener].count++] = (double)now_ns() / 1e9;
}

static void accept_all(struct peer *at)
{
    int fd, yes = 1;
    while ((fd = accept4(at->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct peer *peer = new_peer(fd, at->kind, at->listener);
        watch(peer, EPOLL_CTL_ADD, EPOLLIN);
        if (at->kind == NOTE)
            note(at->listener);
        if (at->kind == MYSQL) {
            peer->login = LOGIN;
            if (!reply(peer, GREETING))
                drop(peer);
        }
    }
}

static void serve(struct peer *peer, uint32_t events)
{
    if (events & EPOLLOUT && !flush(peer)) {
        drop(peer);
        return;
    }
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    ssize_t size = recv(peer->fd, scratch, sizeof scratch, 0);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0 || !received(peer, scratch, (size_t)size))
        drop(peer);
}

/* The port. */
static int listen_for(enum kind kind)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        give_up("cannot listen");
    struct peer *peer = new_peer(fd, kind, listeners++);
    peer->listens = true;
    watch(peer, EPOLL_CTL_ADD, EPOLLIN);
    return ntohs(address.sin_port);
}

static enum kind kind_of(const char *name)
{
    const char *names[] = {"reply", "once", "mysql", "amqp", "note"};
    for (int kind = REPLY; kind <= NOTE; kind++)
        if (strcmp(name, names[kind]) == 0)
            return (enum kind)kind;
    fprintf(stderr, "unknown kind: %s\n", name);
    exit(1);
}

static void report(void)
{
    for (int each = 0; each < listeners; each++) {
        printf(each ? ", [" : "[[");
        for (int i = 0; i < notes[each].count; i++)
            printf(i ? ", %.6f" : "%.6f", notes[each].times[i]);
        printf("]");
        notes[each].count = 0;
    }
    printf("]\n");
    fflush(stdout);
}

/* One line or more: one report. The end: the end of the process. */
static void asked(void)
{
    char line[64];
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        exit(0);
    report();
}

int main(int count, char **kinds)
{
    struct epoll_event events[512];
    if (count < 2 || count > MOST_LISTENERS + 1) {
        fprintf(stderr, "usage: origin KIND...\n");
        return 1;
    }
    for (size_t i = 0; i < PATTERN; i++)
        pattern[i] = (char)(i * 2654435761u >> 13);
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0)
        give_up("epoll_create1");
    for (int i = 1; i < count; i++)
        printf(i > 1 ? ", %d" : "[%d", listen_for(kind_of(kinds[i])));
    printf("]\n");
    fflush(stdout);
    struct epoll_event stdin_event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &stdin_event) != 0)
        give_up("standard input must be a pipe");
    for (;;) {
        int ready = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer == NULL)
                asked();
            else if (peer->listens)
                accept_all(peer);
            else
                serve(peer, events[i].events);
        }
    }
}
