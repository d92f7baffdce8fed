// This plugin counts the records of each key: for every record it emits the number of those that its key has had.
#include <sandbar.h>

SANDBAR_STORE(total, SB_VALUE);

static sb_result process(const sb_event *event) {
    int64_t count = sb_get_int(&total, 0) + 1;
    sb_put_int(&total, count);
    sb_emit_int(event->key, count);
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "{{name}}", .version = "0.1.0", .stores = {&total}, .keeps_key = true, .process = process);
