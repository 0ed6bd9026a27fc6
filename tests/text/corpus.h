/*
 * The strings and id sequences of make_corpus.py, generated again step by step,
 * and the hashes that the sentencepiece library's results were reduced to.
 */
#ifndef TESTS_TEXT_CORPUS_H
#define TESTS_TEXT_CORPUS_H

#include "base/text.h"
#include "text/tokenizer.h"

typedef struct corpus {
    const pl_tokenizer *pieces; /* whose pieces the strings are made of: the .model's */
    uint64_t seed, state;
    size_t strings, sequences;
    uint32_t *hashes; /* [strings + sequences] */
    char *fragments;
    const char **fragment; /* [fragment_count], each ends at a newline */
    size_t fragment_count;
} corpus;

/* Reads tests/data/text/corpus.hash and fragments.txt; fails the test when they are absent. */
void corpus_open(corpus *c, const pl_tokenizer *pieces);
void corpus_close(corpus *c);

void corpus_string(corpus *c, size_t stream, pl_buffer *text);
void corpus_sequence(corpus *c, size_t stream, pl_ids *ids);

uint64_t corpus_next(corpus *c);
uint32_t corpus_fold(const void *bytes, size_t size);

#endif
