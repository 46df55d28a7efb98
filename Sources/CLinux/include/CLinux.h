// System calls that the Glibc module does not show (they need _GNU_SOURCE), each as it is in its manual page.
#ifndef CLINUX_H
#define CLINUX_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
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

// pidfd_open(2): a descriptor that becomes readable when the child ends, or -1.
int clinux_pidfd(pid_t process);

// mallopt(3): octets free at an arena's end that are kept, asked for at once, and from which on a piece has pages of its own.
void clinux_keep_heap(int kept, int step, int large);

// signalfd(2), close-on-exec and non-blocking: a descriptor, or -1. The signals must be blocked.
int clinux_signalfd(const sigset_t *signals);

// read(2) of one siginfo from it: the signal's number, or 0.
int clinux_read_signal(int descriptor);

// Handlers for the signals of the set that only write the signal's number, a byte, to a pipe; the pipe's other end, or -1.
int clinux_watch_signals(const sigset_t *signals);

// A store that is made where it stands: what is noted in shared memory must be there when the process traps.
void clinux_store(uint64_t *place, uint64_t value);

// Whether a status of waitpid(2) is a normal end; its exit code; the signal that ended it else.
int clinux_exited(int status);
int clinux_exit_code(int status);
int clinux_ending_signal(int status);

#endif
