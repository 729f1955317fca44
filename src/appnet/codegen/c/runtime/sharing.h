/* How a host shares state: it carries what a chain asks of the store (src/appnet/state). While that is about strong state,
 * calls wait.
 *
 * A chain has a copy of the store's state for each element with strong state, and one for each variable that is merged; they
 * are named by numbers from 0. Of each copy one request is under way at most: request_take gives it, and answer, or
 * unanswered, ends it. All of them may be called by any thread, those of one copy one after another. */
#ifndef AN_SHARING_H
#define AN_SHARING_H

#include "chain.h"

#ifndef AN_SHARED
#define AN_SHARED 0 /* whether the host carries what state asks of a store */
#endif

/* What a host gives. */
typedef struct an_carrier {
  void *host;
  an_view id;                     /* of the instance, unlike any other's; lasts as long as the instance */
  /* NULL: calls cannot wait, and strong state is the instance's own. */
  void (*wait)(void *call_host);  /* returns once the call was woken, in the thread that runs its event */
  void (*wake)(void *call_host);  /* by any thread, also before it waits */
  void (*ready)(void *host, size_t copy); /* there is a request to take; by any thread */
} an_carrier;

enum { AN_REQUEST_PARTS = 8 }; /* hosts of frames know it, too: grpc/stores.py, go/appnet/internal/object/stores.go */

typedef struct an_sharing {
  size_t (*count)(const an_instance *instance);
  an_view (*element)(const an_instance *instance, size_t copy);  /* whose copy it is */
  an_view (*variable)(const an_instance *instance, size_t copy); /* of which variable, where it is merged; else empty */
  /* The arguments of the script: AN_REQUEST_PARTS, of which *count are used; valid until the next call. False: there is
   * nothing to ask now. `due`: it is time to tell that the instance is alive, or to merge. */
  bool (*request_take)(an_instance *instance, size_t copy, bool due, an_view parts[AN_REQUEST_PARTS], size_t *count);
  /* NULL, or what is wrong with it: the state cannot be used until another answer comes. */
  const char *(*answer)(an_instance *instance, size_t copy, an_view bytes);
  void (*unanswered)(an_instance *instance, size_t copy); /* nobody knows what became of the request */
  void (*away)(an_instance *instance, size_t copy);       /* calls wait no longer: @unavailable says what they do */
  /* Since when calls, or a merge, wait for a word of the store, by now_ns; 0: none does. */
  uint64_t (*waits_since)(an_instance *instance, size_t copy);
  void (*leave)(an_instance *instance, size_t copy, an_view parts[AN_REQUEST_PARTS], size_t *count); /* at the end */
} an_sharing;

#endif
