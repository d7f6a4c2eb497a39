/* Which of many patterns wait at a literal that a text has, in one pass over its bytes.
 *
 * Of each literal one group of four neighbouring bytes is known, the one that is rarest among all
 * literals. At each byte of a text the group that begins there is looked up in a filter, which
 * rules out nearly all; then the literals of which it is the known group are compared. A literal
 * of fewer bytes is known by all of them, in a table for groups of that size.
 *
 * Bytes are those of UTF-8, in which the characters of a literal begin only where characters of
 * the text do. A lone surrogate is encoded like other characters.
 *
 * Memory: 32 bytes for each pattern, at most 16 for its place in a table, and its literal; while
 * a finder is made, the literals of all places.
 * Cost of a text: 1 to 2 ns a byte for each size of groups that there is. Of a text that repeats a
 * known group, each repetition costs a comparison with those of its literals that were not found
 * yet; how many share one group is up to the patterns alone.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "group_tables.h"
#include "places.h"

#define BYTES_LOOKED_AT 256 /* of a literal, for its rarest group */

typedef struct {
    PyObject_HEAD
    Table tables[LARGEST_GROUP]; /* by size, less one */
    unsigned char *bytes;        /* of all literals */
    uint64_t texts;              /* how many were looked at */
} LiteralFinder;

/* ---- Choosing the group by which a pattern is known ---- */

/* How often groups of four bytes occur in the literals, or more where two share a counter. */
typedef struct {
    uint32_t *counters;
    int shift;
} Frequencies;

static size_t
groups_looked_at(const Place *place)
{
    size_t length = place->length < BYTES_LOOKED_AT ? place->length : BYTES_LOOKED_AT;
    return length < LARGEST_GROUP ? 0 : length - LARGEST_GROUP + 1;
}

static int
count_groups(Frequencies *frequencies, const Places *places)
{
    int bits = 10;
    while (bits < 20 && (size_t)1 << bits < 4 * places->length)
        bits++;
    frequencies->shift = 32 - bits;
    frequencies->counters = PyMem_Calloc((size_t)1 << bits, sizeof(uint32_t));
    if (frequencies->counters == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < places->count; i++) {
        const Place *place = &places->places[i];
        for (size_t at = 0; at < groups_looked_at(place); at++) {
            uint32_t group = group_of(places->bytes + place->start + at);
            frequencies->counters[hash_of(group) >> frequencies->shift]++;
        }
    }
    return 0;
}

/* Returns what to expect of the place, the less the better, and where its rarest group begins. */
static uint64_t
rarest_group(const Frequencies *frequencies, const Places *places, const Place *place,
             uint32_t *rarest)
{
    uint32_t fewest = UINT32_MAX;
    *rarest = 0;
    for (size_t at = 0; at < groups_looked_at(place); at++) {
        uint32_t group = group_of(places->bytes + place->start + at);
        uint32_t count = frequencies->counters[hash_of(group) >> frequencies->shift];
        if (count < fewest) {
            fewest = count;
            *rarest = (uint32_t)at;
        }
    }
    return (uint64_t)fewest << 32 | (UINT32_MAX - place->length);
}

/* Writes one Waiting for each pattern. */
static void
choose(Waiting *chosen, const Frequencies *frequencies, const Places *places)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < places->count; i++) {
        const Place *place = &places->places[i];
        uint32_t before;
        uint64_t expected = rarest_group(frequencies, places, place, &before);
        const unsigned char *group = places->bytes + place->start + before;
        if (i == 0 || place->pattern != place[-1].pattern)
            least = UINT64_MAX;
        if (expected >= least)
            continue;
        least = expected;
        chosen[place->pattern] = (Waiting){
            .group = small_group_of(
                group, place->length < LARGEST_GROUP ? place->length : LARGEST_GROUP),
            .before = before,
            .start = place->start,
            .length = place->length,
            .number = place->pattern,
            .spot = place->spot,
        };
    }
}

/* ---- Filling the tables ---- */

/* The bytes of the literals that were chosen, and no others. */
static int
take_bytes(LiteralFinder *self, Waiting *chosen, size_t patterns, const Places *places)
{
    size_t length = 0;
    for (size_t i = 0; i < patterns; i++)
        length += chosen[i].length;
    self->bytes = PyMem_Malloc(length ? length : 1);
    if (self->bytes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    length = 0;
    for (size_t i = 0; i < patterns; i++) {
        memcpy(self->bytes + length, places->bytes + chosen[i].start, chosen[i].length);
        chosen[i].start = (uint32_t)length;
        length += chosen[i].length;
    }
    return 0;
}

static int
fill(LiteralFinder *self, PyObject *patterns)
{
    Places places = {0};
    Frequencies frequencies = {0};
    Waiting *chosen = NULL;
    size_t count = (size_t)PyTuple_GET_SIZE(patterns);
    int result = -1;
    if (read_places(&places, patterns) < 0 || count_groups(&frequencies, &places) < 0)
        goto done;
    chosen = PyMem_Calloc(count ? count : 1, sizeof(Waiting));
    if (chosen == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    choose(chosen, &frequencies, &places);
    result = take_bytes(self, chosen, count, &places);
    for (size_t size = 1; result == 0 && size <= LARGEST_GROUP; size++)
        result = fill_table(&self->tables[size - 1], chosen, count, size);
done:
    PyMem_Free(chosen);
    PyMem_Free(frequencies.counters);
    PyMem_Free(places.places);
    PyMem_Free(places.bytes);
    return result;
}

/* ---- Finding ---- */

typedef struct {
    const unsigned char *bytes;
    size_t length;
    size_t first; /* the bytes of its first character */
} Text;

static size_t
first_character(const unsigned char *bytes, size_t length)
{
    if (length == 0 || bytes[0] < 0x80)
        return 1;
    return bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;
}

/* Whether a literal is where its group is at byte `at` of a text, and that is its spot. */
static inline int
stands(const LiteralFinder *self, const Waiting *waiting, const Text *text, size_t at)
{
    size_t start = at - waiting->before;
    if (at < waiting->before || waiting->length > text->length - start)
        return 0;
    if (waiting->spot == BEGINNING ? start != 0
        : waiting->spot == BEGINNING_BUT_FIRST ? start != text->first
        : waiting->spot == END ? start + waiting->length != text->length
                               : 0)
        return 0;
    return memcmp(self->bytes + waiting->start, text->bytes + start, waiting->length) == 0;
}

static int
append(PyObject *found, uint32_t number)
{
    PyObject *item = PyLong_FromUnsignedLong(number);
    int result = item == NULL ? -1 : PyList_Append(found, item);
    Py_XDECREF(item);
    return result;
}

static int
look_up(LiteralFinder *self, const Table *table, uint32_t group, const Text *text, size_t at,
        PyObject *found)
{
    uint32_t bucket = hash_of(group) >> table->shift;
    for (uint32_t i = table->starts[bucket]; i < table->starts[bucket + 1]; i++) {
        Waiting *waiting = &table->waiting[i];
        if (waiting->group != group || waiting->found_in == self->texts
            || !stands(self, waiting, text, at))
            continue;
        waiting->found_in = self->texts;
        if (append(found, waiting->number) < 0)
            return -1;
    }
    return 0;
}

static int
find_groups(LiteralFinder *self, size_t size, const Text *text, PyObject *found)
{
    const Table *table = &self->tables[size - 1];
    uint32_t mask = UINT32_MAX >> (8 * (LARGEST_GROUP - size)), group;
    size_t at = 0;
    for (; at + LARGEST_GROUP <= text->length; at++) {
        group = group_of(text->bytes + at) & mask;
        if (may_have(table, group) && look_up(self, table, group, text, at, found) < 0)
            return -1;
    }
    for (; at + size <= text->length; at++) {
        group = small_group_of(text->bytes + at, size);
        if (may_have(table, group) && look_up(self, table, group, text, at, found) < 0)
            return -1;
    }
    return 0;
}

/* From the first table on nothing runs that could look at another text in between: integers are
 * made, and a list grows, without a collection of garbage. */
static PyObject *
finder_find(LiteralFinder *self, PyObject *given)
{
    PyObject *owner, *found;
    Py_ssize_t length;
    Text text;
    if (!PyUnicode_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "literals are found in a text");
        return NULL;
    }
    text.bytes = (const unsigned char *)bytes_of(given, &length, &owner);
    if (text.bytes == NULL)
        return NULL;
    text.length = (size_t)length;
    text.first = first_character(text.bytes, text.length);
    found = PyList_New(0);
    self->texts++;
    for (size_t size = LARGEST_GROUP; found != NULL && size > 0; size--)
        if (self->tables[size - 1].count > 0 && find_groups(self, size, &text, found) < 0)
            Py_CLEAR(found);
    Py_DECREF(owner);
    return found;
}

/* ---- The type ---- */

static void
finder_dealloc(LiteralFinder *self)
{
    for (size_t i = 0; i < LARGEST_GROUP; i++)
        free_table(&self->tables[i]);
    PyMem_Free(self->bytes);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *
finder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *given, *patterns;
    LiteralFinder *self;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "LiteralFinder takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O:LiteralFinder", &given))
        return NULL;
    patterns = PySequence_Tuple(given);
    if (patterns == NULL)
        return NULL;
    self = (LiteralFinder *)type->tp_alloc(type, 0);
    if (self != NULL && fill(self, patterns) < 0)
        Py_CLEAR(self);
    Py_DECREF(patterns);
    return (PyObject *)self;
}

static PyMethodDef finder_methods[] = {
    {"find", (PyCFunction)finder_find, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject LiteralFinderType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "kestrel_framework._builtin.pattern_engine._native.LiteralFinder",
    .tp_basicsize = sizeof(LiteralFinder),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = finder_new,
    .tp_dealloc = (destructor)finder_dealloc,
    .tp_methods = finder_methods,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "kestrel_framework._builtin.pattern_engine._native",
    .m_size = -1,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    PyObject *native;
    if (PyType_Ready(&LiteralFinderType) < 0)
        return NULL;
    native = PyModule_Create(&module);
    if (native == NULL)
        return NULL;
    if (PyModule_AddObjectRef(native, "LiteralFinder", (PyObject *)&LiteralFinderType) < 0)
        Py_CLEAR(native);
    return native;
}
