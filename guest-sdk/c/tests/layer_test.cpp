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

sb_result open_by(const sb_json *config) {
    step = sandbar::get<uint8_t>(config, "step");
    rate = sandbar::get_or<double>(config, "rate", 0.5);
    loud = sandbar::get_or(config, "loud", false);
    return SB_DONE;
}

sb_result process(const sb_event *event) {
    std::string_view text = sandbar::view(sb_event_text(event));
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

SANDBAR_PLUGIN(.name = "layer", .version = "0.1.0", .stores = {&place, &words, &by}, .open = open_by,
               .process = process);

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
    return 0;
}
