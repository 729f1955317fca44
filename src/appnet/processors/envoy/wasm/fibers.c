#include "fibers.h"

#if AN_FIBERS

#define BESIDE __attribute__((noinline)) /* what is around it is compiled in another way */
#define ASYNCIFY(name) __attribute__((import_module("asyncify"), import_name(#name)))

enum { EVENT_STACK = 256 << 10, EVENT_FRAMES = 64 << 10 };

/* Where frames write their locals down, one behind the other. */
typedef struct unwound {
  uint8_t *at, *end;
} unwound;

struct fiber {
  void (*event)(void *argument);
  void *argument;
  size_t stack, frames; /* bytes of each, which follow */
};

/* The compiler's: calls of them are replaced. */
ASYNCIFY(start_unwind) void start_unwind(unwound *frames);
ASYNCIFY(stop_unwind) void stop_unwind(void);
ASYNCIFY(start_rewind) void start_rewind(unwound *frames);
ASYNCIFY(stop_rewind) void stop_rewind(void);

static _Alignas(16) uint8_t event_stack[EVENT_STACK];
static uint8_t event_frames[EVENT_FRAMES];
static unwound frames;
static uint8_t *waits_at; /* where the stack is of the event that waits, or goes on */
static bool unwinds, rewinds;

__asm__(".globaltype __stack_pointer, i32\n");

static inline uint8_t *stack_pointer(void) {
  uint8_t *at;
  __asm__ volatile("global.get __stack_pointer\n\tlocal.set %0" : "=r"(at));
  return at;
}

static inline void set_stack_pointer(uint8_t *at) {
  __asm__ volatile("local.get %0\n\tglobal.set __stack_pointer" : : "r"(at) : "memory");
}

static uint8_t *stack_top(void) { return event_stack + EVENT_STACK; }

/* The event's frames are above this one. */
BESIDE static void enter(void (*event)(void *argument), void *argument) {
  uint8_t *const own = stack_pointer();
  set_stack_pointer(stack_top());
  if (rewinds) start_rewind(&frames);
  event(argument);
  if (unwinds) stop_unwind();
  set_stack_pointer(own);
}

BESIDE void fiber_wait(void) {
  if (rewinds) {
    rewinds = false;
    stop_rewind();
    set_stack_pointer(waits_at);
    return;
  }
  waits_at = stack_pointer();
  unwinds = true;
  frames = (unwound){event_frames, event_frames + EVENT_FRAMES};
  start_unwind(&frames);
}

/* It does not, but the compiler takes it that it may. */
void an_may_wait(void) {
  static volatile bool never;
  if (never) fiber_wait();
}

static bool is_over(void (*event)(void *argument), void *argument, fiber **left) {
  enter(event, argument);
  if (!unwinds) return true;
  unwinds = false;
  const size_t stack = (size_t)(stack_top() - waits_at), written = (size_t)(frames.at - event_frames);
  fiber *it = an_alloc(sizeof *it + stack + written);
  if (it == NULL) __builtin_trap(); /* others wait for what it has begun */
  *it = (fiber){event, argument, stack, written};
  uint8_t *bytes = (uint8_t *)(it + 1);
  memcpy(bytes, waits_at, stack);
  memcpy(bytes + stack, event_frames, written);
  *left = it;
  return false;
}

bool fiber_run(void (*event)(void *argument), void *argument, fiber **left) { return is_over(event, argument, left); }

bool fiber_go_on(fiber *it, fiber **left) {
  const fiber kept = *it;
  const uint8_t *bytes = (const uint8_t *)(it + 1);
  waits_at = stack_top() - kept.stack;
  memcpy(waits_at, bytes, kept.stack);
  memcpy(event_frames, bytes + kept.stack, kept.frames);
  frames = (unwound){event_frames + kept.frames, event_frames + EVENT_FRAMES};
  an_free(it);
  rewinds = true;
  return is_over(kept.event, kept.argument, left);
}
#endif
