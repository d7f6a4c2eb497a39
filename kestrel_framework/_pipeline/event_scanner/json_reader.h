/* Reads JSON that is plain: what is odd in any way is left to the decoder in Python.
 *
 * All functions take a pointer into a buffer that ends with a NUL byte, as every bytes object of
 * Python does. A NUL is nothing that JSON can have, so that none of them ever reads past it: a
 * byte is looked at only when the one before it was something else. They return where they
 * stopped, or NULL for what they do not take.
 */

#ifndef KESTREL_JSON_READER_H
#define KESTREL_JSON_READER_H

#include <stdint.h>
#include <string.h>

typedef const unsigned char *place;

#define DEEPEST 64        /* objects and lists inside each other, in a value that is passed over */
#define MOST_DIGITS 18    /* of an integer, or after the point: what any reader takes */

static inline place
after_space(place p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

static inline int
is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static inline int
hex_value(unsigned char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline int
is_continuation(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* A character of two to four bytes, as RFC 3629 has it: no surrogates, nothing written longer
 * than needed. */
static place
after_wide_character(place p)
{
    unsigned char first = p[0];
    if (first >= 0xC2 && first <= 0xDF)
        return is_continuation(p[1]) ? p + 2 : NULL;
    if (first >= 0xE0 && first <= 0xEF) {
        unsigned char least = first == 0xE0 ? 0xA0 : 0x80;
        unsigned char most = first == 0xED ? 0x9F : 0xBF;
        return p[1] >= least && p[1] <= most && is_continuation(p[2]) ? p + 3 : NULL;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        unsigned char least = first == 0xF0 ? 0x90 : 0x80;
        unsigned char most = first == 0xF4 ? 0x8F : 0xBF;
        return p[1] >= least && p[1] <= most && is_continuation(p[2]) && is_continuation(p[3])
            ? p + 4 : NULL;
    }
    return NULL;
}

/* Surrogates are not taken: whether they pair is not looked at. */
static place
after_escape(place p)
{
    int high, low;
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return p + 2;
    case 'u':
        if ((high = hex_value(p[2])) < 0 || (low = hex_value(p[3])) < 0)
            return NULL;
        if (high == 0xD && low >= 8)
            return NULL;
        return hex_value(p[4]) >= 0 && hex_value(p[5]) >= 0 ? p + 6 : NULL;
    default:
        return NULL;
    }
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Pass over bytes that are plain in a text, eight at a time. */
static inline place
after_plain_bytes(place p, place end)
{
    while (end - p >= 8) {
        uint64_t word, quote, escape, found;
        memcpy(&word, p, 8);
        quote = word ^ EACH('"');
        escape = word ^ EACH('\\');
        /* The lowest bit that is found is exact; those above it may be a carry. */
        found = ((quote - EACH(1)) & ~quote) | ((escape - EACH(1)) & ~escape)
            | ((word - EACH(0x20)) & ~word) | word;
        found &= EACH(0x80);
        if (found)
            return p + (__builtin_ctzll(found) >> 3);
        p += 8;
    }
    return p;
}
#else
static inline place
after_plain_bytes(place p, place end)
{
    (void)end;
    return p;
}
#endif

/* From behind the first quote of a text to behind its last. `escaped` is set if there are any
 * escapes in it. */
static inline place
after_text(place p, place end, int *escaped)
{
    for (;;) {
        p = after_plain_bytes(p, end);
        if (*p == '"')
            return p + 1;
        if (*p == '\\') {
            *escaped = 1;
            p = after_escape(p);
        }
        else if (*p >= 0x80)
            p = after_wide_character(p);
        else if (*p >= 0x20)
            p++;
        else
            p = NULL;
        if (p == NULL)
            return NULL;
    }
}

/* Numbers with an exponent, or immense ones, are not taken. */
static place
after_number(place p)
{
    place digits;
    if (*p == '-')
        p++;
    digits = p;
    while (is_digit(*p))
        p++;
    if (p == digits || p - digits > MOST_DIGITS || (*digits == '0' && p - digits > 1))
        return NULL;
    if (*p == '.') {
        digits = ++p;
        while (is_digit(*p))
            p++;
        if (p == digits || p - digits > MOST_DIGITS)
            return NULL;
    }
    return *p == 'e' || *p == 'E' ? NULL : p;
}

static place
after_word(place p, const char *word)
{
    while (*word)
        if (*p++ != (unsigned char)*word++)
            return NULL;
    return p;
}

static place after_value(place p, place end, int depth);

/* From behind the bracket that opens a list or an object. */
static place
after_container(place p, place end, int depth, unsigned char close)
{
    int escaped;
    if (depth >= DEEPEST)
        return NULL;
    p = after_space(p);
    if (*p == close)
        return p + 1;
    for (;;) {
        if (close == '}') {
            if (*p != '"' || (p = after_text(p + 1, end, &escaped)) == NULL)
                return NULL;
            p = after_space(p);
            if (*p != ':')
                return NULL;
            p = after_space(p + 1);
        }
        if ((p = after_value(p, end, depth + 1)) == NULL)
            return NULL;
        p = after_space(p);
        if (*p == close)
            return p + 1;
        if (*p != ',')
            return NULL;
        p = after_space(p + 1);
    }
}

static place
after_value(place p, place end, int depth)
{
    int escaped;
    switch (*p) {
    case '"':
        return after_text(p + 1, end, &escaped);
    case '{':
        return after_container(p + 1, end, depth, '}');
    case '[':
        return after_container(p + 1, end, depth, ']');
    case 't':
        return after_word(p, "true");
    case 'f':
        return after_word(p, "false");
    case 'n':
        return after_word(p, "null");
    default:
        return after_number(p);
    }
}

#endif
