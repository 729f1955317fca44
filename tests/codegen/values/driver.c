/* Runs a generated chain without a proxy, by lines on stdin; one line of answer each.
 *
 *   now NS                              sets the clock
 *   fail N                              the Nth allocation from now fails, and all after it; 0 ends that
 *   call                                begins a call of the only method           -> its number, or "no memory for" it
 *   req CALL NUMBER=VALUE… KEY:HEX…      judges its request               -> F NUMBER=VALUE… KEY:HEX… | R CODE HEX
 *   resp CALL STATUS NUMBER=VALUE… KEY:HEX…     judges its response              -> likewise
 *   free CALL
 *   dump                                -> the state, hexadecimal
 *   records                             -> what telemetry_take gives, hexadecimal
 *
 * NUMBER is a top-level field's; VALUE is hexadecimal: a string's bytes, or the 64 bits of a number. The answer to a
 * request that is forwarded lists the fields that were written and all metadata of that direction.
 */
#include <stdio.h>
#include <stdlib.h>

#include "chain_calls.h"
#include "instance.h"
#include "telemetry.h"

enum { DRIVER_CALLS = 4096, DRIVER_HEADERS = 32 };

typedef struct driver_header {
  an_metadata_map map;
  an_view key;
  an_view value;
} driver_header;

typedef struct driver_call {
  an_call *call;
  an_slot *slots;
  driver_header headers[DRIVER_HEADERS];
  size_t header_count;
  uint8_t *owned[256]; /* what headers and messages refer to */
  size_t owned_count;
} driver_call;

static driver_call *calls[DRIVER_CALLS];
static size_t call_count;
static uint64_t clock_ns;
static long failing;
static an_instance *instance;

static bool driver_fails(void) {
  if (failing <= 1) return failing == 1;
  failing--;
  return false;
}

void *an_alloc(size_t size) { return driver_fails() || size > (size_t)1 << 40 ? NULL : malloc(size); }
void *an_realloc(void *block, size_t size) { return driver_fails() ? NULL : realloc(block, size); }
void an_free(void *block) { free(block); }

static uint64_t driver_now(void *host) { (void)host; return clock_ns; }
static uint64_t driver_wall(void *host) { (void)host; return clock_ns + 1700000000000000000u; }

static driver_header *find_header(driver_call *call, an_metadata_map map, an_view key) {
  for (size_t i = 0; i < call->header_count; i++) {
    driver_header *header = &call->headers[i];
    if (header->map == map && header->key.size == key.size && memcmp(header->key.data, key.data, key.size) == 0) return header;
  }
  return NULL;
}

static bool driver_get(void *host, an_metadata_map map, an_view key, an_view *value) {
  driver_header *header = find_header(host, map, key);
  if (header != NULL) *value = header->value;
  return header != NULL;
}

static an_view driver_own(driver_call *call, an_view text) {
  uint8_t *copy = malloc(text.size + 1);
  if (text.size > 0) memcpy(copy, text.data, text.size);
  if (call->owned_count == sizeof call->owned / sizeof *call->owned) exit(3);
  call->owned[call->owned_count++] = copy;
  return (an_view){copy, text.size};
}

static void driver_set(void *host, an_metadata_map map, an_view key, an_view value) {
  driver_call *call = host;
  driver_header *header = find_header(call, map, key);
  if (header == NULL) {
    if (call->header_count == DRIVER_HEADERS) exit(3);
    header = &call->headers[call->header_count++];
    *header = (driver_header){map, driver_own(call, key), {NULL, 0}};
  }
  header->value = driver_own(call, value);
}

static uint8_t nibble(char digit) { return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10); }

static an_view take_hex(driver_call *call, const char *text) {
  size_t size = strlen(text) / 2;
  uint8_t *bytes = malloc(size + 1);
  for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
  an_view copy = driver_own(call, (an_view){bytes, size});
  free(bytes);
  return copy;
}

static void print_hex(const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) printf("%02x", bytes[i]);
}

static bool is_text(const an_field *field) { return field->kind == AN_FIELD_STRING || field->kind == AN_FIELD_BYTES; }

static void take_argument(driver_call *call, const an_side *side, an_metadata_map map, char *argument) {
  char *colon = strchr(argument, ':'), *equals = strchr(argument, '=');
  if (colon != NULL) {
    *colon = '\0';
    driver_set(call, map, (an_view){(const uint8_t *)argument, (size_t)(colon - argument)}, take_hex(call, colon + 1));
    return;
  }
  unsigned long number = strtoul(argument, NULL, 10);
  for (size_t i = 0; i < side->field_count; i++) {
    if (side->fields[i].numbers[0] != number) continue;
    an_slot *slot = &call->slots[i];
    slot->present = true;
    if (is_text(&side->fields[i])) {
      slot->value.s = take_hex(call, equals + 1);
    } else if (side->fields[i].kind == AN_FIELD_BOOL) {
      slot->value.b = strtoull(equals + 1, NULL, 16) != 0;
    } else {
      slot->value.u = strtoull(equals + 1, NULL, 16);
    }
  }
}

static void print_outcome(driver_call *call, const an_side *side, an_metadata_map map, an_verdict verdict) {
  if (verdict == AN_REFUSE) {
    an_view text;
    printf("R %d ", an_refusal(call->call, &text));
    print_hex(text.data, text.size);
    printf("\n");
    return;
  }
  printf("F");
  for (size_t i = 0; i < side->field_count; i++) {
    const an_slot *slot = &call->slots[i];
    if (!slot->written) continue;
    printf(" %u=", side->fields[i].numbers[0]);
    if (is_text(&side->fields[i])) {
      print_hex(slot->value.s.data, slot->value.s.size);
    } else {
      printf("%llx", side->fields[i].kind == AN_FIELD_BOOL ? slot->value.b : (unsigned long long)slot->value.u);
    }
  }
  for (size_t i = 0; i < call->header_count; i++) {
    if (call->headers[i].map != map) continue;
    printf(" %.*s:", (int)call->headers[i].key.size, (const char *)call->headers[i].key.data);
    print_hex(call->headers[i].value.data, call->headers[i].value.size);
  }
  printf("\n");
}

static void take_arguments(driver_call *call, const an_side *side, an_metadata_map map, char *arguments) {
  for (char *one = strtok(arguments, " \n"); one != NULL; one = strtok(NULL, " \n")) {
    take_argument(call, side, map, one);
  }
}

static void run_request(driver_call *call, char *arguments) {
  const an_side *side = &call->call->method->request;
  call->slots = an_message_new(call->call, AN_REQUEST, 0);
  take_arguments(call, side, AN_REQUEST_METADATA, arguments);
  an_verdict verdict = call->call->opened == 0 ? an_judge_open(call->call) : AN_FORWARD;
  if (verdict == AN_FORWARD) verdict = an_judge_request(call->call);
  print_outcome(call, side, AN_REQUEST_METADATA, verdict);
}

static void run_response(driver_call *call, int32_t status, char *arguments) {
  const an_side *side = &call->call->method->response;
  call->slots = an_message_new(call->call, AN_RESPONSE, 0);
  take_arguments(call, side, AN_RESPONSE_METADATA, arguments);
  an_verdict verdict = status == 0 ? an_judge_response(call->call) : an_end_response(call->call, status);
  print_outcome(call, side, AN_RESPONSE_METADATA, verdict);
}

static void free_call(driver_call *call) {
  an_call_free(call->call);
  for (size_t i = 0; i < call->owned_count; i++) free(call->owned[i]);
  free(call);
}

static void print_taken(uint8_t *(*take)(an_instance *, size_t *)) {
  size_t size = 0;
  uint8_t *bytes = take(instance, &size);
  print_hex(bytes, size);
  printf("\n");
  an_free(bytes);
}

static void run_line(char *line) {
  int used = 0;
  unsigned long long first = 0, second = 0;
  if (sscanf(line, "now %llu", &first) == 1) {
    clock_ns = first;
    printf("\n");
  } else if (sscanf(line, "fail %llu", &first) == 1) {
    failing = (long)first;
    printf("\n");
  } else if (strncmp(line, "call", 4) == 0) {
    if (call_count == DRIVER_CALLS) exit(3);
    driver_call *call = calls[call_count] = calloc(1, sizeof *call);
    call->call = an_chain_call_new(instance, 0, call);
    printf(call->call != NULL ? "%zu\n" : "no memory for %zu\n", call_count++);
  } else if (sscanf(line, "req %llu %n", &first, &used) == 1) {
    run_request(calls[first], line + used);
  } else if (sscanf(line, "resp %llu %llu %n", &first, &second, &used) == 2) {
    run_response(calls[first], (int32_t)second, line + used);
  } else if (sscanf(line, "free %llu", &first) == 1) {
    free_call(calls[first]);
    calls[first] = NULL;
    printf("\n");
  } else if (strncmp(line, "dump", 4) == 0) {
    print_taken(an_state_dump);
  } else if (strncmp(line, "records", 7) == 0) {
    print_taken(an_records_take);
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  an_services services = {.now_ns = driver_now, .wall_ns = driver_wall, .metadata_get = driver_get, .metadata_set = driver_set};
  an_options options = {.seed = strtoull(argv[1], NULL, 10), .max_message = 1 << 20,
                        .backend_count = (uint32_t)strtoul(argv[2], NULL, 10)};
  failing = strtol(argv[3], NULL, 10);
  instance = an_chain_instance_new(&services, &options);
  failing = 0;
  printf(instance == NULL ? "no memory\n" : "ready\n");
  fflush(stdout);
  char *line = NULL;
  size_t room = 0;
  while (instance != NULL && getline(&line, &room, stdin) > 0) run_line(line);
  free(line);
  for (size_t i = 0; i < call_count; i++) {
    if (calls[i] != NULL) free_call(calls[i]);
  }
  an_instance_free(instance);
  return 0;
}
