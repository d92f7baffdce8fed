#include <sandbar_testing.h>

int main() {
    SBT_CHECK(!sbt_open("{\"field\": \"ms\", \"at-least\": 5}"));
    SBT_CHECK(sbt_open("{\"field\": \"/ms\", \"at-least\": 5}"));
    SBT_CHECK(sbt_push("a", "{\"ms\":5}", 1000));
    SBT_CHECK(sbt_push("a", "{\"ms\":4}", 2000));
    SBT_EXPECT(sbt_output(), "out a={\"ms\":5} @1000");
    SBT_EXPECT(sbt_output(), nullptr);
    SBT_CHECK(!sbt_push("a", "not JSON", 3000));
}
