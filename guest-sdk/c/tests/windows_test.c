// Windows: at which moments they are over, what is late, and that they are what a naive account of them says.
#include <stdio.h>
#include <stdlib.h>

#include "sandbar_testing.h"

// What is folded: the numbers of the records, in the order of their arrival.
static sb_value collect(const sb_json *before, const sb_event *event) {
    sb_writer out = {0};
    sb_begin_array(&out);
    for (const sb_json *one = before ? before->first : NULL; one; one = one->next) sb_add(&out, sb_of_json(one));
    sb_add(&out, sb_of_json(sb_event_json(event)));
    sb_end(&out);
    return sb_written(&out);
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static sb_value both(const sb_json *one, const sb_json *other) {
    int numbers[100], count = 0;
    for (const sb_json *of = one->first; of; of = of->next) numbers[count++] = (int)sb_as_int(of);
    for (const sb_json *of = other->first; of; of = of->next) numbers[count++] = (int)sb_as_int(of);
    qsort(numbers, (size_t)count, sizeof *numbers, by_number);
    sb_writer out = {0};
    sb_begin_array(&out);
    for (int i = 0; i < count; i++) sb_add(&out, sb_of_int(numbers[i]));
    sb_end(&out);
    return sb_written(&out);
}

static void put(const sb_window *window) {
    const char *value = sb_of_json(window->value).json.data;
    sb_emit(window->key, sb_str(sb_format("%lld %lld %s", (long long)window->start, (long long)window->end, value)));
}

SANDBAR_WINDOWS(views, collect, put, .merge = both);

static sb_result open_by(const sb_json *config) {
    int64_t lateness = sb_duration_or(config, "late", 0), size = sb_duration_or(config, "size", 10);
    if (sb_member(config, "gap")) sb_sessions(&views, sb_duration(config, "gap"), lateness);
    else if (sb_member(config, "every")) sb_hopping(&views, size, sb_duration(config, "every"), lateness);
    else sb_tumbling(&views, size, lateness);
    return SB_DONE;
}

static sb_result process(const sb_event *event) {
    if (!sb_add_to_windows(&views, event)) sb_pass_to(event, "late");
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "windows", .version = "0.1.0", .outputs = {"out", "late"}, .stores = {&views.store},
               .timers = {&views.timer}, .open = open_by, .process = process);

/// A record comes, and event time behind it.
static void step(const char *number, int64_t time, int64_t watermark) {
    SBT_CHECK(sbt_push("k", number, time) && sbt_advance(watermark));
}

static void nothing_is_left(void) {
    SBT_EXPECT(sbt_output(), NULL);
    SBT_EXPECT(sbt_state("views", "k"), NULL);
    SBT_CHECK(sbt_timers() == 0);
}

static void scenes(void) {
    SBT_CHECK(sbt_open("{\"size\":\"10ms\",\"late\":\"5ms\"}"));
    step("1", 3, 8), step("2", 9, 9), step("3", 4, 13), step("4", 5, 14), step("5", 12, 14);
    SBT_EXPECT(sbt_output(), "out k=0 10 [1,2] @9");
    SBT_EXPECT(sbt_output(), "out k=0 10 [1,2,3] @9");
    SBT_EXPECT(sbt_output(), "out k=0 10 [1,2,3,4] @9");
    SBT_EXPECT(sbt_state("views", "k"), "{\"timer\":19,\"windows\":[[10,20,[5]]]}");
    step("6", 6, 15), SBT_CHECK(sbt_advance(INT64_MAX));
    SBT_EXPECT(sbt_output(), "late k=6 @6");
    SBT_EXPECT(sbt_output(), "out k=10 20 [5] @19");
    nothing_is_left();
    SBT_CHECK(sbt_open("{\"every\":\"4ms\"}"));
    step("1", -1, 0), SBT_CHECK(sbt_advance(INT64_MAX));
    SBT_EXPECT(sbt_output(), "out k=-8 2 [1] @1");
    SBT_EXPECT(sbt_output(), "out k=-4 6 [1] @5");
    nothing_is_left();
    SBT_CHECK(sbt_open("{\"gap\":\"5ms\"}"));
    step("1", 0, 0), step("2", 8, 0), step("3", 4, 0), step("4", 14, 0), SBT_CHECK(sbt_advance(INT64_MAX));
    SBT_EXPECT(sbt_output(), "out k=0 13 [1,2,3] @12");
    SBT_EXPECT(sbt_output(), "out k=14 19 [4] @18");
    nothing_is_left();
}

static void refusals(void) {
    static const char *const wrong[] = {
        "{\"size\":\"0s\"}", "{\"late\":\"-1ms\"}", "{\"every\":\"11ms\"}", "{\"size\":\"1d\",\"every\":\"1ms\"}",
        "{\"gap\":\"0s\"}",  "{\"gap\":5}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) SBT_CHECK(!sbt_open(wrong[i]));
    SBT_CHECK(sbt_open("{}"));
    SBT_CHECK(!sbt_push("k", "1", INT64_MAX) && !sbt_push("k", "1", INT64_MIN) && sbt_push("k", "1", INT64_MAX - 10));
    SBT_CHECK(!sbt_push(NULL, "1", 0));
    SBT_EXPECT(sbt_why(), "dead-letter: the record has no key");
    SBT_CHECK(!sbt_push("a", "no JSON", 5));
    SBT_EXPECT(sbt_state("views", "a"), NULL);
}

/// A window whose records are all kept.
typedef struct naive {
    int64_t start, end;
    int numbers[100], count;
} naive;
static naive open[200];
static size_t open_count;
static char said[1000][500];
static size_t said_count;

static void say(const naive *window) {
    char *text = said[said_count++];
    text += sprintf(text, "out k=%d %d [", (int)window->start, (int)window->end);
    for (int i = 0; i < window->count; i++) text += sprintf(text, "%s%d", i ? "," : "", window->numbers[i]);
    sprintf(text, "] @%d", (int)window->end - 1);
}

/// Adds a record; whether a window takes it.
static bool add(int64_t start, int64_t end, bool is_session, int number, int64_t time, int64_t late, int64_t now) {
    naive into = {start, end, {0}, 0};
    size_t kept = 0;
    for (size_t i = 0; is_session && i < open_count; i++) {
        if (open[i].start > end || open[i].end < time) continue;
        if (open[i].start < into.start) into.start = open[i].start;
        if (open[i].end > into.end) into.end = open[i].end;
    }
    if (into.end - 1 + late <= now) return false;
    for (size_t i = 0; i < open_count; i++) {
        naive *one = &open[i];
        bool same = is_session ? one->start <= end && one->end >= time : one->start == start;
        for (int k = 0; same && k < one->count; k++) into.numbers[into.count++] = one->numbers[k];
        if (!same) open[kept++] = *one;
    }
    into.numbers[into.count++] = number;
    qsort(into.numbers, (size_t)into.count, sizeof *into.numbers, by_number);
    if (into.end - 1 <= now) say(&into);
    open[kept++] = into;
    open_count = kept;
    return true;
}

static int by_end(const void *a, const void *b) { return (int)(((const naive *)a)->end - ((const naive *)b)->end); }

static void advance(int64_t from, int64_t to, int64_t late) {
    size_t kept = 0;
    qsort(open, open_count, sizeof *open, by_end);
    for (size_t i = 0; i < open_count; i++) {
        if (open[i].end - 1 > from && open[i].end - 1 <= to) say(&open[i]);
        if (open[i].end - 1 + late > to) open[kept++] = open[i];
    }
    open_count = kept;
}

/// Records and event time by chance: what comes out is what the account says.
static void by_chance(int size, int every, int gap, int late) {
    char config[100];
    if (gap) sprintf(config, "{\"gap\":\"%dms\",\"late\":\"%dms\"}", gap, late);
    else sprintf(config, "{\"size\":\"%dms\",\"every\":\"%dms\",\"late\":\"%dms\"}", size, every, late);
    SBT_CHECK(sbt_open(config));
    int64_t time = -40, now = INT64_MIN;
    open_count = said_count = 0;
    for (int i = 0; i < 60; i++) {
        time += rand() % (i % 9 ? 4 : 25);
        int64_t at = time - rand() % 14;
        char number[10];
        sprintf(number, "%d", i);
        SBT_CHECK(sbt_push("k", number, at));
        bool counts = gap && add(at, at + gap, true, i, at, late, now);
        for (int64_t start = at - size + 1; !gap && start <= at; start++)
            if (start % every == 0) counts |= add(start, start + size, false, i, at, late, now);
        if (!counts) sprintf(said[said_count++], "late k=%d @%d", i, (int)at);
        if (rand() % 2 && time - 5 > now) {
            advance(now, time - 5, late), now = time - 5;
            SBT_CHECK(sbt_advance(now));
        }
        for (size_t k = 0; k < said_count; k++) SBT_EXPECT(sbt_output(), said[k]);
        said_count = 0;
        SBT_EXPECT(sbt_output(), NULL);
    }
    SBT_CHECK(sbt_advance(INT64_MAX));
    while (sbt_output()) {}
    nothing_is_left();
}

int main(void) {
    scenes();
    refusals();
    srand(4);
    for (int i = 0; i < 30; i++) {
        int late = i % 3 * 7;
        by_chance(10, 10, 0, late), by_chance(10, 4, 0, late), by_chance(12, 3, 0, late);
        by_chance(0, 1, 4, late), by_chance(0, 1, 1, late);
    }
    return 0;
}
