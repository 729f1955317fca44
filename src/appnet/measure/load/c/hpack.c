#include "hpack.h"

#include <stdlib.h>

/* RFC 7541, appendix A. */
static const struct {
  const char *name;
  const char *value;
} static_table[] = {
    {":authority", ""}, {":method", "GET"}, {":method", "POST"}, {":path", "/"}, {":path", "/index.html"},
    {":scheme", "http"}, {":scheme", "https"}, {":status", "200"}, {":status", "204"}, {":status", "206"},
    {":status", "304"}, {":status", "400"}, {":status", "404"}, {":status", "500"}, {"accept-charset", ""},
    {"accept-encoding", "gzip, deflate"}, {"accept-language", ""}, {"accept-ranges", ""}, {"accept", ""},
    {"access-control-allow-origin", ""}, {"age", ""}, {"allow", ""}, {"authorization", ""},
    {"cache-control", ""}, {"content-disposition", ""}, {"content-encoding", ""}, {"content-language", ""},
    {"content-length", ""}, {"content-location", ""}, {"content-range", ""}, {"content-type", ""},
    {"cookie", ""}, {"date", ""}, {"etag", ""}, {"expect", ""}, {"expires", ""}, {"from", ""}, {"host", ""},
    {"if-match", ""}, {"if-modified-since", ""}, {"if-none-match", ""}, {"if-range", ""},
    {"if-unmodified-since", ""}, {"last-modified", ""}, {"link", ""}, {"location", ""}, {"max-forwards", ""},
    {"proxy-authenticate", ""}, {"proxy-authorization", ""}, {"range", ""}, {"referer", ""}, {"refresh", ""},
    {"retry-after", ""}, {"server", ""}, {"set-cookie", ""}, {"strict-transport-security", ""},
    {"transfer-encoding", ""}, {"user-agent", ""}, {"vary", ""}, {"via", ""}, {"www-authenticate", ""},
};

#define STATIC_COUNT (sizeof static_table / sizeof *static_table)

/* RFC 7541, appendix B. The code is canonical: codes of one length count up in the order of the symbols, and each
 * length goes on where the one before ended, so the lengths alone give all codes. The last symbol is EOS. */
static const uint8_t code_lengths[257] = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
    8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
    13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
    28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
    22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
    22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
    25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
};

#define LONGEST_CODE 30
#define EOS 256

static struct {
  uint32_t first[LONGEST_CODE + 1]; /* the least code of each length */
  uint32_t count[LONGEST_CODE + 1];
  uint32_t base[LONGEST_CODE + 1];  /* where symbols of the length begin in `symbols` */
  uint16_t symbols[257];            /* by length, then by value */
  bool ready;
} huffman;

static void huffman_prepare(void) {
  uint32_t code = 0, placed = 0;
  for (int length = 1; length <= LONGEST_CODE; length++) {
    code <<= 1;
    huffman.first[length] = code;
    huffman.base[length] = placed;
    for (uint16_t symbol = 0; symbol <= EOS; symbol++) {
      if (code_lengths[symbol] == length) huffman.symbols[placed++] = symbol;
    }
    huffman.count[length] = placed - huffman.base[length];
    code += huffman.count[length];
  }
  huffman.ready = true;
}

static bool huffman_decode(view text, buffer *out) {
  uint32_t code = 0, length = 0;
  buffer_grow(out, text.size * 8 / 5 + 1);
  for (size_t i = 0; i < text.size; i++) {
    for (int bit = 7; bit >= 0; bit--) {
      code = code << 1 | (text.data[i] >> bit & 1u);
      if (++length > LONGEST_CODE) return false;
      uint32_t offset = code - huffman.first[length];
      if (offset >= huffman.count[length]) continue;
      uint16_t symbol = huffman.symbols[huffman.base[length] + offset];
      if (symbol == EOS) return false;
      out->data[out->size++] = (uint8_t)symbol;
      code = length = 0;
    }
  }
  return length < 8 && code == (1u << length) - 1; /* padding is the beginning of EOS: ones */
}

/* A number whose first byte has `bits` bits for it (5.1). */
static bool read_number(view *in, int bits, size_t *number) {
  if (in->size == 0) return false;
  size_t mask = (1u << bits) - 1;
  size_t value = *in->data & mask;
  in->data++, in->size--;
  if (value == mask) {
    for (int shift = 0;; shift += 7) {
      if (in->size == 0 || shift > 21) return false;
      uint8_t byte = *in->data;
      in->data++, in->size--;
      value += (size_t)(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  *number = value;
  return true;
}

static bool read_text(view *in, buffer *decoded, view *text) {
  if (in->size == 0) return false;
  bool is_huffman = *in->data & 0x80;
  size_t size;
  if (!read_number(in, 7, &size) || size > in->size) return false;
  *text = (view){in->data, size};
  in->data += size, in->size -= size;
  if (!is_huffman) return true;
  decoded->size = 0;
  if (!huffman_decode(*text, decoded)) return false;
  *text = (view){decoded->data, decoded->size};
  return true;
}

static void evict_to(hpack_decoder *d, size_t size) {
  const size_t slots = sizeof d->entries / sizeof *d->entries;
  while (d->count > 0 && d->size > size) {
    hpack_entry *oldest = &d->entries[(d->newest + slots - (d->count - 1)) % slots];
    d->size -= oldest->name_size + oldest->value_size + 32;
    d->count--;
    free(oldest->text);
    oldest->text = NULL;
  }
}

static void insert(hpack_decoder *d, view name, view value) {
  size_t size = name.size + value.size + 32;
  if (size > d->limit) {
    evict_to(d, 0);
    return;
  }
  uint8_t *text = need(malloc(size)); /* copied first: the name may stand in an entry that is about to go */
  memcpy(text, name.data, name.size);
  if (value.size > 0) memcpy(text + name.size, value.data, value.size);
  evict_to(d, d->limit - size);
  d->newest = (d->newest + 1) % (sizeof d->entries / sizeof *d->entries);
  d->entries[d->newest] = (hpack_entry){text, name.size, value.size};
  d->count++;
  d->size += size;
}

static bool look_up(const hpack_decoder *d, size_t index, view *name, view *value) {
  if (index == 0) return false;
  if (index <= STATIC_COUNT) {
    const char *n = static_table[index - 1].name, *v = static_table[index - 1].value;
    *name = (view){(const uint8_t *)n, strlen(n)};
    *value = (view){(const uint8_t *)v, strlen(v)};
    return true;
  }
  size_t age = index - STATIC_COUNT - 1;
  if (age >= d->count) return false;
  const size_t slots = sizeof d->entries / sizeof *d->entries;
  const hpack_entry *entry = &d->entries[(d->newest + slots - age) % slots];
  *name = (view){entry->text, entry->name_size};
  *value = (view){entry->text + entry->name_size, entry->value_size};
  return true;
}

void hpack_init(hpack_decoder *decoder) {
  if (!huffman.ready) huffman_prepare();
  *decoder = (hpack_decoder){.limit = HPACK_TABLE_SIZE};
}

void hpack_free(hpack_decoder *decoder) {
  evict_to(decoder, 0);
  buffer_free(&decoder->name);
  buffer_free(&decoder->value);
}

/* One header field that is not wholly in a table: its name, by index or as text, and its value as text. */
static bool read_literal(hpack_decoder *d, view *in, int bits, view *name, view *value) {
  size_t index;
  if (!read_number(in, bits, &index)) return false;
  if (index == 0 ? !read_text(in, &d->name, name) : !look_up(d, index, name, value)) return false;
  return read_text(in, &d->value, value);
}

bool hpack_decode(hpack_decoder *d, view block, void (*found)(void *owner, view name, view value), void *owner) {
  while (block.size > 0) {
    uint8_t first = *block.data;
    view name, value;
    size_t number;
    if (first & 0x80) { /* indexed */
      if (!read_number(&block, 7, &number) || !look_up(d, number, &name, &value)) return false;
      found(owner, name, value);
    } else if (first & 0x40) { /* literal, to be indexed */
      if (!read_literal(d, &block, 6, &name, &value)) return false;
      found(owner, name, value);
      insert(d, name, value);
    } else if (first & 0x20) { /* new table size */
      if (!read_number(&block, 5, &number) || number > HPACK_TABLE_SIZE) return false;
      d->limit = number;
      evict_to(d, number);
    } else { /* literal, not or never to be indexed */
      if (!read_literal(d, &block, 4, &name, &value)) return false;
      found(owner, name, value);
    }
  }
  return true;
}

static void add_text(buffer *out, view text) {
  uint8_t *place = buffer_grow(out, text.size + 6);
  size_t size = text.size;
  if (size < 0x7f) {
    *place = (uint8_t)size;
    out->size++;
  } else {
    *place++ = 0x7f;
    out->size++;
    for (size -= 0x7f; size > 0x7f; size >>= 7, out->size++) *place++ = (uint8_t)(size | 0x80);
    *place = (uint8_t)size;
    out->size++;
  }
  buffer_add(out, text.data, text.size);
}

void hpack_literal(buffer *out, view name, view value) {
  buffer_add(out, "", 1);
  add_text(out, name);
  add_text(out, value);
}
