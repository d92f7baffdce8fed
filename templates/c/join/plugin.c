// This plugin pairs the records of two inputs that have the same key and lie near each other in time.
#include <sandbar.h>

// Under each time the values of the records that came with it.
SANDBAR_STORE(left, SB_MAP);
SANDBAR_STORE(right, SB_MAP);
SANDBAR_TIMER(join, SB_EVENT_TIME, give_up);

static int64_t before, after;

static sb_result open_by(const sb_json *config) {
    const sb_json *within = sb_member(config, "within");
    if (!sb_equal(sb_text(config, "kind"), "inner") || !within || config->count != 2)
        return sb_fail("this join can do kind = \"inner\" with within = { before, after } only");
    before = sb_duration_or(within, "before", 0);
    after = sb_duration_or(within, "after", 0);
    return before + after < 0 ? sb_fail("before and after together are less than 0s") : SB_DONE;
}

static void put_pair(sb_bytes key, const sb_json *left_value, const sb_json *right_value, int64_t time) {
    sb_writer pair = {0};
    sb_begin_object(&pair);
    sb_field(&pair, "left", sb_of_json(left_value));
    sb_field(&pair, "right", sb_of_json(right_value));
    sb_end(&pair);
    sb_send(&(sb_message){.key = key, .value = sb_written(&pair).json, .timestamp = time, .timed = true});
}

static void keep(const sb_store *mine, int64_t time, const sb_json *value) {
    const sb_json *same = sb_get_entry(mine, sb_time_key(time));
    sb_writer values = {0};
    sb_begin_array(&values);
    for (const sb_json *one = same ? same->first : NULL; one; one = one->next) sb_add(&values, sb_of_json(one));
    sb_add(&values, sb_of_json(value));
    sb_end(&values);
    sb_put_entry(mine, sb_time_key(time), sb_written(&values));
}

static sb_result process(const sb_event *event) {
    const sb_json *value = sb_event_json(event);
    bool is_left = strcmp(event->input, "left") == 0;
    int64_t time = event->timestamp;
    int64_t first = time - (is_left ? before : after), last = time + (is_left ? after : before);
    const sb_json *theirs = sb_scan(is_left ? &right : &left, sb_null());
    if (time <= sb_watermark()) {
        sb_pass_to(event, "late");
        return SB_DONE;
    }
    for (const sb_json *row = theirs->first; row; row = row->next) {
        int64_t other = sb_key_time(row->name), later = time > other ? time : other;
        if (other < first || other > last) continue;
        for (const sb_json *partner = row->first; partner; partner = partner->next)
            put_pair(event->key, is_left ? value : partner, is_left ? partner : value, later);
    }
    if (last > sb_watermark()) {
        keep(is_left ? &left : &right, time, value);
        sb_set_timer(&join, last);
    }
    return SB_DONE;
}

static sb_result give_up(const sb_fired *fired) {
    sb_delete_entry(&left, sb_time_key(fired->at - after));
    sb_delete_entry(&right, sb_time_key(fired->at - before));
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "{{name}}", .version = "0.1.0", .inputs = {"left", "right"}, .outputs = {"out", "late"},
               .stores = {&left, &right}, .timers = {&join}, .headers = true, .keeps_key = true, .open = open_by,
               .process = process);
