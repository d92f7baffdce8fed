// Memory of a call, and what is made in it. Always: it is given back as a whole when the call ends, so neither the
// author nor the SDK frees anything.
#include <stdarg.h>
#include <stdlib.h>

#include "internal.h"

typedef struct chunk {
    struct chunk *next;
    size_t used, room;
    _Alignas(16) char bytes[];
} chunk;

// The address sanitizer sees what runs over only if each allocation is one of its own.
#if defined(__SANITIZE_ADDRESS__)
#define CHUNK ((size_t)0)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHUNK ((size_t)0)
#endif
#endif
#ifndef CHUNK
#define CHUNK ((size_t)16 << 10)
#endif

static chunk *of_call, *of_open;
static size_t held;

void *sbi_alloc(size_t size) {
    if (size > SIZE_MAX / 2) sbi_broken("more memory was asked for than there can be");
    size = (size + 15) & ~(size_t)15;
    if (!of_call || of_call->room - of_call->used < size) {
        size_t room = size > CHUNK ? size : CHUNK;
        chunk *fresh = malloc(sizeof(chunk) + room);
        if (!fresh) sbi_broken("there is no memory left");
        fresh->next = of_call, fresh->used = 0, fresh->room = room;
        of_call = fresh;
        held += room;
    }
    void *bytes = of_call->bytes + of_call->used;
    of_call->used += size;
    return bytes;
}

static void free_all(chunk *chunks) {
    while (chunks) {
        chunk *next = chunks->next;
        held -= chunks->room;
        free(chunks);
        chunks = next;
    }
}

void sbi_end_call(bool keep) {
    if (keep) {
        free_all(of_open);
        of_open = of_call, of_call = NULL;
    } else if (of_call && CHUNK && of_call->room == CHUNK) { // the next call begins with this one
        free_all(of_call->next);
        of_call->next = NULL, of_call->used = 0;
    } else {
        free_all(of_call);
        of_call = NULL;
    }
    sbi_now = (sbi_call){0};
}

size_t sbi_held(void) { return held; }

void *sb_alloc(size_t size) {
    void *bytes = sbi_alloc(size);
    return memset(bytes, 0, size);
}

sb_bytes sb_copy(sb_bytes bytes) {
    if (!bytes.data) return bytes;
    char *copy = sbi_alloc(bytes.size + 1);
    memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size] = 0;
    return (sb_bytes){copy, bytes.size};
}

size_t sbi_utf8(sb_bytes bytes) {
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t i = 0;
    while (i < bytes.size) {
        unsigned char lead = at[i];
        size_t more = lead < 0x80 ? 0 : lead < 0xc2 ? 9 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 9;
        if (more > 3 || more >= bytes.size - i) return i;
        // The second byte tells what would be longer than it need be, a surrogate, or beyond the last character.
        if (lead == 0xe0 && at[i + 1] < 0xa0) return i;
        if (lead == 0xed && at[i + 1] > 0x9f) return i;
        if (lead == 0xf0 && at[i + 1] < 0x90) return i;
        if (lead == 0xf4 && at[i + 1] > 0x8f) return i;
        for (size_t k = 1; k <= more; k++)
            if ((at[i + k] & 0xc0) != 0x80) return i;
        i += more + 1;
    }
    return i;
}

bool sb_is_text(sb_bytes bytes) { return bytes.data && sbi_utf8(bytes) == bytes.size; }

record_processor_string_t sbi_text(sb_bytes bytes) {
    if (!bytes.data) bytes = sb_str("");
    size_t good = sbi_utf8(bytes);
    if (good < bytes.size) bytes = sb_copy(bytes);
    while (good < bytes.size) {
        ((char *)bytes.data)[good++] = '?';
        good += sbi_utf8((sb_bytes){bytes.data + good, bytes.size - good});
    }
    return (record_processor_string_t){(uint8_t *)bytes.data, bytes.size};
}

void sbi_put(sb_writer *out, const char *data, size_t size) {
    if (out->room - out->size <= size) {
        if (size > SIZE_MAX / 8 || out->size > SIZE_MAX / 8) sbi_broken("a text is longer than it can be");
        out->room = (out->size + size + 16) * 2;
        char *wider = sbi_alloc(out->room);
        if (out->size) memcpy(wider, out->data, out->size);
        out->data = wider;
    }
    if (size) memcpy(out->data + out->size, data, size);
    out->size += size;
    out->data[out->size] = 0;
}

static void put_number(sb_writer *out, uint64_t number, unsigned base) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = "0123456789abcdef"[number % base];
    while (number /= base);
    sbi_put(out, digits + at, sizeof digits - at);
}

const char *sb_format(const char *format, ...) {
    sb_writer out = {0};
    va_list given;
    va_start(given, format);
    for (const char *at = format;; at++) {
        size_t plain = strcspn(at, "%");
        sbi_put(&out, at, plain);
        at += plain;
        if (!*at++) break;
        size_t most = SIZE_MAX;
        if (strncmp(at, ".*", 2) == 0) most = (size_t)va_arg(given, int), at += 2;
        int longs = 0; // "z" is as long as one
        for (; *at == 'l' || *at == 'z'; at++) longs++;
        if (*at == 's') {
            const char *text = va_arg(given, const char *);
            size_t size = 0;
            while (text && size < most && text[size]) size++;
            sbi_put(&out, text, size);
        } else if (*at == 'd' || *at == 'i') {
            long long number = longs > 1 ? va_arg(given, long long) : longs ? va_arg(given, long) : va_arg(given, int);
            if (number < 0) sbi_put(&out, "-", 1);
            put_number(&out, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10);
        } else if (*at == 'u' || *at == 'x') {
            uint64_t number = longs > 1 ? va_arg(given, unsigned long long)
                              : longs   ? va_arg(given, unsigned long)
                                        : va_arg(given, unsigned);
            put_number(&out, number, *at == 'u' ? 10 : 16);
        } else if (*at == '%') {
            sbi_put(&out, "%", 1);
        } else {
            sbi_broken("sb_format was given what it does not know");
        }
    }
    va_end(given);
    return out.data;
}
