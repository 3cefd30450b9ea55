/* The best tracks of a catalogue for playlists, in passes over its 8-bit vectors that all who ask at once share.
 *
 * ONNX Runtime goes through rows of the catalogue's length once for each of its operators: product, prior, neighbours,
 * exclusion, top-k. Here a tile of tracks stays in the first cache from its products to its place among the best, and
 * all playlists under way are scored against it there, so that memory is read once for all of them. A pass goes round
 * and round, chunk by chunk: a playlist joins at the next chunk, whenever it comes, and is done one round later. The
 * threads are those of who asks.
 *
 * Products are of integers and sums of floats stand in a fixed order (-std=c11 lets no compiler fuse them), so that
 * every CPU gives the same bits, whoever else asks.
 *
 * inference/scan.py is its door, and checks what it is given.
 */
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TILE 64         /* tracks; 64 of 256 bytes are half of a first cache */
#define CHUNK 4096      /* tracks that a thread takes at a time, a whole number of tiles */
#define MOST 32         /* playlists under way; more wait */
#define LONGEST 1024    /* numbers of a vector */
#define ZERO_POINT 128  /* of the table's unsigned bytes */

#ifdef __x86_64__
#include <immintrin.h>
#endif
#if defined(__x86_64__) && defined(__GLIBC__)
#define FOR_EVERY_CPU __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EVERY_CPU
#endif

/* What a bundle knows of its tracks: inference/scan.py describes each array, and fills this in. */
struct catalogue {
    const uint8_t *vectors; /* (tracks, length), ZERO_POINT added */
    const float *scale, *popularity, *bias; /* (tracks) */
    const int32_t *row, *title_row; /* (listed) tracks, the last one's for all that follow; (titles) n-grams of titles */
    const int32_t *neighbours; /* (rows, kept) */
    const int8_t *said; /* (rows, kept), falling */
    const float *said_scale; /* (rows) */
    struct kin { /* tracks of an artist, and of an album */
        const int32_t *of, *first, *tracks; /* (tracks), below 0 where unknown; (groups + 1); rising by group */
        int64_t groups;
    } artists, albums;
    int64_t tracks, length, listed, titles, kept, leaders;
};

/* A playlist, and where its list goes: inference/scan.py fills this in, too. */
struct playlist {
    const float *vector; /* (length) */
    const int64_t *heard, *own; /* speakers whose neighbours gain: tracks, then n-grams; tracks left out; -1 is none */
    const float *loudness, *artist_loudness, *album_loudness; /* (heard) how much each counts, for its neighbours and kin */
    int64_t *best; /* (k), as best_scores: a heap while it is under way, then falling, equal scores by id */
    float *best_scores;
    int64_t heard_count, own_count, k, found; /* the last is written: how many there are, at most k */
    float popularity, neighbours, titles, artists, albums; /* how much each counts */
};

/* A playlist under way. */
struct query {
    struct playlist *playlist;
    int64_t *ids, *spare_ids, *without; /* tracks whose scores gain, room to sort them, tracks that are left out */
    float *gains, *spare_gains;
    int64_t voted, without_count, room; /* the last: entries that ids, gains and what they are sorted in have room for */
    float unit;
    int32_t shift;                /* what the zero point adds to each product */
    pthread_mutex_t lock;         /* of the heap */
    _Atomic float bar;            /* what a score has to reach to get into it */
    int64_t not_taken, not_done;  /* chunks, since it came */
    int8_t rounded[LONGEST];
};

/* Products of rows, at most a tile of them, with a vector. */
typedef void multiply(const uint8_t *rows, int64_t count, int64_t length, const int8_t *vector, int32_t *out);

/* How a CPU multiplies best: rows that come from memory for one query, and rows that stay in its cache for many. */
struct way {
    multiply *alone, *together;
};

/* A catalogue that is gone through, and who is under way. */
struct pass {
    struct catalogue catalogue;
    struct way way;
    pthread_mutex_t lock;     /* of all below, and of a query's chunks */
    pthread_cond_t changed;   /* a query is done, or a place is free */
    struct query *queries[MOST];
    int64_t count, chunk;     /* of queries, and the next to be taken */
    int64_t working, threads; /* now, and at most */
};

/* Round a vector to 8 bits as MatMulNBits does; return its unit. */
static float quantise(const float *vector, int64_t length, int8_t *rounded) {
    float largest = 0;
    for (int64_t i = 0; i < length; i++)
        if (fabsf(vector[i]) > largest) largest = fabsf(vector[i]);
    float unit = largest / 127, inverse = unit > 0 ? 1 / unit : 0;
    for (int64_t i = 0; i < length; i++) rounded[i] = (int8_t)rintf(vector[i] * inverse);
    return unit;
}

#define INLINE static inline __attribute__((always_inline))
#define MULTIPLY(name)                                                                           \
    void name(const uint8_t *restrict rows, int64_t count, int64_t length, const int8_t *restrict vector, \
              int32_t *restrict out)

/* Row after row, as memory likes it best. */
INLINE MULTIPLY(in_turn) {
    for (int64_t i = 0; i < count; i++) {
        int32_t sum = 0;
        for (int64_t j = 0; j < length; j++) sum += rows[i * length + j] * vector[j];
        out[i] = sum;
    }
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))
#define VNNI __attribute__((target("avx512bw,avx512vl,avx512vnni,prefer-vector-width=512")))

/* The sum of each of four vectors of integers. */
AVX2 INLINE __m128i folded(__m256i first, __m256i second, __m256i third, __m256i fourth) {
    __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(first, second), _mm256_hadd_epi32(third, fourth));
    return _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

/* Four rows at a time, which share the reading of the vector and the folding of their sums. */
AVX2 INLINE MULTIPLY(in_fours_by_avx2) {
    for (; count >= 4; count -= 4, rows += 4 * length, out += 4) {
        __m256i sums[4] = {0};
        for (int64_t j = 0; j < length; j += 16) {
            __m256i part = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(vector + j)));
            for (int i = 0; i < 4; i++) {
                __m256i row = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(rows + i * length + j)));
                sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(row, part));
            }
        }
        _mm_storeu_si128((__m128i *)out, folded(sums[0], sums[1], sums[2], sums[3]));
    }
    in_turn(rows, count, length, vector, out);
}

VNNI INLINE MULTIPLY(in_fours_by_vnni) {
    for (; count >= 4; count -= 4, rows += 4 * length, out += 4) {
        __m512i sums[4] = {0};
        for (int64_t j = 0; j < length; j += 64) {
            __m512i part = _mm512_loadu_si512(vector + j);
            for (int i = 0; i < 4; i++)
                sums[i] = _mm512_dpbusd_epi32(sums[i], _mm512_loadu_si512(rows + i * length + j), part);
        }
        __m256i halves[4];
        for (int i = 0; i < 4; i++)
            halves[i] = _mm256_add_epi32(_mm512_castsi512_si256(sums[i]), _mm512_extracti64x4_epi64(sums[i], 1));
        _mm_storeu_si128((__m128i *)out, folded(halves[0], halves[1], halves[2], halves[3]));
    }
    in_turn(rows, count, length, vector, out);
}
#endif

/* A length that the compiler knows lets it keep the vector in registers. */
#define FOR_LENGTHS(name, how)                       \
    MULTIPLY(name) {                                 \
        if (length == 128)                           \
            how(rows, count, 128, vector, out);      \
        else if (length == 256)                      \
            how(rows, count, 256, vector, out);      \
        else                                         \
            how(rows, count, length, vector, out);   \
    }
static FOR_LENGTHS(by_any_cpu, in_turn)
#ifdef __x86_64__
AVX2 static FOR_LENGTHS(by_avx2, in_fours_by_avx2)
VNNI static FOR_LENGTHS(by_vnni_alone, in_turn) /* the compiler makes VNNI's instructions of it */
VNNI static FOR_LENGTHS(by_vnni, in_fours_by_vnni)
#endif

/* The ways to multiply that this CPU knows for vectors of a length, the best one last. Return how many there are. */
static int64_t known_ways(int64_t length, struct way *ways) {
    int64_t count = 0;
    ways[count++] = (struct way){by_any_cpu, by_any_cpu};
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && length % 16 == 0) ways[count++] = (struct way){by_avx2, by_avx2};
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni") && length % 64 == 0)
        ways[count++] = (struct way){by_vnni_alone, by_vnni};
#endif
    return count;
}

/* Turn products of `count` tracks, from `start` on, into scores. Return whether any reaches the bar. */
FOR_EVERY_CPU static int score(
    const struct catalogue *catalogue, const struct query *query, int64_t start, int64_t count, float bar,
    const int32_t *restrict products, float *restrict scores) {
    const float *restrict scale = catalogue->scale + start, *restrict popularity = catalogue->popularity + start;
    const float *restrict bias = catalogue->bias + start;
    float unit = query->unit, weight = query->playlist->popularity;
    int32_t shift = query->shift;
    int reaches = 0;
    for (int64_t i = 0; i < count; i++) {
        scores[i] = (float)(products[i] - shift) * (unit * scale[i]) + (weight * popularity[i] + bias[i]);
        reaches |= scores[i] >= bar;
    }
    return reaches;
}

/* Whether one entry of a list stands behind another: it scores less, or as much under a greater id. */
static inline int behind(const float *scores, const int64_t *ids, int64_t one, int64_t other) {
    return scores[one] < scores[other] || (scores[one] == scores[other] && ids[one] > ids[other]);
}

static inline void swap(float *scores, int64_t *ids, int64_t one, int64_t other) {
    float value = scores[one];
    int64_t id = ids[one];
    scores[one] = scores[other], ids[one] = ids[other];
    scores[other] = value, ids[other] = id;
}

/* Let an entry of a heap, whose root is the last of the list, sink to its place among `size`. */
static void sink(float *scores, int64_t *ids, int64_t place, int64_t size) {
    for (int64_t child; (child = 2 * place + 1) < size; place = child) {
        if (child + 1 < size && behind(scores, ids, child + 1, child)) child++;
        if (!behind(scores, ids, child, place)) return;
        swap(scores, ids, place, child);
    }
}

static void rise(float *scores, int64_t *ids, int64_t place) {
    for (int64_t parent; place && behind(scores, ids, place, parent = (place - 1) / 2); place = parent)
        swap(scores, ids, place, parent);
}

/* Sort `count` ids, with their values, by id, 11 bits at a time; equal ones keep their order. */
static void sort(int64_t *ids, float *values, int64_t *spare_ids, float *spare_values, int64_t count) {
    for (int shift = 0; shift < 32; shift += 11) {
        int64_t place[2049] = {0};
        for (int64_t i = 0; i < count; i++) place[(ids[i] >> shift & 2047) + 1]++;
        if (place[1] == count) continue; /* this digit sorts nothing */
        for (int digit = 0; digit < 2047; digit++) place[digit + 1] += place[digit];
        for (int64_t i = 0; i < count; i++) {
            int64_t to = place[ids[i] >> shift & 2047]++;
            spare_ids[to] = ids[i], spare_values[to] = values[i];
        }
        memcpy(ids, spare_ids, count * sizeof *ids);
        memcpy(values, spare_values, count * sizeof *values);
    }
}

/* Sum the gains of equal ids, which stand together. Return how many are left. */
static int64_t summed(int64_t *ids, float *gains, int64_t count) {
    int64_t distinct = 0;
    for (int64_t i = 0; i < count; i++) {
        if (distinct && ids[distinct - 1] == ids[i])
            gains[distinct - 1] += gains[i];
        else
            ids[distinct] = ids[i], gains[distinct++] = gains[i];
    }
    return distinct;
}

/* Make room for so many ids and gains, and to sort them, keeping those that are there. Return 0 where there is none. */
static int room(struct query *query, int64_t size) {
    if (query->spare_gains && size <= query->room) return 1;
    int64_t *ids = realloc(query->ids, size * sizeof *ids + 1);
    if (ids) query->ids = ids;
    float *gains = realloc(query->gains, size * sizeof *gains + 1);
    if (gains) query->gains = gains;
    free(query->spare_ids), free(query->spare_gains);
    query->spare_ids = malloc(size * sizeof *query->spare_ids + 1);
    query->spare_gains = malloc(size * sizeof *query->spare_gains + 1);
    query->room = size;
    return ids && gains && query->spare_ids && query->spare_gains;
}

/* Sum what neighbours gain of the speakers that a playlist heard from `first` on, `count` of them, whose rows are the
 * `listed` ones of `of`; the mean of the `leaders` largest sums is `weight`. Leave tracks, rising, and what each gains
 * behind those that the query has. */
static void votes(
    const struct catalogue *catalogue, struct query *query, int64_t first, int64_t count, const int32_t *of,
    int64_t listed, float weight) {
    const struct playlist *playlist = query->playlist;
    int64_t said = 0, size = 0, kept = catalogue->kept, leaders = catalogue->leaders;
    int64_t *ids = query->ids + query->voted, *spare_ids = query->spare_ids;
    float *gains = query->gains + query->voted, *spare_gains = query->spare_gains;
    if (weight == 0) return;
    for (int64_t i = 0; i < playlist->heard_count; i++) {
        int64_t speaker = playlist->heard[i] - first;
        if (playlist->heard[i] < 0 || speaker < 0 || speaker >= count || playlist->loudness[i] == 0) continue;
        int64_t row = of[speaker < listed ? speaker : listed - 1];
        for (int64_t j = row * kept; j < (row + 1) * kept && catalogue->said[j] > 0; j++)
            ids[said] = catalogue->neighbours[j],
            gains[said++] = catalogue->said[j] * catalogue->said_scale[row] * playlist->loudness[i];
    }
    sort(ids, gains, spare_ids, spare_gains, said);
    said = summed(ids, gains, said);
    for (int64_t i = 0; i < said; i++) {
        if (size < leaders) {
            spare_gains[size] = gains[i], spare_ids[size] = ids[i];
            rise(spare_gains, spare_ids, size++);
        } else if (gains[i] > spare_gains[0]) {
            spare_gains[0] = gains[i], spare_ids[0] = ids[i];
            sink(spare_gains, spare_ids, 0, size);
        }
    }
    double sum = 0;
    for (int64_t i = 0; i < size; i++) sum += spare_gains[i];
    float mean = (float)(sum / leaders), factor = weight / (mean > 1e-9f ? mean : 1e-9f);
    for (int64_t i = 0; i < said; i++) gains[i] *= factor;
    query->voted += said;
}

/* Sum how loud the groups of a playlist's tracks are: its artists, or albums, each track as loud as `each` says. Leave them,
 * rising, in `groups` and `loudness`, which have room for twice what it heard. Return how many there are. */
static int64_t heard_groups(
    const struct catalogue *catalogue, const struct kin *kin, const struct playlist *playlist, const float *each,
    int64_t *groups, float *loudness) {
    int64_t count = 0, most = playlist->heard_count;
    for (int64_t i = 0; i < most; i++) {
        int64_t track = playlist->heard[i];
        if (track < 0 || track >= catalogue->tracks || kin->of[track] < 0) continue;
        groups[count] = kin->of[track], loudness[count++] = each[i];
    }
    sort(groups, loudness, groups + most, loudness + most, count);
    return summed(groups, loudness, count);
}

/* Let all tracks of the groups that a playlist heard gain, by how loud each group is. Leave them behind those that the
 * query has, making room where there is too little. Return 0 where there is no memory. */
static int kin_gains(
    const struct catalogue *catalogue, const struct kin *kin, struct query *query, const float *each, float weight) {
    const struct playlist *playlist = query->playlist;
    if (weight == 0 || !kin->groups) return 1;
    int64_t *groups = malloc(2 * playlist->heard_count * sizeof *groups + 1), size = query->voted;
    float *loudness = malloc(2 * playlist->heard_count * sizeof *loudness + 1);
    int64_t count = groups && loudness ? heard_groups(catalogue, kin, playlist, each, groups, loudness) : 0;
    for (int64_t i = 0; i < count; i++) size += kin->first[groups[i] + 1] - kin->first[groups[i]];
    int enough = groups && loudness && room(query, size);
    for (int64_t i = 0; i < count && enough; i++)
        for (int64_t j = kin->first[groups[i]]; j < kin->first[groups[i] + 1]; j++)
            query->ids[query->voted] = kin->tracks[j], query->gains[query->voted++] = loudness[i] * weight;
    free(groups), free(loudness);
    return enough;
}

/* Sum what tracks gain that a playlist's tracks and its title speak for: neighbours of the ones and of the other, each by
 * its own weight, and who shares an artist or an album. Return 0 where there is no memory. */
static int all_gains(const struct catalogue *catalogue, struct query *query) {
    const struct playlist *playlist = query->playlist;
    int64_t most = playlist->heard_count * catalogue->kept;
    if (!room(query, most < catalogue->leaders ? catalogue->leaders : most)) return 0;
    int64_t tracks = catalogue->tracks, titles = catalogue->titles;
    if (catalogue->kept) votes(catalogue, query, 0, tracks, catalogue->row, catalogue->listed, playlist->neighbours);
    int64_t first = query->voted;
    if (catalogue->kept) votes(catalogue, query, tracks, titles, catalogue->title_row, titles, playlist->titles);
    int sorted = first == 0 || query->voted == first;
    int64_t by_speakers = query->voted;
    if (!kin_gains(catalogue, &catalogue->artists, query, playlist->artist_loudness, playlist->artists)) return 0;
    if (!kin_gains(catalogue, &catalogue->albums, query, playlist->album_loudness, playlist->albums)) return 0;
    if (sorted && query->voted == by_speakers) return 1;
    sort(query->ids, query->gains, query->spare_ids, query->spare_gains, query->voted);
    query->voted = summed(query->ids, query->gains, query->voted);
    return 1;
}

/* Let scores of `count` tracks, from `start` on, into the list of a query where they are good enough. */
static void offer(struct query *query, const float *scores, int64_t start, int64_t count) {
    struct playlist *playlist = query->playlist;
    int64_t *best = playlist->best;
    float *best_scores = playlist->best_scores;
    pthread_mutex_lock(&query->lock);
    float bar = atomic_load(&query->bar);
    for (int64_t i = 0; i < count; i++) {
        if (!(scores[i] >= bar)) continue;
        if (playlist->found < playlist->k) {
            best_scores[playlist->found] = scores[i], best[playlist->found] = start + i;
            rise(best_scores, best, playlist->found++);
        } else if (best_scores[0] < scores[i] || best[0] > start + i) { /* equal scores by id, in any order of chunks */
            best_scores[0] = scores[i], best[0] = start + i;
            sink(best_scores, best, 0, playlist->found);
        }
        if (playlist->found == playlist->k) bar = best_scores[0];
    }
    atomic_store(&query->bar, bar);
    pthread_mutex_unlock(&query->lock);
}

/* Return the first of `count` rising ids that is not below `id`. */
static int64_t first_from(const int64_t *ids, int64_t count, int64_t id) {
    int64_t low = 0;
    while (low < count) {
        int64_t middle = (low + count) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* Score the tracks of a chunk for some queries, tile by tile. */
static void scan(const struct pass *pass, int64_t chunk, struct query **queries, int64_t count) {
    const struct catalogue *catalogue = &pass->catalogue;
    int64_t length = catalogue->length, begin = chunk * CHUNK, end = begin + CHUNK;
    if (end > catalogue->tracks) end = catalogue->tracks;
    /* While a query is scored, its share of the next tile is on the way. Alone, the CPU foresees that better itself. */
    int64_t share = count > 1 ? TILE * length / count : 0;
    multiply *multiply = count > 1 ? pass->way.together : pass->way.alone;
    int64_t next[MOST], next_without[MOST];
    int32_t products[TILE];
    float scores[TILE];
    for (int64_t q = 0; q < count; q++) {
        next[q] = first_from(queries[q]->ids, queries[q]->voted, begin);
        next_without[q] = first_from(queries[q]->without, queries[q]->without_count, begin);
    }
    for (int64_t start = begin; start < end; start += TILE) {
        int64_t size = end - start < TILE ? end - start : TILE, after = start + size;
        const uint8_t *rows = catalogue->vectors + start * length;
        for (int64_t q = 0; q < count; q++) {
            struct query *query = queries[q];
            for (int64_t j = 0; j < share; j += 64) __builtin_prefetch(rows + TILE * length + q * share + j, 0, 2);
            multiply(rows, size, length, query->rounded, products);
            int wanted = score(catalogue, query, start, size, atomic_load(&query->bar), products, scores);
            for (; next[q] < query->voted && query->ids[next[q]] < after; next[q]++, wanted = 1)
                scores[query->ids[next[q]] - start] += query->gains[next[q]];
            for (; next_without[q] < query->without_count && query->without[next_without[q]] < after; next_without[q]++)
                scores[query->without[next_without[q]] - start] = -INFINITY;
            if (wanted) offer(query, scores, start, size);
        }
    }
}

/* Take the next chunk for all queries that have not had it yet, score it, and let those go that it was the last for.
 *
 * Return 0 where there is nothing to be taken. The lock is held before and after, and not while it scores.
 */
static int work(struct pass *pass) {
    struct query *queries[MOST];
    int64_t count = 0, left = 0, done = 0, chunk = pass->chunk, chunks = (pass->catalogue.tracks + CHUNK - 1) / CHUNK;
    for (int64_t i = 0; i < pass->count; i++)
        if (pass->queries[i]->not_taken) queries[count++] = pass->queries[i], pass->queries[i]->not_taken--;
    if (!count) return 0;
    pass->chunk = (chunk + 1) % chunks;
    pass->working++;
    pthread_mutex_unlock(&pass->lock);
    scan(pass, chunk, queries, count);
    pthread_mutex_lock(&pass->lock);
    pass->working--;
    for (int64_t i = 0; i < count; i++) done += !--queries[i]->not_done;
    for (int64_t i = 0; i < pass->count; i++)
        if (pass->queries[i]->not_done) pass->queries[left++] = pass->queries[i];
    pass->count = left;
    if (done) pthread_cond_broadcast(&pass->changed);
    return 1;
}

/* Have `count` queries scored against the whole catalogue, with everybody else's, by this thread and others. */
static void go_round(struct pass *pass, struct query *queries, int64_t count) {
    int64_t joined = 0, done = 0;
    pthread_mutex_lock(&pass->lock);
    while (done < count) {
        for (; joined < count && pass->count < MOST; joined++) {
            if (!pass->count) pass->chunk = 0; /* the popular tracks first: lists are full of good ones soon */
            pass->queries[pass->count++] = &queries[joined];
        }
        if (pass->working == pass->threads || !work(pass)) pthread_cond_wait(&pass->changed, &pass->lock);
        while (done < joined && !queries[done].not_done) done++;
    }
    pthread_cond_broadcast(&pass->changed); /* this thread's place is free */
    pthread_mutex_unlock(&pass->lock);
}

/* Return whether `count` ids are of so many, or places that hold none (-1). */
static int are_known(const int64_t *ids, int64_t count, int64_t known) {
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < -1 || ids[i] >= known) return 0;
    return 1;
}

static int is_known(const struct catalogue *catalogue, const struct playlist *playlist) {
    for (int64_t i = 0; i < catalogue->length; i++)
        if (!isfinite(playlist->vector[i])) return 0;
    int64_t speakers = catalogue->tracks + catalogue->titles;
    return playlist->k > 0 && are_known(playlist->heard, playlist->heard_count, speakers) &&
           are_known(playlist->own, playlist->own_count, catalogue->tracks);
}

/* Work out all of a query that does not go through the catalogue. Return 0 where there is no memory. */
static int prepare(const struct catalogue *catalogue, struct playlist *playlist, struct query *query) {
    int64_t own = playlist->own_count;
    query->playlist = playlist, playlist->found = 0;
    query->without = malloc(own * sizeof *query->without + 1);
    if (!query->without || !room(query, own)) return 0;
    for (int64_t i = 0; i < own; i++)
        if (playlist->own[i] >= 0) query->without[query->without_count++] = playlist->own[i];
    sort(query->without, query->gains, query->spare_ids, query->spare_gains, query->without_count);
    if (!all_gains(catalogue, query)) return 0;
    query->unit = quantise(playlist->vector, catalogue->length, query->rounded);
    for (int64_t i = 0; i < catalogue->length; i++) query->shift += ZERO_POINT * query->rounded[i];
    query->not_taken = query->not_done = (catalogue->tracks + CHUNK - 1) / CHUNK;
    atomic_init(&query->bar, -FLT_MAX); /* what is left out scores less */
    pthread_mutex_init(&query->lock, NULL);
    return 1;
}

/* Begin with a catalogue: `threads` at most go through it at the same time, and multiply in the `way`-th way of those
 * that this CPU knows, or in the best one where it is below 0. Return NULL where it cannot be gone through. */
struct pass *segue_open(const struct catalogue *catalogue, int64_t threads, int64_t way) {
    struct way ways[3];
    int64_t known = known_ways(catalogue->length, ways);
    if (catalogue->length > LONGEST || catalogue->tracks < 1 || threads < 1 || way >= known) return NULL;
    struct pass *pass = calloc(1, sizeof *pass);
    if (!pass) return NULL;
    pass->catalogue = *catalogue, pass->threads = threads, pass->way = ways[way < 0 ? known - 1 : way];
    pthread_mutex_init(&pass->lock, NULL), pthread_cond_init(&pass->changed, NULL);
    return pass;
}

/* End it; nobody may be under way. */
void segue_close(struct pass *pass) {
    pthread_cond_destroy(&pass->changed), pthread_mutex_destroy(&pass->lock);
    free(pass);
}

/* Write the best `k` tracks for each of `count` playlists, falling, equal scores by id.
 *
 * Return 0, or -1 where a playlist is not of this catalogue, or -2 where there is no memory.
 */
int64_t segue_best(struct pass *pass, struct playlist *playlists, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!is_known(&pass->catalogue, &playlists[i])) return -1;
    struct query *queries = calloc(count + 1, sizeof *queries);
    if (!queries) return -2;
    int64_t ready = 0;
    while (ready < count && prepare(&pass->catalogue, &playlists[ready], &queries[ready])) ready++;
    if (ready == count) go_round(pass, queries, count);
    for (int64_t i = 0; i < count; i++) {
        struct playlist *playlist = &playlists[i];
        free(queries[i].ids), free(queries[i].gains), free(queries[i].without);
        free(queries[i].spare_ids), free(queries[i].spare_gains);
        for (int64_t left = ready == count ? playlist->found : 0; left > 1; left--) {
            swap(playlist->best_scores, playlist->best, 0, left - 1);
            sink(playlist->best_scores, playlist->best, 0, left - 1);
        }
    }
    free(queries);
    return ready == count ? 0 : -2;
}
