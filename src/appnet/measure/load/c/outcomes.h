/* What became of the calls: counted by outcome, with the times of the first and last of each, and their latencies. */
#ifndef LOAD_OUTCOMES_H
#define LOAD_OUTCOMES_H

#include <stdio.h>

#include "buffer.h"

/* Log-linear buckets: 128 to a power of two, so a value is known to within 1 in 128. */
#define HISTOGRAM_BITS 7
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

typedef struct histogram {
  uint64_t counts[HISTOGRAM_BUCKETS];
  uint64_t total;
  uint64_t sum;
  uint64_t largest;
} histogram;

void histogram_add(histogram *h, uint64_t value);
uint64_t histogram_quantile(const histogram *h, double q); /* 0 of an empty histogram */

#define MAX_OUTCOMES 4096u /* a power of two; calls with further outcomes are counted together */

typedef struct outcome {
  buffer key; /* see outcome_count; empty: free */
  uint64_t count;
  uint64_t first_start, last_start, first_end, last_end;
} outcome;

typedef struct outcomes {
  outcome table[2 * MAX_OUTCOMES];
  uint32_t distinct;
  uint64_t overflowed;
} outcomes;

/* `parts`: message, captured headers, body. `status` -1: the transport failed, and the message says how. */
void outcome_count(outcomes *all, int32_t status, const view *parts, size_t part_count, uint64_t start, uint64_t end);
void outcomes_print(const outcomes *all, FILE *out); /* as a JSON list; texts are in hexadecimal */

#endif
