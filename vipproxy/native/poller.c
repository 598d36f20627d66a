/* The poller: epoll, whose turn it is, and what is due. See stream.h. */
#define _GNU_SOURCE
#include "module.h"

#include <errno.h>
#include <structmember.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MOST_EVENTS = 256 };

/* -- queues of streams; an entry is a reference -- */

static struct stream *dequeue(struct stream_list *list, enum stream_queue queue)
{
    struct stream *stream = list->first;
    if (stream == NULL)
        return NULL;
    list->first = stream->next[queue];
    stream->next[queue] = NULL;
    stream->queued[queue] = false;
    return stream;
}

static void append(struct stream_list *list, enum stream_queue queue, struct stream *stream)
{
    Py_INCREF(stream);
    stream->queued[queue] = true;
    if (list->first == NULL)
        list->first = stream;
    else
        list->last->next[queue] = stream;
    list->last = stream;
}

/* -- the eventfd -- */

/* Has the reactor call poll. Its callers cannot fail, and nor can this but by a mistake of ours. */
static void wake(struct poller *poller)
{
    uint64_t one = 1;
    if (poller->woken)
        return;
    if (write(poller->wake, &one, sizeof one) == (ssize_t)sizeof one) {
        poller->woken = true;
        return;
    }
    PyErr_SetFromErrno(PyExc_OSError);
    PyErr_WriteUnraisable((PyObject *)poller);
}

static void silence(struct poller *poller)
{
    uint64_t count;
    if (read(poller->wake, &count, sizeof count) < 0 && errno != EAGAIN) {
        PyErr_SetFromErrno(PyExc_OSError);
        PyErr_WriteUnraisable((PyObject *)poller);
    }
    poller->woken = false;
}

void poller_enqueue(struct poller *poller, enum stream_queue queue, struct stream *stream)
{
    if (!stream->queued[queue])
        append(&poller->queues[queue], queue, stream);
    if (queue == DUE && !poller->dispatching)
        wake(poller);
}

/* Sent together, so that peers who sleep are woken in a row. */
static void flush(struct poller *poller)
{
    struct stream *stream;
    while ((stream = dequeue(&poller->queues[DIRTY], DIRTY)) != NULL) {
        stream_flush(stream);
        Py_DECREF(stream);
    }
}

/* -- the streams -- */

static struct stream *stream_of(const struct poller *poller, uint64_t key)
{
    size_t fd = (uint32_t)key;
    struct stream *stream = fd < poller->size ? poller->streams[fd] : NULL;
    return stream != NULL && stream->number == key >> 32 ? stream : NULL;
}

static uint64_t key_of(const struct stream *stream)
{
    return (uint64_t)stream->number << 32 | (uint32_t)stream->fd;
}

static int make_room(struct poller *poller, size_t fd)
{
    size_t size = poller->size > 0 ? poller->size : 64;
    while (size <= fd)
        size *= 2;
    if (size == poller->size)
        return 0;
    struct stream **streams = PyMem_Realloc(poller->streams, size * sizeof *streams);
    if (streams == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(streams + poller->size, 0, (size - poller->size) * sizeof *streams);
    poller->streams = streams;
    poller->size = size;
    return 0;
}

int poller_add(struct poller *poller, struct stream *stream)
{
    size_t fd = (size_t)stream->fd;
    if (make_room(poller, fd) < 0)
        return -1;
    if (poller->streams[fd] != NULL) {
        PyErr_Format(PyExc_ValueError, "descriptor %d has a stream already", stream->fd);
        return -1;
    }
    stream->number = ++poller->number;
    if (poller_arm(poller, stream, stream->connecting ? EPOLLOUT : EPOLLIN) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    Py_INCREF(stream);
    poller->streams[fd] = stream;
    return 0;
}

void poller_remove(struct poller *poller, struct stream *stream, bool closes)
{
    if (poller->epoll >= 0 && !closes)
        /* It fails only where the socket was closed behind our back: there it is gone already. */
        (void)poller_arm(poller, stream, 0);
    poller->streams[stream->fd] = NULL;
    Py_DECREF(stream);
}

int poller_arm(struct poller *poller, struct stream *stream, uint32_t wanted)
{
    struct epoll_event event = {.events = wanted, .data.u64 = key_of(stream)};
    int operation = EPOLL_CTL_MOD;
    if (wanted == stream->armed)
        return 0;
    if (stream->armed == 0)
        operation = EPOLL_CTL_ADD;
    else if (wanted == 0) /* not MOD: a hang-up would be told again and again */
        operation = EPOLL_CTL_DEL;
    stream->armed = wanted;
    return epoll_ctl(poller->epoll, operation, stream->fd, &event);
}

/* -- a turn -- */

static void handle(struct poller *poller, const struct epoll_event *event)
{
    struct stream *stream = stream_of(poller, event->data.u64);
    if (stream == NULL)
        return; /* it was lost earlier in this turn */
    Py_INCREF(stream);
    stream_handle(stream, event->events);
    Py_DECREF(stream);
}

/* What becomes due meanwhile is for the next turn, so that nobody can keep this one going. */
static void do_what_is_due(struct poller *poller)
{
    struct stream_list due = poller->queues[DUE];
    struct stream *stream;
    poller->queues[DUE] = (struct stream_list){NULL, NULL};
    while ((stream = dequeue(&due, DUE)) != NULL) {
        stream_continue(stream);
        Py_DECREF(stream);
    }
}

static void dispatch(struct poller *poller, const struct epoll_event *events, int count)
{
    bool nested = poller->dispatching; /* a protocol has run the reactor */
    poller->dispatching = true;
    poller->turn++;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == 0)
            silence(poller);
        else
            handle(poller, &events[i]);
    }
    do_what_is_due(poller);
    flush(poller);
    do_what_is_due(poller); /* once more: connections that were closed behind what is now sent */
    flush(poller);
    poller->dispatching = nested;
    if (poller->queues[DUE].first != NULL)
        wake(poller);
}

static PyObject *poller_poll(struct poller *poller, PyObject *args)
{
    struct epoll_event events[MOST_EVENTS];
    int most = MOST_EVENTS;
    if (!PyArg_ParseTuple(args, "|i:poll", &most))
        return NULL;
    if (most < 1 || most > MOST_EVENTS)
        return PyErr_Format(PyExc_ValueError, "max_events is from 1 to %d", MOST_EVENTS);
    int count = epoll_wait(poller->epoll, events, most, 0);
    if (count < 0 && errno != EINTR)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (count > 0)
        dispatch(poller, events, count);
    return PyLong_FromLong(count > 0 ? count : 0);
}

/* -- life -- */

static int open_descriptors(struct poller *poller)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll < 0)
        return -1;
    poller->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poller->wake < 0)
        return -1;
    return epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->wake, &event);
}

/* Linux releases a descriptor whatever close(2) returns, and these have nothing to lose. */
static void close_descriptor(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_descriptors(struct poller *poller)
{
    close_descriptor(&poller->wake);
    close_descriptor(&poller->epoll);
}

static PyObject *poller_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                            PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = PyType_GetModuleByDef(type, &module_definition);
    if (module == NULL)
        return NULL;
    struct poller *poller = (struct poller *)type->tp_alloc(type, 0);
    if (poller == NULL)
        return NULL;
    poller->types = &((module_state *)PyModule_GetState(module))->streams;
    poller->epoll = poller->wake = -1;
    return (PyObject *)poller;
}

static int poller_init(struct poller *poller, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"done", "lost", "aborted", NULL};
    PyObject *done, *lost, *aborted;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:Poller", names, &done, &lost, &aborted))
        return -1;
    if (poller->done != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a poller is initialized once");
        return -1;
    }
    poller->done = Py_NewRef(done);
    poller->lost = Py_NewRef(lost);
    poller->aborted = Py_NewRef(aborted);
    if (open_descriptors(poller) == 0)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    close_descriptors(poller);
    return -1;
}

static PyObject *poller_fileno(struct poller *poller, PyObject *Py_UNUSED(unused))
{
    return PyLong_FromLong(poller->epoll);
}

static PyObject *poller_streams(struct poller *poller, PyObject *Py_UNUSED(unused))
{
    PyObject *list = PyList_New(0);
    for (size_t fd = 0; list != NULL && fd < poller->size; fd++) {
        PyObject *stream = (PyObject *)poller->streams[fd];
        if (stream != NULL && PyList_Append(list, stream) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static void drop_streams(struct poller *poller)
{
    struct stream *stream;
    for (size_t fd = 0; fd < poller->size; fd++)
        if (poller->streams[fd] != NULL)
            stream_detach(poller->streams[fd], false);
    for (enum stream_queue queue = 0; queue < STREAM_QUEUES; queue++)
        while ((stream = dequeue(&poller->queues[queue], queue)) != NULL)
            Py_DECREF(stream);
}

static PyObject *poller_close(struct poller *poller, PyObject *Py_UNUSED(unused))
{
    drop_streams(poller);
    close_descriptors(poller);
    Py_RETURN_NONE;
}

static int poller_traverse(struct poller *poller, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(poller));
    Py_VISIT(poller->done);
    Py_VISIT(poller->lost);
    Py_VISIT(poller->aborted);
    for (size_t fd = 0; fd < poller->size; fd++)
        Py_VISIT(poller->streams[fd]);
    for (enum stream_queue queue = 0; queue < STREAM_QUEUES; queue++)
        for (struct stream *each = poller->queues[queue].first; each; each = each->next[queue])
            Py_VISIT(each);
    return 0;
}

static int poller_clear(struct poller *poller)
{
    drop_streams(poller);
    Py_CLEAR(poller->done);
    Py_CLEAR(poller->lost);
    Py_CLEAR(poller->aborted);
    return 0;
}

static void poller_dealloc(struct poller *poller)
{
    PyTypeObject *type = Py_TYPE(poller);
    PyObject_GC_UnTrack(poller);
    poller_clear(poller);
    close_descriptors(poller);
    PyMem_Free(poller->streams);
    type->tp_free(poller);
    Py_DECREF(type);
}

static PyMethodDef poller_methods[] = {
    {"fileno", (PyCFunction)poller_fileno, METH_NOARGS,
     "The descriptor that is readable when there is something to poll; -1 when closed."},
    {"poll", (PyCFunction)poller_poll, METH_VARARGS,
     "poll(max_events=256)\n\nHandle what has happened, without blocking; return how much."},
    {"streams", (PyCFunction)poller_streams, METH_NOARGS, "A list of the open streams."},
    {"close", (PyCFunction)poller_close, METH_NOARGS,
     "Forget all streams, and close the poller's own descriptors."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot poller_slots[] = {
    {Py_tp_doc, "Poller(done, lost, aborted)\n\nWaits for streams; the arguments are the reasons "
                "for connectionLost."},
    {Py_tp_new, poller_new},
    {Py_tp_init, poller_init},
    {Py_tp_dealloc, poller_dealloc},
    {Py_tp_traverse, poller_traverse},
    {Py_tp_clear, poller_clear},
    {Py_tp_methods, poller_methods},
    {0, NULL},
};

PyType_Spec poller_spec = {
    .name = "vipproxy.native._engine.Poller",
    .basicsize = sizeof(struct poller),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = poller_slots,
};
