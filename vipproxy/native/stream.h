/* The native transport: connected sockets that speak to Twisted protocols, without Twisted's
 * reactor between them.
 *
 * A Poller is one descriptor for the reactor, and has an epoll of its own behind it. A Stream is a
 * transport in the manner of twisted.internet.tcp.Connection; Python's subclass adds what is rare.
 * All of it runs in the reactor's thread and under the GIL: there are no locks.
 *
 *   reactor --readable--> Poller.poll --recv--> protocol.dataReceived --+
 *                            |   ^                                      | write
 *                            |   +------- send, when it returns --------+
 *                            +--> what is due: producers resumed, connections lost
 *
 * Outside of poll a write is sent at once, and what is due rings the poller's eventfd.
 */
#ifndef VIPPROXY_STREAM_H
#define VIPPROXY_STREAM_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "output.h"

enum {
    STREAM_READ_SIZE = 65536,    /* bytes at one read; after it the other streams have their turn */
    STREAM_BUFFER_LIMIT = 65536, /* bytes that wait before a producer is paused, as in Twisted */
};

/* What a module keeps of this. */
struct stream_types {
    PyTypeObject *poller, *stream;
    /* names of methods */
    PyObject *close, *connection_lost, *data_received, *dialled, *half_close, *pause_producing;
    PyObject *raised;
    PyObject *read_connection_lost, *resume_producing, *stop_producing;
    PyObject *socket_class; /* Python's */
};

/* Two queues of streams. DIRTY: what a callback has written is sent when it returns. DUE: there is
 * something to do in a later turn, see stream_continue. */
enum stream_queue { DIRTY, DUE, STREAM_QUEUES };

struct stream_list {
    struct stream *first, *last;
};

struct poller {
    PyObject_HEAD
    struct stream_types *types;
    PyObject *done, *lost, *aborted; /* the reasons, Failures, that connectionLost is given */
    struct stream **streams;         /* by descriptor; each entry is a reference */
    size_t size;                     /* of `streams` */
    int epoll, wake;                 /* `wake` is an eventfd; -1 when closed */
    bool woken;
    bool dispatching;
    uint32_t turn;   /* counts calls of poll */
    uint32_t number; /* of the last stream */
    struct stream_list queues[STREAM_QUEUES];
    char buffer[STREAM_READ_SIZE];
};

enum stream_ending { STREAM_STAYS, STREAM_LOST, STREAM_ABORTED };

struct stream {
    PyObject_HEAD
    struct poller *poller;
    PyObject *socket; /* Python's object; NULL as long as nobody has asked for it */
    PyObject *protocol, *producer;
    struct stream *next[STREAM_QUEUES];
    bool queued[STREAM_QUEUES];
    struct output output;
    int fd;
    uint32_t number;     /* tells it from another stream that had the same descriptor */
    uint32_t armed;      /* what epoll is asked for; 0: not registered */
    uint32_t burst_turn; /* the poller's turn in which ... */
    Py_ssize_t burst;    /* ... so much was sent outside of poll */
    bool connecting; /* a dial; then it is all that is set */
    bool lent;       /* somebody else moves its bytes: neither read nor sent meanwhile */
    /* as in Twisted */
    bool connected, disconnecting, disconnected;
    bool reading;
    bool streaming, producer_paused;
    bool half_closing, half_closed;
    enum stream_ending ending; /* it will be lost in a later turn */
};

/* Adds the types Poller and Stream to the module. Returns -1 with an exception set. */
int stream_register(PyObject *module, struct stream_types *types);
int stream_types_traverse(struct stream_types *types, visitproc visit, void *arg);
void stream_types_clear(struct stream_types *types);

/* -- the poller's, for streams -- */

extern PyType_Spec poller_spec;

/* Takes the stream in, under a new number. Returns -1 with an exception set. */
int poller_add(struct poller *poller, struct stream *stream);

/* The descriptor will be closed, which ends epoll's interest, or not: then it is ended here. */
void poller_remove(struct poller *poller, struct stream *stream, bool closes);

/* Makes epoll's interest the stream's. Returns -1 with errno set. */
int poller_arm(struct poller *poller, struct stream *stream, uint32_t wanted);

void poller_enqueue(struct poller *poller, enum stream_queue queue, struct stream *stream);

/* -- the stream's, for the poller -- */

void stream_handle(struct stream *stream, uint32_t events);
void stream_flush(struct stream *stream);
void stream_continue(struct stream *stream);

/* Forgets the socket, which will be closed now or not, without a word to anyone. */
void stream_detach(struct stream *stream, bool closes);

/* Closes a descriptor of which there is no Python object. */
void stream_close_descriptor(struct stream *stream);

/* -- the stream's, for its type -- */

/* A method of somebody (NULL: nobody), with an argument or NULL. */
PyObject *stream_call(PyObject *target, PyObject *name, PyObject *argument);

/* There is something new in the output. */
void stream_send_soon(struct stream *stream);

/* Where all is sent: has a later turn do what is to be done then. */
void stream_settle(struct stream *stream);

/* Has epoll ask for what is wanted now. */
void stream_arm(struct stream *stream);

/* Ends a dial without a word to anyone. */
void stream_cancel(struct stream *stream);

/* The connection is to be lost in a later turn. */
void stream_end(struct stream *stream, enum stream_ending ending);

/* It is lost now: by way of the method connectionLost, which a subclass may extend, and which ends
 * in stream_close. Both are harmless if it is lost already. */
void stream_lose(struct stream *stream, PyObject *reason);
void stream_close(struct stream *stream, PyObject *reason);

#endif
