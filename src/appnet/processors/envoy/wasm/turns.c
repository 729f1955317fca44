#include "turns.h"

#if !AN_FIBERS
uint32_t take_turn(stream *it, turn now) {
  const uint32_t result = show(it, now);
  it->request.judged = it->response.judged = 0;
  return result;
}

bool turn_ends(stream *it) {
  show(it, (turn){.event = TURN_END});
  return true;
}
#else
#include "gateway.h"
#include "proxy_wasm.h"
#include "ticks.h"

static stream *first_woken, **last_woken = &first_woken;
static size_t waiting;

bool turns_wait(void) { return waiting > 0; }

void turn_woken(void *call_host) {
  stream *it = call_host;
  it->next_woken = NULL;
  *last_woken = it;
  last_woken = &it->next_woken;
}

static bool is_of_request(turn_event event) { return event <= TURN_REQUEST_TRAILERS; }
static flow *flow_of(stream *it, turn_event event) { return is_of_request(event) ? &it->request : &it->response; }
static size_t part_of(turn_event event) { return (size_t)event % TURN_PARTS; }

static void run_turn(void *argument) {
  stream *it = argument;
  it->result = show(it, it->turn);
}

static void waits_now(stream *it) {
  waiting++;
  event_memory_keep(&it->memory);
  ticks_for_waits();
}

/* True: it is over. */
static bool begin(stream *it, turn now) {
  it->turn = now;
  if (fiber_run(run_turn, it, &it->waits)) return true;
  waits_now(it);
  return false;
}

static void stop(flow *flow) {
  if (!flow->stopped) flow->open = flow->held = false;
  flow->stopped = true;
}

uint32_t take_turn(stream *it, turn now) {
  flow *flow = flow_of(it, now.event);
  if (turn_waits(it)) {
    if (now.event == TURN_DEADLINE) {
      it->late_deadline = true;
      return PAUSE;
    }
    turn *late = &flow->late[part_of(now.event)];
    now.end = now.end || (flow->is_late[part_of(now.event)] && late->end);
    flow->is_late[part_of(now.event)] = true;
    *late = now;
  } else if (begin(it, now)) {
    flow->judged = 0;
    return it->result;
  }
  if (now.event != TURN_DEADLINE) stop(flow);
  return PAUSE;
}

/* What has waited longest. */
static bool next_late(stream *it, turn *next) {
  flow *const flows[] = {&it->request, &it->response};
  if (it->late_deadline) {
    it->late_deadline = false;
    *next = (turn){.event = TURN_DEADLINE};
    return true;
  }
  for (size_t i = 0; i < 2; i++) {
    for (size_t part = 0; part < TURN_PARTS; part++) {
      if (!flows[i]->is_late[part]) continue;
      flows[i]->is_late[part] = false;
      *next = flows[i]->late[part];
      return true;
    }
  }
  return false;
}

/* What came of an event that is over late. */
static void turn_over(stream *it) {
  flow *flow = flow_of(it, it->turn.event);
  if (it->turn.event >= TURN_DEADLINE) return;
  if (it->result == CONTINUE) {
    flow->open = true;
    flow->held = false;
  } else if (it->replied) {
    flow->open = false;
  }
}

static bool goes_on(flow *flow) {
  const bool goes = flow->stopped && flow->open && !flow->held;
  flow->stopped = false;
  if (goes) flow->judged = 0;
  return goes;
}

static void flow_on(stream *it) {
  if (goes_on(&it->request) && !it->replied) proxy_continue_stream(REQUEST_STREAM);
  if (goes_on(&it->response)) proxy_continue_stream(RESPONSE_STREAM);
}

bool turn_ends(stream *it) {
  it->gone = true;
  return !turn_waits(it) && begin(it, (turn){.event = TURN_END});
}

/* The event in hand is over, perhaps: all that has waited for that is shown. */
static void go_on_from(stream *it, bool over) {
  while (over) {
    turn next;
    event_memory_free(&it->memory);
    if (it->turn.event == TURN_END) {
      forget_stream(it);
      return;
    }
    turn_over(it);
    if (it->gone) {
      over = begin(it, (turn){.event = TURN_END});
    } else if (!it->replied && next_late(it, &next)) {
      over = begin(it, next);
    } else {
      flow_on(it);
      return;
    }
  }
}

static void go_on(stream *it) {
  fiber *const left = it->waits;
  it->waits = NULL;
  waiting--;
  event_of(it);
  const bool over = fiber_go_on(left, &it->waits);
  if (!over) waits_now(it);
  go_on_from(it, over);
  event_of_over();
}

void turns_go_on(void) {
  do {
    while (first_woken != NULL) {
      stream *it = first_woken;
      first_woken = it->next_woken;
      if (first_woken == NULL) last_woken = &first_woken;
      go_on(it);
    }
    event_of(NULL);
    gateway_go();
  } while (first_woken != NULL);
}
#endif
