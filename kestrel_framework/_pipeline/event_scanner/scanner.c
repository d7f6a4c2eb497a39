/* From the bytes of an event to what its fields decide, without making objects of them.
 *
 * A scanner notes where in the bytes the values of fields are, and walks the decision graph: the
 * bytes of a value lead to its state, a step and the states of its fields to the next step, each
 * by a cache. Only what is not in the cache is asked of Python. What is odd about an event is
 * left to Python as a whole: `scan` returns None for it.
 *
 * Nothing here knows what a state or a verdict is.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "caches.h"
#include "json_reader.h"

#define MOST_FIELDS 65536
#define MOST_LEVELS (1 << 21)
#define LAST_YEAR 2261 /* nanoseconds since 1970 fit in 64 bits until the year after */
#define NANOSECONDS INT64_C(1000000000)

/* ---- Step: a node of the graph as a scanner knows it ---- */

typedef struct {
    PyObject_HEAD
    PyObject *node;
    PyObject *verdict; /* NULL where fields are looked at */
    Py_ssize_t count;
    uint32_t fields[MOST_FIELDS_OF_A_STEP];
} Step;

static PyTypeObject StepType;

static int
step_look_at(Step *self, PyObject *fields)
{
    Py_ssize_t count;
    uint32_t numbers[MOST_FIELDS_OF_A_STEP];
    if (!PyTuple_Check(fields)) {
        PyErr_SetString(PyExc_TypeError, "the fields of a step are a tuple");
        return -1;
    }
    count = PyTuple_GET_SIZE(fields);
    if (count > MOST_FIELDS_OF_A_STEP) {
        PyErr_SetString(PyExc_ValueError, "a step looks at too many fields");
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        unsigned long number = PyLong_AsUnsignedLong(PyTuple_GET_ITEM(fields, i));
        if (number == (unsigned long)-1 && PyErr_Occurred())
            return -1;
        if (number >= MOST_FIELDS) {
            PyErr_SetString(PyExc_ValueError, "there is no such field");
            return -1;
        }
        numbers[i] = (uint32_t)number;
    }
    memcpy(self->fields, numbers, sizeof(numbers));
    self->count = count;
    return 0;
}

static PyObject *
step_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *node, *fields, *verdict = NULL;
    Step *self;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Step takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OO|O:Step", &node, &fields, &verdict))
        return NULL;
    self = (Step *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->node = Py_NewRef(node);
    self->verdict = Py_XNewRef(verdict);
    if (step_look_at(self, fields) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (self->count == 0 && verdict == NULL) {
        PyErr_SetString(PyExc_ValueError, "a step looks at fields or has a verdict");
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
step_traverse(Step *self, visitproc visit, void *arg)
{
    Py_VISIT(self->node);
    Py_VISIT(self->verdict);
    return 0;
}

static int
step_clear(Step *self)
{
    self->count = 0;
    Py_CLEAR(self->node);
    Py_CLEAR(self->verdict);
    return 0;
}

static void
step_dealloc(Step *self)
{
    PyObject_GC_UnTrack(self);
    step_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *
step_fields(Step *self, void *closure)
{
    PyObject *fields = PyTuple_New(self->count);
    (void)closure;
    for (Py_ssize_t i = 0; fields != NULL && i < self->count; i++) {
        PyObject *number = PyLong_FromUnsignedLong(self->fields[i]);
        if (number == NULL)
            Py_CLEAR(fields);
        else
            PyTuple_SET_ITEM(fields, i, number);
    }
    return fields;
}

static int
step_set_fields(Step *self, PyObject *fields, void *closure)
{
    (void)closure;
    if (fields == NULL) {
        PyErr_SetString(PyExc_TypeError, "the fields of a step cannot be deleted");
        return -1;
    }
    return step_look_at(self, fields);
}

static PyGetSetDef step_getset[] = {
    {"fields", (getter)step_fields, (setter)step_set_fields, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef step_members[] = {
    {"node", T_OBJECT_EX, offsetof(Step, node), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject StepType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "kestrel_framework._pipeline.event_scanner._native.Step",
    .tp_basicsize = sizeof(Step),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = step_new,
    .tp_dealloc = (destructor)step_dealloc,
    .tp_traverse = (traverseproc)step_traverse,
    .tp_clear = (inquiry)step_clear,
    .tp_getset = step_getset,
    .tp_members = step_members,
};

/* ---- Levels: which keys an object may have ---- */

enum { PASSED_OVER, FIELD, OBJECT };

typedef struct {
    unsigned char *name; /* NULL where the entry is empty */
    uint32_t length;
    uint32_t number; /* of the field, or of the level of the object */
    int kind;
} Key;

typedef struct {
    Key *keys;
    uint32_t mask; /* a power of two, less one */
    int strict;    /* whether an unknown key makes the event odd */
    uint64_t seen; /* the event that had this object last */
} Level;

typedef struct {
    Level *levels;
    Py_ssize_t count;
} Levels;

static uint32_t
key_hash(const unsigned char *name, size_t length)
{
    uint64_t first = 0, last = 0;
    if (length >= 8) {
        memcpy(&first, name, 8);
        memcpy(&last, name + length - 8, 8);
    }
    else if (length >= 4) {
        memcpy(&first, name, 4);
        memcpy(&last, name + length - 4, 4);
    }
    else if (length > 0)
        first = (uint64_t)name[0] << 16 | (uint64_t)name[length / 2] << 8 | name[length - 1];
    first = (first ^ length) * UINT64_C(0x9E3779B97F4A7C15);
    first = (first ^ (first >> 32) ^ last) * UINT64_C(0xC2B2AE3D27D4EB4F);
    return (uint32_t)(first >> 32);
}

static inline Key *
find_key(const Level *level, const unsigned char *name, size_t length)
{
    uint32_t place = key_hash(name, length);
    for (;; place++) {
        Key *key = &level->keys[place & level->mask];
        if (key->name == NULL)
            return NULL;
        if (key->length == length && memcmp(key->name, name, length) == 0)
            return key;
    }
}

static void
free_levels(Levels *levels)
{
    for (Py_ssize_t i = 0; i < levels->count; i++) {
        Level *level = &levels->levels[i];
        if (level->keys == NULL)
            continue;
        for (uint32_t k = 0; k <= level->mask; k++)
            PyMem_Free(level->keys[k].name);
        PyMem_Free(level->keys);
    }
    PyMem_Free(levels->levels);
    levels->levels = NULL;
    levels->count = 0;
}

static int
fill_level(Level *level, PyObject *given, Py_ssize_t levels, Py_ssize_t fields)
{
    PyObject *keys;
    Py_ssize_t count;
    uint32_t size = 8;
    if (!PyArg_ParseTuple(given, "pO!", &level->strict, &PyTuple_Type, &keys))
        return -1;
    count = PyTuple_GET_SIZE(keys);
    if (count > MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "too many keys");
        return -1;
    }
    while (size < 4 * (uint32_t)count)
        size *= 2;
    level->keys = PyMem_Calloc(size, sizeof(Key));
    if (level->keys == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    level->mask = size - 1;
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *name;
        Py_ssize_t length, number;
        int kind;
        uint32_t place;
        PyObject *key = PyTuple_GET_ITEM(keys, i);
        if (!PyTuple_Check(key)) {
            PyErr_SetString(PyExc_TypeError, "a key is a tuple");
            return -1;
        }
        if (!PyArg_ParseTuple(key, "y#in", &name, &length, &kind, &number))
            return -1;
        if (kind < PASSED_OVER || kind > OBJECT || number < 0 || length > UINT32_MAX
            || (kind == FIELD && number >= fields) || (kind == OBJECT && number >= levels)) {
            PyErr_SetString(PyExc_ValueError, "no such kind of key, field, or level");
            return -1;
        }
        if (find_key(level, (const unsigned char *)name, (size_t)length) != NULL) {
            PyErr_SetString(PyExc_ValueError, "a key comes twice");
            return -1;
        }
        place = key_hash((const unsigned char *)name, (size_t)length) & level->mask;
        while (level->keys[place].name != NULL)
            place = (place + 1) & level->mask;
        unsigned char *copy = PyMem_Malloc(length ? (size_t)length : 1);
        if (copy == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(copy, name, (size_t)length);
        level->keys[place] = (Key){copy, (uint32_t)length, (uint32_t)number, kind};
    }
    return 0;
}

static int
fill_levels(Levels *levels, PyObject *given, Py_ssize_t fields)
{
    Py_ssize_t count;
    if (!PyTuple_Check(given) || (count = PyTuple_GET_SIZE(given)) == 0 || count > MOST_LEVELS) {
        PyErr_SetString(PyExc_ValueError, "the levels are a tuple of at least one");
        return -1;
    }
    levels->levels = PyMem_Calloc((size_t)count, sizeof(Level));
    if (levels->levels == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    levels->count = count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *level = PyTuple_GET_ITEM(given, i);
        if (!PyTuple_Check(level)) {
            PyErr_SetString(PyExc_TypeError, "a level is a tuple");
            return -1;
        }
        if (fill_level(&levels->levels[i], level, count, fields) < 0)
            return -1;
    }
    return 0;
}

/* ---- Scanner ---- */

/* Where an event has a field, and what that means once it was asked for. */
typedef struct {
    uint64_t seen; /* the event that had it last */
    int is_plain;  /* whether nothing depends on its value: no rule asks */
    place start;
    size_t length;
    PyObject *value; /* owned, until the event is done; NULL if not asked for */
    PyObject *state;
} Cell;

typedef struct {
    PyObject_HEAD
    PyObject *look_up;
    PyObject *follow;
    PyObject *read_time;
    PyObject *root;
    PyObject *absent_value;
    PyObject *absent_states; /* a tuple, by field */
    PyObject *wanted;        /* a tuple of fields */
    Py_ssize_t time_field;
    Py_ssize_t fields;
    Py_ssize_t most_bytes; /* of an event */
    Cell *cells;
    uint32_t *asked; /* the cells that own something */
    Py_ssize_t asked_count;
    uint64_t event;
    place end;
    Levels levels;
    Caches caches;
    unsigned char day[10]; /* as text; its number since 1970 */
    int64_t day_number;
    int busy;
} Scanner;

/* From behind the brace that opens an object. NULL where the event is odd. */
static place
after_object(Scanner *self, uint32_t number, place p)
{
    Level *level = &self->levels.levels[number];
    if (level->seen == self->event)
        return NULL; /* twice: which one counts is for others to say */
    level->seen = self->event;
    p = after_space(p);
    if (*p == '}')
        return p + 1;
    for (;;) {
        place name = p + 1, start;
        int escaped = 0;
        Key *key;
        if (*p != '"' || (p = after_text(name, self->end, &escaped)) == NULL || escaped)
            return NULL;
        key = find_key(level, name, (size_t)(p - 1 - name));
        p = after_space(p);
        if (*p != ':')
            return NULL;
        p = start = after_space(p + 1);
        if (key != NULL && key->kind == OBJECT)
            p = *p == '{' ? after_object(self, key->number, p + 1) : NULL;
        else if (key == NULL && level->strict)
            return NULL;
        else
            p = after_value(p, self->end, 0);
        if (p == NULL)
            return NULL;
        if (key != NULL && key->kind == FIELD) {
            Cell *cell = &self->cells[key->number];
            if (cell->seen == self->event)
                return NULL;
            cell->seen = self->event;
            cell->start = start;
            cell->length = (size_t)(p - start);
        }
        p = after_space(p);
        if (*p == '}')
            return p + 1;
        if (*p != ',')
            return NULL;
        p = after_space(p + 1);
    }
}

/* The text that a plain value is; NULL, without an exception, if it is another value or text. */
static PyObject *
plain_text(place start, size_t length)
{
    int escaped = 0;
    PyObject *text;
    if (*start != '"')
        return NULL;
    if (after_text(start + 1, start + length, &escaped) == NULL || escaped)
        return NULL;
    text = PyUnicode_DecodeUTF8((const char *)start + 1, (Py_ssize_t)length - 2, NULL);
    if (text == NULL)
        PyErr_Clear();
    return text;
}

/* 1: there is a value and a state; 0: the event is odd; -1: an exception. */
static int
ask_for(Scanner *self, uint32_t field)
{
    Cell *cell = &self->cells[field];
    Value *known;
    uint64_t hash;
    PyObject *found;
    if (cell->value != NULL)
        return 1;
    if (cell->is_plain && (cell->value = plain_text(cell->start, cell->length)) != NULL) {
        cell->state = Py_NewRef(PyTuple_GET_ITEM(self->absent_states, field));
        self->asked[self->asked_count++] = field;
        return 1;
    }
    hash = value_hash(&self->caches, field, cell->start, cell->length);
    known = find_value(&self->caches, hash, field, cell->start, cell->length);
    if (known != NULL) {
        cell->value = Py_NewRef(known->value);
        cell->state = Py_NewRef(known->state);
        self->asked[self->asked_count++] = field;
        return 1;
    }
    found = PyObject_CallFunction(self->look_up, "Iy#", (unsigned int)field,
                                  (const char *)cell->start, (Py_ssize_t)cell->length);
    if (found == NULL)
        return -1;
    if (found == Py_None) {
        Py_DECREF(found);
        return 0;
    }
    if (!PyTuple_Check(found) || PyTuple_GET_SIZE(found) != 2) {
        Py_DECREF(found);
        PyErr_SetString(PyExc_TypeError, "a value is looked up as a pair");
        return -1;
    }
    cell->value = Py_NewRef(PyTuple_GET_ITEM(found, 0));
    cell->state = Py_NewRef(PyTuple_GET_ITEM(found, 1));
    self->asked[self->asked_count++] = field;
    Py_DECREF(found);
    keep_value(&self->caches, hash, field, cell->start, cell->length, cell->value, cell->state);
    return 1;
}

/* Returns a new reference to the verdict; NULL, with an exception or because the event is odd. */
static PyObject *
walk(Scanner *self)
{
    Step *step = (Step *)Py_NewRef(self->root);
    while (step->count > 0) {
        PyObject *key[MOST_FIELDS_OF_A_STEP + 1];
        PyObject *after;
        size_t count = (size_t)step->count;
        uint64_t hash;
        key[0] = (PyObject *)step;
        for (size_t i = 0; i < count; i++) {
            uint32_t field = step->fields[i];
            if (field >= (uint32_t)self->fields) {
                PyErr_SetString(PyExc_IndexError, "a step looks at a field that is not there");
                goto failed;
            }
            if (self->cells[field].seen != self->event)
                key[i + 1] = PyTuple_GET_ITEM(self->absent_states, field);
            else if (ask_for(self, field) == 1)
                key[i + 1] = self->cells[field].state;
            else
                goto failed;
        }
        hash = edge_hash(key, count + 1);
        after = find_edge(&self->caches, hash, key, count + 1);
        if (after != NULL)
            Py_INCREF(after);
        else {
            PyObject *states = PyTuple_New((Py_ssize_t)count);
            if (states == NULL)
                goto failed;
            for (size_t i = 0; i < count; i++)
                PyTuple_SET_ITEM(states, (Py_ssize_t)i, Py_NewRef(key[i + 1]));
            after = PyObject_CallFunctionObjArgs(self->follow, (PyObject *)step, states, NULL);
            Py_DECREF(states);
            if (after == NULL)
                goto failed;
            if (!Py_IS_TYPE(after, &StepType)) {
                Py_DECREF(after);
                PyErr_SetString(PyExc_TypeError, "a step leads to a step");
                goto failed;
            }
            keep_edge(&self->caches, hash, key, count + 1, after);
        }
        Py_SETREF(step, (Step *)after);
    }
    if (step->verdict == NULL)
        PyErr_SetString(PyExc_ValueError, "a step has neither fields nor a verdict");
    PyObject *verdict = Py_XNewRef(step->verdict);
    Py_DECREF(step);
    return verdict;
failed:
    Py_DECREF(step);
    return NULL;
}

static int
two_digits(place p)
{
    return is_digit(p[0]) && is_digit(p[1]) ? (p[0] - '0') * 10 + p[1] - '0' : -1;
}

/* Days since 1970 of a date such as 2020-02-29; from 1970 on. -1: there is none. */
static int64_t
day_number(place p)
{
    static const int before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int century = two_digits(p), rest = two_digits(p + 2);
    int month = two_digits(p + 5), day = two_digits(p + 8);
    int year = century * 100 + rest, leap, last;
    if (century < 0 || rest < 0 || p[4] != '-' || p[7] != '-' || year < 1970 || year > LAST_YEAR)
        return -1;
    if (month < 1 || month > 12)
        return -1;
    leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    last = before_month[month] - before_month[month - 1] + (month == 2 && leap);
    if (day < 1 || day > last)
        return -1;
    year -= 1; /* leap days until its end */
    return (int64_t)(year - 1969) * 365 + (year / 4 - year / 100 + year / 400) - 477
        + before_month[month - 1] + (month > 2 && leap) + day - 1;
}

/* Nanoseconds of a text such as "2020-01-01T00:00:00.000Z"; 0 where it is another one. */
static int
plain_time(Scanner *self, place p, size_t length, int64_t *nanoseconds)
{
    int hour, minute, second;
    int64_t fraction = 0, scale = NANOSECONDS;
    place end = p + length - 2; /* its Z */
    if (length < sizeof("\"2020-01-01T00:00:00Z\"") - 1 || *p != '"' || *end != 'Z')
        return 0;
    p++;
    if (memcmp(p, self->day, sizeof(self->day)) != 0) {
        int64_t number = day_number(p);
        if (number < 0)
            return 0;
        memcpy(self->day, p, sizeof(self->day));
        self->day_number = number;
    }
    p += sizeof(self->day);
    hour = two_digits(p + 1);
    minute = two_digits(p + 4);
    second = two_digits(p + 7);
    if (*p != 'T' || p[3] != ':' || p[6] != ':' || hour < 0 || hour > 23 || minute < 0
        || minute > 59 || second < 0 || second > 59)
        return 0;
    p += sizeof("T00:00:00") - 1;
    if (p != end) {
        if (*p != '.' || end - p < 2 || end - p > 10)
            return 0;
        while (++p < end) {
            if (!is_digit(*p))
                return 0;
            fraction = fraction * 10 + *p - '0';
            scale /= 10;
        }
    }
    *nanoseconds = (((self->day_number * 24 + hour) * 60 + minute) * 60 + second) * NANOSECONDS
        + fraction * scale;
    return 1;
}

/* A new reference; NULL, with an exception or because the event is odd. */
static PyObject *
event_time(Scanner *self)
{
    Cell *cell = &self->cells[self->time_field];
    int64_t nanoseconds;
    PyObject *found;
    if (cell->seen != self->event)
        return NULL;
    if (plain_time(self, cell->start, cell->length, &nanoseconds))
        return PyLong_FromLongLong(nanoseconds);
    found = PyObject_CallFunction(self->read_time, "y#", (const char *)cell->start,
                                  (Py_ssize_t)cell->length);
    if (found == Py_None)
        Py_CLEAR(found);
    return found;
}

/* A new reference; NULL, with an exception or because the event is odd. */
static PyObject *
wanted_values(Scanner *self)
{
    Py_ssize_t count = PyTuple_GET_SIZE(self->wanted);
    PyObject *values = PyTuple_New(count);
    for (Py_ssize_t i = 0; values != NULL && i < count; i++) {
        uint32_t field = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GET_ITEM(self->wanted, i));
        PyObject *value = self->absent_value;
        if (self->cells[field].seen == self->event) {
            if (ask_for(self, field) != 1) {
                Py_DECREF(values);
                return NULL;
            }
            value = self->cells[field].value;
        }
        PyTuple_SET_ITEM(values, i, Py_NewRef(value));
    }
    return values;
}

static void
let_go_of_cells(Scanner *self)
{
    while (self->asked_count > 0) {
        Cell *cell = &self->cells[self->asked[--self->asked_count]];
        Py_CLEAR(cell->value);
        Py_CLEAR(cell->state);
    }
}

static PyObject *
scanned(Scanner *self, PyObject *payload)
{
    place start = (place)PyBytes_AS_STRING(payload), p;
    PyObject *time = NULL, *values = NULL, *verdict = NULL, *result = NULL;
    self->event++;
    self->end = start + PyBytes_GET_SIZE(payload);
    p = after_space(start);
    if (*p != '{' || (p = after_object(self, 0, p + 1)) == NULL || after_space(p) != self->end)
        return NULL;
    if ((time = event_time(self)) != NULL && (values = wanted_values(self)) != NULL
        && (verdict = walk(self)) != NULL)
        result = PyTuple_Pack(3, verdict, time, values);
    Py_XDECREF(time);
    Py_XDECREF(values);
    Py_XDECREF(verdict);
    let_go_of_cells(self);
    return result;
}

static PyObject *
scanner_scan(Scanner *self, PyObject *payload)
{
    PyObject *result;
    if (self->cells == NULL || self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "a scanner scans one event at a time");
        return NULL;
    }
    if (!PyBytes_CheckExact(payload) || PyBytes_GET_SIZE(payload) > self->most_bytes)
        Py_RETURN_NONE;
    self->busy = 1;
    Py_INCREF(payload);
    result = scanned(self, payload);
    Py_DECREF(payload);
    self->busy = 0;
    if (result == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return result;
}

static PyObject *
scanner_learn(Scanner *self, PyObject *given)
{
    Levels levels = {NULL, 0};
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "a scanner learns no keys while it scans");
        return NULL;
    }
    if (fill_levels(&levels, given, self->fields) < 0) {
        free_levels(&levels);
        return NULL;
    }
    free_levels(&self->levels);
    self->levels = levels;
    Py_RETURN_NONE;
}

static int
is_field(Scanner *self, PyObject *number)
{
    Py_ssize_t field = PyLong_Check(number) ? PyLong_AsSsize_t(number) : -1;
    if (field >= 0 && field < self->fields)
        return 1;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "there is no such field");
    return 0;
}

static PyObject *
scanner_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"levels", "root", "time_field", "wanted", "plain", "absent_value",
                            "absent_states", "look_up", "follow", "read_time", "most_bytes",
                            "seed", NULL};
    PyObject *levels, *root, *time_field, *wanted, *plain, *value, *states, *look_up, *follow;
    PyObject *read_time;
    Py_ssize_t most_bytes;
    unsigned long long seed;
    Scanner *self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$OO!OO!O!OO!OOOnK:Scanner", names, &levels,
                                     &StepType, &root, &time_field, &PyTuple_Type, &wanted,
                                     &PyTuple_Type, &plain, &value, &PyTuple_Type, &states,
                                     &look_up, &follow, &read_time, &most_bytes, &seed))
        return NULL;
    self = (Scanner *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->look_up = Py_NewRef(look_up);
    self->follow = Py_NewRef(follow);
    self->read_time = Py_NewRef(read_time);
    self->root = Py_NewRef(root);
    self->absent_value = Py_NewRef(value);
    self->absent_states = Py_NewRef(states);
    self->wanted = Py_NewRef(wanted);
    self->fields = PyTuple_GET_SIZE(states);
    self->most_bytes = most_bytes;
    if (self->fields > MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        goto failed;
    }
    if (!is_field(self, time_field) || fill_levels(&self->levels, levels, self->fields) < 0)
        goto failed;
    self->time_field = PyLong_AsSsize_t(time_field);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(wanted); i++)
        if (!is_field(self, PyTuple_GET_ITEM(wanted, i)))
            goto failed;
    self->cells = PyMem_Calloc((size_t)self->fields, sizeof(Cell));
    self->asked = PyMem_Calloc((size_t)self->fields, sizeof(uint32_t));
    if (self->cells == NULL || self->asked == NULL || !make_caches(&self->caches, seed)) {
        PyErr_NoMemory();
        goto failed;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(plain); i++) {
        PyObject *field = PyTuple_GET_ITEM(plain, i);
        if (!is_field(self, field))
            goto failed;
        self->cells[PyLong_AsSsize_t(field)].is_plain = 1;
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static int
scanner_traverse(Scanner *self, visitproc visit, void *arg)
{
    Py_VISIT(self->look_up);
    Py_VISIT(self->follow);
    Py_VISIT(self->read_time);
    Py_VISIT(self->root);
    Py_VISIT(self->absent_value);
    Py_VISIT(self->absent_states);
    Py_VISIT(self->wanted);
    for (Py_ssize_t i = 0; i < self->asked_count; i++) {
        Py_VISIT(self->cells[self->asked[i]].value);
        Py_VISIT(self->cells[self->asked[i]].state);
    }
    return visit_caches(&self->caches, visit, arg);
}

/* What the garbage collector breaks cycles with; a scanner it has cleared scans no more. */
static int
scanner_clear(Scanner *self)
{
    if (self->cells != NULL)
        let_go_of_cells(self);
    PyMem_Free(self->cells);
    PyMem_Free(self->asked);
    self->cells = NULL;
    self->asked = NULL;
    free_caches(&self->caches);
    Py_CLEAR(self->look_up);
    Py_CLEAR(self->follow);
    Py_CLEAR(self->read_time);
    Py_CLEAR(self->root);
    Py_CLEAR(self->absent_value);
    Py_CLEAR(self->absent_states);
    Py_CLEAR(self->wanted);
    return 0;
}

static void
scanner_dealloc(Scanner *self)
{
    PyObject_GC_UnTrack(self);
    scanner_clear(self);
    free_levels(&self->levels);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef scanner_methods[] = {
    {"scan", (PyCFunction)scanner_scan, METH_O, NULL},
    {"learn", (PyCFunction)scanner_learn, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject ScannerType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "kestrel_framework._pipeline.event_scanner._native.Scanner",
    .tp_basicsize = sizeof(Scanner),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = scanner_new,
    .tp_dealloc = (destructor)scanner_dealloc,
    .tp_traverse = (traverseproc)scanner_traverse,
    .tp_clear = (inquiry)scanner_clear,
    .tp_methods = scanner_methods,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "kestrel_framework._pipeline.event_scanner._native",
    .m_size = -1,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    PyObject *native;
    if (PyType_Ready(&StepType) < 0 || PyType_Ready(&ScannerType) < 0)
        return NULL;
    native = PyModule_Create(&module);
    if (native == NULL)
        return NULL;
    if (PyModule_AddObjectRef(native, "Step", (PyObject *)&StepType) < 0
        || PyModule_AddObjectRef(native, "Scanner", (PyObject *)&ScannerType) < 0)
        Py_CLEAR(native);
    return native;
}
