/*
 * A ring of places, claimed in order under one lock: whoever claims a place
 * reads the row there and then (cheap, and rows can be compared with the one
 * before), lets go of the lock, decodes, and marks the place ready.
 */
#include "batch/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct place {
    pl_loaded loaded;
    bool ready;
} place;

struct pl_ahead {
    pl_ahead_options options;
    place *places;       /* [options.rows], owned: row i is at i % options.rows */
    size_t next, taken;  /* the row to be claimed, the row to be taken */
    size_t waiting;      /* bytes of pixels in places */
    pl_row last;         /* what the last readable row shows: its paths only, owned */
    bool ended;
    pthread_t *threads;  /* [thread_count], owned */
    size_t thread_count;
    pthread_mutex_t lock;
    pthread_cond_t room, ready;
};

void pl_loaded_free(pl_loaded *loaded)
{
    for (size_t i = 0; loaded->images && i < loaded->image_count; i++)
        pali_image_free(loaded->images[i]);
    free(loaded->images);
    loaded->images = NULL;
    pl_row_free(&loaded->row);
}

static pali_status decode(pl_loaded *loaded, pali_error *err)
{
    const pl_row *const row = &loaded->row;
    loaded->image_count = pl_row_image_count(row);
    loaded->images = pl_new(loaded->image_count, sizeof *loaded->images, "images of a row", err);
    if (!loaded->images)
        return PALI_MEMORY;
    if (row->frames)
        return pali_image_open_clip((const char *const *)row->paths, row->path_count, row->frames, row->stride, loaded->images, err);
    for (size_t i = 0; i < loaded->image_count; i++) {
        loaded->images[i] = pali_image_open(row->paths[i], err);
        if (!loaded->images[i])
            return pl_status_of(err, PALI_INPUT);
    }
    return PALI_OK;
}

static void load(pl_loaded *loaded)
{
    loaded->status = decode(loaded, &loaded->why);
    for (size_t i = 0; i < loaded->image_count; i++) {
        pali_image *const image = loaded->images ? loaded->images[i] : NULL;
        if (image && loaded->status == PALI_OK)
            loaded->bytes += 3 * pali_image_width(image) * pali_image_height(image);
        else if (image)
            pali_image_free(image);
    }
    if (loaded->status == PALI_OK)
        return;
    free(loaded->images);
    loaded->images = NULL;
    loaded->image_count = 0;
}

/* Keeps the paths of a row to compare the next with. */
static pali_status remember(pl_ahead *ahead, const pl_row *row, pali_error *err)
{
    pl_row_free(&ahead->last);
    ahead->last = (pl_row){.frames = row->frames, .stride = row->stride, .paths = pl_new(row->path_count, sizeof *row->paths, "images of a row", err)};
    for (size_t i = 0; ahead->last.paths && i < row->path_count; i++) {
        ahead->last.paths[i] = pl_strdup(row->paths[i], err);
        if (!ahead->last.paths[i])
            break;
        ahead->last.path_count++;
    }
    return ahead->last.path_count == row->path_count ? PALI_OK : PALI_MEMORY;
}

/* Claims the next place and fills it; holds the lock before and after, but not while it decodes. */
static void load_next(pl_ahead *ahead)
{
    const size_t i = ahead->next++;
    place *const p = &ahead->places[i % ahead->options.rows];
    pl_loaded *const loaded = &p->loaded;
    loaded->status = ahead->options.read(ahead->options.context, i, &loaded->row, &loaded->why);
    loaded->readable = loaded->status == PALI_OK;
    loaded->same = loaded->readable && ahead->last.paths && pl_row_same_images(&loaded->row, &ahead->last);
    if (loaded->readable && !loaded->same && remember(ahead, &loaded->row, NULL) != PALI_OK)
        pl_row_free(&ahead->last); /* then the next one is decoded, whatever it shows */
    if (loaded->readable && !loaded->same) {
        pthread_mutex_unlock(&ahead->lock);
        load(loaded);
        pthread_mutex_lock(&ahead->lock);
    }
    ahead->waiting += loaded->bytes;
    p->ready = true;
    pthread_cond_broadcast(&ahead->ready);
}

/* The row that is waited for is always let in, so that nothing can stand still. */
static bool may_claim(const pl_ahead *ahead)
{
    return ahead->next == ahead->taken || (ahead->next - ahead->taken < ahead->options.rows && ahead->waiting < ahead->options.bytes);
}

static void *work(void *context)
{
    pl_ahead *const ahead = context;
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->ended && ahead->next < ahead->options.count) {
        if (may_claim(ahead))
            load_next(ahead);
        else
            pthread_cond_wait(&ahead->room, &ahead->lock);
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

pl_ahead *pl_ahead_new(const pl_ahead_options *options, pali_error *err)
{
    pl_ahead *const ahead = pl_new(1, sizeof *ahead, "rows", err);
    if (!ahead)
        return NULL;
    ahead->options = *options;
    ahead->options.rows = pl_max(options->rows, 1);
    ahead->next = ahead->taken = options->first;
    ahead->places = pl_new(ahead->options.rows, sizeof *ahead->places, "rows", err);
    ahead->threads = pl_new(options->threads, sizeof *ahead->threads, "rows", err);
    if (!ahead->places || !ahead->threads) {
        free(ahead->places);
        free(ahead->threads);
        free(ahead);
        return NULL;
    }
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->room, NULL);
    pthread_cond_init(&ahead->ready, NULL);
    while (ahead->thread_count < options->threads && pthread_create(&ahead->threads[ahead->thread_count], NULL, work, ahead) == 0)
        ahead->thread_count++;
    return ahead;
}

void pl_ahead_take(pl_ahead *ahead, pl_loaded *loaded)
{
    pthread_mutex_lock(&ahead->lock);
    place *const p = &ahead->places[ahead->taken % ahead->options.rows];
    while (!p->ready) {
        if (ahead->thread_count == 0)
            load_next(ahead);
        else
            pthread_cond_wait(&ahead->ready, &ahead->lock);
    }
    *loaded = p->loaded;
    *p = (place){0};
    ahead->waiting -= loaded->bytes;
    ahead->taken++;
    pthread_cond_broadcast(&ahead->room);
    pthread_mutex_unlock(&ahead->lock);
}

void pl_ahead_free(pl_ahead *ahead)
{
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->lock);
    ahead->ended = true;
    pthread_cond_broadcast(&ahead->room);
    pthread_mutex_unlock(&ahead->lock);
    for (size_t i = 0; i < ahead->thread_count; i++)
        pthread_join(ahead->threads[i], NULL);
    for (size_t i = 0; i < ahead->options.rows; i++)
        pl_loaded_free(&ahead->places[i].loaded);
    pl_row_free(&ahead->last);
    pthread_mutex_destroy(&ahead->lock);
    pthread_cond_destroy(&ahead->room);
    pthread_cond_destroy(&ahead->ready);
    free(ahead->places);
    free(ahead->threads);
    free(ahead);
}
