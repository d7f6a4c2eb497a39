/* What a scanner remembers: what values mean, and where steps lead.
 *
 * Both are caches like those of a processor: an entry can stand in one of a few places of one set,
 * and takes the last of them where all are taken; one that is found moves ahead. So they take
 * bounded memory and time, whatever the keys are and however their hashes collide.
 *
 * The tables own a reference to each object in them.
 */

#ifndef KESTREL_CACHES_H
#define KESTREL_CACHES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define WAYS 4
#define VALUE_SETS 16384
#define EDGE_SETS 4096
#define LONGEST_VALUE 1024            /* bytes of JSON; what is longer is not remembered */
#define MOST_VALUE_BYTES (16 << 20)   /* of JSON, in all values together */
#define SETS_TO_MAKE_ROOM 64          /* looked at for one value */
#define MOST_FIELDS_OF_A_STEP 16

static inline uint64_t
mixed(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t
hash_of_bytes(const unsigned char *bytes, size_t length, uint64_t seed)
{
    uint64_t one = 0, two = 0;
    seed ^= mixed(length + UINT64_C(0xA0761D6478BD642F), UINT64_C(0xE7037ED1A0B428DB));
    while (length > 16) {
        memcpy(&one, bytes, 8);
        memcpy(&two, bytes + 8, 8);
        seed = mixed(one ^ UINT64_C(0x8EBC6AF09C88C6E3), two ^ seed);
        bytes += 16;
        length -= 16;
    }
    one = two = 0;
    if (length > 8) {
        memcpy(&one, bytes, 8);
        memcpy(&two, bytes + length - 8, 8);
    }
    else if (length >= 4) {
        uint32_t low, high;
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + length - 4, 4);
        one = (uint64_t)low << 32 | high;
    }
    else if (length > 0)
        one = (uint64_t)bytes[0] << 16 | (uint64_t)bytes[length / 2] << 8 | bytes[length - 1];
    return mixed(one ^ UINT64_C(0x589965CC75374CC3), two ^ seed);
}

/* What a value of a field means. */
typedef struct {
    uint64_t hash;
    unsigned char *bytes; /* of JSON; NULL where the entry is empty */
    uint32_t length;
    uint32_t field;
    PyObject *value;
    PyObject *state;
} Value;

/* Where a step leads. */
typedef struct {
    uint64_t hash;
    PyObject **key; /* the step and the states; NULL where the entry is empty */
    size_t length;
    PyObject *after;
} Edge;

typedef struct {
    uint64_t seed;
    size_t value_bytes;
    size_t next_set; /* the next one to make room in */
    Value *values;
    Edge *edges;
} Caches;

static int
make_caches(Caches *caches, uint64_t seed)
{
    caches->seed = seed;
    caches->values = PyMem_Calloc(VALUE_SETS * WAYS, sizeof(Value));
    caches->edges = PyMem_Calloc(EDGE_SETS * WAYS, sizeof(Edge));
    return caches->values != NULL && caches->edges != NULL;
}

/* The entry is empty before anything is released: that may run whatever code. */
static void
empty_value(Caches *caches, Value *entry)
{
    Value old = *entry;
    if (old.bytes == NULL)
        return;
    memset(entry, 0, sizeof(Value));
    caches->value_bytes -= old.length;
    PyMem_Free(old.bytes);
    Py_DECREF(old.value);
    Py_DECREF(old.state);
}

static void
empty_edge(Edge *entry)
{
    Edge old = *entry;
    if (old.key == NULL)
        return;
    memset(entry, 0, sizeof(Edge));
    for (size_t i = 0; i < old.length; i++)
        Py_DECREF(old.key[i]);
    PyMem_Free(old.key);
    Py_DECREF(old.after);
}

static void
empty_caches(Caches *caches)
{
    if (caches->values != NULL)
        for (size_t i = 0; i < VALUE_SETS * WAYS; i++)
            empty_value(caches, &caches->values[i]);
    if (caches->edges != NULL)
        for (size_t i = 0; i < EDGE_SETS * WAYS; i++)
            empty_edge(&caches->edges[i]);
}

static void
free_caches(Caches *caches)
{
    empty_caches(caches);
    PyMem_Free(caches->values);
    PyMem_Free(caches->edges);
    caches->values = NULL;
    caches->edges = NULL;
}

static int
visit_caches(Caches *caches, visitproc visit, void *arg)
{
    if (caches->values != NULL)
        for (size_t i = 0; i < VALUE_SETS * WAYS; i++) {
            Py_VISIT(caches->values[i].value);
            Py_VISIT(caches->values[i].state);
        }
    if (caches->edges != NULL)
        for (size_t i = 0; i < EDGE_SETS * WAYS; i++) {
            Py_VISIT(caches->edges[i].after);
            for (size_t k = 0; k < caches->edges[i].length; k++)
                Py_VISIT(caches->edges[i].key[k]);
        }
    return 0;
}

static uint64_t
value_hash(const Caches *caches, uint32_t field, const unsigned char *bytes, size_t length)
{
    return hash_of_bytes(bytes, length, caches->seed + field);
}

static Value *
find_value(Caches *caches, uint64_t hash, uint32_t field, const unsigned char *bytes,
           size_t length)
{
    Value *set = &caches->values[(hash & (VALUE_SETS - 1)) * WAYS];
    for (int way = 0; way < WAYS; way++) {
        Value *entry = &set[way];
        if (entry->hash == hash && entry->bytes != NULL && entry->field == field
            && entry->length == length && memcmp(entry->bytes, bytes, length) == 0) {
            if (way == 0)
                return entry;
            Value found = *entry;
            *entry = set[way - 1];
            set[way - 1] = found;
            return &set[way - 1];
        }
    }
    return NULL;
}

static int
make_room(Caches *caches, size_t length)
{
    for (int tries = 0; tries < SETS_TO_MAKE_ROOM; tries++) {
        if (caches->value_bytes + length <= MOST_VALUE_BYTES)
            return 1;
        Value *set = &caches->values[caches->next_set * WAYS];
        caches->next_set = (caches->next_set + 1) & (VALUE_SETS - 1);
        for (int way = WAYS - 1; way >= 0; way--)
            if (set[way].bytes != NULL) {
                empty_value(caches, &set[way]);
                break;
            }
    }
    return 0;
}

/* Without memory, or room, it is not remembered: the next one asks again. */
static void
keep_value(Caches *caches, uint64_t hash, uint32_t field, const unsigned char *bytes,
           size_t length, PyObject *value, PyObject *state)
{
    unsigned char *copy;
    Value *set = &caches->values[(hash & (VALUE_SETS - 1)) * WAYS], *entry = &set[WAYS - 1];
    if (length > LONGEST_VALUE || !make_room(caches, length))
        return;
    for (int way = 0; way < WAYS; way++)
        if (set[way].bytes == NULL) {
            entry = &set[way];
            break;
        }
    empty_value(caches, entry);
    copy = PyMem_Malloc(length);
    if (copy == NULL)
        return;
    memcpy(copy, bytes, length);
    caches->value_bytes += length;
    *entry = (Value){hash, copy, (uint32_t)length, field, Py_NewRef(value), Py_NewRef(state)};
}

static uint64_t
edge_hash(PyObject **key, size_t length)
{
    uint64_t hash = length;
    for (size_t i = 0; i < length; i++)
        hash = mixed(hash ^ ((uint64_t)(uintptr_t)key[i] >> 4),
                     UINT64_C(0x9E3779B97F4A7C15));
    return hash;
}

/* Borrowed. */
static PyObject *
find_edge(Caches *caches, uint64_t hash, PyObject **key, size_t length)
{
    Edge *set = &caches->edges[(hash & (EDGE_SETS - 1)) * WAYS];
    for (int way = 0; way < WAYS; way++) {
        Edge *entry = &set[way];
        if (entry->hash == hash && entry->key != NULL && entry->length == length
            && memcmp(entry->key, key, length * sizeof(PyObject *)) == 0) {
            PyObject *after = entry->after;
            if (way > 0) {
                Edge found = *entry;
                *entry = set[way - 1];
                set[way - 1] = found;
            }
            return after;
        }
    }
    return NULL;
}

static void
keep_edge(Caches *caches, uint64_t hash, PyObject **key, size_t length, PyObject *after)
{
    PyObject **copy;
    Edge *set = &caches->edges[(hash & (EDGE_SETS - 1)) * WAYS], *entry = &set[WAYS - 1];
    for (int way = 0; way < WAYS; way++)
        if (set[way].key == NULL) {
            entry = &set[way];
            break;
        }
    empty_edge(entry);
    copy = PyMem_Malloc(length * sizeof(PyObject *));
    if (copy == NULL)
        return;
    memcpy(copy, key, length * sizeof(PyObject *));
    for (size_t i = 0; i < length; i++)
        Py_INCREF(copy[i]);
    *entry = (Edge){hash, copy, length, Py_NewRef(after)};
}

#endif
