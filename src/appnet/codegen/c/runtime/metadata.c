#include "metadata.h"

#include "steps.h"
#include "text.h"

enum { KEY_SIZE = 256, USUAL_VALUES = 16 };

/* ---- keys ----------------------------------------------------------------------------------------------- */

/* The key in lower case, in `lower`; empty where HTTP knows no such key. */
static an_view lower_key(an_view key, uint8_t lower[KEY_SIZE]) {
  const an_view none = {NULL, 0};
  if (key.size > KEY_SIZE) return none;
  for (size_t i = 0; i < key.size; i++) {
    uint8_t c = key.data[i];
    if (c >= 'A' && c <= 'Z') c = (uint8_t)(c + ('a' - 'A'));
    bool known = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!known) return none;
    lower[i] = c;
  }
  return (an_view){lower, key.size};
}

/* What no element sees: what is between the chain and its proxy, and what carries a status. */
static bool is_hidden(an_view key) {
  return key.size == 0 || an_equal(key, AN_TEXT("x-appnet-host")) || an_equal(key, AN_TEXT("x-appnet-call")) ||
         an_equal(key, AN_TEXT("x-envoy-fault-delay-request")) ||
         an_equal(key, AN_TEXT("x-envoy-fault-delay-request-percentage")) || an_equal(key, AN_TEXT("grpc-status")) ||
         an_equal(key, AN_TEXT("grpc-message")) || an_equal(key, AN_TEXT("grpc-status-details-bin"));
}

static bool is_own_key(an_view key) {
  if (is_hidden(key)) return false;
  if (an_starts_with(key, AN_TEXT("grpc-")) && !an_equal(key, AN_TEXT("grpc-retry-pushback-ms"))) return false;
  return !an_equal(key, AN_TEXT("content-type")) && !an_equal(key, AN_TEXT("te")) && !an_equal(key, AN_TEXT("dst"));
}

static bool can_set(an_view key, an_view value) {
  for (size_t i = 0; i < value.size; i++) {
    if (value.data[i] < 0x20 || value.data[i] > 0x7e) return false;
  }
  return is_own_key(key);
}

/* ---- metadata that the chain keeps ---------------------------------------------------------------------- */

static an_view metadata_kept(an_arena *arena, an_view text) {
  uint8_t *copy = an_arena_alloc(arena, text.size);
  if (copy == NULL) return (an_view){NULL, 0};
  if (text.size > 0) memcpy(copy, text.data, text.size);
  return (an_view){copy, text.size};
}

/* Where the entry of the key is, or is to be. */
static an_entry **entry_of(an_entry **list, an_view key) {
  while (*list != NULL && !an_equal((*list)->key, key)) list = &(*list)->next;
  return list;
}

static void entry_set(an_arena *arena, an_entry **list, an_view key, an_view value) {
  an_entry **place = entry_of(list, key);
  an_view text = metadata_kept(arena, value);
  if (text.data == NULL) return;
  if (*place != NULL) {
    (*place)->value = text;
    return;
  }
  an_entry *entry = an_arena_alloc(arena, sizeof *entry);
  if (entry == NULL) return;
  *entry = (an_entry){NULL, metadata_kept(arena, key), text};
  if (entry->key.data != NULL) *place = entry;
}

static void entry_delete(an_entry **list, an_view key) {
  an_entry **place = entry_of(list, key);
  if (*place != NULL) *place = (*place)->next;
}

/* ---- where metadata is ---------------------------------------------------------------------------------- */

/* In a map of the host's, or in a list of the chain's; `list` and `there` say which, if any. `begun`: an error whose
 * metadata came before its status: its trailers stand before them, and what is set goes there. */
typedef struct place {
  bool there, begun;
  an_metadata_map map;
  an_entry **list;
} place;

static const place nowhere;

static place in_map(an_metadata_map map) { return (place){.there = true, .map = map}; }
static place in_list(an_entry **list) { return (place){.list = list}; }

static place leading(an_call *call, an_direction direction) {
  if (direction == AN_REQUEST) return in_map(AN_REQUEST_METADATA);
  if (call->made_here && !(call->is_error && call->response_passed)) return in_list(&call->own);
  if (!call->response_begun) return nowhere;
  place at = in_map(AN_RESPONSE_METADATA);
  at.begun = call->is_error && call->trailers_there && !call->trailers_only && !call->response_passed;
  return at;
}

static place trailing(an_call *call) {
  if (call->made_here) return in_list(call->is_error ? &call->own : &call->trailers);
  if (!call->response_begun) return nowhere;
  if (call->trailers_only) return in_map(AN_RESPONSE_METADATA);
  return call->trailers_there ? in_map(AN_RESPONSE_TRAILERS) : in_list(&call->trailers);
}

/* Trailers that wait last as long as the call, what goes with an error until it is sent. */
static an_arena *arena_of(an_call *call, an_entry **list) { return list == &call->trailers ? &call->kept : &call->arena; }

static void delete_at(an_call *call, place at, an_view key) {
  const an_services *services = &call->instance->services;
  if (at.there) an_step_metadata(call, at.map, key);
  if (at.there && services->metadata_remove != NULL) services->metadata_remove(call->host, at.map, key);
  if (at.list != NULL) entry_delete(at.list, key);
}

static void set_at(an_call *call, place at, an_view key, an_view value) {
  if (at.begun) {
    delete_at(call, at, key);
    at.map = AN_RESPONSE_TRAILERS;
  }
  if (at.there) an_step_metadata(call, at.map, key);
  if (at.there) call->instance->services.metadata_set(call->host, at.map, key, value);
  if (at.list != NULL) entry_set(arena_of(call, at.list), at.list, key, value);
}

/* All values of the key, copies in the arena: the host's own may end where the key is set. *values has room for
 * USUAL_VALUES; more stand elsewhere. How many. */
static size_t values_at(an_call *call, place at, an_view key, an_view **values) {
  if (at.begun) {
    size_t late = values_at(call, in_map(AN_RESPONSE_TRAILERS), key, values);
    if (late > 0) return late;
  }
  const an_services *services = &call->instance->services;
  size_t count = 0;
  if (at.list != NULL) {
    an_entry *entry = *entry_of(at.list, key);
    if (entry == NULL) return 0;
    **values = entry->value;
    count = 1;
  } else if (at.there && services->metadata_values != NULL) {
    count = services->metadata_values(call->host, at.map, key, *values, USUAL_VALUES);
    if (count > USUAL_VALUES) {
      *values = an_arena_alloc(&call->arena, an_size_mul(count, sizeof(an_view)));
      if (*values == NULL) return 0;
      services->metadata_values(call->host, at.map, key, *values, count);
    }
  } else if (at.there) {
    count = services->metadata_get(call->host, at.map, key, *values) ? 1 : 0;
  }
  for (size_t i = 0; i < count; i++) {
    (*values)[i] = metadata_kept(&call->arena, (*values)[i]);
    if ((*values)[i].data == NULL) return 0;
  }
  return count;
}

static bool joined(an_call *call, an_view *values, size_t count, an_view *value) {
  if (count <= 1) {
    if (count == 1) *value = values[0];
    return count == 1;
  }
  size_t size = count - 1;
  for (size_t i = 0; i < count; i++) size = an_size_add(size, values[i].size);
  uint8_t *text = an_arena_alloc(&call->arena, size), *to = text;
  if (text == NULL) return false;
  for (size_t i = 0; i < count; i++) {
    if (i > 0) *to++ = ',';
    memcpy(to, values[i].data, values[i].size);
    to += values[i].size;
  }
  *value = (an_view){text, size};
  return true;
}

bool an_metadata_whole(an_call *call, an_metadata_map map, an_view key, an_view *value) {
  an_view usual[USUAL_VALUES], *values = usual;
  size_t count = values_at(call, in_map(map), key, &values);
  return joined(call, values, count, value);
}

static void list_apart(an_arena *arena, an_entry **list) {
  for (an_entry **place = list; *place != NULL; place = &(*place)->next) {
    an_entry *copy = an_arena_alloc(arena, sizeof *copy);
    if (copy == NULL) return;
    *copy = **place;
    *place = copy;
  }
}

void an_metadata_apart(an_call *call) {
  list_apart(&call->arena, &call->own);
  list_apart(&call->kept, &call->trailers);
}

/* ---- leading -------------------------------------------------------------------------------------------- */

static size_t values_of(an_call *call, an_direction direction, an_view key, an_view **values) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower);
  if (is_hidden(known)) return 0;
  place at = leading(call, direction);
  if (at.list != NULL && an_equal(known, AN_TEXT("content-type"))) {
    **values = AN_TEXT("application/grpc");
    return 1;
  }
  return values_at(call, at, known, values);
}

bool an_metadata_get(an_call *call, an_direction direction, an_view key, an_view *value) {
  an_view usual[USUAL_VALUES], *values = usual;
  size_t count = values_of(call, direction, key, &values);
  return joined(call, values, count, value);
}

an_vec an_metadata_all(an_scope *scope, an_direction direction, an_view key) {
  static const an_type texts = AN_VEC_TYPE(&an_type_string);
  an_view usual[USUAL_VALUES], *values = usual;
  size_t count = values_of(scope->call, direction, key, &values);
  an_vec found = {0};
  for (size_t i = 0; i < count; i++) an_vec_append(scope, NULL, &texts, &found, UINT16_MAX, &values[i]);
  return found;
}

void an_metadata_set(an_call *call, an_direction direction, an_view key, an_view value) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower);
  if (can_set(known, value)) set_at(call, leading(call, direction), known, value);
}

void an_metadata_delete(an_call *call, an_direction direction, an_view key) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower);
  if (!is_own_key(known)) return;
  place at = leading(call, direction);
  delete_at(call, at, known);
  if (at.begun) delete_at(call, in_map(AN_RESPONSE_TRAILERS), known);
}

/* ---- trailing ------------------------------------------------------------------------------------------- */

bool an_trailer_get(an_call *call, an_view key, an_view *value) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower), usual[USUAL_VALUES], *values = usual;
  if (!is_own_key(known)) return false;
  size_t count = values_at(call, trailing(call), known, &values);
  return joined(call, values, count, value);
}

void an_trailer_set(an_call *call, an_view key, an_view value) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower);
  if (can_set(known, value)) set_at(call, trailing(call), known, value);
}

an_view an_trailer_noted(an_call *call, an_view key) {
  an_view value;
  if (!an_trailer_get(call, key, &value)) return (an_view){NULL, 0};
  return call->method->response.streams || call->method->request.streams ? metadata_kept(&call->kept, value) : value;
}

void an_trailers_come(an_call *call) {
  if (call->trailers_there) return;
  call->trailers_there = true;
  for (an_entry *it = call->trailers; it != NULL; it = it->next) {
    call->instance->services.metadata_set(call->host, AN_RESPONSE_TRAILERS, it->key, it->value);
  }
}

/* ---- what goes with an error or a reply ----------------------------------------------------------------- */

void an_tell(an_call *call, an_view key, an_view value) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower);
  if (can_set(known, value)) entry_set(&call->arena, &call->told, known, value);
}

void an_untell(an_call *call, an_view key) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower);
  if (is_own_key(known)) entry_delete(&call->told, known);
}

/* ---- the call ------------------------------------------------------------------------------------------- */

/* The host of the cluster that decimal text names, or -1. */
static int64_t parse_backend(an_view text, uint32_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return -1;
    value = value * 10 + (text.data[i] - '0');
    if (value > UINT32_MAX) value = UINT32_MAX; /* no such host, whatever follows */
  }
  return text.size > 0 && value < count ? (int64_t)value : -1;
}

void an_route(an_call *call, an_view host) {
  call->routed = true;
  call->destination = parse_backend(host, call->instance->options.backend_count);
}

an_view an_authority(an_scope *scope) {
  an_call *call = scope->call;
  an_view found;
  if (!call->instance->services.metadata_get(call->host, AN_REQUEST_METADATA, AN_TEXT(":authority"), &found)) {
    return (an_view){NULL, 0};
  }
  return an_keep_text(scope, found);
}

an_view an_peer(an_scope *scope) {
  an_call *call = scope->call;
  an_view found;
  const an_services *services = &call->instance->services;
  if (services->peer == NULL || !services->peer(call->host, &found)) return (an_view){NULL, 0};
  return an_keep_text(scope, found);
}
