/* Bytes that wait to be sent: references to the bytes objects that were written, never copies. */
#ifndef VIPPROXY_OUTPUT_H
#define VIPPROXY_OUTPUT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

enum { OUTPUT_FEW = 4 };

/* Zeroed, it is empty. It must not be moved while it is not. */
struct output {
    PyObject **chunks;           /* `few`, until there are more; NULL at first */
    PyObject *few[OUTPUT_FEW];
    Py_ssize_t first;            /* of those not sent */
    Py_ssize_t end;              /* behind the last */
    Py_ssize_t capacity;         /* of `chunks` */
    Py_ssize_t offset;           /* in the first: what was sent of it */
    Py_ssize_t waiting;          /* bytes in all */
};

enum output_result {
    OUTPUT_SENT,   /* all of it */
    OUTPUT_WAITS,  /* the kernel takes no more for now */
    OUTPUT_FAILED, /* the connection is lost */
};

/* Adds a bytes object, which may be empty. Returns -1 with an exception set. */
int output_add(struct output *output, PyObject *bytes);

/* Gives to the socket what it takes, without blocking. */
enum output_result output_send(struct output *output, int fd);

void output_clear(struct output *output);

#endif
