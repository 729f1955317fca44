/* What any thread gives one thread to do. */
#ifndef APPNET_JOBS_H
#define APPNET_JOBS_H

#include <pthread.h>
#include <stdbool.h>

typedef struct jobs {
  pthread_mutex_t lock;
  struct job *first, **last;
} jobs;

void jobs_open(jobs *it);
bool jobs_add(jobs *it, void (*work)(void *argument), void *argument); /* false: no memory */
void jobs_do(jobs *it);                                                /* all, in their order */
void jobs_close(jobs *it);                                             /* none is left */

#endif
