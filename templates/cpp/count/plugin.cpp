// This plugin counts the records of each key: for every record it emits the number of those that its key has had.
#include <sandbar.hpp>

static sandbar::value<int64_t> total{"total"};

static sb_result process(const sb_event *event) {
    int64_t count = total.get().value_or(0) + 1;
    total.set(count);
    sandbar::emit(event->key, count);
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "{{name}}", .version = "0.1.0", .stores = {&total}, .keeps_key = true, .process = process);
