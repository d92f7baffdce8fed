// The parts of a JSON document: found by name or by pointer, and taken as what they should be. Always: a part that is
// something else is a problem, and never more than that.
#include <math.h>
#include <stdlib.h>

#include "internal.h"

/// Longer than the time that there are timestamps for, and short enough to be added to any of them.
#define LONGEST INT64_C(1000000000000000)

static const sb_json *named(const sb_json *object, sb_bytes name) {
    const sb_json *found = NULL;
    if (!object || object->kind != SB_JSON_OBJECT) return NULL;
    for (const sb_json *part = object->first; part; part = part->next)
        if (part->name.size == name.size && memcmp(part->name.data, name.data, name.size) == 0) found = part;
    return found;
}

const sb_json *sb_member(const sb_json *object, const char *name) { return named(object, sb_str(name)); }

// ---- JSON pointers ----

/// Whether each ~ of the text stands before 0 or 1, and the text begins with a slash unless it is empty.
static bool is_pointer(sb_bytes text) {
    for (size_t i = 0; i < text.size; i++) {
        char after = i + 1 < text.size ? text.data[i + 1] : 0;
        if (text.data[i] == '~' && after != '0' && after != '1') return false;
    }
    return !text.size || text.data[0] == '/';
}

/// The item of an array; a number begins with 0 only if it is 0.
static const sb_json *item(const sb_json *array, sb_bytes number) {
    size_t left = 0;
    if (!number.size || number.size > 9 || (number.size > 1 && number.data[0] == '0')) return NULL;
    for (size_t i = 0; i < number.size; i++) {
        if (number.data[i] < '0' || number.data[i] > '9') return NULL;
        left = left * 10 + (size_t)(number.data[i] - '0');
    }
    const sb_json *found = array->first;
    while (found && left--) found = found->next;
    return found;
}

const sb_json *sb_find(const sb_json *part, sb_bytes pointer) {
    if (!is_pointer(pointer)) return NULL;
    char *name = sbi_alloc(pointer.size);
    for (size_t at = 0; part && at < pointer.size;) {
        size_t size = 0;
        for (at++; at < pointer.size && pointer.data[at] != '/'; at++) {
            char letter = pointer.data[at];
            if (letter == '~') letter = pointer.data[++at] == '0' ? '~' : '/';
            name[size++] = letter;
        }
        sb_bytes step = {name, size};
        part = part->kind == SB_JSON_ARRAY ? item(part, step) : named(part, step);
    }
    return part;
}

// ---- Parts as what they should be ----

/// A part was not what it should be.
static void expected(const char *what, const char *name) {
    sb_problem(name ? sb_format("\"%s\": %s was expected", name, what) : sb_format("%s was expected", what));
}

static int64_t to_int(const sb_json *part, const char *name) {
    bool minus = part && part->kind == SB_JSON_NUMBER && part->text.data[0] == '-';
    uint64_t most = minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX, number = 0;
    bool good = part && part->kind == SB_JSON_NUMBER;
    for (size_t i = minus; good && i < part->text.size; i++) {
        unsigned digit = (unsigned)part->text.data[i] - '0';
        good = digit < 10 && number <= (most - digit) / 10;
        number = number * 10 + digit;
    }
    if (!good) return expected("a whole number of 64 bits", name), 0;
    return minus ? (int64_t)(0 - number) : (int64_t)number;
}

static double to_double(const sb_json *part, const char *name) {
    double number = part && part->kind == SB_JSON_NUMBER ? strtod(part->text.data, NULL) : HUGE_VAL;
    if (!isfinite(number)) return expected("a number of 64 bits", name), 0;
    return number;
}

static bool to_bool(const sb_json *part, const char *name) {
    if (!part || part->kind != SB_JSON_BOOL) return expected("true or false", name), false;
    return part->text.size == 4;
}

static sb_bytes to_text(const sb_json *part, const char *name) {
    if (!part || part->kind != SB_JSON_TEXT) return expected("a text", name), sb_str("");
    return part->text;
}

static int64_t to_duration(const sb_json *part, const char *name) {
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    sb_bytes text = part && part->kind == SB_JSON_TEXT ? part->text : sb_str("");
    bool minus = text.size && text.data[0] == '-';
    int64_t number = 0;
    size_t at = minus;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9' && number <= LONGEST; at++)
        number = number * 10 + (text.data[at] - '0');
    for (size_t i = 0; at > minus && i < sizeof units / sizeof *units; i++) {
        bool is_unit = sb_equal((sb_bytes){text.data + at, text.size - at}, units[i].name);
        if (is_unit && number <= LONGEST / units[i].ms) return (minus ? -number : number) * units[i].ms;
    }
    expected("a duration such as \"10s\" (a whole number and ms, s, m, h or d)", name);
    return 0;
}

sb_bytes sb_pointer(const sb_json *object, const char *name) {
    sb_bytes pointer = to_text(sb_member(object, name), name);
    if (!is_pointer(pointer)) expected("a JSON pointer such as \"/user/age\"", name);
    return pointer;
}

// For each type: as it is, of a member, and of a member that may be absent or null.
#define READ(type, word)                                                                                 \
    type sb_as_##word(const sb_json *part) { return to_##word(part, NULL); }                             \
    type sb_##word(const sb_json *object, const char *name) { return to_##word(sb_member(object, name), name); } \
    type sb_##word##_or(const sb_json *object, const char *name, type otherwise) {                       \
        const sb_json *part = sb_member(object, name);                                                   \
        return part && part->kind != SB_JSON_NULL ? to_##word(part, name) : otherwise;                   \
    }
READ(int64_t, int)
READ(double, double)
READ(bool, bool)
READ(sb_bytes, text)
READ(int64_t, duration)
