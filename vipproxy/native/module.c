/* The compiled module: `vipproxy.native._engine`. */
#define PY_SSIZE_T_CLEAN
#include "module.h"

static int execute(PyObject *module)
{
    module_state *state = PyModule_GetState(module);
    if (traffic_register(module, state) < 0 || engine_register(module, state) < 0 ||
        accept_register(module) < 0 || heads_register(module) < 0 ||
        stream_register(module, &state->streams) < 0)
        return -1;
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    module_state *state = PyModule_GetState(module);
    Py_VISIT(state->traffic_type);
    Py_VISIT(state->session_type);
    return stream_types_traverse(&state->streams, visit, arg);
}

static int clear(PyObject *module)
{
    module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->traffic_type);
    Py_CLEAR(state->session_type);
    stream_types_clear(&state->streams);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "vipproxy.native._engine",
    .m_doc = "The relay's threads, and what else is hot, in C.",
    .m_size = sizeof(module_state),
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__engine(void)
{
    return PyModuleDef_Init(&module_definition);
}
