/* The proxy-wasm 0.2.1 host: one instance in one virtual machine, run by one worker thread. Only the hooks that the
 * chain needs are exported, since each costs a call into the machine. */
#include "grpc_message.h"
#include "http_call.h"
#include "instance.h"
#include "options.h"
#include "telemetry.h"

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(module, name) __attribute__((import_module(#module), import_name(#name)))

/* ---- what the proxy offers ------------------------------------------------------------------------------ */

enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2, RESPONSE_TRAILERS = 3 };
enum { REQUEST_BODY = 0, RESPONSE_BODY = 1, PLUGIN_CONFIGURATION = 7 };
enum { CONTINUE = 0, PAUSE = 1 };
enum { REALTIME = 0, MONOTONIC = 1 };

IMPORT(env, proxy_get_header_map_value)
uint32_t proxy_get_header_map_value(uint32_t map, const void *key, size_t key_size, uint8_t **value, size_t *value_size);
IMPORT(env, proxy_get_header_map_pairs) uint32_t proxy_get_header_map_pairs(uint32_t map, uint8_t **pairs, size_t *size);
IMPORT(env, proxy_replace_header_map_value)
uint32_t proxy_replace_header_map_value(uint32_t map, const void *key, size_t key_size, const void *value, size_t value_size);
IMPORT(env, proxy_remove_header_map_value) uint32_t proxy_remove_header_map_value(uint32_t map, const void *key, size_t key_size);
IMPORT(env, proxy_get_buffer_bytes)
uint32_t proxy_get_buffer_bytes(uint32_t buffer, size_t start, size_t size, uint8_t **bytes, size_t *found);
IMPORT(env, proxy_set_buffer_bytes)
uint32_t proxy_set_buffer_bytes(uint32_t buffer, size_t start, size_t size, const void *bytes, size_t bytes_size);
IMPORT(env, proxy_send_local_response)
uint32_t proxy_send_local_response(uint32_t status, const void *details, size_t details_size, const void *body, size_t body_size,
                                   const void *headers, size_t headers_size, int32_t grpc_status);
IMPORT(env, proxy_log) uint32_t proxy_log(uint32_t level, const void *text, size_t size);
IMPORT(wasi_snapshot_preview1, clock_time_get) uint32_t clock_time_get(uint32_t clock, uint64_t precision, uint64_t *time);
IMPORT(wasi_snapshot_preview1, random_get) uint32_t random_get(void *bytes, size_t size);

/* ---- memory --------------------------------------------------------------------------------------------- */

/* Blocks are powers of two with their class in front; a freed block waits for the next of its class. */
enum { BLOCK_HEADER = 16, SMALLEST_CLASS = 5, CLASSES = 32, PAGE = 65536, LARGEST_BLOCK = 1 << 30 };

typedef struct free_block {
  struct free_block *next;
} free_block;

extern uint8_t __heap_base;
static free_block *spare_blocks[CLASSES];
static uintptr_t heap_next, heap_end;

static unsigned block_class(size_t size) {
  unsigned class = SMALLEST_CLASS;
  while (((size_t)1 << class) < size) class++;
  return class;
}

static uint8_t *more_memory(size_t size) {
  if (heap_next == 0) {
    heap_next = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    heap_end = __builtin_wasm_memory_size(0) * PAGE;
  }
  if (size > heap_end - heap_next) {
    size_t pages = (size - (heap_end - heap_next) + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return NULL;
    heap_end += pages * PAGE;
  }
  uint8_t *block = (uint8_t *)heap_next;
  heap_next += size;
  return block;
}

void *an_alloc(size_t size) {
  if (size > LARGEST_BLOCK) return NULL;
  unsigned class = block_class(size + BLOCK_HEADER);
  uint8_t *block = (uint8_t *)spare_blocks[class];
  if (block != NULL) {
    spare_blocks[class] = spare_blocks[class]->next;
  } else {
    block = more_memory((size_t)1 << class);
  }
  if (block == NULL) return NULL;
  *(uint32_t *)block = class;
  return block + BLOCK_HEADER;
}

void an_free(void *pointer) {
  if (pointer == NULL) return;
  uint8_t *block = (uint8_t *)pointer - BLOCK_HEADER;
  unsigned class = *(uint32_t *)block;
  ((free_block *)block)->next = spare_blocks[class];
  spare_blocks[class] = (free_block *)block;
}

void *an_realloc(void *pointer, size_t size) {
  if (pointer == NULL) return an_alloc(size);
  size_t room = ((size_t)1 << *(uint32_t *)((uint8_t *)pointer - BLOCK_HEADER)) - BLOCK_HEADER;
  if (size <= room) return pointer;
  void *larger = an_alloc(size);
  if (larger == NULL) return NULL;
  memcpy(larger, pointer, room);
  an_free(pointer);
  return larger;
}

/* Eight bytes at a time; the attribute keeps the compiler from finding calls of these very functions in their loops. */
#define NO_BUILTIN __attribute__((no_builtin))

NO_BUILTIN static void copy_upwards(uint8_t *to, const uint8_t *from, size_t size) {
  for (; size >= 8; size -= 8, to += 8, from += 8) {
    uint64_t word;
    __builtin_memcpy_inline(&word, from, 8);
    __builtin_memcpy_inline(to, &word, 8);
  }
  for (; size > 0; size--) *to++ = *from++;
}

NO_BUILTIN void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  copy_upwards(to, from, size);
  return to;
}

NO_BUILTIN void *memmove(void *to, const void *from, size_t size) {
  if ((uintptr_t)to <= (uintptr_t)from || (uintptr_t)to >= (uintptr_t)from + size) {
    copy_upwards(to, from, size);
    return to;
  }
  uint8_t *target = (uint8_t *)to + size;
  for (const uint8_t *source = (const uint8_t *)from + size; size > 0; size--) *--target = *--source;
  return to;
}

NO_BUILTIN void *memset(void *to, int byte, size_t size) {
  uint8_t *target = to;
  uint64_t word = (uint8_t)byte * 0x0101010101010101u;
  for (; size >= 8; size -= 8, target += 8) __builtin_memcpy_inline(target, &word, 8);
  for (; size > 0; size--) *target++ = (uint8_t)byte;
  return to;
}

int memcmp(const void *left, const void *right, size_t size) {
  const uint8_t *a = left, *b = right;
  for (size_t i = 0; i < size; i++) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}

size_t strlen(const char *text) {
  size_t size = 0;
  while (text[size] != 0) size++;
  return size;
}

/* What the proxy hands over lives until the event ends: in a block of its own size, or where many small ones fit. */
enum { SCRATCH = 16384 };
static uint8_t scratch[SCRATCH];
static size_t scratch_used;
static free_block *large_scratch;

EXPORT(proxy_on_memory_allocate) void *proxy_on_memory_allocate(size_t size) {
  size_t rounded = (size + 7) & ~(size_t)7;
  if (size <= SCRATCH && rounded <= SCRATCH - scratch_used) {
    scratch_used += rounded;
    return scratch + scratch_used - rounded;
  }
  free_block *block = an_alloc(an_size_add(size, sizeof(free_block)));
  if (block == NULL) return NULL;
  block->next = large_scratch;
  large_scratch = block;
  return block + 1;
}

static uint64_t event_ns; /* the time of the event in hand; 0: not asked for yet */

/* While request headers are looked at they are here, all of them: that costs hardly more than one. As proxy-wasm has
 * maps: count, sizes of each key and value, then keys and values, each ended by a NUL. */
static an_view request_headers;

static void event_begins(void) {
  scratch_used = 0;
  event_ns = 0;
  request_headers = (an_view){NULL, 0};
  while (large_scratch != NULL) {
    free_block *block = large_scratch;
    large_scratch = block->next;
    an_free(block);
  }
}

/* ---- services for the chain ------------------------------------------------------------------------------ */

/* A question to the proxy costs as much as a small chain, so an event asks for the time once at most, and the wall
 * clock is the monotonic one and what lay between them when telemetry was last sent. */
static uint64_t wall_ahead_ns;

static uint64_t clock_ns(uint32_t clock) {
  uint64_t time = 0;
  clock_time_get(clock, 1, &time);
  return time;
}

static uint64_t now_ns(void *host) {
  (void)host;
  if (event_ns == 0) event_ns = clock_ns(MONOTONIC);
  return event_ns;
}

static uint64_t wall_ns(void *host) { return now_ns(host) + wall_ahead_ns; }

static void set_wall_clock(void) { wall_ahead_ns = clock_ns(REALTIME) - clock_ns(MONOTONIC); }

static uint32_t wasm_map(an_header_map map) {
  return map == AN_REQUEST_HEADERS ? REQUEST_HEADERS : map == AN_RESPONSE_HEADERS ? RESPONSE_HEADERS : RESPONSE_TRAILERS;
}

static uint32_t number_at(const uint8_t *at) {
  uint32_t number;
  memcpy(&number, at, sizeof number);
  return number;
}

static bool find_request_header(an_view key, an_view *value) {
  if (request_headers.size < sizeof(uint32_t)) return false;
  uint32_t count = number_at(request_headers.data);
  const uint8_t *sizes = request_headers.data + sizeof count;
  const uint8_t *text = sizes + (size_t)count * 2 * sizeof count;
  for (uint32_t i = 0; i < count; i++, sizes += 2 * sizeof count) {
    uint32_t key_size = number_at(sizes), value_size = number_at(sizes + sizeof count);
    if (key_size == key.size && memcmp(text, key.data, key_size) == 0) {
      *value = (an_view){text + key_size + 1, value_size};
      return true;
    }
    text += (size_t)key_size + value_size + 2;
  }
  return false;
}

static bool host_header_get(void *call_host, an_header_map map, an_view key, an_view *value) {
  uint8_t *data = NULL;
  size_t size = 0;
  (void)call_host;
  if (map == AN_REQUEST_HEADERS && request_headers.data != NULL) return find_request_header(key, value);
  if (proxy_get_header_map_value(wasm_map(map), key.data, key.size, &data, &size) != 0) return false;
  *value = (an_view){data, size};
  return true;
}

static void host_header_set(void *call_host, an_header_map map, an_view key, an_view value) {
  (void)call_host;
  request_headers = (an_view){NULL, 0}; /* they may be others now */
  proxy_replace_header_map_value(wasm_map(map), key.data, key.size, value.data, value.size);
}

/* ---- instance -------------------------------------------------------------------------------------------- */

static an_instance *instance;
static uint32_t root_context;

static void complain(const char *text) { proxy_log(4, text, strlen(text)); }

static const an_services services = {NULL, now_ns, wall_ns, host_header_get, host_header_set};

EXPORT(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1(void) {}

#if APPNET_WANTS_RECORDS
IMPORT(env, proxy_set_tick_period_milliseconds) uint32_t proxy_set_tick_period_milliseconds(uint32_t period);
enum { FLUSH_MS = 100 };
#endif

EXPORT(proxy_on_configure) uint32_t proxy_on_configure(uint32_t root, size_t size) {
  uint8_t *bytes = NULL;
  size_t found = 0;
  an_options options;
  root_context = root;
  event_begins();
  if (proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, &bytes, &found) != 0 ||
      !an_options_read((an_view){bytes, found}, &options)) {
    complain("appnet: the chain's options are for another runtime");
    return 0;
  }
  set_wall_clock();
  if (options.seed == 0) random_get(&options.seed, sizeof options.seed);
  instance = an_instance_new(&services, &options);
  if (instance == NULL) {
    complain("appnet: no memory for the chain");
    return 0;
  }
#if APPNET_WANTS_RECORDS
  proxy_set_tick_period_milliseconds(FLUSH_MS);
#endif
  return 1;
}

/* All state as text, for tests and inspection; it stays until the next dump. */
EXPORT(appnet_state_dump) uint8_t *appnet_state_dump(size_t *size) {
  static uint8_t *dump;
  an_free(dump);
  dump = an_state_dump(instance, size);
  return dump;
}

/* ---- calls ----------------------------------------------------------------------------------------------- */

typedef struct stream {
  struct stream *next;
  uint32_t context;
  bool replied;       /* by this chain: what follows is the reply itself */
  bool response_passed; /* some of it went on to the caller */
  bool response_held; /* the buffer shows all of the body so far, not what arrived */
  an_call *call;
#if APPNET_WANTS_LATE_REQUEST_HEADERS
  an_view request_headers; /* while they wait for the message; in the call's arena */
#endif
} stream;

enum { BUCKETS = 1024, WHOLE_AT_ONCE = 65536, FRAME_HEADER = 5 };
static stream *streams[BUCKETS];
static stream *spare_streams;

static stream *find_stream(uint32_t context) {
  stream *it = streams[context % BUCKETS];
  while (it != NULL && it->context != context) it = it->next;
  return it;
}

static stream *new_stream(uint32_t context) {
  stream *it = spare_streams;
  if (it != NULL) {
    spare_streams = it->next;
  } else {
    it = an_alloc(sizeof *it);
  }
  if (it == NULL) return NULL;
  *it = (stream){.next = streams[context % BUCKETS], .context = context, .call = an_call_new(instance, it)};
  if (it->call == NULL) {
    an_free(it);
    return NULL;
  }
  streams[context % BUCKETS] = it;
  return it;
}

static void end_stream(uint32_t context) {
  stream **from = &streams[context % BUCKETS];
  while (*from != NULL && (*from)->context != context) from = &(*from)->next;
  stream *it = *from;
  if (it == NULL) return;
  *from = it->next;
  an_call_free(it->call);
  it->next = spare_streams;
  spare_streams = it;
}

static uint32_t reply(stream *it) {
  static const char details[] = "appnet_refused";
  static const uint8_t no_headers[4];
  const an_outcome *outcome = &it->call->outcome;
  it->replied = true;
  /* Envoy makes a gRPC reply of it, with the text as its grpc-message; 403 is for callers that do not speak gRPC. */
  proxy_send_local_response(403, details, sizeof details - 1, outcome->text.data, outcome->text.size, no_headers,
                            sizeof no_headers, outcome->code);
  return PAUSE;
}

#if APPNET_WANTS_RESPONSE_END
/* The trailers in hand end the response with the chain's own status. */
static uint32_t end_with_own_status(stream *it) {
  static const char status_key[] = "grpc-status", message_key[] = "grpc-message";
  const an_outcome *outcome = &it->call->outcome;
  char code[AN_STATUS_SIZE], message[AN_MESSAGE_SIZE];
  size_t code_size = an_status_text(outcome->code, code), message_size = an_message_text(outcome->text, message);
  it->replied = true;
  proxy_replace_header_map_value(RESPONSE_TRAILERS, status_key, sizeof status_key - 1, code, code_size);
  proxy_replace_header_map_value(RESPONSE_TRAILERS, message_key, sizeof message_key - 1, message, message_size);
  return CONTINUE;
}
#endif

/* Envoy sends no message in the place of a gRPC response. Chains that reply are not compiled to wasm. */
static uint32_t refuse_to_respond(stream *it) {
  static const char text[] = "appnet: a wasm module cannot reply";
  it->call->outcome.code = 12;
  it->call->outcome.text = (an_view){(const uint8_t *)text, sizeof text - 1};
  return reply(it);
}

#if APPNET_WANTS_LATE_REQUEST_HEADERS
/* So that the message's event need not ask for them again. Where messages are judged one by one, the first lets them go. */
static void keep_request_headers(stream *it) {
  if (it->call->request_phase != AN_PHASE_WAITING || request_headers.size == 0) return;
  uint8_t *copy = an_arena_alloc(&it->call->arena, request_headers.size);
  if (copy == NULL) return;
  memcpy(copy, request_headers.data, request_headers.size);
  it->request_headers = (an_view){copy, request_headers.size};
}
#endif

EXPORT(proxy_on_request_headers) uint32_t proxy_on_request_headers(uint32_t context, uint32_t headers, uint32_t end) {
  (void)headers;
  event_begins();
  stream *it = find_stream(context);
  if (it == NULL) it = new_stream(context);
  if (it == NULL) {
    complain("appnet: out of memory: a call is kept back");
    return PAUSE;
  }
  uint8_t *pairs = NULL;
  size_t size = 0;
  if (proxy_get_header_map_pairs(REQUEST_HEADERS, &pairs, &size) == 0) request_headers = (an_view){pairs, size};
  switch (an_request_headers(it->call, end != 0)) {
    case AN_HOLD:
#if APPNET_WANTS_LATE_REQUEST_HEADERS
      keep_request_headers(it);
#endif
      return PAUSE;
    case AN_REPLY: return reply(it);
    case AN_RESPOND: return refuse_to_respond(it);
    default: return CONTINUE;
  }
}

#if APPNET_WANTS_REQUEST_BODY || APPNET_WANTS_RESPONSE_END
static an_view body_bytes(uint32_t buffer, size_t size) {
  uint8_t *bytes = NULL;
  size_t found = 0;
  if (size == 0 || proxy_get_buffer_bytes(buffer, 0, size, &bytes, &found) != 0) return (an_view){NULL, 0};
  return (an_view){bytes, found};
}

static uint32_t replace(stream *it, uint32_t buffer, size_t size, uint32_t map) {
  static const char content_length[] = "content-length";
  an_view body = it->call->outcome.body;
  proxy_set_buffer_bytes(buffer, 0, size, body.data, body.size);
  proxy_remove_header_map_value(map, content_length, sizeof content_length - 1);
  return CONTINUE;
}
#endif

#if APPNET_WANTS_REQUEST_BODY || APPNET_WANTS_RESPONSE_END
static uint32_t take(uint32_t buffer, size_t size) {
  proxy_set_buffer_bytes(buffer, 0, size, NULL, 0);
  return PAUSE;
}
#endif

#if APPNET_WANTS_REQUEST_BODY
EXPORT(proxy_on_request_body) uint32_t proxy_on_request_body(uint32_t context, size_t size, uint32_t end) {
  stream *it = find_stream(context);
  if (it == NULL || it->replied) return PAUSE;
  if (it->call->request_phase == AN_PHASE_JUDGED) return CONTINUE;
  event_begins();
  /* A unary request is judged at its end; until then its frame header tells all that can be told. */
  bool header_tells = end == 0 && size > FRAME_HEADER && it->call->request_phase != AN_PHASE_STREAMING;
  size_t shown = header_tells ? FRAME_HEADER : size;
  an_view body = body_bytes(REQUEST_BODY, shown);
#if APPNET_WANTS_LATE_REQUEST_HEADERS
  request_headers = it->request_headers;
#endif
  switch (body.size == shown ? an_request_body(it->call, &body, 1, end != 0) : AN_HOLD) {
    case AN_HOLD: return PAUSE;
    case AN_REPLY: return reply(it);
    case AN_REPLACE: return replace(it, REQUEST_BODY, size, REQUEST_HEADERS);
    case AN_TAKE: return take(REQUEST_BODY, size);
    case AN_RESPOND: return refuse_to_respond(it);
    default: return CONTINUE;
  }
}

EXPORT(proxy_on_request_trailers) uint32_t proxy_on_request_trailers(uint32_t context, uint32_t trailers) {
  stream *it = find_stream(context);
  (void)trailers;
  if (it == NULL || it->replied) return PAUSE;
  event_begins();
  switch (an_request_trailers(it->call)) {
    case AN_HOLD: return PAUSE;
    case AN_REPLY: return reply(it);
    default: return CONTINUE;
  }
}
#endif

#if APPNET_WANTS_RESPONSE
EXPORT(proxy_on_response_headers) uint32_t proxy_on_response_headers(uint32_t context, uint32_t headers, uint32_t end) {
  stream *it = find_stream(context);
  (void)headers;
  if (it == NULL || it->replied) return CONTINUE;
  event_begins();
  switch (an_response_headers(it->call, end != 0)) {
    case AN_HOLD: it->response_held = true; return PAUSE;
    case AN_REPLY: return reply(it);
    default: it->response_passed = true; return CONTINUE;
  }
}
#endif

#if APPNET_WANTS_RESPONSE_END
/* Whether a long body that is shown again and again is still growing: then its header alone is looked at. */
static bool still_growing(size_t size) {
  if (size <= WHOLE_AT_ONCE) return false;
  an_view header = body_bytes(RESPONSE_BODY, FRAME_HEADER);
  if (header.size != FRAME_HEADER || header.data[0] != 0) return false;
  uint32_t length = 0;
  for (unsigned i = 1; i < FRAME_HEADER; i++) length = length << 8 | header.data[i];
  return length <= instance->options.max_message && size - FRAME_HEADER < length;
}

EXPORT(proxy_on_response_body) uint32_t proxy_on_response_body(uint32_t context, size_t size, uint32_t end) {
  stream *it = find_stream(context);
  if (it == NULL || it->replied || it->call->response_phase == AN_PHASE_JUDGED) return CONTINUE;
  event_begins();
  bool streams = it->call->response_phase == AN_PHASE_STREAMING;
  if (it->response_held && !streams && end == 0 && still_growing(size)) return PAUSE;
  an_view body = body_bytes(RESPONSE_BODY, size);
  switch (body.size == size ? an_response_body(it->call, &body, 1, end != 0) : AN_HOLD) {
    case AN_HOLD: return PAUSE;
    case AN_REPLY: return reply(it);
    case AN_REPLACE: it->response_passed = true; return replace(it, RESPONSE_BODY, size, RESPONSE_HEADERS);
    case AN_TAKE: return take(RESPONSE_BODY, size);
    default: it->response_passed = true; return CONTINUE;
  }
}

EXPORT(proxy_on_response_trailers) uint32_t proxy_on_response_trailers(uint32_t context, uint32_t trailers) {
  stream *it = find_stream(context);
  (void)trailers;
  if (it == NULL || it->replied) return CONTINUE;
  event_begins();
  switch (an_response_trailers(it->call)) {
    case AN_HOLD: return PAUSE;
    case AN_REPLY: return it->response_passed ? end_with_own_status(it) : reply(it);
    case AN_REPLACE: return replace(it, RESPONSE_BODY, LARGEST_BLOCK, RESPONSE_HEADERS);
    default: return CONTINUE;
  }
}
#endif

/* ---- records --------------------------------------------------------------------------------------------- */

#if APPNET_WANTS_RECORDS
IMPORT(env, proxy_http_call)
uint32_t proxy_http_call(const void *cluster, size_t cluster_size, const void *headers, size_t headers_size, const void *body,
                         size_t body_size, const void *trailers, size_t trailers_size, uint32_t timeout_ms, uint32_t *token);
IMPORT(env, proxy_done) uint32_t proxy_done(void);

enum { POST_TIMEOUT_MS = 2000 };
static uint8_t *batch; /* kept until the collector has it */
static size_t batch_size;
static bool batch_under_way, ending;

/* The four headers of a post as proxy-wasm has maps: count, sizes, then keys and values, each ended by a NUL. */
static size_t put_headers(uint8_t *out) {
  static const char *const texts[8] = {":method",    "POST",             ":path",        "/v1/logs",
                                       ":authority", "appnet-telemetry", "content-type", "application/x-protobuf"};
  uint32_t number = 4;
  size_t at = sizeof number;
  memcpy(out, &number, sizeof number);
  for (unsigned i = 0; i < 8; i++, at += sizeof number) {
    number = (uint32_t)strlen(texts[i]);
    memcpy(out + at, &number, sizeof number);
  }
  for (unsigned i = 0; i < 8; i++) {
    size_t size = strlen(texts[i]) + 1;
    memcpy(out + at, texts[i], size);
    at += size;
  }
  return at;
}

static void post(void) {
  static const char cluster[] = "appnet-telemetry";
  static const uint8_t no_trailers[4];
  uint8_t headers[160];
  uint32_t token;
  if (batch_under_way || instance == NULL) return;
  if (batch == NULL) batch = an_records_take(instance, &batch_size);
  if (batch == NULL) return;
  size_t headers_size = put_headers(headers);
  batch_under_way = proxy_http_call(cluster, sizeof cluster - 1, headers, headers_size, batch, batch_size, no_trailers,
                                    sizeof no_trailers, POST_TIMEOUT_MS, &token) == 0;
}

EXPORT(proxy_on_tick) void proxy_on_tick(uint32_t root) {
  (void)root;
  event_begins();
  set_wall_clock();
  post();
}

EXPORT(proxy_on_http_call_response)
void proxy_on_http_call_response(uint32_t root, uint32_t token, uint32_t headers, size_t body_size, uint32_t trailers) {
  (void)root; (void)token; (void)body_size; (void)trailers;
  event_begins();
  batch_under_way = false;
  if (headers > 0) { /* none: it did not arrive, the next tick posts it again */
    an_free(batch);
    batch = NULL;
  }
  if (!ending) return;
  post();
  if (!batch_under_way) proxy_done();
}

/* An upgrade ends the machine once its records are out. Contexts of calls end at once, and as they are told of this hook
 * in any case, they need none for their deletion. */
EXPORT(proxy_on_done) uint32_t proxy_on_done(uint32_t context) {
  if (context != root_context) {
    end_stream(context);
    return 1;
  }
  event_begins();
  ending = true;
  post();
  return batch_under_way ? 0 : 1;
}
#else
EXPORT(proxy_on_delete) void proxy_on_delete(uint32_t context) { end_stream(context); }
#endif
