/* A tree of first children and next siblings; the first byte goes through a table. */
#include "text/matcher.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static pali_status new_node(pl_matcher *m, unsigned char byte, uint32_t *at, pali_error *err)
{
    const pali_status status = pl_grow(&m->nodes, &m->capacity, m->count + 1, sizeof *m->nodes, "piece tree", err);
    if (status != PALI_OK)
        return status;
    m->nodes[m->count] = (pl_matcher_node){.byte = byte, .id = -1};
    *at = (uint32_t)m->count++;
    return PALI_OK;
}

/* The child of `parent` (0: of the root) for this byte, made if absent. */
static pali_status child_of(pl_matcher *m, uint32_t parent, unsigned char byte, uint32_t *child, pali_error *err)
{
    *child = parent ? m->nodes[parent].child : m->roots[byte];
    while (*child && m->nodes[*child].byte != byte)
        *child = m->nodes[*child].sibling;
    if (*child)
        return PALI_OK;
    const pali_status status = new_node(m, byte, child, err);
    if (status != PALI_OK)
        return status;
    uint32_t *first = parent ? &m->nodes[parent].child : &m->roots[byte];
    m->nodes[*child].sibling = *first;
    *first = *child;
    return PALI_OK;
}

static pali_status insert(pl_matcher *m, const pl_buffer *piece, int32_t id, bool control, pali_error *err)
{
    uint32_t node = 0;
    for (size_t i = 0; i < piece->length; i++) {
        const pali_status status = child_of(m, node, (unsigned char)piece->data[i], &node, err);
        if (status != PALI_OK)
            return status;
    }
    m->nodes[node].id = id;
    m->nodes[node].control = control;
    return PALI_OK;
}

static pali_status insert_piece(pl_matcher *m, const pl_vocabulary *v, int32_t id, pl_buffer *scratch, pali_error *err)
{
    size_t length;
    const char *text = pl_vocabulary_piece(v, id, &length);
    pali_status status = PALI_OK;
    scratch->length = 0;
    for (size_t i = 0; i < length && status == PALI_OK; i++)
        status = text[i] == ' ' ? pl_buffer_append(scratch, "\xe2\x96\x81", 3, err)
                                : pl_buffer_append(scratch, text + i, 1, err);
    return status == PALI_OK ? insert(m, scratch, id, v->types[id] == PL_PIECE_CONTROL, err) : status;
}

pali_status pl_matcher_init(pl_matcher *m, const pl_vocabulary *v, pali_error *err)
{
    *m = (pl_matcher){0};
    uint32_t unused;
    pl_buffer scratch = {0};
    pali_status status = new_node(m, 0, &unused, err);
    for (size_t id = 0; id < v->count && status == PALI_OK; id++)
        if (v->types[id] == PL_PIECE_USER_DEFINED || v->types[id] == PL_PIECE_CONTROL)
            status = insert_piece(m, v, (int32_t)id, &scratch, err);
    free(scratch.data);
    if (status != PALI_OK)
        pl_matcher_free(m);
    return status;
}

void pl_matcher_free(pl_matcher *m)
{
    free(m->nodes);
    *m = (pl_matcher){0};
}

int32_t pl_matcher_find(const pl_matcher *m, const char *text, size_t length, bool control, size_t *size)
{
    int32_t best = -1;
    uint32_t node = length ? m->roots[(unsigned char)text[0]] : 0;
    for (size_t at = 0; node;) {
        const pl_matcher_node *const n = &m->nodes[node];
        at++;
        if (n->id >= 0 && (control || !n->control)) {
            best = n->id;
            *size = at;
        }
        if (at == length)
            break;
        node = n->child;
        while (node && m->nodes[node].byte != (unsigned char)text[at])
            node = m->nodes[node].sibling;
    }
    return best;
}
