/*
 * A ring of places, claimed in order under one lock: whoever claims a place
 * begins its item there and then (cheap, and items can be compared with the
 * one before), lets go of the lock, loads, and marks the place ready.
 */
#include "base/prefetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct pl_prefetch {
    pl_prefetch_options options;
    unsigned char *items;  /* [most, item_size], owned: item i is at i % most */
    size_t *bytes;         /* [most], owned: that the item there holds */
    bool *ready;           /* [most], owned */
    uint64_t next, taken;  /* the item to be begun, the item to be taken */
    size_t waiting;        /* bytes of items that are ready */
    bool ended;
    pthread_t *threads;    /* [thread_count], owned */
    size_t thread_count;
    pthread_mutex_t lock;
    pthread_cond_t room, filled;
};

/* Claims the next place and fills it; holds the lock before and after, but not while it loads. */
static void fill_next(pl_prefetch *prefetch)
{
    const pl_prefetch_options *const o = &prefetch->options;
    const uint64_t i = prefetch->next++;
    const size_t place = (size_t)(i % o->most);
    void *const item = prefetch->items + place * o->item_size;
    if (!o->begin || o->begin(o->context, i, item)) {
        pthread_mutex_unlock(&prefetch->lock);
        const size_t bytes = o->load(o->context, i, item);
        pthread_mutex_lock(&prefetch->lock);
        prefetch->bytes[place] = bytes;
    }
    prefetch->waiting += prefetch->bytes[place];
    prefetch->ready[place] = true;
    pthread_cond_broadcast(&prefetch->filled);
}

/* The item that is waited for is always let in, so that nothing can stand still. */
static bool may_begin(const pl_prefetch *prefetch)
{
    return prefetch->next == prefetch->taken || (prefetch->next - prefetch->taken < prefetch->options.most && prefetch->waiting < prefetch->options.bytes);
}

static void *work(void *context)
{
    pl_prefetch *const prefetch = context;
    pthread_mutex_lock(&prefetch->lock);
    while (!prefetch->ended && prefetch->next < prefetch->options.end) {
        if (may_begin(prefetch))
            fill_next(prefetch);
        else
            pthread_cond_wait(&prefetch->room, &prefetch->lock);
    }
    pthread_mutex_unlock(&prefetch->lock);
    return NULL;
}

static void free_blocks(pl_prefetch *prefetch)
{
    free(prefetch->items);
    free(prefetch->bytes);
    free(prefetch->ready);
    free(prefetch->threads);
    free(prefetch);
}

pl_prefetch *pl_prefetch_new(const pl_prefetch_options *options, pali_error *err)
{
    pl_prefetch *const prefetch = pl_new(1, sizeof *prefetch, "items ahead", err);
    if (!prefetch)
        return NULL;
    prefetch->options = *options;
    const size_t most = prefetch->options.most = pl_max(options->most, 1);
    prefetch->next = prefetch->taken = options->first;
    prefetch->items = pl_new(most, options->item_size, "items ahead", err);
    prefetch->bytes = pl_new(most, sizeof *prefetch->bytes, "items ahead", err);
    prefetch->ready = pl_new(most, sizeof *prefetch->ready, "items ahead", err);
    prefetch->threads = pl_new(options->threads, sizeof *prefetch->threads, "items ahead", err);
    if (!prefetch->items || !prefetch->bytes || !prefetch->ready || !prefetch->threads) {
        free_blocks(prefetch);
        return NULL;
    }
    pthread_mutex_init(&prefetch->lock, NULL);
    pthread_cond_init(&prefetch->room, NULL);
    pthread_cond_init(&prefetch->filled, NULL);
    while (prefetch->thread_count < options->threads && pthread_create(&prefetch->threads[prefetch->thread_count], NULL, work, prefetch) == 0)
        prefetch->thread_count++;
    return prefetch;
}

void pl_prefetch_take(pl_prefetch *prefetch, void *item)
{
    const pl_prefetch_options *const o = &prefetch->options;
    pthread_mutex_lock(&prefetch->lock);
    const size_t place = (size_t)(prefetch->taken % o->most);
    while (!prefetch->ready[place]) {
        if (prefetch->thread_count == 0)
            fill_next(prefetch);
        else
            pthread_cond_wait(&prefetch->filled, &prefetch->lock);
    }
    memcpy(item, prefetch->items + place * o->item_size, o->item_size);
    memset(prefetch->items + place * o->item_size, 0, o->item_size);
    prefetch->waiting -= prefetch->bytes[place];
    prefetch->bytes[place] = 0;
    prefetch->ready[place] = false;
    prefetch->taken++;
    pthread_cond_broadcast(&prefetch->room);
    pthread_mutex_unlock(&prefetch->lock);
}

void pl_prefetch_free(pl_prefetch *prefetch)
{
    if (!prefetch)
        return;
    pthread_mutex_lock(&prefetch->lock);
    prefetch->ended = true;
    pthread_cond_broadcast(&prefetch->room);
    pthread_mutex_unlock(&prefetch->lock);
    for (size_t i = 0; i < prefetch->thread_count; i++)
        pthread_join(prefetch->threads[i], NULL);
    for (size_t i = 0; i < prefetch->options.most; i++)
        prefetch->options.drop(prefetch->items + i * prefetch->options.item_size);
    pthread_mutex_destroy(&prefetch->lock);
    pthread_cond_destroy(&prefetch->room);
    pthread_cond_destroy(&prefetch->filled);
    free_blocks(prefetch);
}
