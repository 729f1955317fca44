#define _GNU_SOURCE
#include "store.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dial.h"
#include "jobs.h"
#include "resp.h"

#define MS ((uint64_t)1000000u)
#define BEAT_NS (5000 * MS)
#define FIRST_BACKOFF_NS (20 * MS)
#define LONGEST_BACKOFF_NS (500 * MS)
#define REFUSED_NS (1000 * MS)
#define QUIET_NS (1000 * MS)
#define CONNECT_NS (500 * MS)
#define SILENT_NS (10000 * MS) /* a store that is busy that long is none; what takes no packets is found out sooner */
#define LOOK_NS (10 * MS)
#define MERGE_TIMEOUT_NS (5000 * MS) /* nobody waits for it */

enum {
  ID_SIZE = 16, KEYS = 6, SHA_HEX = 40, MOST_OUTSTANDING = 4096, READS_AT_ONCE = 16
};

/* Replies that no copy waits for; a Sentinel's three are a list's length and its two items. */
enum { HANDSHAKE = -1, HANDSHAKE_SCRIPT = -2, PRIMARY_ITEMS = -3, PRIMARY_HOST = -4, PRIMARY_PORT = -5 };

/* Of an element's strong state, and of a variable that is merged. */
static const char *const key_names[2][KEYS] = {{"meta", "log", "values", "entries", "order", "instances"},
                                               {"meta", "gone", "clocks", "entries", "order", "instances"}};

typedef struct copy_line {
  bytes keys[KEYS];
  bool joined, merges, complained; /* it has what the store has, at some time; somebody was told what is wrong with it */
  bool asked;                      /* a request of it is under way */
  uint64_t well_ns;                /* when an answer shows that nothing is wrong with it any more */
  uint64_t due_ns, again_ns; /* when it is time to merge, or to tell that it is alive; before when nothing is asked */
} copy_line;

struct store {
  an_carrier carrier;
  uint8_t id[ID_SIZE];
  store_settings settings;
  bytes texts; /* what the settings refer to */
  void (*complain)(const char *);
  const an_module *module;
  an_instance *instance;
  size_t count;
  copy_line *lines;
  pthread_t thread;
  bool runs;
  int event;                /* something is to be done */
  bool signalled, ending;   /* atomic */
  jobs jobs;
  pthread_mutex_t lock;     /* guards what follows */
  size_t joined;            /* copies that have what the store has, at some time */
  pthread_cond_t all_joined;
  /* The thread's own. */
  int socket;
  an_view next_host; /* the rest of the hosts, from the one that is next */
  bytes primary;     /* the host that a Sentinel named, as the settings have hosts */
  bool found;        /* it is whole */
  bool connected, ready, complained; /* the handshake is over; somebody was told that the store is away */
  uint64_t retry_ns, backoff_ns;
  uint64_t quiet_ns; /* nothing is told before */
  uint64_t heard_ns; /* when the store was last heard, or asked after a silence */
  bytes out, in;
  int *outstanding; /* of each reply that is to come: the copy, or a part of the handshake */
  size_t first, waiting;
  char sha[SHA_HEX];
};

static uint64_t store_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const an_sharing *sharing_of(const store *it) { return it->module->sharing; }

/* Once for each time that something is wrong, and not too often where it comes and goes. */
static void tell(store *it, bool *told, const char *what, an_view detail) {
  char text[400];
  const uint64_t now = store_now();
  if (*told || now < it->quiet_ns) return;
  *told = true;
  it->quiet_ns = now + QUIET_NS;
  snprintf(text, sizeof text, "appnet: the store of shared state: %s%.*s", what, (int)(detail.size < 200 ? detail.size : 200),
           detail.size > 0 ? (const char *)detail.data : "");
  it->complain(text);
}

/* ---- waking ---------------------------------------------------------------------------------------------- */

static void signal_thread(store *it) {
  const uint64_t one = 1;
  if (__atomic_exchange_n(&it->signalled, true, __ATOMIC_ACQ_REL)) return;
  ssize_t written = write(it->event, &one, sizeof one);
  (void)written; /* it has room for one */
}

static void carrier_ready(void *host, size_t copy) {
  (void)copy;
  signal_thread(host);
}

void store_do(store *it, void (*work)(void *argument), void *argument) {
  if (jobs_add(&it->jobs, work, argument)) signal_thread(it);
}

/* ---- connection ------------------------------------------------------------------------------------------ */

/* What is under way is lost; a new connection is tried after a while. `detail` may be of what was received. */
static void disconnect(store *it, const char *why, an_view detail) {
  tell(it, &it->complained, why, detail);
  if (it->socket >= 0) close(it->socket);
  it->socket = -1;
  it->connected = it->ready = false;
  bytes_drop(&it->out, it->out.size);
  bytes_drop(&it->in, it->in.size);
  it->out.failed = it->in.failed = false;
  it->first = it->waiting = 0;
  it->found = false; /* it may be another one by now */
  for (size_t i = 0; i < it->count; i++) it->lines[i].asked = false;
  it->retry_ns = store_now() + it->backoff_ns;
  it->backoff_ns = 2 * it->backoff_ns < LONGEST_BACKOFF_NS ? 2 * it->backoff_ns : LONGEST_BACKOFF_NS;
  for (size_t i = 0; i < it->count; i++) sharing_of(it)->unanswered(it->instance, i);
}

static void disconnect_failed(store *it, const char *why) {
  const char *text = strerror(errno);
  disconnect(it, why, (an_view){(const uint8_t *)text, strlen(text)});
}

static void expect(store *it, int what) {
  if (it->waiting == 0) it->heard_ns = store_now();
  it->outstanding[(it->first + it->waiting) % MOST_OUTSTANDING] = what;
  it->waiting++;
}

static void flawed(store *it) { disconnect(it, "it speaks another protocol, or too much at once", (an_view){NULL, 0}); }

static an_view text_view(const char *text) { return (an_view){(const uint8_t *)text, strlen(text)}; }

static void greet(store *it) {
  const store_settings *settings = &it->settings;
  it->connected = true;
  if (settings->password.size > 0) {
    resp_command(&it->out, settings->user.size > 0 ? 3 : 2);
    resp_part(&it->out, text_view("AUTH"));
    if (settings->user.size > 0) resp_part(&it->out, settings->user);
    resp_part(&it->out, settings->password);
    expect(it, HANDSHAKE);
  }
  if (settings->database.size > 0) {
    resp_command(&it->out, 2);
    resp_part(&it->out, text_view("SELECT"));
    resp_part(&it->out, settings->database);
    expect(it, HANDSHAKE);
  }
  resp_command(&it->out, 3);
  resp_part(&it->out, text_view("SCRIPT"));
  resp_part(&it->out, text_view("LOAD"));
  resp_part(&it->out, settings->script);
  expect(it, HANDSHAKE_SCRIPT);
}

/* Who is primary is asked of one Sentinel after the other. */
static bool asks_sentinel(const store *it) { return it->settings.service.size > 0 && !it->found; }

static void ask_for_primary(store *it) {
  it->connected = true;
  resp_command(&it->out, 3);
  resp_part(&it->out, text_view("SENTINEL"));
  resp_part(&it->out, text_view("GET-MASTER-ADDR-BY-NAME"));
  resp_part(&it->out, it->settings.service);
  for (int what = PRIMARY_ITEMS; what >= PRIMARY_PORT; what--) expect(it, what);
}

static void disconnect_unreached(store *it) {
  disconnect_failed(it, asks_sentinel(it) ? "its Sentinel cannot be reached: " : "it cannot be reached: ");
}

static void connect_now(store *it) {
  errno = 0;
  it->heard_ns = store_now();
  if (it->settings.path.size > 0) {
    it->socket = dial_path(it->settings.path);
  } else if (it->found) {
    an_view primary = {it->primary.data, it->primary.size};
    it->socket = dial_host(&primary);
  } else {
    if (it->next_host.size == 0) it->next_host = it->settings.hosts;
    it->socket = dial_host(&it->next_host);
  }
  if (it->socket < 0) {
    if (it->settings.path.size > 0) it->backoff_ns = FIRST_BACKOFF_NS; /* to ask this machine costs nothing */
    disconnect_unreached(it);
  } else if (it->settings.path.size > 0) {
    greet(it);
  }
}

/* A connection over TCP was made, or was refused. */
static void finish_connecting(store *it) {
  int flaw = 0;
  socklen_t size = sizeof flaw;
  getsockopt(it->socket, SOL_SOCKET, SO_ERROR, &flaw, &size);
  errno = flaw;
  if (flaw != 0) {
    disconnect_unreached(it);
  } else if (asks_sentinel(it)) {
    ask_for_primary(it);
  } else {
    greet(it);
  }
}

/* ---- requests and answers -------------------------------------------------------------------------------- */

static void send_request(store *it, size_t copy, const an_view *parts, size_t count) {
  char keys[8];
  snprintf(keys, sizeof keys, "%d", KEYS);
  resp_command(&it->out, 3 + KEYS + count);
  resp_part(&it->out, text_view("EVALSHA"));
  resp_part(&it->out, (an_view){(const uint8_t *)it->sha, SHA_HEX});
  resp_part(&it->out, text_view(keys));
  for (size_t i = 0; i < KEYS; i++) resp_part(&it->out, (an_view){it->lines[copy].keys[i].data, it->lines[copy].keys[i].size});
  for (size_t i = 0; i < count; i++) resp_part(&it->out, parts[i]);
  expect(it, (int)copy);
  it->lines[copy].asked = true;
}

static uint64_t interval(const store *it, const copy_line *line) {
  return line->merges ? it->settings.merge_ms * MS : BEAT_NS;
}

static void take_requests(store *it) {
  const uint64_t now = store_now();
  for (size_t i = 0; i < it->count && it->ready; i++) {
    an_view parts[AN_REQUEST_PARTS];
    size_t count;
    copy_line *line = &it->lines[i];
    if (now < line->again_ns || it->waiting + 1 >= MOST_OUTSTANDING) continue;
    const bool due = now >= line->due_ns;
    if (sharing_of(it)->request_take(it->instance, i, due, parts, &count)) {
      send_request(it, i, parts, count);
      if (due) line->due_ns = now + interval(it, line);
    } else if (due && line->merges && !line->asked) {
      line->again_ns = now + MS; /* steps are under way */
    }
  }
  if (it->out.failed) disconnect(it, "out of memory", (an_view){NULL, 0});
}

static void note_joined(store *it, copy_line *line) {
  if (line->joined) return;
  line->joined = true;
  pthread_mutex_lock(&it->lock);
  if (++it->joined == it->count) pthread_cond_broadcast(&it->all_joined);
  pthread_mutex_unlock(&it->lock);
}

/* An error of what the keys of one element hold: other elements can go on. */
static bool is_of_state(an_view error) {
  static const char *const begins[] = {"WRONGTYPE ", "ERR "};
  for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
    const size_t size = strlen(begins[i]);
    if (error.size >= size && memcmp(error.data, begins[i], size) == 0) return true;
  }
  return false;
}

static int shown(an_view name) { return (int)(name.size < 100 ? name.size : 100); }

static void take_answer_of(store *it, size_t copy, an_view bytes) {
  copy_line *line = &it->lines[copy];
  const char *flaw = sharing_of(it)->answer(it->instance, copy, bytes);
  it->complained = false;
  it->backoff_ns = FIRST_BACKOFF_NS;
  if (flaw != NULL) {
    const an_view element = sharing_of(it)->element(it->instance, copy), variable = sharing_of(it)->variable(it->instance, copy);
    char text[400];
    snprintf(text, sizeof text, "%.*s%s%.*s: %s", shown(element), (const char *)element.data, line->merges ? "." : "",
             shown(variable), line->merges ? (const char *)variable.data : "", flaw);
    line->again_ns = store_now() + REFUSED_NS;
    line->well_ns = line->again_ns + REFUSED_NS; /* it may be let in, and be refused again at once */
    tell(it, &line->complained, "state of ", text_view(text));
  } else {
    if (store_now() >= line->well_ns) line->complained = false;
    note_joined(it, line);
  }
}

/* As if the script had said it. */
static void take_error_of(store *it, size_t copy, an_view error) {
  uint8_t bytes[201] = {3};
  const size_t size = error.size < sizeof bytes - 1 ? error.size : sizeof bytes - 1;
  memcpy(bytes + 1, error.data, size);
  take_answer_of(it, copy, (an_view){bytes, size + 1});
}

static void take_script(store *it, an_view sha) {
  if (sha.size != SHA_HEX) {
    disconnect(it, "it does not take scripts", (an_view){NULL, 0});
    return;
  }
  memcpy(it->sha, sha.data, SHA_HEX);
  it->ready = true;
}

/* Goes on to the primary that a Sentinel has named. */
static void follow(store *it) {
  close(it->socket);
  it->socket = -1;
  it->connected = false;
  it->found = !it->primary.failed;
  it->first = it->waiting = 0;
  it->retry_ns = 0;
  bytes_drop(&it->out, it->out.size);
  bytes_drop(&it->in, it->in.size);
}

/* A Sentinel says who is primary: the connection goes on there. */
static void take_primary(store *it, int what, resp_kind kind, an_view text) {
  if (what == PRIMARY_ITEMS) {
    bytes_free(&it->primary);
    if (kind == RESP_NOTHING) {
      disconnect(it, "its Sentinel knows no service ", it->settings.service);
    } else if (kind != RESP_LIST || text.size != 1 || text.data[0] != '2') {
      flawed(it);
    }
  } else if (kind != RESP_TEXT) {
    flawed(it);
  } else {
    bytes_add(&it->primary, text.data, text.size);
    bytes_add(&it->primary, what == PRIMARY_HOST ? " " : "\n", 1);
    if (what == PRIMARY_PORT) follow(it);
  }
}

static void take_answer(store *it, int what, resp_kind kind, an_view text) {
  if (kind == RESP_ERROR && what >= 0 && is_of_state(text)) {
    take_error_of(it, (size_t)what, text);
  } else if (kind == RESP_ERROR) {
    disconnect(it, "it says: ", text);
  } else if (what <= PRIMARY_ITEMS) {
    take_primary(it, what, kind, text);
  } else if (kind == RESP_LIST) {
    flawed(it);
  } else if (what >= 0) {
    take_answer_of(it, (size_t)what, text);
  } else if (what == HANDSHAKE_SCRIPT) {
    take_script(it, text);
  }
}

static void take_answers(store *it) {
  size_t at = 0, taken;
  an_view text = {NULL, 0};
  while (it->socket >= 0 && at < it->in.size) {
    resp_kind kind = resp_read((an_view){it->in.data + at, it->in.size - at}, &text, &taken);
    if (kind == RESP_NOT_YET) break;
    if (kind == RESP_FLAWED || it->waiting == 0) {
      flawed(it);
      return;
    }
    at += taken;
    int what = it->outstanding[it->first];
    it->first = (it->first + 1) % MOST_OUTSTANDING;
    it->waiting--;
    if (what >= 0) it->lines[what].asked = false;
    take_answer(it, what, kind, text);
  }
  if (it->socket >= 0) bytes_drop(&it->in, at);
}

static void receive(store *it) {
  uint8_t buffer[64 << 10];
  for (int more = READS_AT_ONCE; more > 0; more--) { /* what is no answer is found out before it fills the memory */
    ssize_t size = read(it->socket, buffer, sizeof buffer);
    if (size > 0) {
      it->heard_ns = store_now();
      bytes_add(&it->in, buffer, (size_t)size);
      if ((size_t)size == sizeof buffer && !it->in.failed) continue;
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
      if (size == 0) errno = ECONNRESET;
      disconnect_failed(it, "the connection was lost: ");
      return;
    }
    break;
  }
  if (it->in.failed) {
    disconnect(it, "out of memory", (an_view){NULL, 0});
  } else {
    take_answers(it);
  }
}

static void transmit(store *it) {
  while (it->connected && it->out.size > 0) {
    ssize_t size = send(it->socket, it->out.data, it->out.size, MSG_NOSIGNAL);
    if (size > 0) {
      bytes_drop(&it->out, (size_t)size);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      disconnect_failed(it, "the connection was lost: ");
    }
  }
}

/* ---- thread ---------------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t left, uint64_t right) { return left < right ? left : right; }

/* Gives up a connection on which nothing is heard; gives the time at which it will. The store may be busy for longer than
 * calls wait: to ask it anew would only make it busier. */
static uint64_t give_up_silent(store *it, uint64_t now) {
  if (it->socket < 0 || (it->connected && it->waiting == 0)) return UINT64_MAX;
  const uint64_t until = it->heard_ns + (it->connected ? SILENT_NS : CONNECT_NS);
  if (now < until) return until;
  disconnect(it, "it does not answer", (an_view){NULL, 0});
  return it->retry_ns;
}

/* Lets go calls that have waited too long; gives the time at which others will have. */
static uint64_t let_go(store *it, uint64_t now) {
  uint64_t next = give_up_silent(it, now);
  for (size_t i = 0; i < it->count; i++) {
    const uint64_t timeout = it->lines[i].merges ? MERGE_TIMEOUT_NS : it->settings.timeout_ms * MS;
    uint64_t since = sharing_of(it)->waits_since(it->instance, i);
    if (since == 0) continue;
    if (now >= since + timeout) {
      tell(it, &it->complained, "it does not answer in time", (an_view){NULL, 0});
      sharing_of(it)->away(it->instance, i);
    } else {
      next = earlier(next, earlier(since + timeout, now + LOOK_NS)); /* versions may wait for one another */
    }
  }
  return next;
}

static int wait_ms(const store *it, uint64_t now, uint64_t until) {
  if (it->socket < 0 && it->retry_ns < until) until = it->retry_ns;
  for (size_t i = 0; i < it->count && it->ready; i++) {
    if (it->lines[i].asked) continue; /* its answer comes first */
    uint64_t due = it->lines[i].again_ns > now ? it->lines[i].again_ns : it->lines[i].due_ns;
    if (due < until) until = due;
  }
  return until <= now ? 0 : (int)((until - now + MS - 1) / MS);
}

static void take_round(store *it) {
  const uint64_t now = store_now();
  if (it->socket < 0 && now >= it->retry_ns) connect_now(it);
  take_requests(it);
  transmit(it);
  uint64_t until = let_go(it, store_now());
  jobs_do(&it->jobs);
  struct pollfd watched[] = {{.fd = it->event, .events = POLLIN}, {.fd = it->socket, .events = POLLIN}};
  if (!it->connected || it->out.size > 0) watched[1].events |= POLLOUT;
  poll(watched, it->socket >= 0 ? 2 : 1, wait_ms(it, store_now(), until));
  if (watched[0].revents != 0) {
    uint64_t count;
    ssize_t size = read(it->event, &count, sizeof count);
    (void)size;
    __atomic_exchange_n(&it->signalled, false, __ATOMIC_ACQ_REL); /* what others did who need not signal is seen */
  }
  if (it->socket < 0 || watched[1].revents == 0) return;
  if (!it->connected) finish_connecting(it);
  if (it->socket >= 0 && (watched[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) receive(it);
}

/* Until all is answered, or it takes too long. */
static void await_answers(store *it) {
  const uint64_t until = store_now() + it->settings.timeout_ms * MS;
  while (it->socket >= 0 && it->waiting > 0 && store_now() < until) {
    transmit(it);
    struct pollfd watched = {.fd = it->socket, .events = POLLIN};
    if (it->socket < 0 || poll(&watched, 1, 1) < 0) break;
    if (watched.revents != 0) receive(it);
  }
}

/* The last words: what is not merged yet, twice since a batch may be under way, and that the store need not wait for this
 * instance. */
static void say_goodbye(store *it) {
  an_view parts[AN_REQUEST_PARTS];
  size_t count;
  for (size_t round = 0; round < 2 && it->ready; round++) {
    await_answers(it);
    for (size_t i = 0; i < it->count && it->ready; i++) {
      if (!it->lines[i].merges || !sharing_of(it)->request_take(it->instance, i, true, parts, &count)) continue;
      send_request(it, i, parts, count);
    }
    await_answers(it);
  }
  for (size_t i = 0; i < it->count && it->ready; i++) {
    sharing_of(it)->leave(it->instance, i, parts, &count);
    send_request(it, i, parts, count);
  }
  await_answers(it);
}

static void *run_store(void *pointer) {
  store *it = pointer;
  while (!__atomic_load_n(&it->ending, __ATOMIC_ACQUIRE)) take_round(it);
  say_goodbye(it);
  return NULL;
}

/* ---- opening and closing --------------------------------------------------------------------------------- */

/* Copies what the settings refer to, which ends with the payload. */
static bool keep_settings(store *it, const store_settings *settings) {
  it->settings = *settings;
  an_view *all[] = {&it->settings.path,     &it->settings.hosts,    &it->settings.service, &it->settings.user,
                    &it->settings.password, &it->settings.database, &it->settings.scope, &it->settings.script};
  const size_t count = sizeof all / sizeof *all;
  for (size_t i = 0; i < count; i++) bytes_add(&it->texts, all[i]->data, all[i]->size);
  if (it->texts.failed) return false;
  const uint8_t *at = it->texts.data;
  for (size_t i = 0; i < count; i++) {
    all[i]->data = at;
    at += all[i]->size;
  }
  return true;
}

static bool make_id(store *it) {
  static const char digits[] = "0123456789abcdef";
  uint8_t random[ID_SIZE];
  if (getrandom(random, sizeof random, 0) != sizeof random) return false;
  for (size_t i = 0; i < ID_SIZE; i++) it->id[i] = (uint8_t)digits[random[i] % 16];
  return true;
}

store *store_open(const store_settings *settings, void (*wait)(void *), void (*wake)(void *), void (*complain)(const char *)) {
  store *it = calloc(1, sizeof *it);
  if (it == NULL) return NULL;
  it->socket = -1;
  it->complain = complain;
  it->backoff_ns = FIRST_BACKOFF_NS;
  jobs_open(&it->jobs);
  pthread_condattr_t attributes;
  pthread_mutex_init(&it->lock, NULL);
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&it->all_joined, &attributes);
  pthread_condattr_destroy(&attributes);
  it->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  it->outstanding = malloc(MOST_OUTSTANDING * sizeof *it->outstanding);
  it->carrier = (an_carrier){it, {it->id, ID_SIZE}, wait, wake, carrier_ready};
  if (it->event >= 0 && it->outstanding != NULL && keep_settings(it, settings) && make_id(it)) return it;
  store_close(it);
  return NULL;
}

const an_carrier *store_carrier(const store *it) { return &it->carrier; }

static bool name_keys(store *it, size_t copy) {
  const an_view element = sharing_of(it)->element(it->instance, copy), variable = sharing_of(it)->variable(it->instance, copy);
  copy_line *line = &it->lines[copy];
  line->merges = variable.size > 0;
  for (size_t i = 0; i < KEYS; i++) {
    bytes *key = &line->keys[i];
    bytes_add(key, "{", 1);
    bytes_add(key, it->settings.scope.data, it->settings.scope.size);
    bytes_add(key, "/", 1);
    bytes_add(key, element.data, element.size);
    bytes_add(key, "}:", 2);
    bytes_add(key, variable.data, variable.size);
    if (line->merges) bytes_add(key, ":", 1);
    bytes_add(key, key_names[line->merges][i], strlen(key_names[line->merges][i]));
    if (key->failed) return false;
  }
  line->due_ns = store_now() + interval(it, line);
  return true;
}

/* State ends with the last instance: the version before must not end while this one is still on its way to the store. */
static void await_join(store *it) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  const uint64_t end = (uint64_t)until.tv_nsec + it->settings.timeout_ms * MS;
  until.tv_sec += (time_t)(end / 1000000000u);
  until.tv_nsec = (long)(end % 1000000000u);
  pthread_mutex_lock(&it->lock);
  while (it->joined < it->count && pthread_cond_timedwait(&it->all_joined, &it->lock, &until) == 0) {}
  pthread_mutex_unlock(&it->lock);
}

bool store_begin(store *it, const an_module *module, an_instance *instance) {
  it->module = module;
  it->instance = instance;
  it->count = sharing_of(it)->count(instance);
  if (it->count == 0) return true; /* nothing of it is shared */
  it->lines = calloc(it->count, sizeof *it->lines);
  if (it->lines == NULL) return false;
  for (size_t i = 0; i < it->count; i++) {
    if (!name_keys(it, i)) return false;
  }
  it->runs = pthread_create(&it->thread, NULL, run_store, it) == 0;
  if (it->runs) await_join(it);
  return it->runs;
}

bool store_holds_calls(const store *it) {
  for (size_t i = 0; i < it->count; i++) {
    if (!it->lines[i].merges) return true;
  }
  return false;
}

void store_close(store *it) {
  if (it == NULL) return;
  if (it->runs) {
    __atomic_store_n(&it->ending, true, __ATOMIC_RELEASE);
    signal_thread(it);
    pthread_join(it->thread, NULL);
  }
  if (it->socket >= 0) close(it->socket);
  if (it->event >= 0) close(it->event);
  for (size_t i = 0; it->lines != NULL && i < it->count; i++) {
    for (size_t k = 0; k < KEYS; k++) bytes_free(&it->lines[i].keys[k]);
  }
  bytes_free(&it->texts);
  bytes_free(&it->primary);
  bytes_free(&it->in);
  bytes_free(&it->out);
  free(it->outstanding);
  free(it->lines);
  jobs_close(&it->jobs);
  pthread_mutex_destroy(&it->lock);
  pthread_cond_destroy(&it->all_joined);
  free(it);
}
