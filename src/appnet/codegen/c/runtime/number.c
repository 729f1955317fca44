#include "number.h"

#include "text.h"

uint64_t an_number_in(an_view digits) {
  uint64_t number = 0;
  for (size_t i = 0; i < digits.size; i++) number = number * 10 + (uint64_t)(digits.data[i] - '0');
  return number;
}

void an_number(an_call *call) {
  an_instance *instance = call->instance;
  const an_program *program = instance->program;
  const an_services *services = &instance->services;
  const an_view key = AN_TEXT("x-appnet-call");
  an_view told;
  if (program->numbers.takes && services->metadata_get(call->host, AN_REQUEST_METADATA, key, &told)) {
    call->rpc_id = an_number_in(told);
    if (!program->numbers.gives) services->metadata_remove(call->host, AN_REQUEST_METADATA, key);
  } else if (program->numbers.counts) {
    an_scope scope = {.call = call};
    call->rpc_id = __atomic_add_fetch(instance->rpc_count, 1, __ATOMIC_RELAXED);
    if (program->numbers.gives) {
      services->metadata_set(call->host, AN_REQUEST_METADATA, key, an_uint_text(&scope, call->rpc_id));
    }
  }
}
