// This plugin pairs the records of two inputs that have the same key and lie near each other in time.
#include <algorithm>

#include <sandbar.hpp>

// Under each time the values of the records that came with it.
static sandbar::map<std::vector<const sb_json *>> left{"left"}, right{"right"};
SANDBAR_TIMER(join, SB_EVENT_TIME, give_up);

static int64_t before, after;

static sb_result open_by(const sb_json *config) {
    const sb_json *within = sb_member(config, "within");
    if (sandbar::get<std::string_view>(config, "kind") != "inner" || !within || config->count != 2)
        return sb_fail("this join can do kind = \"inner\" with within = { before, after } only");
    before = sb_duration_or(within, "before", 0);
    after = sb_duration_or(within, "after", 0);
    return before + after < 0 ? sb_fail("before and after together are less than 0s") : SB_DONE;
}

static void put_pair(sb_bytes key, const sb_json *left_value, const sb_json *right_value, int64_t time) {
    sb_bytes pair = sandbar::object({{"left", left_value}, {"right", right_value}}).json;
    sb_message message{.key = key, .value = pair, .timestamp = time, .timed = true};
    sb_send(&message);
}

static sb_result process(const sb_event *event) {
    const sb_json *value = sb_event_json(event);
    bool is_left = std::string_view(event->input) == "left";
    int64_t time = event->timestamp;
    int64_t first = time - (is_left ? before : after), last = time + (is_left ? after : before);
    auto &mine = is_left ? left : right, &theirs = is_left ? right : left;
    std::string_view key = sandbar::view(sb_time_key(time));
    auto values = mine.get(key).value_or(std::vector<const sb_json *>{});
    if (time <= sb_watermark()) {
        sb_pass_to(event, "late");
        return SB_DONE;
    }
    for (auto [name, partners] : theirs.scan()) {
        int64_t other = sb_key_time(sandbar::bytes(name));
        if (other < first || other > last) continue;
        for (const sb_json *partner : partners)
            put_pair(event->key, is_left ? value : partner, is_left ? partner : value, std::max(time, other));
    }
    if (last > sb_watermark()) {
        values.push_back(value);
        mine.put(key, values);
        sb_set_timer(&join, last);
    }
    return SB_DONE;
}

static sb_result give_up(const sb_fired *fired) {
    left.remove(sandbar::view(sb_time_key(fired->at - after)));
    right.remove(sandbar::view(sb_time_key(fired->at - before)));
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "{{name}}", .version = "0.1.0", .inputs = {"left", "right"}, .outputs = {"out", "late"},
               .stores = {&left, &right}, .timers = {&join}, .headers = true, .keeps_key = true, .open = open_by,
               .process = process);
