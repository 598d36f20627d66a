/* Plain HTTP/1.1 heads, read in one pass: `plain_request` and `plain_response`.
 *
 * A head is plain if it is complete, and the few fields that the proxy must understand are there
 * once, in the form that everybody sends. Whatever else comes is nobody's fault: the answer is None,
 * and vipproxy/framing/http1.py, which knows all of HTTP/1, reads it again. So nothing is accepted
 * here that is not accepted there, with the same result; tests/unit/test_http_plain.py holds both
 * against each other.
 */
#define PY_SSIZE_T_CLEAN
#include "module.h"

#include <stdbool.h>
#include <string.h>

enum { HEAD_LIMIT = 15280, FIELD_COST = 4, FIELD_LIMIT = 100 }; /* as in http1.py */

/* Classes of characters; the same sets stand in http1.py as regular expressions. */
enum { TOKEN = 1, TARGET = 2, TEXT = 4, HOST = 8 };

static unsigned char classes[256];

static void add_class(unsigned char class, int first, int last)
{
    for (int c = first; c <= last; c++)
        classes[c] |= class;
}

static void fill_classes(void)
{
    for (const char *c = "!#$%&'*+-.^_`|~"; *c; c++)
        add_class(TOKEN, *c, *c);
    add_class(TOKEN, '0', '9');
    add_class(TOKEN, 'A', 'Z');
    add_class(TOKEN, 'a', 'z');
    add_class(TARGET, '!', '"');
    add_class(TARGET, '$', '~');
    add_class(TEXT, '\t', '\t');
    add_class(TEXT, ' ', '~');
    add_class(TEXT, 0x80, 0xff);
    add_class(HOST, '!', '"');
    add_class(HOST, '$', '+');
    add_class(HOST, '-', '.');
    add_class(HOST, '0', '>');
    add_class(HOST, 'A', '[');
    add_class(HOST, ']', '~');
}

struct piece {
    const char *start;
    Py_ssize_t size;
};

struct head {
    const char *start, *end;     /* `end` is behind the empty line */
    struct piece connection;     /* the line that is not passed on, with its CRLF */
    bool keep, has_host, chunked;
    long long length;            /* -1 where the head says none */
};

/* -- pieces -- */

static const char *skip(const char *at, const char *end, unsigned char class)
{
    while (at < end && classes[(unsigned char)*at] & class)
        at++;
    return at;
}

/* Behind the literal, or NULL where it does not stand here. */
static const char *expect(const char *at, const char *end, const char *literal)
{
    size_t size = strlen(literal);
    if (at == NULL || (size_t)(end - at) < size || memcmp(at, literal, size) != 0)
        return NULL;
    return at + size;
}

/* `word` is in small letters. */
static bool same(struct piece piece, const char *word)
{
    if (piece.size != (Py_ssize_t)strlen(word))
        return false;
    for (Py_ssize_t i = 0; i < piece.size; i++) {
        char c = piece.start[i];
        if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != word[i])
            return false;
    }
    return true;
}

/* -- fields -- */

/* A decimal number of up to 18 digits, without leading zeros, behind one blank; else -1. */
static long long length_of(struct piece value)
{
    long long length = 0;
    if (value.size < 2 || value.size > 19 || value.start[0] != ' ' ||
        (value.start[1] == '0' && value.size > 2))
        return -1;
    for (Py_ssize_t i = 1; i < value.size; i++) {
        if (value.start[i] < '0' || value.start[i] > '9')
            return -1;
        length = length * 10 + (value.start[i] - '0');
    }
    return length;
}

static bool take_length(struct head *head, struct piece value)
{
    if (head->length >= 0 || head->chunked)
        return false;
    head->length = length_of(value);
    return head->length >= 0;
}

static bool take_connection(struct head *head, struct piece line, struct piece value)
{
    bool keep = same(value, " keep-alive");
    if (head->connection.start != NULL || !(keep || same(value, " close")))
        return false;
    head->keep = keep;
    head->connection = line;
    return true;
}

static bool take_host(struct head *head, struct piece value)
{
    const char *end = value.start + value.size;
    if (head->has_host || value.size < 1 || value.start[0] != ' ')
        return false;
    head->has_host = true;
    return skip(value.start + 1, end, HOST) == end;
}

static bool take_coding(struct head *head, struct piece value)
{
    if (head->length >= 0 || head->chunked || value.size != 8)
        return false;
    head->chunked = memcmp(value.start, " chunked", 8) == 0; /* so spelt: it is passed on as it is */
    return head->chunked;
}

/* A login, or the demand for one: with NTLM and Negotiate it holds for the connection. */
static bool is_login(struct piece name)
{
    static const char *const prefixes[] = {"", "www-", "proxy-"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        Py_ssize_t size = (Py_ssize_t)strlen(prefixes[i]);
        struct piece start = {name.start, size}, rest = {name.start + size, name.size - size};
        if (rest.size > 0 && same(start, prefixes[i]) &&
            (same(rest, "authorization") || same(rest, "authenticate")))
            return true;
    }
    return false;
}

static bool mentions(struct piece value, const char *word)
{
    struct piece part = {value.start, (Py_ssize_t)strlen(word)};
    for (; part.start + part.size <= value.start + value.size; part.start++)
        if (same(part, word))
            return true;
    return false;
}

/* False where the field makes the head a case for http1.py. */
static bool take_field(struct head *head, bool request, struct piece line, struct piece name,
                       struct piece value)
{
    switch (name.size) { /* most fields of most heads are done with here */
    case 2:
        return !same(name, "te");
    case 4:
        return !same(name, "host") || (request && take_host(head, value));
    case 7:
        return !same(name, "upgrade");
    case 10:
        if (same(name, "connection"))
            return take_connection(head, line, value);
        return !same(name, "keep-alive");
    case 14:
        return !same(name, "content-length") || take_length(head, value);
    case 17:
        if (same(name, "transfer-encoding"))
            return !request && take_coding(head, value);
        break;
    case 16:
        if (same(name, "proxy-connection"))
            return false;
    }
    return name.size < 12 || name.size > 19 || !is_login(name) || !(mentions(value, "ntlm") || mentions(value, "negotiate"));
}

/* The fields and the empty line behind them, from the second line on. */
static bool read_fields(struct head *head, bool request, const char *at, const char *end)
{
    int fields = 0;
    while (at != NULL && at < end && *at != '\r') {
        if (++fields > FIELD_LIMIT)
            return false;
        struct piece line = {at, 0}, name = {at, 0}, value;
        const char *behind = skip(at, end, TOKEN);
        name.size = behind - at;
        if (name.size == 0 || behind == end || *behind != ':')
            return false;
        value.start = behind + 1;
        behind = skip(value.start, end, TEXT);
        value.size = behind - value.start;
        at = expect(behind, end, "\r\n");
        if (at == NULL)
            return false;
        line.size = at - line.start;
        if (!take_field(head, request, line, name, value))
            return false;
    }
    head->end = expect(at, end, "\r\n");
    return head->end != NULL && head->end - head->start + FIELD_COST * fields <= HEAD_LIMIT;
}

/* -- answers -- */

/* What is passed on: all lines but for the empty one, and the Connection field. */
static PyObject *lines_of(const struct head *head)
{
    Py_ssize_t size = head->end - 2 - head->start;
    const struct piece *cut = &head->connection;
    if (cut->start == NULL)
        return PyBytes_FromStringAndSize(head->start, size);
    PyObject *lines = PyBytes_FromStringAndSize(NULL, size - cut->size);
    if (lines == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(lines);
    Py_ssize_t before = cut->start - head->start;
    memcpy(to, head->start, (size_t)before);
    memcpy(to + before, cut->start + cut->size, (size_t)(size - before - cut->size));
    return lines;
}

/* (head, size); takes the head, which may be NULL. */
static PyObject *with_size(const struct head *head, PyObject *object)
{
    return object == NULL ? NULL : Py_BuildValue("(Nn)", object, head->end - head->start);
}

/* The beginning of what was received, as far as a head may reach. */
static void begin(PyObject *data, struct head *head, const char **limit)
{
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    head->start = PyBytes_AS_STRING(data);
    *limit = head->start + (size < HEAD_LIMIT ? size : HEAD_LIMIT);
}

static PyObject *plain_request(PyObject *module, PyObject *args)
{
    struct head head = {.keep = true, .length = -1};
    const char *limit;
    PyObject *data, *type;
    (void)module;
    if (!PyArg_ParseTuple(args, "SO:plain_request", &data, &type))
        return NULL;
    begin(data, &head, &limit);
    struct piece method = {head.start, skip(head.start, limit, TOKEN) - head.start};
    const char *at = expect(method.start + method.size, limit, " ");
    if (method.size == 0 || at == NULL || at == limit || *at != '/' || same(method, "connect"))
        Py_RETURN_NONE;
    struct piece target = {at, skip(at, limit, TARGET) - at};
    at = expect(target.start + target.size, limit, " HTTP/1.1\r\n");
    if (at == NULL || !read_fields(&head, true, at, limit) || !head.has_host)
        Py_RETURN_NONE;
    return with_size(&head, PyObject_CallFunction(type, "y#y#iNLOO", method.start, method.size,
                                                  target.start, target.size, 1, lines_of(&head),
                                                  head.length < 0 ? 0 : head.length, Py_False,
                                                  head.keep ? Py_True : Py_False));
}

static int status_of(const char *at, const char *limit)
{
    int status = 0;
    for (int i = 0; i < 3; i++) {
        if (at + i >= limit || at[i] < '0' || at[i] > '9')
            return 0;
        status = status * 10 + (at[i] - '0');
    }
    return status;
}

static PyObject *plain_response(PyObject *module, PyObject *args)
{
    struct head head = {.keep = true, .length = -1};
    const char *limit;
    PyObject *data, *type;
    (void)module;
    if (!PyArg_ParseTuple(args, "SO:plain_response", &data, &type))
        return NULL;
    begin(data, &head, &limit);
    const char *at = expect(head.start, limit, "HTTP/1.1 ");
    int status = at == NULL ? 0 : status_of(at, limit);
    if (status < 200)
        Py_RETURN_NONE;
    at = expect(at + 3, limit, " ");
    if (at == NULL)
        Py_RETURN_NONE;
    at = expect(skip(at, limit, TEXT), limit, "\r\n");
    if (at == NULL || !read_fields(&head, false, at, limit))
        Py_RETURN_NONE;
    PyObject *length = head.length < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(head.length);
    return with_size(&head, PyObject_CallFunction(type, "iiNNOO", status, 1, lines_of(&head),
                                                  length, head.chunked ? Py_True : Py_False,
                                                  head.keep ? Py_True : Py_False));
}

static PyMethodDef methods[] = {
    {"plain_request", plain_request, METH_VARARGS,
     "plain_request(data, type)\n\nThe request head with which bytes begin, and its size, if it is "
     "complete and plain; else None.\nThe type is called with (method, target, 1, lines, length, "
     "chunked, keep_alive)."},
    {"plain_response", plain_response, METH_VARARGS,
     "plain_response(data, type)\n\nThe same for a final response; the type is called with\n"
     "(status, 1, lines, length or None, chunked, keep_alive)."},
    {NULL},
};

int heads_register(PyObject *module)
{
    fill_classes();
    return PyModule_AddFunctions(module, methods);
}
