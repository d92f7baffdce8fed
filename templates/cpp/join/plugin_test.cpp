#include <sandbar_testing.h>

static bool push(const char *input, const char *value, int64_t timestamp) {
    sb_event event{.key = sb_str("a"), .value = sb_str(value), .timestamp = timestamp, .input = input};
    return sbt_push_event(&event);
}

int main() {
    SBT_CHECK(!sbt_open("{\"kind\": \"left\", \"within\": {}}"));
    SBT_CHECK(sbt_open("{\"kind\": \"inner\", \"within\": {\"before\": \"1s\", \"after\": \"5s\"}}"));
    SBT_CHECK(push("left", "{\"order\":1}", 10000));
    SBT_CHECK(push("right", "{\"paid\":1}", 15000));
    SBT_CHECK(push("right", "{\"paid\":2}", 15001));
    SBT_EXPECT(sbt_output(), "out a={\"left\":{\"order\":1},\"right\":{\"paid\":1}} @15000");
    SBT_EXPECT(sbt_output(), nullptr);
    SBT_CHECK(sbt_advance(16001));
    SBT_EXPECT(sbt_state("left", "a"), nullptr);
    SBT_EXPECT(sbt_state("right", "a"), nullptr);
    SBT_CHECK(push("left", "{\"order\":2}", 16001));
    SBT_EXPECT(sbt_output(), "late a={\"order\":2} @16001");
}
