/* Examples through base/prefetch.h. What is wrong with a row is found by whoever reads it, and told when its turn comes. */
#include "train/loader.h"

#include "base/clock.h"
#include "base/prefetch.h"

#include <stdlib.h>

enum { USUAL_AHEAD = 32, USUAL_BYTES = 256 << 20 };

/* An example on its way. */
typedef struct item {
    pl_example *example; /* NULL: it could not be read, and `why` says so */
    pali_error why;
    pl_place place;
} item;

struct pl_loader {
    const pl_dataset *dataset;
    pl_loader_options options;
    uint64_t end;      /* UINT64_MAX: never */
    uint64_t position; /* the next place to be taken */
    uint64_t skipped, skipped_in_a_row;
    double waited;
    pl_prefetch *prefetch;
};

static size_t load(void *context, uint64_t i, void *out)
{
    const pl_loader *const loader = context;
    item *const it = out;
    it->place = pl_dataset_place(loader->dataset, i);
    it->example = pl_example_read(loader->dataset, it->place, loader->options.cache, true, &it->why);
    return it->example ? it->example->bytes : 0;
}

static void drop(void *out)
{
    pl_example_free(((item *)out)->example);
}

pl_loader *pl_loader_new(const pl_dataset *dataset, const pl_loader_options *options, pali_error *err)
{
    pl_loader *const loader = pl_new(1, sizeof *loader, "reading of examples", err);
    if (!loader)
        return NULL;
    loader->dataset = dataset;
    loader->options = *options;
    loader->end = options->end ? options->end : UINT64_MAX;
    loader->position = options->first;
    loader->prefetch = pl_prefetch_new(&(pl_prefetch_options){.item_size = sizeof(item), .load = load, .drop = drop, .context = loader, .first = options->first, .end = loader->end,
                                                              .threads = options->workers, .most = options->ahead ? options->ahead : USUAL_AHEAD,
                                                              .bytes = options->bytes ? options->bytes : USUAL_BYTES}, err);
    if (loader->prefetch)
        return loader;
    free(loader);
    return NULL;
}

void pl_loader_free(pl_loader *loader)
{
    if (!loader)
        return;
    pl_prefetch_free(loader->prefetch);
    free(loader);
}

/* A bad row is passed over, unless that is not wanted, or there is nothing but bad rows. */
static pali_status pass_over(pl_loader *loader, const item *it, pali_error *err)
{
    if (it->why.status == PALI_INPUT && loader->options.stop_on_bad)
        return pl_fail(err, PALI_INPUT, "%s (on_bad_row=skip passes it over)", it->why.message);
    if (it->why.status != PALI_INPUT) {
        if (err)
            *err = it->why;
        return it->why.status;
    }
    loader->skipped++;
    if (loader->options.on_bad)
        loader->options.on_bad(loader->options.on_bad_context, it->place, &it->why);
    if (++loader->skipped_in_a_row < pl_dataset_epoch(loader->dataset))
        return PALI_OK;
    return pl_fail(err, PALI_INPUT, "none of %llu rows can be used; the last: %s", (unsigned long long)loader->skipped_in_a_row, it->why.message);
}

pali_status pl_loader_next(pl_loader *loader, pl_example **example, pali_error *err)
{
    *example = NULL;
    pali_status status = PALI_OK;
    const double start = pl_now();
    while (status == PALI_OK && !*example && loader->position < loader->end) {
        item it;
        pl_prefetch_take(loader->prefetch, &it);
        loader->position++;
        if (!it.example) {
            status = pass_over(loader, &it, err);
            continue;
        }
        loader->skipped_in_a_row = 0;
        *example = it.example;
    }
    loader->waited += pl_now() - start;
    return status;
}

uint64_t pl_loader_position(const pl_loader *loader)
{
    return loader->position;
}

uint64_t pl_loader_skipped(const pl_loader *loader)
{
    return loader->skipped;
}

double pl_loader_waited(const pl_loader *loader)
{
    return loader->waited;
}
