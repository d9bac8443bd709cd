"""How the processes of a training meet: on one machine in a file, between machines at one address.

torchrun and Lightning open a store that listens on every interface, asks nobody who they are and
passes on what is unpickled. Here nothing listens but the pairs of gloo or NCCL, on the loopback
interface (between machines: on the interface that leads to the named address). Gloo's encrypted
transport, which would ask for certificates, is not built into torch's wheels; so on one machine the
kernel is asked instead whose the other end of each connection is.
"""

import datetime
import os
import socket
from pathlib import Path

import psutil
import torch.distributed as dist

TIMEOUT = datetime.timedelta(minutes=30)  # the first process checks a large checkpoint meanwhile


def meet_on_one_machine(file: Path, rank: int, processes: int, backend: str) -> None:
    """Join the other processes of this machine.

    Args:
        file: Where they find each other: a new file in a folder that only this user can read.

    Raises:
        PermissionError: Another user's process is among them.
    """
    _stay_on(interface_of("127.0.0.1"))
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = dist.FileStore(str(file), processes)
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=processes, timeout=TIMEOUT
    )  # fmt: skip
    refuse_strangers()


def meet_nobody(backend: str) -> None:
    """Form a group of this process alone, for a library that wants one."""
    _stay_on(interface_of("127.0.0.1"))
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)


def meet_between_machines(address: str, rank: int, processes: int, backend: str) -> None:
    """Join the processes of other machines, on a network that only these machines use.

    Args:
        address: host:port; the first process listens there and nowhere else.
    """
    host, port = split(address)
    _stay_on(interface_of(source_towards(host, port)))
    os.environ |= {"MASTER_ADDR": host, "MASTER_PORT": str(port)}  # accelerate wants to read them
    listening = None
    if rank == 0:
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
        door.listen(processes)
        listening = door.detach()  # the store closes it
    store = dist.TCPStore(
        host, port, processes, is_master=rank == 0, timeout=TIMEOUT, master_listen_fd=listening
    )
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=processes, timeout=TIMEOUT
    )  # fmt: skip


def split(address: str) -> tuple[str, int]:
    """Return host and port.

    >>> split("10.0.0.7:29500")
    ('10.0.0.7', 29500)
    """
    host, _, port = address.rpartition(":")
    return host, int(port)


def source_towards(host: str, port: int) -> str:
    """Return this machine's address on the way to another one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        return probe.getsockname()[0]


def interface_of(address: str) -> str:
    """Return the name of the interface that has an address.

    >>> interface_of("127.0.0.1") in ("lo", "lo0")
    True
    """
    for name, found in psutil.net_if_addrs().items():
        if address in {entry.address for entry in found}:
            return name
    raise OSError(f"no interface of this machine has the address {address}")


def refuse_strangers() -> None:
    """Raise a PermissionError if a process of another user is at the end of a connection."""
    if foreign := strangers(psutil.Process()):
        raise PermissionError(
            f"a process of user {foreign[0]} answered in the place of one of this training's"
        )


def strangers(process: psutil.Process) -> list[int]:
    """Return the users, other than this one, at the other ends of loopback connections."""
    rows = Path("/proc/net/tcp")
    if not rows.exists():  # not Linux
        return []
    owners = {}
    for row in rows.read_text().splitlines()[1:]:
        _, here, there, state, _, _, _, user, *_ = row.split()
        owners[_address(here), _address(there)] = int(user)
    ends = [
        (tuple(c.raddr), tuple(c.laddr))
        for c in process.net_connections("tcp4")
        if c.status == psutil.CONN_ESTABLISHED and c.raddr.ip.startswith("127.")
    ]
    return [owners[end] for end in ends if end in owners and owners[end] != os.getuid()]


def _address(field: str) -> tuple[str, int]:
    """Read `0100007F:1F90`, an address in the kernel's table.

    >>> _address("0100007F:1F90")
    ('127.0.0.1', 8080)
    """
    host, port = field.split(":")
    return socket.inet_ntoa(int(host, 16).to_bytes(4, "little")), int(port, 16)


def _stay_on(interface: str) -> None:
    os.environ |= {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": f"={interface}"}
