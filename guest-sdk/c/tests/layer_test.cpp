// The C++ layer: typed configuration and state.
#include "sandbar_testing.h"

#include <sandbar.hpp>
#include <string>

namespace {

struct point {
    int64_t x, y;
};

}  // namespace

template <>
struct sandbar::json<point> {
    static point read(const sb_json *part) {
        return {sandbar::get<int64_t>(part, "x"), sandbar::get<int64_t>(part, "y")};
    }
    static sb_value write(point at) {
        sb_writer out{};
        sb_begin_object(&out);
        sb_field(&out, "x", sb_of_int(at.x));
        sb_field(&out, "y", sb_of_int(at.y));
        sb_end(&out);
        return sb_written(&out);
    }
};

namespace {

sandbar::value<point> place{"place"};
sandbar::list<std::string_view> words{"words"};
sandbar::map<uint32_t> by{{.name = "by", .version = 2}};
uint8_t step;
double rate;
bool loud;

int64_t count(int64_t before, const sb_event *) { return before + 1; }
int64_t sum(int64_t one, int64_t other) { return one + other; }
void put(const sandbar::window<int64_t> &window) {
    sandbar::emit(window.key, sandbar::object({{"start", window.start}, {"count", window.value}}));
}
sandbar::windows<int64_t, count, put> views{"views"};
sandbar::windows<int64_t, count, put, sum> visits{"visits"};

sb_result open_by(const sb_json *config) {
    views.hopping(10, 5, 5);
    visits.sessions(3);
    step = sandbar::get<uint8_t>(config, "step");
    rate = sandbar::get_or<double>(config, "rate", 0.5);
    loud = sandbar::get_or(config, "loud", false);
    return SB_DONE;
}

sb_result process(const sb_event *event) {
    std::string_view text = sandbar::view(sb_event_text(event));
    if (text.starts_with('[')) {
        auto numbers = sandbar::json<std::vector<int8_t>>::read(sb_event_json(event));
        numbers.push_back(5);
        sandbar::emit(event->key, sandbar::object({{"numbers", numbers}, {"as", sb_event_json(event)}}));
        return SB_DONE;
    }
    if (text == "view") return views.add(event) ? SB_DONE : sb_skip("late");
    if (text == "visit") return visits.add(event) ? SB_DONE : sb_skip("late");
    point at = place.get().value_or(point{0, 0});
    place.set({at.x + step, at.y - step});
    words.push(text);
    by.put(text, by.get(text).value_or(0) + 1);
    std::string all;
    for (std::string_view word : words.items()) all += word;
    for (auto [word, count] : by.scan()) all += std::string(word) + std::to_string(count);
    sandbar::emit(event->key, all);
    sandbar::emit(event->key, words.items().size());
    if (text == "end") place.remove(), words.clear(), by.remove("a");
    return SB_DONE;
}

}  // namespace

SANDBAR_PLUGIN(.name = "layer", .version = "0.1.0", .stores = {&place, &words, &by, &views.store, &visits.store},
               .timers = {&views.timer, &visits.timer}, .open = open_by, .process = process);

int main() {
    SBT_CHECK(!sbt_open("{\"step\":256}"));
    SBT_EXPECT(sbt_why(), "256 is out of range");
    SBT_CHECK(!sbt_open("{}"));
    SBT_EXPECT(sbt_why(), "\"step\" is missing");
    SBT_CHECK(!sbt_open("{\"step\":1,\"rate\":true}"));
    SBT_CHECK(sbt_open("{\"step\":2,\"rate\":0.25,\"loud\":true}") && rate == 0.25 && loud);
    SBT_CHECK(sbt_push("k", "b", 1) && sbt_push("k", "a", 2) && sbt_push("k", "b", 3));
    SBT_EXPECT(sbt_output(), "out k=bb1 @1");
    SBT_EXPECT(sbt_output(), "out k=1 @1");
    SBT_EXPECT(sbt_output(), "out k=baa1b1 @2");
    SBT_EXPECT(sbt_output(), "out k=2 @2");
    SBT_EXPECT(sbt_output(), "out k=baba1b2 @3");
    SBT_EXPECT(sbt_state("place", "k"), "{\"x\":6,\"y\":-6}");
    SBT_CHECK(sbt_push("k", "end", 4));
    SBT_EXPECT(sbt_state("place", "k"), nullptr);
    SBT_EXPECT(sbt_state("words", "k"), nullptr);
    SBT_EXPECT(sbt_state("by", "k"), "{\"b\":2,\"end\":1}");
    while (sbt_output()) {}
    SBT_CHECK(sbt_push("k", "view", 7) && sbt_push("k", "view", 12) && sbt_advance(9) && sbt_push("k", "view", 6));
    SBT_EXPECT(sbt_output(), "out k={\"start\":0,\"count\":1} @9");
    SBT_EXPECT(sbt_output(), "out k={\"start\":0,\"count\":2} @9");
    SBT_CHECK(sbt_push("k", "visit", 10) && sbt_push("k", "visit", 16) && sbt_push("k", "visit", 13));
    SBT_CHECK(!sbt_push("k", "visit", 4) && sbt_advance(1000));
    SBT_EXPECT(sbt_output(), "out k={\"start\":5,\"count\":3} @14");
    SBT_EXPECT(sbt_output(), "out k={\"start\":10,\"count\":3} @18");
    SBT_EXPECT(sbt_output(), "out k={\"start\":10,\"count\":1} @19");
    SBT_CHECK(sbt_push("k", "[1, -2]", 1) && !sbt_push("k", "[128]", 2) && !sbt_push("k", "[[]]", 2));
    SBT_EXPECT(sbt_output(), "out k={\"numbers\":[1,-2,5],\"as\":[1,-2]} @1");
    return 0;
}
