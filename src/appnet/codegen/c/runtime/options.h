/* What an instance is told when it is made, as it travels: little-endian
 *
 *   u32 2 | u64 seed | u32 max_message | u32 backend_count | u32 trace_share | u32 size of resource | resource
 *
 * Plugin configuration of wasm chains, and a part of the loader's payload. */
#ifndef AN_OPTIONS_H
#define AN_OPTIONS_H

#include "chain.h"

/* False where the bytes are no options. `out->resource` lies in them. `trace_share`: see an_traces_share. */
bool an_options_read(an_view bytes, an_options *out, uint32_t *trace_share);

#endif
