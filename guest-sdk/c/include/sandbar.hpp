// A C++20 layer over sandbar.h: views instead of pointers and lengths, and typed configuration and state. Needs neither
// exceptions nor RTTI. Views live as long as the bytes in C do: until the call ends.
#ifndef SANDBAR_HPP
#define SANDBAR_HPP

#include <concepts>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbar.h"

namespace sandbar {

/// Bytes as a view; null as an empty one.
inline std::string_view view(sb_bytes bytes) { return {bytes.data ? bytes.data : "", bytes.size}; }
/// A view as bytes; never null.
inline sb_bytes bytes(std::string_view view) { return {view.data() ? view.data() : "", view.size()}; }

/// How a type is read from JSON and written to it: whole numbers, `double`, `bool`, `std::string_view`, vectors, and
/// parts of JSON as they are. Specialise it for a type of your own, with the same two functions.
template <class T>
struct json;

template <std::integral T>
struct json<T> {
    static T read(const sb_json *part) {
        int64_t number = sb_as_int(part);
        if (std::in_range<T>(number)) return static_cast<T>(number);
        sb_problem(sb_format("%lld is out of range", static_cast<long long>(number)));
        return 0;
    }
    static sb_value write(T number) {
        if (!std::in_range<int64_t>(number)) sb_problem("a number is out of the range of 64 bits with a sign");
        return sb_of_int(static_cast<int64_t>(number));
    }
};
template <>
struct json<bool> {
    static bool read(const sb_json *part) { return sb_as_bool(part); }
    static sb_value write(bool is) { return sb_of_bool(is); }
};
template <>
struct json<double> {
    static double read(const sb_json *part) { return sb_as_double(part); }
    static sb_value write(double number) { return sb_of_double(number); }
};
template <>
struct json<std::string_view> {
    static std::string_view read(const sb_json *part) { return view(sb_as_text(part)); }
    static sb_value write(std::string_view text) { return sb_of_text(bytes(text)); }
};
template <>
struct json<const sb_json *> {
    static const sb_json *read(const sb_json *part) { return part; }
    static sb_value write(const sb_json *part) { return sb_of_json(part); }
};
template <class T>
struct json<std::vector<T>> {
    static std::vector<T> read(const sb_json *part) {
        std::vector<T> all;
        if (!part || part->kind != SB_JSON_ARRAY) return sb_problem("an array was expected"), all;
        for (const sb_json *item = part->first; item; item = item->next) all.push_back(json<T>::read(item));
        return all;
    }
    static sb_value write(const std::vector<T> &all) {
        sb_writer out{};
        sb_begin_array(&out);
        for (const T &item : all) sb_add(&out, json<T>::write(item));
        sb_end(&out);
        return sb_written(&out);
    }
};

/// A member of a JSON object that is written.
struct field {
    const char *name;
    sb_value value;
    field(const char *name, sb_value value) : name(name), value(value) {}
    template <class T>
    field(const char *name, T value) : name(name), value(json<T>::write(value)) {}
};
/// A JSON object: `object({{"start", 1000}, {"count", count}})`.
inline sb_value object(std::initializer_list<field> fields) {
    sb_writer out{};
    sb_begin_object(&out);
    for (const field &one : fields) sb_field(&out, one.name, one.value);
    sb_end(&out);
    return sb_written(&out);
}

/// A member that has to be there; else a problem that names it.
template <class T>
T get(const sb_json *object, const char *name) {
    const sb_json *part = sb_member(object, name);
    if (!part) sb_problem(sb_format("\"%s\" is missing", name));
    return part ? json<T>::read(part) : T{};
}
/// A member that may be absent or null.
template <class T>
T get_or(const sb_json *object, const char *name, T otherwise) {
    const sb_json *part = sb_member(object, name);
    return part && part->kind != SB_JSON_NULL ? json<T>::read(part) : otherwise;
}

/// Emits text, a whole number in decimal, or JSON.
inline void emit(sb_bytes key, std::string_view value) { sb_emit(key, bytes(value)); }
inline void emit(sb_bytes key, std::integral auto number) { sb_emit_json(key, json<decltype(number)>::write(number)); }
inline void emit(sb_bytes key, sb_value value) { sb_emit_json(key, value); }

/// The parts of an array or object as values of a type, to go through with `for`; of an object with their names.
template <class T, bool named>
struct parts {
    const sb_json *of;
    struct iterator {
        const sb_json *at;
        auto operator*() const {
            if constexpr (named) return std::pair{view(at->name), json<T>::read(at)};
            else return json<T>::read(at);
        }
        iterator &operator++() { return at = at->next, *this; }
        bool operator!=(const iterator &other) const { return at != other.at; }
    };
    iterator begin() const { return {of->first}; }
    iterator end() const { return {nullptr}; }
    size_t size() const { return of->count; }
    /// The parts as JSON.
    sb_value as_json() const { return sb_of_json(of); }
};

/// A store: `value<int64_t> total{"total"};`, or `{{.name = "total", .version = 2}}`. To be named in `.stores`.
template <sb_store_kind of>
struct store : sb_store {
    constexpr store(const char *called) : sb_store{} { name = called, kind = of; }
    constexpr store(sb_store about) : sb_store(about) { kind = of; }
};

template <class T>
struct value : store<SB_VALUE> {
    using store::store;
    std::optional<T> get() const {
        const sb_json *found = sb_get(this);
        return found ? std::optional(json<T>::read(found)) : std::nullopt;
    }
    void set(T value) const { sb_put(this, json<T>::write(value)); }
    void remove() const { sb_delete(this); }
};

template <class T>
struct list : store<SB_LIST> {
    using store::store;
    parts<T, false> items() const { return {sb_items(this)}; }
    void push(T item) const { sb_push(this, json<T>::write(item)); }
    void clear() const { sb_clear(this); }
};

template <class T>
struct map : store<SB_MAP> {
    using store::store;
    std::optional<T> get(std::string_view key) const {
        const sb_json *found = sb_get_entry(this, bytes(key));
        return found ? std::optional(json<T>::read(found)) : std::nullopt;
    }
    void put(std::string_view key, T value) const { sb_put_entry(this, bytes(key), json<T>::write(value)); }
    void remove(std::string_view key) const { sb_delete_entry(this, bytes(key)); }
    /// The entries whose keys begin so, in the order of the keys.
    parts<T, true> scan(std::string_view prefix = {}) const { return {sb_scan(this, bytes(prefix))}; }
    void clear() const { sb_clear(this); }
};

/// A window, with what was made of its records.
template <class T>
struct window {
    sb_bytes key;
    int64_t start, end;
    T value;
};

/// Windows over which records are folded, beginning with `T{}`: `windows<int64_t, count, put> views{"views"};` with
/// functions as in `sb_windows`, of sessions with one that merges two values behind them.
template <class T, T (*folds)(T, const sb_event *), void (*ends)(const window<T> &), T (*merges)(T, T) = nullptr>
struct windows : sb_windows {
    explicit windows(const char *name) : sb_windows{} {
        store.name = timer.name = name;
        timer.fire = sb_fire_windows;
        fold = [](const sb_json *before, const sb_event *event) {
            return json<T>::write(folds(before ? json<T>::read(before) : T{}, event));
        };
        over = [](const sb_window *is) { ends({is->key, is->start, is->end, json<T>::read(is->value)}); };
        if constexpr (merges != nullptr)
            merge = [](const sb_json *one, const sb_json *other) {
                return json<T>::write(merges(json<T>::read(one), json<T>::read(other)));
            };
    }
    void tumbling(int64_t size, int64_t lateness = 0) { sb_tumbling(this, size, lateness); }
    void hopping(int64_t size, int64_t every, int64_t lateness = 0) { sb_hopping(this, size, every, lateness); }
    void sessions(int64_t gap, int64_t lateness = 0) { sb_sessions(this, gap, lateness); }
    /// False: the record is too late.
    bool add(const sb_event *event) const { return sb_add_to_windows(this, event); }
};

}  // namespace sandbar
#endif
