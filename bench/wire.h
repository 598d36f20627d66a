/* What origin.c and load.c agree upon.
 *
 * A message begins with this head, in host order (nothing leaves the machine): how long it is,
 * head included, and how many bytes shall be sent back. MySQL's servers speak first: they greet,
 * are answered with a login, and confirm that.
 */
#ifndef WIRE_H
#define WIRE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct message {
    uint32_t length;
    uint32_t reply;
};

enum { GREETING = 95, LOGIN = 190, LOGIN_OK = 11, ACK = 21 };

/* The one argument is what was tried; errno says why it failed. */
static inline void give_up(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
