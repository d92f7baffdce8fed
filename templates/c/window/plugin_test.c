#include <sandbar_testing.h>

int main(void) {
    SBT_CHECK(sbt_open("{\"size\": \"10s\"}"));
    SBT_CHECK(sbt_push("a", "1", 1000));
    SBT_CHECK(sbt_push("a", "2", 9999));
    SBT_CHECK(sbt_push("a", "3", 10000));
    SBT_CHECK(sbt_advance(9999));
    SBT_EXPECT(sbt_output(), "out a={\"start\":0,\"end\":10000,\"count\":2} @9999");
    SBT_CHECK(sbt_push("a", "4", 2000));
    SBT_EXPECT(sbt_output(), "late a=4 @2000");
}
