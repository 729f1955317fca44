#include <stdlib.h>
#include <string.h>

#include "grpc_message.h"
#include "http_status.h"
#include "loader.h"

bool speaks_grpc(stream *s) {
  an_view type;
  return header_get(s, AN_REQUEST_METADATA, (an_view){(const uint8_t *)"content-type", 12}, &type) && an_is_grpc(type);
}

void drop(stream *s, int body) {
  size_t size = ENVOY(http_get_body_size)(s->envoy, body);
  if (size > 0) ENVOY(http_drain_body)(s->envoy, body, size);
}

void drop_unjudged(stream *s) {
  const size_t judged = s->response.judged;
  const size_t size = ENVOY(http_get_body_size)(s->envoy, ENVOY_BUFFERED_RESPONSE);
  const size_t count = judged == 0 || size <= judged ? 0 : ENVOY(http_get_body_chunks_size)(s->envoy, ENVOY_BUFFERED_RESPONSE);
  envoy_buffer *chunks = count == 0 ? NULL : malloc(count * sizeof *chunks);
  char *kept = chunks == NULL ? NULL : malloc(judged), *to = kept;
  if (size <= judged) return;
  if (kept != NULL) ENVOY(http_get_body_chunks)(s->envoy, ENVOY_BUFFERED_RESPONSE, chunks);
  for (size_t i = 0; kept != NULL && to < kept + judged; i++) {
    const size_t left = (size_t)(kept + judged - to), part = chunks[i].size < left ? chunks[i].size : left;
    memcpy(to, chunks[i].data, part);
    to += part;
  }
  drop(s, ENVOY_BUFFERED_RESPONSE);
  if (kept != NULL) ENVOY(http_append_body)(s->envoy, ENVOY_BUFFERED_RESPONSE, (envoy_buffer){kept, judged});
  free(kept);
  free(chunks);
}

/* Answers a caller that knows HTTP alone. */
static void reply_plainly(stream *s) {
  const an_outcome *outcome = s->config->module->outcome(s->call);
  envoy_header headers[] = {{"content-type", 12, "text/plain", 10}};
  envoy_buffer text = {(const char *)outcome->text.data, outcome->text.size};
  ENVOY(http_send_response)(s->envoy, an_http_status_of(outcome->code), headers, 1, text, TEXT("appnet_refused"));
}

/* These headers and then what elements gave, in memory that the caller frees; the first alone where there is none. */
static envoy_header *with_own(envoy_header *first, size_t *count, const an_entry *own) {
  size_t all = *count;
  for (const an_entry *it = own; it != NULL; it = it->next) all++;
  envoy_header *headers = all > *count ? malloc(all * sizeof *headers) : NULL;
  if (headers == NULL) return NULL;
  memcpy(headers, first, *count * sizeof *first);
  for (const an_entry *it = own; it != NULL; it = it->next) {
    headers[(*count)++] = (envoy_header){(const char *)it->key.data, it->key.size, (const char *)it->value.data, it->value.size};
  }
  return headers;
}

/* Answers in the place of the response, or ends the one that has begun. A reply of Envoy's in the place of a response that
 * waits here would not pass the filters before this one: as a response of its own it does. Where Envoy holds some of the
 * body it sends data, if only that they end, which may not follow a status in headers. */
void reply(stream *s) {
  const an_outcome *outcome = s->config->module->outcome(s->call);
  char code[AN_STATUS_SIZE];
  char message[AN_MESSAGE_SIZE];
  envoy_header first[] = {
      {"grpc-status", 11, code, an_status_text(outcome->code, code)},
      {"grpc-message", 12, message, an_message_text(outcome->text, message)},
      {"content-type", 12, "application/grpc", 16},
      {":status", 7, "200", 3},
  };
  const bool in_place = s->response_begun && !s->response_passed;
  const bool apart = in_place && ENVOY(http_get_body_size)(s->envoy, ENVOY_BUFFERED_RESPONSE) > 0 && speaks_grpc(s);
  const bool in_trailers = s->response_passed || apart;
  size_t count = in_trailers ? 2 : in_place ? 4 : 3;
  envoy_header *all = with_own(first, &count, outcome->metadata), *headers = all != NULL ? all : first;
  s->replied = true;
  s->cut = in_place || s->response_passed;
  s->own_trailers = in_trailers;
  if (in_trailers) drop_unjudged(s); /* Envoy sends what it holds ahead of trailers */
  if (apart) ENVOY(http_send_response_headers)(s->envoy, first + 2, 2, false);
  if (in_trailers) {
    ENVOY(http_send_response_trailers)(s->envoy, headers, count);
  } else if (!speaks_grpc(s)) {
    reply_plainly(s);
  } else if (in_place) {
    ENVOY(http_send_response_headers)(s->envoy, headers, count, true);
  } else {
    ENVOY(http_send_response)(s->envoy, 200, headers, count, (envoy_buffer){NULL, 0}, TEXT("appnet_refused"));
  }
  free(all);
}

/* Answers with a message of the chain's own. */
void respond(stream *s) {
  const an_outcome *outcome = s->config->module->outcome(s->call);
  an_view body = outcome->body;
  envoy_header first[] = {{":status", 7, "200", 3}, {"content-type", 12, "application/grpc", 16}};
  envoy_header last[] = {{"grpc-status", 11, "0", 1}};
  size_t first_count = 2, last_count = 1;
  envoy_header *headers = with_own(first, &first_count, outcome->metadata);
  envoy_header *trailers = with_own(last, &last_count, outcome->trailers);
  s->replied = true;
  ENVOY(http_send_response_headers)(s->envoy, headers != NULL ? headers : first, first_count, false);
  ENVOY(http_send_response_data)(s->envoy, (envoy_buffer){(const char *)body.data, body.size}, false);
  ENVOY(http_send_response_trailers)(s->envoy, trailers != NULL ? trailers : last, last_count);
  free(headers);
  free(trailers);
}

/* What a server gave to its answer or error is no part of the chain's own error. The HTTP status stays. */
void clear_map(stream *s, int map) {
  size_t count;
  while ((count = ENVOY(http_get_headers_size)(s->envoy, map)) > 0) {
    envoy_header *all = malloc(count * sizeof *all);
    if (all == NULL) return;
    size_t at = 0, found = ENVOY(http_get_headers)(s->envoy, map, all) ? count : 0;
    while (at < found && all[at].key[0] == ':') at++;
    char *key = at < found ? malloc(all[at].key_size) : NULL; /* Envoy's own goes with the header */
    if (key != NULL) {
      memcpy(key, all[at].key, all[at].key_size);
      ENVOY(http_set_header)(s->envoy, map, (envoy_buffer){key, all[at].key_size}, (envoy_buffer){NULL, 0});
    }
    free(key);
    free(all);
    if (ENVOY(http_get_headers_size)(s->envoy, map) >= count) return;
  }
}

/* The chain's own status, and what goes with it, take the place of what is in the map. */
int end_with_own_status(stream *s, an_metadata_map map) {
  const an_outcome *outcome = s->config->module->outcome(s->call);
  char code[AN_STATUS_SIZE];
  char message[AN_MESSAGE_SIZE];
  const an_entry first[] = {
      {(an_entry *)(uintptr_t)&first[1], {(const uint8_t *)"grpc-status", 11}, {(const uint8_t *)code, an_status_text(outcome->code, code)}},
      {(an_entry *)(uintptr_t)outcome->metadata, {(const uint8_t *)"grpc-message", 12}, {(const uint8_t *)message, an_message_text(outcome->text, message)}},
  };
  s->replied = true;
  clear_map(s, envoy_map(map));
  for (const an_entry *it = first; it != NULL; it = it->next) header_set(s, map, it->key, it->value);
  return ENVOY_CONTINUE;
}

/* Answers a caller that knows HTTP alone where the response is all headers: there is no place for a text. */
int end_plainly(stream *s) {
  uint32_t status = an_http_status_of(s->config->module->outcome(s->call)->code);
  char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
  s->replied = true;
  clear_map(s, ENVOY_RESPONSE_HEADERS);
  ENVOY(http_set_header)(s->envoy, ENVOY_RESPONSE_HEADERS, TEXT(":status"), (envoy_buffer){digits, sizeof digits});
  return ENVOY_CONTINUE;
}

void say_grpc(stream *s) {
  ENVOY(http_set_header)(s->envoy, ENVOY_RESPONSE_HEADERS, TEXT(":status"), TEXT("200"));
  ENVOY(http_set_header)(s->envoy, ENVOY_RESPONSE_HEADERS, TEXT("content-type"), TEXT("application/grpc"));
}

void drop_content_length(stream *s, int map) {
  envoy_buffer found = {NULL, 0};
  if (!ENVOY(http_get_header)(s->envoy, map, TEXT("content-length"), &found, 0, NULL) || found.data == NULL) return;
  ENVOY(http_set_header)(s->envoy, map, TEXT("content-length"), (envoy_buffer){NULL, 0});
}

/* Puts the outcome's body in the place of what is held and what arrived. */
void replace(stream *s, int received, int buffered, int map) {
  an_view body = s->config->module->outcome(s->call)->body;
  drop(s, buffered);
  drop(s, received);
  envoy_buffer data = {(const char *)body.data, body.size};
  if (!ENVOY(http_append_body)(s->envoy, received, data)) ENVOY(http_append_body)(s->envoy, buffered, data);
  drop_content_length(s, map);
}

void allow_buffering(stream *s) {
  uint64_t needed = (uint64_t)s->config->max_message + BUFFER_SLACK;
  if (ENVOY(http_get_buffer_limit)(s->envoy) < needed) ENVOY(http_set_buffer_limit)(s->envoy, needed);
}
