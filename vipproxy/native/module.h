/* What the parts of the compiled module share. */
#ifndef VIPPROXY_MODULE_H
#define VIPPROXY_MODULE_H

#include <Python.h>

#include "connect.h"
#include "stream.h"
#include "traffic.h"

typedef struct {
    PyTypeObject *traffic_type;
    PyTypeObject *session_type;
    struct stream_types streams;
} module_state;

extern struct PyModuleDef module_definition;

/* Each adds its names to the module; -1 with an exception set. */
int traffic_register(PyObject *module, module_state *state);
int engine_register(PyObject *module, module_state *state);
int accept_register(PyObject *module);
int heads_register(PyObject *module);

/* The counters inside a Traffic; NULL with an exception set for any other object. */
struct traffic *traffic_of(const module_state *state, PyObject *object);

/* An address of numbers, and a tuple of (level, name, value); free it. NULL with an exception set. */
struct plan *plan_of(PyObject *host, PyObject *port, PyObject *options);

#endif
