/* The cards of this machine, what is read of one, and the table of functions that a vendor's driver
 * is behind.
 *
 * Cards are listed by links and names alone, which no driver has a part in: listing wakes nothing
 * and cannot hang. Everything else may do either. */
#ifndef RBEE_GPU_CARD_H
#define RBEE_GPU_CARD_H

#include "common/gpu_figures.h"
#include "gpu/sysfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct nvml;
struct uses_pids;

enum {
    CARD_MAX_COUNT = 32, /* more than a board has places for */
    CARD_PCI_BYTES = 32, /* "0000:03:00.0", with room for longer domains */
    CARD_TEXT_BYTES = 96,
    CARD_USE_MAX_COUNT = 256, /* processes told of one card; the rest is in its used memory */
};

/* What one process holds of a card. */
struct card_use {
    pid_t pid;
    int64_t memory_bytes; /* -1: not known */
};

/* Processes of one card. */
struct card_uses {
    bool is_known;
    size_t count;
    struct card_use list[CARD_USE_MAX_COUNT];
};

struct card {
    const struct card_vendor *vendor;
    char pci[CARD_PCI_BYTES];
    char folder[SYSFS_PATH_BYTES]; /* of the device in sysfs */
};

/* What was read of a card that is awake. */
struct card_reading {
    char name[CARD_TEXT_BYTES]; /* "": unknown, as all three */
    char uuid[CARD_TEXT_BYTES];
    char pcie_link[CARD_TEXT_BYTES]; /* "16.0 GT/s x16" */
    struct gpu_figures figures;
    struct card_uses uses; /* where the driver itself tells; else uses.h does */
};

/* Where to look, and what is kept between two rounds. */
struct card_world {
    const char *root;        /* what stands before /sys, /proc…; "" but in tests */
    struct nvml *nvml;       /* NULL: not loaded */
    struct uses_pids *users; /* processes that have a card open */
};

struct card_vendor {
    const char *name;   /* in JSON */
    const char *driver; /* whose cards these are, in sysfs */
    /* The folder below the root that has a link or folder for each, and how the name of one begins:
     * the PCI address is where PCI_LINK in it leads, or "" for its own name. */
    const char *list_folder;
    const char *list_prefix;
    const char *pci_link;
    void (*read)(struct card_world *world, const struct card *card, struct card_reading *out);
    /* A round is over in which a card was read that may fall asleep when nobody uses it: lets go of
     * what keeps it awake. May be NULL. */
    void (*rest)(struct card_world *world);
};

extern const struct card_vendor CARD_AMD;
extern const struct card_vendor CARD_NVIDIA;

/* Sorted by PCI address. */
struct card_list {
    size_t count;
    struct card cards[CARD_MAX_COUNT];
};

void card_list(const char *root, struct card_list *out);
bool card_is_asleep(const struct card *card);
/* Whether the kernel may put it to sleep. */
bool card_is_sleepy(const struct card *card);
void card_read_link(const struct card *card, char out[CARD_TEXT_BYTES]);

#endif
