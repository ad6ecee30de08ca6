/* Owns the list of cards and what PCI tells of each, whoever made it. */
#include "gpu/card.h"

#include "common/attr.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct card_vendor *const VENDORS[] = {&CARD_AMD, &CARD_NVIDIA};

/* As sysfs names devices: hex digits, colons and one dot. It goes into addresses and labels. */
static bool card_is_pci_address(const char *text)
{
    return strlen(text) < CARD_PCI_BYTES && strchr(text, ':') != NULL &&
           strchr(text, '.') != NULL && strspn(text, "0123456789abcdef:.") == strlen(text);
}

static bool card_has_name(const struct card_vendor *vendor, const char *name)
{
    size_t len = strlen(vendor->list_prefix);

    if (strncmp(name, vendor->list_prefix, len) != 0)
        return false;
    /* "card0" is one, "card0-DP-1" is a plug of it. */
    return len == 0 ? card_is_pci_address(name)
                    : name[len] != '\0' && strspn(name + len, "0123456789") == strlen(name + len);
}

static bool card_has_driver(const struct card *card)
{
    char driver[CARD_TEXT_BYTES];

    return sysfs_read_link_name(card->folder, "driver", driver, sizeof(driver)) &&
           strcmp(driver, card->vendor->driver) == 0;
}

/* The card NAME in FOLDER; false when it is none of this vendor's. */
static bool card_find(const struct card_vendor *vendor, const char *folder, const char *name,
                      struct card *out)
{
    char entry[SYSFS_PATH_BYTES];

    *out = (struct card){.vendor = vendor};
    if (!sysfs_path(entry, folder, name))
        return false;
    if (vendor->pci_link[0] == '\0') {
        memcpy(out->folder, entry, sizeof(entry));
        memcpy(out->pci, name, strlen(name) + 1); /* its length has been looked at */
        return true;
    }
    return sysfs_path(out->folder, entry, vendor->pci_link) &&
           sysfs_read_link_name(entry, vendor->pci_link, out->pci, sizeof(out->pci)) &&
           card_is_pci_address(out->pci) && card_has_driver(out);
}

static void card_list_vendor(const char *root, const struct card_vendor *vendor,
                             struct card_list *out)
{
    char folder[SYSFS_PATH_BYTES];
    DIR *dir = sysfs_path(folder, root, vendor->list_folder) ? opendir(folder) : NULL;
    const struct dirent *entry = NULL;

    while (dir != NULL && out->count < CARD_MAX_COUNT && (entry = readdir(dir)) != NULL) {
        if (card_has_name(vendor, entry->d_name) &&
            card_find(vendor, folder, entry->d_name, &out->cards[out->count]))
            out->count++;
    }
    if (dir != NULL)
        (void)closedir(dir); /* it was only read */
}

static int card_compare(const void *a, const void *b)
{
    return strcmp(((const struct card *)a)->pci, ((const struct card *)b)->pci);
}

void card_list(const char *root, struct card_list *out)
{
    out->count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(VENDORS); i++)
        card_list_vendor(root, VENDORS[i], out);
    qsort(out->cards, out->count, sizeof(out->cards[0]), card_compare);
}

bool card_is_asleep(const struct card *card)
{
    char status[CARD_TEXT_BYTES];

    return sysfs_read(card->folder, "power/runtime_status", status, sizeof(status)) &&
           (strcmp(status, "suspended") == 0 || strcmp(status, "suspending") == 0);
}

bool card_is_sleepy(const struct card *card)
{
    char control[CARD_TEXT_BYTES];

    return sysfs_read(card->folder, "power/control", control, sizeof(control)) &&
           strcmp(control, "auto") == 0;
}

/* sysfs says "16.0 GT/s PCIe" and "16". */
void card_read_link(const struct card *card, char out[CARD_TEXT_BYTES])
{
    static const char BUS[] = " PCIe";
    char speed[CARD_TEXT_BYTES];
    char width[CARD_TEXT_BYTES];
    size_t len = 0;

    out[0] = '\0';
    if (!sysfs_read(card->folder, "current_link_speed", speed, sizeof(speed)) ||
        !sysfs_read(card->folder, "current_link_width", width, sizeof(width)) ||
        strstr(speed, "GT/s") == NULL || strspn(width, "0123456789") != strlen(width))
        return;
    len = strlen(speed);
    if (len > strlen(BUS) && strcmp(speed + len - strlen(BUS), BUS) == 0)
        speed[len - strlen(BUS)] = '\0';
    if (snprintf(out, CARD_TEXT_BYTES, "%s x%s", speed, width) >= CARD_TEXT_BYTES)
        out[0] = '\0';
}
