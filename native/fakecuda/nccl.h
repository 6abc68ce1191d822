// What the core knows of NCCL.

#ifndef FAKECUDA_NCCL_H
#define FAKECUDA_NCCL_H

// Calls that wait for other ranks wait no longer.
void nccl_stop(void);

// Forgets all communicators; nothing may run any more.
void nccl_reset(void);

#endif
