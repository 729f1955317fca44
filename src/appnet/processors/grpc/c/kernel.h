/* What a module asks of Linux itself: memory, another thread's turn, and the time where its host has not told it. */
#ifndef AN_KERNEL_H
#define AN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
enum { SYSTEM_MMAP = 9, SYSTEM_MPROTECT = 10, SYSTEM_MUNMAP = 11, SYSTEM_SCHED_YIELD = 24, SYSTEM_CLOCK_GETTIME = 228 };

static inline long kernel_call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
enum { SYSTEM_MMAP = 222, SYSTEM_MUNMAP = 215, SYSTEM_MPROTECT = 226, SYSTEM_SCHED_YIELD = 124, SYSTEM_CLOCK_GETTIME = 113 };

static inline long kernel_call(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#endif

/* Zeroed memory; NULL where there is none. */
static inline void *kernel_map(size_t size) {
  enum { READ_WRITE = 3, PRIVATE_ANONYMOUS = 0x22, LAST_ERROR = 4095 };
  const long found = kernel_call(SYSTEM_MMAP, 0, (long)size, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
  return (unsigned long)found > (unsigned long)-(LAST_ERROR + 1) ? NULL : (void *)(uintptr_t)found;
}

static inline void kernel_unmap(void *memory, size_t size) {
  (void)kernel_call(SYSTEM_MUNMAP, (long)(uintptr_t)memory, (long)size, 0, 0, 0, 0);
}

/* Nobody can touch it from now on. */
static inline bool kernel_forbid(void *memory, size_t size) {
  enum { NOTHING = 0 };
  return kernel_call(SYSTEM_MPROTECT, (long)(uintptr_t)memory, (long)size, NOTHING, 0, 0, 0) == 0;
}

static inline void kernel_yield(void) { (void)kernel_call(SYSTEM_SCHED_YIELD, 0, 0, 0, 0, 0, 0); }

/* Nanoseconds of a clock by its number; 0 where it cannot be had. */
static inline uint64_t kernel_clock(int clock) {
  int64_t time[2] = {0, 0}; /* seconds and nanoseconds */
  if (kernel_call(SYSTEM_CLOCK_GETTIME, clock, (long)(uintptr_t)time, 0, 0, 0, 0) != 0) return 0;
  return (uint64_t)time[0] * 1000000000u + (uint64_t)time[1];
}

#endif
