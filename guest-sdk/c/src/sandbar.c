// The world's exports, over the generated bindings: what the plugin is, and a call of it. What a call does to the world
// outside stands in outward.c.
#include <stdlib.h>

#include "internal.h"

sbi_call sbi_now;

struct sb_refusal {
    enum { SKIP, DEAD_LETTER, FAIL, RETRY } how;
    const char *reason;
};

// Refusals and problems: their texts have to last until the call ends, so they are copied.
static sb_result refusal(int how, const char *reason) {
    struct sb_refusal *refusal = sb_alloc(sizeof *refusal);
    refusal->how = how;
    refusal->reason = sb_copy(sb_str(reason)).data;
    return refusal;
}
sb_result sb_skip(const char *reason) { return refusal(SKIP, reason); }
sb_result sb_dead_letter(const char *reason) { return refusal(DEAD_LETTER, reason); }
sb_result sb_fail(const char *reason) { return refusal(FAIL, reason); }
sb_result sb_retry(const char *reason) { return refusal(RETRY, reason); }

void sb_problem(const char *reason) {
    if (!sbi_now.problem) sbi_now.problem = sb_copy(sb_str(reason ? reason : "")).data;
}

const char *sb_has_problem(void) { return sbi_now.problem; }

_Noreturn void sbi_broken(const char *reason) {
    sb_error(reason);
    abort();
}

/// How a call ended: what the plugin says, or else what went wrong.
static sb_result end(sb_result said, int problem) {
    return !said && sbi_now.problem ? refusal(problem, sbi_now.problem) : said;
}

// ---- What the plugin is ----

static record_processor_string_t string(const char *text) {
    return sbi_text(sb_str(text));
}

static record_processor_list_string_t strings(const char *const *names) {
    size_t count = 0;
    while (count < SB_MOST && names[count]) count++;
    record_processor_string_t *list = sb_alloc(count * sizeof *list);
    for (size_t i = 0; i < count; i++) list[i] = string(names[i]);
    return (record_processor_list_string_t){list, count};
}

/// Stores, timers and metrics know their place in the description. One that the plugin does not name has none.
static void number(void) {
    const sb_plugin *plugin = &sandbar_plugin;
    for (unsigned i = 0; i < SB_MOST && plugin->stores[i]; i++) plugin->stores[i]->number = i + 1;
    for (unsigned i = 0; i < SB_MOST && plugin->timers[i]; i++) plugin->timers[i]->number = i + 1;
    for (unsigned i = 0; i < SB_MOST && plugin->metrics[i]; i++) plugin->metrics[i]->number = i + 1;
}

void exports_record_processor_describe(record_processor_description_t *out) {
    const sb_plugin *plugin = &sandbar_plugin;
    sandbar_plugin_types_store_t *stores = sb_alloc(SB_MOST * sizeof *stores);
    sandbar_plugin_types_timer_t *timers = sb_alloc(SB_MOST * sizeof *timers);
    sandbar_plugin_types_metric_t *metrics = sb_alloc(SB_MOST * sizeof *metrics);
    size_t store_count = 0, timer_count = 0, metric_count = 0;
    for (; store_count < SB_MOST && plugin->stores[store_count]; store_count++) {
        const sb_store *store = plugin->stores[store_count];
        uint32_t version = store->version ? store->version : 1;
        stores[store_count] = (sandbar_plugin_types_store_t){
            string(store->name), (uint8_t)store->kind, string(store->codec ? store->codec : "json"), version,
            store->readable_from ? store->readable_from : version, store->ttl, store->refresh_on_read};
    }
    for (; timer_count < SB_MOST && plugin->timers[timer_count]; timer_count++) {
        const sb_timer *timer = plugin->timers[timer_count];
        timers[timer_count] = (sandbar_plugin_types_timer_t){string(timer->name), (uint8_t)timer->clock};
    }
    for (; metric_count < SB_MOST && plugin->metrics[metric_count]; metric_count++) {
        const sb_metric *metric = plugin->metrics[metric_count];
        metrics[metric_count] =
            (sandbar_plugin_types_metric_t){string(metric->name), (uint8_t)metric->kind, string(metric->help)};
    }
    static const char *const one_output[] = {"out", NULL};
    *out = (record_processor_description_t){
        .name = string(plugin->name),
        .version = string(plugin->version),
        .inputs = strings(plugin->inputs),
        .outputs = strings(plugin->outputs[0] ? plugin->outputs : one_output),
        .stores = {stores, store_count},
        .timers = {timers, timer_count},
        .metrics = {metrics, metric_count},
        // Without a schema the host takes no configuration at all; with this one it takes any.
        .config_schema = string(plugin->config_schema || !plugin->open ? plugin->config_schema : "{}"),
        .needs = (uint8_t)((plugin->coordinates ? SANDBAR_PLUGIN_TYPES_NEEDS_COORDINATES : 0) |
                           (plugin->headers ? SANDBAR_PLUGIN_TYPES_NEEDS_HEADERS : 0) |
                           (plugin->keeps_key ? SANDBAR_PLUGIN_TYPES_NEEDS_KEEPS_KEY : 0)),
    };
}

// ---- Calls ----

static sb_bytes given_or_null(record_processor_option_list_u8_t list) {
    return list.is_some ? sbi_given(list.val) : sb_null();
}

static bool failed(sb_result result, record_processor_failure_t *failure) {
    failure->tag = result->how == RETRY ? SANDBAR_PLUGIN_TYPES_FAILURE_RETRY : SANDBAR_PLUGIN_TYPES_FAILURE_FAIL;
    failure->val.fail = string(result->reason); // both are the same text
    return false;
}

bool exports_record_processor_open(record_processor_string_t *config, record_processor_string_t *error) {
    number();
    const sb_json *read = config->len ? sb_read_json((sb_bytes){(const char *)config->ptr, config->len}, NULL) : NULL;
    bool readable = !sbi_now.problem;
    sb_result result = end(readable && sandbar_plugin.open ? sandbar_plugin.open(read) : SB_DONE, FAIL);
    if (result) *error = string(result->reason);
    return !result;
}

bool exports_record_processor_process(record_processor_event_t *in, record_processor_verdict_t *out,
                                      record_processor_failure_t *failure) {
    const char *const *inputs = sandbar_plugin.inputs;
    if (in->input && (in->input >= SB_MOST || !inputs[in->input])) sbi_broken("a record came by an unknown input");
    sb_header *headers = sb_alloc(in->headers.len * sizeof *headers);
    for (size_t i = 0; i < in->headers.len; i++) {
        record_processor_string_t name = in->headers.ptr[i].name;
        headers[i].name = sbi_given((record_processor_list_u8_t){name.ptr, name.len});
        headers[i].value = given_or_null(in->headers.ptr[i].value);
    }
    sb_event event = {
        .key = given_or_null(in->key),
        .value = given_or_null(in->value),
        .timestamp = in->timestamp,
        .headers = headers,
        .header_count = in->headers.len,
        .input = inputs[in->input] ? inputs[in->input] : "in",
        .partition = in->partition,
        .offset = in->offset,
    };
    sbi_now.has_state = true, sbi_now.key_size = event.key.size;
    sb_result result = end(sandbar_plugin.process(&event), DEAD_LETTER);
    if (result && result->how == RETRY) return failed(result, failure);
    *out = (record_processor_verdict_t){.tag = RECORD_PROCESSOR_VERDICT_DONE};
    if (result) {
        out->tag = RECORD_PROCESSOR_VERDICT_REFUSE;
        out->val.refuse = (record_processor_tuple2_refusal_string_t){(uint8_t)result->how, string(result->reason)};
    }
    return true;
}

bool exports_record_processor_fire(uint8_t timer, record_processor_list_u8_t *key, int64_t at,
                                   record_processor_failure_t *failure) {
    if (timer >= SB_MOST || !sandbar_plugin.timers[timer]) sbi_broken("an unknown timer fired");
    sb_fired fired = {sandbar_plugin.timers[timer], sbi_given(*key), at};
    sbi_now.has_state = true, sbi_now.key_size = fired.key.size;
    sb_result result = end(fired.timer->fire(&fired), FAIL);
    return result ? failed(result, failure) : true;
}

// The generated bindings have these too, weak ones that allocate and free each list by itself.
#ifdef __wasm__
__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)align; // at most 8
    char *fresh = sbi_alloc(size + 1);
    if (old) memcpy(fresh, old, old_size < size ? old_size : size);
    fresh[size] = 0; // so that bytes are C strings too
    return fresh;
}

/// The adapter of WASI preview 1 keeps what it allocates.
__attribute__((export_name("cabi_realloc_adapter")))
void *sbi_realloc_for_adapter(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size, (void)align;
    void *fresh = realloc(old, size);
    if (!fresh) abort();
    return fresh;
}

#define AT_THE_END_OF(function, keep)                                                                \
    __attribute__((export_name("cabi_post_" #function)))                                             \
    void __wasm_export_exports_record_processor_##function##_post_return(uint8_t *result) {          \
        (void)result;                                                                                \
        sbi_end_call(keep);                                                                          \
    }
AT_THE_END_OF(describe, false)
AT_THE_END_OF(open, true)
AT_THE_END_OF(process, false)
AT_THE_END_OF(fire, false)
#endif
