/* The writer thread. */
#ifndef RBEE_DB_WRITER_H
#define RBEE_DB_WRITER_H

#include "db/queue.h"

#include <pthread.h>

struct store_writer {
    sqlite3 *db;
    struct store_queue *queue;
    struct audit_chain *chain;
    pthread_t thread;
};

/* Starts the thread, to which DB belongs until writer_join returns. */
int store_writer_start(struct store_writer *writer, struct err *err);
/* The queue must be closing. */
void store_writer_join(struct store_writer *writer);

#endif
