// The conformance plugin by the host in memory: what a run of its cases shows too, without WebAssembly.
#include <inttypes.h>

#include "sandbar_testing.h"

static void opens(const char *what) { SBT_CHECK(sbt_open(sb_format("{\"do\":\"%s\"}", what))); }

static void nothing_more(void) { SBT_EXPECT(sbt_output(), NULL); }

static void records(void) {
    opens("echo");
    sb_header headers[] = {{sb_str("h"), sb_str("1")}, {sb_str("n"), sb_null()}};
    sb_event event = {.key = sb_str("a"), .value = sb_null(), .timestamp = -1, .headers = headers, .header_count = 2};
    SBT_CHECK(sbt_push_event(&event) && sbt_push(NULL, "", INT64_C(9007199254740993)));
    SBT_EXPECT(sbt_output(), "out a=null @-1 h=1 n=null");
    SBT_EXPECT(sbt_output(), "out null= @9007199254740993");
    SBT_CHECK(sbt_metric("events") == 2);
}

static void state(void) {
    opens("count");
    SBT_CHECK(sbt_push("a", "x", 1) && sbt_push("b", "x", 2) && sbt_push("a", "x", 3) && !sbt_push(NULL, "x", 4));
    SBT_EXPECT(sbt_output(), "out a=1 @1");
    SBT_EXPECT(sbt_output(), "out b=1 @2");
    SBT_EXPECT(sbt_output(), "out a=2 @3");
    SBT_EXPECT(sbt_state("count", "a"), "2");
    opens("list");
    SBT_CHECK(sbt_push("a", "x", 1) && sbt_push("a", "\"\xc3\xa9\n", 2) && sbt_push("a", NULL, 3));
    SBT_EXPECT(sbt_output(), "out a=[\"x\"] @1");
    SBT_EXPECT(sbt_output(), "out a=[\"x\",\"\\\"\xc3\xa9\\n\"] @2");
    SBT_EXPECT(sbt_output(), "out a=cleared @3");
    SBT_EXPECT(sbt_state("seen", "a"), NULL);
    opens("map");
    SBT_CHECK(sbt_push("a", "y", 1) && sbt_push("a", "x", 2) && sbt_push("a", "y", 3) && sbt_push("a", "-x", 4));
    SBT_EXPECT(sbt_output(), "out a={\"y\":1} @1");
    SBT_EXPECT(sbt_output(), "out a={\"x\":1,\"y\":1} @2");
    SBT_EXPECT(sbt_output(), "out a={\"x\":1,\"y\":2} @3");
    SBT_EXPECT(sbt_output(), "out a={\"y\":2} @4");
    SBT_CHECK(sbt_push("a", NULL, 5));
    SBT_EXPECT(sbt_output(), "out a={} @5");
    opens("delete");
    SBT_CHECK(sbt_push("a", "x", 1));
    SBT_EXPECT(sbt_output(), "out a=deleted @1");
}

static void timers(void) {
    opens("timer");
    SBT_CHECK(sbt_push("b", "x", 0) && sbt_push("a", "x", 0) && sbt_push("a", "x", 0) && sbt_advance(999));
    nothing_more();
    SBT_CHECK(sbt_advance(1000));
    SBT_EXPECT(sbt_output(), "out a=1000 1 @1000");
    SBT_EXPECT(sbt_output(), "out b=1000 1 @1000");
    nothing_more();
    opens("rearm");
    SBT_CHECK(sbt_push("a", "x", 0) && sbt_advance(5000));
    SBT_EXPECT(sbt_output(), "out a=1000 1 @1000");
    SBT_EXPECT(sbt_output(), "out a=1500 2 @1500");
    SBT_EXPECT(sbt_output(), "out a=2000 3 @2000");
    nothing_more();
    opens("cancel");
    SBT_CHECK(sbt_push("a", "x", 0) && sbt_advance(5000));
    SBT_EXPECT(sbt_output(), "out a=2000 1 @2000");
    nothing_more();
    opens("clock-timer");
    SBT_CHECK(sbt_push("a", "x", 7) && sbt_clock(1));
    SBT_EXPECT(sbt_output(), "out a=clock 0 @0");
}

static void windows(void) {
    opens("window");
    SBT_CHECK(sbt_push("a", "x", -1) && sbt_push("a", "x", -1000) && sbt_push("a", "x", 0) && sbt_advance(-1));
    SBT_EXPECT(sbt_output(), "out a=-1000 2 @-1");
    SBT_CHECK(sbt_push("a", "x", -2) && sbt_advance(499) && sbt_push("a", "x", -3) && sbt_advance(999));
    SBT_EXPECT(sbt_output(), "out a=-1000 3 @-1");
    SBT_EXPECT(sbt_output(), "out a=late @-3");
    SBT_EXPECT(sbt_output(), "out a=0 1 @999");
    SBT_CHECK(sbt_advance(1499));
    SBT_EXPECT(sbt_state("windows", "a"), NULL);
    opens("session");
    SBT_CHECK(sbt_push("a", "x", 0) && sbt_push("a", "x", 2000) && sbt_push("a", "x", 1000) && sbt_advance(2999));
    SBT_EXPECT(sbt_output(), "out a=0 3000 3 @2999");
    SBT_CHECK(sbt_push("a", "x", 1999));
    SBT_EXPECT(sbt_output(), "out a=late @1999");
    nothing_more();
}

static void refusals(void) {
    static const char *const ways[] = {"skip", "dead-letter", "fail", "retry"};
    opens("refuse");
    for (int i = 0; i < 4; i++) {
        SBT_CHECK(!sbt_push("a", ways[i], 1));
        SBT_EXPECT(sbt_why(), sb_format("%s: told to", ways[i]));
    }
    SBT_EXPECT(sbt_state("count", "a"), NULL);
    nothing_more();
    SBT_CHECK(sbt_push("a", "x", 1) && sbt_metric("events") == 5);
    opens("error");
    SBT_CHECK(!sbt_push("a", "bad", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: no good");
    SBT_CHECK(!sbt_open("{\"do\":\"nothing\"}"));
    SBT_EXPECT(sbt_why(), "unknown: nothing");
    SBT_CHECK(!sbt_open("{}") && !sbt_open(NULL) && !sbt_open("[1"));
    SBT_CHECK(!sbt_open("{\"do\":\"config\",\"number\":\"7\"}"));
}

static void language(void) {
    static const char *const passing[] = {"panic", "loop", "memory", "print", "log"};
    for (int i = 0; i < 5; i++) {
        opens(passing[i]);
        SBT_CHECK(sbt_push("a", "x", 1));
        SBT_EXPECT(sbt_output(), "out a=x @1");
    }
    SBT_EXPECT(sbt_log(), "info: line 0");
    for (int i = 1; i < 1999; i++) sbt_log();
    SBT_EXPECT(sbt_log(), "info: line 1999");
    SBT_EXPECT(sbt_log(), NULL);
    opens("clock");
    SBT_CHECK(sbt_push("a", "x", 1) && sbt_output() && sbt_message()->value.size == 13);
    opens("random");
    SBT_CHECK(sbt_push("a", "x", 1) && sbt_output() && sbt_message()->value.size == 16);
    opens("files");
    SBT_CHECK(sbt_push("a", "x", 1) && sbt_output());
    SBT_CHECK(sbt_open("{\"do\":\"config\",\"number\":7}") && sbt_push("a", "x", 1));
    SBT_EXPECT(sbt_output(), "out a=7 @1");
}

int main(void) {
    records();
    state();
    timers();
    windows();
    refusals();
    language();
    return 0;
}
