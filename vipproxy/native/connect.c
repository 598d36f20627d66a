/* A connect, from its plan to its outcome. See connect.h. */
#define _GNU_SOURCE
#include "connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

int plan_begin(const struct plan *plan)
{
    int on = 1;
    int fd = socket(plan->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    bool prepared = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
    for (size_t i = 0; prepared && i < plan->count; i++) {
        const struct option *each = &plan->options[i];
        prepared = setsockopt(fd, each->level, each->name, &each->value, sizeof each->value) == 0;
    }
    if (prepared && (connect(fd, (const struct sockaddr *)&plan->address, plan->size) == 0 ||
                     errno == EINPROGRESS))
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

int connect_error(int fd, unsigned events)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (!(events & (EPOLLERR | EPOLLHUP)))
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return errno;
    return error != 0 ? error : ECONNREFUSED;
}
