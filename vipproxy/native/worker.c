/* When: the threads, their turns, and what goes to and fro between them and the owner. */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum {
    BATCH = 128, /* events at one wake-up */
};

struct relay {
    unsigned threads, next;
    bool started;
    struct worker *workers;
    _Atomic int64_t now;
    int news; /* eventfd */
    pthread_mutex_t outbox_lock;
    struct session *outbox, **outbox_end;
};

/* An eventfd's counter cannot overflow here, and nothing else can fail but by our own mistake. */
static void ring(int eventfd)
{
    uint64_t one = 1;
    while (write(eventfd, &one, sizeof one) < 0)
        if (errno != EINTR)
            abort();
}

static void silence(int eventfd)
{
    uint64_t count;
    while (read(eventfd, &count, sizeof count) < 0)
        if (errno != EINTR) {
            if (errno != EAGAIN)
                abort();
            return;
        }
}

void note(struct session *session, enum news news)
{
    struct worker *worker = session->worker;
    session->fresh |= news;
    if (!session->noted) {
        session->noted = true;
        session->noted_next = worker->noted;
        worker->noted = session;
    }
}

void make_ready(struct session *session)
{
    struct session *head = &session->worker->ready;
    if (session->ready_next != NULL)
        return;
    session->ready_prev = head->ready_prev;
    session->ready_next = head;
    head->ready_prev->ready_next = session;
    head->ready_prev = session;
}

void unready(struct session *session)
{
    if (session->ready_next == NULL)
        return;
    session->ready_prev->ready_next = session->ready_next;
    session->ready_next->ready_prev = session->ready_prev;
    session->ready_next = session->ready_prev = NULL;
}

/* -- a worker's turn -- */

static void dispatch(const struct epoll_event *event)
{
    struct session *session = (struct session *)(uintptr_t)(event->data.u64 & ~(uint64_t)1);
    bool server = event->data.u64 & 1;
    lock(&session->lock);
    if (session->phase != OVER && !session->killed)
        session_happened(session, server, event->events);
    unlock(&session->lock);
}

/* Those that had more to read get one more read each; who still has more comes again later. */
static void run_ready(struct worker *worker)
{
    struct session *last = worker->ready.ready_prev, *session;
    if (last == &worker->ready)
        return;
    do {
        session = worker->ready.ready_next;
        lock(&session->lock);
        unready(session);
        if (!session->killed)
            session_run(session);
        unlock(&session->lock);
    } while (session != last && worker->ready.ready_next != &worker->ready);
}

static struct session *grab_inbox(struct worker *worker, bool *go_on)
{
    lock(&worker->inbox_lock);
    struct session *first = worker->inbox;
    *go_on = !worker->stopping;
    worker->inbox = NULL;
    worker->inbox_end = &worker->inbox;
    unlock(&worker->inbox_lock);
    return first;
}

/* Until now the owner could not post it again, and so not break the list; from now on it can. */
static struct session *next_in_inbox(struct worker *worker, struct session *session)
{
    lock(&worker->inbox_lock);
    struct session *next = session->inbox_next;
    session->posted = false;
    unlock(&worker->inbox_lock);
    return next;
}

/* False once the owner has asked to stop. */
static bool take_inbox(struct worker *worker)
{
    bool go_on;
    struct session *session = grab_inbox(worker, &go_on);
    while (session != NULL) {
        lock(&session->lock);
        struct session *next = next_in_inbox(worker, session);
        session_posted(session);
        unlock(&session->lock);
        session = next;
    }
    return go_on;
}

/* The end of a turn: from here on a session that is over belongs to the owner alone. */
static void publish(struct worker *worker)
{
    struct relay *relay = worker->relay;
    if (worker->noted == NULL)
        return;
    lock(&relay->outbox_lock);
    bool first = relay->outbox == NULL;
    while (worker->noted != NULL) {
        struct session *session = worker->noted;
        worker->noted = session->noted_next;
        session->noted = false;
        session->news |= session->fresh;
        session->fresh = 0;
        if (!session->queued) {
            session->queued = true;
            session->outbox_next = NULL;
            *relay->outbox_end = session;
            relay->outbox_end = &session->outbox_next;
        }
    }
    unlock(&relay->outbox_lock);
    if (first)
        ring(relay->news);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct epoll_event events[BATCH];
    do {
        bool more = worker->ready.ready_next != &worker->ready;
        int n = epoll_wait(worker->epoll, events, BATCH, more ? 0 : -1);
        if (n < 0 && errno != EINTR)
            abort(); /* not an error of a peer, but of this file */
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == 0)
                silence(worker->wake);
            else
                dispatch(&events[i]);
        }
        run_ready(worker);
        more = take_inbox(worker);
        publish(worker);
        if (!more)
            return NULL;
    } while (true);
}

/* -- the owner's side -- */

static void worker_close(struct worker *worker)
{
    close_socket(&worker->epoll);
    close_socket(&worker->wake);
    close_socket(&worker->pipe[0]);
    close_socket(&worker->pipe[1]);
    free(worker->buffer);
}

static int worker_open(struct worker *worker, struct relay *relay)
{
    struct epoll_event event = {EPOLLIN, {.u64 = 0}};
    *worker = (struct worker){.relay = relay, .epoll = -1, .wake = -1, .pipe = {-1, -1}};
    worker->ready.ready_next = worker->ready.ready_prev = &worker->ready;
    worker->inbox_end = &worker->inbox;
    if (pthread_mutex_init(&worker->inbox_lock, NULL) != 0)
        return -1;
    worker->buffer = malloc(READ_SIZE);
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->buffer == NULL || worker->epoll < 0 || worker->wake < 0 ||
        pipe2(worker->pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
        epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->wake, &event) < 0) {
        int error = errno;
        worker_close(worker);
        errno = error;
        return -1;
    }
    (void)fcntl(worker->pipe[0], F_SETPIPE_SZ, SPLICE_SIZE); /* a smaller one does, too */
    return 0;
}

/* A batch thread does not interrupt Python's when both share a core, so that more is done at each
 * switch (sched(7)): a third less CPU for short sessions. It is no worse off where cores are free.
 * Neither the name nor the policy is needed for correctness. */
static void worker_introduce(struct worker *worker)
{
    struct sched_param parameters = {0};
    (void)pthread_setname_np(worker->thread, "vipproxy-relay");
    (void)pthread_setschedparam(worker->thread, SCHED_BATCH, &parameters);
}

/* Signals are Python's: they are blocked while the thread inherits our mask. */
static int worker_start(struct worker *worker)
{
    sigset_t all, before;
    int error;
    sigfillset(&all);
    if ((error = pthread_sigmask(SIG_BLOCK, &all, &before)) == 0) {
        error = pthread_create(&worker->thread, NULL, work, worker);
        int restored = pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (restored != 0)
            abort();
    }
    if (error == 0)
        worker_introduce(worker);
    errno = error;
    return error == 0 ? 0 : -1;
}

static void worker_stop(struct worker *worker)
{
    lock(&worker->inbox_lock);
    worker->stopping = true;
    unlock(&worker->inbox_lock);
    ring(worker->wake);
    if (pthread_join(worker->thread, NULL) != 0)
        abort();
    worker_close(worker);
}

struct relay *relay_new(unsigned threads)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay == NULL)
        return NULL;
    relay->threads = threads;
    relay->outbox_end = &relay->outbox;
    relay->workers = calloc(threads, sizeof *relay->workers);
    relay->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (relay->workers == NULL || relay->news < 0 ||
        (errno = pthread_mutex_init(&relay->outbox_lock, NULL)) != 0) {
        relay_free(relay);
        return NULL;
    }
    return relay;
}

static int relay_start(struct relay *relay)
{
    if (relay->started)
        return 0;
    for (unsigned i = 0; i < relay->threads; i++) {
        struct worker *worker = &relay->workers[i];
        if (worker_open(worker, relay) == 0) {
            if (worker_start(worker) == 0)
                continue;
            worker_close(worker);
        }
        int error = errno;
        while (i-- > 0)
            worker_stop(&relay->workers[i]);
        errno = error;
        return -1;
    }
    relay->started = true;
    return 0;
}

void relay_stop(struct relay *relay)
{
    for (unsigned i = 0; relay->started && i < relay->threads; i++)
        worker_stop(&relay->workers[i]);
    relay->started = false;
    relay->outbox = NULL; /* news of sessions that the owner is about to bury */
    relay->outbox_end = &relay->outbox;
}

void relay_free(struct relay *relay)
{
    close_socket(&relay->news);
    free(relay->workers);
    free(relay);
}

int relay_fileno(const struct relay *relay)
{
    return relay->news;
}

void relay_silence(struct relay *relay)
{
    silence(relay->news);
}

void relay_set_time(struct relay *relay, int64_t now)
{
    atomic_store_explicit(&relay->now, now, memory_order_relaxed);
}

/* Sessions take turns at the workers. */
struct worker *relay_assign(struct relay *relay)
{
    if (relay_start(relay) < 0)
        return NULL;
    return &relay->workers[relay->next++ % relay->threads];
}

int64_t worker_time(const struct worker *worker)
{
    return atomic_load_explicit(&worker->relay->now, memory_order_relaxed);
}

void post(struct session *session)
{
    struct worker *worker = session->worker;
    lock(&worker->inbox_lock);
    bool first = worker->inbox == NULL;
    if (!session->posted) {
        session->posted = true;
        session->inbox_next = NULL;
        *worker->inbox_end = session;
        worker->inbox_end = &session->inbox_next;
    }
    unlock(&worker->inbox_lock);
    if (first)
        ring(worker->wake);
}

size_t relay_collect(struct relay *relay, struct report *reports, size_t most)
{
    size_t n = 0;
    lock(&relay->outbox_lock);
    while (n < most && relay->outbox != NULL) {
        struct session *session = relay->outbox;
        relay->outbox = session->outbox_next;
        reports[n++] = (struct report){session, session->news};
        session->queued = false;
        session->news = 0;
    }
    if (relay->outbox == NULL)
        relay->outbox_end = &relay->outbox;
    unlock(&relay->outbox_lock);
    return n;
}
