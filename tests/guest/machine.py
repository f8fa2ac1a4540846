"""A machine of the tests' own: Debian's kernel in QEMU, this machine's files underneath, a real USB bus, a disk that outlives it.

Hides the boot. The guest's root is this machine's, read-only, with a layer in memory above; the package under test lies in it
as README installs it, in /opt/labelsvc. What the guest finds out it writes to a folder that both see. It has no network card.

Its disks are, in this order: Python and the packages, the service's own modules, and those that ``Machine.devices`` adds.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labelsvc"
_KERNELS, _DISKS = _CACHE / "kernels", _CACHE / "disks"
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
#: What the kernel needs before it sees its root, in the order of their needs.
_EARLY = [
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"),
    *("netfs", "fscache", "9pnet", "9pnet_virtio", "9p", "overlay", "virtio_console", "virtio_blk"),
    *("crc16", "crc32c_generic", "mbcache", "jbd2", "ext4"),
]

_READ_ONLY = "format=raw,if=virtio,readonly=on"

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod /modules/$module.ko || echo "no $module"; done
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host
mount -t tmpfs -o size=700m over /over
mkdir /over/upper /over/work
mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work over /root
cd /root
# A marker of a container makes systemd ignore the kernel's command line.
rm -f .dockerenv run/.containerenv
mkdir -p dev proc sys run tmp srv/labelsvc srv/shared opt/python opt/labelsvc lib/modules/{release}
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
mount --bind /host{repository} srv/labelsvc
# A service without templates draws none to warm up, which takes an emulated machine a minute.
mount -t tmpfs tmpfs srv/labelsvc/templates
# Thousands of small files: over a shared folder each costs a minute's part, on a disk next to nothing.
mkdir run/python
mount -t ext4 -o ro /dev/vda run/python
mount --bind run/python/python opt/python
mount -t ext4 -o ro /dev/vdb srv/labelsvc/labelsvc
mount --bind /host{modules_folder} lib/modules/{release}
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 shared srv/shared
mkdir -p var/lib/private
mount -t ext4 /dev/vdc var/lib/private || echo "no disk"
chmod 700 var/lib/private
cp -a srv/shared/files/. .
mkdir -p opt/labelsvc/bin opt/labelsvc/lib/{python}/site-packages
mount --bind run/python/packages opt/labelsvc/lib/{python}/site-packages
printf 'home = /opt/python/bin\\ninclude-system-site-packages = false\\n' >opt/labelsvc/pyvenv.cfg
ln -sf /opt/python/bin/{python} opt/labelsvc/bin/python
cat >opt/labelsvc/bin/labelsvc <<'END'
#!/bin/sh
export PYTHONPATH=/srv/labelsvc PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/opt/python/lib
# Collecting garbage is a fifth of what imports cost, and this machine is slow.
exec /opt/labelsvc/bin/python -c 'import gc; gc.set_threshold(100000); from labelsvc.cli import main; main()' "$@"
END
chmod 755 opt/labelsvc/bin/labelsvc
echo "guest: ready after $(cut -d' ' -f1 /proc/uptime) s"
umount -l /proc /sys
exec switch_root /root /lib/systemd/systemd --unit=guest.target
"""


#: What the service and the printers import at once, and what they import only at their first schema, label and USB device.
_IMPORTS = """
import sys
import gunicorn.workers.gthread, pyudev, usb.backend.libusb1
import labelsvc.cli, labelsvc.virtualprinter.__main__, labelsvc.web
from labelsvc import daemon, doctor, settings
daemon.assemble(settings.load(state_dir=sys.argv[1])).database.close()
list(doctor.judge_fonts())
"""


class Missing(Exception):
    """This machine can't run another: why."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that ``dev`` fetched."""

    image: Path
    modules: Path

    @property
    def release(self) -> str:
        """As uname says."""
        return self.modules.name


def kernel() -> Kernel:
    """The newest kernel at hand. Raises Missing."""
    if os.geteuid() != 0:
        raise Missing("only root can show its files to a guest")
    for program in ("qemu-system-x86_64", "busybox"):
        if shutil.which(program) is None:
            raise Missing(f"{program} isn't installed (./dev test does it)")
    found = sorted(
        _KERNELS.glob("linux-image-*/lib/modules/*/modules.dep"), key=lambda path: path.stat().st_mtime
    )
    if not found:
        raise Missing("no kernel was fetched (./dev test does it)")
    modules = found[-1].parent
    return Kernel(_unpacked(modules.parents[2] / "boot" / f"vmlinuz-{modules.name}"), modules)


def _unpacked(packed: Path) -> Path:
    """The kernel as an ELF file, which starts without unpacking itself: that takes an emulated machine seven seconds."""
    image = packed.with_name("vmlinux")
    if not image.exists():
        data = packed.read_bytes()
        draft = image.with_suffix(f".{os.getpid()}")
        draft.write_bytes(lzma.LZMADecompressor().decompress(data[data.index(b"\xfd7zXZ\0") :]))
        draft.rename(image)
    return image


def _disks(folder: Path) -> tuple[Path, Path]:
    """Python with the packages of requirements/run.txt, kept for the next time, and the service's modules; compiled, as pip does it."""
    own = folder / "own"
    shutil.copytree(REPOSITORY / "labelsvc", own / "labelsvc", ignore=shutil.ignore_patterns("__pycache__"))
    for data in ("templates", "printers"):
        (own / data).symlink_to(REPOSITORY / data)
    requirements = (REPOSITORY / "requirements" / "run.txt").read_text()
    known = hashlib.sha256(f"{sys.version} {sys.prefix} {requirements} {_IMPORTS}".encode()).hexdigest()[:16]
    python = _DISKS / f"{known}.img"
    if not python.exists():
        _DISKS.mkdir(parents=True, exist_ok=True)
        tree = folder / "python"
        _packages(requirements, tree / "packages")
        environment = {
            **os.environ,
            "PYTHONPATH": f"{own}:{tree / 'packages'}",
            "PYTHONDONTWRITEBYTECODE": "",
        }
        with tempfile.TemporaryDirectory() as state:
            subprocess.run([sys.executable, "-S", "-c", _IMPORTS, state], env=environment, check=True)
        _standard_library(tree / "python")
        draft = python.with_suffix(f".{os.getpid()}")
        _disk(tree, draft)
        draft.rename(python)
        shutil.rmtree(tree)
    subprocess.run([sys.executable, "-m", "compileall", "-q", own / "labelsvc"], check=True)
    _disk(own / "labelsvc", folder / "own.img")
    return python, folder / "own.img"


def _packages(requirements: str, into: Path) -> None:
    for name in re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE):
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            continue  # another system's
        for file in files:
            if ".." not in file.parts and file.suffix != ".pyc":
                target = into / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file.locate(), target)


def _standard_library(into: Path) -> None:
    base = Path(sys.base_prefix)
    unneeded = ("site-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip", "turtledemo", "config-*")
    shutil.copytree(
        base / "lib" / _PYTHON,
        into / "lib" / _PYTHON,
        symlinks=True,
        ignore=shutil.ignore_patterns(*unneeded),
    )
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy2(library, into / "lib", follow_symlinks=False)
    (into / "bin").mkdir()
    shutil.copy2(base / "bin" / _PYTHON, into / "bin")


def _disk(tree: Path, image: Path) -> None:
    """A file system with this content, and no journal: it is only read."""
    used = sum(max(path.lstat().st_size, 4096) for path in tree.rglob("*"))
    size_mb = used * 5 // 4_000_000 + 16
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-i", "8192", "-d", tree, image]
    subprocess.run([*command, f"{size_mb}M"], check=True)


@dataclass
class Machine:
    """A guest, not yet started; ``folder`` is its own: its shared folder, its disk, its console's record.

    It starts systemd with the target ``guest.target``, which the files laid over its root must bring.
    """

    folder: Path
    devices: Sequence[str] = ()  #: further options of QEMU's
    memory_mb: int = 1024
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _own: tuple[Path, ...] = field(default=(), init=False)

    @property
    def shared(self) -> Path:
        """What the guest sees as /srv/shared; what lies in its ``files`` is laid over the guest's root."""
        return self.folder / "shared"

    @property
    def console(self) -> str:
        """What it said so far."""
        path = self.folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Switch it on. Raises Missing."""
        found = kernel()
        (self.shared / "files").mkdir(parents=True, exist_ok=True)
        if not self._own:
            self._own = _disks(self.folder)
        initramfs = self._initramfs(found)
        with (self.folder / "console.log").open("ab") as console:
            self.process = subprocess.Popen(
                [
                    *(
                        "nice",
                        "-n",
                        "2",
                        # Beside other tests: its clock goes on while it waits for a processor, theirs mostly wait for it.
                        "nice",
                        "-n",
                        "-5",
                        "qemu-system-x86_64",
                        "-accel",
                        "tcg,thread=multi",
                        "-cpu",
                        "Nehalem",
                        "-smp",
                        "2",
                    ),
                    *("-m", str(self.memory_mb), "-nographic", "-no-reboot", "-nic", "none"),
                    *("-kernel", str(found.image), "-initrd", str(initramfs)),
                    *("-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off no_timer_check"),
                    *self._share("host", Path("/"), "readonly=on"),
                    *self._share("shared", self.shared),
                    *(word for disk in self._own for word in ("-drive", f"file={disk},{_READ_ONLY}")),
                    *self.devices,
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )

    def kill(self) -> None:
        """The power cut: what the guest had in memory is gone."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def wait(self, seconds: float) -> None:
        """Until it has switched itself off. Raises AssertionError with what it said, and kills it."""
        assert self.process
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the guest didn't end in {seconds} s:\n{self.console[-4000:]}") from None

    def wait_for(self, path: Path, seconds: float) -> None:
        """Until a file appears that the guest makes. Raises AssertionError with what it said."""
        assert self.process
        deadline = time.monotonic() + seconds
        while not path.exists():
            assert self.process.poll() is None, f"the guest ended:\n{self.console[-4000:]}"
            assert time.monotonic() < deadline, f"no {path.name} after {seconds} s:\n{self.console[-4000:]}"
            time.sleep(0.05)

    @staticmethod
    def _share(tag: str, path: Path, *further: str) -> tuple[str, ...]:
        options = ",".join(
            ("local", f"id={tag}", f"path={path}", "security_model=none", "multidevs=remap", *further)
        )
        return "-fsdev", options, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"

    def _initramfs(self, found: Kernel) -> Path:
        root = self.folder / "initramfs"
        shutil.rmtree(root, ignore_errors=True)
        for folder in ("bin", "modules", "proc", "sys", "dev", "host", "over", "root"):
            (root / folder).mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
        for name in _EARLY:
            shutil.copy(next(found.modules.rglob(f"{name}.ko")), root / "modules")
        init = root / "init"
        init.write_text(
            _INIT.format(
                modules=" ".join(_EARLY),
                release=found.release,
                modules_folder=found.modules,
                repository=REPOSITORY,
                python=_PYTHON,
            )
        )
        init.chmod(0o755)
        archive = self.folder / "initramfs.cpio"
        with archive.open("wb") as out:
            names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
            subprocess.run(
                ["busybox", "cpio", "-o", "-H", "newc"],
                cwd=root,
                input=names.encode(),
                stdout=out,
                check=True,
            )
        return archive
