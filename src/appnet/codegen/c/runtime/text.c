#include "text.h"

#include "map.h"
#include "vec.h"

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

/* ---- from text -------------------------------------------------------------------------------------- */

/* Steps over a sign; whether it was '-'. */
static bool take_sign(an_view *text) {
  if (text->size == 0 || (text->data[0] != '+' && text->data[0] != '-')) return false;
  bool negative = text->data[0] == '-';
  text->data++;
  text->size--;
  return negative;
}

int64_t an_parse_int(an_view text) {
  bool negative = take_sign(&text);
  const uint64_t most = (uint64_t)INT64_MAX + negative;
  uint64_t value = 0;
  if (text.size == 0) return 0;
  for (size_t i = 0; i < text.size; i++) {
    if (!is_digit(text.data[i])) return 0;
    uint64_t digit = text.data[i] - '0';
    value = value > (most - digit) / 10 ? most : value * 10 + digit;
  }
  return negative ? an_int_neg((int64_t)value) : (int64_t)value;
}

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static double scale(double value, uint64_t steps, bool up) {
  while (steps > 0) {
    uint64_t step = steps < 22 ? steps : 22;
    value = up ? value * powers_of_ten[step] : value / powers_of_ten[step];
    steps -= step;
  }
  return value;
}

double an_parse_float(an_view text) {
  bool negative = take_sign(&text);
  uint64_t digits = 0, taken = 0, left_out = 0, fraction = 0;
  bool point = false;
  if (text.size == 0 || !is_digit(text.data[0]) || !is_digit(text.data[text.size - 1])) return 0.0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(text.data[i])) return 0.0;
    fraction += point;
    if (digits == 0 && text.data[i] == '0') continue;
    if (taken == 18) {
      left_out++;
      continue;
    }
    digits = digits * 10 + (uint64_t)(text.data[i] - '0');
    taken++;
  }
  bool up = left_out >= fraction;
  double value = scale((double)digits, up ? left_out - fraction : fraction - left_out, up);
  return negative ? -value : value;
}

/* ---- to text ------------------------------------------------------------------------------------------ */

static an_view keep(an_scope *scope, const void *bytes, size_t size) {
  return an_keep_text(scope, (an_view){bytes, size});
}

/* Writes the digits before `end`; where they begin. */
static uint8_t *write_digits(uint8_t *end, uint64_t value) {
  do {
    *--end = (uint8_t)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return end;
}

an_view an_uint_text(an_scope *scope, uint64_t value) {
  uint8_t digits[20], *end = digits + sizeof digits;
  uint8_t *start = write_digits(end, value);
  return keep(scope, start, (size_t)(end - start));
}

an_view an_int_text(an_scope *scope, int64_t value) {
  uint8_t digits[21], *end = digits + sizeof digits;
  uint8_t *start = write_digits(end, (uint64_t)an_int_abs(value));
  if (value < 0) *--start = '-';
  return keep(scope, start, (size_t)(end - start));
}

/* Millionths of a double in [0, 1), rounded half to even; exact, as 73 bits hold the product. */
static uint64_t millionths(double part) {
  const uint64_t bits = an_float_bits(part), low_32 = 0xffffffffu;
  const uint64_t exponent = bits >> 52;
  if (exponent < 1075 - 75) return 0; /* below 2**-22, which rounds to nothing */
  const uint64_t mantissa = (bits & 0xfffffffffffffu) | 0x10000000000000u;
  const unsigned shift = (unsigned)(1075 - exponent); /* 53 to 75 */
  uint64_t low = (mantissa & low_32) * 1000000u;
  uint64_t high = (mantissa >> 32) * 1000000u + (low >> 32);
  low &= low_32;
  /* The product is high * 2**32 + low, and shift - 32 >= 21 bits of `high` stand behind the point. */
  const unsigned behind = shift - 32;
  const uint64_t rest = high & (((uint64_t)1 << behind) - 1), half = (uint64_t)1 << (behind - 1);
  uint64_t whole = high >> behind;
  if (rest > half || (rest == half && (low != 0 || (whole & 1) != 0))) whole++;
  return whole;
}

an_view an_float_text(an_scope *scope, double value) {
  if (value != value) return AN_TEXT("nan");
  const bool negative = __builtin_signbit(value) != 0;
  double size = negative ? -value : value;
  if (size == __builtin_inf()) return negative ? AN_TEXT("-inf") : AN_TEXT("inf");
  if (size > 1e15) size = 1e15;
  uint64_t whole = (uint64_t)size;
  uint64_t part = millionths(size - (double)whole) + 1000000; /* a digit in front keeps the zeros */
  if (part == 2000000) {
    part = 1000000;
    whole++;
  }
  uint8_t digits[24], *end = digits + sizeof digits;
  uint8_t *start = write_digits(end, part);
  *start = '.';
  start = write_digits(start, whole);
  if (negative) *--start = '-';
  return keep(scope, start, (size_t)(end - start));
}

/* ---- state as text -------------------------------------------------------------------------------------- */

static void dump_bytes(an_text *out, const void *bytes, size_t size) { an_buffer_append(&out->buffer, bytes, size); }

static void dump_hex(an_text *out, uint8_t byte) {
  static const char hex[] = "0123456789abcdef";
  const char digits[2] = {hex[byte >> 4], hex[byte & 15]};
  dump_bytes(out, digits, 2);
}

static void dump_uint(an_text *out, uint64_t value) {
  uint8_t digits[20], *end = digits + sizeof digits;
  uint8_t *start = write_digits(end, value);
  dump_bytes(out, start, (size_t)(end - start));
}

static void dump_value(an_text *out, const an_type *type, const void *value);

static void dump_float(an_text *out, double value) {
  uint64_t bits = an_float_bits(value);
  for (int shift = 56; shift >= 0; shift -= 8) dump_hex(out, (uint8_t)(bits >> shift));
}

static void dump_string(an_text *out, an_view text) {
  dump_bytes(out, "\"", 1);
  for (size_t i = 0; i < text.size; i++) dump_hex(out, text.data[i]);
  dump_bytes(out, "\"", 1);
}

static void dump_vec(an_text *out, const an_type *type, const an_vec *vec) {
  dump_bytes(out, "[", 1);
  for (uint32_t i = 0; i < vec->size; i++) {
    if (i > 0) dump_bytes(out, ", ", 2);
    dump_value(out, type->first, an_vec_at(vec, type->first->size, i));
  }
  dump_bytes(out, "]", 1);
}

static void dump_map(an_text *out, const an_type *type, const an_map *map) {
  dump_bytes(out, "{", 1);
  for (uint32_t name = map->oldest; name != 0;) {
    const an_map_entry *entry = an_map_entry_at(map, type, name);
    if (name != map->oldest) dump_bytes(out, ", ", 2);
    dump_value(out, type->first, entry + 1);
    dump_bytes(out, ": ", 2);
    dump_value(out, type->second, (const uint8_t *)entry + type->offset);
    name = entry->newer;
  }
  dump_bytes(out, "}", 1);
}

static void dump_pair(an_text *out, const an_type *type, const void *pair) {
  dump_bytes(out, "(", 1);
  dump_value(out, type->first, pair);
  dump_bytes(out, ", ", 2);
  dump_value(out, type->second, (const uint8_t *)pair + type->offset);
  dump_bytes(out, ")", 1);
}

static void dump_int(an_text *out, int64_t value) {
  if (value < 0) dump_bytes(out, "-", 1);
  dump_uint(out, (uint64_t)an_int_abs(value));
}

static void dump_value(an_text *out, const an_type *type, const void *value) {
  switch (type->kind) {
    case AN_BOOL: *(const uint8_t *)value != 0 ? dump_bytes(out, "true", 4) : dump_bytes(out, "false", 5); break;
    case AN_INT: dump_int(out, *(const int64_t *)value); break;
    case AN_UINT: dump_uint(out, *(const uint64_t *)value); break;
    case AN_FLOAT: dump_float(out, *(const double *)value); break;
    case AN_STRING: dump_string(out, *(const an_view *)value); break;
    case AN_PAIR: dump_pair(out, type, value); break;
    case AN_VEC: dump_vec(out, type, value); break;
    case AN_MAP: dump_map(out, type, value); break;
  }
}

void an_dump(an_text *out, an_view name, const an_type *type, const void *value) {
  dump_bytes(out, name.data, name.size);
  dump_bytes(out, " = ", 3);
  dump_value(out, type, value);
  dump_bytes(out, "\n", 1);
}
