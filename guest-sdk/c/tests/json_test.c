// The reader against what it must take and must refuse, and bytes changed by chance; the writer against the reader.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../src/internal.h"
#include "sandbar_testing.h"

static sb_result process(const sb_event *event) { return event ? SB_DONE : SB_DONE; }
SANDBAR_PLUGIN(.name = "none", .version = "0.1.0", .process = process);

/// Reads bytes of which the sanitizer sees the end, and writes what was read.
static const char *again(const char *text, size_t size) {
    const char *error;
    char *exact = malloc(size + !size);
    if (size) memcpy(exact, text, size);
    const sb_json *read = sb_read_json((sb_bytes){exact, size}, &error);
    free(exact);
    SBT_CHECK(!read == (error != NULL));
    return read ? sb_of_json(read).json.data : NULL;
}

static void takes(const char *text, const char *compact) { SBT_EXPECT(again(text, strlen(text)), compact); }

static void refuses(const char *text) {
    if (!again(text, strlen(text))) return;
    fprintf(stderr, "taken: %s\n", text);
    exit(1);
}

static void grammar(void) {
    takes("null", "null");
    takes(" [ ] ", "[]");
    takes("\t{\"a\" : [1 ,2.50e+1,-0, true,false,null] }\r\n", "{\"a\":[1,2.50e+1,-0,true,false,null]}");
    takes("\"\\u0041\\n\\/\\\"\\u00e9\\ud83d\\ude00\"", "\"A\\n/\\\"\xc3\xa9\xf0\x9f\x98\x80\"");
    takes("\"\\u0000\\u001f\\u007f\"", "\"\\u0000\\u001f\x7f\"");
    takes("123456789012345678901234567890", "123456789012345678901234567890");
    takes("{\"\":{\"\":[]}}", "{\"\":{\"\":[]}}");
    static const char *const wrong[] = {
        "", " ", "nul", "nulll", "True", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "}", "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "{'a':1}", "{\"a\":1", "{\"a\"", "{\"a\":1 \"b\":2}", "\"", "\"a",
        "'a'", "\"\\\"", "\"\\x\"", "\"\\", "\"\\u\"", "\"\\u12\"", "\"\\u123g\"", "\"\\ud800\"",
        "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\ud800\\", "\"\\ud800x\"", "\"\n\"", "\"\x01\"", "\"\x80\"",
        "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xe2\x82\"", "\"\xf4\x90\x80\x80\"", "\"\xff\"",
        "\"\xf8\x88\x80\x80\x80\"", "01", "-", "-01", "+1", "1.", ".5", "1.e1", "1e", "1e+", "0x1", "1_0", "NaN",
        "Infinity", "-Infinity", "1 2", "[] []", "/**/1", "[1]//", "\xef\xbb\xbf\x31", "\xff\xfe", "\\u0031",
        "\"\\B\"", "\"\\\b\"", "[1}", "{\"a\":1]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) refuses(wrong[i]);
    SBT_CHECK(!again("1\0", 2) && !again("\0", 1) && !again("\"a\0b\"", 5));
}

static void depth(void) {
    char deep[1000];
    for (int levels = 127; levels < 130; levels++) {
        memset(deep, '[', (size_t)levels), memset(deep + levels, ']', (size_t)levels);
        SBT_CHECK(!again(deep, 2 * (size_t)levels) == (levels > 128));
    }
    size_t size = 8 << 20;
    char *hostile = malloc(size);
    memset(hostile, '[', size);
    SBT_CHECK(!again(hostile, size));
    for (size_t i = 0; i + 5 <= size; i += 5) memcpy(hostile + i, "{\"a\":", 5);
    SBT_CHECK(!again(hostile, size));
    free(hostile);
}

static void numbers(void) {
    static const struct { const char *text; bool whole; int64_t number; } ints[] = {
        {"0", true, 0}, {"-0", true, 0}, {"9223372036854775807", true, INT64_MAX}, {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN}, {"-9223372036854775809", false, 0}, {"1.0", false, 0},
        {"1e2", false, 0}, {"\"1\"", false, 0}, {"null", false, 0},
        {"18446744073709551617", false, 0}, {"99999999999999999999999999999999", false, 0},
    };
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        sbi_end_call(false);
        SBT_CHECK(sb_as_int(sb_read_json(sb_str(ints[i].text), NULL)) == ints[i].number);
        SBT_CHECK(!sb_has_problem() == ints[i].whole);
    }
    sbi_end_call(false);
    SBT_CHECK(sb_as_double(sb_read_json(sb_str("-2.5e3"), NULL)) == -2500 && !sb_has_problem());
    SBT_CHECK(sb_as_double(sb_read_json(sb_str("1e400"), NULL)) == 0);
    SBT_EXPECT(sb_has_problem(), "a number of 64 bits was expected");
    sbi_end_call(false);
    static const struct { double number; const char *text; } doubles[] = {
        {0, "0"}, {-3, "-3"}, {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"}, {1e15, "1000000000000000"}, {-2.5, "-2.5"},
    };
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        SBT_EXPECT(sb_of_double(doubles[i].number).json.data, doubles[i].text);
    srand(1);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = 0;
        for (int k = 0; k < 5; k++) bits = bits << 15 ^ (uint64_t)rand();
        double number;
        memcpy(&number, &bits, sizeof number);
        if (!isfinite(number)) continue;
        SBT_CHECK(sb_as_double(sb_read_json(sb_of_double(number).json, NULL)) == number);
        sbi_end_call(false);
    }
    sb_of_double(NAN);
    SBT_EXPECT(sb_has_problem(), "a number that JSON cannot say");
    sbi_end_call(false);
}

static void members(void) {
    const sb_json *read = sb_read_json(sb_str("{\"a\":1,\"t\":\"x\",\"n\":null,\"b\":true,\"a\":2}"), NULL);
    SBT_CHECK(sb_int(read, "a") == 2 && sb_equal(sb_text(read, "t"), "x") && sb_bool(read, "b") && read->count == 5);
    SBT_CHECK(sb_int_or(read, "n", 7) == 7 && sb_int_or(read, "absent", 8) == 8 && sb_double(read, "a") == 2);
    SBT_CHECK(!sb_has_problem() && !sb_member(NULL, "a") && !sb_member(read->first, "a"));
    sb_int_or(read, "t", 7);
    SBT_EXPECT(sb_has_problem(), "\"t\": a whole number of 64 bits was expected");
    sbi_end_call(false);
}

static void durations(void) {
    static const struct { const char *text; int64_t ms; } good[] = {
        {"0s", 0}, {"1ms", 1}, {"10s", 10000}, {"-2m", -120000}, {"1h", 3600000}, {"7d", 604800000},
        {"1000000000000000ms", 1000000000000000},
    };
    static const char *const wrong[] = {"", "s", "10", "10 s", "+1s", "--1s", "1.5s", "1s ", "1S", "1w", "-", "-s",
                                        "99999999999d", "99999999999999999999ms", "1000000000000001ms"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const char *text = sb_format("{\"d\":\"%s\"}", good[i].text);
        SBT_CHECK(sb_duration(sb_read_json(sb_str(text), NULL), "d") == good[i].ms && !sb_has_problem());
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sb_as_duration(sb_read_json(sb_str(sb_format("\"%s\"", wrong[i])), NULL));
        SBT_CHECK(sb_has_problem());
        sbi_end_call(false);
    }
    SBT_CHECK(sb_duration_or(NULL, "d", 5) == 5 && !sb_has_problem());
    sb_duration(sb_read_json(sb_str("{\"d\":10}"), NULL), "d");
    SBT_EXPECT(sb_has_problem(),
               "\"d\": a duration such as \"10s\" (a whole number and ms, s, m, h or d) was expected");
    sbi_end_call(false);
}

/// The examples of RFC 6901, and what leads nowhere.
static void pointers(void) {
    const char *document =
        "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"m~n\":8,\"~1\":9,\"e\":{\"f\":7},\"0\":3}";
    static const struct { const char *pointer, *part; } all[] = {
        {"/foo", "[\"bar\",\"baz\"]"}, {"/foo/0", "\"bar\""}, {"/foo/1", "\"baz\""}, {"/", "0"}, {"/a~1b", "1"},
        {"/c%d", "2"}, {"/m~0n", "8"}, {"/~01", "9"}, {"/e/f", "7"}, {"/0", "3"}, {"/foo/2", NULL}, {"/foo/-", NULL},
        {"/foo/01", NULL}, {"/foo/", NULL}, {"/e/f/g", NULL}, {"/e/", NULL}, {"foo", NULL}, {"/m~n", NULL},
        {"/m~", NULL}, {"/foo/99999999999999999999", NULL},
    };
    const sb_json *read = sb_read_json(sb_str(document), NULL);
    SBT_CHECK(sb_find(read, sb_str("")) == read && !sb_find(NULL, sb_str("/a")));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const sb_json *part = sb_find(read, sb_str(all[i].pointer));
        SBT_EXPECT(part ? sb_of_json(part).json.data : NULL, all[i].part);
    }
    const sb_json *config = sb_read_json(sb_str("{\"at\":\"/a~1b\",\"not\":\"a\"}"), NULL);
    SBT_CHECK(sb_equal(sb_pointer(config, "at"), "/a~1b") && !sb_has_problem());
    sb_pointer(config, "not");
    SBT_EXPECT(sb_has_problem(), "\"not\": a JSON pointer such as \"/user/age\" was expected");
    sbi_end_call(false);
}

static void writing(void) {
    sb_writer out = {0};
    sb_begin_object(&out);
    sb_field(&out, "a:", sb_of_text(sb_str("\"\\\b\x1f:")));
    sb_name(&out, sb_str("list"));
    sb_begin_array(&out);
    for (int i = 0; i < 3; i++) sb_add(&out, sb_of_int(i));
    sb_begin_array(&out);
    sb_end(&out);
    sb_begin_object(&out);
    sb_end(&out);
    sb_end(&out);
    sb_field(&out, "none", sb_of_text(sb_null()));
    sb_end(&out);
    const char *wanted = "{\"a:\":\"\\\"\\\\\\b\\u001f:\",\"list\":[0,1,2,[],{}],\"none\":null}";
    SBT_EXPECT(sb_written(&out).json.data, wanted);
    takes(wanted, wanted);
    sb_of_text((sb_bytes){"\xff", 1});
    SBT_EXPECT(sb_has_problem(), "a text is not UTF-8");
    sbi_end_call(false);
}

/// A document with bytes changed, left out and cut: whatever is taken is read again as the same.
static void chance(void) {
    static const char document[] =
        "{\"a\":[1,-2.5e+3,\"\\u00e9\\ud83d\\ude00 \xc3\xa9\",{\"b\":null,\"\":true}],\"c\":\"\\\\\\\"\"}";
    static const char letters[] = "{}[]:,\"\\u0123dDeE+-. \ntfn\x80\xc3\xff";
    srand(2);
    int taken = 0;
    for (int i = 0; i < 200000; i++) {
        char bytes[sizeof document];
        size_t size = sizeof document - 1;
        memcpy(bytes, document, sizeof document);
        for (int changes = rand() % 3 + 1; changes && size; changes--) {
            size_t at = (size_t)rand() % size;
            if (rand() % 4) bytes[at] = letters[(size_t)rand() % sizeof letters];
            else if (rand() % 2) memmove(bytes + at, bytes + at + 1, --size - at);
            else size = at + 1;
        }
        const char *once = again(bytes, size);
        if (once) SBT_EXPECT(again(once, strlen(once)), once), taken++;
        sbi_end_call(false);
    }
    SBT_CHECK(taken > 2000);
}

int main(void) {
    grammar();
    depth();
    numbers();
    members();
    durations();
    pointers();
    writing();
    chance();
    sbi_end_call(false);
    SBT_CHECK(sbi_held() < 65536);
    return 0;
}
