#include "otlp.h"

size_t an_encode_varint(uint8_t to[10], uint64_t value) {
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) to[size++] = (uint8_t)(value | 0x80);
  to[size++] = (uint8_t)value;
  return size;
}

/* As an_buffer_append, without a call where there is room. */
static inline void append(an_buffer *buffer, const void *bytes, size_t size) {
  if (!buffer->failed && size <= buffer->capacity - buffer->size && buffer->size + size <= buffer->limit) {
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
  } else {
    an_buffer_append(buffer, bytes, size);
  }
}

void an_otlp_tag(an_buffer *buffer, uint8_t tag) { append(buffer, &tag, 1); }

void an_otlp_number(an_buffer *buffer, uint64_t value) {
  uint8_t bytes[10];
  an_buffer_append(buffer, bytes, an_encode_varint(bytes, value));
}

void an_otlp_varint(an_buffer *buffer, uint8_t tag, uint64_t value) {
  an_otlp_tag(buffer, tag);
  an_otlp_number(buffer, value);
}

void an_otlp_fixed64(an_buffer *buffer, uint8_t tag, uint64_t value) {
  uint8_t bytes[9] = {tag};
  for (unsigned i = 0; i < 8; i++) bytes[i + 1] = (uint8_t)(value >> (8 * i));
  append(buffer, bytes, sizeof bytes);
}

void an_otlp_double(an_buffer *buffer, uint8_t tag, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  an_otlp_fixed64(buffer, tag, bits);
}

void an_otlp_bytes(an_buffer *buffer, uint8_t tag, const void *bytes, size_t size) {
  an_otlp_varint(buffer, tag, size);
  an_buffer_append(buffer, bytes, size);
}

void an_otlp_text(an_buffer *buffer, uint8_t tag, const char *text) { an_otlp_bytes(buffer, tag, text, strlen(text)); }

/* One byte is kept for the length. */
size_t an_otlp_open(an_buffer *buffer, uint8_t tag) {
  an_otlp_varint(buffer, tag, 0);
  return buffer->size;
}

/* A message longer than 127 bytes moves to make place for its length. */
void an_otlp_close(an_buffer *buffer, size_t start) {
  if (buffer->failed) return;
  size_t size = buffer->size - start;
  if (size < 0x80) {
    buffer->data[start - 1] = (uint8_t)size;
    return;
  }
  uint8_t length[10];
  size_t extra = an_encode_varint(length, size) - 1;
  an_buffer_append(buffer, length, extra); /* makes the place; what it holds is overwritten */
  if (buffer->failed) return;
  memmove(buffer->data + start + extra, buffer->data + start, size);
  memcpy(buffer->data + start - 1, length, extra + 1);
}

void an_otlp_attribute(an_buffer *buffer, uint8_t tag, const char *key, an_view value) {
  size_t pair = an_otlp_open(buffer, tag);
  an_otlp_text(buffer, AN_OTLP_BYTES(1), key);
  size_t any = an_otlp_open(buffer, AN_OTLP_BYTES(2));
  an_otlp_bytes(buffer, AN_OTLP_BYTES(1), value.data, value.size);
  an_otlp_close(buffer, any);
  an_otlp_close(buffer, pair);
}

void an_otlp_text_attribute(an_buffer *buffer, uint8_t tag, const char *key, const char *value) {
  an_otlp_attribute(buffer, tag, key, (an_view){(const uint8_t *)value, strlen(value)});
}

uint8_t *an_otlp_whole(an_buffer *batch, uint8_t tag, size_t *size) {
  uint8_t head[AN_OTLP_HEAD] = {tag};
  size_t content = batch->size - AN_OTLP_HEAD;
  size_t head_size = 1 + an_encode_varint(head + 1, content);
  memcpy(batch->data, head, head_size);
  memmove(batch->data + head_size, batch->data + AN_OTLP_HEAD, content);
  *size = head_size + content;
  return batch->data;
}
