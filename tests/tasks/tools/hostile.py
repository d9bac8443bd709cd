"""Hostile programs, by the promise they attack. `tries` tells of whatever works.

`make attack` runs them with a lock taken away, maybe as root: each is written so that it can harm
nothing but the world of `attacks.targets` even if it succeeds. Signals have the number 0, values
that are set are those that are there, bombs are small, files of the system are opened and left.
"""

from tasks.tools.outcome import Limits
from tests.tasks.tools.attacks import SHORT, Attack

NETWORK = """
import socket
kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)
for family in (*range(1, 46),):
    for kind in kinds:
        tries(f"socket {family} {kind}", socket.socket, family, kind)
        tries(f"pair {family} {kind}", socket.socketpair, family, kind)
        tries(f"raw call {family} {kind}", call, 41, family, int(kind), 0)
"""
VISITS = """
import socket, urllib.request
for name, family in (("tcp", 2), ("unix", 1), ("abstract", 1)):
    tries(name, lambda: socket.socket(family).connect(T[name]))
tries("udp", lambda: socket.socket(2, 2).sendto(b"x", T["udp"]))
tries("high level", socket.create_connection, T["tcp"], 1)
tries("http", urllib.request.urlopen, "http://127.0.0.1:%d/" % T["tcp"][1], None, 1)
tries("names", socket.getaddrinfo, "example.com", 80)
tries("host name by DNS", socket.gethostbyname, "example.com")
for number in (42, 43, 44, 46, 49, 50, 53, 288, 299, 307):  # connect, accept, sendto, bind, ...
    tries(f"call {number}", call, number, 0, 0, 0, 0, 0, 0)
"""
READS = """
files = ["/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/hosts", "/proc/self/environ",
    "/proc/1/environ", "/proc/self/maps", "/proc/self/root/etc/passwd", "/proc/version",
    "/proc/%d/environ" % T["parent"], "/proc/%d/cmdline" % T["parent"], "/sys/kernel/notes",
    "/dev/mem", "/dev/kmsg", "/dev/tty", "/dev/zero", "/dev/random", "/dev/full", "/dev/vda",
    "/dev/sda", "/dev/fuse", "/dev/ptmx", "/bin/sh", "/usr/bin/env", "/root/.bashrc",
    "/var/log/dpkg.log", "/etc/ld.so.cache"]
for path in files + T["canaries"]:
    for way in (path, "/work/../.." + path, "../../../../../.." + path, "//" + path,
                "/work/./" + path):
        tries(f"read {way}", lambda: open(way, "rb").read(1))
    tries(f"by the C library {path}", lambda: call(2, path.encode(), 0))
    tries(f"from its folder {path}", lambda: os.open(os.path.basename(path), 0,
        dir_fd=os.open(os.path.dirname(path), os.O_PATH)))
way = [part for path in (sys.executable, os.__file__) for part in path.split("/")]
for folder in ["/etc", "/home", "/root", "/tmp", "/proc", "/sys", "/dev", "/usr", "/bin", "/var",
               "/run", "/mnt", "/boot", "/", "..", "../..", *T["folders"]]:
    if os.path.exists(folder):
        tries(f"list {folder}", lambda: [name for name in os.listdir(folder) if name not in
            ("null", "urandom", "dev", "work", "packages", "inside.py", "lib", "lib64", *way)][0])
"""
DESCRIPTORS = """
for number in range(3, 1024):
    tries(f"descriptor {number}", os.fstat, number)
    tries(f"read {number}", os.read, number, 1)
    tries(f"write {number}", os.write, number, b"x")
tries("by a handle", call, 304, 0, 0, 0)
tries("standard input", lambda: os.read(0, 100).decode()[0])
"""
WRITES = """
import numpy
for path in [numpy.__file__, os.__file__, "input.png", "/inside.py", sys.executable, "/etc/passwd",
             *T["canaries"]]:
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
        tries(f"open {path}", os.open, path, flags)
for path in T["created"]:
    tries(f"create {path}", os.open, path, os.O_WRONLY | os.O_CREAT)
    tries(f"unnamed {path}", os.open, os.path.dirname(path) or ".", os.O_TMPFILE | os.O_RDWR)
for path in ["input.png", *T["canaries"], *[folder + "/new" for folder in T["folders"]]]:
    tries(f"open {path}", open, path, "w")
    tries(f"truncate {path}", os.truncate, path, 0)
    tries(f"call truncate {path}", call, 76, path.encode(), 0)
    tries(f"link {path}", os.link, path, "linked")
    tries(f"link away {path}", os.link, "output.png", path + "1")
    tries(f"rename {path}", os.rename, path, path + "2")
    tries(f"rename over {path}", os.replace, "output.png", path)
    tries(f"remove {path}", os.unlink, path)
"""
CHANGES = """
for path in ["input.png", "output.png", ".", *T["canaries"], *T["folders"]]:
    tries(f"chmod {path}", os.chmod, path, 0o777)
    tries(f"chown {path}", os.chown, path, os.getuid(), os.getgid())
    tries(f"utime {path}", os.utime, path, (1, 1))
    tries(f"setxattr {path}", os.setxattr, path, "user.x", b"y")
    tries(f"removexattr {path}", os.removexattr, path, "user.x")
    tries(f"mkdir {path}", os.mkdir, path + "-new")
    tries(f"mkfifo {path}", os.mkfifo, path + "-queue")
    tries(f"mknod {path}", os.mknod, path + "-file", 0o100600)
    tries(f"symlink {path}", os.symlink, T["canaries"][0], path + "-link")
with open("output.png", "r+b") as file:
    tries("fchmod", os.fchmod, file.fileno(), 0o777)
    tries("fchown", os.fchown, file.fileno(), os.getuid(), os.getgid())
    tries("futime", os.utime, file.fileno(), (1, 1))
    tries("fsetxattr", os.setxattr, file.fileno(), "user.x", b"y")
    tries("flags", call, 16, file.fileno(), 0x40086602, ctypes.byref(ctypes.c_long(0x40)))
for path in ["output.png", *T["folders"]]:
    tries(f"unlink {path}", os.unlink, path)
    tries(f"rmdir {path}", os.rmdir, path)
"""
OUTPUT = """
def replaced(by, *arguments):
    os.unlink("output.png")
    by(*arguments)
tries("a link", replaced, os.symlink, T["canaries"][0], "output.png")
tries("a queue", replaced, os.mkfifo, "output.png")
tries("a folder", replaced, os.mkdir, "output.png")
tries("a hard link", replaced, os.link, "input.png", "output.png")
tries("exchanged", call, 316, -100, b"input.png", -100, b"output.png", 2)
with open("output.png", "r+b") as file:
    tries("10 GB with nothing in it", file.truncate, 10 * 2**30)
    tries("far behind", os.pwrite, file.fileno(), b"x", 10**9)
    tries("allocated", call, 285, file.fileno(), 0, 0, 10**9)
"""
PROCESSES = """
import multiprocessing, subprocess, threading, _posixsubprocess
tries("fork", lambda: os.fork() or os._exit(0))
tries("forkpty", os.forkpty)
tries("spawn", os.posix_spawn, sys.executable, ["python", "-c", "pass"], {})
tries("run", lambda: subprocess.run([sys.executable, "-c", "pass"]))
tries("shell", lambda: 1 / (os.system("true") == 0))
tries("popen", lambda: subprocess.Popen("true"))
for way in ("fork", "spawn", "forkserver"):
    tries(way, lambda: multiprocessing.get_context(way).Process(target=print).start())
for flags in (0, 17, 0x100, 0x4111, 0x3d0f00, 0x10000000, 0x20000000, 0x40000000, 0x2000000):
    tries(f"clone {flags:x}", lambda: call(56, flags, 0, 0, 0, 0) or os._exit(0))
tries("clone3", call, 435, (ctypes.c_uint64 * 11)(), 88)
tries("fork by number", lambda: call(57) or os._exit(0))
tries("vfork", lambda: call(58) or os._exit(0))
tries("thread", lambda: threading.Thread(target=print).start())
tries("exec", os.execv, sys.executable, ["python", "-c", "print('ESCAPED exec')"])
tries("execveat", call, 322, -100, sys.executable.encode(), 0, 0, 0)
tries("exec in memory", lambda: os.fexecve if hasattr(os, "fexecve") else 1 / 0)
"""
BOMB = """
import time
for i in range(30):
    tries("fork", lambda: os.fork() or (os.setsid(), time.sleep(1), os._exit(0)))
"""
SECRETS = """
import gc
token = T["backwards"][::-1]
found = [name for name, value in os.environ.items() if token in value or "KEY" in name]
found += [word for word in sys.orig_argv + sys.argv if token in word]
for number in ("self", "1", "2", str(T["parent"]), str(T["sibling"]), str(os.getppid())):
    for name in ("environ", "cmdline", "mem", "maps"):
        tries(f"{number} {name}", lambda: open(f"/proc/{number}/{name}", "rb").read())
environment = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
i = 0
while environment[i]:
    found += [environment[i]] if token.encode() in environment[i] else []
    i += 1
named = set(os.environ) - {"LC_ALL", "PYTHONUTF8", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "PWD",
    "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "OPENCV_LOG_LEVEL"}
if found or named:
    print("ESCAPED", [str(f)[:5] for f in found], named)
"""
OTHERS = """
import resource, signal
everybody = set(range(os.cpu_count()))
for target in {T["parent"], T["sibling"], os.getppid(), -1, -T["parent"], 1, 2} - {0}:
    tries(f"kill {target}", os.kill, target, 0)
    tries(f"tkill {target}", call, 200, target, 0)
    tries(f"tgkill {target}", call, 234, target, target, 0)
    tries(f"queue {target}", call, 129, target, 0, (ctypes.c_char * 128)())
    tries(f"group {target}", os.killpg, abs(target), 0)
    tries(f"pidfd {target}", call, 434, target, 0)
    tries(f"trace {target}", call, 101, 0x4206, target, 0, 0)
    tries(f"read {target}", call, 310, target, 0, 0, 0, 0, 0)
    tries(f"write {target}", call, 311, target, 0, 0, 0, 0, 0)
    tries(f"limits {target}", resource.prlimit, target, resource.RLIMIT_NOFILE)
    tries(f"priority {target}", call, 140, 0, abs(target))
    tries(f"cores {target}", os.sched_setaffinity, abs(target), everybody)
    tries(f"scheduler {target}", call, 145, abs(target))
    tries(f"disk {target}", call, 252, 1, abs(target))
    tries(f"group of {target}", os.getpgid, abs(target))
    tries(f"session of {target}", os.getsid, abs(target))
    tries(f"compare {target}", call, 312, target, target, 0, 0, 0)
tries("nice", os.nice, 0)
for place, number in ((0, 0x5412), (1, 0x5412), (0, 0x100005412), (0, 0x5415), (1, 0x541D)):
    try:
        call(16, place, number, b"x")
    except OSError as error:
        if error.errno == 1:  # and not that it is no terminal
            continue
    print("ESCAPED terminal", place, number)
tries("owner of signals", call, 72, 1, 8, T["parent"])
tries("signals of a pipe", call, 72, 1, 4, 0o20000)
tries("pipe's size", call, 72, 1, 1031, 2**20)
tries("session", os.setsid)
tries("limit", resource.setrlimit, resource.RLIMIT_AS, (-1, -1))
tries("limit of time", resource.setrlimit, resource.RLIMIT_CPU, (-1, -1))
tries("limit by number", call, 160, 9, (ctypes.c_uint64 * 2)(2**40, 2**40))
tries("limit as it is", call, 160, 7, (ctypes.c_uint64 * 2)(64, 64))
tries("death of the parent", call, 157, 1, 0, 0, 0, 0)
"""
# Numbers of x86-64. Each asks for something impossible: who is let through is told so, and who is
# not is told "not permitted" or "no such call".
POWERS = """
numbers = dict(mount=165, umount=166, unshare=272, setns=308, chroot=161, pivot_root=155,
    keyctl=250, add_key=248, request_key=249, bpf=321, perf=298, io_uring=425, io_uring_enter=426,
    io_uring_register=427, userfaultfd=323, personality=135, init_module=175, finit_module=313,
    delete_module=176, kexec=246, swapon=167, swapoff=168, sethostname=170, setdomainname=171,
    settimeofday=164, clock_settime=227, adjtimex=159, syslog=103, quotactl=179,
    name_to_handle=303, open_by_handle=304, fanotify=300, fanotify_mark=301, inotify=253,
    inotify1=294, seccomp=317, memfd_secret=447, fsopen=430, fsconfig=431, fsmount=432,
    fspick=433, open_tree=428, move_mount=429, mount_setattr=442, iopl=172, ioperm=173, acct=163,
    mq_open=240, mq_unlink=241, timer_create=222, signalfd=282, signalfd4=289, eventfd=284,
    eventfd2=290, timerfd=283, pipe=22, pipe2=293, epoll=213, epoll1=291, prctl=157, capget=125,
    capset=126, modify_ldt=154, landlock=444, landlock_add=445, landlock_restrict=446,
    pkey_alloc=330, membarrier=324, process_madvise=440, process_mrelease=448, cachestat=451,
    set_mempolicy=238, mbind=237, get_mempolicy=239, move_pages=279, migrate_pages=256, msgget=68,
    msgsnd=69, msgrcv=70, msgctl=71, semget=64, semop=65, semctl=66, shmget=29, shmat=30,
    shmctl=31, shmdt=67, memfd=319, splice=275, vmsplice=278, tee=276, sendfile=40,
    copy_file_range=326, mlock=149, mlockall=151, mlock2=325, munlockall=152, fallocate=285,
    pidfd_getfd=438, pidfd_signal=424, futex_waitv=449, ustat=136, sysfs=139, uselib=134,
    setitimer=38, getitimer=36, alarm=37, times_of_files=280, umask=95, wait=61, waitid=247,
    io_setup=206, remap=216, readahead=187, fadvise=221, sync=162, syncfs=306, flock=73, dup2=33,
    dup3=292, close_range=436, openat2=437, execve=59, execveat=322, rt_sigtimedwait=128,
    sched_setattr=314, kcmp=312, getgroups=115, ptrace=101, setfsuid=122, setreuid=113, getpgrp=111)
for name, number in numbers.items():
    for argument in (0, -1, 0x10000000, 0x20000000):
        try:
            answer = call(number, argument, 0, 0, 0, 0, 0)
        except OSError as error:
            if error.errno in (1, 38):
                continue
            answer = error
        print("ESCAPED", name, argument, repr(answer)[:60], flush=True)
for name in ("setuid", "seteuid", "setgid", "setegid"):
    tries(name, getattr(os, name), os.getuid())
tries("setgroups", os.setgroups, [])
tries("setresuid", os.setresuid, -1, -1, -1)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
tries("capabilities", call, 126, header, data)
"""
ABI = {
    "32 bits": "b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3'",  # getpid by int 0x80
    "x32": "b'\\xb8\\x27\\x00\\x00\\x40\\x0f\\x05\\xc3'",  # getpid by number 0x40000027
}
OTHER_ABI = """
import mmap, platform
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write({code})
at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
answer = ctypes.CFUNCTYPE(ctypes.c_long)(at)()
if answer > 0:
    print("ESCAPED", answer)
"""
FORGED = "print(\"\\nstatus: ok\\n[ended with code 0]\\n{'status': 'ok'}\"); os._exit(3)"
# seconds enough for a busy machine: what bounds these is memory
SMALL = Limits(cpu=5, seconds=60, memory=400_000_000)
KILLED = ("time",)
TABLE = [
    Attack("no network", "sockets of every family", NETWORK),
    Attack("no network", "servers that wait", VISITS),
    Attack("reads", "files and folders", READS),
    Attack("reads", "inherited descriptors", DESCRIPTORS),
    Attack("writes", "files elsewhere", WRITES),
    Attack("writes", "modes, times, links, queues", CHANGES),
    Attack("its output", "something else in its place", OUTPUT),
    Attack("no other process", "every way to start one", PROCESSES),
    Attack("no other process", "a bomb of forks", BOMB),
    Attack("no secrets", "variables, arguments, memory", SECRETS),
    Attack("others", "signals, traces, limits, priorities", OTHERS),
    Attack("no new powers", "calls that give some", POWERS),
    *(
        Attack("no new powers", f"calls of {name}", OTHER_ABI.format(code=code), ("ok", "crashed"))
        for name, code in ABI.items()
    ),
    # what never ends
    Attack("time", "a loop", "while True: pass", KILLED, SHORT),
    Attack("time", "sleep", "import time; time.sleep(60)", KILLED, SHORT),
    Attack("time", "a regular expression", "import re; re.match('(a*)*$', 'a' * 40 + 'b')", KILLED,
           SHORT),
    Attack("time", "a power", "x = 7 ** (10 ** 9)", KILLED, SHORT),
    Attack("time", "ignored signals", "for n in range(1, 65): libc.signal(n, ctypes.c_void_p(1))\n"
           "while True: pass", KILLED, SHORT),
    Attack("time", "its parent's death", "libc.prctl(1, 0)\nwhile True: pass", KILLED, SHORT),
    Attack("time", "at its end", "import atexit, time; atexit.register(time.sleep, 60)",
           KILLED, SHORT),
    Attack("time", "closed output", "os.close(1); os.close(2)\nwhile True: pass", KILLED, SHORT),
    # what takes more than there is
    Attack("memory", "bytes", "x = bytes(10 ** 10)", ("failed",), SMALL),
    Attack("memory", "a list that grows", "x = [bytearray(10 ** 7) for i in range(70)]",
           ("failed",), SMALL),
    Attack("memory", "touched numpy", "import numpy\n"
           "x = [numpy.ones(10 ** 6) for i in range(80)]", ("failed",), SMALL),
    Attack("memory", "shared maps", "import mmap\nx = []\nfor i in range(70):\n"
           "    x.append(mmap.mmap(-1, 10 ** 7)); x[-1].write(b'1' * 10 ** 7)",
           ("failed",), SMALL),
    Attack("memory", "memfd", "def fill():\n    f = os.memfd_create('x')\n"
           "    for i in range(500): os.write(f, bytes(10 ** 6))\ntries('', fill)", limits=SMALL),
    Attack("memory", "System V and POSIX", "def fill():\n    n = call(29, 0, 10 ** 8, 0o1600)\n"
           "    p = call(30, n, 0, 0); call(31, n, 0, 0); ctypes.memset(p, 1, 10 ** 8)\n"
           "tries('', fill)\ntries('', lambda: open('/dev/shm/x', 'w'))\n"
           "from multiprocessing import shared_memory as s\n"
           "tries('', lambda: s.SharedMemory(create=True, size=10 ** 9))", limits=SMALL),
    Attack("memory", "10,000 threads", "import threading, time\nthreading.stack_size(32768)\n"
           "def start():\n    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
           "for i in range(10_000): tries('thread', start)", limits=SMALL),
    Attack("memory", "recursion", "sys.setrecursionlimit(10 ** 9)\ndef f(): f()\nf()",
           ("failed", "crashed", "time"), Limits(cpu=1, seconds=2, memory=400_000_000)),
    Attack("memory", "a huge picture", "from PIL import Image\n"
           "Image.open('input.png').resize((100_000, 100_000))", ("failed",), SMALL),
    Attack("memory", "pipes", "x = []\nfor i in range(10_000): tries('', os.pipe)", limits=SMALL),
    # what it says
    Attack("what it says", "without end", "while True: print('x' * 1000)",
           ("time", "failed"), SHORT),
    Attack("what it says", "10 GB of errors",
           "for i in range(10 ** 4): os.write(2, b'y' * 10 ** 6)", ("time", "failed"), SHORT),
    Attack("what it says", "what cannot be shown",
           "os.write(1, bytes(range(256)) * 300 + b'\\x00' * 50_000 + b'\\x1b[2J\\x1b]0;x\\x07')",
           also=lambda outcome: "" if not set(outcome.text) & {"\x00", "\x1b", "\x07"} else "raw"),
    Attack("what it says", "a forged status", FORGED, ("failed",),
           also=lambda o: "" if o.text.endswith("\n[ended with code 3]") else o.text),
]  # fmt: skip
