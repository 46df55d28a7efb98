// System calls that the Glibc module does not show (they need _GNU_SOURCE), each as it is in its manual page.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <sys/types.h>

// getrandom(2) without flags: bytes written, or -1.
ssize_t clinux_getrandom(void *buffer, size_t count);

// accept4(2) with SOCK_CLOEXEC and SOCK_NONBLOCK, the peer's address not asked for: a descriptor, or -1.
int clinux_accept(int listener);

// pthread_setname_np(3) for the calling thread.
void clinux_name_thread(const char *name);

// memfd_create(2), close-on-exec: a descriptor, or -1.
int clinux_memfd(const char *name);

// setgroups/initgroups(3), setresgid(2), setresuid(2), and a check that they hold: 0, or an error number.
int clinux_become(const char *user, uid_t uid, gid_t gid);

// prctl(PR_SET_PDEATHSIG): the calling process gets `signal` when its parent ends.
int clinux_die_with_parent(int signal);

#endif
