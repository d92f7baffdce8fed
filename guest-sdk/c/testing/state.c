// What the host in memory keeps: copies, and the state with the imports of it.
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

sbt_list sbt_changes, sbt_owned;

void sbt_add(sbt_list *to, void *item) {
    if (to->count == to->room) {
        to->room = to->room * 2 + 8;
        to->all = realloc(to->all, to->room * sizeof *to->all);
        if (!to->all) abort();
    }
    to->all[to->count++] = item;
}

void *sbt_own(const void *data, size_t size) {
    char *copy = malloc(size + 1);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    copy[size] = 0;
    sbt_add(&sbt_owned, copy);
    return copy;
}

sb_bytes sbt_own_bytes(sb_bytes bytes) {
    return (sb_bytes){bytes.data ? sbt_own(bytes.data, bytes.size) : NULL, bytes.size};
}

int sbt_compare(sb_bytes a, sb_bytes b) {
    if (!a.data || !b.data) return (a.data != NULL) - (b.data != NULL);
    size_t both = a.size < b.size ? a.size : b.size;
    int order = both ? memcmp(a.data, b.data, both) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static void check(uint8_t store, sb_store_kind kind, sb_bytes user_key, sb_bytes value) {
    const sb_store *declared = store < SB_MOST ? sandbar_plugin.stores[store] : NULL;
    bool good = declared && declared->kind == kind && user_key.size <= 4096 && value.size <= 1 << 20;
    if (!good) fprintf(stderr, "the host would trap: a wrong store, or too long a key or value\n"), abort();
    sbt_now.keyless |= sb_is_null(sbt_now.key);
}

static void change(uint8_t store, sb_store_kind kind, bool all, sb_bytes user_key, sb_bytes value) {
    check(store, kind, user_key, value);
    sbt_change it = {store, all, sbt_now.key, sbt_own_bytes(user_key), sbt_own_bytes(value)};
    sbt_add(&sbt_changes, sbt_own(&it, sizeof it));
}

static bool concerns(const sbt_change *it, uint8_t store, sb_bytes key) {
    return it->store == store && key.data && sbt_compare(it->key, key) == 0;
}

/// The value of a value store, or of an entry: what was said of it last.
static sb_bytes value_of(uint8_t store, sb_bytes key, sb_bytes user_key) {
    for (size_t i = sbt_changes.count; i-- > 0;) {
        const sbt_change *it = sbt_changes.all[i];
        if (concerns(it, store, key) && (it->all || sbt_compare(it->user_key, user_key) == 0)) return it->value;
    }
    return sb_null();
}

static bool begins(sb_bytes bytes, sb_bytes with) {
    return bytes.data && bytes.size >= with.size && (!with.size || memcmp(bytes.data, with.data, with.size) == 0);
}

/// The first user key behind `after`; null: there is none.
static sb_bytes next_entry(uint8_t store, sb_bytes key, sb_bytes prefix, sb_bytes after) {
    sb_bytes first = sb_null();
    for (size_t i = 0; i < sbt_changes.count; i++) {
        const sbt_change *it = sbt_changes.all[i];
        if (!concerns(it, store, key) || !begins(it->user_key, prefix)) continue;
        if (sbt_compare(it->user_key, after) <= 0) continue;
        if (first.data && sbt_compare(it->user_key, first) >= 0) continue;
        if (value_of(store, key, it->user_key).data) first = it->user_key;
    }
    return first;
}

/// Where the items of a list begin: behind what took all away.
static size_t first_item(uint8_t store, sb_bytes key) {
    for (size_t i = sbt_changes.count; i-- > 0;) {
        const sbt_change *it = sbt_changes.all[i];
        if (it->all && concerns(it, store, key)) return i + 1;
    }
    return 0;
}

static sb_bytes given(const record_processor_list_u8_t *list) {
    return (sb_bytes){list ? (const char *)list->ptr : NULL, list ? list->len : 0};
}

/// As the host does it, what it gives lies in the memory of the call.
static record_processor_list_u8_t handed(sb_bytes bytes) {
    return (record_processor_list_u8_t){(uint8_t *)sb_copy(bytes).data, bytes.size};
}

bool sandbar_plugin_state_get(uint8_t store, record_processor_list_u8_t *out) {
    check(store, SB_VALUE, sb_null(), sb_null());
    *out = handed(value_of(store, sbt_now.key, sb_null()));
    return out->ptr;
}
void sandbar_plugin_state_put(uint8_t store, record_processor_list_u8_t *value) {
    change(store, SB_VALUE, false, sb_null(), given(value));
}
void sandbar_plugin_state_delete(uint8_t store) { change(store, SB_VALUE, false, sb_null(), sb_null()); }
void sandbar_plugin_state_append(uint8_t store, record_processor_list_u8_t *item) {
    change(store, SB_LIST, false, sb_null(), given(item));
}
void sandbar_plugin_state_items(uint8_t store, record_processor_list_list_u8_t *out) {
    check(store, SB_LIST, sb_null(), sb_null());
    *out = (record_processor_list_list_u8_t){sb_alloc(sbt_changes.count * sizeof *out->ptr), 0};
    for (size_t i = first_item(store, sbt_now.key); i < sbt_changes.count; i++) {
        const sbt_change *it = sbt_changes.all[i];
        if (concerns(it, store, sbt_now.key)) out->ptr[out->len++] = handed(it->value);
    }
}
bool sandbar_plugin_state_get_entry(uint8_t store, record_processor_list_u8_t *key, record_processor_list_u8_t *out) {
    check(store, SB_MAP, given(key), sb_null());
    *out = handed(value_of(store, sbt_now.key, given(key)));
    return out->ptr;
}
void sandbar_plugin_state_put_entry(uint8_t store, record_processor_list_u8_t *key, record_processor_list_u8_t *value) {
    change(store, SB_MAP, false, given(key), given(value));
}
void sandbar_plugin_state_delete_entry(uint8_t store, record_processor_list_u8_t *key) {
    change(store, SB_MAP, false, given(key), sb_null());
}
void sandbar_plugin_state_scan(uint8_t store, record_processor_list_u8_t *prefix, record_processor_list_u8_t *after,
                               uint32_t limit, record_processor_list_tuple2_list_u8_list_u8_t *out) {
    check(store, SB_MAP, given(prefix), sb_null());
    sb_bytes at = given(after);
    if (limit > 1000) limit = 1000;
    *out = (record_processor_list_tuple2_list_u8_list_u8_t){sb_alloc(limit * sizeof *out->ptr), 0};
    while (out->len < limit && (at = next_entry(store, sbt_now.key, given(prefix), at)).data) {
        record_processor_list_u8_t value = handed(value_of(store, sbt_now.key, at));
        out->ptr[out->len++] = (record_processor_tuple2_list_u8_list_u8_t){handed(at), value};
    }
}
void sandbar_plugin_state_clear(uint8_t store) {
    bool is_map = store < SB_MOST && sandbar_plugin.stores[store] && sandbar_plugin.stores[store]->kind == SB_MAP;
    change(store, is_map ? SB_MAP : SB_LIST, true, sb_null(), sb_null());
}

const char *sbt_state(const char *name, const char *key) {
    uint8_t store = 0;
    for (; store < SB_MOST && sandbar_plugin.stores[store]; store++)
        if (strcmp(sandbar_plugin.stores[store]->name, name) == 0) break;
    const sb_store *declared = store < SB_MOST ? sandbar_plugin.stores[store] : NULL;
    if (!declared) fprintf(stderr, "there is no store %s\n", name), abort();
    sb_bytes of = sb_str(key), at = sb_null();
    const char *text = "", *comma = "";
    if (declared->kind == SB_VALUE && value_of(store, of, at).data) text = value_of(store, of, at).data;
    for (size_t i = declared->kind == SB_LIST ? first_item(store, of) : sbt_changes.count; i < sbt_changes.count; i++) {
        const sbt_change *it = sbt_changes.all[i];
        if (!concerns(it, store, of)) continue;
        text = sb_format("%s%s%s", text, comma, it->value.data), comma = ",";
    }
    while (declared->kind == SB_MAP && (at = next_entry(store, of, sb_null(), at)).data) {
        const char *entry = sb_format("%s:%s", sb_of_text(at).json.data, value_of(store, of, at).data);
        text = sb_format("%s%s%s", text, comma, entry), comma = ",";
    }
    if (!*text) return NULL;
    if (declared->kind != SB_VALUE) text = sb_format(declared->kind == SB_LIST ? "[%s]" : "{%s}", text);
    text = sbt_own(text, strlen(text));
    sbi_end_call(false);
    return text;
}
