/* Python's words for a connect - host, port, socket options - as a plan. See connect.h. */
#define PY_SSIZE_T_CLEAN
#include "module.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>

static socklen_t parse_address(PyObject *host, PyObject *port, struct sockaddr_storage *address)
{
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    const char *text = PyUnicode_AsUTF8(host);
    long number = PyLong_AsLong(port);
    if (PyErr_Occurred())
        return 0;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)number);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)number);
        return sizeof *six;
    }
    PyErr_Format(PyExc_ValueError, "'%s' is no address", text);
    return 0;
}

struct plan *plan_of(PyObject *host, PyObject *port, PyObject *options)
{
    Py_ssize_t count = PyTuple_Size(options);
    if (count < 0)
        return NULL;
    struct plan *plan = calloc(1, sizeof *plan + (size_t)count * sizeof plan->options[0]);
    if (plan == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    plan->size = parse_address(host, port, &plan->address);
    for (bool fine = plan->size > 0; fine && plan->count < (size_t)count; plan->count++) {
        struct option *each = &plan->options[plan->count];
        PyObject *item = PyTuple_GET_ITEM(options, (Py_ssize_t)plan->count);
        fine = PyArg_ParseTuple(item, "iii", &each->level, &each->name, &each->value);
    }
    if (!PyErr_Occurred())
        return plan;
    free(plan);
    return NULL;
}
