/* `accept_batch`: the clients that wait at a listening socket, in one call. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include "module.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

/* (descriptor, host, port) */
static PyObject *client(int fd, const union address *address)
{
    char host[INET6_ADDRSTRLEN];
    bool six = address->any.sa_family == AF_INET6;
    const void *raw = six ? (const void *)&address->six.sin6_addr : &address->four.sin_addr;
    if (inet_ntop(address->any.sa_family, raw, host, sizeof host) == NULL)
        return PyErr_SetFromErrno(PyExc_OSError);
    in_port_t port = six ? address->six.sin6_port : address->four.sin_port;
    return Py_BuildValue("(isi)", fd, host, ntohs(port));
}

/* -1 with an exception set; the descriptor is closed then. */
static int add(PyObject *clients, int fd, const union address *address)
{
    PyObject *item = client(fd, address);
    int failed = item == NULL ? -1 : PyList_Append(clients, item);
    Py_XDECREF(item);
    if (failed)
        (void)close(fd);
    return failed;
}

/* Clients that have gone again while they waited are no errors (accept(2)). */
static bool passing(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO;
}

static PyObject *accept_batch(PyObject *module, PyObject *args)
{
    int listener;
    Py_ssize_t most;
    (void)module;
    if (!PyArg_ParseTuple(args, "in", &listener, &most))
        return NULL;
    PyObject *clients = PyList_New(0);
    while (clients != NULL && PyList_GET_SIZE(clients) < most) {
        union address address;
        socklen_t size = sizeof address;
        int fd = accept4(listener, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 ? add(clients, fd, &address) == 0 : passing(errno))
            continue;
        if (fd < 0 && (errno == EAGAIN || PyList_GET_SIZE(clients) > 0))
            break; /* an error comes again at the next call */
        if (fd < 0)
            PyErr_SetFromErrno(PyExc_OSError);
        if (PyList_GET_SIZE(clients) == 0)
            Py_CLEAR(clients);
        else
            PyErr_Clear();
        break;
    }
    return clients;
}

static PyMethodDef methods[] = {
    {"accept_batch", accept_batch, METH_VARARGS,
     "At most so many clients of a listening descriptor, as (descriptor, host, port)."},
    {NULL},
};

int accept_register(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
