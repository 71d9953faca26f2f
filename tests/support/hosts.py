"""Hosts that are network namespaces, on one kernel and one disk.

A thread enters a host, and whatever it opens or starts there stays there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
# A range that is for documentation, so that it is nobody's network.
_ADDRESS = "192.0.2.{}"


def _ip(*arguments: str) -> str:
    program = shutil.which("ip")
    assert program, "iproute2 is not installed"
    done = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@dataclass(frozen=True)
class Host:
    """A host.

    Attributes:
        name: What it calls itself.
        address: Where the others reach it.
        namespace: The name of its network namespace.
    """

    name: str
    address: str
    namespace: str
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread be on this host."""
        with (
            Path("/proc/thread-self/ns/net").open("rb") as before,
            Path("/run/netns", self.namespace).open("rb") as here,
        ):
            _enter(here.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def start(self, *command: str | Path, environment: dict[str, str], log: Path) -> None:
        """Start a process that runs until the host dies.

        Args:
            *command: What to run.
            environment: The environment, whole.
            log: Where its output goes.
        """
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name]
        with self.entered(), log.open("ab") as output:
            self._started.append(
                subprocess.Popen(
                    [*named, *command],
                    env=environment,
                    cwd=log.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )

    def die(self) -> None:
        """Cut the host off, so that nobody hears of it, and kill all its processes."""
        with suppress(subprocess.CalledProcessError):
            _ip("-n", self.namespace, "link", "set", "eth0", "down")
        while pids := _ip("netns", "pids", self.namespace).split():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for process in self._started:
            process.wait()


@contextmanager
def network(*names: str) -> Iterator[list[Host]]:
    """Make hosts that reach each other and nothing else.

    Args:
        *names: Their names. The first has the switch.

    Yields:
        The hosts. Their processes are killed at the end.
    """
    with ExitStack() as stack:
        hosts = []
        for number, name in enumerate(names, 1):
            host = Host(name, _ADDRESS.format(number), f"{name}-{os.getpid()}")
            _ip("netns", "add", host.namespace)
            stack.callback(_ip, "netns", "delete", host.namespace)
            stack.callback(host.die)
            hosts.append(host)
            _ip("-n", host.namespace, "link", "set", "lo", "up")
            switch = hosts[0].namespace
            if number == 1:
                _ip("-n", switch, "link", "add", "eth0", "type", "bridge")
            else:
                peer = ["peer", f"port{number}", "netns", switch]
                _ip("-n", host.namespace, "link", "add", "eth0", "type", "veth", *peer)
                _ip("-n", switch, "link", "set", f"port{number}", "master", "eth0", "up")
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.namespace, "link", "set", "eth0", "up")
        yield hosts
