"""A printer made by this kernel's own gadget driver, on dummy_hcd's bus: another USB stack's idea of a printer than ours.

Hides configfs (Documentation/usb/gadget_configfs.rst) and the gadget's file (Documentation/usb/gadget_printer.rst). It must be
closed before it is unbound, or the kernel falls.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

_FOLDER = Path("/sys/kernel/config/usb_gadget/printer")
_SET_PRINTER_STATUS = 0xC0016722  #: _IOWR('g', 0x22, unsigned char), linux/usb/g_printer.h
VENDOR, PRODUCT, SERIAL = 0x0525, 0xA4A8, "GADGET 1"
DEVICE_ID = "MFG:Tests;MDL:Gadget;CMD:ZPL;"


class Gadget:
    """Plugged in from its making on; keeps what it received."""

    def __init__(self) -> None:
        if not _FOLDER.parent.exists():
            subprocess.run(["mount", "-t", "configfs", "none", "/sys/kernel/config"], check=True)
        for folder in ("strings/0x409", "configs/c.1", "functions/printer.0"):
            (_FOLDER / folder).mkdir(parents=True)
        for name, value in (
            ("idVendor", f"{VENDOR:#06x}"),
            ("idProduct", f"{PRODUCT:#06x}"),
            ("strings/0x409/serialnumber", SERIAL),
            ("strings/0x409/manufacturer", "Tests"),
            ("strings/0x409/product", "Gadget"),
            ("functions/printer.0/pnp_string", DEVICE_ID),
        ):
            (_FOLDER / name).write_text(value)
        (_FOLDER / "configs/c.1/printer.0").symlink_to(_FOLDER / "functions/printer.0")
        (_FOLDER / "UDC").write_text(next(Path("/sys/class/udc").iterdir()).name)
        self.received = bytearray()
        # A read that waits would hold the lock that a write needs.
        self._file = self._opened()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self._thread.start()

    def status(self, byte: int) -> None:
        """What GET_PORT_STATUS answers from now on."""
        fcntl.ioctl(self._file, _SET_PRINTER_STATUS, byte)  # by value, whatever its number says

    def say(self, data: bytes) -> None:
        """Something for the host to read."""
        select.select([], [self._file], [], 10)
        os.write(self._file, data)

    def remove(self) -> None:
        """Closed, then unplugged."""
        self._stop.set()
        self._thread.join(10)
        os.close(self._file)
        (_FOLDER / "UDC").write_text("\n")

    @staticmethod
    def _opened() -> int:
        """The gadget's file: there is no such device until the host has configured it."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return os.open("/dev/g_printer0", os.O_RDWR | os.O_NONBLOCK)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _go(self) -> None:
        while not self._stop.is_set():
            if select.select([self._file], [], [], 0.1)[0]:
                with suppress(BlockingIOError):
                    self.received += os.read(self._file, 65536)
