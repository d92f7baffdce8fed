// Writes JSON: single values, and arrays and objects part by part. Always: what was written is JSON, or there is a
// problem or a trap.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

static void put_text(sb_writer *out, sb_bytes text) {
    if (!sb_is_text(text)) {
        sb_problem("a text is not UTF-8");
        text = sb_str("");
    }
    sbi_put(out, "\"", 1);
    const char *plain = text.data, *end = text.data + text.size;
    for (const char *at = plain; at < end; at++) {
        unsigned char letter = (unsigned char)*at;
        if (letter >= 0x20 && letter != '"' && letter != '\\') continue;
        sbi_put(out, plain, (size_t)(at - plain));
        plain = at + 1;
        const char *known = letter ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", letter) : NULL;
        char escaped[6] = {'\\', 'u', '0', '0', (char)('0' + letter / 16), "0123456789abcdef"[letter % 16]};
        if (known) escaped[1] = known[1];
        sbi_put(out, escaped, known ? 2 : 6);
    }
    sbi_put(out, plain, (size_t)(end - plain));
    sbi_put(out, "\"", 1);
}

static void put_part(sb_writer *out, const sb_json *part) {
    if (part->kind == SB_JSON_TEXT) {
        put_text(out, part->text);
    } else if (part->kind < SB_JSON_TEXT) {
        sbi_put(out, part->text.data, part->text.size);
    } else {
        bool object = part->kind == SB_JSON_OBJECT;
        sbi_put(out, object ? "{" : "[", 1);
        for (const sb_json *of = part->first; of; of = of->next) {
            if (of != part->first) sbi_put(out, ",", 1);
            if (object) put_text(out, of->name), sbi_put(out, ":", 1);
            put_part(out, of);
        }
        sbi_put(out, object ? "}" : "]", 1);
    }
}

static sb_value made(const sb_writer *out) { return (sb_value){{out->data, out->size}}; }

sb_value sb_of_int(int64_t number) { return (sb_value){sb_str(sb_format("%lld", (long long)number))}; }

/// With the fewest digits, at least 15, that are read as the same number again. (Only what uses this gets printf.)
sb_value sb_of_double(double number) {
    if (fabs(number) < 0x1p53 && number == (double)(int64_t)number) return sb_of_int((int64_t)number);
    if (!isfinite(number)) return sb_problem("a number that JSON cannot say"), sb_of_int(0);
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number) break;
    }
    return (sb_value){sb_copy(sb_str(text))};
}

sb_value sb_of_bool(bool is) { return (sb_value){sb_str(is ? "true" : "false")}; }

sb_value sb_of_text(sb_bytes text) {
    sb_writer out = {0};
    if (sb_is_null(text)) sbi_put(&out, "null", 4);
    else put_text(&out, text);
    return made(&out);
}

sb_value sb_of_json(const sb_json *part) {
    sb_writer out = {0};
    if (part) put_part(&out, part);
    else sbi_put(&out, "null", 4);
    return made(&out);
}

/// A value or a name comes: with a comma, unless it is the first. In an object a value stands behind a name alone.
static void next(sb_writer *out, bool is_name) {
    char last = out->size ? out->data[out->size - 1] : 0;
    bool in_object = out->depth && out->objects & 1, named = in_object && last == ':';
    bool misplaced = in_object ? named == is_name : is_name || (!out->depth && last);
    if (misplaced) sbi_broken("JSON was written in a wrong order");
    if (out->depth && !named && last != '[' && last != '{') sbi_put(out, ",", 1);
}

static void begin(sb_writer *out, bool object) {
    next(out, false);
    if (out->depth == 64) sbi_broken("JSON was written deeper than 64");
    out->depth++, out->objects = out->objects << 1 | object;
    sbi_put(out, object ? "{" : "[", 1);
}

void sb_begin_object(sb_writer *out) { begin(out, true); }

void sb_begin_array(sb_writer *out) { begin(out, false); }

void sb_end(sb_writer *out) {
    if (!out->depth || out->data[out->size - 1] == ':') sbi_broken("JSON was written in a wrong order");
    sbi_put(out, out->objects & 1 ? "}" : "]", 1);
    out->depth--, out->objects >>= 1;
}

void sb_name(sb_writer *out, sb_bytes name) {
    next(out, true);
    put_text(out, name);
    sbi_put(out, ":", 1);
}

void sb_add(sb_writer *out, sb_value value) {
    next(out, false);
    if (!value.json.size) sbi_broken("a value was not made by an sb_of function");
    sbi_put(out, value.json.data, value.json.size);
}

void sb_field(sb_writer *out, const char *name, sb_value value) {
    sb_name(out, sb_str(name));
    sb_add(out, value);
}

sb_value sb_written(sb_writer *out) {
    if (out->depth || !out->size) sbi_broken("JSON was written in a wrong order");
    return made(out);
}
