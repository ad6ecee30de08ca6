/* What of GPUs can be seen without a driver's library: for the message when there is none of use.
 */
#ifndef RBEE_HIP_BACKEND_GPU_HARDWARE_H
#define RBEE_HIP_BACKEND_GPU_HARDWARE_H

#include <stddef.h>

/* One sentence that says what keeps the GPUs of the machine at ROOT ("" but in tests) from being
 * used, and what to do; LIBRARY_SAYS is what the libraries that could be loaded have said, "" if
 * there was none. */
void gpu_hardware_explain(const char *root, const char *library_says, char *out, size_t size);

#endif
