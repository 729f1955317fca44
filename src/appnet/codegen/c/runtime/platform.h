/* What every runtime file needs from below: memory, bytes, atomics, locks; with libc, or on our own where there is none. */
#ifndef AN_PLATFORM_H
#define AN_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__wasm__)
#define AN_FREESTANDING 1
#endif

#if defined(AN_FREESTANDING)
/* freestanding.c defines these; the compiler may call them for plain assignments too. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *left, const void *right, size_t size);
size_t strlen(const char *text);
/* Compilers that know of no library call these for a single word as well, unless told that they are the usual ones. */
#define memcpy(to, from, size) __builtin_memcpy(to, from, size)
#define memmove(to, from, size) __builtin_memmove(to, from, size)
#define memset(to, byte, size) __builtin_memset(to, byte, size)
#define memcmp(left, right, size) __builtin_memcmp(left, right, size)
#else
#include <sched.h>
#include <string.h>
/* In every C library that Envoy runs on, but not in ISO C, whose headers leave it out. */
void *memmem(const void *text, size_t text_size, const void *part, size_t part_size);
#endif

/* What calls by a pointer what may wait in the middle is a function of its own, marked AN_APART, and says so by an_may_wait:
 * the wasm host has to know (processors/envoy/wasm/fibers.h). */
#if AN_FIBERS
#define AN_APART __attribute__((noinline))
void an_may_wait(void); /* the host's */
#else
#define AN_APART
static inline void an_may_wait(void) {}
#endif

/* NULL when out of memory. an_free(NULL) does nothing. */
void *an_alloc(size_t size);
void *an_alloc_zeroed(size_t size);
void *an_realloc(void *block, size_t size);
void an_free(void *block);

/* Sums of sizes that do not wrap round: SIZE_MAX is never a size that can be had. */
static inline size_t an_size_add(size_t left, size_t right) { return left > SIZE_MAX - right ? SIZE_MAX : left + right; }

static inline size_t an_size_mul(size_t left, size_t right) {
  return right != 0 && left > SIZE_MAX / right ? SIZE_MAX : left * right;
}

/* A lock for the few instructions of a handler. One worker runs a wasm instance, so there it is nothing. */
typedef struct an_lock {
  uint32_t taken;
  uint8_t apart[60]; /* a cache line each: neighbours do not disturb one another */
} an_lock;

#if defined(__wasm__)
static inline void an_lock_acquire(an_lock *lock) { (void)lock; }
static inline void an_lock_release(an_lock *lock) { (void)lock; }
#else
#if defined(AN_FREESTANDING)
void an_yield(void); /* the host's */
#else
static inline void an_yield(void) { sched_yield(); }
#endif
static inline void an_lock_acquire(an_lock *lock) {
  unsigned spins = 0;
  while (__atomic_exchange_n(&lock->taken, 1u, __ATOMIC_ACQUIRE) != 0) {
    while (__atomic_load_n(&lock->taken, __ATOMIC_RELAXED) != 0) {
      if (++spins % 64 == 0) an_yield(); /* the holder may be waiting for our core */
    }
  }
}
static inline void an_lock_release(an_lock *lock) { __atomic_store_n(&lock->taken, 0u, __ATOMIC_RELEASE); }
#endif

#endif
