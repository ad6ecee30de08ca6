/* EMULATOR_ASAN: AddressSanitizer is in this build. gcc says so in another way than clang. */
#ifndef RBEE_TESTS_EMULATOR_ASAN_H
#define RBEE_TESTS_EMULATOR_ASAN_H

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define EMULATOR_ASAN
#endif

#endif
