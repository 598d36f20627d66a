/* `Traffic`: the counters of a session, shared between Python and the relay's threads. */
#define PY_SSIZE_T_CLEAN
#include "module.h"

#include <stdbool.h>

typedef struct {
    PyObject_HEAD
    struct traffic core;
} Traffic;

struct traffic *traffic_of(const module_state *state, PyObject *object)
{
    if (PyObject_TypeCheck(object, state->traffic_type))
        return &((Traffic *)object)->core;
    PyErr_Format(PyExc_TypeError, "the relay counts into a Traffic, not a %s",
                 Py_TYPE(object)->tp_name);
    return NULL;
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static _Atomic uint64_t *counter_of(PyObject *object, void *out)
{
    struct traffic *core = &((Traffic *)object)->core;
    return out != NULL ? &core->out : &core->in;
}

static PyObject *get(PyObject *object, void *out)
{
    return PyLong_FromUnsignedLongLong(load(counter_of(object, out)));
}

static int set(PyObject *object, PyObject *value, void *out)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a counter cannot be deleted");
        return -1;
    }
    unsigned long long number = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred())
        return -1;
    atomic_store_explicit(counter_of(object, out), number, memory_order_relaxed);
    return 0;
}

static int init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bytes_in", "bytes_out", NULL};
    unsigned long long in = 0, out = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|KK", names, &in, &out))
        return -1;
    atomic_store_explicit(counter_of(object, NULL), in, memory_order_relaxed);
    atomic_store_explicit(counter_of(object, "out"), out, memory_order_relaxed);
    return 0;
}

static void dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *compare(PyObject *left, PyObject *right, int operator)
{
    if (Py_TYPE(left) != Py_TYPE(right) || (operator!= Py_EQ && operator!= Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    const struct traffic *a = &((Traffic *)left)->core, *b = &((Traffic *)right)->core;
    bool equal = load(&a->in) == load(&b->in) && load(&a->out) == load(&b->out);
    return PyBool_FromLong(equal == (operator== Py_EQ));
}

static PyObject *repr(PyObject *object)
{
    const struct traffic *core = &((Traffic *)object)->core;
    return PyUnicode_FromFormat("Traffic(bytes_in=%llu, bytes_out=%llu)",
                                (unsigned long long)load(&core->in),
                                (unsigned long long)load(&core->out));
}

static PyGetSetDef attributes[] = {
    {"bytes_in", get, set, "From the client to the server.", NULL},
    {"bytes_out", get, set, "From the server to the client.", "out"},
    {NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_richcompare, compare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_repr, repr},
    {Py_tp_getset, attributes},
    {Py_tp_doc, "Bytes of one session, written by whoever moves them and readable at any time."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "vipproxy.native._engine.Traffic",
    .basicsize = sizeof(Traffic),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

int traffic_register(PyObject *module, module_state *state)
{
    state->traffic_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (state->traffic_type == NULL)
        return -1;
    return PyModule_AddType(module, state->traffic_type);
}
