/* Asks a store for one key again and again, one question at a time, as a proxy's thread does: a socket that does not block, and
 * poll. Prints the median of the round trips in microseconds.
 *
 *   round_trip SOCKET COUNT
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
  static const char question[] = "*2\r\n$3\r\nGET\r\n$9\r\nroundtrip\r\n", answer[] = "$-1\r\n";
  if (count != 3) return 2;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", given[1]);
  const size_t trips = strtoul(given[2], NULL, 10);
  double *took = malloc(trips * sizeof *took);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (took == NULL || trips == 0 || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    perror("round_trip");
    return 1;
  }
  for (size_t i = 0; i < trips; i++) {
    char buffer[64];
    size_t size = 0;
    const double began = now_us();
    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof question - 1)) return 1;
    while (size < sizeof answer - 1) {
      struct pollfd watched = {.fd = fd, .events = POLLIN};
      poll(&watched, 1, -1);
      const ssize_t got = read(fd, buffer + size, sizeof buffer - size);
      if (got <= 0 && errno != EAGAIN) return 1;
      if (got > 0) size += (size_t)got;
    }
    took[i] = now_us() - began;
    if (size != sizeof answer - 1 || memcmp(buffer, answer, size) != 0) return 1;
  }
  qsort(took, trips, sizeof *took, compare);
  printf("%.3f\n", took[trips / 2]);
  return 0;
}
