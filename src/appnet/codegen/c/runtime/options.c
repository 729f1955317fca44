#include "options.h"

#include "octets.h"

enum { OPTIONS_FIXED = 28, OPTIONS_VERSION = 2 };

bool an_options_read(an_view bytes, an_options *out, uint32_t *trace_share) {
  if (bytes.size < OPTIONS_FIXED || load_le32(bytes.data) != OPTIONS_VERSION) return false;
  *out = (an_options){
      .seed = load_le32(bytes.data + 4) | (uint64_t)load_le32(bytes.data + 8) << 32,
      .max_message = load_le32(bytes.data + 12),
      .backend_count = load_le32(bytes.data + 16),
      .resource = {bytes.data + OPTIONS_FIXED, bytes.size - OPTIONS_FIXED},
  };
  *trace_share = load_le32(bytes.data + 20);
  return out->resource.size == load_le32(bytes.data + 24);
}
