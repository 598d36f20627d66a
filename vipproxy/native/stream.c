/* The stream: a transport in the manner of twisted.internet.tcp.Connection. See stream.h.
 *
 *   CONNECTING --refused, cancelled--> LOST, without a connectionLost
 *        |
 *        | accepted
 *        v         loseConnection           all is sent, and no
 *        +----------------> CLOSING producer is waiting ---+
 *        |   (reads no more)   |                           |
 *        |                     |                           v  in a later turn
 *   CONNECTED -----------------+-----------------------> LOST: connectionLost, once
 *        |    end of input (no IHalfCloseableProtocol), reset,
 *        |    abortConnection, a callback that raises, a send that fails
 *        |
 *        | release: the socket lives on elsewhere
 *        v
 *   RELEASED: connectionLost is never called
 *
 * While CONNECTED each direction may end by itself:
 *
 *   input   READING <--resumeProducing, pauseProducing--> PAUSED
 *           READING --end of input--> PAUSED, and readConnectionLost
 *   output  OPEN --loseWriteConnection--> HALF_CLOSING --all is sent--> HALF_CLOSED, and
 *                                                                       writeConnectionLost
 *
 * and from lend to take_back it is LENT: the relay moves its bytes, and what is written waits.
 *
 * epoll is asked, level-triggered, for input while READING and for room while output waits that
 * the kernel did not take. A pause is told to it only when an event comes in spite of it: who
 * pauses and resumes within a turn has cost no system call.
 */
#define _GNU_SOURCE
#include "module.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* -- calls into Python -- */

/* A stream's own references may be replaced by the method that is called. */
PyObject *stream_call(PyObject *target, PyObject *name, PyObject *argument)
{
    if (target == NULL)
        target = Py_None; /* which has no such method: an AttributeError, as it should be */
    PyObject *arguments[] = {Py_NewRef(target), argument};
    PyObject *result = PyObject_VectorcallMethod(name, arguments, argument != NULL ? 2 : 1, NULL);
    Py_DECREF(target);
    return result;
}

static PyObject *take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL && PyException_SetTraceback(value, traceback) < 0)
        PyErr_Clear(); /* the exception itself is more important */
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* A callback has raised: it is logged, and the connection is lost. */
static void raised(struct stream *self)
{
    PyObject *exception = take_exception();
    PyObject *result = stream_call((PyObject *)self, self->poller->types->raised, exception);
    Py_DECREF(exception);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
        stream_lose(self, self->poller->lost);
    }
    Py_XDECREF(result);
}

/* A callback of the protocol or the producer has returned. */
static void returned(struct stream *self, PyObject *result)
{
    if (result == NULL)
        raised(self);
    Py_XDECREF(result);
}

/* -- what is wanted of the kernel, and of a later turn -- */

static uint32_t wanted(const struct stream *self)
{
    if (self->ending != STREAM_STAYS || self->lent)
        return 0;
    if (self->connecting)
        return EPOLLOUT;
    return (self->reading ? EPOLLIN : 0) | (self->output.waiting > 0 ? EPOLLOUT : 0);
}

void stream_end(struct stream *self, enum stream_ending ending)
{
    if (ending > self->ending)
        self->ending = ending;
    output_clear(&self->output);
    poller_enqueue(self->poller, DUE, self);
}

void stream_arm(struct stream *self)
{
    if (self->connected && poller_arm(self->poller, self, wanted(self)) < 0)
        stream_end(self, STREAM_LOST); /* no memory for it in the kernel */
}

static bool has_waiting_producer(const struct stream *self)
{
    return self->producer != NULL && (!self->streaming || self->producer_paused);
}

/* Nothing waits to be sent: there may be something to do now, in a later turn. */
void stream_settle(struct stream *self)
{
    bool half_close = self->half_closing && !self->half_closed;
    if (self->output.waiting == 0 &&
        (has_waiting_producer(self) || self->disconnecting || half_close))
        poller_enqueue(self->poller, DUE, self);
}

/* -- the end -- */

void stream_detach(struct stream *self, bool closes)
{
    if (self->disconnected)
        return;
    self->connecting = self->connected = self->reading = false;
    self->disconnected = true;
    output_clear(&self->output);
    poller_remove(self->poller, self, closes);
}

/* Linux releases it whatever close(2) returns. */
void stream_close_descriptor(struct stream *self)
{
    if (self->socket == NULL && self->fd >= 0)
        (void)close(self->fd);
    self->fd = -1;
}

void stream_cancel(struct stream *self)
{
    stream_detach(self, true);
    stream_close_descriptor(self);
}

static void stop_producer(struct stream *self)
{
    PyObject *producer = self->producer;
    if (producer == NULL)
        return;
    self->producer = NULL;
    returned(self, stream_call(producer, self->poller->types->stop_producing, NULL));
    Py_DECREF(producer);
}

/* In order, or with a reset. Both calls fail where the peer was faster, which is no loss. */
static void close_socket(struct stream *self, bool orderly)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (orderly)
        (void)shutdown(self->fd, SHUT_RDWR);
    else
        (void)setsockopt(self->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    stream_close_descriptor(self);
    PyObject *socket = self->socket;
    if (socket == NULL)
        return;
    self->socket = NULL;
    PyObject *result = stream_call(socket, self->poller->types->close, NULL);
    if (result == NULL)
        PyErr_Clear(); /* an OSError: the descriptor is released all the same */
    Py_XDECREF(result);
    Py_DECREF(socket);
}

void stream_close(struct stream *self, PyObject *reason)
{
    if (self->connecting)
        stream_cancel(self);
    if (self->disconnected)
        return;
    stream_detach(self, self->socket == NULL); /* who has an object may have duplicated it */
    stop_producer(self);
    close_socket(self, reason != self->poller->aborted);
    PyObject *protocol = self->protocol;
    self->protocol = NULL;
    returned(self, stream_call(protocol, self->poller->types->connection_lost, reason));
    Py_XDECREF(protocol);
}

void stream_lose(struct stream *self, PyObject *reason)
{
    if (self->disconnected)
        return;
    PyObject *name = self->poller->types->connection_lost;
    PyObject *result = stream_call((PyObject *)self, name, reason);
    if (result == NULL)
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(result);
    stream_close(self, reason); /* in case that a subclass did not */
}

/* -- input -- */

static void deliver(struct stream *self, Py_ssize_t size)
{
    PyObject *data = PyBytes_FromStringAndSize(self->poller->buffer, size);
    PyObject *result = NULL;
    if (data != NULL)
        result = stream_call(self->protocol, self->poller->types->data_received, data);
    Py_XDECREF(data);
    returned(self, result);
}

static void input_ended(struct stream *self)
{
    PyObject *name = self->poller->types->read_connection_lost;
    self->reading = false;
    returned(self, stream_call((PyObject *)self, name, self->poller->done));
    stream_arm(self);
}

/* One read. False if there was nothing to read, nor an end. */
static bool read_some(struct stream *self)
{
    ssize_t size;
    do
        size = recv(self->fd, self->poller->buffer, STREAM_READ_SIZE, MSG_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size > 0)
        deliver(self, size);
    else if (size == 0)
        input_ended(self);
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
        return false;
    else
        stream_lose(self, self->poller->lost);
    return true;
}

/* -- output -- */

void stream_flush(struct stream *self)
{
    if (!self->connected || self->ending != STREAM_STAYS || self->lent)
        return;
    if (output_send(&self->output, self->fd) == OUTPUT_FAILED) {
        stream_end(self, STREAM_LOST);
        return;
    }
    if (self->output.waiting > 0 || self->armed & EPOLLOUT)
        stream_arm(self);
    stream_settle(self);
}

/* Outside of poll one is not told when a callback's writing is over, so a stream that writes on
 * and on must come to the point where its producer is paused. */
static bool may_burst(struct stream *self)
{
    if (self->burst_turn != self->poller->turn) {
        self->burst_turn = self->poller->turn;
        self->burst = 0;
    }
    bool may = self->burst < STREAM_BUFFER_LIMIT;
    if (may)
        self->burst += self->output.waiting;
    return may;
}

/* There is something new in the output. */
void stream_send_soon(struct stream *self)
{
    if (self->armed & EPOLLOUT)
        return; /* epoll will say when */
    if (self->poller->dispatching)
        poller_enqueue(self->poller, DIRTY, self);
    else if (may_burst(self))
        stream_flush(self);
    else
        poller_enqueue(self->poller, DUE, self);
}

/* -- the poller's turn -- */

/* The server has accepted, or it has not. */
static void settle_dial(struct stream *self, uint32_t events)
{
    int error = connect_error(self->fd, events);
    if (error != 0) {
        stream_cancel(self);
    } else {
        self->connecting = false;
        self->connected = self->reading = true;
        stream_arm(self);
    }
    PyObject *number = PyLong_FromLong(error);
    PyObject *result = NULL;
    if (number != NULL)
        result = stream_call((PyObject *)self, self->poller->types->dialled, number);
    Py_XDECREF(number);
    returned(self, result);
}

void stream_handle(struct stream *self, uint32_t events)
{
    const uint32_t hung = EPOLLHUP | EPOLLERR;
    if (self->ending != STREAM_STAYS)
        return; /* it is due later in this turn */
    if (self->connecting) {
        settle_dial(self, events);
        return;
    }
    if (!self->reading || self->lent)
        stream_arm(self);
    else if (events & (EPOLLIN | hung) && !read_some(self) && events & hung)
        stream_lose(self, self->poller->lost);
    if (events & (EPOLLOUT | hung) && self->output.waiting > 0)
        stream_flush(self);
}

static void resume_producer(struct stream *self)
{
    self->producer_paused = false;
    returned(self, stream_call(self->producer, self->poller->types->resume_producing, NULL));
}

static void half_close(struct stream *self)
{
    self->half_closed = true; /* before the callback, which may call loseConnection */
    returned(self, stream_call((PyObject *)self, self->poller->types->half_close, NULL));
}

static void finish(struct stream *self)
{
    if (self->ending == STREAM_LOST && self->reading)
        (void)read_some(self); /* what has come before the end */
    stream_lose(self, self->ending == STREAM_LOST ? self->poller->lost : self->poller->aborted);
}

void stream_continue(struct stream *self)
{
    if (self->disconnected)
        return;
    if (self->ending != STREAM_STAYS)
        finish(self);
    else if (self->output.waiting > 0)
        stream_flush(self);
    else if (has_waiting_producer(self) && !(self->half_closed && self->disconnecting))
        resume_producer(self);
    else if (self->disconnecting)
        stream_lose(self, self->poller->done);
    else if (self->half_closing && !self->half_closed)
        half_close(self);
}
