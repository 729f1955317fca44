/* Prints how often a chain takes memory from the heap: `steady CALLS STATUS`. Included after counted.h, the chain, its
 * host and caller.h.
 *
 *   passed  calls that the chain let pass
 *   first   allocations of a new instance and CALLS calls through it
 *   later   those of as many calls after them
 */
int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const an_services services = {
      .now_ns = stopped_clock, .wall_ns = stopped_clock, .metadata_get = header_get, .metadata_set = header_set};
  const an_options options = {.seed = 1, .max_message = 4096, .backend_count = 3};
  const caller caller = {appnet_module.instance_new(&services, &options, NULL), argv[2], fopen("/dev/null", "wb")};
  const unsigned long calls = strtoul(argv[1], NULL, 10);
  if (caller.instance == NULL || caller.records == NULL) return 2;
  unsigned long first = 0, later = 0;
  take_records(&caller); /* begins the only second of this clock: elements explain their first few refusals in it */
  for (unsigned phase = 0; phase < 2; phase++) {
    const unsigned long before = phase == 0 ? 0 : allocations;
    for (unsigned long i = 0; i < calls; i++) run_call(&caller, i);
    *(phase == 0 ? &first : &later) = allocations - before;
    take_records(&caller); /* its buffers stay */
  }
  fclose(caller.records);
  printf("passed = %lu\nfirst = %lu\nlater = %lu\n", passed, first, later);
  appnet_module.instance_free(caller.instance);
  return 0;
}
