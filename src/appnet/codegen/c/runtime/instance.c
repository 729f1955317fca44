#include "instance.h"

#include "metrics.h"
#include "octets.h"

enum {
  AN_CALL_BLOCK = 2048,   /* arena bytes that every call carries: enough for the messages of most RPCs */
  AN_CHUNK_SIZE = 16384,  /* arena bytes of a pooled chunk */
  AN_SPARE_CHUNKS = 64,   /* pooled chunks kept for later calls */
#if defined(__SANITIZE_ADDRESS__)
  AN_POOLED = 0, /* each piece of an arena is a block of its own, so that the sanitizer knows its ends */
#else
  AN_POOLED = 1,
#endif
};

static size_t round_up(size_t size) { return size > SIZE_MAX - 15 ? SIZE_MAX : (size + 15) & ~(size_t)15; }

void *an_alloc_zeroed(size_t size) {
  void *block = an_alloc(size);
  if (block != NULL) memset(block, 0, size);
  return block;
}

/* ---- arena ------------------------------------------------------------------------------------------ */

static an_chunk *chunk_take(an_instance *instance, size_t size) {
  an_chunk *chunk = NULL;
  if (AN_POOLED && size <= AN_CHUNK_SIZE) {
    an_lock_acquire(&instance->pool_lock);
    chunk = instance->spare_chunks;
    if (chunk != NULL) {
      instance->spare_chunks = chunk->next;
      instance->spare_chunk_count--;
    }
    an_lock_release(&instance->pool_lock);
    size = AN_CHUNK_SIZE;
  }
  if (chunk == NULL) {
    chunk = an_alloc(an_size_add(size, round_up(sizeof(an_chunk))));
    if (chunk != NULL) chunk->size = size;
  }
  return chunk;
}

void *an_arena_alloc(an_arena *arena, size_t size) {
  if (size == 0) size = 1;
  if (AN_POOLED) size = round_up(size);
  if (AN_POOLED && size <= (size_t)(arena->end - arena->at)) {
    void *block = arena->at;
    arena->at += size;
    return block;
  }
  an_chunk *chunk = chunk_take(arena->instance, size);
  if (chunk == NULL) return NULL;
  chunk->next = arena->chunks;
  arena->chunks = chunk;
  uint8_t *block = (uint8_t *)chunk + round_up(sizeof(an_chunk));
  arena->at = block + size;
  arena->end = block + chunk->size;
  return block;
}

void an_arena_release(an_arena *arena, const an_mark *mark) {
  an_instance *instance = arena->instance;
  while (arena->chunks != mark->chunks) {
    an_chunk *chunk = arena->chunks;
    arena->chunks = chunk->next;
    bool kept = false;
    if (chunk->size == AN_CHUNK_SIZE) {
      an_lock_acquire(&instance->pool_lock);
      if (instance->spare_chunk_count < AN_SPARE_CHUNKS) {
        chunk->next = instance->spare_chunks;
        instance->spare_chunks = chunk;
        instance->spare_chunk_count++;
        kept = true;
      }
      an_lock_release(&instance->pool_lock);
    }
    if (!kept) an_free(chunk);
  }
  *arena = *mark;
}

/* ---- buffer ----------------------------------------------------------------------------------------- */

void an_buffer_append(an_buffer *buffer, const void *bytes, size_t size) {
  if (buffer->failed || size == 0) return;
  size_t needed = an_size_add(buffer->size, size);
  if (buffer->limit != 0 && needed > buffer->limit) {
    buffer->failed = true;
    return;
  }
  if (needed > buffer->capacity) {
    size_t capacity = buffer->capacity > SIZE_MAX / 2 ? SIZE_MAX : buffer->capacity * 2;
    if (capacity < 256) capacity = 256;
    if (capacity < needed) capacity = needed;
    uint8_t *data = an_realloc(buffer->data, capacity);
    if (data == NULL) {
      buffer->failed = true;
      return;
    }
    buffer->data = data;
    buffer->capacity = capacity;
  }
  memcpy(buffer->data + buffer->size, bytes, size);
  buffer->size = needed;
}

void an_buffer_append_u32(an_buffer *buffer, uint32_t value) {
  uint8_t bytes[4];
  store_le32(bytes, value);
  an_buffer_append(buffer, bytes, sizeof bytes);
}

void an_buffer_free(an_buffer *buffer) {
  an_free(buffer->data);
  memset(buffer, 0, sizeof *buffer);
}

/* ---- calls ------------------------------------------------------------------------------------------ */

void an_calls_lay_out(an_instance *instance, size_t call_size) {
  size_t slots = an_size_mul(an_size_add(instance->slot_count, instance->reply_slot_count), sizeof(an_slot));
  instance->call_state_at = round_up(call_size);
  instance->call_slots_at = an_size_add(instance->call_state_at, round_up(instance->program->call_state_size));
  instance->call_block_at = an_size_add(instance->call_slots_at, round_up(slots));
  instance->call_bytes = an_size_add(instance->call_block_at, AN_CALL_BLOCK);
}

an_call *an_call_new(an_instance *instance, void *host) {
  an_lock_acquire(&instance->pool_lock);
  an_call *call = instance->spare_calls;
  if (call != NULL) instance->spare_calls = call->next_spare;
  an_lock_release(&instance->pool_lock);
  if (call == NULL) call = an_alloc(instance->call_bytes);
  if (call == NULL) return NULL;
  uint8_t *base = (uint8_t *)call;
  memset(base, 0, instance->call_slots_at);
  call->instance = instance;
  call->host = host;
  call->clock = instance->services.host;
  call->state = base + instance->call_state_at;
  call->slots = (an_slot *)(void *)(base + instance->call_slots_at);
  call->reply_slots = call->slots + instance->slot_count;
  call->arena.instance = instance;
  call->kept.instance = instance;
  call->arena.at = base + instance->call_block_at;
  call->arena.end = base + instance->call_bytes;
  call->cells = an_metrics_cells(instance);
  call->destination = -1;
  call->counted = -1;
  call->forwarded = UINT32_MAX; /* until something of the call is refused, responses pass all that let it pass */
  call->end_status = AN_CANCELLED;
  call->deadline_ns = AN_NO_DEADLINE;
  return call;
}

AN_APART an_verdict an_judge(an_call *call, an_verdict (*handlers)(an_call *call)) {
  an_may_wait();
  return handlers(call);
}

AN_APART static void an_run_end(an_call *call, void (*handlers)(an_call *call)) {
  an_may_wait();
  handlers(call);
}

void an_call_free(an_call *call) {
  if (call == NULL) return;
  an_instance *instance = call->instance;
  an_call_uncount(call);
  an_metrics_end(call);
  if (call->method != NULL && call->method->on_end != NULL) an_run_end(call, call->method->on_end);
  if (AN_TRACE && call->trace != NULL) an_trace_end(call);
  if (call->arena.chunks != NULL) an_arena_release(&call->arena, &(an_mark){.instance = instance});
  if (call->kept.chunks != NULL) an_arena_release(&call->kept, &(an_mark){.instance = instance});
  an_lock_acquire(&instance->pool_lock);
  call->next_spare = instance->spare_calls;
  instance->spare_calls = call;
  an_lock_release(&instance->pool_lock);
}

void an_call_count(an_call *call) {
  if (call->counted >= 0 || call->destination < 0) return;
  call->counted = call->destination;
  __atomic_add_fetch(&call->instance->loads[call->counted], 1, __ATOMIC_RELAXED);
}

void an_call_uncount(an_call *call) {
  if (call->counted < 0) return;
  __atomic_sub_fetch(&call->instance->loads[call->counted], 1, __ATOMIC_RELAXED);
  call->counted = -1;
}

void an_pools_free(an_instance *instance) {
  while (instance->spare_calls != NULL) {
    an_call *call = instance->spare_calls;
    instance->spare_calls = call->next_spare;
    an_free(call);
  }
  while (instance->spare_chunks != NULL) {
    an_chunk *chunk = instance->spare_chunks;
    instance->spare_chunks = chunk->next;
    an_free(chunk);
  }
}
