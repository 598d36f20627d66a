/* Between session.c, which knows what a session does, and worker.c, which knows when. */
#ifndef VIPPROXY_WORKER_H
#define VIPPROXY_WORKER_H

#include <stdlib.h>
#include <unistd.h>

#include "relay.h"

enum {
    READ_SIZE = 32768,    /* bytes at one read, as fits a core's cache; then others have their turn */
    SPLICE_SIZE = 131072, /* bytes at one splice, which copies nothing */
};

struct worker {
    struct relay *relay;
    pthread_t thread;
    int epoll, wake;
    pthread_mutex_t inbox_lock;
    struct session *inbox; /* to be connected, or killed by the owner */
    struct session **inbox_end;
    bool stopping; /* under inbox_lock */
    struct session ready;  /* head of a ring; only its links are used */
    struct session *noted; /* there is news of them */
    unsigned char *buffer;
    int pipe[2]; /* what is spliced goes through it; it is empty between two moves */
};

static inline void lock(pthread_mutex_t *mutex)
{
    if (pthread_mutex_lock(mutex) != 0)
        abort(); /* not an error of a peer, but of this file */
}

static inline void unlock(pthread_mutex_t *mutex)
{
    if (pthread_mutex_unlock(mutex) != 0)
        abort();
}

/* Linux releases the descriptor whatever close(2) returns; a socket has nothing more to lose. */
static inline void close_socket(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* -- worker.c -- */

/* The worker of a new session; NULL with errno set. */
struct worker *relay_assign(struct relay *relay);
int64_t worker_time(const struct worker *worker);

/* A session has more to read: it will be run again, when all others had their turn. */
void make_ready(struct session *session);
void unready(struct session *session);

/* To be published at the end of the turn. */
void note(struct session *session, enum news news);

/* From the owner: the worker is to look at it. Under the session's lock. */
void post(struct session *session);

/* -- session.c, in the worker's thread, under the session's lock -- */

void session_happened(struct session *session, bool server, uint32_t events);
void session_run(struct session *session);
void session_posted(struct session *session);

#endif
