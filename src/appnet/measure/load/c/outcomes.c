#include "outcomes.h"

#include <inttypes.h>

void histogram_add(histogram *h, uint64_t value) {
  int shift = value < (1u << HISTOGRAM_BITS) ? 0 : 63 - __builtin_clzll(value) - HISTOGRAM_BITS;
  size_t bucket = ((size_t)shift << HISTOGRAM_BITS) + (size_t)(value >> shift);
  h->counts[bucket]++;
  h->total++;
  h->sum += value;
  if (value > h->largest) h->largest = value;
}

uint64_t histogram_quantile(const histogram *h, double q) {
  uint64_t rank = (uint64_t)(q * (double)h->total), seen = 0;
  for (size_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    seen += h->counts[bucket];
    if (seen <= rank) continue;
    size_t shift = bucket >> HISTOGRAM_BITS;
    if (shift > 0) shift--;
    return (bucket - (shift << HISTOGRAM_BITS)) << shift;
  }
  return h->largest;
}

static void build_key(buffer *key, int32_t status, const view *parts, size_t part_count) {
  key->size = 0;
  buffer_add(key, &status, sizeof status);
  for (size_t i = 0; i < part_count; i++) {
    uint32_t size = (uint32_t)parts[i].size;
    buffer_add(key, &size, sizeof size);
    buffer_add(key, parts[i].data, parts[i].size);
  }
}

static uint64_t hash(view v) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < v.size; i++) h = (h ^ v.data[i]) * 0x100000001b3u;
  return h ^ h >> 32;
}

void outcome_count(outcomes *all, int32_t status, const view *parts, size_t part_count, uint64_t start, uint64_t end) {
  static buffer key;
  build_key(&key, status, parts, part_count);
  const size_t slots = sizeof all->table / sizeof *all->table;
  size_t at = hash((view){key.data, key.size}) % slots;
  outcome *o;
  while ((o = &all->table[at])->key.size != 0) {
    if (o->key.size == key.size && memcmp(o->key.data, key.data, key.size) == 0) break;
    at = (at + 1) % slots;
  }
  if (o->key.size == 0) {
    if (all->distinct == MAX_OUTCOMES) {
      all->overflowed++;
      return;
    }
    all->distinct++;
    buffer_add(&o->key, key.data, key.size);
    *o = (outcome){.key = o->key, .first_start = start, .last_start = start, .first_end = end, .last_end = end};
  }
  o->count++;
  if (start < o->first_start) o->first_start = start;
  if (start > o->last_start) o->last_start = start;
  if (end < o->first_end) o->first_end = end;
  if (end > o->last_end) o->last_end = end;
}

static void print_outcome(const outcome *o, FILE *out) {
  view key = {o->key.data, o->key.size};
  int32_t status;
  memcpy(&status, key.data, sizeof status);
  fprintf(out, "{\"status\":%" PRId32 ",\"parts\":[", status);
  for (size_t at = sizeof status; at < key.size;) {
    uint32_t size;
    memcpy(&size, key.data + at, sizeof size);
    fputs(at == sizeof status ? "\"" : ",\"", out);
    at += sizeof size;
    for (const uint8_t *end = key.data + at + size, *p = key.data + at; p < end; p++) fprintf(out, "%02x", *p);
    fputc('"', out);
    at += size;
  }
  fprintf(out, "],\"count\":%" PRIu64 ",\"first_start\":%" PRIu64 ",\"last_start\":%" PRIu64, o->count, o->first_start,
          o->last_start);
  fprintf(out, ",\"first_end\":%" PRIu64 ",\"last_end\":%" PRIu64 "}", o->first_end, o->last_end);
}

void outcomes_print(const outcomes *all, FILE *out) {
  const char *comma = "";
  fputc('[', out);
  for (size_t i = 0; i < sizeof all->table / sizeof *all->table; i++) {
    if (all->table[i].key.size == 0) continue;
    fputs(comma, out);
    print_outcome(&all->table[i], out);
    comma = ",";
  }
  fputc(']', out);
}
