// Bytes, and JSON: what configuration, state and most values are made of. Part of sandbar.h.
//
// Whatever a function here gives lives until the call of the plugin ends (what `open` got, as long as the plugin does),
// and a zero byte stands behind it, so `data` is a C string too unless a zero byte is inside.
#ifndef SANDBAR_JSON_H
#define SANDBAR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Bytes and how many they are. No bytes at all (null: Kafka's null key, a tombstone) is `data == NULL`.
typedef struct sb_bytes {
    const char *data;
    size_t size;
} sb_bytes;

/// Null.
static inline sb_bytes sb_null(void) {
    sb_bytes none = {NULL, 0};
    return none;
}

/// Whether the bytes are null. Empty is not null.
static inline bool sb_is_null(sb_bytes bytes) { return bytes.data == NULL; }

/// The bytes of a C string; of NULL: null.
static inline sb_bytes sb_str(const char *text) {
    sb_bytes bytes = {text, text ? strlen(text) : 0};
    return bytes;
}

/// Whether the bytes are those of the C string. Null is equal to NULL alone.
static inline bool sb_equal(sb_bytes bytes, const char *text) {
    sb_bytes other = sb_str(text);
    if (!bytes.data || !text) return bytes.data == text;
    return bytes.size == other.size && memcmp(bytes.data, text, other.size) == 0;
}

/// Whether the bytes are UTF-8. Null is not.
bool sb_is_text(sb_bytes bytes);

/// Zeroed memory that is given back when the call ends; nobody frees it. Traps if there is none.
void *sb_alloc(size_t size);
/// A copy of the bytes in such memory, with a zero byte behind it.
sb_bytes sb_copy(sb_bytes bytes);
/// A text in such memory. Knows %s %.*s %d %i %u %x and %%, with l, ll or z, and no widths. (The printf of the C
/// library would make a plugin import WASI.)
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
const char *sb_format(const char *format, ...);

/// Says that this call went wrong. The call goes on, and the first problem becomes its end, unless the function returns
/// a refusal of its own: in `process` a dead letter, in `open` and a timer's callback a failure. The SDK says so of all
/// that it cannot read: a value that is no JSON, a number that is a text.
void sb_problem(const char *reason);
/// The first problem of this call, or NULL.
const char *sb_has_problem(void);

// ---- Reading ----

typedef enum sb_kind {
    SB_JSON_NULL, SB_JSON_BOOL, SB_JSON_NUMBER, SB_JSON_TEXT, SB_JSON_ARRAY, SB_JSON_OBJECT
} sb_kind;

/// A part of a JSON document. Go through an array or an object by
/// `for (const sb_json *item = list->first; item; item = item->next)`.
typedef struct sb_json {
    sb_kind kind;
    /// Of an array or object: how many parts it has.
    uint32_t count;
    /// Of a text: the text. Of a number, a bool or a null: as it is written.
    sb_bytes text;
    /// In an object: the name.
    sb_bytes name;
    const struct sb_json *first, *next;
} sb_json;

/// Reads a JSON document: by RFC 8259, in UTF-8, at most 128 deep. If it is none: NULL, with the reason in `*error`; if
/// `error` is NULL, the reason is the call's problem.
const sb_json *sb_read_json(sb_bytes text, const char **error);

/// The part of an object with this name (the last one, if there are several), or NULL. Of NULL, or no object: NULL.
const sb_json *sb_member(const sb_json *object, const char *name);

/// The part that a JSON pointer (RFC 6901) such as "/user/tags/0" leads to, or NULL; "" is the part itself.
const sb_json *sb_find(const sb_json *part, sb_bytes pointer);

/// A part as what it should be. If it is something else, or NULL: a problem, and zero. A number without fraction and
/// exponent that fits into 64 bits is an int.
int64_t sb_as_int(const sb_json *part);
double sb_as_double(const sb_json *part);
bool sb_as_bool(const sb_json *part);
sb_bytes sb_as_text(const sb_json *part);
/// Milliseconds, of a text such as "10s": a whole number, which may be negative, and ms, s, m, h or d.
int64_t sb_as_duration(const sb_json *part);

/// A member that has to be there; else a problem that names it.
int64_t sb_int(const sb_json *object, const char *name);
double sb_double(const sb_json *object, const char *name);
bool sb_bool(const sb_json *object, const char *name);
sb_bytes sb_text(const sb_json *object, const char *name);
int64_t sb_duration(const sb_json *object, const char *name);
/// A JSON pointer for `sb_find`.
sb_bytes sb_pointer(const sb_json *object, const char *name);

/// A member that may be absent or null.
int64_t sb_int_or(const sb_json *object, const char *name, int64_t otherwise);
double sb_double_or(const sb_json *object, const char *name, double otherwise);
bool sb_bool_or(const sb_json *object, const char *name, bool otherwise);
sb_bytes sb_text_or(const sb_json *object, const char *name, sb_bytes otherwise);
int64_t sb_duration_or(const sb_json *object, const char *name, int64_t otherwise);

// ---- Writing ----

/// A value in JSON, made by one of the functions below: without spaces, in UTF-8.
typedef struct sb_value {
    sb_bytes json;
} sb_value;

sb_value sb_of_int(int64_t number);
/// A whole number is written as such. What JSON cannot say (infinity, not a number) is a problem.
sb_value sb_of_double(double number);
sb_value sb_of_bool(bool is);
/// A JSON text; of null: null. What is not UTF-8 is a problem.
sb_value sb_of_text(sb_bytes text);
/// A part that was read, as it was, numbers to the digit; of NULL: null.
sb_value sb_of_json(const sb_json *part);

/// Writes an array or an object. Begins as zeros: `sb_writer out = {0};`. Writing in a wrong order traps.
typedef struct sb_writer {
    char *data;
    size_t size, room;
    uint64_t objects;
    unsigned depth;
} sb_writer;

void sb_begin_object(sb_writer *out);
void sb_begin_array(sb_writer *out);
/// Ends what was begun last.
void sb_end(sb_writer *out);
/// The name of the next value, in an object.
void sb_name(sb_writer *out, sb_bytes name);
void sb_add(sb_writer *out, sb_value value);
/// `sb_name` and `sb_add`.
void sb_field(sb_writer *out, const char *name, sb_value value);
/// What was written, when all has ended.
sb_value sb_written(sb_writer *out);

#ifdef __cplusplus
}
#endif
#endif
