/* LZ4 frames: blocks of 64 KiB that stand alone, with the content's size and its XXH32. */
#ifndef AN_COMPRESS_H
#define AN_COMPRESS_H

#include "value.h"

/* The frame; its base64 text if `encoded`. */
an_view an_compress(an_scope *scope, an_view plain, bool encoded);
/* False where it is no whole frame as an_compress writes it, or holds more than 4 MiB. */
bool an_decompress(an_scope *scope, an_view packed, bool encoded, an_view *plain);

#endif
