"""What a program may ask of the kernel: an allow-list for seccomp, the same behind both walls.

`read`, `mmap` and sixty others are allowed; `socket`, `fork`, `kill`, `chmod` and all that nobody
has thought of yet answer "operation not permitted". Threads are not allowed either: a thread whose
stack is shared with another costs no address space but 26 kB of the kernel, so that RLIMIT_AS would
no longer bound what a program takes, and RLIMIT_NPROC does not bind root.
"""

import errno
import tempfile
from functools import cache

from tasks.running.errors import UserError

# Of these every use is harmless: they concern the process itself, or files that the wall lets it
# open. chmod, utime and setxattr are missing on purpose: Landlock does not know them.
ALLOWED = (
    # files
    "access", "close", "dup", "faccessat", "faccessat2", "fstat", "fstatfs", "ftruncate", "getcwd",
    "getdents64", "lseek", "lstat", "newfstatat", "open", "openat", "pread64", "preadv", "pwrite64",
    "pwritev", "read", "readlink", "readlinkat", "readv", "stat", "statfs", "statx", "write",
    "writev", "chdir", "fchdir",
    # memory
    "brk", "madvise", "mmap", "mprotect", "mremap", "msync", "munmap",
    # waiting and the clock
    "clock_getres", "clock_gettime", "clock_nanosleep", "futex", "gettimeofday", "nanosleep",
    "poll", "ppoll", "pselect6", "restart_syscall", "sched_yield", "select", "time",
    # itself
    "arch_prctl", "exit", "exit_group", "getegid", "geteuid", "getgid", "getpid", "getppid",
    "getrandom", "getrlimit", "getrusage", "gettid", "getuid", "rseq", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "set_robust_list", "set_tid_address",
    "sigaltstack", "sysinfo", "times", "uname",
)  # fmt: skip
# of these only with these arguments: fcntl could have signals sent to others, ioctl type for them
FCNTL = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
IOCTL = (0x5401, 0x5450, 0x5451)  # TCGETS (isatty), FIONCLEX, FIOCLEX
# what the trusted beginning needs besides: the interpreter is started, then closes doors behind it
BEFORE = (
    "capget", "capset", "close_range", "dup2", "dup3", "execve", "landlock_add_rule",
    "landlock_create_ruleset", "landlock_restrict_self", "prctl", "seccomp", "setrlimit",
)  # fmt: skip


@cache
def filters() -> tuple[bytes, bytes]:
    """Return two compiled filters: until the interpreter stands, and from then on.

    Raises:
        UserError: libseccomp is missing.
    """
    return _compiled((*ALLOWED, *BEFORE), beginning=True), _compiled(ALLOWED, beginning=False)


def _compiled(allowed: tuple[str, ...], beginning: bool) -> bytes:
    try:
        import pyseccomp as seccomp
    except (ImportError, OSError, RuntimeError) as error:  # it looks for libseccomp when imported
        raise UserError(
            "Programs of models cannot be run: libseccomp is missing",
            f"it bounds what they may ask of the kernel ({error})",
            "`apt-get install libseccomp2`, `pip install pyseccomp`",
        ) from error
    table = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in allowed:
        table.add_rule(seccomp.ALLOW, name)
    for command in FCNTL:
        table.add_rule(seccomp.ALLOW, "fcntl", seccomp.Arg(1, seccomp.EQ, command))
    for command in IOCTL:
        table.add_rule(seccomp.ALLOW, "ioctl", seccomp.Arg(1, seccomp.EQ, command))
    if beginning:
        table.add_rule(seccomp.ALLOW, "prlimit64")
    else:  # of limits: to read its own
        itself, nothing_new = seccomp.Arg(0, seccomp.EQ, 0), seccomp.Arg(2, seccomp.EQ, 0)
        table.add_rule(seccomp.ALLOW, "prlimit64", itself, nothing_new)
    # libraries take "no such call" for "use the old one", and "not permitted" for an end
    table.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    with tempfile.TemporaryFile() as file:
        table.export_bpf(file)
        file.seek(0)
        return file.read()
