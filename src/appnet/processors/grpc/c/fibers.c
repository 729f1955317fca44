#include "fibers.h"

#include "kernel.h"

enum {
  GUARD_SIZE = 64 << 10, /* a page of any kernel */
  STACK_SIZE = 256 << 10,
  STACK_HEAD = 64, /* a signal that comes as stacks change may look above them for an address to return to */
  MOST_SPARE = 64,
};

typedef enum fiber_state { FIBER_RUNS, FIBER_WAITS, FIBER_WOKEN } fiber_state;

/* Lies at the top of its stack's memory. */
struct fiber {
  fiber *next;
  uint8_t *memory;
  void *own, *caller; /* where the stacks are that are not in use */
  an_call_frame *frame;
  void (*event)(an_call_frame *frame);
  fiber_state state; /* guarded by the lock */
  bool over;
};

/* Leaves one stack, and notes where it is; goes on where the other one was left. All registers that a function has to give
 * back stay with their stack, but for x28, which is the thread's. */
void fiber_switch(void **from, void *to);
void fiber_begins(void); /* where a new stack was left */

#if defined(__x86_64__)
__asm__(
    ".section .text.fiber_switch,\"ax\",@progbits\n"
    ".hidden fiber_switch\n.globl fiber_switch\n.type fiber_switch,@function\n"
    "fiber_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".hidden fiber_begins\n.globl fiber_begins\n.type fiber_begins,@function\n"
    "fiber_begins:\n"
    "  movq %r12, %rdi\n"
    "  callq *%r13\n"
    "  ud2\n"
    ".text\n");
enum { SAVED = 7, ARGUMENT = 3, FUNCTION = 2, RETURN = 6 };
#elif defined(__aarch64__)
__asm__(
    ".section .text.fiber_switch,\"ax\",@progbits\n"
    ".hidden fiber_switch\n.globl fiber_switch\n.type fiber_switch,@function\n"
    "fiber_switch:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
    "  stp x27, x29, [sp, #64]\n  str x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n"
    "  mov sp, x1\n"
    "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x29, [sp, #64]\n  ldr x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  ret\n"
    ".hidden fiber_begins\n.globl fiber_begins\n.type fiber_begins,@function\n"
    "fiber_begins:\n"
    "  mov x0, x19\n"
    "  blr x20\n"
    "  brk #0\n"
    ".text\n");
enum { SAVED = 20, ARGUMENT = 0, FUNCTION = 1, RETURN = 10 };
#endif

static void run_fiber(fiber *it) {
  for (;;) { /* a spare one is used again */
    it->event(it->frame);
    it->over = true;
    fiber_switch(&it->own, it->caller);
  }
}

static fiber *make_fiber(void) {
  uint8_t *memory = kernel_map(GUARD_SIZE + STACK_SIZE);
  if (memory == NULL) return NULL;
  if (!kernel_forbid(memory, GUARD_SIZE)) {
    kernel_unmap(memory, GUARD_SIZE + STACK_SIZE);
    return NULL;
  }
  uint8_t *top = memory + GUARD_SIZE + STACK_SIZE - ((sizeof(fiber) + 15) & ~(size_t)15);
  fiber *it = (fiber *)(void *)top;
  it->memory = memory;
  uintptr_t *stack = (uintptr_t *)(void *)(top - STACK_HEAD) - SAVED; /* aligned once they are taken off */
  stack[ARGUMENT] = (uintptr_t)it;
  stack[FUNCTION] = (uintptr_t)run_fiber;
  stack[RETURN] = (uintptr_t)fiber_begins;
  it->own = stack;
  return it;
}

static void unmap_fiber(fiber *it) { kernel_unmap(it->memory, GUARD_SIZE + STACK_SIZE); }

static fiber *take_fiber(fibers *all) {
  an_lock_acquire(&all->lock);
  fiber *it = all->spare;
  if (it != NULL) {
    all->spare = it->next;
    all->spare_count--;
  }
  an_lock_release(&all->lock);
  return it != NULL ? it : make_fiber();
}

static void give_fiber(fibers *all, fiber *it) {
  an_lock_acquire(&all->lock);
  const bool kept = all->spare_count < MOST_SPARE;
  if (kept) {
    it->next = all->spare;
    all->spare = it;
    all->spare_count++;
  }
  an_lock_release(&all->lock);
  if (!kept) unmap_fiber(it);
}

/* Until the event is over, or waits and nobody has woken it yet. */
static void go_on(fibers *all, fiber *it) {
  an_call_frame *frame = it->frame;
  for (;;) {
    fiber_switch(&it->caller, it->own);
    if (it->over) {
      frame->fiber = NULL;
      frame->waits = 0;
      give_fiber(all, it);
      return;
    }
    frame->waits = 1; /* before another thread may go on with it */
    an_lock_acquire(&all->lock);
    const bool waits = it->state == FIBER_RUNS;
    it->state = waits ? FIBER_WAITS : FIBER_RUNS;
    an_lock_release(&all->lock);
    if (waits) return;
  }
}

bool fibers_run(fibers *all, an_call_frame *frame, void (*event)(an_call_frame *frame)) {
  fiber *it = take_fiber(all);
  if (it == NULL) return false;
  it->frame = frame;
  it->event = event;
  it->over = false;
  it->state = FIBER_RUNS;
  frame->fiber = it;
  go_on(all, it);
  return true;
}

void fibers_resume(fibers *all, an_call_frame *frame) { go_on(all, frame->fiber); }

void fibers_wait(an_call_frame *frame) {
  fiber *it = frame->fiber;
  fiber_switch(&it->own, it->caller);
}

void fibers_wake(fibers *all, an_call_frame *frame) {
  fiber *it = frame->fiber;
  an_lock_acquire(&all->lock);
  if (it->state == FIBER_RUNS) {
    it->state = FIBER_WOKEN;
  } else {
    it->state = FIBER_RUNS;
    it->next = NULL;
    if (all->woken == NULL) {
      all->woken = it;
    } else {
      all->last_woken->next = it;
    }
    all->last_woken = it;
  }
  an_lock_release(&all->lock);
}

an_call_frame *fibers_woken(fibers *all) {
  an_lock_acquire(&all->lock);
  fiber *it = all->woken;
  if (it != NULL) all->woken = it->next;
  an_lock_release(&all->lock);
  return it == NULL ? NULL : it->frame;
}

void fibers_free(fibers *all) {
  while (all->spare != NULL) {
    fiber *it = all->spare;
    all->spare = it->next;
    unmap_fiber(it);
  }
}
