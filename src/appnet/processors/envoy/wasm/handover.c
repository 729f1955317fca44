#include "handover.h"

#include "journal.h"
#include "merging.h"
#include "octets.h"
#include "proxy_wasm.h"

#if APPNET_WANTS_STATE
/* Shared data:  "machines"     those that have had calls: u64 version, u32 slot, u32 queue of each
 *               "newest"       u64: the version that began last
 *               "state/SLOT"   all state of the slot's machine, as state_bytes.h has it
 *               "calls/SLOT"   u64: how many calls it has had
 * Messages:     'p' u64 version   this version will come: write down your state
 *               'j'               somebody came or went: look who is there
 *               'c' changes       of a machine of the same slot */
enum { ENTRY = 16, MOST_MACHINES = 128, TRIES = 16, NAME = 24 };
enum { COMING = 'p', LOOK = 'j', CHANGES = 'c' };

static an_instance *mine;
static uint64_t my_version, expected_version;
static uint32_t my_slot, my_queue;
static bool joined, expecting;
static an_journal *journal; /* as long as there is anybody to tell */
static uint32_t others[MOST_MACHINES];
static size_t other_count;
static uint64_t calls_told;

static uint64_t load_le64(const uint8_t *from) { return load_le32(from) | (uint64_t)load_le32(from + 4) << 32; }

static uint64_t hash_of(uint64_t hash, an_view bytes) {
  for (size_t i = 0; i < bytes.size; i++) hash = (hash ^ bytes.data[i]) * 0x100000001b3u;
  return hash;
}

/* "PREFIX/NUMBER" */
static an_view numbered(char name[NAME], const char *prefix, uint64_t number) {
  size_t size = 0;
  for (; prefix[size] != '\0'; size++) name[size] = prefix[size];
  name[size++] = '/';
  do {
    name[size++] = "0123456789abcdef"[number & 15];
    number >>= 4;
  } while (number > 0);
  return (an_view){(const uint8_t *)name, size};
}

static an_view shared(an_view key, uint32_t *turn) {
  uint8_t *data = NULL;
  size_t size = 0;
  *turn = 0;
  if (proxy_get_shared_data(key.data, key.size, &data, &size, turn) != 0) return (an_view){NULL, 0};
  return (an_view){data, size};
}

static const char MACHINES[] = "machines", NEWEST[] = "newest";

static an_view machines(uint32_t *turn) {
  an_view found = shared((an_view){(const uint8_t *)MACHINES, sizeof MACHINES - 1}, turn);
  if (found.size % ENTRY != 0 || found.size > (size_t)MOST_MACHINES * ENTRY) return (an_view){NULL, 0};
  return found;
}

static uint64_t version_of(const uint8_t *entry) { return load_le64(entry); }
static uint32_t slot_of(const uint8_t *entry) { return load_le32(entry + 8); }
static uint32_t queue_of(const uint8_t *entry) { return load_le32(entry + 12); }

static void tell(uint32_t queue, uint8_t what, an_view content) {
  uint8_t *message = an_alloc(an_size_add(content.size, 1));
  if (message == NULL) return;
  message[0] = what;
  if (content.size > 0) memcpy(message + 1, content.data, content.size);
  proxy_enqueue_shared_queue(queue, message, content.size + 1);
  an_free(message);
}

static void tell_others(uint8_t what, an_view content) {
  for (size_t i = 0; i < other_count; i++) tell(others[i], what, content);
}

/* ---- what is written down ---------------------------------------------------------------------------- */

static void write_calls(void) {
  char name[NAME];
  uint8_t count[8];
  an_view key = numbered(name, "calls", my_slot);
  calls_told = *mine->rpc_count;
  store_le64(count, calls_told);
  proxy_set_shared_data(key.data, key.size, count, sizeof count, 0);
}

static void write_state(void) {
  char name[NAME];
  an_buffer state = {0};
  an_view key = numbered(name, "state", my_slot);
  an_state_write(&state, mine);
  if (!state.failed) proxy_set_shared_data(key.data, key.size, state.data, state.size, 0);
  an_buffer_free(&state);
}

static void read_all(void) {
  char name[NAME];
  uint32_t turn;
  an_view state = shared(numbered(name, "state", my_slot), &turn);
  static const char flaw[] = "appnet: the state of the version before cannot be read: this one begins anew";
  for (size_t i = 0; i < mine->program->element_count && state.size > 0; i++) {
    mine->guards[i]->heap.evicted = 0; /* by init, of what is forgotten now */
  }
  if (!an_state_apply(mine, state, AN_TO_BE_TOLD)) proxy_log(4, flaw, sizeof flaw - 1);
  an_merges_go_on(mine);
  an_view calls = shared(numbered(name, "calls", my_slot), &turn);
  if (calls.size == 8 && load_le64(calls.data) > *mine->rpc_count) *mine->rpc_count = load_le64(calls.data);
  calls_told = *mine->rpc_count;
}

/* ---- who is there -------------------------------------------------------------------------------------- */

static void look_round(void) {
  uint32_t turn;
  an_view all = machines(&turn);
  other_count = 0;
  for (size_t at = 0; at < all.size; at += ENTRY) {
    const uint8_t *entry = all.data + at;
    if (slot_of(entry) != my_slot || queue_of(entry) == my_queue) continue;
    others[other_count++] = queue_of(entry);
    if (version_of(entry) == expected_version) expecting = false;
  }
  bool alone = other_count == 0 && !expecting;
  if (alone) {
    an_journal_end(journal);
    journal = NULL;
  } else if (journal == NULL) {
    journal = an_journal_begin(mine);
  }
}

/* The lowest slot that no other machine of this version has. */
static uint32_t free_slot(an_view all) {
  uint32_t slot = 0;
  for (size_t at = 0; at < all.size;) {
    const uint8_t *entry = all.data + at;
    bool taken = version_of(entry) == my_version && slot_of(entry) == slot;
    at = taken ? 0 : at + ENTRY;
    slot += taken;
  }
  return slot;
}

/* The list, with this machine or without it; the first goes where there is no room. False: another was faster. */
static bool list(bool with_me) {
  uint8_t entries[(MOST_MACHINES + 1) * ENTRY];
  uint32_t turn;
  an_view all = machines(&turn);
  size_t size = 0;
  if (with_me) {
    char name[NAME];
    my_slot = free_slot(all);
    an_view queue = numbered(name, "to", my_version ^ my_slot);
    if (proxy_register_shared_queue(queue.data, queue.size, &my_queue) != 0) return true;
  }
  if (all.size == (size_t)MOST_MACHINES * ENTRY) all = (an_view){all.data + ENTRY, all.size - ENTRY};
  for (size_t at = 0; at < all.size; at += ENTRY) {
    if (queue_of(all.data + at) == my_queue) continue;
    memcpy(entries + size, all.data + at, ENTRY);
    size += ENTRY;
  }
  if (with_me) {
    store_le64(entries + size, my_version);
    store_le32(entries + size + 8, my_slot);
    store_le32(entries + size + 12, my_queue);
    size += ENTRY;
  }
  return proxy_set_shared_data(MACHINES, sizeof MACHINES - 1, entries, size, turn) != CAS_MISMATCH;
}

static void list_at_last(bool with_me) {
  for (int i = 0; i < TRIES && !list(with_me); i++) {}
}

static void expect(uint64_t version) {
  expected_version = version;
  expecting = true;
  look_round();
  if (!expecting) return; /* it is here already */
  write_state();
  write_calls();
}

static void join(void) {
  uint8_t *old = NULL;
  size_t size = 0;
  uint32_t turn;
  joined = true;
  list_at_last(true);
  while (proxy_dequeue_shared_queue(my_queue, &old, &size) == 0) {} /* to one that was here before */
  read_all();
  look_round();
  tell_others(LOOK, (an_view){NULL, 0});
  an_view newest = shared((an_view){(const uint8_t *)NEWEST, sizeof NEWEST - 1}, &turn);
  if (newest.size == 8 && load_le64(newest.data) != my_version) expect(load_le64(newest.data)); /* nobody could ask */
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static void receive(an_view message) {
  an_view content = {message.data + 1, message.size - 1};
  static const char flaw[] = "appnet: a change that another version made to state cannot be read";
  bool readable = true;
  switch (message.data[0]) {
    case COMING:
      if (content.size == 8 && !(expecting && expected_version == load_le64(content.data))) expect(load_le64(content.data));
      break;
    case LOOK: look_round(); break;
    case CHANGES:
      if (journal == NULL) {
        readable = an_state_apply(mine, content, AN_ALREADY_TOLD);
      } else {
        readable = an_journal_apply(journal, content);
      }
      if (expecting) write_state();
      break;
    default: break;
  }
  if (!readable) proxy_log(4, flaw, sizeof flaw - 1);
}

void handover_listen(void) {
  uint8_t *data = NULL;
  size_t size = 0;
  while (joined && proxy_dequeue_shared_queue(my_queue, &data, &size) == 0) {
    if (size > 0) receive((an_view){data, size});
  }
}

/* ---- events -------------------------------------------------------------------------------------------- */

void handover_begin(an_instance *instance, an_view options) {
  uint32_t turn;
  uint8_t version[8];
  mine = instance;
  my_version = hash_of(hash_of(0xcbf29ce484222325u, AN_TEXT(APPNET_VERSION)), options);
  store_le64(version, my_version);
  proxy_set_shared_data(NEWEST, sizeof NEWEST - 1, version, sizeof version, 0);
  an_view all = machines(&turn);
  for (size_t at = 0; at < all.size; at += ENTRY) {
    if (version_of(all.data + at) == my_version) continue;
    tell(queue_of(all.data + at), COMING, (an_view){version, sizeof version});
  }
}

void handover_before(void) {
  if (!joined) {
    join();
  } else if (journal != NULL) {
    handover_listen();
  }
}

void handover_after(void) {
  if (journal == NULL) return;
  an_view changes = an_journal_changes(journal);
  if (changes.size > 0) {
    tell_others(CHANGES, changes);
    an_journal_empty(journal);
    if (expecting) write_state();
  }
  if (expecting && *mine->rpc_count != calls_told) write_calls();
}

bool handover_is_replaced(void) {
  uint32_t turn;
  an_view newest = shared((an_view){(const uint8_t *)NEWEST, sizeof NEWEST - 1}, &turn);
  return newest.size == 8 && load_le64(newest.data) != my_version;
}

void handover_end(void) {
  if (!joined) return;
  handover_listen();
  list_at_last(false);
  tell_others(LOOK, (an_view){NULL, 0});
  an_journal_end(journal);
  journal = NULL;
  joined = false;
}
#endif
