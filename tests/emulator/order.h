/* In which order the emulator gives lanes, waves and blocks their turns. */
#ifndef RBEE_TESTS_EMULATOR_ORDER_H
#define RBEE_TESTS_EMULATOR_ORDER_H

/* Of the lanes of a wave, the waves of a block and the blocks of a launch. What is right does not
 * depend on it. */
enum emulator_order {
    EMULATOR_FORWARD,
    EMULATOR_REVERSE,
    EMULATOR_RANDOM, /* anew at each meeting; waves are mixed, too */
};

#endif
