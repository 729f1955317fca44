/* Versions that come and go while threads make calls, for the thread sanitizer: `versions THREADS CALLS VERSIONS`. Included
 * after the chain, its host, caller.h and the loader's keeper of state. How many calls passed is printed, and the state. */
#include <pthread.h>

enum { MOST_THREADS = 16 };

/* A version ends when it has been replaced and its calls have ended. */
typedef struct version {
  caller caller;
  state_keeper *keeper;
  unsigned long calls;
} version;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards which version runs, and how many calls each has */
static version *running;
static unsigned long calls_each, began;

static version *begin(void) {
  static const uint8_t scope[] = "scope";
  version *it = calloc(1, sizeof *it);
  it->keeper = state_keeper_open((an_view){scope, sizeof scope});
  const an_services services = {.now_ns = stopped_clock, .wall_ns = stopped_clock, .metadata_get = header_get, .metadata_set = header_set};
  const an_options options = {.seed = 1, .max_message = 4096, .keeper = state_keeper_table(it->keeper)};
  it->caller = (caller){appnet_module.instance_new(&services, &options, NULL), "0", NULL};
  return it;
}

static void end_if_over(version *it, bool over) {
  if (!over) return;
  appnet_module.instance_free(it->caller.instance);
  state_keeper_close(it->keeper);
  free(it);
}

static void *work(void *nothing) {
  for (unsigned long i = 0; i < calls_each; i++) {
    pthread_mutex_lock(&lock);
    version *it = running;
    it->calls++;
    began++;
    pthread_mutex_unlock(&lock);
    run_call(&it->caller, i);
    pthread_mutex_lock(&lock);
    bool over = --it->calls == 0 && it != running;
    pthread_mutex_unlock(&lock);
    end_if_over(it, over);
  }
  return nothing;
}

static unsigned long calls_begun(void) {
  pthread_mutex_lock(&lock);
  unsigned long count = began;
  pthread_mutex_unlock(&lock);
  return count;
}

static void replace_running(void) {
  version *next = begin();
  pthread_mutex_lock(&lock);
  version *before = running;
  running = next;
  bool over = before->calls == 0;
  pthread_mutex_unlock(&lock);
  end_if_over(before, over);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  unsigned long threads = strtoul(argv[1], NULL, 10), versions = strtoul(argv[3], NULL, 10);
  pthread_t workers[MOST_THREADS];
  calls_each = strtoul(argv[2], NULL, 10);
  running = begin();
  for (unsigned long i = 0; i < threads; i++) {
    if (pthread_create(&workers[i], NULL, work, NULL) != 0) return 2;
  }
  for (unsigned long i = 1; i <= versions; i++) {
    while (calls_begun() < threads * calls_each * i / (versions + 1)) sched_yield();
    replace_running();
  }
  for (unsigned long i = 0; i < threads; i++) pthread_join(workers[i], NULL);
  size_t size = 0;
  uint8_t *dump = appnet_module.state_dump(running->caller.instance, &size);
  printf("passed = %lu\n", passed);
  fwrite(dump, 1, size, stdout);
  appnet_module.release(dump);
  end_if_over(running, true);
  return 0;
}
