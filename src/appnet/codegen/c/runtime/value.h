/* Values of the language in generated code, and the memory that state owns.
 *
 * bool, int64_t (int, Instant), uint64_t, double, an_view (string, bytes), structs for pairs and options, an_vec and
 * an_map. A value in a handler borrows: its bytes are in the message, in the call's arena, static, or in state. What
 * state drops stays readable until the handler has ended (an_heap_flush), so borrowed bytes never go stale under it.
 * A container inside another value is never changed in place, so copies share it; what becomes state is copied whole.
 */
#ifndef AN_VALUE_H
#define AN_VALUE_H

#include "instance.h"

/* ---- strings -------------------------------------------------------------------------------------- */

/* A string literal, of any bytes, as a value. */
#define AN_TEXT(literal) ((an_view){(const uint8_t *)(literal), sizeof(literal) - 1})

/* Whether a string is that literal, which is not empty. */
#define AN_IS(text, literal) an_is((text), (literal), sizeof(literal) - 1)

static inline bool an_is(an_view text, const char *literal, size_t size) {
  return text.size == size && (size == 0 || __builtin_memcmp(text.data, literal, size) == 0);
}

static inline bool an_equal(an_view left, an_view right) {
  return left.size == right.size && (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

/* Below, at or above 0, as the left comes before, with or after the right: bytewise, unsigned. */
static inline int an_compare(an_view left, an_view right) {
  size_t shared = left.size < right.size ? left.size : right.size;
  int order = shared == 0 ? 0 : memcmp(left.data, right.data, shared);
  return order != 0 ? order : (left.size > right.size) - (left.size < right.size);
}

/* ---- numbers: total, without undefined behaviour ----------------------------------------------------- */

static inline int64_t an_int_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static inline int64_t an_int_sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static inline int64_t an_int_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static inline int64_t an_int_neg(int64_t a) { return (int64_t)(0 - (uint64_t)a); }
static inline int64_t an_int_abs(int64_t a) { return a < 0 ? an_int_neg(a) : a; }
static inline int64_t an_int_div(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? an_int_neg(a) : a / b; }
static inline uint64_t an_uint_div(uint64_t a, uint64_t b) { return b == 0 ? 0 : a / b; }
static inline int64_t an_int_rem(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
static inline uint64_t an_uint_rem(uint64_t a, uint64_t b) { return b == 0 ? 0 : a % b; }
static inline int64_t an_int_min(int64_t a, int64_t b) { return b < a ? b : a; }
static inline int64_t an_int_max(int64_t a, int64_t b) { return b > a ? b : a; }
static inline uint64_t an_uint_min(uint64_t a, uint64_t b) { return b < a ? b : a; }
static inline uint64_t an_uint_max(uint64_t a, uint64_t b) { return b > a ? b : a; }

/* Division by zero is what IEEE 754 says, which C leaves open. */
static inline double an_float_div(double a, double b) {
  if (b != 0.0) return a / b;
  if (a == 0.0 || a != a) return __builtin_nan("");
  return (__builtin_signbit(a) != 0) == (__builtin_signbit(b) != 0) ? __builtin_inf() : -__builtin_inf();
}

static inline double an_float_min(double a, double b) {
  return a != a || b != b ? __builtin_nan("") : b < a ? b : a;
}

static inline double an_float_max(double a, double b) {
  return a != a || b != b ? __builtin_nan("") : b > a ? b : a;
}

static inline int64_t an_float_to_int(double a) {
  if (a != a) return 0;
  if (a >= 0x1p63) return INT64_MAX;
  return a < -0x1p63 ? INT64_MIN : (int64_t)a;
}

static inline uint64_t an_float_to_uint(double a) {
  if (!(a > 0.0)) return 0;
  return a >= 0x1p64 ? UINT64_MAX : (uint64_t)a;
}

/* The 64 bits of a double; all NaNs have those of the quiet NaN. */
static inline uint64_t an_float_bits(double a) {
  union { double f; uint64_t u; } bits = {a};
  return a != a ? 0x7ff8000000000000u : bits.u;
}

/* Seconds from b to a. */
static inline double an_time_diff(int64_t a, int64_t b) {
  return (double)(int64_t)((uint64_t)a - (uint64_t)b) / 1e9;
}

/* Uniform in [a, b), by a draw. */
static inline int64_t an_random_int(uint64_t draw, int64_t a, int64_t b) {
  return a < b ? (int64_t)((uint64_t)a + draw % ((uint64_t)b - (uint64_t)a)) : a;
}

/* ---- counters: added to by any thread without a lock ----------------------------------------------------- */

static inline void an_count_int(int64_t *place, int64_t by) { __atomic_fetch_add(place, by, __ATOMIC_RELAXED); }
static inline void an_count_uint(uint64_t *place, uint64_t by) { __atomic_fetch_add(place, by, __ATOMIC_RELAXED); }

static inline void an_count_float(double *place, double by) {
  double before, after;
  __atomic_load(place, &before, __ATOMIC_RELAXED);
  do {
    after = before + by;
  } while (!__atomic_compare_exchange(place, &before, &after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/* ---- types ------------------------------------------------------------------------------------------ */

typedef enum an_kind {
  AN_BOOL, AN_INT, AN_UINT, AN_FLOAT, AN_STRING, AN_PAIR, AN_VEC, AN_MAP,
} an_kind;

typedef struct an_heap an_heap;
typedef struct an_scope an_scope;

/* How a value lies in memory, and what it owns. */
struct an_type {
  an_kind kind;
  bool flat;              /* it refers to no memory of its own */
  bool moment;            /* a time of this machine's clock */
  uint32_t size;          /* of a value */
  uint32_t offset;        /* pair: of the second; Map: of the value in an entry */
  uint32_t stride;        /* Map: of an entry */
  const an_type *first;   /* pair; Vec: the item; Map: the key */
  const an_type *second;  /* pair; Map: the value */
  /* What an_own and an_disown do with a value of this type, which is not flat. */
  void (*own)(an_scope *scope, an_heap *heap, const an_type *type, void *value);
  void (*disown)(an_heap *heap, const an_type *type, void *value);
};

#define AN_PAIR_TYPE(pair, left, right, is_flat)                                                          \
  {.kind = AN_PAIR, .flat = (is_flat), .size = sizeof(pair), .offset = offsetof(pair, second), .first = (left), \
   .second = (right), .own = an_pair_own, .disown = an_pair_disown}

/* Instants are ints that only a clock gives a meaning: see an_type.moment. Those of other machines may be from before it began. */
extern const an_type an_type_bool, an_type_int, an_type_uint, an_type_instant, an_type_float, an_type_string;

/* ---- memory of an element's state --------------------------------------------------------------------- */

enum { AN_HEAP_CLASSES = 16 };

typedef struct an_block an_block;
typedef struct an_journal an_journal; /* journal.h */
typedef struct an_trial an_trial;     /* trial.h */
typedef struct an_merging an_merging; /* merging.h */

/* Guarded by its element's lock. Blocks of a size that was dropped are kept for the next of that size, so that
 * handlers which replace values allocate nothing in the long run. */
struct an_heap {
  an_block *spare[AN_HEAP_CLASSES];
  uint16_t spare_count[AN_HEAP_CLASSES];
  an_block *dropped; /* readable until the handler ends */
  uint64_t evicted;  /* entries and items that went to make room for others, since the count was last taken; atomic */
  an_journal *journal; /* where changes of Maps and Vecs are written down; NULL: nowhere */
  an_trial *trial;     /* of the step that runs, which may have to be taken back; NULL: none */
  an_merging *merging; /* where a handler that runs notes what it changes of weak state; NULL: nowhere */
};

/* What the state of an element is changed under: its lock, and the memory of what it holds. */
struct an_guard {
  an_lock lock;
  an_heap heap;
  const void *trying; /* whose steps are on trial, where those of two versions could change the same memory */
};

/* Counts what a container lets go; `heap` is NULL where it is no state. */
static inline void an_heap_evicted(an_heap *heap, uint64_t count) {
  if (heap != NULL) __atomic_fetch_add(&heap->evicted, count, __ATOMIC_RELAXED);
}

/* Memory of state that is about to be changed in place; `heap` is NULL where it is no state. */
void an_trial_note(an_trial *trial, const void *place, size_t size);
static inline void an_heap_note(an_heap *heap, const void *place, size_t size) {
  if (heap != NULL && heap->trial != NULL) an_trial_note(heap->trial, place, size);
}

void *an_heap_alloc(an_heap *heap, size_t size); /* NULL when out of memory */
void an_heap_drop(an_heap *heap, void *block);   /* NULL is nothing */
void an_heap_free(an_heap *heap);                /* all that was dropped */
void an_heap_recycle(an_heap *heap);

/* The handler has ended: what it dropped can be used again. */
static inline void an_heap_flush(an_heap *heap) {
  if (heap->dropped != NULL) an_heap_recycle(heap);
}

/* ---- one run of a handler ------------------------------------------------------------------------------- */

struct an_scope {
  an_call *call;
  bool failed; /* out of memory: some value is not what it should be, so the verdict must be a refusal */
  bool hidden;          /* the text of the refusal is secret */
  const char *row;      /* of the match-action table, in which it refused */
  struct an_seen *seen; /* what it has read, where that is noted: see why.h */
  uint64_t now_ns;      /* the time of this run; 0: it has not asked */
};

/* Where `heap` is NULL, here and in an_vec_* and an_map_*, memory comes from the call's arena. */
void *an_scope_alloc(an_scope *scope, an_heap *heap, size_t size); /* NULL sets `failed` */

/* Gives the value copies of its own of all memory it refers to. */
static inline void an_own(an_scope *scope, an_heap *heap, const an_type *type, void *value) {
  if (!type->flat) type->own(scope, heap, type, value);
}

/* As an_own, for rpc-scoped state: the copies last as long as the call. */
void an_keep(an_scope *scope, const an_type *type, void *value);
/* Drops what the value owns. */
static inline void an_disown(an_heap *heap, const an_type *type, void *value) {
  if (!type->flat) type->disown(heap, type, value);
}

/* Puts a copy of the value in the place of the one there, which is dropped; they may be the same. */
void an_store(an_scope *scope, an_heap *heap, const an_type *type, void *place, const void *value);

/* Of an_type. */
void an_pair_own(an_scope *scope, an_heap *heap, const an_type *type, void *pair);
void an_pair_disown(an_heap *heap, const an_type *type, void *pair);
void an_text_own(an_scope *scope, an_heap *heap, const an_type *type, void *text);
void an_text_disown(an_heap *heap, const an_type *type, void *text);

/* As an_store. */
void an_store_text(an_scope *scope, an_heap *heap, an_view *place, an_view value);

/* The string in memory that lasts as long as the call. */
static inline an_view an_keep_text(an_scope *scope, an_view text) {
  an_text_own(scope, NULL, &an_type_string, &text);
  return text;
}

/* Ends a handler with a refusal; the text must last as long as the call. */
static inline an_verdict an_refuse(an_scope *scope, int32_t code, an_view text) {
  an_call *call = scope->call;
  call->reply_code = code;
  call->reply_text = text;
  call->own = call->told;
  call->told = NULL;
  return AN_REFUSE;
}

#endif
