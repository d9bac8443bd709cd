"""The first lines that run inside the sandbox; trusted, until they hand over to the program.

Started as `python inside.py`, with nothing of ours to import. Standard input holds what the parent
has marshalled: what to close and the program. The parent learns by a pipe how far this came: "s"
when all locks are shut, "c" when the program is compiled. The pipe is closed before the program
begins, so that no program can write into it.
"""

import ctypes
import marshal
import os
import random
import resource
import sys
import types
from ctypes import c_uint32, c_ushort, c_void_p

FILE = "program.py"  # as tracebacks call it
ONLY_TREE = 0x400  # ast.PyCF_ONLY_AST
SYS_LANDLOCK = {"create": 444, "add": 445, "restrict": 446}  # on all machines
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 22, 24
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, CLEAR_ALL, FILTER, SIGKILL = 38, 47, 4, 2, 9
libc = ctypes.CDLL(None, use_errno=True)


class Filter(ctypes.Structure):
    """A BPF program, as seccomp takes it (struct sock_fprog)."""

    _fields_ = [("length", c_ushort), ("code", c_void_p)]


def checked(result: int) -> int:
    """Return what the kernel answered; a refusal ends everything before it begins."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def restrict_files(handled: tuple[int, int, int], rules: list[tuple[str, int]]) -> None:
    """Shut all files but those of the rules, for ever (Landlock)."""
    attributes = (ctypes.c_uint64 * 3)(*handled)
    # older kernels know fewer fields; what they do not know is zero, and may follow
    size = 8 * max(i + 1 for i, field in enumerate(handled) if field)
    ruleset = checked(libc.syscall(SYS_LANDLOCK["create"], attributes, size, 0))
    for path, access in rules:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = access.to_bytes(8, "little") + place.to_bytes(4, "little")
        checked(libc.syscall(SYS_LANDLOCK["add"], ruleset, 1, rule, 0))
        os.close(place)
    checked(libc.syscall(SYS_LANDLOCK["restrict"], ruleset, 0))
    os.close(ruleset)


def drop_capabilities() -> None:
    """Give up what root may do, also for whatever might be started."""
    libc.prctl(PR_CAP_AMBIENT, CLEAR_ALL, 0, 0, 0)
    for number in range(64):
        libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    header, nothing = (c_uint32 * 2)(0x20080522, 0), (c_uint32 * 6)()
    checked(libc.syscall(SYS_CAPSET[os.uname().machine], header, nothing))


def shut(code: bytes) -> None:
    """Let the kernel answer from now on only what the filter allows."""
    table = Filter(len(code) // 8, ctypes.cast(ctypes.c_char_p(code), c_void_p))
    checked(libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(table), 0, 0))


def repeatable() -> None:
    """Make what is drawn at random the same in every run: of `random`, numpy and `os.urandom`."""
    source = random.Random(0)
    os.urandom = vars(random)["_urandom"] = source.randbytes  # `random` has a name of its own
    random.seed(0)


def main() -> None:
    """Shut all locks, compile the program, and become it."""
    told, code = marshal.loads(sys.stdin.buffer.read())
    report = told["report"]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[:] = [*[path for path in sys.path if os.path.isdir(path)], told["packages"]]
    repeatable()
    for name, most in told["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (most, most))
    if told["parent"] is not None:
        checked(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        if os.getppid() != told["parent"]:
            sys.exit("its parent is gone")
        os.chdir(told["folder"])
        os.setsid()
        drop_capabilities()
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if told["landlock"]:
        restrict_files(*told["landlock"])
    os.closerange(3, report)
    os.closerange(report + 1, 4096)
    shut(told["filter"])
    os.write(report, b"s")
    try:
        tree = compile(code, FILE, "exec", ONLY_TREE, dont_inherit=True)
        program = compile(tree, FILE, "exec", dont_inherit=True)
    except Exception as error:  # SyntaxError, ValueError, MemoryError, RecursionError, ...
        sys.exit(f"{type(error).__name__}: {error}")
    if not tree.body:
        sys.exit("there is no statement in it")
    os.write(report, b"c")
    os.close(report)
    become(program, code)


def become(program: types.CodeType, code: bytes) -> None:
    """Run the program as `__main__`; what it raises is told with its own lines."""
    sys.argv = [FILE]
    module = types.ModuleType("__main__")
    module.__file__ = FILE
    sys.modules["__main__"] = module
    try:
        exec(program, module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        import linecache
        import traceback

        lines = code.decode("utf-8", "replace").splitlines(keepends=True)
        linecache.cache[FILE] = (len(code), None, lines, FILE)
        behind = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, behind)
        sys.exit(1)


if __name__ == "__main__":
    main()
