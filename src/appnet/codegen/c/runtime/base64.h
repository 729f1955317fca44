/* Base64 (RFC 4648) with padding. */
#ifndef AN_BASE64_H
#define AN_BASE64_H

#include "value.h"

/* The length of the base64 text of so many bytes; SIZE_MAX where it is none. */
size_t an_base64_size(size_t size);
void an_base64_encode(const uint8_t *bytes, size_t size, uint8_t *text);
/* The bytes of a text with padding and without any other freedom; false where it is none. `bytes` has room for
 * text.size / 4 * 3. */
bool an_base64_decode(an_view text, uint8_t *bytes, size_t *size);

/* The base64 text, in the arena. */
an_view an_base64_text(an_scope *scope, an_view bytes);
/* The bytes of the text, in the arena; false where it is none. */
bool an_base64_bytes(an_scope *scope, an_view text, an_view *bytes);

#endif
