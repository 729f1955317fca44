#include "base64.h"

#include "string_ops.h"

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t an_base64_size(size_t size) { return an_size_mul(size / 3 + (size % 3 != 0), 4); }

void an_base64_encode(const uint8_t *bytes, size_t size, uint8_t *text) {
  for (size_t at = 0; at < size; at += 3) {
    const size_t count = size - at < 3 ? size - at : 3;
    uint32_t group = (uint32_t)bytes[at] << 16;
    if (count > 1) group |= (uint32_t)bytes[at + 1] << 8;
    if (count > 2) group |= bytes[at + 2];
    for (size_t i = 0; i < 4; i++) *text++ = (uint8_t)(i <= count ? base64_digits[group >> (18 - 6 * i) & 63] : '=');
  }
}

/* 0 to 63, or 64 for what is no digit. */
static uint32_t base64_value(uint8_t digit) {
  if (digit >= 'A' && digit <= 'Z') return (uint32_t)(digit - 'A');
  if (digit >= 'a' && digit <= 'z') return (uint32_t)(digit - 'a' + 26);
  if (digit >= '0' && digit <= '9') return (uint32_t)(digit - '0' + 52);
  return digit == '+' ? 62 : digit == '/' ? 63 : 64;
}

bool an_base64_decode(an_view text, uint8_t *bytes, size_t *size) {
  *size = 0;
  if (text.size % 4 != 0) return false;
  for (size_t at = 0; at < text.size; at += 4) {
    const uint8_t *digits = text.data + at;
    size_t count = 4;
    if (at + 4 == text.size && digits[3] == '=') count = digits[2] == '=' ? 2 : 3;
    uint32_t group = 0;
    for (size_t i = 0; i < count; i++) {
      uint32_t value = base64_value(digits[i]);
      if (value == 64) return false;
      group |= value << (18 - 6 * i);
    }
    if ((group & (((uint32_t)1 << (8 * (4 - count))) - 1)) != 0) return false; /* bits that say nothing must be 0 */
    for (size_t i = 0; i + 1 < count; i++) bytes[(*size)++] = (uint8_t)(group >> (16 - 8 * i));
  }
  return true;
}

an_view an_base64_text(an_scope *scope, an_view bytes) {
  const size_t size = an_base64_size(bytes.size);
  uint8_t *text = an_text_room(scope, size);
  if (text == NULL) return (an_view){NULL, 0};
  an_base64_encode(bytes.data, bytes.size, text);
  return (an_view){text, size};
}

bool an_base64_bytes(an_scope *scope, an_view text, an_view *bytes) {
  size_t size = 0;
  uint8_t *room = an_scope_alloc(scope, NULL, text.size / 4 * 3);
  const bool whole = room != NULL && an_base64_decode(text, room, &size);
  *bytes = whole ? (an_view){room, size} : (an_view){NULL, 0};
  return whole;
}
