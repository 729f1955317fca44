/* Which steps of an instance go on after others have changed the state: those that have touched nothing of what was changed.
 * The store says it of those that it was sent; of those that ran meanwhile, it is found here. Behind changes.c. */

static uint64_t *spoilt_word(an_spoilt *spoilt, uint8_t part, an_view name, an_view key, uint64_t *bit) {
  const uint32_t hash = an_hash_text(an_hash_text(part, name), key) % (64 * 1024);
  *bit = (uint64_t)1 << hash % 64;
  return &spoilt->bits[hash / 64];
}

static void spoil(an_spoilt *spoilt, uint8_t part, an_view name, an_view key) {
  uint64_t bit, *word = spoilt_word(spoilt, part, name, key, &bit);
  *word |= bit;
}

static bool is_spoilt(an_spoilt *spoilt, uint8_t part, an_view name, an_view key) {
  uint64_t bit, *word = spoilt_word(spoilt, part, name, key, &bit);
  return (*word & bit) != 0;
}

enum { SPOILT_SOME, SPOILT_ALL, SPOILT_ENTRY }; /* of a variable: something, all of it, an entry */

static bool is_entry(uint8_t kind) {
  return kind == AN_STORE_SET || kind == AN_STORE_DELETE || kind == AN_STORE_READ || kind == AN_STORE_READ_UNKNOWN;
}

static bool next_change(an_view *from, uint8_t *kind, an_view *name, an_view *key) {
  an_view byte, value;
  if (!change_bytes(from, 1, &byte) || !change_text(from, name) || !change_text(from, key) || !change_text(from, &value)) return false;
  *kind = byte.data[0];
  return true;
}

static void spoil_changes(an_spoilt *spoilt, an_view changes) {
  static const an_view none = {NULL, 0};
  uint8_t kind;
  an_view name, key;
  while (next_change(&changes, &kind, &name, &key)) {
    spoilt->changes++;
    spoil(spoilt, SPOILT_SOME, name, none);
    if (is_entry(kind)) {
      spoil(spoilt, SPOILT_ENTRY, name, key);
    } else {
      spoil(spoilt, SPOILT_ALL, name, none);
    }
  }
}

/* Whether a step that has changed or read this has touched anything spoilt; after many changes it has, as the store has it. */
static bool touches_spoilt(an_spoilt *spoilt, an_view touched) {
  static const an_view none = {NULL, 0};
  uint8_t kind;
  an_view name, key;
  if (spoilt->changes > AN_STORE_LOOKS) return true;
  while (spoilt->changes > 0 && next_change(&touched, &kind, &name, &key)) {
    if (name.size == 0) return true;
    if (!is_entry(kind) && is_spoilt(spoilt, SPOILT_SOME, name, none)) return true;
    if (is_entry(kind) && (is_spoilt(spoilt, SPOILT_ALL, name, none) || is_spoilt(spoilt, SPOILT_ENTRY, name, key))) return true;
  }
  return false;
}

/* What one step did, of all that `steps` and `changes` tell: see an_trial. */
typedef struct an_step_account {
  an_view changes, read, whole; /* `whole`: its bytes in `steps` */
} an_step_account;

static bool next_account(an_view *steps, an_view *changes, an_step_account *account) {
  const an_view before = *steps;
  an_view size;
  if (!change_bytes(steps, 4, &size) || !change_text(steps, &account->read)) return false;
  if (!change_bytes(changes, load_le32(size.data), &account->changes)) return false;
  account->whole = (an_view){before.data, before.size - steps->size};
  return true;
}

/* `taken`: of each step of a batch whether the store has it, as a digit; empty: it has them all. */
static bool is_taken(an_view taken, size_t number) {
  return taken.size == 0 || (number < taken.size && taken.data[number] == '1');
}

/* Of the batch under way, the store has these steps: what the others did is struck out, and spoilt. */
static void keep_taken(an_copy *copy, an_view taken) {
  an_view steps = buffer_view(&copy->request_steps), changes = buffer_view(&copy->request);
  an_step_account one;
  size_t kept = 0;
  for (size_t number = 0; next_account(&steps, &changes, &one); number++) {
    if (!is_taken(taken, number)) {
      spoil_changes(&copy->spoilt, one.changes);
    } else if (one.changes.size > 0) {
      memmove(copy->request.data + kept, one.changes.data, one.changes.size);
      kept += one.changes.size;
    }
  }
  copy->request.size = kept;
}

static void buffers_swap(an_buffer *one, an_buffer *other) {
  const an_buffer spare = *one;
  *one = *other;
  *other = spare;
}

/* What ran meanwhile was taken back with the rest; `steps` and `changes` say what it did. Steps that touched nothing spoilt are on
 * trial again, and the others are put behind `again`. */
static void try_meanwhile(an_copy *copy, an_view steps, an_view changes, an_steps_list *again) {
  an_buffer kept = {0}, accounts = {0};
  an_step_account one;
  an_step *it = copy->open.first;
  bool whole = true;
  steps_clear(&copy->open);
  for (an_step *next; it != NULL; it = next) {
    next = it->next;
    whole = whole && next_account(&steps, &changes, &one);
    const bool goes_on = whole && !touches_spoilt(&copy->spoilt, one.read) &&
                         !touches_spoilt(&copy->spoilt, one.changes);
    if (goes_on) {
      an_buffer_append(&kept, one.changes.data, one.changes.size);
      an_buffer_append(&accounts, one.whole.data, one.whole.size);
    } else {
      if (whole) spoil_changes(&copy->spoilt, one.changes);
      it->progress = AN_WAITS;
    }
    steps_add(goes_on ? &copy->open : again, it);
  }
  if (copy->open.first != NULL) {
    trial_begin(copy);
    const bool made = make_store_changes(copy, buffer_view(&kept));
    trial_end(copy);
    buffers_swap(&copy->trial.changes, &kept);
    buffers_swap(&copy->trial.steps, &accounts);
    copy->trial.changes.ahead = kept.ahead;
    copy->trial.changes.failed |= !made;
  }
  an_buffer_free(&kept);
  an_buffer_free(&accounts);
}
