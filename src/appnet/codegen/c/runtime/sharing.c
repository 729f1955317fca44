/* The table of an_sharing: copies of strong state have the first numbers, and variables that are merged the ones behind. */
#include "merging.h"

static bool is_copy(const an_instance *instance, size_t number) { return number < copy_count(instance); }

/* Which it is of the variables that are merged. */
static size_t merge_number(const an_instance *instance, size_t number) { return number - copy_count(instance); }

static size_t sharing_count(const an_instance *instance) { return copy_count(instance) + an_merge_count(instance); }

static an_view sharing_element(const an_instance *instance, size_t number) {
  const uint32_t element = is_copy(instance, number) ? instance->copies->copies[number].sharer->element
                                                     : an_merge_variable(instance, merge_number(instance, number))->element;
  const char *name = instance->program->elements[element];
  return (an_view){(const uint8_t *)name, strlen(name)};
}

static an_view sharing_variable(const an_instance *instance, size_t number) {
  if (is_copy(instance, number)) return (an_view){NULL, 0};
  return an_store_name(an_merge_variable(instance, merge_number(instance, number)));
}

static bool sharing_take(an_instance *instance, size_t number, bool due, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  if (is_copy(instance, number)) return copy_request(instance, number, due, parts, count);
  return an_merge_take(instance, merge_number(instance, number), due, parts, count);
}

static const char *sharing_answer(an_instance *instance, size_t number, an_view bytes) {
  if (is_copy(instance, number)) return copy_answer(instance, number, bytes);
  return an_merge_answer(instance, merge_number(instance, number), bytes);
}

static void sharing_unanswered(an_instance *instance, size_t number) {
  if (is_copy(instance, number)) {
    copy_unanswered(instance, number);
  } else {
    an_merge_unanswered(instance, merge_number(instance, number));
  }
}

static void sharing_away(an_instance *instance, size_t number) {
  if (is_copy(instance, number)) copy_away(instance, number);
}

static uint64_t sharing_waits_since(an_instance *instance, size_t number) {
  if (is_copy(instance, number)) return copy_waits_since(instance, number);
  return an_merge_asked_since(instance, merge_number(instance, number));
}

static void sharing_leave(an_instance *instance, size_t number, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  if (is_copy(instance, number)) {
    copy_leave(instance, number, parts, count);
  } else {
    an_merge_leave(instance, parts, count);
  }
}

const an_sharing an_sharing_table = {sharing_count,      sharing_element, sharing_variable,    sharing_take, sharing_answer,
                                     sharing_unanswered, sharing_away,    sharing_waits_since, sharing_leave};
