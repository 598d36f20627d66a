#include "wheel.h"

#include <stdlib.h>

enum {
    PER_LIMIT = 64,         /* expiry is late by up to two 64ths of the limit */
    BUCKETS = PER_LIMIT + 4 /* a ring that no limit reaches around */
};

struct wheel {
    struct wheel *next;
    int64_t limit, width;
    int64_t turned; /* the number of the last bucket that has come up */
    uint64_t members;
    struct watched due;              /* heads of rings */
    struct watched buckets[BUCKETS];
};

static void clear(struct watched *head)
{
    head->next = head->prev = head;
}

static struct wheel *wheel_new(int64_t limit)
{
    struct wheel *wheel = calloc(1, sizeof *wheel);
    if (wheel == NULL)
        return NULL;
    wheel->limit = limit;
    wheel->width = limit / PER_LIMIT > 0 ? limit / PER_LIMIT : 1;
    clear(&wheel->due);
    for (int i = 0; i < BUCKETS; i++)
        clear(&wheel->buckets[i]);
    return wheel;
}

static struct wheel *wheel_of(struct wheels *wheels, int64_t limit)
{
    struct wheel **place = &wheels->first;
    while (*place != NULL && (*place)->limit != limit)
        place = &(*place)->next;
    if (*place == NULL)
        *place = wheel_new(limit);
    return *place;
}

/* One width more than the limit: times of activity are as old as the last tick. */
bool wheels_watch(struct wheels *wheels, struct watched *watched, int64_t limit, int64_t active,
                  int64_t now)
{
    struct wheel *wheel = wheel_of(wheels, limit);
    if (wheel == NULL)
        return false;
    if (wheel->members++ == 0)
        wheel->turned = now / wheel->width;
    int64_t number = (active + limit) / wheel->width + 2;
    if (number <= wheel->turned)
        number = wheel->turned + 1;
    struct watched *head = &wheel->buckets[number % BUCKETS];
    *watched = (struct watched){.next = head, .prev = head->prev, .wheel = wheel};
    head->prev->next = watched;
    head->prev = watched;
    return true;
}

void wheels_forget(struct watched *watched)
{
    if (watched->wheel == NULL)
        return;
    watched->wheel->members--;
    watched->next->prev = watched->prev;
    watched->prev->next = watched->next;
    *watched = (struct watched){0};
}

static struct watched *first_of(struct watched *head)
{
    struct watched *found = head->next;
    if (found == head)
        return NULL;
    wheels_forget(found);
    return found;
}

/* All of a bucket at once: who is watched again meanwhile may come into the same bucket. */
static void move_to_due(struct wheel *wheel, struct watched *bucket)
{
    struct watched *head = &wheel->due;
    if (bucket->next == bucket)
        return;
    bucket->next->prev = head->prev;
    head->prev->next = bucket->next;
    bucket->prev->next = head;
    head->prev = bucket->prev;
    clear(bucket);
}

static void turn(struct wheel *wheel, int64_t until)
{
    if (until - wheel->turned > BUCKETS) /* the owner has slept: once around is all of it */
        wheel->turned = until - BUCKETS;
    while (wheel->turned < until)
        move_to_due(wheel, &wheel->buckets[++wheel->turned % BUCKETS]);
}

static struct watched *due_of(struct wheel *wheel, int64_t now)
{
    if (wheel->members == 0)
        return NULL;
    turn(wheel, now / wheel->width);
    return first_of(&wheel->due);
}

struct watched *wheels_due(struct wheels *wheels, int64_t now)
{
    for (struct wheel *wheel = wheels->first; wheel != NULL; wheel = wheel->next) {
        struct watched *found = due_of(wheel, now);
        if (found != NULL)
            return found;
    }
    return NULL;
}

int64_t wheels_pause(const struct wheels *wheels)
{
    int64_t pause = 0;
    for (const struct wheel *wheel = wheels->first; wheel != NULL; wheel = wheel->next)
        if (wheel->members > 0 && (pause == 0 || wheel->width < pause))
            pause = wheel->width;
    return pause;
}

struct watched *wheels_take(struct wheels *wheels)
{
    for (struct wheel *wheel = wheels->first; wheel != NULL; wheel = wheel->next) {
        if (wheel->members == 0)
            continue;
        turn(wheel, wheel->turned + BUCKETS);
        return first_of(&wheel->due);
    }
    return NULL;
}

void wheels_free(struct wheels *wheels)
{
    while (wheels->first != NULL) {
        struct wheel *wheel = wheels->first;
        wheels->first = wheel->next;
        free(wheel);
    }
}
