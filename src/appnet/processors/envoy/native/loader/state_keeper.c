#include "state_keeper.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Memory that some instance has. The list is looked through when versions come and go, never by calls. */
typedef struct kept {
  struct kept *next;
  size_t users;
  uint32_t layout;
  size_t size;
  void *memory;
  size_t scope_size, name_size, kind_size;
  char texts[]; /* scope, name and kind */
} kept;

struct state_keeper {
  an_keeper table;
  size_t scope_size;
  char scope[];
};

static struct {
  pthread_mutex_t lock;
  kept *first;
} all = {PTHREAD_MUTEX_INITIALIZER, NULL};

static bool same_text(const char *text, size_t size, an_view other) {
  return size == other.size && (size == 0 || memcmp(text, other.data, size) == 0);
}

static bool is_kept_as(const kept *it, an_view scope, an_view name, an_view kind) {
  return same_text(it->texts, it->scope_size, scope) && same_text(it->texts + it->scope_size, it->name_size, name) &&
         same_text(it->texts + it->scope_size + it->name_size, it->kind_size, kind);
}

static void put_text(char **to, an_view text) {
  if (text.size > 0) memcpy(*to, text.data, text.size);
  *to += text.size;
}

static kept *make_kept(an_view scope, an_view name, an_view kind, uint32_t layout, size_t size) {
  kept *it = calloc(1, sizeof *it + scope.size + name.size + kind.size);
  if (it == NULL) return NULL;
  *it = (kept){.layout = layout, .size = size, .scope_size = scope.size, .name_size = name.size, .kind_size = kind.size};
  char *texts = it->texts;
  put_text(&texts, scope);
  put_text(&texts, name);
  put_text(&texts, kind);
  it->memory = calloc(1, size > 0 ? size : 1);
  if (it->memory != NULL) return it;
  free(it);
  return NULL;
}

static void *take_memory(void *host, an_view name, an_view kind, uint32_t layout, size_t size, bool *fresh) {
  const state_keeper *keeper = host;
  an_view scope = {(const uint8_t *)keeper->scope, keeper->scope_size};
  pthread_mutex_lock(&all.lock);
  kept *it = all.first;
  while (it != NULL && !(it->layout == layout && it->size == size && is_kept_as(it, scope, name, kind))) it = it->next;
  *fresh = it == NULL;
  if (it == NULL) {
    it = make_kept(scope, name, kind, layout, size);
    if (it != NULL) {
      it->next = all.first;
      all.first = it;
    }
  }
  if (it != NULL) it->users++;
  void *memory = it == NULL ? NULL : it->memory;
  pthread_mutex_unlock(&all.lock);
  return memory;
}

static void give_back(void *host, void *memory, void (*clear)(void *context, void *memory), void *context) {
  (void)host;
  pthread_mutex_lock(&all.lock);
  kept **from = &all.first;
  while (*from != NULL && (*from)->memory != memory) from = &(*from)->next;
  kept *it = *from;
  if (it != NULL && --it->users == 0) {
    *from = it->next;
    clear(context, memory);
    free(memory);
    free(it);
  }
  pthread_mutex_unlock(&all.lock);
}

state_keeper *state_keeper_open(an_view scope) {
  state_keeper *keeper = calloc(1, sizeof *keeper + scope.size);
  if (keeper == NULL) return NULL;
  keeper->table = (an_keeper){keeper, take_memory, give_back};
  keeper->scope_size = scope.size;
  if (scope.size > 0) memcpy(keeper->scope, scope.data, scope.size);
  return keeper;
}

const an_keeper *state_keeper_table(const state_keeper *keeper) { return &keeper->table; }

void state_keeper_close(state_keeper *keeper) { free(keeper); }
