#define _GNU_SOURCE
#include "fiber.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK_SIZE = 256 << 10, SPARE_FIBERS = 256 };

struct fiber {
  fiber *next_spare;
  void (*work)(void *);
  void *argument;
  bool done;
  void *memory; /* of the stack, behind a page that nobody may touch */
  size_t size;
  ucontext_t own, caller;
};

static struct {
  pthread_mutex_t lock;
  fiber *first;
  unsigned count;
} spare = {PTHREAD_MUTEX_INITIALIZER, NULL, 0};

static _Thread_local fiber *current;

fiber *fiber_current(void) { return current; }

static void run_fiber(unsigned low, unsigned high) {
  fiber *it = (fiber *)((uintptr_t)low | (uintptr_t)high << 32);
  for (;;) { /* a spare fiber is used again */
    it->work(it->argument);
    it->done = true;
    swapcontext(&it->own, &it->caller);
  }
}

static fiber *make_fiber(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  fiber *it = calloc(1, sizeof *it);
  if (it == NULL) return NULL;
  it->size = STACK_SIZE + page;
  it->memory = mmap(NULL, it->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (it->memory == MAP_FAILED || mprotect(it->memory, page, PROT_NONE) != 0 || getcontext(&it->own) != 0) {
    if (it->memory != MAP_FAILED) munmap(it->memory, it->size);
    free(it);
    return NULL;
  }
  it->own.uc_stack.ss_sp = (char *)it->memory + page;
  it->own.uc_stack.ss_size = STACK_SIZE;
  it->own.uc_link = NULL;
  makecontext(&it->own, (void (*)(void))run_fiber, 2, (unsigned)(uintptr_t)it, (unsigned)((uintptr_t)it >> 32));
  return it;
}

static fiber *take_fiber(void) {
  pthread_mutex_lock(&spare.lock);
  fiber *it = spare.first;
  if (it != NULL) {
    spare.first = it->next_spare;
    spare.count--;
  }
  pthread_mutex_unlock(&spare.lock);
  return it != NULL ? it : make_fiber();
}

static void give_fiber(fiber *it) {
  pthread_mutex_lock(&spare.lock);
  bool kept = spare.count < SPARE_FIBERS;
  if (kept) {
    it->next_spare = spare.first;
    spare.first = it;
    spare.count++;
  }
  pthread_mutex_unlock(&spare.lock);
  if (kept) return;
  munmap(it->memory, it->size);
  free(it);
}

bool fiber_resume(fiber *it) {
  fiber *outer = current;
  current = it;
  swapcontext(&it->caller, &it->own);
  current = outer;
  if (!it->done) return false;
  give_fiber(it);
  return true;
}

bool fiber_start(void (*work)(void *argument), void *argument, fiber **started) {
  fiber *it = take_fiber();
  *started = it;
  if (it == NULL) return false;
  it->work = work;
  it->argument = argument;
  it->done = false;
  return fiber_resume(it);
}

void fiber_leave(fiber *it) { swapcontext(&it->own, &it->caller); }
