// What the two parts of the tests' host know of each other.
#ifndef SANDBAR_TESTING_INTERNAL_H
#define SANDBAR_TESTING_INTERNAL_H

#include "../src/internal.h"
#include "sandbar_testing.h"

typedef struct sbt_list {
    void **all;
    size_t count, room, taken;
} sbt_list;

/// A change of the state: without a value it takes away, with `all` whatever was before.
typedef struct sbt_change {
    uint8_t store;
    bool all;
    sb_bytes key, user_key, value;
} sbt_change;

/// The call that runs.
typedef struct sbt_call {
    uint64_t number;
    sb_bytes key;
    int64_t timestamp;
    /// It asked for state, and has no key.
    bool keyless;
} sbt_call;
extern sbt_call sbt_now;

/// The state is what all changes of it come to.
extern sbt_list sbt_changes;

void sbt_add(sbt_list *to, void *item);
/// Copies that last until the next `sbt_open` frees them.
extern sbt_list sbt_owned;
void *sbt_own(const void *data, size_t size);
sb_bytes sbt_own_bytes(sb_bytes bytes);
/// The order of bytes; null is the first.
int sbt_compare(sb_bytes a, sb_bytes b);

#endif
