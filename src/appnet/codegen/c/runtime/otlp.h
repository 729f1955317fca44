/* OTLP, as far as it is protobuf: what is appended to a buffer. Nested messages are opened and closed:
 *
 *   size_t body = an_otlp_open(buffer, tag);
 *   an_otlp_varint(buffer, tag, value);
 *   an_otlp_close(buffer, body);
 *
 * A buffer that has failed takes nothing, and closing does nothing then. */
#ifndef AN_OTLP_H
#define AN_OTLP_H

#include "instance.h"

/* The tag of a field with this number, which is less than 16. */
#define AN_OTLP_VARINT(number) ((number) << 3 | 0)
#define AN_OTLP_FIXED64(number) ((number) << 3 | 1)
#define AN_OTLP_BYTES(number) ((number) << 3 | 2)

size_t an_encode_varint(uint8_t to[10], uint64_t value); /* how many bytes it takes */
void an_otlp_tag(an_buffer *buffer, uint8_t tag);
void an_otlp_number(an_buffer *buffer, uint64_t value); /* as a varint, without a tag */
void an_otlp_varint(an_buffer *buffer, uint8_t tag, uint64_t value);
void an_otlp_fixed64(an_buffer *buffer, uint8_t tag, uint64_t value);
void an_otlp_double(an_buffer *buffer, uint8_t tag, double value);
void an_otlp_bytes(an_buffer *buffer, uint8_t tag, const void *bytes, size_t size);
void an_otlp_text(an_buffer *buffer, uint8_t tag, const char *text);
/* A field that is a KeyValue with a text. */
void an_otlp_attribute(an_buffer *buffer, uint8_t tag, const char *key, an_view value);
void an_otlp_text_attribute(an_buffer *buffer, uint8_t tag, const char *key, const char *value);
size_t an_otlp_open(an_buffer *buffer, uint8_t tag); /* where its content begins */
void an_otlp_close(an_buffer *buffer, size_t start);

/* The batch as one field of the request that it is sent in: `head` bytes were kept in front for its tag and length. */
enum { AN_OTLP_HEAD = 11 };
uint8_t *an_otlp_whole(an_buffer *batch, uint8_t tag, size_t *size);

#endif
