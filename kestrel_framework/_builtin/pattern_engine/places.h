/* The places where patterns can wait, read from what Python gives. */

#ifndef KESTREL_PLACES_H
#define KESTREL_PLACES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define MOST_PATTERNS (1 << 22)
#define MOST_BYTES (1 << 28) /* of all literals together */

/* What of a text is compared with a literal: the values of `wildcard_places.Spot`. */
enum { ANYWHERE, BEGINNING, BEGINNING_BUT_FIRST, END, SPOTS };

/* A literal at which a pattern can wait. */
typedef struct {
    uint32_t pattern;
    uint32_t spot;
    uint32_t start; /* in the bytes of all */
    uint32_t length;
} Place;

typedef struct {
    Place *places;
    size_t count, room;
    unsigned char *bytes;
    size_t length, bytes_room;
} Places;

/* The items, elsewhere if there was no room for as many as are wanted. NULL with an exception. */
static void *
with_room(void *items, size_t *room, size_t wanted, size_t size)
{
    void *larger;
    if (wanted <= *room)
        return items;
    wanted += wanted / 2 + 64;
    larger = PyMem_Realloc(items, wanted * size);
    if (larger == NULL)
        PyErr_NoMemory();
    else
        *room = wanted;
    return larger;
}

static int
add_bytes(Places *places, uint32_t pattern, uint32_t spot, const char *bytes, Py_ssize_t length)
{
    void *larger;
    if (length == 0) {
        PyErr_SetString(PyExc_ValueError, "a literal is empty");
        return -1;
    }
    if ((size_t)length > MOST_BYTES - places->length) {
        PyErr_SetString(PyExc_ValueError, "the literals are too long");
        return -1;
    }
    larger = with_room(places->places, &places->room, places->count + 1, sizeof(Place));
    if (larger == NULL)
        return -1;
    places->places = larger;
    larger = with_room(places->bytes, &places->bytes_room, places->length + (size_t)length, 1);
    if (larger == NULL)
        return -1;
    places->bytes = larger;
    memcpy(places->bytes + places->length, bytes, (size_t)length);
    places->places[places->count++] =
        (Place){pattern, spot, (uint32_t)places->length, (uint32_t)length};
    places->length += (size_t)length;
    return 0;
}

/* The bytes of a text, and in `owner` what they belong to. NULL with an exception. */
static const char *
bytes_of(PyObject *text, Py_ssize_t *length, PyObject **owner)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        *owner = Py_NewRef(text);
        *length = PyUnicode_GET_LENGTH(text);
        return (const char *)PyUnicode_1BYTE_DATA(text);
    }
    *owner = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    if (*owner == NULL)
        return NULL;
    *length = PyBytes_GET_SIZE(*owner);
    return PyBytes_AS_STRING(*owner);
}

static int
add_place(Places *places, uint32_t pattern, PyObject *place)
{
    const char *bytes;
    Py_ssize_t length;
    PyObject *owner;
    long spot;
    int result;
    if (!PyTuple_Check(place) || PyTuple_GET_SIZE(place) < 2
        || !PyLong_Check(PyTuple_GET_ITEM(place, 0))
        || !PyUnicode_Check(PyTuple_GET_ITEM(place, 1))) {
        PyErr_SetString(PyExc_TypeError, "a place is a tuple that begins with a spot and a text");
        return -1;
    }
    spot = PyLong_AsLong(PyTuple_GET_ITEM(place, 0));
    if (spot == -1 && PyErr_Occurred())
        return -1;
    if (spot < 0 || spot >= SPOTS) {
        PyErr_SetString(PyExc_ValueError, "literals are not found at such a spot");
        return -1;
    }
    bytes = bytes_of(PyTuple_GET_ITEM(place, 1), &length, &owner);
    if (bytes == NULL)
        return -1;
    result = add_bytes(places, pattern, (uint32_t)spot, bytes, length);
    Py_DECREF(owner);
    return result;
}

/* `patterns` is a tuple. */
static int
read_places(Places *places, PyObject *patterns)
{
    Py_ssize_t count = PyTuple_GET_SIZE(patterns);
    if (count > MOST_PATTERNS) {
        PyErr_SetString(PyExc_ValueError, "too many patterns");
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *alternatives = PySequence_Tuple(PyTuple_GET_ITEM(patterns, i));
        int result = 0;
        if (alternatives == NULL)
            return -1;
        if (PyTuple_GET_SIZE(alternatives) == 0) {
            PyErr_SetString(PyExc_ValueError, "a pattern waits nowhere");
            result = -1;
        }
        for (Py_ssize_t k = 0; result == 0 && k < PyTuple_GET_SIZE(alternatives); k++)
            result = add_place(places, (uint32_t)i, PyTuple_GET_ITEM(alternatives, k));
        Py_DECREF(alternatives);
        if (result < 0)
            return -1;
    }
    return 0;
}

#endif
