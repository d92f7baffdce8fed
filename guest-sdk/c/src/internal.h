// What the parts of the SDK know of each other, and the tests' host of them. Not for authors.
#ifndef SANDBAR_INTERNAL_H
#define SANDBAR_INTERNAL_H

#include "../generated/record_processor.h"
#include "sandbar.h"

/// The call that runs.
typedef struct sbi_call {
    /// The first thing that went wrong.
    const char *problem;
    /// State may be used: of a key, or of none.
    bool has_state;
    size_t key_size;
    /// Records that say no time have this one, if it is set: that of a window.
    const int64_t *time;
} sbi_call;
extern sbi_call sbi_now;

/// As `sb_alloc`, with whatever was in the memory.
void *sbi_alloc(size_t size);
/// The call ends: its memory is free again. With `keep` it stays until the next call that is kept.
void sbi_end_call(bool keep);
/// Bytes of memory that calls hold now.
size_t sbi_held(void);

/// Adds bytes to what is written; the room doubles, so that n bytes cost n steps. A zero byte stands behind them.
void sbi_put(sb_writer *out, const char *data, size_t size);

/// The plugin's code is wrong: says so in the log, and traps.
_Noreturn void sbi_broken(const char *reason);
/// The length of the UTF-8 that the bytes begin with.
size_t sbi_utf8(sb_bytes bytes);
/// A text for the host: what is not UTF-8 has question marks, null is empty.
record_processor_string_t sbi_text(sb_bytes bytes);

/// A part of a document.
sb_json *sbi_part(sb_kind kind, sb_bytes text);
/// As `sb_read_json`, of what the plugin itself has put together: it may be deeper.
const sb_json *sbi_read_kept(sb_bytes bytes, const char **error);
/// Puts a part behind the last one.
void sbi_append(sb_json *list, sb_json **last, sb_json *part);

/// What the host sent. An empty list may come with any pointer.
static inline sb_bytes sbi_given(record_processor_list_u8_t list) {
    sb_bytes bytes = {list.len ? (const char *)list.ptr : "", list.len};
    return bytes;
}

#endif
