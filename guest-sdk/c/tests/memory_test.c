// The memory of calls does not grow, and texts.
#include <stdlib.h>

#include "../src/internal.h"
#include "sandbar_testing.h"

SANDBAR_STORE(last, SB_VALUE);
SANDBAR_STORE(pages, SB_MAP);

static const sb_json *config;

static sb_result open_by(const sb_json *given) {
    config = given;
    return SB_DONE;
}

static sb_result process(const sb_event *event) {
    SBT_CHECK(sb_equal(sb_text(config, "word"), "kept")); // what open got lasts
    sb_put(&last, sb_of_json(sb_event_json(event)));
    sb_put_entry(&pages, event->key, sb_of_text(event->value));
    sb_emit_json(event->key, sb_of_json(sb_scan(&pages, sb_null())));
    return event->offset % 7 ? SB_DONE : sb_skip(sb_format("%lld", (long long)event->offset));
}

SANDBAR_PLUGIN(.name = "memory", .version = "0.1.0", .stores = {&last, &pages}, .coordinates = true, .open = open_by,
               .process = process);

static void loop(void) {
    SBT_CHECK(sbt_open("{\"word\":\"kept\"}"));
    size_t before = sbi_held();
    char *large = malloc(100000);
    for (int i = 0; i < 700; i++) {
        size_t size = (size_t)(i * 37 % 90000);
        memset(large, '1', size + 1), large[size + 1] = 0;
        sb_event event = {.key = sb_str("k"), .value = sb_str(large), .offset = i};
        SBT_CHECK(sbt_push_event(&event) == (i % 7 != 0));
        while (sbt_output()) {}
        SBT_CHECK(sbi_held() <= before + 65536); // one chunk is kept for the next call
        if (i % 100 == 0) SBT_CHECK(sbt_open("{\"word\":\"kept\"}"));
    }
    free(large);
}

static void format(void) {
    SBT_EXPECT(sb_format("%s|%.*s|%%|%d|%u|%x", "a", 2, "bcd", -5, 7u, 255u), "a|bc|%|-5|7|ff");
    SBT_EXPECT(sb_format("%lld %ld %zu %llu", (long long)INT64_MIN, -1L, (size_t)9, (unsigned long long)UINT64_MAX),
               "-9223372036854775808 -1 9 18446744073709551615");
    SBT_EXPECT(sb_format("%d", 0), "0");
    SBT_EXPECT(sb_format("%s", ""), "");
    SBT_EXPECT(sb_format("%.*s", 0, "a"), "");
    char *large = malloc(50001);
    memset(large, 'x', 50000), large[50000] = 0;
    SBT_CHECK(strlen(sb_format("%s%s%s", large, "-", large)) == 100001);
    free(large);
    sbi_end_call(false);
}

static void utf8(void) {
    static const struct { const char *bytes, *shown; } texts[] = {
        {"plain", "plain"}, {"a\xff""b", "a?b"}, {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc3", "?"}, {"\xe2\x82", "??"}, {"\xed\xa0\x80", "???"}, {"\xc0\x80", "??"}, {"\xf4\x90\x80\x80", "????"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        record_processor_string_t text = sbi_text(sb_str(texts[i].bytes));
        SBT_CHECK(text.len == strlen(texts[i].shown) && memcmp(text.ptr, texts[i].shown, text.len) == 0);
    }
    SBT_CHECK(!sb_is_text(sb_null()) && sb_is_text(sb_str("")) && sbi_text(sb_null()).len == 0);
    sbi_end_call(false);
}

int main(void) {
    format();
    utf8();
    loop();
    sbi_end_call(false);
    return 0;
}
