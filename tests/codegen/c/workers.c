/* Worker threads that share one instance of a printed chain, for the thread sanitizer:
 * `workers THREADS CALLS BACKENDS STATUS RECORDS`. Included after the chain, its host and caller.h.
 *
 * Telemetry is taken meanwhile, as the loader does, and goes to the file RECORDS; batches of repeated fields that stand
 * one after another are one message. What became of the calls is printed, and then the state.
 */
#include <pthread.h>

enum { MOST_THREADS = 16, TAKE_EVERY = 100 };

typedef struct shared {
  caller caller;
  unsigned long calls;
} shared;

static void *work(void *pointer) {
  const shared *all = pointer;
  for (unsigned long i = 0; i < all->calls; i++) {
    run_call(&all->caller, i);
    if (i % TAKE_EVERY == 0 && appnet_module.telemetry_pending(all->caller.instance)) take_records(&all->caller);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  const an_services services = {
      .now_ns = stopped_clock, .wall_ns = stopped_clock, .metadata_get = header_get, .metadata_set = header_set};
  const an_options options = {.seed = 1, .max_message = 4096, .backend_count = (uint32_t)strtoul(argv[3], NULL, 10)};
  caller caller = {appnet_module.instance_new(&services, &options, NULL), argv[4], fopen(argv[5], "wb")};
  shared all = {caller, strtoul(argv[2], NULL, 10)};
  unsigned long threads = strtoul(argv[1], NULL, 10);
  pthread_t workers[MOST_THREADS];
  if (caller.instance == NULL || caller.records == NULL || threads > MOST_THREADS) return 2;
  for (unsigned long i = 0; i < threads; i++) {
    if (pthread_create(&workers[i], NULL, work, &all) != 0) return 2;
  }
  for (unsigned long i = 0; i < threads; i++) pthread_join(workers[i], NULL);
  take_records(&caller);
  fclose(caller.records);
  printf("passed = %lu\nrefused = %lu\ninside = %lu\nset = %lu\nunlike = %lu\n", passed, refused, most_inside, headers_set, unlike);
  size_t size = 0;
  uint8_t *dump = appnet_module.state_dump(caller.instance, &size);
  fwrite(dump, 1, size, stdout);
  appnet_module.release(dump);
  appnet_module.instance_free(caller.instance);
  return 0;
}
