// A C++20 layer over sandbar.h: views instead of pointers and lengths, and typed configuration and state. Needs neither
// exceptions nor RTTI. Views live as long as the bytes in C do: until the call ends.
#ifndef SANDBAR_HPP
#define SANDBAR_HPP

#include <concepts>
#include <optional>
#include <string_view>
#include <utility>

#include "sandbar.h"

namespace sandbar {

/// Bytes as a view; null as an empty one.
inline std::string_view view(sb_bytes bytes) { return {bytes.data ? bytes.data : "", bytes.size}; }
/// A view as bytes; never null.
inline sb_bytes bytes(std::string_view view) { return {view.data() ? view.data() : "", view.size()}; }

/// How a type is read from JSON and written to it: whole numbers, `double`, `bool` and `std::string_view`. Specialise
/// it for a type of your own, with the same two functions.
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

/// Emits text, or a whole number in decimal.
inline void emit(sb_bytes key, std::string_view value) { sb_emit(key, bytes(value)); }
inline void emit(sb_bytes key, std::integral auto number) { sb_emit_json(key, json<decltype(number)>::write(number)); }

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

}  // namespace sandbar
#endif
