#define _GNU_SOURCE
#include "timers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "envoy_abi.h"

struct timer {
  timers *all;
  void *scheduler;
  uint64_t at_ns;
  size_t place; /* in the heap; NOWHERE once its time has come */
};

#define NOWHERE SIZE_MAX

struct timers {
  pthread_mutex_t lock; /* guards all of it, and the timers */
  pthread_cond_t changed;
  pthread_t thread;
  bool runs, ending;
  uint64_t wakes_ns; /* when the thread looks again, whatever happens; an earlier timer has to wake it */
  timer **heap; /* the earliest first; each is no later than the two below it */
  size_t count, room;
};

/* ---- heap ------------------------------------------------------------------------------------------------ */

static void heap_put(timers *all, size_t place, timer *it) {
  all->heap[place] = it;
  it->place = place;
}

static void heap_rise(timers *all, timer *it) {
  size_t place = it->place;
  while (place > 0 && all->heap[(place - 1) / 2]->at_ns > it->at_ns) {
    heap_put(all, place, all->heap[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  heap_put(all, place, it);
}

static void heap_sink(timers *all, timer *it) {
  size_t place = it->place;
  for (size_t below = 2 * place + 1; below < all->count; below = 2 * place + 1) {
    if (below + 1 < all->count && all->heap[below + 1]->at_ns < all->heap[below]->at_ns) below++;
    if (all->heap[below]->at_ns >= it->at_ns) break;
    heap_put(all, place, all->heap[below]);
    place = below;
  }
  heap_put(all, place, it);
}

static bool heap_add(timers *all, timer *it) {
  if (all->count == all->room) {
    size_t room = all->room == 0 ? 64 : 2 * all->room;
    timer **heap = realloc(all->heap, room * sizeof *heap);
    if (heap == NULL) return false;
    all->heap = heap;
    all->room = room;
  }
  heap_put(all, all->count++, it);
  heap_rise(all, it);
  return true;
}

static void heap_take(timers *all, timer *it) {
  if (it->place == NOWHERE) return;
  timer *last = all->heap[--all->count];
  if (last != it) {
    heap_put(all, it->place, last);
    heap_rise(all, last);
    heap_sink(all, last);
  }
  it->place = NOWHERE;
}

/* ---- thread ---------------------------------------------------------------------------------------------- */

static uint64_t time_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *wake_filters(void *pointer) {
  timers *all = pointer;
  pthread_mutex_lock(&all->lock);
  while (!all->ending) {
    if (all->count == 0) {
      all->wakes_ns = UINT64_MAX;
      pthread_cond_wait(&all->changed, &all->lock);
      continue;
    }
    timer *first = all->heap[0];
    if (first->at_ns > time_now()) {
      struct timespec until = {(time_t)(first->at_ns / 1000000000u), (long)(first->at_ns % 1000000000u)};
      all->wakes_ns = first->at_ns;
      pthread_cond_timedwait(&all->changed, &all->lock, &until);
      continue;
    }
    heap_take(all, first);
    ENVOY(http_filter_scheduler_commit)(first->scheduler, 0);
  }
  pthread_mutex_unlock(&all->lock);
  return NULL;
}

timers *timers_open(void) {
  timers *all = calloc(1, sizeof *all);
  pthread_condattr_t attributes;
  if (all == NULL) return NULL;
  all->wakes_ns = UINT64_MAX;
  pthread_mutex_init(&all->lock, NULL);
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&all->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  return all;
}

void timers_close(timers *all) {
  pthread_mutex_lock(&all->lock);
  all->ending = true;
  pthread_cond_signal(&all->changed);
  pthread_mutex_unlock(&all->lock);
  if (all->runs) pthread_join(all->thread, NULL);
  pthread_mutex_destroy(&all->lock);
  pthread_cond_destroy(&all->changed);
  free(all->heap);
  free(all);
}

/* ---- timers ---------------------------------------------------------------------------------------------- */

/* Most calls end long before their time. The thread then sleeps on for the time of one that has gone, and sees later
 * ones when it looks: waking it for each would cost more than all the rest. */
static void wake_before(timers *all, uint64_t at_ns) {
  if (at_ns >= all->wakes_ns) return;
  all->wakes_ns = at_ns;
  pthread_cond_signal(&all->changed);
}

timer *timer_start(timers *all, void *envoy_filter, uint64_t at_ns) {
  timer *it = malloc(sizeof *it);
  if (it == NULL) return NULL;
  *it = (timer){all, ENVOY(http_filter_scheduler_new)(envoy_filter), at_ns, NOWHERE};
  pthread_mutex_lock(&all->lock);
  if (!all->runs) all->runs = pthread_create(&all->thread, NULL, wake_filters, all) == 0;
  bool added = all->runs && heap_add(all, it);
  if (added) wake_before(all, at_ns);
  pthread_mutex_unlock(&all->lock);
  if (added) return it;
  timer_end(it);
  return NULL;
}

void timer_move(timer *it, uint64_t at_ns) {
  timers *all = it->all;
  pthread_mutex_lock(&all->lock);
  it->at_ns = at_ns;
  if (it->place != NOWHERE) {
    heap_rise(all, it);
    heap_sink(all, it);
    wake_before(all, at_ns);
  }
  pthread_mutex_unlock(&all->lock);
}

void timer_end(timer *it) {
  pthread_mutex_lock(&it->all->lock);
  heap_take(it->all, it);
  pthread_mutex_unlock(&it->all->lock);
  ENVOY(http_filter_scheduler_delete)(it->scheduler);
  free(it);
}
