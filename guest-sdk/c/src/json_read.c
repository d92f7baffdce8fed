// Reads JSON into a tree, by RFC 8259 and nothing else. Always: whatever the bytes are, the reader ends, goes no deeper
// than it is told, and reads no byte behind them.
#include "internal.h"

/// What a plugin keeps may hold a whole document in a list of its own.
#define DEEPEST 128
#define DEEPEST_KEPT 160

typedef struct reader {
    const char *start, *at, *end;
    unsigned deepest;
    const char *error;
} reader;

sb_json *sbi_part(sb_kind kind, sb_bytes text) {
    sb_json *part = sb_alloc(sizeof *part);
    part->kind = kind, part->text = text;
    return part;
}

void sbi_append(sb_json *list, sb_json **last, sb_json *part) {
    if (*last) (*last)->next = part;
    else list->first = part;
    *last = part;
    list->count++;
}

static void *wrong(reader *from, const char *reason) {
    if (!from->error) from->error = sb_format("not JSON: %s at byte %zu", reason, (size_t)(from->at - from->start));
    return NULL;
}

static char peek(const reader *from) { return from->at < from->end ? *from->at : 0; }

static bool take(reader *from, char letter) {
    if (from->at == from->end || *from->at != letter) return false;
    from->at++;
    return true;
}

static void skip_spaces(reader *from) {
    while (from->at < from->end && memchr(" \t\n\r", *from->at, 4)) from->at++;
}

static size_t digits(reader *from) {
    const char *begin = from->at;
    while (peek(from) >= '0' && peek(from) <= '9') from->at++;
    return (size_t)(from->at - begin);
}

static sb_json *number(reader *from) {
    const char *begin = from->at;
    take(from, '-');
    if (!take(from, '0') && !digits(from)) return wrong(from, "expected a digit");
    if (take(from, '.') && !digits(from)) return wrong(from, "expected a digit");
    if (take(from, 'e') || take(from, 'E')) {
        if (!take(from, '+')) take(from, '-');
        if (!digits(from)) return wrong(from, "expected a digit");
    }
    return sbi_part(SB_JSON_NUMBER, sb_copy((sb_bytes){begin, (size_t)(from->at - begin)}));
}

/// Four hexadecimal digits; more than 0xffff if there are none.
static uint32_t hex(reader *from) {
    uint32_t code = 0;
    for (int i = 0; i < 4; i++, from->at++) {
        char digit = peek(from);
        char low = digit | 0x20;
        if (digit >= '0' && digit <= '9') code = code << 4 | (uint32_t)(digit - '0');
        else if (low >= 'a' && low <= 'f') code = code << 4 | (uint32_t)(low - 'a' + 10);
        else return wrong(from, "expected four hexadecimal digits"), UINT32_MAX;
    }
    return code;
}

/// What stands behind a backslash, as UTF-8. The number of its bytes; 0 if it is wrong.
static size_t escape(reader *from, char *out) {
    char letter = peek(from);
    const char *known = letter ? strchr("\"\"\\\\//b\bf\fn\nr\rt\t", letter) : NULL;
    if (letter != 'u') {
        // The letter and what it means stand side by side; no meaning is a letter too.
        if (!known || (unsigned char)letter < 0x20) return wrong(from, "expected an escape"), 0;
        from->at++, *out = known[1];
        return 1;
    }
    from->at++;
    uint32_t code = hex(from);
    if (code >= 0xd800 && code < 0xdc00) {
        uint32_t low = take(from, '\\') && take(from, 'u') ? hex(from) : 0;
        if (low < 0xdc00 || low > 0xdfff) return wrong(from, "half of a surrogate pair"), 0;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code > 0xffff || (code >= 0xdc00 && code <= 0xdfff)) {
        return wrong(from, "half of a surrogate pair"), 0;
    }
    size_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[more] | code >> 6 * more);
    for (size_t i = 1; i <= more; i++) out[i] = (char)(0x80 | (code >> 6 * (more - i) & 0x3f));
    return more + 1;
}

/// A text, from behind its first quote on. No escape is shorter than what it means.
static bool text(reader *from, sb_bytes *into) {
    const char *end = from->at;
    while (end < from->end && *end != '"') end += *end == '\\' ? 2 : 1;
    if (end >= from->end) return from->at = from->end, wrong(from, "a text does not end"), false;
    char *out = sbi_alloc((size_t)(end - from->at) + 1);
    size_t size = 0;
    while (from->at < end) {
        unsigned char letter = (unsigned char)*from->at;
        if (letter < 0x20) return wrong(from, "a control character in a text"), false;
        from->at++;
        if (letter != '\\') {
            out[size++] = (char)letter;
            continue;
        }
        size_t more = escape(from, out + size);
        if (!more) return false;
        size += more;
    }
    from->at++;
    out[size] = 0;
    *into = (sb_bytes){out, size};
    return true;
}

static sb_json *value(reader *from, unsigned depth);

/// The parts of an array or object, from behind its bracket on.
static sb_json *list(reader *from, sb_kind kind, unsigned depth) {
    if (depth == from->deepest) return wrong(from, sb_format("deeper than %u", from->deepest));
    char closing = kind == SB_JSON_ARRAY ? ']' : '}';
    sb_json *list = sbi_part(kind, sb_null()), *last = NULL;
    skip_spaces(from);
    if (take(from, closing)) return list;
    do {
        sb_bytes name = sb_null();
        if (kind == SB_JSON_OBJECT) {
            skip_spaces(from);
            if (!take(from, '"')) return wrong(from, "expected a name");
            if (!text(from, &name)) return NULL;
            skip_spaces(from);
            if (!take(from, ':')) return wrong(from, "expected a colon");
        }
        sb_json *part = value(from, depth + 1);
        if (!part) return NULL;
        part->name = name;
        sbi_append(list, &last, part);
        skip_spaces(from);
    } while (take(from, ','));
    return take(from, closing) ? list : wrong(from, "expected a comma or the end of an array or object");
}

static sb_json *value(reader *from, unsigned depth) {
    skip_spaces(from);
    if (take(from, '{')) return list(from, SB_JSON_OBJECT, depth);
    if (take(from, '[')) return list(from, SB_JSON_ARRAY, depth);
    if (take(from, '"')) {
        sb_bytes into;
        return text(from, &into) ? sbi_part(SB_JSON_TEXT, into) : NULL;
    }
    char first = peek(from);
    if (first == '-' || (first >= '0' && first <= '9')) return number(from);
    static const char *const words[] = {"null", "true", "false"};
    for (int i = 0; i < 3; i++) {
        sb_bytes word = sb_str(words[i]);
        if ((size_t)(from->end - from->at) < word.size || memcmp(from->at, word.data, word.size) != 0) continue;
        from->at += word.size;
        return sbi_part(i ? SB_JSON_BOOL : SB_JSON_NULL, word);
    }
    return wrong(from, "expected a value");
}

static const sb_json *document(sb_bytes bytes, unsigned deepest, const char **error) {
    reader from = {bytes.data, bytes.data, bytes.data + bytes.size, deepest, NULL};
    sb_json *part = NULL;
    size_t good = bytes.data ? sbi_utf8(bytes) : 0;
    if (!bytes.data) {
        from.error = "not JSON: null";
    } else if (good < bytes.size) {
        from.at += good;
        wrong(&from, "not UTF-8");
    } else {
        part = value(&from, 0);
        skip_spaces(&from);
        if (part && from.at < from.end) part = wrong(&from, "something behind the value");
    }
    *error = from.error;
    return part;
}

const sb_json *sb_read_json(sb_bytes bytes, const char **error) {
    const char *reason;
    const sb_json *part = document(bytes, DEEPEST, error ? error : &reason);
    if (!part && !error) sb_problem(reason);
    return part;
}

const sb_json *sbi_read_kept(sb_bytes bytes, const char **error) { return document(bytes, DEEPEST_KEPT, error); }
