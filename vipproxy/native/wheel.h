/* Idle limits in buckets: what is watched is looked at about once a limit, and traffic itself
 * costs nothing here. Whoever is watched embeds a `struct watched`. The owner's thread alone. */
#ifndef VIPPROXY_WHEEL_H
#define VIPPROXY_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

struct watched {
    struct watched *next, *prev;
    struct wheel *wheel; /* NULL: not watched */
};

struct wheels {
    struct wheel *first; /* one for each limit in use; limits are those of the configuration */
};

/* Begin to watch, as if active at `active`. False without memory. */
bool wheels_watch(struct wheels *wheels, struct watched *watched, int64_t limit, int64_t active,
                  int64_t now);

/* Harmless where it is not watched. */
void wheels_forget(struct watched *watched);

/* The next of those whose bucket has come up by `now`, not watched any more; NULL at the end. */
struct watched *wheels_due(struct wheels *wheels, int64_t now);

/* How long it may take until `wheels_due` is asked again; 0 if nothing is watched. */
int64_t wheels_pause(const struct wheels *wheels);

/* Any that is still watched, not watched any more; NULL at the end. */
struct watched *wheels_take(struct wheels *wheels);

void wheels_free(struct wheels *wheels);

#endif
