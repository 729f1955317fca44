#include "jobs.h"

#include <stdlib.h>

typedef struct job {
  struct job *next;
  void (*work)(void *);
  void *argument;
} job;

void jobs_open(jobs *it) {
  pthread_mutex_init(&it->lock, NULL);
  it->first = NULL;
  it->last = &it->first;
}

bool jobs_add(jobs *it, void (*work)(void *argument), void *argument) {
  job *one = malloc(sizeof *one);
  if (one == NULL) return false;
  *one = (job){NULL, work, argument};
  pthread_mutex_lock(&it->lock);
  *it->last = one;
  it->last = &one->next;
  pthread_mutex_unlock(&it->lock);
  return true;
}

void jobs_do(jobs *it) {
  for (;;) {
    pthread_mutex_lock(&it->lock);
    job *one = it->first;
    if (one != NULL) it->first = one->next;
    if (it->first == NULL) it->last = &it->first;
    pthread_mutex_unlock(&it->lock);
    if (one == NULL) return;
    one->work(one->argument);
    free(one);
  }
}

void jobs_close(jobs *it) { pthread_mutex_destroy(&it->lock); }
