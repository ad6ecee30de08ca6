/* How a model is divided between two devices, and whether both have room for their parts: pure, no
 * I/O. The rule is that of rbee-worker, which divides by what it finds free itself: the first
 * device has the embedding and the first layers, the second the rest and the head, and each gives
 * about the same share of what it has. */
#ifndef RBEE_SUPERVISOR_SPLIT_H
#define RBEE_SUPERVISOR_SPLIT_H

#include "supervisor/room.h"

#include <stdbool.h>
#include <stdint.h>

enum { SPLIT_PARTS = 2 };

struct split_need {
    int64_t layer_count;
    int64_t layers_bytes;            /* all of them, with their tokens */
    int64_t part_bytes[SPLIT_PARTS]; /* what a device has to hold besides its layers */
};

/* The parts that ask for the smallest share of FREE_BYTES, where it is largest; of equal ones the
 * one with more layers on the first. False: they do not fit, or there is nothing to divide, and
 * each device has half. */
bool split_plan(const struct split_need *need, const int64_t free_bytes[SPLIT_PARTS],
                int64_t out_bytes[SPLIT_PARTS]);

/* As room_judge(), for a model on the devices of two rooms: sets what each of them needs. Who holds
 * memory of both is in both, under the same name, and is evicted from both. */
enum room_verdict split_judge(const struct split_need *need, struct room rooms[SPLIT_PARTS]);

#endif
