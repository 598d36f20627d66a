/*
 * Faults made on purpose, one a function: what `sanitize.py` must find before it may say that it
 * has found nothing elsewhere. `clean` does the same work without a fault.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

enum { ROUNDS = 1000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int shared;

static void *count_without_lock(void *unused)
{
    for (int i = 0; i < ROUNDS; i++)
        shared++;
    return unused;
}

static void *count_with_lock(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        shared++;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static PyObject *in_two_threads(void *(*work)(void *))
{
    pthread_t threads[2];
    int started = 0;

    while (started < 2 && pthread_create(&threads[started], NULL, work, NULL) == 0)
        started++;
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(started);
}

static PyObject *race(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return in_two_threads(count_without_lock);
}

static PyObject *clean(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return in_two_threads(count_with_lock);
}

static PyObject *overrun(PyObject *module, PyObject *size)
{
    long count = PyLong_AsLong(size);
    volatile char *bytes = malloc((size_t)count);
    long last;

    (void)module;
    if (bytes == NULL)
        return PyErr_NoMemory();
    bytes[count] = 1; /* one too far */
    last = bytes[count];
    free((void *)bytes);
    return PyLong_FromLong(last);
}

static PyObject *overflow(PyObject *module, PyObject *number)
{
    int most = INT_MAX;

    (void)module;
    return PyLong_FromLong(most + (int)PyLong_AsLong(number));
}

static PyMethodDef functions[] = {
    {"race", race, METH_NOARGS, "Two threads count without a lock."},
    {"clean", clean, METH_NOARGS, "Two threads count with a lock."},
    {"overrun", overrun, METH_O, "Write behind so many bytes of the heap."},
    {"overflow", overflow, METH_O, "Add to the largest int."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_faults", .m_size = -1, .m_methods = functions,
};

PyMODINIT_FUNC PyInit__faults(void)
{
    return PyModule_Create(&definition);
}
