/* The best tracks of a catalogue for playlists, in passes over its 8-bit vectors that all who ask at once share.
 *
 * ONNX Runtime goes through rows of the catalogue's length once for each of its operators: product, prior, neighbours,
 * exclusion, top-k. Here a tile of tracks stays in the first cache from its products to its place among the best, and
 * all playlists under way are scored against it there, a few at a time, so that memory is read once for all of them. A
 * pass goes round and round, chunk by chunk: a playlist joins at the next chunk, whenever it comes, and is done one round
 * later. The threads are those of who asks, and helpers, so that one playlist alone has all cores, too.
 *
 * Products are of integers and sums of floats stand in a fixed order (-std=c11 lets no compiler fuse them), so that
 * every CPU gives the same bits, whoever else asks.
 *
 * inference/scan.py is its door, and checks what it is given.
 */
#define _POSIX_C_SOURCE 200809L
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TILE 64         /* tracks whose vectors stand together; 64 of 256 bytes are half of a first cache */
#define GROUP 4         /* numbers of each of them that stand side by side, as VNNI multiplies them */
#define BLOCK 4         /* playlists whose sums with a tile the registers of AVX-512 hold at the same time */
#define CHUNK 4096      /* tracks that a thread takes at a time, a whole number of tiles */
#define BYTES_A_SECOND 2e10 /* of memory, that one core reads on servers of our time, about */
#define MOST 32         /* playlists under way; more wait */
#define LONGEST 1024    /* numbers of a vector, a whole number of groups */
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
    const uint8_t *vectors; /* (tiles, groups, TILE, GROUP), ZERO_POINT added; what is too much is ZERO_POINT */
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
    int64_t not_taken, not_done;  /* chunks of its round; 0 and all while it waits for one */
    int8_t rounded[LONGEST];
};

/* A tile of the catalogue. */
struct tile {
    const uint8_t *vectors; /* (groups, TILE, GROUP) */
    const float *scale, *popularity, *bias; /* (TILE) */
    int64_t groups;
};

/* Score a tile for some playlists, a block of them at most, and tell by a bit each which tracks' scores reach the bar. */
typedef void score(const struct tile *tile, struct query **queries, int64_t count, float (*scores)[TILE], uint64_t *reach);

/* A catalogue that is gone through, and who is under way. */
struct pass {
    struct catalogue catalogue;
    score *score;             /* as this CPU does it best */
    pthread_mutex_t lock;     /* of all below, and of a query's chunks */
    pthread_cond_t changed;   /* a query is done, or a place is free */
    struct query *queries[MOST];
    int64_t count, chunk;     /* of queries, and the next to be taken */
    int64_t waiting, riders;  /* queries, the last ones, that have not joined; and how many began the last round */
    int64_t working, threads; /* now, and at most */
    pthread_t *helpers;
    int64_t helping;          /* how many there are */
    int ended;                /* they have to go */
    double reading;           /* seconds that memory takes for all vectors, about */
    double came, gap;         /* when somebody asked last, and the usual seconds from one to the next */
    double since;             /* when the round that is waited for could have begun */
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

/* Multiply the vectors of a tile with one. */
FOR_EVERY_CPU static void multiply(const struct tile *tile, const int8_t *vector, int32_t *restrict products) {
    for (int i = 0; i < TILE; i++) products[i] = 0;
    for (int64_t group = 0; group < tile->groups; group++, vector += GROUP) {
        const uint8_t *numbers = tile->vectors + group * TILE * GROUP;
        for (int i = 0; i < TILE; i++)
            for (int j = 0; j < GROUP; j++) products[i] += numbers[i * GROUP + j] * vector[j];
    }
}

/* Turn products into scores, and say which of them reach the bar. */
FOR_EVERY_CPU static uint64_t finish(
    const struct tile *tile, const struct query *query, const int32_t *restrict products, float *restrict scores) {
    float unit = query->unit, weight = query->playlist->popularity, bar = atomic_load(&query->bar);
    int32_t shift = query->shift;
    int any = 0;
    for (int i = 0; i < TILE; i++) {
        scores[i] = (float)(products[i] - shift) * (unit * tile->scale[i]) + (weight * tile->popularity[i] + tile->bias[i]);
        any |= scores[i] >= bar;
    }
    uint64_t reach = 0;
    for (int i = 0; any && i < TILE; i++) reach |= (uint64_t)(scores[i] >= bar) << i;
    return reach;
}

static void by_any_cpu(
    const struct tile *tile, struct query **queries, int64_t count, float (*scores)[TILE], uint64_t *reach) {
    int32_t products[TILE];
    for (int64_t q = 0; q < count; q++) {
        multiply(tile, queries[q]->rounded, products);
        reach[q] = finish(tile, queries[q], products, scores[q]);
    }
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))
#define VNNI __attribute__((target("avx512bw,avx512vl,avx512vnni,prefer-vector-width=512")))
#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 8")

/* Multiply tracks of a tile, from `first` on, with `count` vectors: four for each of `width` registers, in 16 bits, of
 * which two products' sum is one of 32. */
AVX2 INLINE void multiply_by_avx2(
    const struct tile *tile, int first, struct query **queries, const int count, const int width,
    int32_t (*products)[TILE]) {
    __m256i sums[2][8]; /* of each track two, side by side */
    UNROLLED for (int q = 0; q < count; q++)
        UNROLLED for (int i = 0; i < width; i++) sums[q][i] = _mm256_setzero_si256();
    for (int64_t group = 0; group < tile->groups; group++) {
        const uint8_t *numbers = tile->vectors + (group * TILE + first) * GROUP;
        __m256i parts[2];
        UNROLLED for (int q = 0; q < count; q++) {
            int32_t four;
            memcpy(&four, queries[q]->rounded + group * GROUP, GROUP);
            parts[q] = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
        }
        UNROLLED for (int i = 0; i < width; i++) {
            __m256i tracks = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(numbers + 16 * i)));
            UNROLLED for (int q = 0; q < count; q++)
                sums[q][i] = _mm256_add_epi32(sums[q][i], _mm256_madd_epi16(tracks, parts[q]));
        }
    }
    UNROLLED for (int q = 0; q < count; q++)
        UNROLLED for (int i = 0; i < width; i += 2) {
            __m256i both = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums[q][i], sums[q][i + 1]), 0xd8);
            _mm256_storeu_si256((__m256i *)(products[q] + first + 4 * i), both);
        }
}

AVX2 static void by_avx2(
    const struct tile *tile, struct query **queries, int64_t count, float (*scores)[TILE], uint64_t *reach) {
    int32_t products[2][TILE];
    for (int64_t q = 0; q < count; q += 2) {
        int both = count - q > 1;
        if (both)
            for (int first = 0; first < TILE; first += 16) multiply_by_avx2(tile, first, queries + q, 2, 4, products);
        else /* more of the tile at a time, since its numbers may come from memory */
            for (int first = 0; first < TILE; first += 32) multiply_by_avx2(tile, first, queries + q, 1, 8, products);
        for (int i = 0; i <= both; i++) reach[q + i] = finish(tile, queries[q + i], products[i], scores[q + i]);
    }
}

/* All in registers: a tile's numbers are read once for all playlists of a block, and their products are never written.
 *
 * `ahead` asks for the next tile's numbers meanwhile. What Intel's processors fetch by themselves ends at a page of 4 KB,
 * so that they would wait for memory at each; AMD's are slower for being asked. */
VNNI INLINE void by_vnni_for(
    const struct tile *tile, struct query **queries, const int count, const int ahead, float (*scores)[TILE],
    uint64_t *reach) {
    __m512i sums[BLOCK][4];
    UNROLLED for (int q = 0; q < count; q++)
        UNROLLED for (int i = 0; i < 4; i++) sums[q][i] = _mm512_setzero_si512();
    for (int64_t group = 0; group < tile->groups; group++) {
        const uint8_t *numbers = tile->vectors + group * TILE * GROUP;
        const char *next = (const char *)(numbers + tile->groups * TILE * GROUP); /* past the end it is never read */
        UNROLLED for (int i = 0; i < 4 && ahead; i++) _mm_prefetch(next + 64 * i, _MM_HINT_T1);
        __m512i tracks[4];
        UNROLLED for (int i = 0; i < 4; i++) tracks[i] = _mm512_loadu_si512(numbers + 64 * i);
        UNROLLED for (int q = 0; q < count; q++) {
            int32_t four;
            memcpy(&four, queries[q]->rounded + group * GROUP, GROUP);
            __m512i part = _mm512_set1_epi32(four);
            /* _mm512_dpbusd_epi32, around which gcc copies the sums to and fro: a tenth of the time */
            UNROLLED for (int i = 0; i < 4; i++)
                __asm__("vpdpbusd %2, %1, %0" : "+v"(sums[q][i]) : "v"(tracks[i]), "v"(part));
        }
    }
    UNROLLED for (int q = 0; q < count; q++) reach[q] = 0;
    UNROLLED for (int i = 0; i < 4; i++) {
        __m512 scale = _mm512_loadu_ps(tile->scale + 16 * i), bias = _mm512_loadu_ps(tile->bias + 16 * i);
        __m512 popularity = _mm512_loadu_ps(tile->popularity + 16 * i);
        UNROLLED for (int q = 0; q < count; q++) { /* as `finish` does it */
            const struct query *query = queries[q];
            __m512 product = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[q][i], _mm512_set1_epi32(query->shift)));
            __m512 prior = _mm512_mul_ps(_mm512_set1_ps(query->playlist->popularity), popularity);
            __m512 found = _mm512_mul_ps(product, _mm512_mul_ps(_mm512_set1_ps(query->unit), scale));
            found = _mm512_add_ps(found, _mm512_add_ps(prior, bias));
            _mm512_storeu_ps(scores[q] + 16 * i, found);
            __mmask16 reaches = _mm512_cmp_ps_mask(found, _mm512_set1_ps(atomic_load(&query->bar)), _CMP_GE_OQ);
            reach[q] |= (uint64_t)reaches << 16 * i;
        }
    }
}

VNNI INLINE void by_vnni_of(
    const struct tile *tile, struct query **queries, int64_t count, const int ahead, float (*scores)[TILE],
    uint64_t *reach) {
    switch (count) { /* where the compiler knows how many playlists there are, it keeps their sums in registers */
        case 1: by_vnni_for(tile, queries, 1, ahead, scores, reach); break;
        case 2: by_vnni_for(tile, queries, 2, ahead, scores, reach); break;
        case 3: by_vnni_for(tile, queries, 3, ahead, scores, reach); break;
        default: by_vnni_for(tile, queries, BLOCK, ahead, scores, reach);
    }
}

VNNI static void by_vnni(
    const struct tile *tile, struct query **queries, int64_t count, float (*scores)[TILE], uint64_t *reach) {
    by_vnni_of(tile, queries, count, 0, scores, reach);
}

VNNI static void by_vnni_ahead(
    const struct tile *tile, struct query **queries, int64_t count, float (*scores)[TILE], uint64_t *reach) {
    by_vnni_of(tile, queries, count, 1, scores, reach);
}
#endif

/* The ways to score that this CPU knows, the best one last. Return how many there are. */
static int64_t known_ways(score **ways) {
    int64_t count = 0;
    ways[count++] = by_any_cpu;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) ways[count++] = by_avx2;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        ways[count++] = __builtin_cpu_is("intel") ? by_vnni_ahead : by_vnni;
#endif
    return count;
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

/* Let those scores of a tile, whose first track is `start`, that reach the bar into the list of a query. */
static void offer(struct query *query, const float *scores, int64_t start, uint64_t reach) {
    struct playlist *playlist = query->playlist;
    int64_t *best = playlist->best;
    float *best_scores = playlist->best_scores;
    pthread_mutex_lock(&query->lock);
    float bar = atomic_load(&query->bar);
    for (; reach; reach &= reach - 1) {
        int i = __builtin_ctzll(reach);
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

/* The `number`-th tile of a catalogue. The last one's floats are copied to `padded`, where it is not whole. */
static struct tile tile_of(const struct catalogue *catalogue, int64_t number, float (*padded)[TILE]) {
    int64_t start = number * TILE, left = catalogue->tracks - start;
    const float *floats[3] = {catalogue->scale + start, catalogue->popularity + start, catalogue->bias + start};
    for (int i = 0; i < 3 && left < TILE; i++) {
        memset(padded[i], 0, sizeof padded[i]);
        floats[i] = memcpy(padded[i], floats[i], left * sizeof(float));
    }
    int64_t groups = (catalogue->length + GROUP - 1) / GROUP;
    return (struct tile){catalogue->vectors + start * groups * GROUP, floats[0], floats[1], floats[2], groups};
}

/* Score the tracks of a chunk for some queries, tile by tile. */
static void scan(const struct pass *pass, int64_t chunk, struct query **queries, int64_t count) {
    const struct catalogue *catalogue = &pass->catalogue;
    int64_t begin = chunk * CHUNK, end = begin + CHUNK, next[MOST], next_without[MOST];
    if (end > catalogue->tracks) end = catalogue->tracks;
    float scores[BLOCK][TILE], padded[3][TILE];
    uint64_t reach[BLOCK];
    for (int64_t q = 0; q < count; q++) {
        next[q] = first_from(queries[q]->ids, queries[q]->voted, begin);
        next_without[q] = first_from(queries[q]->without, queries[q]->without_count, begin);
    }
    for (int64_t start = begin; start < end; start += TILE) {
        int64_t after = start + TILE < end ? start + TILE : end;
        struct tile tile = tile_of(catalogue, start / TILE, padded);
        for (int64_t q = 0; q < count; q++) {
            int64_t place = q % BLOCK;
            if (!place) pass->score(&tile, queries + q, count - q < BLOCK ? count - q : BLOCK, scores, reach);
            struct query *query = queries[q];
            float *own = scores[place];
            uint64_t wanted = reach[place] & (~0ULL >> (TILE - (after - start)));
            for (; next[q] < query->voted && query->ids[next[q]] < after; next[q]++) {
                own[query->ids[next[q]] - start] += query->gains[next[q]];
                wanted |= 1ULL << (query->ids[next[q]] - start);
            }
            for (; next_without[q] < query->without_count && query->without[next_without[q]] < after; next_without[q]++)
                own[query->without[next_without[q]] - start] = -INFINITY;
            if (wanted) offer(query, own, start, wanted);
        }
    }
}

/* Seconds, from some moment on. */
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* How many chunks there are. */
static int64_t chunks_of(const struct catalogue *catalogue) {
    return (catalogue->tracks + CHUNK - 1) / CHUNK;
}

/* Remember how often somebody asks: a mean over the last dozens of gaps. */
static void note_arrival(struct pass *pass) {
    double moment = now(), gap = moment - pass->came;
    pass->came = moment;
    pass->gap += ((gap < 1 ? gap : 1) - pass->gap) / 32;
}

/* Let who waits join the round. Return when to look again where they have to wait for company, or 0.
 *
 * One reading of memory serves four playlists in the time of one. Where few ask, each joins at once, wherever the round is.
 * Where so many ask that others come within the time of a reading, they wait at its beginning until they are as many as the
 * last time, at most for as long as it takes: each waits longer and costs less, and when all cores are busy that is sooner.
 */
static double let_join(struct pass *pass) {
    if (!pass->waiting) return 0;
    int often = pass->reading > 1.5 * pass->gap;
    if (often && pass->count > pass->waiting) return 0; /* who rides wakes them up */
    if (often && pass->waiting < pass->riders && now() < pass->since + pass->reading) return pass->since + pass->reading;
    if (pass->count == pass->waiting) pass->chunk = 0; /* the popular tracks first: lists are full of good ones soon */
    for (int64_t i = pass->count - pass->waiting; i < pass->count; i++)
        pass->queries[i]->not_taken = chunks_of(&pass->catalogue);
    pass->riders = pass->count, pass->waiting = 0;
    pthread_cond_broadcast(&pass->changed);
    return 0;
}

/* Take the next chunk for all queries that have not had it yet, score it, and let those go that it was the last for.
 *
 * Return 0 where there is nothing to be taken. The lock is held before and after, and not while it scores.
 */
static int work(struct pass *pass) {
    struct query *queries[MOST];
    int64_t count = 0, left = 0, done = 0, chunk = pass->chunk;
    for (int64_t i = 0; i < pass->count; i++)
        if (pass->queries[i]->not_taken) queries[count++] = pass->queries[i], pass->queries[i]->not_taken--;
    if (!count) return 0;
    pass->chunk = (chunk + 1) % chunks_of(&pass->catalogue);
    pass->working++;
    pthread_mutex_unlock(&pass->lock);
    scan(pass, chunk, queries, count);
    pthread_mutex_lock(&pass->lock);
    pass->working--;
    for (int64_t i = 0; i < count; i++) done += !--queries[i]->not_done;
    for (int64_t i = 0; i < pass->count; i++)
        if (pass->queries[i]->not_done) pass->queries[left++] = pass->queries[i];
    pass->count = left;
    if (done && left == pass->waiting) pass->since = now();
    if (done) pthread_cond_broadcast(&pass->changed);
    return 1;
}

/* Let others have the lock, until something has changed or, if it is above 0, that moment has come. */
static void wait(struct pass *pass, double until) {
    struct timespec time = {(time_t)until, (long)(1e9 * (until - (double)(time_t)until))};
    if (until > 0)
        pthread_cond_timedwait(&pass->changed, &pass->lock, &time);
    else
        pthread_cond_wait(&pass->changed, &pass->lock);
}

/* Go on with the pass, or wait until there is something to do. The lock is held before and after. */
static void go_on(struct pass *pass) {
    double again = let_join(pass);
    if (pass->working == pass->threads || !work(pass)) wait(pass, again);
}

static void *help(void *pointer) {
    struct pass *pass = pointer;
    pthread_mutex_lock(&pass->lock);
    while (!pass->ended) go_on(pass);
    pthread_mutex_unlock(&pass->lock);
    return NULL;
}

/* Have `count` queries scored against the whole catalogue, with everybody else's, by this thread and others. */
static void go_round(struct pass *pass, struct query *queries, int64_t count) {
    int64_t joined = 0, done = 0;
    pthread_mutex_lock(&pass->lock);
    note_arrival(pass);
    while (done < count) {
        for (; joined < count && pass->count < MOST; joined++) {
            if (!pass->count) pass->since = now();
            pass->queries[pass->count++] = &queries[joined], pass->waiting++;
        }
        go_on(pass);
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
    query->not_done = chunks_of(catalogue);
    atomic_init(&query->bar, -FLT_MAX); /* what is left out scores less */
    pthread_mutex_init(&query->lock, NULL);
    return 1;
}

/* Start helpers, as many as can work beside who asks. With fewer it goes, too. */
static void get_help(struct pass *pass) {
    sigset_t all, before;
    sigfillset(&all);
    pass->helpers = malloc(pass->threads * sizeof *pass->helpers);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for threads that know what to do with them */
    while (pass->helpers && pass->helping < pass->threads - 1 &&
           !pthread_create(&pass->helpers[pass->helping], NULL, help, pass))
        pass->helping++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Begin with a catalogue: `threads` at most go through it at the same time, and multiply in the `way`-th way of those
 * that this CPU knows, or in the best one where it is below 0. Return NULL where it cannot be gone through. */
struct pass *segue_open(const struct catalogue *catalogue, int64_t threads, int64_t way) {
    score *ways[3];
    int64_t known = known_ways(ways);
    if (catalogue->length > LONGEST || catalogue->tracks < 1 || threads < 1 || way >= known) return NULL;
    struct pass *pass = calloc(1, sizeof *pass);
    if (!pass) return NULL;
    pass->catalogue = *catalogue, pass->threads = threads, pass->score = ways[way < 0 ? known - 1 : way];
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic), pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&pass->lock, NULL), pthread_cond_init(&pass->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pass->reading = (double)(catalogue->tracks * catalogue->length) / BYTES_A_SECOND, pass->gap = 1;
    get_help(pass);
    return pass;
}

/* End it; nobody may be under way. */
void segue_close(struct pass *pass) {
    pthread_mutex_lock(&pass->lock);
    pass->ended = 1;
    pthread_cond_broadcast(&pass->changed);
    pthread_mutex_unlock(&pass->lock);
    for (int64_t i = 0; i < pass->helping; i++) pthread_join(pass->helpers[i], NULL);
    pthread_cond_destroy(&pass->changed), pthread_mutex_destroy(&pass->lock);
    free(pass->helpers), free(pass);
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
