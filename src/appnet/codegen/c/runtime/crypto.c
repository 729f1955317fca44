#include "crypto.h"

#include "base64.h"
#include "octets.h"
#include "sha256.h"
#include "why.h"

/* ---- ChaCha20 --------------------------------------------------------------------------------------- */

static void quarter_round(uint32_t *s, size_t a, size_t b, size_t c, size_t d) {
  s[a] += s[b];
  s[d] = rotate_left(s[d] ^ s[a], 16);
  s[c] += s[d];
  s[b] = rotate_left(s[b] ^ s[c], 12);
  s[a] += s[b];
  s[d] = rotate_left(s[d] ^ s[a], 8);
  s[c] += s[d];
  s[b] = rotate_left(s[b] ^ s[c], 7);
}

static void chacha_block(const uint8_t key[32], const uint8_t nonce[12], uint32_t counter, uint8_t stream[64]) {
  uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, s[16];
  for (size_t i = 0; i < 8; i++) start[4 + i] = load_le32(key + 4 * i);
  start[12] = counter;
  for (size_t i = 0; i < 3; i++) start[13 + i] = load_le32(nonce + 4 * i);
  memcpy(s, start, sizeof s);
  for (int i = 0; i < 10; i++) {
    for (size_t column = 0; column < 4; column++) quarter_round(s, column, 4 + column, 8 + column, 12 + column);
    for (size_t column = 0; column < 4; column++) {
      quarter_round(s, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4);
    }
  }
  for (size_t i = 0; i < 16; i++) store_le32(stream + 4 * i, s[i] + start[i]);
}

static void chacha_apply(const uint8_t key[32], const uint8_t nonce[12], uint8_t *bytes, size_t size) {
  uint8_t stream[64];
  uint32_t counter = 1;
  for (size_t at = 0; at < size; at += 64) {
    chacha_block(key, nonce, counter++, stream);
    for (size_t i = 0; i < 64 && at + i < size; i++) bytes[at + i] ^= stream[i];
  }
}

/* ---- Poly1305: 26-bit limbs ------------------------------------------------------------------------------- */

typedef struct poly {
  uint32_t r[5];
  uint32_t h[5];
} poly;

static void poly_init(poly *state, const uint8_t key[16]) {
  *state = (poly){{load_le32(key) & 0x3ffffff, load_le32(key + 3) >> 2 & 0x3ffff03, load_le32(key + 6) >> 4 & 0x3ffc0ff,
                   load_le32(key + 9) >> 6 & 0x3f03fff, load_le32(key + 12) >> 8 & 0x00fffff},
                  {0}};
}

/* Adds 16 bytes, which end the message's number with a bit of 1, and multiplies by r. */
static void poly_block(poly *state, const uint8_t block[16]) {
  uint32_t *h = state->h;
  const uint32_t *r = state->r;
  h[0] += load_le32(block) & 0x3ffffff;
  h[1] += load_le32(block + 3) >> 2 & 0x3ffffff;
  h[2] += load_le32(block + 6) >> 4 & 0x3ffffff;
  h[3] += load_le32(block + 9) >> 6;
  h[4] += load_le32(block + 12) >> 8 | (uint32_t)1 << 24;
  uint64_t product[5] = {0};
  for (size_t i = 0; i < 5; i++) {
    for (size_t j = 0; j < 5; j++) {
      /* 2**130 is 5 */
      uint64_t factor = j <= i ? r[i - j] : (uint64_t)r[5 + i - j] * 5;
      product[i] += (uint64_t)h[j] * factor;
    }
  }
  uint64_t carry = 0;
  for (size_t i = 0; i < 5; i++) {
    product[i] += carry;
    h[i] = (uint32_t)product[i] & 0x3ffffff;
    carry = product[i] >> 26;
  }
  carry = h[0] + carry * 5;
  h[0] = (uint32_t)carry & 0x3ffffff;
  h[1] += (uint32_t)(carry >> 26);
}

static void poly_finish(poly *state, const uint8_t pad[16], uint8_t tag[16]) {
  uint32_t *h = state->h, g[5], carry = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < 5; i++) {
      h[i] += carry;
      carry = h[i] >> 26;
      h[i] &= 0x3ffffff;
    }
    h[0] += carry * 5;
    carry = 0;
  }
  /* g = h + 5 - 2**130, taken where that is not negative */
  carry = 5;
  for (size_t i = 0; i < 5; i++) {
    g[i] = h[i] + carry;
    carry = g[i] >> 26;
    g[i] &= 0x3ffffff;
  }
  const uint32_t take = 0 - carry;
  for (size_t i = 0; i < 5; i++) h[i] = (h[i] & ~take) | (g[i] & take);
  const uint32_t words[4] = {h[0] | h[1] << 26, h[1] >> 6 | h[2] << 20, h[2] >> 12 | h[3] << 14, h[3] >> 18 | h[4] << 8};
  uint64_t sum = 0;
  for (size_t i = 0; i < 4; i++) {
    sum = (sum >> 32) + words[i] + load_le32(pad + 4 * i);
    store_le32(tag + 4 * i, (uint32_t)sum);
  }
}

/* The tag of a ciphertext without additional data. */
static void poly_tag(const uint8_t key[32], const uint8_t nonce[12], const uint8_t *bytes, size_t size, uint8_t tag[16]) {
  uint8_t one_time[64], block[16] = {0};
  poly state;
  chacha_block(key, nonce, 0, one_time);
  poly_init(&state, one_time);
  size_t at = 0;
  for (; size - at >= 16; at += 16) poly_block(&state, bytes + at);
  if (at < size) {
    memcpy(block, bytes + at, size - at);
    poly_block(&state, block);
  }
  memset(block, 0, 8);
  store_le64(block + 8, size);
  poly_block(&state, block);
  poly_finish(&state, one_time + 16, tag);
}

void an_seal(const uint8_t key[AN_KEY_SIZE], const uint8_t nonce[AN_NONCE_SIZE], uint8_t *bytes, size_t size,
             uint8_t tag[AN_TAG_SIZE]) {
  chacha_apply(key, nonce, bytes, size);
  poly_tag(key, nonce, bytes, size, tag);
}

bool an_open(const uint8_t key[AN_KEY_SIZE], const uint8_t nonce[AN_NONCE_SIZE], uint8_t *bytes, size_t size,
             const uint8_t tag[AN_TAG_SIZE]) {
  uint8_t expected[AN_TAG_SIZE];
  poly_tag(key, nonce, bytes, size, expected);
  uint8_t difference = 0;
  for (size_t i = 0; i < AN_TAG_SIZE; i++) difference |= expected[i] ^ tag[i];
  if (difference != 0) return false;
  chacha_apply(key, nonce, bytes, size);
  return true;
}

/* ---- encrypt and decrypt ------------------------------------------------------------------------------ */

an_view an_encrypt(an_scope *scope, size_t element, an_view text, an_view pass_phrase) {
  uint8_t nonce[16], key[AN_KEY_SIZE];
  store_le64(nonce, an_draw(scope, element));
  store_le64(nonce + 8, an_draw(scope, element));
  const size_t size = an_size_add(text.size, AN_NONCE_SIZE + AN_TAG_SIZE);
  const size_t encoded = an_base64_size(size);
  uint8_t *bytes = an_scope_alloc(scope, NULL, size);
  uint8_t *out = an_scope_alloc(scope, NULL, encoded);
  if (bytes == NULL || out == NULL) return (an_view){NULL, 0};
  memcpy(bytes, nonce, AN_NONCE_SIZE);
  if (text.size > 0) memcpy(bytes + AN_NONCE_SIZE, text.data, text.size);
  an_sha256(pass_phrase, key);
  an_seal(key, nonce, bytes + AN_NONCE_SIZE, text.size, bytes + AN_NONCE_SIZE + text.size);
  an_base64_encode(bytes, size, out);
  return (an_view){out, encoded};
}

bool an_decrypt(an_scope *scope, an_view text, an_view pass_phrase, an_view *plain) {
  uint8_t key[AN_KEY_SIZE];
  size_t size = 0;
  *plain = (an_view){NULL, 0};
  uint8_t *bytes = an_scope_alloc(scope, NULL, text.size / 4 * 3);
  if (bytes == NULL || !an_base64_decode(text, bytes, &size) || size < AN_NONCE_SIZE + AN_TAG_SIZE) return false;
  size -= AN_NONCE_SIZE + AN_TAG_SIZE;
  an_sha256(pass_phrase, key);
  uint8_t *cipher = bytes + AN_NONCE_SIZE;
  if (!an_open(key, bytes, cipher, size, cipher + size)) return false;
  *plain = (an_view){cipher, size};
  return true;
}

/* ---- HMAC ------------------------------------------------------------------------------------------- */

enum { HMAC_BLOCK = 64, DIGEST = 32 };

an_view an_hmac(an_scope *scope, an_view text, an_view key) {
  static const char digits[] = "0123456789abcdef";
  uint8_t outer[HMAC_BLOCK + DIGEST] = {0}, digest[DIGEST];
  uint8_t *inner = an_scope_alloc(scope, NULL, an_size_add(text.size, HMAC_BLOCK));
  uint8_t *out = an_scope_alloc(scope, NULL, 2 * DIGEST);
  if (inner == NULL || out == NULL) return (an_view){NULL, 0};
  if (key.size > HMAC_BLOCK) {
    an_sha256(key, outer);
  } else if (key.size > 0) {
    memcpy(outer, key.data, key.size);
  }
  for (size_t i = 0; i < HMAC_BLOCK; i++) {
    inner[i] = outer[i] ^ 0x36;
    outer[i] ^= 0x5c;
  }
  if (text.size > 0) memcpy(inner + HMAC_BLOCK, text.data, text.size);
  an_sha256((an_view){inner, HMAC_BLOCK + text.size}, outer + HMAC_BLOCK);
  an_sha256((an_view){outer, sizeof outer}, digest);
  for (size_t i = 0; i < DIGEST; i++) {
    out[2 * i] = (uint8_t)digits[digest[i] >> 4];
    out[2 * i + 1] = (uint8_t)digits[digest[i] & 15];
  }
  return (an_view){out, 2 * DIGEST};
}
