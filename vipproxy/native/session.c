/* What: a session's bytes, its half-closes and its end. See relay.h for the states. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "worker.h"

static const uint32_t ANYTHING = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
static const uint32_t READING = EPOLLIN | EPOLLRDHUP | EPOLLET;
static const uint32_t WRITING = EPOLLOUT | EPOLLET;
static const uint32_t SOMETHING_TO_READ = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
static const uint32_t HUNG = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/* A peer that was faster has shut it down itself (ENOTCONN). */
static void end_both_directions(int fd)
{
    if (fd >= 0)
        (void)shutdown(fd, SHUT_RDWR);
}

struct chunk *chunk_new(const void *bytes, size_t size)
{
    struct chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    chunk->start = 0;
    chunk->end = size;
    memcpy(chunk->bytes, bytes, size);
    return chunk;
}

static void drop(struct side *side)
{
    free(side->waiting);
    side->waiting = NULL;
}

static struct side *other_side(struct session *session, struct side *side)
{
    return side == &session->client ? &session->server : &session->client;
}

static void touch(struct session *session)
{
    int64_t now = worker_time(session->worker);
    atomic_store_explicit(&session->last_active, now, memory_order_relaxed);
}

static void count(struct session *session, const struct side *from, size_t size)
{
    bool in = from == &session->client;
    traffic_add(in ? &session->traffic->in : &session->traffic->out, size);
    if (session->also != NULL)
        traffic_add(in ? &session->also->in : &session->also->out, size);
}

/* The client of a server that could not be connected goes on living. So do the sockets of a copy,
 * whose descriptors here are duplicates: their end is not the end of epoll's interest. */
static void finish(struct session *session, enum ending ending)
{
    int epoll = session->worker->epoll;
    if (session->ending == NORMAL)
        session->ending = ending;
    session->phase = OVER;
    drop(&session->client);
    drop(&session->server);
    free(session->plan);
    session->plan = NULL;
    if (session->way != BOTH_WAYS) {
        (void)epoll_ctl(epoll, EPOLL_CTL_DEL, session->client.fd, NULL);
        (void)epoll_ctl(epoll, EPOLL_CTL_DEL, session->server.fd, NULL);
    }
    if (session->connected)
        close_socket(&session->client.fd);
    close_socket(&session->server.fd);
    unready(session);
    note(session, NEWS_OVER);
}

static enum ending ending_by(const struct session *session, const struct side *side)
{
    return side == &session->client ? CLIENT_ABORT : SERVER_ABORT;
}

/* Nothing more can go to or come from this side; the other still gets what is its own. */
static void lose(struct session *session, struct side *side, enum ending ending)
{
    if (session->ending == NORMAL)
        session->ending = ending;
    drop(side);
    side->eof = true;
    side->readable = other_side(session, side)->readable = false;
    session->phase = FLUSHING;
}

/* What the socket takes of `size` bytes; -1 if the side is lost. */
static ssize_t send_some(struct session *session, struct side *to, const void *bytes, size_t size)
{
    for (;;) {
        ssize_t sent = send(to->fd, bytes, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            session->answered |= to == &session->client;
            return sent;
        }
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR) {
            lose(session, to, ending_by(session, to));
            return -1;
        }
    }
}

static void flush(struct session *session, struct side *to)
{
    struct chunk *chunk = to->waiting;
    while (chunk->start < chunk->end) {
        ssize_t sent = send_some(session, to, chunk->bytes + chunk->start,
                                 chunk->end - chunk->start);
        if (sent <= 0)
            return;
        chunk->start += (size_t)sent;
        touch(session);
    }
    drop(to);
}

static void send_or_keep(struct session *session, struct side *to, size_t size)
{
    const unsigned char *bytes = session->worker->buffer;
    ssize_t sent = send_some(session, to, bytes, size);
    if (sent < 0 || (size_t)sent == size)
        return;
    to->waiting = chunk_new(bytes + sent, size - (size_t)sent);
    if (to->waiting == NULL)
        lose(session, to, SHORTAGE);
}

/* Bytes that may be read now. */
static size_t limited(const struct session *session, size_t most)
{
    bool bounded = session->way != BOTH_WAYS && session->left < most;
    return bounded ? (size_t)session->left : most;
}

static void received(struct session *session, const struct side *from, size_t size)
{
    count(session, from, size);
    touch(session);
    if (session->way != BOTH_WAYS)
        session->left -= size;
}

/* Neither a read nor a splice has brought anything. */
static void received_nothing(struct session *session, struct side *from, ssize_t result)
{
    if (result == 0)
        from->eof = true;
    if (result == 0 || errno == EAGAIN)
        from->readable = from->streams = false;
    else if (errno != EINTR)
        lose(session, from, ending_by(session, from));
}

/* One read and what follows from it. A read that leaves the buffer unfilled has emptied the
 * socket (epoll(7)), unless an end is to be read behind it. */
static void read_once(struct session *session, struct side *from, struct side *to)
{
    size_t most = limited(session, READ_SIZE);
    ssize_t size = recv(from->fd, session->worker->buffer, most, 0);
    if (size <= 0) {
        received_nothing(session, from, size);
        return;
    }
    received(session, from, (size_t)size);
    if ((size_t)size < most && !from->hung)
        from->readable = false;
    from->streams = size == READ_SIZE;
    send_or_keep(session, to, (size_t)size);
}

/* Into memory, or nowhere. What is not there has not been put there: no peer can cause that. */
static void empty_pipe(struct worker *worker, unsigned char *bytes, size_t size)
{
    while (size > 0) {
        size_t most = bytes != NULL || size < READ_SIZE ? size : READ_SIZE;
        ssize_t got = read(worker->pipe[0], bytes != NULL ? bytes : worker->buffer, most);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        size -= (size_t)got;
        bytes = bytes != NULL ? bytes + got : NULL;
    }
}

/* What the socket does not take waits in memory. It is sent once more, because epoll tells of room
 * only after a send has found none. */
static void keep_spliced(struct session *session, struct side *to, size_t size)
{
    struct chunk *chunk = malloc(sizeof *chunk + size);
    empty_pipe(session->worker, chunk != NULL ? chunk->bytes : NULL, size);
    if (chunk == NULL) {
        lose(session, to, SHORTAGE);
        return;
    }
    chunk->start = 0;
    chunk->end = size;
    to->waiting = chunk;
    flush(session, to);
}

/* Sends what is in the pipe; returns how much of it was not taken. */
static size_t send_spliced(struct session *session, struct side *to, size_t size)
{
    while (size > 0) {
        ssize_t sent = splice(session->worker->pipe[0], NULL, to->fd, NULL, size, SPLICE_F_NONBLOCK);
        if (sent <= 0)
            break;
        size -= (size_t)sent;
        session->answered |= to == &session->client;
    }
    return size;
}

/* The same as read_once for a stream, whose bytes stay in the kernel. A peer that is gone would
 * cause SIGPIPE, which is blocked in the workers. */
static void splice_once(struct session *session, struct side *from, struct side *to)
{
    size_t most = limited(session, SPLICE_SIZE);
    ssize_t size = splice(from->fd, NULL, session->worker->pipe[1], NULL, most, SPLICE_F_NONBLOCK);
    if (size <= 0) {
        received_nothing(session, from, size);
        return;
    }
    received(session, from, (size_t)size);
    from->streams = size >= READ_SIZE;
    size_t left = send_spliced(session, to, (size_t)size);
    if (left > 0)
        keep_spliced(session, to, left);
}

/* Nothing is read for a side to which bytes are waiting: that is the back-pressure, and the bound
 * of the memory. */
static void move(struct session *session, struct side *from, struct side *to)
{
    if (to->waiting != NULL)
        flush(session, to);
    if (session->phase != OPEN || to->waiting != NULL || !from->readable)
        return;
    if (session->way != BOTH_WAYS && session->left == 0)
        return;
    if (from->streams)
        splice_once(session, from, to);
    else
        read_once(session, from, to);
    if (from->readable && to->waiting == NULL && session->phase == OPEN)
        make_ready(session);
}

static void pass_on_end(struct session *session, struct side *from, struct side *to)
{
    if (!from->eof || to->shut || to->waiting != NULL)
        return;
    to->shut = true;
    if (shutdown(to->fd, SHUT_WR) < 0)
        lose(session, to, ending_by(session, to));
}

/* Where a copy comes from; the sink is the other side. */
static struct side *source(struct session *session)
{
    return session->way == TO_SERVER ? &session->client : &session->server;
}

static bool flushed(const struct session *session)
{
    return session->client.waiting == NULL && session->server.waiting == NULL;
}

static void settle_copy(struct session *session)
{
    if (session->left == 0)
        finish(session, NORMAL);
    else if (source(session)->eof)
        finish(session, ending_by(session, source(session)));
}

static void settle_pair(struct session *session)
{
    struct side *client = &session->client, *server = &session->server;
    if (client->eof && server->eof) {
        if (flushed(session))
            finish(session, NORMAL);
        return;
    }
    pass_on_end(session, client, server);
    pass_on_end(session, server, client);
}

/* After anything has happened: is it over, or is an end to be passed on? */
static void settle(struct session *session)
{
    if (session->phase == OPEN && session->way == BOTH_WAYS)
        settle_pair(session);
    else if (session->phase == OPEN && flushed(session))
        settle_copy(session);
    if (session->phase == FLUSHING && flushed(session))
        finish(session, NORMAL);
}

void session_run(struct session *session)
{
    if (session->way != TO_CLIENT)
        move(session, &session->client, &session->server);
    if (session->way != TO_SERVER)
        move(session, &session->server, &session->client);
    settle(session);
}

/* An error that no read will show, since nothing is to be read now. */
static void look_for_error(struct session *session, struct side *side, uint32_t events)
{
    bool sink = session->way != BOTH_WAYS && side != source(session);
    uint32_t fatal = sink ? EPOLLERR | EPOLLHUP : EPOLLERR;
    bool unread = side->eof || sink || other_side(session, side)->waiting != NULL;
    if ((events & fatal) == 0 || session->phase == OVER)
        return;
    if (session->phase == FLUSHING || unread) {
        lose(session, side, ending_by(session, side));
        settle(session);
    }
}

static void side_happened(struct session *session, struct side *side, uint32_t events)
{
    if (events & SOMETHING_TO_READ && !side->eof)
        side->readable = session->phase == OPEN;
    if (events & HUNG)
        side->hung = true;
    session_run(session);
    look_for_error(session, side, events);
}

static int watch(int epoll, int fd, struct session *session, uint32_t events)
{
    bool server = fd == session->server.fd;
    struct epoll_event event = {events, {.u64 = (uintptr_t)session | server}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void connect_failed(struct session *session, int error)
{
    session->error = error;
    finish(session, SERVER_ABORT);
}

/* The client has mostly spoken already, and is read without waiting for an event. */
static void connect_settled(struct session *session, uint32_t events)
{
    int error = connect_error(session->server.fd, events);
    if (error == 0 && watch(session->worker->epoll, session->client.fd, session, ANYTHING) < 0)
        error = errno;
    if (error != 0) {
        connect_failed(session, error);
        return;
    }
    session->phase = OPEN;
    session->connected = true;
    note(session, NEWS_CONNECTED);
    session->client.readable = true;
    touch(session);
    side_happened(session, &session->server, events);
}

void session_happened(struct session *session, bool server, uint32_t events)
{
    if (session->phase == CONNECTING)
        connect_settled(session, events);
    else
        side_happened(session, server ? &session->server : &session->client, events);
}

static void connect_server(struct session *session)
{
    session->server.fd = plan_begin(session->plan);
    if (session->server.fd < 0 ||
        watch(session->worker->epoll, session->server.fd, session, ANYTHING) < 0) {
        connect_failed(session, errno);
        return;
    }
    free(session->plan);
    session->plan = NULL;
}

/* The owner has posted it: to be ended, or to be begun. */
void session_posted(struct session *session)
{
    if (session->killed)
        finish(session, session->ending);
    else if (session->plan != NULL)
        connect_server(session);
}

/* -- the owner's side -- */

static int prepare(struct relay *relay, struct session *session, int client, int server)
{
    struct worker *worker = relay_assign(relay);
    if (worker == NULL || (errno = pthread_mutex_init(&session->lock, NULL)) != 0)
        return -1;
    session->worker = worker;
    session->client.fd = client;
    session->server.fd = server;
    touch(session);
    return 0;
}

/* Closed by its worker, and collected, like any other session that ends. */
static void give_up(struct session *session)
{
    session->killed = true;
    session->ending = SHORTAGE;
    post(session);
}

/* The lock keeps the worker out until the session is whole. Once one socket is watched the session
 * is the worker's, come what may. */
static int set_going(struct session *session, uint32_t server_events, uint32_t client_events)
{
    int epoll = session->worker->epoll;
    lock(&session->lock);
    int failed = watch(epoll, session->server.fd, session, server_events);
    if (failed == 0 && watch(epoll, session->client.fd, session, client_events) < 0)
        give_up(session);
    unlock(&session->lock);
    return failed;
}

int session_pair(struct relay *relay, struct session *session, int client, int server,
                 struct chunk *to_server, struct chunk *to_client)
{
    if (prepare(relay, session, client, server) < 0)
        return -1;
    session->phase = OPEN;
    session->connected = true;
    session->server.waiting = to_server;
    session->client.waiting = to_client;
    if (set_going(session, ANYTHING, ANYTHING) == 0)
        return 0;
    session->server.waiting = session->client.waiting = NULL; /* the caller's again */
    return -1;
}

int session_dial(struct relay *relay, struct session *session, int client, struct plan *plan,
                 struct chunk *to_server)
{
    if (prepare(relay, session, client, -1) < 0)
        return -1;
    lock(&session->lock);
    session->phase = CONNECTING;
    session->plan = plan;
    session->server.waiting = to_server;
    post(session);
    unlock(&session->lock);
    return 0;
}

int session_copy(struct relay *relay, struct session *session, int client, int server,
                 enum way way, uint64_t count)
{
    bool to_client = way == TO_CLIENT;
    client = fcntl(client, F_DUPFD_CLOEXEC, 0);
    server = client < 0 ? -1 : fcntl(server, F_DUPFD_CLOEXEC, 0);
    if (server >= 0 && prepare(relay, session, client, server) == 0) {
        session->phase = OPEN;
        session->connected = true;
        session->way = way;
        session->left = count;
        if (set_going(session, to_client ? READING : WRITING, to_client ? WRITING : READING) == 0)
            return 0;
    }
    int error = errno;
    close_socket(&client);
    close_socket(&server);
    errno = error;
    return -1;
}

/* A client with unsent bytes, or one that has heard something, would take `words` for data. */
bool session_kill(struct session *session, enum ending ending, const void *words, size_t size)
{
    if (session->worker == NULL)
        return false;
    lock(&session->lock);
    bool alive = session->phase != OVER && session->phase != CONNECTING && !session->killed;
    if (alive) {
        session->killed = true;
        session->ending = ending;
        if (session->way == BOTH_WAYS) {
            if (size > 0 && !session->answered && session->client.waiting == NULL)
                (void)send(session->client.fd, words, size, MSG_NOSIGNAL | MSG_DONTWAIT);
            end_both_directions(session->client.fd);
            end_both_directions(session->server.fd);
        }
    }
    if (alive)
        post(session);
    unlock(&session->lock);
    return alive;
}

bool session_cancel(struct session *session, int error)
{
    if (session->worker == NULL)
        return true;
    lock(&session->lock);
    bool connecting = session->phase == CONNECTING && !session->killed;
    bool connected = session->connected;
    if (connecting) {
        session->killed = true;
        session->error = error;
    }
    if (connecting)
        post(session);
    unlock(&session->lock);
    return !connected;
}

void session_bury(struct session *session)
{
    drop(&session->client);
    drop(&session->server);
    free(session->plan);
    if (session->phase != OVER) {
        if (session->connected)
            close_socket(&session->client.fd);
        close_socket(&session->server.fd);
    }
    if (session->worker != NULL && pthread_mutex_destroy(&session->lock) != 0)
        abort();
    session->worker = NULL;
    session->phase = OVER;
}
