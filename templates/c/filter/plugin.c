// This plugin passes the records whose number at a JSON pointer is high enough, unchanged.
#include <sandbar.h>

static sb_bytes field;
static double at_least;

static sb_result open_by(const sb_json *config) {
    field = sb_pointer(config, "field");
    at_least = sb_double(config, "at-least");
    return SB_DONE;
}

static sb_result process(const sb_event *event) {
    const sb_json *number = sb_find(sb_event_json(event), field);
    if (number && number->kind == SB_JSON_NUMBER && sb_as_double(number) >= at_least) sb_pass(event);
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "{{name}}", .version = "0.1.0", .headers = true, .keeps_key = true, .open = open_by,
               .process = process);
