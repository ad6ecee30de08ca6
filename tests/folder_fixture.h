/* A folder for each test of a file, as cmocka's setup and teardown. */
#ifndef RBEE_TESTS_FOLDER_FIXTURE_H
#define RBEE_TESTS_FOLDER_FIXTURE_H

#include "tests/temp_folder.h"

static char *folder;

static inline int make_folder(void **state)
{
    folder = temp_folder_make();
    return 0;
}

static inline int remove_folder(void **state)
{
    temp_folder_remove(folder);
    free(take_ptr(folder));
    return 0;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

#endif
