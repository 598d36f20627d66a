/* See output.h. */
#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { MOST_CHUNKS = 64 /* in one system call */ };

static const int SEND_FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT;

static void rewind_to_few(struct output *output)
{
    if (output->chunks != output->few)
        PyMem_Free(output->chunks);
    output->chunks = output->few;
    output->capacity = OUTPUT_FEW;
    output->first = output->end = output->offset = 0;
}

static int double_capacity(struct output *output)
{
    Py_ssize_t capacity = 2 * output->capacity;
    PyObject **chunks = PyMem_New(PyObject *, (size_t)capacity);
    if (chunks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(chunks, output->chunks, (size_t)output->end * sizeof *chunks);
    if (output->chunks != output->few)
        PyMem_Free(output->chunks);
    output->chunks = chunks;
    output->capacity = capacity;
    return 0;
}

/* Room for one more: the room of those that are sent, if they are many. */
static int make_room(struct output *output)
{
    if (output->end < output->capacity)
        return 0;
    if (output->first < output->capacity / 2)
        return double_capacity(output);
    output->end -= output->first;
    memmove(output->chunks, output->chunks + output->first,
            (size_t)output->end * sizeof *output->chunks);
    output->first = 0;
    return 0;
}

int output_add(struct output *output, PyObject *bytes)
{
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    if (size == 0)
        return 0;
    if (output->chunks == NULL)
        rewind_to_few(output);
    if (make_room(output) < 0)
        return -1;
    /* An object of a subclass could run code when it is dropped. */
    if (PyBytes_CheckExact(bytes))
        Py_INCREF(bytes);
    else if ((bytes = PyBytes_FromStringAndSize(PyBytes_AS_STRING(bytes), size)) == NULL)
        return -1;
    output->chunks[output->end++] = bytes;
    output->waiting += size;
    return 0;
}

static struct iovec unsent_part(const struct output *output, Py_ssize_t index)
{
    PyObject *bytes = output->chunks[index];
    Py_ssize_t offset = index == output->first ? output->offset : 0;
    return (struct iovec){
        .iov_base = PyBytes_AS_STRING(bytes) + offset,
        .iov_len = (size_t)(PyBytes_GET_SIZE(bytes) - offset),
    };
}

static void drop_sent(struct output *output, size_t sent)
{
    output->waiting -= (Py_ssize_t)sent;
    while (output->first < output->end) {
        size_t rest = unsent_part(output, output->first).iov_len;
        if (sent < rest)
            break;
        sent -= rest;
        Py_DECREF(output->chunks[output->first++]);
        output->offset = 0;
    }
    output->offset += (Py_ssize_t)sent;
    if (output->first == output->end)
        rewind_to_few(output);
}

/* One system call. Returns what send(2) does, and tells how much could have been sent. */
static ssize_t send_some(const struct output *output, int fd, size_t *asked)
{
    struct iovec parts[MOST_CHUNKS];
    size_t count = 0;
    *asked = 0;
    for (Py_ssize_t i = output->first; i < output->end && count < MOST_CHUNKS; i++) {
        parts[count] = unsent_part(output, i);
        *asked += parts[count++].iov_len;
    }
    if (count == 1)
        return send(fd, parts[0].iov_base, parts[0].iov_len, SEND_FLAGS);
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    return sendmsg(fd, &message, SEND_FLAGS);
}

static bool is_for_later(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM;
}

enum output_result output_send(struct output *output, int fd)
{
    while (output->waiting > 0) {
        size_t asked;
        ssize_t sent = send_some(output, fd, &asked);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return is_for_later(errno) ? OUTPUT_WAITS : OUTPUT_FAILED;
        drop_sent(output, (size_t)sent);
        if ((size_t)sent < asked)
            return OUTPUT_WAITS;
    }
    return OUTPUT_SENT;
}

void output_clear(struct output *output)
{
    for (Py_ssize_t i = output->first; i < output->end; i++)
        Py_DECREF(output->chunks[i]);
    output->waiting = 0;
    rewind_to_few(output);
}
