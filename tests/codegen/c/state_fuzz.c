/* State as bytes under the address sanitizer: `state_fuzz SEED ROUNDS`. Included after the chain, its host and caller.h.
 *
 * What one instance writes another reads, and then has the same state. Bytes that somebody damaged change nothing, or are a
 * state; nothing is read that is not there. It prints how many were refused. */
#include "state_bytes.h"

static uint64_t drawn;

static uint64_t draw(void) {
  drawn = drawn * 6364136223846793005u + 1442695040888963407u;
  return drawn >> 33;
}

static an_instance *fresh(void) {
  const an_services services = {.now_ns = stopped_clock, .wall_ns = stopped_clock, .metadata_get = header_get, .metadata_set = header_set};
  const an_options options = {.seed = 1, .max_message = 4096};
  return appnet_module.instance_new(&services, &options, NULL);
}

static void same_state(an_instance *one, an_instance *other) {
  size_t sizes[2];
  uint8_t *dumps[2] = {appnet_module.state_dump(one, &sizes[0]), appnet_module.state_dump(other, &sizes[1])};
  if (sizes[0] != sizes[1] || memcmp(dumps[0], dumps[1], sizes[0]) != 0) {
    fprintf(stderr, "%.*s\nis not\n%.*s\n", (int)sizes[0], (char *)dumps[0], (int)sizes[1], (char *)dumps[1]);
    abort();
  }
  for (int i = 0; i < 2; i++) appnet_module.release(dumps[i]);
}

/* A block of its own size, so that the sanitizer knows where it ends. */
static uint8_t *damaged(const an_buffer *whole, size_t *size) {
  *size = draw() % 4 == 0 ? draw() % (whole->size + 1) : whole->size;
  uint8_t *bytes = malloc(*size + 1);
  memcpy(bytes, whole->data, *size);
  for (uint64_t flips = draw() % 4; flips > 0 && *size > 0; flips--) {
    bytes[draw() % *size] = draw() % 2 == 0 ? (uint8_t)draw() : (uint8_t)(draw() % 6);
  }
  return bytes;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  unsigned long refusals = 0;
  drawn = strtoul(argv[1], NULL, 10);
  caller caller = {fresh(), "0", NULL};
  for (unsigned long i = 0; i < 200; i++) run_call(&caller, i);
  an_buffer whole = {0};
  an_state_write(&whole, caller.instance);
  an_instance *other = fresh();
  if (!an_state_apply(other, (an_view){whole.data, whole.size}, AN_TO_BE_TOLD)) return 3;
  same_state(caller.instance, other);
  for (unsigned long i = strtoul(argv[2], NULL, 10); i > 0; i--) {
    an_instance *untouched = fresh(), *tried = fresh();
    size_t size;
    uint8_t *bytes = damaged(&whole, &size);
    if (!an_state_apply(tried, (an_view){bytes, size}, AN_TO_BE_TOLD)) {
      refusals++;
      same_state(untouched, tried);
    }
    free(bytes);
    appnet_module.instance_free(untouched);
    appnet_module.instance_free(tried);
  }
  printf("%lu\n", refusals);
  an_buffer_free(&whole);
  appnet_module.instance_free(other);
  appnet_module.instance_free(caller.instance);
  return 0;
}
