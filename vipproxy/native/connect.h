/* A connect that begins: the socket, its options, and the call that does not wait. No Python here. */
#ifndef VIPPROXY_CONNECT_H
#define VIPPROXY_CONNECT_H

#include <stddef.h>
#include <sys/socket.h>

/* Where to connect, and the socket options to set before. */
struct plan {
    struct sockaddr_storage address;
    socklen_t size;
    size_t count;
    struct option {
        int level, name, value;
    } options[];
};

/* A non-blocking socket, without delay, whose connect has begun; -1 with errno set. */
int plan_begin(const struct plan *plan);

/* Why a connect of which epoll has told these events has failed: an errno, or 0 if it has not. */
int connect_error(int fd, unsigned events);

#endif
