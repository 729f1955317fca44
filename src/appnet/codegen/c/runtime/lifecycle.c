#include "lifecycle.h"

#include "kept.h"
#include "merging.h"
#include "metrics.h"
#include "steps.h"
#include "telemetry.h"
#include "trace.h"
#include "why.h"
#include "wire.h"

static uint64_t fnv1a64(const char *text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *text != '\0'; text++) hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
  return hash;
}

static size_t most_fields(const an_program *program) {
  size_t most = 0;
  for (size_t i = 0; i < program->method_count; i++) {
    const an_method *method = &program->methods[i];
    if (method->request.field_count > most) most = method->request.field_count;
    if (method->response.field_count > most) most = method->response.field_count;
  }
  return most;
}

static size_t most_reply_fields(const an_program *program) {
  size_t most = 0;
  for (size_t i = 0; i < program->method_count; i++) {
    if (program->methods[i].reply.field_count > most) most = program->methods[i].reply.field_count;
  }
  return most;
}

static bool copy_resource(an_instance *instance, an_view resource) {
  instance->options.resource = (an_view){NULL, 0};
  if (resource.size == 0) return true;
  uint8_t *copy = an_alloc(resource.size);
  if (copy == NULL) return false;
  memcpy(copy, resource.data, resource.size);
  instance->options.resource = (an_view){copy, resource.size};
  return true;
}

static bool allocate_parts(an_instance *instance) {
  const an_program *program = instance->program;
  instance->state = an_alloc_zeroed(program->state_size + 1);
  instance->random = an_alloc_zeroed(an_size_mul(program->element_count + 1, sizeof(uint64_t)));
  return instance->state != NULL && instance->random != NULL && an_kept_init(instance);
}

/* Frees an instance without the read-only state of its elements. */
static void drop(an_instance *instance) {
  if (AN_SHARED) {
    an_copies_free(instance);
    an_merges_free(instance);
  }
  an_pools_free(instance);
  an_plans_free(instance);
  an_records_free(instance);
  an_metrics_free(instance);
  an_why_free(instance);
  an_traces_free(instance);
  an_kept_free(instance);
  an_free(instance->random);
  an_free(instance->state);
  an_free((void *)(uintptr_t)instance->options.resource.data);
  an_free(instance);
}

an_instance *an_instance_new(const an_services *services, const an_options *options, const an_carrier *carrier,
                             size_t call_size) {
  an_instance *instance = an_alloc_zeroed(sizeof *instance);
  if (instance == NULL) return NULL;
  const an_program *program = &appnet_program;
  instance->program = program;
  instance->services = *services;
  instance->options = *options;
  instance->slot_count = most_fields(program);
  instance->reply_slot_count = most_reply_fields(program);
  an_calls_lay_out(instance, call_size);
  bool whole = copy_resource(instance, options->resource) && allocate_parts(instance) && an_records_init(instance) &&
               an_metrics_init(instance) && an_why_init(instance) && an_traces_init(instance) && an_plans_init(instance);
  if (!whole) {
    drop(instance);
    return NULL;
  }
  for (size_t i = 0; i < program->element_count; i++) {
    instance->random[i] = options->seed ^ fnv1a64(program->elements[i]);
  }
  program->init(instance);
  if (AN_SHARED && (!an_copies_init(instance, carrier) || !an_merges_init(instance, carrier))) {
    an_instance_free(instance);
    return NULL;
  }
  an_kept_share(instance); /* last: what others have in hand is not for init to set */
  if (AN_SHARED) {
    an_copies_begin(instance);
    an_merges_begin(instance);
  }
  return instance;
}

void an_instance_free(an_instance *instance) {
  if (instance == NULL) return;
  instance->program->destroy(instance);
  drop(instance);
}

uint8_t *an_state_dump(an_instance *instance, size_t *size) {
  struct an_text text = {{0}};
  instance->program->dump(instance, &text);
  if (text.buffer.failed) an_buffer_free(&text.buffer);
  *size = text.buffer.size;
  return text.buffer.data;
}

void an_release(uint8_t *bytes) { an_free(bytes); }
