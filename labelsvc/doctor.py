"""What hinders printing on this machine, each with its remedy: ``labelsvc doctor``.

A check is a pure function of what was found, so that a test can hand it any machine; the collectors at the end look at this one
(/proc, /sys, a few programs) and change nothing. Nothing of orders, labels or people is looked at.
"""

from __future__ import annotations

import ctypes
import grp
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from labelsvc.db import Database
from labelsvc.errors import LabelsvcError
from labelsvc.labels import StandardTemplates, compose
from labelsvc.languages import Target, encode
from labelsvc.migrations import HEAD
from labelsvc.printing import Printers, Profiles, Reach, Wakeups, host_name, host_of, reach
from labelsvc.security import Accounts, Actor
from labelsvc.settings import TAKEN_PORTS, Settings
from labelsvc.waybills import sample_label

Verdict = Literal["ok", "warning", "problem"]

_MB = 1_000_000
_SCARCE = (50 * _MB, 500 * _MB)  #: free bytes below which nothing, and little, can be stored
_SCARCE_INODES = (100, 5000)
_SLOW_COMMIT_S = 0.1  #: three commits a label: more is felt at the bench
#: File systems that forget, and those on which SQLite's locks and memory map aren't reliable (sqlite.org/wal.html).
_IN_MEMORY = {"tmpfs", "ramfs"}
_ON_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"}
_SETS_THE_CLOCK = "timedatectl set-ntp true, or set it by hand"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, whether it hinders printing, what was found, and what to do."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Process:
    """A process of this machine."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"

    @property
    def ours(self) -> bool:
        """Whether it is the service; where systemd holds the port for it, it is that."""
        return self.name in ("labelsvc", "systemd")


@dataclass(frozen=True)
class Node:
    """A device's file."""

    path: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Who:
    """Whose rights count: the user who runs the service."""

    uid: int
    groups: frozenset[int]
    words: str

    def may_use(self, node: Node) -> bool:
        """Whether this user may read and write a device."""
        if self.uid == 0:
            return True
        shift = 6 if node.uid == self.uid else 3 if node.gid in self.groups else 0
        return node.mode >> shift & 6 == 6


@dataclass(frozen=True)
class UsbPrinter:
    """A device with an interface of the printer class."""

    port_path: str
    name: str
    serial: str
    node: Node | None
    driver: str  #: of its printing interface: usblp, usbfs (a program has it), or none
    holders: tuple[Process, ...] = ()  #: who has its node or its /dev/usb/lp open


@dataclass(frozen=True)
class Queue:
    """A queue of CUPS."""

    name: str
    uri: str


@dataclass(frozen=True)
class Asked:
    """A printer on the network or a queue of CUPS, and how it took being asked."""

    uri: str
    reach: Reach | None = (
        None  #: None: it wasn't asked, because the service has its connection, or it hangs elsewhere
    )
    holders: (
        tuple[Process, ...] | None
    ) = ()  #: who on this machine is connected to it; None: only root can see who
    node: str = ""  #: the other machine that it hangs on


@dataclass(frozen=True)
class Disk:
    """Where the state directory lies."""

    path: str
    exists: bool
    writable: bool
    free_bytes: int = 0
    free_inodes: int | None = None  #: None: the file system has no such limit
    kind: str = ""
    options: str = ""
    commit_s: float = 0.0
    newest: float = 0.0  #: when the newest file in it was written, by the clock of then


def examine(settings: Settings) -> list[Finding]:
    """Look at this machine as the user who asks; root looks for the service's unit."""
    who, printers = _who(), usb_printers(Path("/"))
    disk = _disk(settings.state_dir)
    return [
        *judge_disk(disk),
        *judge_clock(time.time(), _newest_of_ours(), disk.newest, _synchronised()),
        *judge_key(settings.key_file, _has_data(settings)),
        *judge_database(settings),
        *judge_port(settings.host, settings.port, listeners(settings.port)),
        *(
            finding
            for port, name in TAKEN_PORTS.items()
            for finding in judge_neighbour(port, name, listeners(port))
        ),
        *judge_libusb(_libusb()),
        *judge_usb(printers, who),
        *judge_serial(_serial_nodes(), who),
        *judge_cups(_named("cupsd"), _named("ipp-usb"), _queues(), printers),
        *judge_printers(ask_printers(settings)),
        *judge_fonts(),
    ]


# -- judging: pure -----------------------------------------------------------------------------------------------


def judge_disk(disk: Disk) -> Iterator[Finding]:
    """Space, and whether what is committed stays."""
    if not disk.exists:
        yield Finding("disk", "ok", f"{disk.path} isn't there yet; the first start makes it")
        return
    if not disk.writable:
        yield Finding(
            "disk",
            "problem",
            f"{disk.path} can't be written to",
            "mount it writable, and give it to the user who runs the service; under systemd: StateDirectory=labelsvc",
        )
    free = f"{disk.free_bytes // _MB} MB free"
    room = "remove or move files, or lower erase_after_days"
    if disk.free_bytes < _SCARCE[1]:
        yield Finding("disk", "problem" if disk.free_bytes < _SCARCE[0] else "warning", free, room)
    if disk.free_inodes is not None and disk.free_inodes < _SCARCE_INODES[1]:
        worst = disk.free_inodes < _SCARCE_INODES[0]
        yield Finding("disk", "problem" if worst else "warning", f"room for {disk.free_inodes} files", room)
    if disk.kind in _IN_MEMORY:
        yield Finding(
            "disk",
            "problem",
            f"{disk.path} is in memory: labels in hand are lost at power off",
            "set state_dir to a folder on a disk",
        )
    if disk.kind in _ON_NETWORK:
        yield Finding(
            "disk",
            "problem",
            f"{disk.path} is on a network file system ({disk.kind}), where SQLite isn't reliable",
            "set state_dir to a local disk, or use PostgreSQL (database_url)",
        )
    if {"nobarrier", "barrier=0"} & set(disk.options.split(",")):
        yield Finding(
            "disk",
            "problem",
            f"{disk.path} is mounted without barriers: a power cut may print labels twice",
            "mount it without nobarrier",
        )
    if disk.commit_s > _SLOW_COMMIT_S:
        yield Finding(
            "disk",
            "warning",
            f"a commit takes {disk.commit_s * 1000:.0f} ms, and a label needs three",
            "use an SSD, or see what else writes",
        )
    if disk.writable and disk.free_bytes >= _SCARCE[1]:
        yield Finding("disk", "ok", f"{free}, a commit takes {disk.commit_s * 1000:.0f} ms")


def judge_clock(now: float, ours: float, newest: float, synchronised: bool | None) -> Iterator[Finding]:
    """Seconds since 1970: now, of our newest program file, of the newest file that the service wrote."""
    if now < ours - 86_400:
        yield Finding(
            "clock", "problem", f"it says {_date(now)}, before this program was made", _SETS_THE_CLOCK
        )
    elif newest > now + 60:
        yield Finding(
            "clock",
            "warning",
            f"it was set back: the service wrote its files at {_date(newest)}, and now is {_date(now)}",
            _SETS_THE_CLOCK,
        )
    elif synchronised is False:
        yield Finding("clock", "warning", "nobody keeps it right", _SETS_THE_CLOCK)
    else:
        kept = "" if synchronised is None else ", kept right"
        yield Finding("clock", "ok", f"{_date(now)}{kept}")


def judge_key(path: Path, has_data: bool) -> Iterator[Finding]:
    """The sealing keys: there, and nobody else's to read."""
    try:
        found = path.stat()
    except FileNotFoundError:
        if has_data:
            yield Finding(
                "key",
                "problem",
                f"{path} is gone, and with it the names and addresses in the database",
                "put the copy of sealing.key back that was kept apart from the database",
            )
        else:
            yield Finding("key", "ok", "not made yet; the first start makes it")
        return
    except OSError as error:
        yield Finding(
            "key",
            "problem",
            f"{path} can't be looked at ({_word(error)})",
            "ask as the user who runs the service",
        )
        return
    if found.st_mode & 0o077:
        yield Finding(
            "key", "problem", f"others may read {path}; the service refuses it", f"chmod 600 {path}"
        )
    elif not os.access(path, os.R_OK):
        yield Finding("key", "problem", f"{path} can't be read", "give it to the user who runs the service")
    else:
        yield Finding("key", "ok", f"{path}, for its owner only")


def judge_database(settings: Settings) -> Iterator[Finding]:
    """Whether it answers, and whether its schema is one that this version knows; nothing is upgraded."""
    if not _has_data(settings):
        yield Finding("database", "ok", "not made yet; the first start makes it")
        return
    try:
        database = Database(settings.database)
        try:
            revision = database.revision()
        finally:
            database.close()
    except Exception as error:  # whatever it is, it is a finding
        detail = (
            error.detail
            if isinstance(error, LabelsvcError)
            else f"it can't be opened ({type(error).__name__})"
        )
        yield Finding(
            "database", "problem", detail, "see that the server runs, or that the file is whole and readable"
        )
        return
    if revision is not None and revision > HEAD:
        yield Finding(
            "database",
            "problem",
            f"it is a later version's: its schema is {revision}, ours {HEAD}",
            "install that version, or restore a backup",
        )
    elif revision != HEAD:
        yield Finding("database", "ok", f"schema {revision or 'none'}; the next start brings it to {HEAD}")
    else:
        yield Finding("database", "ok", f"answers, schema {revision}")


def judge_port(host: str, port: int, holders: Sequence[Process] | None) -> Iterator[Finding]:
    """The port of the API and the pages. ``holders``: who listens there; None where nobody may know."""
    others = [each for each in holders or () if not each.ours]
    if holders is None:
        yield Finding(
            "port", "warning", f"{port} is taken, by whom only root can see", "run labelsvc doctor as root"
        )
    elif others:
        yield Finding(
            "port",
            "problem",
            f"{port} is taken by {_list(others)}",
            "end it, or set another port (settings: port, or ListenStream= of labelsvc.socket)",
        )
    elif holders:
        yield Finding("port", "ok", f"{port} on {host}: the service listens")
    else:
        yield Finding("port", "ok", f"{port} is free; the service doesn't run")


def judge_neighbour(port: int, name: str, holders: Sequence[Process] | None) -> Iterator[Finding]:
    """A port on which other software of the trade listens: good to know, no hindrance."""
    if holders is None or any(not each.ours for each in holders):
        yield Finding(
            "port", "ok", f"{port} ({name}) is taken by {_list(holders) if holders else 'another user'}"
        )


def judge_libusb(version: str) -> Iterator[Finding]:
    """Which libusb was loaded."""
    if version:
        yield Finding("libusb", "ok", version)
    else:
        yield Finding(
            "libusb",
            "problem",
            "it can't be loaded: no printer on USB can be used",
            "apt install libusb-1.0-0",
        )


def judge_usb(printers: Sequence[UsbPrinter], who: Who) -> Iterator[Finding]:
    """Each printer on USB: may it be used, and who else has it."""
    if not printers:
        yield Finding("usb", "ok", "no printer is plugged in")
    for printer in printers:
        name = f"{printer.name} at {printer.port_path}"
        others = [each for each in printer.holders if not each.ours]
        if printer.node is None:
            yield Finding("usb", "problem", f"{name} has no device file", "start udev, and plug it in again")
        elif not who.may_use(printer.node):
            yield Finding(
                "usb",
                "problem",
                f"{name}: {who.words} may not use {printer.node.path}",
                "cp /opt/labelsvc/share/labelsvc/systemd/70-labelsvc.rules /etc/udev/rules.d/ && "
                "udevadm control --reload && udevadm trigger --subsystem-match=usb; "
                "who runs it by hand must belong to the group lp",
            )
        elif others:
            yield Finding(
                "usb",
                "problem",
                f"{name} is in use by {_list(others)}",
                "end that program, or remove its queue",
            )
        elif printer.driver == "usblp":
            yield Finding("usb", "ok", f"{name}; usblp has it, from which it is taken and given back")
        else:
            yield Finding("usb", "ok", name)


def judge_serial(nodes: Sequence[tuple[Node, tuple[Process, ...]]], who: Who) -> Iterator[Finding]:
    """Serial lines over USB."""
    for node, holders in nodes:
        others = [each for each in holders if not each.ours]
        if not who.may_use(node):
            yield Finding(
                "serial",
                "problem",
                f"{who.words} may not use {node.path}",
                "usermod -aG dialout USER, and sign in anew",
            )
        elif others:
            yield Finding(
                "serial", "warning", f"{node.path} is in use by {_list(others)}", "end that program"
            )
        else:
            yield Finding("serial", "ok", node.path)


def judge_cups(
    cupsd: Sequence[Process],
    ipp_usb: Sequence[Process],
    queues: Sequence[Queue],
    printers: Sequence[UsbPrinter],
) -> Iterator[Finding]:
    """Queues of CUPS for a printer that hangs on this machine's USB: both would write to it."""
    clashes = [(queue, printer) for queue in queues for printer in printers if _same(queue, printer)]
    for queue, printer in clashes:
        yield Finding(
            "cups",
            "problem" if cupsd else "warning",
            f"its queue {queue.name} is for {printer.name} at {printer.port_path}",
            f"lpadmin -x {queue.name}; or print through it, with the address cups://{queue.name}",
        )
    if ipp_usb and printers:
        yield Finding(
            "cups",
            "warning",
            f"{_list(ipp_usb)} takes printers that speak IPP over USB",
            "systemctl disable --now ipp-usb",
        )
    if not clashes:
        yield Finding("cups", "ok", f"runs, with {len(queues)} queues elsewhere" if cupsd else "doesn't run")


#: What is in the way of a printer on the network or a queue of CUPS, and what to do about it.
_IN_THE_WAY: dict[Reach, tuple[str, str]] = {
    "unknown_name": (
        "nobody knows its host's name",
        "write its number instead (labelsvc printers edit --uri), or mend the name server",
    ),
    "no_way": (
        "no way leads to it from here",
        "see to this machine's own network: cable, address, gateway",
    ),
    "silent": (
        "it doesn't answer",
        "switch it on, and see that it still has this address (its own settings print it) and that no firewall stands "
        "between; some are silent, too, while they hold another computer's connection",
    ),
    "refused": (
        "its host answers, but refuses the connection: nothing listens there, or it is busy with another's",
        "see that the port is the printer's and that raw printing is switched on there; end what prints to it from "
        "another computer",
    ),
    "dropped": (
        "it is busy: it took the connection and dropped it, as a printer does that holds another's",
        "end what prints to it from another computer; if nothing does, switch it off and on",
    ),
    "no_cups": (
        "CUPS doesn't answer there",
        "systemctl start cups; on another machine, cupsctl --share-printers",
    ),
    "no_queue": (
        "CUPS has no such queue",
        "lpstat -v shows which there are; lpadmin -p QUEUE -E -v URI adds one",
    ),
    "stopped": ("the queue is stopped", "see to the printer, then cupsenable QUEUE"),
    "not_accepting": ("the queue takes no jobs", "cupsaccept QUEUE"),
    "no_permission": (
        "the queue isn't for the service's user",
        "lpadmin -p QUEUE -u allow:all; or let CUPS ask for no password",
    ),
    "not_raw": ("the queue takes no raw bytes", "lpadmin -p QUEUE -m raw"),
    "strange": ("what answers isn't CUPS", "see that the address names the host and port of CUPS"),
}


def judge_printers(printers: Sequence[Asked]) -> Iterator[Finding]:
    """Each printer on the network and each queue of CUPS that is in use: can it be reached, and who else has it."""
    if not printers:
        yield Finding("printer", "ok", "none is on the network or behind CUPS")
    for printer in printers:
        others = [each for each in printer.holders or () if not each.ours]
        culprit = _list(others) if others else "another user's program" if printer.holders is None else ""
        if printer.node:
            yield Finding("printer", "ok", f"{printer.uri} is {printer.node}'s; ask there")
        elif printer.reach is None:
            yield Finding("printer", "ok", f"{printer.uri}: the service is connected to it")
        elif printer.reach == "reached" and not culprit:
            yield Finding("printer", "ok", f"{printer.uri} takes connections")
        elif culprit:
            yield Finding(
                "printer",
                "warning" if printer.reach == "reached" else "problem",
                f"{printer.uri} is in use by {culprit}",
                "end that program, or remove its queue" if others else "run labelsvc doctor as root",
            )
        else:
            found, remedy = _IN_THE_WAY[printer.reach]
            yield Finding("printer", "problem", f"{printer.uri}: {found}", remedy)


def judge_fonts() -> Iterator[Finding]:
    """A label made whole: templates, fonts, symbols, a language."""
    try:
        page = compose(StandardTemplates().get("waybill-76x130"), sample_label())
        encode(page, Target("zpl"))
    except (LabelsvcError, OSError, ImportError) as error:
        yield Finding(
            "fonts", "problem", f"no label can be made ({type(error).__name__})", "install labelsvc anew"
        )
        return
    if page.warnings:
        yield Finding(
            "fonts", "warning", f"the sample label has {len(page.warnings)} warnings", "install labelsvc anew"
        )
    else:
        yield Finding("fonts", "ok", "the sample label is whole")


def _same(queue: Queue, printer: UsbPrinter) -> bool:
    """Whether a queue's ``usb://MAKER/MODEL?serial=…`` (backend usb of CUPS) is this printer."""
    parts = urlsplit(queue.uri)
    if parts.scheme != "usb":
        return False
    serials = parse_qs(parts.query).get("serial")
    if serials and printer.serial:
        return serials[0] == printer.serial
    model = unquote(parts.path.strip("/"))
    return bool(model) and model.casefold() in printer.name.casefold()


def _list(processes: Sequence[Process]) -> str:
    return ", ".join(map(str, processes))


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _word(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__


# -- looking at this machine -------------------------------------------------------------------------------------


def _who() -> Who:
    """Root asks for the service's unit: a user of its own, of these two groups."""
    if os.geteuid() != 0:
        return Who(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}), "this user")
    groups = set()
    for name in ("lp", "dialout"):
        with suppress(KeyError):
            groups.add(grp.getgrnam(name).gr_gid)
    return Who(-1, frozenset(groups), "the service, of the groups lp and dialout,")


def _disk(path: Path) -> Disk:
    if not path.is_dir():
        return Disk(str(path), False, False)
    took = 0.0
    try:
        with tempfile.NamedTemporaryFile(dir=path, prefix=".doctor-") as file:
            began = time.monotonic()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took = time.monotonic() - began
        writable = True
    except OSError:
        writable = False
    room = os.statvfs(path)
    kind, options = _mount(path, Path("/proc/self/mounts").read_text())
    newest = max((_mtime(each) for each in path.iterdir()), default=0.0)
    return Disk(
        str(path),
        True,
        writable,
        room.f_bavail * room.f_frsize,
        room.f_favail if room.f_files else None,
        kind,
        options,
        took,
        newest,
    )


def _mount(path: Path, mounts: str) -> tuple[str, str]:
    """Kind and options of the mount that a path lies in, of the table of mounts."""
    best, found = "", ("", "")
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split(" ")
        place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), place)
        if path.resolve().is_relative_to(place) and len(place) >= len(best):
            best, found = place, (kind, options)
    return found


def _mtime(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _newest_of_ours() -> float:
    return max(_mtime(path) for path in Path(__file__).parent.glob("*.py"))


def _synchronised() -> bool | None:
    """Whether somebody keeps the kernel's clock right (adjtimex(2)); None where the kernel doesn't say."""
    try:
        libc = ctypes.CDLL(None)
        state = ctypes.create_string_buffer(256)  # struct timex, all zero: only reads
        answer = libc.adjtimex(state)
    except (OSError, AttributeError):
        return None
    # modes (int, padded to a long), offset, freq, maxerror, esterror (long), status (int): STA_UNSYNC is 0x40
    (status,) = struct.unpack_from("i", state, struct.calcsize("@Illll"))
    return None if answer < 0 else not status & 0x40


def _has_data(settings: Settings) -> bool:
    if settings.database.startswith("sqlite"):
        place = settings.database.split(":///", 1)[-1]
        return Path(place).is_file() and Path(place).stat().st_size > 0
    return True


def ask_printers(settings: Settings) -> list[Asked]:
    """Every address on the network, or behind CUPS, that a printer of any store has; asked all at once."""
    node = settings.node or host_name()
    found = {uri: where for uri, where in _addresses(settings) if uri.startswith(("tcp://", "cups://"))}

    def ask(uri: str) -> Asked:
        where = found[uri]
        if where not in (None, node):
            return Asked(uri, node=where)
        place = host_of(uri)
        holders = connected(*place) if place else []
        # One that takes a single connection would be asked in vain, and a label in hand would be disturbed.
        ours = any(each.ours for each in holders or ())
        return Asked(uri, None if ours else reach(uri), None if holders is None else tuple(holders))

    with ThreadPoolExecutor(16) as together:
        return list(together.map(ask, sorted(found)))


def _addresses(settings: Settings) -> list[tuple[str, str | None]]:
    """Address and machine of every printer; none where the database isn't there or isn't of our schema, which has a check."""
    if not _has_data(settings):
        return []
    try:
        database = Database(settings.database)
        try:
            if database.revision() != HEAD:
                return []
            printers = Printers(database, Profiles(), Wakeups(), settings.node)
            return [
                (each.uri, each.node)
                for store in Accounts(database).stores()
                for each in printers.list(Actor.operator(store.id))
            ]
        finally:
            database.close()
    except Exception:  # whatever it is, the database's own check tells it
        return []


def listeners(port: int, root: Path = Path("/")) -> list[Process] | None:
    """Who listens on a TCP port of this machine; None if somebody of whom we may not know who."""
    # State 0A listens.
    inodes = {
        inode for local, _, state, inode in _sockets(root) if state == "0A" and _port(local) == f"{port:04X}"
    }
    return (_holders({f"socket:[{inode}]" for inode in inodes}, root) or None) if inodes else []


def connected(host: str, port: int, root: Path = Path("/")) -> list[Process] | None:
    """Who on this machine has a connection to a port elsewhere; None if somebody of whom we may not know who."""
    with suppress(OSError):
        peers = {_as_the_kernel_writes(str(found[4][0])) for found in socket.getaddrinfo(host, port)}
        # State 01 is established.
        inodes = {
            inode
            for _, remote, state, inode in _sockets(root)
            if state == "01" and _port(remote) == f"{port:04X}" and remote.split(":")[0] in peers
        }
        return (_holders({f"socket:[{inode}]" for inode in inodes}, root) or None) if inodes else []
    return []  # a name that nobody knows


def _sockets(root: Path) -> Iterator[tuple[str, str, str, str]]:
    """Local and remote address, state and inode of every TCP socket of this machine (proc(5))."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (root / "proc/net" / table).read_text().splitlines()[1:]:
                cells = line.split()
                yield cells[1], cells[2], cells[3], cells[9]


def _port(address: str) -> str:
    return address.rsplit(":", 1)[1]


def _as_the_kernel_writes(address: str) -> str:
    """An address as /proc/net/tcp has it: words of four bytes, each as this machine's number, in hexadecimal."""
    packed = socket.inet_pton(
        socket.AF_INET6 if ":" in address else socket.AF_INET, address.partition("%")[0]
    )
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))


def _holders(targets: set[str], root: Path = Path("/")) -> list[Process]:
    """The processes that have one of these open, as far as we may see; the same program once."""
    found: dict[str, Process] = {}
    for folder in sorted((root / "proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with suppress(OSError):
            for handle in (folder / "fd").iterdir():
                with suppress(OSError):
                    if str(handle.readlink()) in targets:
                        process = Process(int(folder.name), _name(folder))
                        found.setdefault(process.name, process)
                        break
    return list(found.values())


def _name(folder: Path) -> str:
    """A process' name; ours is Python's, so its command line is looked at, of which nothing else is told."""
    words = (folder / "cmdline").read_bytes().split(b"\0")
    if any(Path(os.fsdecode(word)).name == "labelsvc" for word in words[:4]):
        return "labelsvc"
    return (folder / "comm").read_text().strip()


def _named(name: str) -> list[Process]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "comm").read_text().strip() == name:
                found.append(Process(int(folder.name), name))
    return found


def usb_printers(root: Path) -> list[UsbPrinter]:
    """Every device with an interface of class 7 (printers), from /sys; no device is opened."""
    found: dict[str, UsbPrinter] = {}
    for interface in sorted((root / "sys/bus/usb/devices").glob("*:*")):
        if _line(interface / "bInterfaceClass") != "07":
            continue
        device = interface.parent / interface.name.split(":")[0]
        link = interface / "driver"
        driver = link.resolve().name if link.exists() else ""
        numbers = _line(device / "busnum"), _line(device / "devnum")
        path = "/dev/bus/usb/" + "/".join(number.zfill(3) for number in numbers)
        held = {path} | {f"/dev/usb/{each.name}" for each in interface.glob("usbmisc/lp*")}
        words = [_line(device / name) for name in ("manufacturer", "product")]
        name = (
            " ".join(word for word in words if word)
            or f"{_line(device / 'idVendor')}:{_line(device / 'idProduct')}"
        )
        found.setdefault(
            device.name,
            UsbPrinter(
                device.name,
                name,
                _line(device / "serial"),
                _node(root, path),
                driver,
                tuple(_holders(held, root)),
            ),
        )
    return list(found.values())


def _serial_nodes() -> list[tuple[Node, tuple[Process, ...]]]:
    paths = [str(path) for kind in ("USB", "ACM") for path in sorted(Path("/dev").glob(f"tty{kind}*"))]
    nodes = [(_node(Path("/"), path), tuple(_holders({path}))) for path in paths]
    return [(node, holders) for node, holders in nodes if node]


def _node(root: Path, path: str) -> Node | None:
    try:
        found = (root / path.lstrip("/")).stat()
    except OSError:
        return None
    return Node(path, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def _line(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""


def _queues() -> list[Queue]:
    """The queues of this machine's CUPS, as ``lpstat`` tells them to everybody."""
    program = shutil.which("lpstat")
    if program is None:
        return []
    with suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run(
            [program, "-v"], capture_output=True, text=True, timeout=5, env={**os.environ, "LC_ALL": "C"}
        )
        return parse_lpstat(told.stdout)
    return []


def parse_lpstat(text: str) -> list[Queue]:
    """``device for NAME: URI`` a line (lpstat(1) of CUPS)."""
    return [Queue(*found) for found in re.findall(r"^device for ([^:\s]+): (\S+)$", text, re.MULTILINE)]


def _libusb() -> str:
    """Which libusb is there: the system's, or the one of a package; "" for none."""
    from usb.backend import libusb1

    if libusb1.get_backend():
        return "the system's"
    with suppress(ImportError):
        import libusb_package

        if libusb1.get_backend(find_library=libusb_package.find_library):
            return "the one of libusb-package, which knows no udev"
    return ""
