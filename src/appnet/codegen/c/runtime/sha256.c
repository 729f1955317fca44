#include "sha256.h"

#include "octets.h"
#include "platform.h"

static const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static void sha256_schedule(const uint8_t block[64], uint32_t words[64]) {
  for (size_t i = 0; i < 16; i++) words[i] = __builtin_bswap32(load_le32(block + 4 * i));
  for (size_t i = 16; i < 64; i++) {
    uint32_t early = words[i - 15], late = words[i - 2];
    uint32_t first = rotate_left(early, 25) ^ rotate_left(early, 14) ^ early >> 3;
    uint32_t second = rotate_left(late, 15) ^ rotate_left(late, 13) ^ late >> 10;
    words[i] = words[i - 16] + first + words[i - 7] + second;
  }
}

static void sha256_block(uint32_t state[8], const uint8_t block[64]) {
  uint32_t words[64], s[8];
  sha256_schedule(block, words);
  memcpy(s, state, sizeof s);
  for (size_t i = 0; i < 64; i++) {
    uint32_t sum1 = rotate_left(s[4], 26) ^ rotate_left(s[4], 21) ^ rotate_left(s[4], 7);
    uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    uint32_t one = s[7] + sum1 + choice + sha256_constants[i] + words[i];
    uint32_t sum0 = rotate_left(s[0], 30) ^ rotate_left(s[0], 19) ^ rotate_left(s[0], 10);
    uint32_t two = sum0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof s[0]);
    s[4] += one;
    s[0] = one + two;
  }
  for (size_t i = 0; i < 8; i++) state[i] += s[i];
}

void an_sha256(an_view text, uint8_t digest[32]) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  size_t at = 0;
  for (; text.size - at >= 64; at += 64) sha256_block(state, text.data + at);
  uint8_t last[128] = {0};
  size_t rest = text.size - at;
  if (rest > 0) memcpy(last, text.data + at, rest);
  last[rest] = 0x80;
  size_t end = rest < 56 ? 64 : 128;
  uint64_t bits = (uint64_t)text.size * 8;
  for (unsigned i = 0; i < 8; i++) last[end - 1 - i] = (uint8_t)(bits >> (8 * i));
  for (size_t block = 0; block < end; block += 64) sha256_block(state, last + block);
  for (size_t i = 0; i < 8; i++) store_le32(digest + 4 * i, __builtin_bswap32(state[i]));
}
