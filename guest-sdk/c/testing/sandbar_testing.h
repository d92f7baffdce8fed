// A host in memory, for the tests of a plugin: a C program made of the plugin, the SDK, this and the test, by any
// compiler. It calls the plugin record by record, as the real host does.
//
//     sbt_open("{\"after\": 10}");
//     sbt_push("a", "x", 100);
//     sbt_advance(200);
//     SBT_EXPECT(sbt_output(), "out a=is quiet @110");
//     SBT_EXPECT(sbt_output(), NULL);
#ifndef SANDBAR_TESTING_H
#define SANDBAR_TESTING_H

#include <sandbar.h>

#ifdef __cplusplus
extern "C" {
#endif

// Where a function says true or false, false is a call that was refused or failed: `sbt_why` has the reason, and what
// the call put out, wrote and set is taken back. A text that is given stays until the next call of the same function.

/// Begins anew, with nothing kept, and opens the plugin with a configuration in JSON; NULL is none.
bool sbt_open(const char *config);
/// A record comes, and then the timers fire that are due. NULL is a null key or value.
bool sbt_push(const char *key, const char *value, int64_t timestamp);
/// The same with all that a record can have. Headers reach only a plugin that needs them.
bool sbt_push_event(const sb_event *event);
/// Event time moves, never back. What is due by then fires in order of time, the timer's name, and key. False if one
/// failed; it stays set.
bool sbt_advance(int64_t watermark);
/// The host's clock moves; what is due by it fires.
bool sbt_clock(int64_t now);
/// Why the last call was false, such as "dead-letter: no price"; NULL if it was true.
const char *sbt_why(void);

/// The next record that was put out, as "out key=value @1000", behind it headers as " name=value"; NULL: there is none.
const char *sbt_output(void);
/// The record that `sbt_output` told of last, for bytes that are no text.
const sb_message *sbt_message(void);
/// What a store has for a key: a value, a list as an array, a map as an object; NULL: nothing.
const char *sbt_state(const char *store, const char *key);
/// How many timers are set.
size_t sbt_timers(void);
/// What a metric stands at.
double sbt_metric(const char *name);
/// The next line of the log, as "info: text"; NULL: there is none.
const char *sbt_log(void);

/// Ends the program with exit code 1 unless both texts are the same, or both NULL.
#define SBT_EXPECT(got, wanted) sbt_expect(got, wanted, __FILE__, __LINE__)
/// The same unless a condition holds; in a release build too, where `assert` checks nothing.
#define SBT_CHECK(...) sbt_expect((__VA_ARGS__) ? "true" : "false: " #__VA_ARGS__, "true", __FILE__, __LINE__)
void sbt_expect(const char *got, const char *wanted, const char *file, int line);

#ifdef __cplusplus
}
#endif
#endif
