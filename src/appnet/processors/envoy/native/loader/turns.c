#include <stdlib.h>
#include <string.h>

#include "loader.h"

/* ---- one event ------------------------------------------------------------------------------------------- */

static void show(void *pointer) {
  stream *s = pointer;
  const an_module *module = s->config->module;
  turn *it = &s->turn;
  switch (it->event) {
    case REQUEST_HEADERS: it->action = module->request_headers(s->call, it->end); break;
    case REQUEST_BODY: it->action = module->request_body(s->call, it->chunks, it->count, it->end); break;
    case REQUEST_TRAILERS: it->action = module->request_trailers(s->call); break;
    case RESPONSE_HEADERS: it->action = module->response_headers(s->call, it->end); break;
    case RESPONSE_BODY: it->action = module->response_body(s->call, it->chunks, it->count, it->end); break;
    case RESPONSE_TRAILERS: it->action = module->response_trailers(s->call); break;
    case LOCAL_REPLY: module->local_reply(s->call, it->status); break;
    case DEADLINE: it->action = module->deadline(s->call); break;
    case END: module->call_free(s->call); break;
  }
}

/* The chunks end with Envoy's event, and the chain's may last longer. */
static bool keep_chunks(stream *s) {
  size_t size = 0;
  for (size_t i = 0; i < s->turn.count; i++) size += s->turn.chunks[i].size;
  free(s->body);
  s->body = malloc(size + 1);
  if (s->body == NULL) return false;
  uint8_t *to = s->body;
  for (size_t i = 0; i < s->turn.count; i++) {
    if (s->turn.chunks[i].size > 0) memcpy(to, s->turn.chunks[i].data, s->turn.chunks[i].size);
    to += s->turn.chunks[i].size;
  }
  s->body_view = (an_view){s->body, size};
  s->turn.chunks = &s->body_view;
  s->turn.count = size > 0 ? 1 : 0;
  return true;
}

static void set_progress(stream *s, progress progress) {
  pthread_mutex_lock(&s->lock);
  s->progress = progress;
  pthread_mutex_unlock(&s->lock);
}

/* Whether it is to go on at once: it was woken before it waited. */
static bool woken_already(stream *s) {
  pthread_mutex_lock(&s->lock);
  const bool woken = s->progress == WOKEN;
  s->progress = woken ? RUNS : WAITS;
  pthread_mutex_unlock(&s->lock);
  return woken;
}

static bool go_on(stream *s, bool over) {
  while (!over) {
    if (!woken_already(s)) return false;
    over = fiber_resume(s->fiber);
  }
  s->fiber = NULL;
  return true;
}

bool take_turn(stream *s, turn turn) {
  s->turn = turn;
  if (!s->config->waits) {
    show(s);
    return true;
  }
  s->turn.action = AN_HOLD;
  const bool body = turn.event == REQUEST_BODY || turn.event == RESPONSE_BODY;
  set_progress(s, RUNS);
  bool over = (body && !keep_chunks(s)) || fiber_start(show, s, &s->fiber);
  if (!over && s->fiber == NULL) {
    complain("appnet: out of memory: a call is kept back");
    return true;
  }
  return go_on(s, over);
}

bool turn_resume(stream *s) {
  set_progress(s, RUNS);
  return go_on(s, fiber_resume(s->fiber));
}

/* ---- waiting --------------------------------------------------------------------------------------------- */

void turn_wait(void *call_host) {
  (void)call_host;
  fiber_leave(fiber_current());
}

static void go_on_behind(void *pointer);

void turn_wake(void *call_host) {
  stream *s = call_host;
  bool behind = false;
  pthread_mutex_lock(&s->lock);
  if (s->progress == RUNS) {
    s->progress = WOKEN;
  } else {
    s->progress = SCHEDULED;
    behind = s->gone;
    if (!behind) ENVOY(http_filter_scheduler_commit)(s->scheduler, 1);
  }
  pthread_mutex_unlock(&s->lock);
  if (behind) store_do(s->config->store, go_on_behind, s);
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static void stream_free(stream *s) {
  headers_free(&s->left);
  free(s->body);
  pthread_mutex_destroy(&s->lock);
  free(s);
}

/* Ends the call, once the event in hand is over. True: it has ended. */
static bool end_call(stream *s, bool over) {
  if (over && s->turn.event != END) over = take_turn(s, (turn){.event = END});
  return over;
}

static void none_behind(config *it) {
  pthread_mutex_lock(&it->lock);
  if (--it->behind == 0) pthread_cond_broadcast(&it->none_behind);
  pthread_mutex_unlock(&it->lock);
}

/* By the store's thread. */
static void go_on_behind(void *pointer) {
  stream *s = pointer;
  config *it = s->config;
  if (!end_call(s, turn_resume(s))) return;
  stream_free(s);
  none_behind(it);
}

void turn_last(stream *s) {
  config *it = s->config;
  if (!it->waits) {
    it->module->call_free(s->call);
    free(s);
    return;
  }
  bool waits = s->fiber != NULL;
  if (waits) headers_leave(s);
  pthread_mutex_lock(&it->lock);
  it->behind++;
  pthread_mutex_unlock(&it->lock);
  pthread_mutex_lock(&s->lock);
  const bool scheduled = waits && s->progress == SCHEDULED; /* nobody will hear of it */
  s->gone = true;
  if (s->scheduler != NULL) ENVOY(http_filter_scheduler_delete)(s->scheduler);
  s->scheduler = NULL;
  pthread_mutex_unlock(&s->lock);
  if (waits && !scheduled) return; /* the store's thread goes on */
  if (!end_call(s, waits ? turn_resume(s) : true)) return;
  stream_free(s);
  none_behind(it);
}
