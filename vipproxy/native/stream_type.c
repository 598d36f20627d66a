/* The stream as Python sees it: what a transport's methods ask of it. See stream.h. */
#define _GNU_SOURCE
#include "module.h"

#include <stdlib.h>
#include <structmember.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* -- writing -- */

/* As in Twisted, at every write, also if it is paused already. Returns -1 if it raises. */
static int pause_producer(struct stream *self)
{
    if (self->producer == NULL || !self->streaming ||
        self->output.waiting <= STREAM_BUFFER_LIMIT)
        return 0;
    self->producer_paused = true;
    PyObject *result = stream_call(self->producer, self->poller->types->pause_producing, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static bool takes_output(const struct stream *self)
{
    return self->connected && !self->half_closed && self->ending == STREAM_STAYS;
}

static int require_bytes(PyObject *data)
{
    if (PyBytes_Check(data))
        return 0;
    PyErr_SetString(PyExc_TypeError, "Data must be bytes");
    return -1;
}

static PyObject *stream_write(struct stream *self, PyObject *data)
{
    if (require_bytes(data) < 0)
        return NULL;
    if (!takes_output(self) || PyBytes_GET_SIZE(data) == 0)
        Py_RETURN_NONE;
    if (output_add(&self->output, data) < 0)
        return NULL;
    stream_send_soon(self);
    if (pause_producer(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* `list` is a list or tuple. */
static int add_all(struct stream *self, PyObject *list)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++)
        if (require_bytes(PySequence_Fast_GET_ITEM(list, i)) < 0)
            return -1;
    for (Py_ssize_t i = 0; takes_output(self) && i < PySequence_Fast_GET_SIZE(list); i++)
        if (output_add(&self->output, PySequence_Fast_GET_ITEM(list, i)) < 0)
            return -1;
    return 0;
}

static PyObject *stream_write_sequence(struct stream *self, PyObject *iterable)
{
    PyObject *list = PySequence_Fast(iterable, "writeSequence takes an iterable of bytes");
    if (list == NULL)
        return NULL;
    int result = add_all(self, list);
    Py_DECREF(list);
    if (self->output.waiting > 0)
        stream_send_soon(self);
    if (result < 0 || pause_producer(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* -- methods that end something -- */

/* A send tells where the peer has reset the connection: as in Twisted, one of nothing will do. */
static void close_when_sent(struct stream *self)
{
    bool nothing_to_send = self->output.waiting == 0 && !self->half_closed;
    if (nothing_to_send && send(self->fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        stream_end(self, STREAM_LOST);
    else
        stream_settle(self);
}

static PyObject *stream_lose_connection(struct stream *self, PyObject *Py_UNUSED(unused))
{
    if (self->connected && !self->disconnecting) {
        self->reading = false;
        self->disconnecting = true;
        close_when_sent(self);
    }
    Py_RETURN_NONE;
}

static PyObject *stream_lose_write_connection(struct stream *self, PyObject *Py_UNUSED(unused))
{
    if (self->connected && !self->half_closing) {
        self->half_closing = true;
        close_when_sent(self);
    }
    Py_RETURN_NONE;
}

static PyObject *stream_abort_connection(struct stream *self, PyObject *Py_UNUSED(unused))
{
    if (self->connected && self->ending != STREAM_ABORTED) {
        self->reading = false;
        stream_end(self, STREAM_ABORTED);
    }
    Py_RETURN_NONE;
}

static PyObject *stream_connection_lost(struct stream *self, PyObject *reason)
{
    stream_close(self, reason);
    Py_RETURN_NONE;
}

/* A descriptor gets an object when it is asked for; then that closes it. */
static PyObject *get_socket(struct stream *self, void *Py_UNUSED(closure))
{
    if (self->socket == NULL && self->connected) {
        PyObject *arguments = Py_BuildValue("{si}", "fileno", self->fd), *none = PyTuple_New(0);
        if (arguments != NULL && none != NULL)
            self->socket = PyObject_Call(self->poller->types->socket_class, none, arguments);
        Py_XDECREF(arguments);
        Py_XDECREF(none);
        if (self->socket == NULL)
            return NULL;
    }
    return Py_NewRef(self->socket != NULL ? self->socket : Py_None);
}

static const char *reason_not_to_release(struct stream *self)
{
    bool half_close_due = self->half_closing && !self->half_closed;
    stream_flush(self);
    if (!self->connected || self->disconnecting || self->ending != STREAM_STAYS)
        return "the connection is lost, or about to be";
    return self->output.waiting > 0 || half_close_due ? "there is output to be sent" : NULL;
}

static PyObject *stream_lend(struct stream *self, PyObject *Py_UNUSED(unused))
{
    if (reason_not_to_release(self) != NULL || self->half_closing)
        Py_RETURN_FALSE;
    self->lent = true;
    stream_arm(self);
    return PyBool_FromLong(self->ending == STREAM_STAYS);
}

static PyObject *stream_take_back(struct stream *self, PyObject *Py_UNUSED(unused))
{
    if (self->lent) {
        self->lent = false;
        stream_arm(self);
        if (self->output.waiting > 0)
            stream_send_soon(self);
    }
    Py_RETURN_NONE;
}

static PyObject *stream_flush_now(struct stream *self, PyObject *Py_UNUSED(unused))
{
    stream_flush(self);
    return PyBool_FromLong(self->connected && self->output.waiting == 0);
}

static PyObject *stream_fileno(struct stream *self, PyObject *Py_UNUSED(unused))
{
    return PyLong_FromLong(self->fd);
}

static PyObject *stream_release(struct stream *self, PyObject *Py_UNUSED(unused))
{
    const char *reason = reason_not_to_release(self);
    if (reason != NULL) {
        PyErr_SetString(PyExc_RuntimeError, reason);
        return NULL;
    }
    PyObject *socket = get_socket(self, NULL);
    if (socket == NULL)
        return NULL;
    stream_detach(self, false);
    Py_CLEAR(self->producer);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->socket);
    self->fd = -1;
    return socket;
}

/* -- producing and consuming -- */

static PyObject *stream_pause_producing(struct stream *self, PyObject *Py_UNUSED(unused))
{
    self->reading = false;
    Py_RETURN_NONE;
}

static PyObject *stream_resume_producing(struct stream *self, PyObject *Py_UNUSED(unused))
{
    if (self->connected && !self->disconnecting && self->ending == STREAM_STAYS) {
        self->reading = true;
        if (!(self->armed & EPOLLIN))
            stream_arm(self);
    }
    Py_RETURN_NONE;
}

static PyObject *returns_none(PyObject *result)
{
    if (result == NULL)
        return NULL;
    Py_DECREF(result);
    Py_RETURN_NONE;
}

static PyObject *stream_register_producer(struct stream *self, PyObject *args)
{
    PyObject *producer;
    int streaming;
    if (!PyArg_ParseTuple(args, "Op:registerProducer", &producer, &streaming))
        return NULL;
    if (self->producer != NULL)
        return PyErr_Format(PyExc_RuntimeError,
                            "Cannot register producer %R, because producer %R was never "
                            "unregistered.", producer, self->producer);
    if (self->poller == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the stream is not initialized");
    if (self->disconnected)
        return returns_none(stream_call(producer, self->poller->types->stop_producing, NULL));
    self->producer = Py_NewRef(producer);
    self->streaming = streaming;
    self->producer_paused = false;
    if (streaming)
        Py_RETURN_NONE;
    return returns_none(stream_call(producer, self->poller->types->resume_producing, NULL));
}

static PyObject *stream_unregister_producer(struct stream *self, PyObject *Py_UNUSED(unused))
{
    Py_CLEAR(self->producer);
    if (self->connected)
        stream_settle(self);
    Py_RETURN_NONE;
}

/* -- life -- */

static int stream_init(struct stream *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"poller", "socket", "protocol", NULL};
    PyObject *poller, *socket, *protocol;
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(self), &module_definition);
    if (module == NULL)
        return -1;
    PyTypeObject *type = ((module_state *)PyModule_GetState(module))->streams.poller;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO:Stream", names, type, &poller, &socket,
                                     &protocol))
        return -1;
    if (self->poller != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a stream is initialized once");
        return -1;
    }
    self->fd = PyObject_AsFileDescriptor(socket);
    if (self->fd < 0)
        return -1;
    if (poller_add((struct poller *)poller, self) < 0) {
        self->fd = -1; /* it has remained the caller's */
        return -1;
    }
    self->poller = (struct poller *)Py_NewRef(poller);
    self->socket = PyLong_Check(socket) ? NULL : Py_NewRef(socket);
    self->protocol = Py_NewRef(protocol);
    self->connected = self->reading = true;
    self->disconnected = false;
    return 0;
}

/* Instead of an initialization: the connect that is to make it one that is connected. */
static PyObject *stream_dial(struct stream *self, PyObject *args)
{
    PyObject *poller, *host, *port, *options;
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(self), &module_definition);
    if (module == NULL)
        return NULL;
    PyTypeObject *type = ((module_state *)PyModule_GetState(module))->streams.poller;
    if (!PyArg_ParseTuple(args, "O!OOO:dial", type, &poller, &host, &port, &options))
        return NULL;
    if (self->poller != NULL)
        return PyErr_Format(PyExc_RuntimeError, "a stream is initialized once");
    struct plan *plan = plan_of(host, port, options);
    if (plan == NULL)
        return NULL;
    self->fd = plan_begin(plan);
    free(plan);
    if (self->fd < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    self->connecting = true;
    if (poller_add((struct poller *)poller, self) < 0) {
        self->connecting = false;
        stream_close_descriptor(self);
        return NULL;
    }
    self->poller = (struct poller *)Py_NewRef(poller);
    self->disconnected = false;
    Py_RETURN_NONE;
}

static PyObject *stream_cancel_dial(struct stream *self, PyObject *Py_UNUSED(unused))
{
    if (self->connecting)
        stream_cancel(self);
    Py_RETURN_NONE;
}

/* Until it is initialized it is as one that is lost: nothing can be done with it. */
static PyObject *stream_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                            PyObject *Py_UNUSED(kwargs))
{
    struct stream *self = (struct stream *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->disconnected = true;
        self->fd = -1;
    }
    return (PyObject *)self;
}

static int stream_traverse(struct stream *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->poller);
    Py_VISIT(self->socket);
    Py_VISIT(self->protocol);
    Py_VISIT(self->producer);
    return 0;
}

/* Not the poller, which every method needs: its own clear breaks that cycle. */
static int stream_clear(struct stream *self)
{
    Py_CLEAR(self->socket);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->producer);
    return 0;
}

static void stream_dealloc(struct stream *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    stream_close_descriptor(self);
    stream_clear(self);
    output_clear(&self->output);
    Py_CLEAR(self->poller);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef stream_members[] = {
    {"poller", T_OBJECT, offsetof(struct stream, poller), READONLY, NULL},
    {"protocol", T_OBJECT, offsetof(struct stream, protocol), 0,
     "Who is told what happens; may be replaced at any time."},
    {"producer", T_OBJECT, offsetof(struct stream, producer), READONLY, NULL},
    {"connected", T_BOOL, offsetof(struct stream, connected), READONLY, NULL},
    {"disconnecting", T_BOOL, offsetof(struct stream, disconnecting), READONLY, NULL},
    {"disconnected", T_BOOL, offsetof(struct stream, disconnected), READONLY, NULL},
    {"unsent", T_PYSSIZET, offsetof(struct stream, output.waiting), READONLY,
     "Bytes that were written and wait to be sent."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef stream_properties[] = {
    {"socket", (getter)get_socket, NULL,
     "The socket; None when the connection is lost or released.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef stream_methods[] = {
    {"write", (PyCFunction)stream_write, METH_O, NULL},
    {"writeSequence", (PyCFunction)stream_write_sequence, METH_O, NULL},
    {"pauseProducing", (PyCFunction)stream_pause_producing, METH_NOARGS, NULL},
    {"resumeProducing", (PyCFunction)stream_resume_producing, METH_NOARGS, NULL},
    {"stopProducing", (PyCFunction)stream_lose_connection, METH_NOARGS, NULL},
    {"registerProducer", (PyCFunction)stream_register_producer, METH_VARARGS, NULL},
    {"unregisterProducer", (PyCFunction)stream_unregister_producer, METH_NOARGS, NULL},
    {"loseConnection", (PyCFunction)stream_lose_connection, METH_NOARGS, NULL},
    {"loseWriteConnection", (PyCFunction)stream_lose_write_connection, METH_NOARGS, NULL},
    {"abortConnection", (PyCFunction)stream_abort_connection, METH_NOARGS, NULL},
    {"connectionLost", (PyCFunction)stream_connection_lost, METH_O,
     "End the connection now, for this reason; harmless if it is lost already.\n\n"
     "Every end comes this way, so a subclass may extend it."},
    {"dial", (PyCFunction)stream_dial, METH_VARARGS,
     "dial(poller, host, port, socket_options)\n\nConnect, instead of an initialization. A method "
     "_dialled of a subclass is called with an\nerrno, 0 if the server has accepted. Raises OSError "
     "where the connect could not begin."},
    {"cancel", (PyCFunction)stream_cancel_dial, METH_NOARGS,
     "End a dial; harmless if it is none any more."},
    {"fileno", (PyCFunction)stream_fileno, METH_NOARGS, "The descriptor; -1 when it is lost."},
    {"flush", (PyCFunction)stream_flush_now, METH_NOARGS,
     "Send what the kernel takes; True where nothing is left to be sent."},
    {"lend", (PyCFunction)stream_lend, METH_NOARGS,
     "Let others move its bytes, until take_back. False where there is output to be sent, or the\n"
     "connection is lost or about to be."},
    {"take_back", (PyCFunction)stream_take_back, METH_NOARGS,
     "Go on as before; harmless where it was not lent."},
    {"release", (PyCFunction)stream_release, METH_NOARGS,
     "Give the socket away: nothing more is read, and no callback comes.\n\n"
     "Raises RuntimeError where there is output to be sent, or the connection is lost or about\n"
     "to be."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, "Stream(poller, socket, protocol)\n\nA transport around a connected socket, or its "
                "descriptor."},
    {Py_tp_new, stream_new},
    {Py_tp_init, stream_init},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_traverse, stream_traverse},
    {Py_tp_clear, stream_clear},
    {Py_tp_members, stream_members},
    {Py_tp_getset, stream_properties},
    {Py_tp_methods, stream_methods},
    {0, NULL},
};

PyType_Spec stream_spec = {
    .name = "vipproxy.native._engine.Stream",
    .basicsize = sizeof(struct stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = stream_slots,
};

/* -- the module -- */

static int intern_names(struct stream_types *types)
{
    struct {
        PyObject **name;
        const char *text;
    } names[] = {
        {&types->close, "close"},
        {&types->connection_lost, "connectionLost"},
        {&types->data_received, "dataReceived"},
        {&types->dialled, "_dialled"},
        {&types->half_close, "_half_close"},
        {&types->pause_producing, "pauseProducing"},
        {&types->raised, "_raised"},
        {&types->read_connection_lost, "readConnectionLost"},
        {&types->resume_producing, "resumeProducing"},
        {&types->stop_producing, "stopProducing"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*names[i].name = PyUnicode_InternFromString(names[i].text)) == NULL)
            return -1;
    return 0;
}

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, type) < 0)
        Py_CLEAR(type);
    return type;
}

static PyObject *import_socket_class(void)
{
    PyObject *module = PyImport_ImportModule("socket");
    PyObject *class = module == NULL ? NULL : PyObject_GetAttrString(module, "socket");
    Py_XDECREF(module);
    return class;
}

int stream_register(PyObject *module, struct stream_types *types)
{
    if (intern_names(types) < 0 || (types->socket_class = import_socket_class()) == NULL)
        return -1;
    if ((types->poller = add_type(module, &poller_spec)) == NULL)
        return -1;
    return (types->stream = add_type(module, &stream_spec)) == NULL ? -1 : 0;
}

int stream_types_traverse(struct stream_types *types, visitproc visit, void *arg)
{
    Py_VISIT(types->poller);
    Py_VISIT(types->stream);
    Py_VISIT(types->socket_class);
    return 0;
}

void stream_types_clear(struct stream_types *types)
{
    Py_CLEAR(types->poller);
    Py_CLEAR(types->stream);
    Py_CLEAR(types->close);
    Py_CLEAR(types->connection_lost);
    Py_CLEAR(types->data_received);
    Py_CLEAR(types->dialled);
    Py_CLEAR(types->half_close);
    Py_CLEAR(types->pause_producing);
    Py_CLEAR(types->raised);
    Py_CLEAR(types->read_connection_lost);
    Py_CLEAR(types->resume_producing);
    Py_CLEAR(types->stop_producing);
    Py_CLEAR(types->socket_class);
}
