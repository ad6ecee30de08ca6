/* The writer thread and the queue before it. store.c posts and tells; writer.c writes.
 *
 * What both touch is in struct store_queue, under its lock. */
#ifndef RBEE_DB_WRITER_H
#define RBEE_DB_WRITER_H

#include "db/store_private.h"

#include <pthread.h>

/* Something to tell on the loop's thread: to who waited for a row, or that one is lost. */
struct store_notice {
    struct store_notice *next;
    struct store_done done;
    bool is_lost;
    struct err result;
};

struct store_queue {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* the writer: rows have come, or the end */
    struct store_write *first;
    struct store_write **last_next; /* where the next row is hung in */
    size_t waiting_count;           /* in the list above */
    size_t row_count;               /* these and those the writer holds */
    size_t size_bytes;              /* of row_count */
    size_t awaited_count;           /* in the list, with somebody who waits */
    uint64_t first_posted_us;       /* when the list began: a group lingers from here */
    bool is_closing;
    /* Told by store_dispatch. */
    struct store_notice *notices;
    struct store_notice **last_notice;
    struct err health; /* why the disk takes nothing; ERR_NONE when it does */
    bool is_health_new;
    int event_fd; /* written when there is something to tell */
};

void store_queue_init(struct store_queue *queue, int event_fd);
void store_queue_release(struct store_queue *queue);

struct store_writer {
    sqlite3 *db;
    struct store_queue *queue;
    pthread_t thread;
};

/* Starts the thread, to which DB belongs until writer_join returns. */
int store_writer_start(struct store_writer *writer, struct err *err);
/* The queue must be closing. */
void store_writer_join(struct store_writer *writer);

#endif
