/* Literals by groups of neighbouring bytes, each literal by one group that it has. */

#ifndef KESTREL_GROUP_TABLES_H
#define KESTREL_GROUP_TABLES_H

#include <Python.h>

#define LARGEST_GROUP 4

typedef struct {
    uint64_t found_in; /* the text that had it last */
    uint32_t group;    /* by which it is known */
    uint32_t before;   /* how many bytes of the literal come before the group */
    uint32_t start;    /* of the literal, in the bytes of all */
    uint32_t length;
    uint32_t number; /* of the pattern */
    uint32_t spot;
} Waiting;

/* Literals that are known by groups of one size, ordered by bucket. */
typedef struct {
    Waiting *waiting; /* NULL where there is none */
    uint32_t *starts; /* of each bucket, and the end of the last */
    uint32_t *filter; /* for each bucket 32 bits: which groups may be in it */
    uint32_t count;
    int shift; /* from a hash to its bucket */
} Table;

static inline uint32_t
group_of(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
           | (uint32_t)bytes[3] << 24;
}

static inline uint32_t
small_group_of(const unsigned char *bytes, size_t size)
{
    uint32_t group = 0;
    for (size_t i = 0; i < size; i++)
        group |= (uint32_t)bytes[i] << (8 * i);
    return group;
}

static inline uint32_t
hash_of(uint32_t group)
{
    return group * UINT32_C(0x9E3779B1);
}

static inline uint32_t
filter_bit(const Table *table, uint32_t hash)
{
    return UINT32_C(1) << (hash >> (table->shift - 5) & 31);
}

static void
free_table(Table *table)
{
    PyMem_Free(table->waiting);
    PyMem_Free(table->starts);
    PyMem_Free(table->filter);
    memset(table, 0, sizeof(Table));
}

static size_t
size_of_group(const Waiting *waiting)
{
    return waiting->length < LARGEST_GROUP ? waiting->length : LARGEST_GROUP;
}

static int
fill_table(Table *table, const Waiting *chosen, size_t patterns, size_t size)
{
    int bits = 3;
    size_t buckets;
    for (size_t i = 0; i < patterns; i++)
        table->count += size_of_group(&chosen[i]) == size;
    if (table->count == 0)
        return 0;
    while ((size_t)1 << bits < table->count)
        bits++;
    buckets = (size_t)1 << bits;
    table->shift = 32 - bits;
    table->waiting = PyMem_Malloc(table->count * sizeof(Waiting));
    table->starts = PyMem_Calloc(buckets + 1, sizeof(uint32_t));
    table->filter = PyMem_Calloc(buckets, sizeof(uint32_t));
    if (table->waiting == NULL || table->starts == NULL || table->filter == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < patterns; i++)
        if (size_of_group(&chosen[i]) == size) {
            uint32_t hash = hash_of(chosen[i].group);
            table->starts[hash >> table->shift]++;
            table->filter[hash >> table->shift] |= filter_bit(table, hash);
        }
    for (size_t bucket = 1; bucket <= buckets; bucket++)
        table->starts[bucket] += table->starts[bucket - 1];
    for (size_t i = 0; i < patterns; i++) /* from the end of its bucket to its start */
        if (size_of_group(&chosen[i]) == size)
            table->waiting[--table->starts[hash_of(chosen[i].group) >> table->shift]] = chosen[i];
    return 0;
}

static inline int
may_have(const Table *table, uint32_t group)
{
    uint32_t hash = hash_of(group);
    return (table->filter[hash >> table->shift] & filter_bit(table, hash)) != 0;
}

#endif
