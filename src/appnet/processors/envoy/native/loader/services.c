#include <stdlib.h>
#include <string.h>

#include "loader.h"

int envoy_map(an_metadata_map map) {
  switch (map) {
    case AN_REQUEST_METADATA: return ENVOY_REQUEST_HEADERS;
    case AN_RESPONSE_METADATA: return ENVOY_RESPONSE_HEADERS;
    default: return ENVOY_RESPONSE_TRAILERS;
  }
}

/* ---- of a stream that Envoy has ended ---------------------------------------------------------------------- */

static bool leave_map(left_headers *left, void *envoy, an_metadata_map map, char **to) {
  size_t count = ENVOY(http_get_headers_size)(envoy, envoy_map(map));
  if (count == 0) return true;
  left->all[map] = malloc(count * sizeof(envoy_header));
  if (left->all[map] == NULL || !ENVOY(http_get_headers)(envoy, envoy_map(map), left->all[map])) return false;
  left->count[map] = count;
  for (size_t i = 0; i < count; i++) {
    envoy_header *it = &left->all[map][i];
    memcpy(*to, it->key, it->key_size);
    it->key = *to;
    memcpy(*to + it->key_size, it->value, it->value_size);
    it->value = *to + it->key_size;
    *to += it->key_size + it->value_size;
  }
  return true;
}

static size_t map_size(void *envoy, an_metadata_map map) {
  size_t count = ENVOY(http_get_headers_size)(envoy, envoy_map(map)), size = 0;
  envoy_header *all = count == 0 ? NULL : malloc(count * sizeof *all);
  if (all == NULL || !ENVOY(http_get_headers)(envoy, envoy_map(map), all)) count = 0;
  for (size_t i = 0; i < count; i++) size += all[i].key_size + all[i].value_size;
  free(all);
  return size;
}

void headers_leave(stream *s) {
  static const an_metadata_map maps[] = {AN_REQUEST_METADATA, AN_RESPONSE_METADATA, AN_RESPONSE_TRAILERS};
  size_t size = 1;
  for (size_t i = 0; i < 3; i++) size += map_size(s->envoy, maps[i]);
  char *to = s->left.texts = malloc(size);
  for (size_t i = 0; to != NULL && i < 3; i++) {
    if (!leave_map(&s->left, s->envoy, maps[i], &to)) s->left.count[maps[i]] = 0;
  }
}

void headers_free(left_headers *left) {
  for (size_t i = 0; i < 3; i++) free(left->all[i]);
  free(left->texts);
}

static size_t left_values(const left_headers *left, an_metadata_map map, an_view key, an_view *values, size_t room) {
  size_t count = 0;
  for (size_t i = 0; i < left->count[map]; i++) {
    const envoy_header *it = &left->all[map][i];
    if (it->key_size != key.size || memcmp(it->key, key.data, key.size) != 0) continue;
    if (count < room) values[count] = (an_view){(const uint8_t *)it->value, it->value_size};
    count++;
  }
  return count;
}

/* ---- services --------------------------------------------------------------------------------------------- */

bool header_get(void *call_host, an_metadata_map map, an_view key, an_view *value) {
  const stream *s = call_host;
  if (s->gone) return left_values(&s->left, map, key, value, 1) > 0;
  envoy_buffer found = {NULL, 0};
  envoy_buffer name = {(const char *)key.data, key.size};
  if (!ENVOY(http_get_header)(((stream *)call_host)->envoy, envoy_map(map), name, &found, 0, NULL)) return false;
  if (found.data == NULL) return false;
  *value = (an_view){(const uint8_t *)found.data, found.size};
  return true;
}

void header_set(void *call_host, an_metadata_map map, an_view key, an_view value) {
  if (((const stream *)call_host)->gone) return;
  static const char empty[1];
  envoy_buffer text = {value.size ? (const char *)value.data : empty, value.size}; /* NULL would remove it */
  ENVOY(http_set_header)(((stream *)call_host)->envoy, envoy_map(map), (envoy_buffer){(const char *)key.data, key.size}, text);
}

size_t header_values(void *call_host, an_metadata_map map, an_view key, an_view *values, size_t room) {
  if (((const stream *)call_host)->gone) return left_values(&((const stream *)call_host)->left, map, key, values, room);
  envoy_buffer name = {(const char *)key.data, key.size};
  size_t count = 0;
  for (size_t i = 0; i == 0 || (i < count && i < room); i++) {
    envoy_buffer found = {NULL, 0};
    if (!ENVOY(http_get_header)(((stream *)call_host)->envoy, envoy_map(map), name, &found, i, &count)) return 0;
    if (found.data == NULL) return 0;
    values[i] = (an_view){(const uint8_t *)found.data, found.size};
  }
  return count;
}

void header_remove(void *call_host, an_metadata_map map, an_view key) {
  if (((const stream *)call_host)->gone) return;
  envoy_buffer name = {(const char *)key.data, key.size};
  ENVOY(http_set_header)(((stream *)call_host)->envoy, envoy_map(map), name, (envoy_buffer){NULL, 0});
}

bool peer(void *call_host, an_view *identity) {
  if (((const stream *)call_host)->gone) return false;
  envoy_buffer found = {NULL, 0};
  void *envoy = ((stream *)call_host)->envoy;
  if (!ENVOY(http_filter_get_attribute_string)(envoy, ENVOY_URI_SAN_PEER_CERTIFICATE, &found)) return false;
  *identity = (an_view){(const uint8_t *)found.data, found.size};
  return true;
}

void end_at(void *call_host, uint64_t at_ns) {
  stream *s = call_host;
  if (s->gone) return;
  if (s->timer != NULL) {
    timer_move(s->timer, at_ns);
    return;
  }
  s->timer = timer_start(s->config->timers, s->envoy, at_ns);
  if (s->timer == NULL) complain("appnet: no memory for a deadline: a call has none");
}
