#include <sandbar_testing.h>

int main(void) {
    SBT_CHECK(sbt_open(NULL));
    SBT_CHECK(sbt_push("a", "x", 1000));
    SBT_CHECK(sbt_push("a", "y", 2000));
    SBT_EXPECT(sbt_output(), "out a=1 @1000");
    SBT_EXPECT(sbt_output(), "out a=2 @2000");
    SBT_EXPECT(sbt_state("total", "a"), "2");
}
