/* The relay proper: worker threads that move bytes between pairs of sockets. No Python here.
 *
 * The threads of the house: the owner (Python's reactor thread) starts sessions, kills them, and
 * collects what has become of them; each worker moves the bytes of its sessions and is the only
 * one to close their sockets.
 *
 *   owner                                 worker
 *   session_pair ----- epoll_ctl -------> epoll_wait, recv, send
 *   session_dial ----- inbox + eventfd -> socket, connect
 *   session_kill ----- inbox + eventfd -> close
 *   relay_collect <--- outbox + eventfd - connected, failed, ended
 *
 * A session's lock is held by the worker while it works on the session, and by the owner while it
 * starts or kills it. The session's memory is the owner's, who may free it once it has collected
 * OVER: a worker publishes that only at the end of its turn, when no event of the turn can point
 * to the session any more.
 */
#ifndef VIPPROXY_RELAY_H
#define VIPPROXY_RELAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "connect.h"
#include "traffic.h"

enum ending { NORMAL, CLIENT_ABORT, SERVER_ABORT, CLIENT_TIMEOUT, SERVER_TIMEOUT, SHORTAGE };

/*   session_dial                     session_pair, session_copy
 *        |                                      |
 *        v     connected                        v      a side is lost
 *   CONNECTING ----------------------------->  OPEN ------------------> FLUSHING
 *        |                                      |                          |
 *        | refused, killed     both have ended, |        the other has got |
 *        |                     killed           |        its own, killed   |
 *        +------------------------------------> OVER <---------------------+
 */
enum phase { CONNECTING, OPEN, FLUSHING, OVER };

/* A copy moves bytes one way, between sockets that remain the owner's. */
enum way { BOTH_WAYS, TO_CLIENT, TO_SERVER };

/* What the owner collects; several at once where it was slow. */
enum news { NEWS_CONNECTED = 1, NEWS_OVER = 2 };

/* Bytes that a socket did not take. */
struct chunk {
    size_t start, end;
    unsigned char bytes[];
};

struct side {
    int fd;
    bool readable; /* epoll has said so, and no read has found it empty since */
    bool hung;     /* an end or an error is to be read: read until it shows */
    bool streams;  /* the last read has filled the buffer: splice(2) pays */
    bool eof;      /* it has said all that it has to say */
    bool shut;     /* we have ended our output to it */
    struct chunk *waiting; /* what is to be sent to it; nothing is read for it meanwhile */
};

struct session {
    struct worker *worker;
    pthread_mutex_t lock; /* protects what follows, up to the next comment */
    enum phase phase;
    enum way way;
    enum ending ending;
    bool killed;    /* by the owner; only the inbox ends it now */
    bool connected; /* it has been OPEN */
    bool answered;  /* something was sent to the client */
    int error;      /* errno of a connect that failed */
    struct plan *plan; /* of a connect that has not begun */
    struct side client, server;
    uint64_t left; /* bytes that a copy has still to move */
    /* worker's */
    struct session *ready_next, *ready_prev; /* it has more to read, when it is its turn */
    struct session *noted_next;
    bool noted;
    unsigned fresh; /* news of this turn */
    /* between the threads */
    struct session *inbox_next;
    bool posted;
    struct session *outbox_next;
    bool queued;
    unsigned news;
    _Atomic int64_t last_active; /* the owner's time, as of its last tick */
    struct traffic *traffic, *also; /* both are counted into; `also` may be NULL */
};

struct relay;

/* Returns NULL with errno set. Threads start with the first session, that is after a fork. */
struct relay *relay_new(unsigned threads);

/* Ends the threads. Sessions stay as they are, for the owner to bury. */
void relay_stop(struct relay *relay);
void relay_free(struct relay *relay);

/* Readable when there is something to collect. */
int relay_fileno(const struct relay *relay);

/* To be called when it was readable, before collecting. */
void relay_silence(struct relay *relay);

/* The owner's time; any unit, but the same in all calls. */
void relay_set_time(struct relay *relay, int64_t now);

/* The three ways to start a session, zeroed before and with its traffic set. They return 0, or -1
 * with errno set and nothing changed. From then on the worker has the sockets (a copy: duplicates),
 * and what was allocated: the plan by malloc, the chunks, which are sent before anything else, by
 * chunk_new.
 *
 * The worker makes the socket of a dial and connects it: those that come together are connected
 * in a row, which the server's host handles at half the price. */
int session_pair(struct relay *relay, struct session *session, int client, int server,
                 struct chunk *to_server, struct chunk *to_client);
int session_dial(struct relay *relay, struct session *session, int client, struct plan *plan,
                 struct chunk *to_server);
int session_copy(struct relay *relay, struct session *session, int client, int server,
                 enum way way, uint64_t count);

/* The owner ends a session: the peers see the end before this returns. `words` are for a client
 * that has heard nothing yet. False if it is over already, or killed. */
bool session_kill(struct session *session, enum ending ending, const void *words, size_t size);

/* The owner takes a client back while its server is CONNECTING, with an errno as the reason. False
 * if the server has accepted before. */
bool session_cancel(struct session *session, int error);

/* After relay_stop: frees what a session holds, and closes its sockets if it is not over. To kill
 * or cancel it later is harmless. */
void session_bury(struct session *session);

struct report {
    struct session *session;
    unsigned news;
};

/* Takes up to `most` reports; call it until it returns less than that. */
size_t relay_collect(struct relay *relay, struct report *reports, size_t most);

/* A copy of some bytes that are to be sent; NULL without memory. */
struct chunk *chunk_new(const void *bytes, size_t size);

#endif
