/* As steady.c, by the table of hosts that have decoded messages: `steady_chain CALLS STATUS`. A call carries the header
 * `session`; each field of its messages is the text "user N", and its response has the status. */
#include <stdio.h>
#include <stdlib.h>

static uint64_t stopped_clock(void *host) {
  (void)host;
  return 1000000000000u;
}

static bool metadata_get(void *host, an_metadata_map map, an_view key, an_view *value) {
  *value = *(const an_view *)host;
  return map == AN_REQUEST_METADATA && key.size == 7 && memcmp(key.data, "session", 7) == 0;
}

static void metadata_set(void *host, an_metadata_map map, an_view key, an_view value) {
  (void)host; (void)map; (void)key; (void)value;
}

static void fill(const an_side *side, an_slot *slots, an_view text) {
  for (size_t i = 0; i < side->field_count; i++) slots[i] = (an_slot){.value = {.s = text}, .present = true};
}

static bool run_call(an_instance *instance, unsigned long number, int32_t status) {
  const an_method *method = &appnet_chain.methods[0];
  uint8_t user[] = "user 0", session[] = "s0";
  user[5] = session[1] = (uint8_t)('0' + number % 10);
  an_view host = {session, 2};
  an_call *call = appnet_chain.call_new(instance, 0, &host);
  fill(&method->request, appnet_chain.message_new(call, AN_REQUEST, 0), (an_view){user, 6});
  bool passes = appnet_chain.judge_open(call) == AN_FORWARD && appnet_chain.judge_request(call) == AN_FORWARD;
  if (passes && status != 0) appnet_chain.end_response(call, status);
  if (passes && status == 0) {
    fill(&method->response, appnet_chain.message_new(call, AN_RESPONSE, 0), (an_view){user, 6});
    appnet_chain.judge_response(call);
  }
  appnet_chain.call_free(call);
  return passes;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const an_services services = {
      .now_ns = stopped_clock, .wall_ns = stopped_clock, .metadata_get = metadata_get, .metadata_set = metadata_set};
  const an_options options = {.seed = 1, .backend_count = 3};
  an_instance *instance = appnet_chain.instance_new(&services, &options);
  const unsigned long calls = strtoul(argv[1], NULL, 10);
  const int32_t status = (int32_t)strtol(argv[2], NULL, 10);
  unsigned long passed = 0, first = 0, later = 0;
  size_t size = 0;
  appnet_chain.release(appnet_chain.telemetry_take(instance, &size)); /* begins the only second, as in steady.c */
  for (unsigned phase = 0; phase < 2; phase++) {
    const unsigned long before = phase == 0 ? 0 : allocations;
    for (unsigned long i = 0; i < calls; i++) passed += run_call(instance, i, status);
    *(phase == 0 ? &first : &later) = allocations - before;
    appnet_chain.release(appnet_chain.telemetry_take(instance, &size)); /* its buffers stay */
  }
  printf("passed = %lu\nfirst = %lu\nlater = %lu\n", passed, first, later);
  appnet_chain.instance_free(instance);
  return 0;
}
