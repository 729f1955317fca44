/* Asks a store one question after another, as a proxy's thread does: a socket that does not block, and poll. Prints the median of
 * the round trips in microseconds.
 *
 *   round_trip SOCKET FILE SIZE     FILE: of each question its size as u32, little-endian, and its bytes; SIZE: of each answer
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

int main(int count, char **given) {
  enum { MOST = 1 << 20, PATIENCE_MS = 10000 };
  static double took[MOST];
  static char question[1 << 16], answer[1 << 10];
  if (count != 4) return 2;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", given[1]);
  FILE *const questions = fopen(given[2], "rb");
  const size_t wanted = strtoul(given[3], NULL, 10);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (questions == NULL || fd < 0 || wanted > sizeof answer || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    perror("round_trip");
    return 1;
  }
  size_t trips = 0;
  uint32_t size;
  while (trips < MOST && fread(&size, sizeof size, 1, questions) == 1) {
    if (size > sizeof question || fread(question, 1, size, questions) != size) return 1;
    const double began = now_us();
    if (send(fd, question, size, MSG_NOSIGNAL) != (ssize_t)size) return 1;
    for (size_t taken = 0; taken < wanted;) {
      struct pollfd watched = {.fd = fd, .events = POLLIN};
      if (poll(&watched, 1, PATIENCE_MS) <= 0) return 1;
      const ssize_t got = read(fd, answer + taken, wanted - taken);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return 1;
      if (got > 0) taken += (size_t)got;
    }
    took[trips++] = now_us() - began;
  }
  if (trips == 0) return 1;
  qsort(took, trips, sizeof *took, compare);
  printf("%.3f\n", took[trips / 2]);
  return 0;
}
