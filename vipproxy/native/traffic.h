/* Bytes of a session, written by whoever moves them and readable at any time. */
#ifndef VIPPROXY_TRAFFIC_H
#define VIPPROXY_TRAFFIC_H

#include <stdatomic.h>
#include <stdint.h>

struct traffic {
    _Atomic uint64_t in;  /* from the client to the server */
    _Atomic uint64_t out; /* from the server to the client */
};

/* One thread at a time writes, so a sum needs no locked instruction. */
static inline void traffic_add(_Atomic uint64_t *counter, uint64_t size)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + size, memory_order_relaxed);
}

#endif
