"""Network namespaces that end with the process that created them.

They have no name: an open file keeps each alive. Sockets are made inside from a thread that
enters for a moment and then serve the test's own event loop; whatever needs to live inside
as a whole is a process that enters first.
"""

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import pytest

__all__ = ["Namespace", "drop_rights", "enter", "join", "need_namespaces", "own_mounts"]

_T = TypeVar("_T")
_NEW_NETWORK, _NEW_MOUNTS = 0x40000000, 0x00020000
_TOOLS = "/usr/sbin:/sbin:/usr/bin:/bin"


def need_namespaces() -> None:
    """Skip the test if namespaces are not available; fail in CI."""
    missing = _what_is_missing()
    if missing and os.environ.get("CI"):
        pytest.fail(f"network namespaces: {missing}")
    if missing:
        pytest.skip(f"network namespaces: {missing}")


def _what_is_missing() -> str:
    if not sys.platform.startswith("linux"):
        return "this is no Linux"
    if os.geteuid() != 0:
        return "only root may make them"
    tools = [name for name in ("ip", "tc") if shutil.which(name, path=_TOOLS) is None]
    if tools:
        return f"{tools[0]} is missing; install iproute2"
    if not Path("/proc/sys/net/ipv6").exists():
        return "the kernel speaks no IPv6"
    try:
        Namespace().close()
    except OSError as error:
        return f"the kernel makes none here: {error.strerror}"
    return ""


def _call(name: str, *arguments: object) -> None:
    """Call the C library; raise OSError on failure."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def enter(path: str) -> None:
    """Move the calling thread, and what it starts, into a namespace."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _call("setns", descriptor, _NEW_NETWORK)
    finally:
        os.close(descriptor)


def own_mounts() -> None:
    """Give the calling process a private mount namespace, which ends with it."""
    _call("unshare", _NEW_MOUNTS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True, timeout=10)


def drop_rights() -> None:
    """Drop the privileges of root from the calling process for good."""
    version_3 = struct.pack("=Ii", 0x20080522, 0)
    _call("capset", version_3, bytes(24))


def _in_thread(call: Callable[[], _T]) -> _T:
    """Run `call` in a new thread, so that no other work enters the namespace."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


@dataclass
class Namespace:
    """A network namespace with only loopback up."""

    _file: int = field(init=False)

    def __post_init__(self) -> None:
        def make() -> int:
            _call("unshare", _NEW_NETWORK)
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY)

        self._file = _in_thread(make)

    def __enter__(self) -> Self:
        self.ip("link set lo up")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release it; the kernel removes it with the last process and socket inside."""
        os.close(self._file)

    @property
    def path(self) -> str:
        """Path by which other processes can enter it while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    def do(self, call: Callable[[], _T]) -> _T:
        """Run `call` inside and return its result."""

        def inside() -> _T:
            enter(self.path)
            return call()

        return _in_thread(inside)

    def run(self, *command: str, text: str = "") -> str:
        """Run a program inside and return its output; raise with its stderr on failure."""
        ended = self.do(
            lambda: subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=10,
                env={**os.environ, "PATH": _TOOLS},
            )
        )
        assert ended.returncode == 0, f"{' '.join(command)} {text}: {ended.stderr}"
        return ended.stdout

    def ip(self, *commands: str) -> None:
        """Run `ip` commands, each given without the word `ip`."""
        self.run("ip", "-batch", "-", text="\n".join(commands) + "\n")

    def set(self, **settings: object) -> None:
        """Write kernel settings below `net`: `set(ipv4__ip_forward=1)`; two underscores a dot."""

        def write() -> None:
            for name, value in settings.items():
                Path("/proc/sys/net", *name.split("__")).write_text(f"{value}\n", "ascii")

        self.do(write)

    def listening(self, host: str, port: int) -> socket.socket:
        """Return a TCP socket that listens inside."""

        def listen() -> socket.socket:
            channel = self._socket(host, socket.SOCK_STREAM)
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            channel.bind((host, port))
            channel.listen(64)
            return channel

        return self.do(listen)

    def datagrams(self, host: str, port: int) -> socket.socket:
        """Return a UDP socket that is bound inside."""

        def bind() -> socket.socket:
            channel = self._socket(host, socket.SOCK_DGRAM)
            channel.bind((host, port))
            return channel

        return self.do(bind)

    @staticmethod
    def _socket(host: str, kind: socket.SocketKind) -> socket.socket:
        channel = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        channel.settimeout(0)
        return channel


def join(one: Namespace, other: Namespace, names: tuple[str, str]) -> None:
    """Create a veth pair between two namespaces; both ends are up, without addresses."""
    one.ip(f"link add {names[0]} type veth peer name {names[1]} netns {other.path}")
    one.ip(f"link set {names[0]} up")
    other.ip(f"link set {names[1]} up")
