#include "trust.h"

#include <string.h>

static bool hexadecimal_digit(char digit, uint8_t *value) {
  static const char digits[] = "0123456789abcdef0123456789ABCDEF";
  const char *found = digit == '\0' ? NULL : strchr(digits, digit);
  if (found == NULL) return false;
  *value = (uint8_t)((found - digits) % 16);
  return true;
}

/* Reads no further than the first character that is no digit, such as the end of the text. */
static bool read_key(const char *text, uint8_t key[ED25519_KEY_SIZE]) {
  for (size_t i = 0; i < ED25519_KEY_SIZE; i++) {
    uint8_t high, low;
    if (!hexadecimal_digit(text[2 * i], &high) || !hexadecimal_digit(text[2 * i + 1], &low)) return false;
    key[i] = (uint8_t)(high << 4 | low);
  }
  return ed25519_is_key(key);
}

const char *trust_read(const char *text, trust *out) {
  if (text == NULL || *text == '\0') {
    return "no module is trusted here: start the proxy with the public key of its control plane in " TRUSTED_KEYS;
  }
  for (out->count = 0; out->count < MOST_TRUSTED_KEYS;) {
    if (!read_key(text, out->keys[out->count])) break;
    out->count++;
    text += 2 * ED25519_KEY_SIZE;
    if (*text == '\0') return NULL;
    if (*text++ != ',') break;
  }
  return "no module is trusted here: " TRUSTED_KEYS " needs public keys of Ed25519, 1 to 8 of them, each as 64 "
         "hexadecimal digits, with commas between";
}

bool trust_signed(const trust *it, const uint8_t signature[ED25519_SIGNATURE_SIZE], const an_view *parts, size_t count) {
  for (size_t i = 0; i < it->count; i++) {
    if (ed25519_verify(it->keys[i], signature, parts, count)) return true;
  }
  return false;
}
