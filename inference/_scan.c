/* The best tracks of a catalogue for one playlist, in one pass over its 8-bit vectors.
 *
 * ONNX Runtime goes through rows of the catalogue's length once for each of its operators: product, prior, neighbours,
 * exclusion, top-k. Here a tile of tracks stays in the first cache from its product to its place among the best, so that
 * a query takes little longer than reading the vectors. Products are of integers and sums of floats stand in a fixed
 * order (-std=c11 lets no compiler fuse them), so that every CPU gives the same bits.
 *
 * inference/scan.py is its door, and checks what it is given.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TILE 64         /* tracks; 64 of 128 bytes are a quarter of a first cache */
#define LONGEST 1024    /* numbers of a vector */
#define ZERO_POINT 128  /* of the table's unsigned bytes */

/* What a bundle knows of its tracks: inference/scan.py describes each array, and fills this in. */
struct catalogue {
    const uint8_t *vectors; /* (tracks, length), ZERO_POINT added */
    const float *scale, *popularity, *bias; /* (tracks) */
    const int32_t *row, *neighbours; /* (tracks), (rows, kept) */
    const int8_t *said; /* (rows, kept), falling */
    const float *said_scale; /* (rows) */
    int64_t tracks, length, kept, leaders;
};

/* Room to work in: tracks with what their scores gain, twice, and the tracks that are left out. */
struct room {
    int64_t *ids, *spare_ids, *without;
    float *gains, *spare_gains;
};

#if defined(__x86_64__) && defined(__GLIBC__)
#define FOR_EVERY_CPU __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EVERY_CPU
#endif

/* Round a vector to 8 bits as MatMulNBits does; return its unit. */
static float quantise(const float *vector, int64_t length, int16_t *rounded) {
    float largest = 0;
    for (int64_t i = 0; i < length; i++)
        if (fabsf(vector[i]) > largest) largest = fabsf(vector[i]);
    float unit = largest / 127, inverse = unit > 0 ? 1 / unit : 0;
    for (int64_t i = 0; i < length; i++) rounded[i] = (int16_t)rintf(vector[i] * inverse);
    return unit;
}

/* Products of `count` rows with the vector. A length that the compiler knows lets it keep the vector in registers. */
static inline __attribute__((always_inline)) void multiply(
    const uint8_t *restrict rows, int64_t count, int64_t length, const int16_t *restrict vector, int32_t *restrict out) {
    for (int64_t i = 0; i < count; i++) {
        int32_t sum = 0;
        for (int64_t j = 0; j < length; j++) sum += (int32_t)(int16_t)rows[i * length + j] * (int32_t)vector[j];
        out[i] = sum;
    }
}

/* Scores of `count` tracks, at most a tile of them; `shift` is what the zero point adds to each product. */
FOR_EVERY_CPU static void score(
    const uint8_t *restrict rows, const float *restrict scale, const float *restrict popularity,
    const float *restrict bias, int64_t count, int64_t length, const int16_t *restrict vector, int32_t shift, float unit,
    float weight, float *restrict out) {
    int32_t products[TILE];
    if (length == 128)
        multiply(rows, count, 128, vector, products);
    else if (length == 256)
        multiply(rows, count, 256, vector, products);
    else
        multiply(rows, count, length, vector, products);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(products[i] - shift) * (unit * scale[i]) + (weight * popularity[i] + bias[i]);
}

FOR_EVERY_CPU static int any_above(const float *scores, int64_t count, float bar) {
    int found = 0;
    for (int64_t i = 0; i < count; i++) found |= scores[i] > bar;
    return found;
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

/* Sum what the neighbours of `heard` add to scores: the mean of the `leaders` largest sums becomes `weight`.
 *
 * Leave tracks, rising, and what each gains in the room, and return how many there are.
 */
static int64_t votes(
    const struct catalogue *catalogue, const int64_t *heard, int64_t count, float weight, const struct room *room) {
    int64_t said = 0, distinct = 0, size = 0, kept = catalogue->kept, leaders = catalogue->leaders;
    int64_t *ids = room->ids, *spare_ids = room->spare_ids;
    float *gains = room->gains, *spare_gains = room->spare_gains;
    for (int64_t i = 0; i < count; i++) {
        if (heard[i] < 0) continue;
        int64_t row = catalogue->row[heard[i]];
        for (int64_t j = row * kept; j < (row + 1) * kept && catalogue->said[j] > 0; j++)
            ids[said] = catalogue->neighbours[j], gains[said++] = catalogue->said[j] * catalogue->said_scale[row];
    }
    sort(ids, gains, spare_ids, spare_gains, said);
    for (int64_t i = 0; i < said; i++) {
        if (distinct && ids[distinct - 1] == ids[i])
            gains[distinct - 1] += gains[i];
        else
            ids[distinct] = ids[i], gains[distinct++] = gains[i];
    }
    for (int64_t i = 0; i < distinct; i++) {
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
    for (int64_t i = 0; i < distinct; i++) gains[i] *= factor;
    return distinct;
}

/* Write the best of all tracks to `best` and `best_scores`, falling, equal scores by id. */
static int64_t scan(
    const struct catalogue *catalogue, const float *vector, float popularity, int64_t voted, int64_t own,
    const struct room *room, int64_t k, int64_t *best, float *best_scores) {
    int16_t rounded[LONGEST];
    float scores[TILE];
    int32_t shift = 0;
    int64_t size = 0, next = 0, left_out = 0, tracks = catalogue->tracks, length = catalogue->length;
    float unit = quantise(vector, length, rounded);
    for (int64_t i = 0; i < length; i++) shift += ZERO_POINT * rounded[i];
    for (int64_t start = 0; start < tracks; start += TILE) {
        int64_t count = tracks - start < TILE ? tracks - start : TILE;
        score(catalogue->vectors + start * length, catalogue->scale + start, catalogue->popularity + start,
              catalogue->bias + start, count, length, rounded, shift, unit, popularity, scores);
        for (; next < voted && room->ids[next] < start + count; next++)
            scores[room->ids[next] - start] += room->gains[next];
        for (; left_out < own && room->without[left_out] < start + count; left_out++)
            scores[room->without[left_out] - start] = -INFINITY;
        float bar = size < k ? -INFINITY : best_scores[0];
        if (!any_above(scores, count, bar)) continue;
        for (int64_t i = 0; i < count; i++) {
            if (!(scores[i] > bar)) continue;
            if (size < k) {
                best_scores[size] = scores[i], best[size] = start + i;
                rise(best_scores, best, size++);
            } else {
                best_scores[0] = scores[i], best[0] = start + i;
                sink(best_scores, best, 0, size);
            }
            bar = size < k ? -INFINITY : best_scores[0];
        }
    }
    for (int64_t left = size; left > 1; left--) {
        swap(best_scores, best, 0, left - 1);
        sink(best_scores, best, 0, left - 1);
    }
    return size;
}

/* Return whether `count` tracks are of the catalogue, or places that hold none (-1). */
static int are_known(const int64_t *ids, int64_t count, int64_t tracks) {
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < -1 || ids[i] >= tracks) return 0;
    return 1;
}

/* Write the best `k` tracks for a playlist to `best` and `best_scores`, falling, equal scores by id.
 *
 * vector (length); popularity and neighbours are how much each counts; heard are the tracks whose neighbours vote, own
 * those that are left out; in both -1 is none. Return how many there are, at most k, or -1 where the playlist is not of
 * this catalogue, and -2 where there is no memory.
 */
int64_t segue_best(
    const struct catalogue *catalogue, const float *vector, float popularity, float neighbours, const int64_t *heard,
    int64_t heard_count, const int64_t *own, int64_t own_count, int64_t k, int64_t *best, float *best_scores) {
    int64_t most = heard_count * catalogue->kept, voted = 0, without = 0;
    if (most < catalogue->leaders) most = catalogue->leaders;
    if (most < own_count) most = own_count;
    if (catalogue->length > LONGEST || k < 1) return -1;
    if (!are_known(heard, heard_count, catalogue->tracks) || !are_known(own, own_count, catalogue->tracks)) return -1;
    for (int64_t i = 0; i < catalogue->length; i++)
        if (!isfinite(vector[i])) return -1;
    int64_t *integers = malloc((2 * most + own_count) * sizeof *integers + 1);
    float *floats = malloc(2 * most * sizeof *floats + 1);
    if (integers && floats) {
        struct room room = {integers, integers + most, integers + 2 * most, floats, floats + most};
        for (int64_t i = 0; i < own_count; i++)
            if (own[i] >= 0) room.without[without++] = own[i];
        sort(room.without, room.gains, room.spare_ids, room.spare_gains, without);
        if (catalogue->kept) voted = votes(catalogue, heard, heard_count, neighbours, &room);
        voted = scan(catalogue, vector, popularity, voted, without, &room, k, best, best_scores);
    } else {
        voted = -2;
    }
    free(integers), free(floats);
    return voted;
}
