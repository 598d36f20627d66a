/* The relay for Python: `Engine` owns the sessions and the time, `Session` is one of them.
 *
 * All of this runs in the reactor's thread. An open session is kept alive by its engine, so that
 * its circle with the taker is none of the garbage collector's business. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <sys/socket.h>

#include "module.h"
#include "relay.h"
#include "wheel.h"

enum kind { CONNECTED, FAILED, ENDED, COPIED };

enum { REPORTS = 256 /* collected at a time */ };

typedef struct {
    PyObject_HEAD
    struct relay *relay;
    struct wheels wheels;
    int64_t now;
} Engine;

typedef struct {
    PyObject_HEAD
    struct session core;
    struct watched watched;
    int64_t limit;
    int64_t current_limit; /* while it connects, that of the connect */
    enum ending whose;     /* how it ends by the limit */
    PyObject *attempt; /* told of the connect; NULL: not any more */
    PyObject *taker;   /* told of the end; NULL: not any more */
    PyObject *traffic, *also;
} Session;

#define SESSION_OF(member, pointer) ((Session *)((char *)(pointer) - offsetof(Session, member)))

/* -- times: seconds outside, microseconds inside -- */

static int microseconds(PyObject *seconds, int64_t *result)
{
    double value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred())
        return -1;
    *result = (int64_t)(value * 1e6);
    return 0;
}

static int set_time(Engine *self, PyObject *now)
{
    if (microseconds(now, &self->now) < 0)
        return -1;
    relay_set_time(self->relay, self->now);
    return 0;
}

static int set_limits(Session *session, PyObject *client, PyObject *server)
{
    int64_t client_limit, server_limit;
    if (microseconds(client, &client_limit) < 0 || microseconds(server, &server_limit) < 0)
        return -1;
    bool shorter = client_limit <= server_limit;
    session->limit = shorter ? client_limit : server_limit;
    session->whose = shorter ? CLIENT_TIMEOUT : SERVER_TIMEOUT;
    return 0;
}

/* -- Session -- */

static void session_dealloc(PyObject *object)
{
    Session *self = (Session *)object;
    PyTypeObject *type = Py_TYPE(object);
    session_bury(&self->core);
    Py_XDECREF(self->attempt);
    Py_XDECREF(self->taker);
    Py_XDECREF(self->traffic);
    Py_XDECREF(self->also);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *session_shut_down(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Session *self = (Session *)object;
    char *words = NULL;
    Py_ssize_t size = 0;
    if (nargs > 0 && PyBytes_AsStringAndSize(args[0], &words, &size) < 0)
        return NULL;
    Py_CLEAR(self->taker);
    session_kill(&self->core, NORMAL, words, (size_t)size);
    Py_RETURN_NONE;
}

static PyObject *session_cancel_dial(PyObject *object, PyObject *unused)
{
    Session *self = (Session *)object;
    (void)unused;
    bool over = self->attempt == NULL;
    bool cancelled = session_cancel(&self->core, ECANCELED);
    Py_CLEAR(self->attempt);
    if (cancelled)
        Py_CLEAR(self->taker);
    return PyBool_FromLong(cancelled || over);
}

static PyMethodDef session_methods[] = {
    {"shut_down", (PyCFunction)(void (*)(void))session_shut_down, METH_FASTCALL,
     "End both sides now; the words go to a client that has heard nothing yet."},
    {"cancel", session_cancel_dial, METH_NOARGS,
     "Stop connecting, and leave the client's socket alone; nothing is told of it any more. False "
     "if it has connected, and that was not told yet."},
    {NULL},
};

static PyType_Slot session_slots[] = {
    {Py_tp_dealloc, session_dealloc},
    {Py_tp_methods, session_methods},
    {Py_tp_doc, "Two sockets that the engine relays."},
    {0, NULL},
};

static PyType_Spec session_spec = {
    .name = "vipproxy.native._engine.Session",
    .basicsize = sizeof(Session),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = session_slots,
};

/* -- Engine -- */

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"threads", NULL};
    unsigned threads = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|I", names, &threads))
        return NULL;
    if (threads < 1)
        return PyErr_Format(PyExc_ValueError, "an engine has one thread at least");
    Engine *self = (Engine *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->relay = relay_new(threads);
    if (self->relay == NULL) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* The threads are gone, and with them all that could touch a session. */
static void stop(Engine *self)
{
    struct watched *watched;
    Py_BEGIN_ALLOW_THREADS
    relay_stop(self->relay);
    Py_END_ALLOW_THREADS
    while ((watched = wheels_take(&self->wheels)) != NULL)
        Py_DECREF(SESSION_OF(watched, watched));
}

static void engine_dealloc(PyObject *object)
{
    Engine *self = (Engine *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->relay != NULL) {
        stop(self);
        relay_free(self->relay);
    }
    wheels_free(&self->wheels);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *engine_stop(PyObject *object, PyObject *unused)
{
    (void)unused;
    stop((Engine *)object);
    Py_RETURN_NONE;
}

static PyObject *engine_fileno(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(relay_fileno(((Engine *)object)->relay));
}

static int watch_for(Engine *self, Session *session, int64_t limit, int64_t active)
{
    wheels_forget(&session->watched);
    session->current_limit = limit;
    if (wheels_watch(&self->wheels, &session->watched, limit, active, self->now))
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int set_traffic(Session *session, module_state *state, PyObject *traffic, PyObject *also)
{
    session->core.traffic = traffic_of(state, traffic);
    if (session->core.traffic == NULL)
        return -1;
    session->traffic = Py_NewRef(traffic);
    if (also == Py_None)
        return 0;
    session->core.also = traffic_of(state, also);
    session->also = Py_NewRef(also);
    return session->core.also == NULL ? -1 : 0;
}

static Session *new_session(PyObject *engine, PyObject *taker, PyObject *traffic, PyObject *also)
{
    module_state *state = PyType_GetModuleState(Py_TYPE(engine));
    PyTypeObject *type = state->session_type;
    Session *session = (Session *)type->tp_alloc(type, 0);
    if (session == NULL)
        return NULL;
    session->core.client.fd = session->core.server.fd = -1;
    session->taker = Py_NewRef(taker);
    if (set_traffic(session, state, traffic, also) < 0) {
        Py_DECREF(session);
        return NULL;
    }
    return session;
}

/* Bytes that are to be sent first; 0 also where there are none. */
static int chunk_of(PyObject *object, struct chunk **chunk)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(object, &bytes, &size) < 0)
        return -1;
    if (size == 0)
        return 0;
    *chunk = chunk_new(bytes, (size_t)size);
    if (*chunk == NULL)
        PyErr_NoMemory();
    return *chunk == NULL ? -1 : 0;
}

/* The reference that the engine keeps while the session is open; the other is returned. */
static PyObject *started(Session *session)
{
    return Py_NewRef((PyObject *)session);
}

static PyObject *not_started(Session *session, bool by_errno)
{
    if (by_errno)
        PyErr_SetFromErrno(PyExc_OSError);
    wheels_forget(&session->watched);
    session->core.phase = OVER; /* the sockets are the caller's again */
    Py_DECREF(session);
    return NULL;
}

static bool has_args(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
    if (given != wanted)
        PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", name, wanted, given);
    return given == wanted;
}

static PyObject *engine_relay(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Engine *self = (Engine *)object;
    if (!has_args("relay", nargs, 10) || set_time(self, args[9]) < 0)
        return NULL;
    int client = PyLong_AsLong(args[1]), server = PyLong_AsLong(args[2]);
    if (PyErr_Occurred())
        return NULL;
    Session *session = new_session(object, args[0], args[3], args[4]);
    if (session == NULL)
        return NULL;
    struct chunk *to_server = NULL, *to_client = NULL;
    if (set_limits(session, args[5], args[6]) < 0 || chunk_of(args[7], &to_server) < 0 ||
        chunk_of(args[8], &to_client) < 0) {
        free(to_server);
        return not_started(session, false);
    }
    if (watch_for(self, session, session->limit, self->now) == 0 &&
        session_pair(self->relay, &session->core, client, server, to_server, to_client) == 0)
        return started(session);
    free(to_server);
    free(to_client);
    return not_started(session, !PyErr_Occurred());
}

static PyObject *engine_copy(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Engine *self = (Engine *)object;
    if (!has_args("copy", nargs, 10) || set_time(self, args[9]) < 0)
        return NULL;
    int client = PyLong_AsLong(args[1]), server = PyLong_AsLong(args[2]);
    unsigned long long count = PyLong_AsUnsignedLongLong(args[6]);
    int to_client = PyObject_IsTrue(args[5]);
    if (PyErr_Occurred())
        return NULL;
    Session *session = new_session(object, args[0], args[3], args[4]);
    if (session == NULL)
        return NULL;
    if (set_limits(session, args[7], args[8]) < 0)
        return not_started(session, false);
    if (watch_for(self, session, session->limit, self->now) == 0 &&
        session_copy(self->relay, &session->core, client, server,
                     to_client ? TO_CLIENT : TO_SERVER, count) == 0)
        return started(session);
    return not_started(session, !PyErr_Occurred());
}

/* -- connecting -- */

/* While it connects, the connect's own limit counts; room for the other is made before. */
static PyObject *engine_dial(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Engine *self = (Engine *)object;
    int64_t connect_limit;
    if (!has_args("dial", nargs, 12) || set_time(self, args[11]) < 0 ||
        microseconds(args[7], &connect_limit) < 0)
        return NULL;
    int client = PyLong_AsLong(args[2]);
    if (PyErr_Occurred())
        return NULL;
    Session *session = new_session(object, args[1], args[6], Py_None);
    if (session == NULL)
        return NULL;
    session->attempt = Py_NewRef(args[0]);
    struct chunk *to_server = NULL;
    struct plan *plan = NULL;
    if (set_limits(session, args[8], args[9]) == 0 && chunk_of(args[10], &to_server) == 0 &&
        (plan = plan_of(args[3], args[4], args[5])) != NULL &&
        watch_for(self, session, session->limit, self->now) == 0 &&
        watch_for(self, session, connect_limit, self->now) == 0 &&
        session_dial(self->relay, &session->core, client, plan, to_server) == 0)
        return started(session);
    free(to_server);
    free(plan);
    return not_started(session, !PyErr_Occurred());
}

/* -- time -- */

static void expire(Session *session)
{
    if (session->attempt != NULL)
        session_cancel(&session->core, ETIMEDOUT);
    else
        session_kill(&session->core, session->whose, NULL, 0);
}

/* Ends what has been idle for too long. Until its worker has reported it, it is watched on. */
static PyObject *engine_tick(PyObject *object, PyObject *now)
{
    Engine *self = (Engine *)object;
    struct watched *watched;
    if (set_time(self, now) < 0)
        return NULL;
    while ((watched = wheels_due(&self->wheels, self->now)) != NULL) {
        Session *session = SESSION_OF(watched, watched);
        int64_t active = atomic_load_explicit(&session->core.last_active, memory_order_relaxed);
        if (active + session->current_limit <= self->now) {
            expire(session);
            active = self->now;
        }
        if (watch_for(self, session, session->current_limit, active) < 0)
            return NULL;
    }
    return PyFloat_FromDouble((double)wheels_pause(&self->wheels) / 1e6);
}

/* -- news -- */

/* `tell` handles its own exceptions: one that raises after all stops nothing. */
static void call(PyObject *tell, enum kind kind, PyObject *who, PyObject *detail)
{
    PyObject *result = NULL;
    if (detail != NULL)
        result = PyObject_CallFunction(tell, "iOO", kind, who, detail);
    if (result == NULL)
        PyErr_WriteUnraisable(tell);
    Py_XDECREF(result);
    Py_XDECREF(detail);
}

/* The limit's wheel exists already: there is nothing here that could fail. */
static void tell_connected(Engine *self, Session *session, PyObject *tell)
{
    int64_t active = atomic_load_explicit(&session->core.last_active, memory_order_relaxed);
    PyObject *attempt = session->attempt;
    session->attempt = NULL;
    if (session->watched.wheel != NULL)
        (void)watch_for(self, session, session->limit, active);
    if (attempt != NULL)
        call(tell, CONNECTED, attempt, Py_NewRef((PyObject *)session));
    Py_XDECREF(attempt);
}

static PyObject *result_of(const struct session *core)
{
    if (!core->connected)
        return PyLong_FromLong(core->error);
    if (core->way == BOTH_WAYS)
        return PyLong_FromLong(core->ending);
    return Py_BuildValue("(iK)", core->ending, (unsigned long long)core->left);
}

static void tell_over(Session *session, PyObject *tell)
{
    const struct session *core = &session->core;
    PyObject **place = core->connected ? &session->taker : &session->attempt, *who = *place;
    enum kind kind = !core->connected ? FAILED : core->way == BOTH_WAYS ? ENDED : COPIED;
    *place = NULL;
    if (who != NULL)
        call(tell, kind, who, result_of(core));
    Py_XDECREF(who);
}

/* The engine's reference goes with its watch: `stop` may have been called meanwhile. */
static void release(Session *session)
{
    if (session->watched.wheel != NULL) {
        wheels_forget(&session->watched);
        Py_DECREF(session);
    }
}

static void tell_news(Engine *self, const struct report *report, PyObject *tell)
{
    Session *session = SESSION_OF(core, report->session);
    if (report->news & NEWS_CONNECTED)
        tell_connected(self, session, tell);
    if (report->news & NEWS_OVER) {
        tell_over(session, tell);
        release(session);
    }
    Py_DECREF(session);
}

/* Who was cancelled or shut down after the news was collected is not told any more. */
static PyObject *engine_collect(PyObject *object, PyObject *tell)
{
    Engine *self = (Engine *)object;
    struct report reports[REPORTS];
    size_t n;
    relay_silence(self->relay);
    do {
        n = relay_collect(self->relay, reports, REPORTS);
        for (size_t i = 0; i < n; i++)
            Py_INCREF(SESSION_OF(core, reports[i].session));
        for (size_t i = 0; i < n; i++)
            tell_news(self, &reports[i], tell);
    } while (n == REPORTS);
    Py_RETURN_NONE;
}

static PyMethodDef engine_methods[] = {
    {"fileno", engine_fileno, METH_NOARGS, "Readable when there is something to collect."},
    {"relay", (PyCFunction)(void (*)(void))engine_relay, METH_FASTCALL,
     "Relay two connected sockets, which are the engine's from now on."},
    {"dial", (PyCFunction)(void (*)(void))engine_dial, METH_FASTCALL,
     "Connect to a server, and relay once it has accepted."},
    {"copy", (PyCFunction)(void (*)(void))engine_copy, METH_FASTCALL,
     "Move exactly so many bytes one way, and give the sockets back."},
    {"collect", engine_collect, METH_O,
     "Call tell(kind, who, detail) for all that has become of sessions since the last time."},
    {"tick", engine_tick, METH_O,
     "End what is idle; the seconds until the next tick, 0.0 where nothing is open."},
    {"stop", engine_stop, METH_NOARGS, "End the threads, and all sessions without a word."},
    {NULL},
};

static PyType_Slot engine_slots[] = {
    {Py_tp_new, engine_new},
    {Py_tp_dealloc, engine_dealloc},
    {Py_tp_methods, engine_methods},
    {Py_tp_doc, "Relays sessions in threads of its own, without the GIL."},
    {0, NULL},
};

static PyType_Spec engine_spec = {
    .name = "vipproxy.native._engine.Engine",
    .basicsize = sizeof(Engine),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = engine_slots,
};

int engine_register(PyObject *module, module_state *state)
{
    state->session_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &session_spec, NULL);
    PyObject *engine_type = PyType_FromModuleAndSpec(module, &engine_spec, NULL);
    int failed = -1;
    if (state->session_type != NULL && engine_type != NULL &&
        PyModule_AddType(module, state->session_type) == 0 &&
        PyModule_AddType(module, (PyTypeObject *)engine_type) == 0 &&
        PyModule_AddIntConstant(module, "CONNECTED", CONNECTED) == 0 &&
        PyModule_AddIntConstant(module, "FAILED", FAILED) == 0 &&
        PyModule_AddIntConstant(module, "ENDED", ENDED) == 0 &&
        PyModule_AddIntConstant(module, "COPIED", COPIED) == 0)
        failed = 0;
    Py_XDECREF(engine_type);
    return failed;
}
