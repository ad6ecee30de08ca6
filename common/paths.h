/* Where things are (ARCHITECTURE.md, "Places"): one function a place. The caller frees what
 * they return. Folders are not made here. */
#ifndef RBEE_COMMON_PATHS_H
#define RBEE_COMMON_PATHS_H

#include "common/err.h"

/* $XDG_CONFIG_HOME/rbee/rbee.conf or ~/.config/rbee/rbee.conf */
char *paths_user_config(void);
/* NAME beside it: token, infer-token. */
char *paths_user_token(const char *name);
/* /etc/rbee/rbee.conf */
const char *paths_system_config(void);
/* $XDG_STATE_HOME/rbee or ~/.local/state/rbee: rbee.db, rbee.lock, logs/ */
char *paths_state_dir(void);
/* $XDG_RUNTIME_DIR/rbee, else /run/user/UID/rbee, else STATE/run; of the first two, what is not a
 * folder of ours is passed over. */
char *paths_runtime_dir(void);
/* The socket rbeed listens on unless told otherwise: RUNTIME_DIR/rbee.sock */
char *paths_socket(void);
/* $XDG_DATA_HOME/rbee/models or ~/.local/share/rbee/models: what was pulled */
char *paths_models_dir(void);
/* $XDG_CACHE_HOME/rbee or ~/.cache/rbee: what can be measured again */
char *paths_cache_dir(void);
/* Where Hugging Face's own programs keep the token of its user: $HF_HOME/token, else
 * $XDG_CACHE_HOME/huggingface/token, else ~/.cache/huggingface/token */
char *paths_hub_token(void);
/* The program NAME beside the running one (/proc/self/exe), else in ../libexec/rbee from there,
 * where an installation keeps what people do not start; else NAME alone for the PATH. */
char *paths_sibling_program(const char *name);
/* TEXT below FOLDER. */
char *paths_join(const char *folder, const char *name);
/* PATH made absolute against the current folder, "." and ".." resolved, links left alone. NULL and
 * ERR_IO when there is no current folder. */
char *paths_absolute(const char *path, struct err *err);

#endif
