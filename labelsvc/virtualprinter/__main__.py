"""``python -m labelsvc.virtualprinter``: one virtual thermal printer, until SIGTERM or SIGINT.

Hides the wiring: which thread does what, and the order in which things start and stop.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import math
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .control import ControlPort
from .faults import BadFault, Faults
from .port import RawPort
from .printer import Build, Printer, Wire
from .serialline import SerialLine
from .tray import Tray, TrayInUse
from .usb import UsbPort


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal.  Returns the exit code: 0 after a signal, 1 if a port or the tray can't be had
    (said on standard error)."""
    options = _options(arguments)
    # Blocked in every thread and waited for below: no handler runs at an arbitrary point.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        tray = Tray(options.tray)
        printer = Printer(
            Build(
                options.name,
                options.maker,
                options.model,
                options.serial,
                options.dpi,
                options.width_mm,
                options.buffer_bytes,
                options.warm_up_s,
            ),
            tray,
            options.faults,
        )
        raw_port = RawPort(printer, options.host, options.port)
        wires: list[Wire] = [raw_port]
        also = ""
        if options.usb:
            wires.append(UsbPort(printer, options.usb, options.usb_id, options.fifo_bytes))
            also += f" usb {options.usb}"
        if options.pty:
            wires.append(SerialLine(printer, options.pty))
            also += f" pty {options.pty}"
        for wire in wires:
            wire.obey(printer.faults)
        control_port = ControlPort(printer, wires, options.host, options.control_port)
    except (OSError, TrayInUse) as error:
        print(f"virtualprinter: {error}", file=sys.stderr)
        return 1
    head = threading.Thread(target=printer.run, daemon=True)
    head.start()
    threading.Thread(target=control_port.serve_forever, daemon=True).start()
    print(
        f"virtualprinter listening on tcp://{_authority(*raw_port.address)} "
        f"control http://{_authority(options.host, control_port.server_port)}{also}",
        flush=True,
    )
    signal.sigwait(signals)
    printer.stop()
    for wire in wires:
        wire.close()
    head.join()
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="labelsvc-virtualprinter", description="A virtual thermal label printer for ZPL."
    )
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=_port, default=0, help="raw port; 0: a free one")
    parser.add_argument(
        "--control-port", type=_port, default=0, help="HTTP port for faults and labels; 0: a free one"
    )
    parser.add_argument("--usb", type=Path, help="Unix socket of a USB device, see usb.py")
    parser.add_argument("--usb-id", type=_usb_id, default="0525:a4a8", help="VENDOR:PRODUCT, hexadecimal")
    parser.add_argument("--pty", type=Path, help="symbolic link to a pseudo-terminal: a serial line")
    parser.add_argument("--tray", type=Path, required=True, help="directory that the labels fall into")
    parser.add_argument("--dpi", type=_positive, default=203)
    parser.add_argument("--width-mm", type=_measure, default=104.0)
    parser.add_argument(
        "--speed-mm-s", type=_fault("speed_mm_s", float), help="default 152; 0: labels take no time"
    )
    parser.add_argument(
        "--bytes-per-s", type=_fault("bytes_per_s", int), help="speed of the link; default: no limit"
    )
    parser.add_argument(
        "--buffer-bytes", type=_positive, default=262_144, help="receive buffer; when full, reading stops"
    )
    parser.add_argument(
        "--warm-up-s", type=_measure, default=0.0, help="before the first label after power-on"
    )
    parser.add_argument(
        "--fifo-bytes", type=_positive, default=4096, help="taken from USB before the printer reads any"
    )
    parser.add_argument("--name", default="vp", help="its device.friendly_name")
    parser.add_argument("--maker", type=_id_text, default=Build.maker)
    parser.add_argument("--model", type=_id_text, default=Build.model)
    parser.add_argument("--serial", type=_id_text, default=Build.serial, help="its serial number")
    parser.add_argument("--faults", type=_faults, default=Faults(), help="faults from the start, JSON")
    options = parser.parse_args(arguments)
    said = {fault: getattr(options, fault) for fault in ("speed_mm_s", "bytes_per_s")}
    options.faults = replace(options.faults, **{fault: v for fault, v in said.items() if v is not None})
    return options


def _loopback(text: str) -> str:
    try:
        address = ipaddress.ip_address("127.0.0.1" if text == "localhost" else text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be an IP address") from None
    if not address.is_loopback:
        raise argparse.ArgumentTypeError("must be a loopback address")
    return str(address)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError("must be 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1_000_000_000:
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def _measure(text: str) -> float:
    value = float(text)  # argparse turns its ValueError into a message
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError("must be a number from 0")
    return value


def _usb_id(text: str) -> tuple[int, int]:
    if not re.fullmatch("[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}", text):
        raise argparse.ArgumentTypeError("must be two hexadecimal numbers of four digits")
    return int(text[:4], 16), int(text[5:], 16)


def _id_text(text: str) -> str:
    if not re.fullmatch(r"[ -~]{1,60}", text) or re.search("[;:]", text):
        raise argparse.ArgumentTypeError("must be 1 to 60 printable ASCII characters without ; and :")
    return text


def _faults(text: str) -> Faults:
    try:
        return Faults().changed(json.loads(text))
    except (ValueError, RecursionError) as error:  # BadFault is a ValueError
        raise argparse.ArgumentTypeError(
            error.reason if isinstance(error, BadFault) else "is not JSON"
        ) from None


def _fault(field: str, convert: type[int] | type[float]) -> Callable[[str], Any]:
    """A type for an option that is also a fault: one rule for both."""

    def number(text: str) -> Any:
        try:
            return getattr(Faults().changed({field: convert(text)}), field)
        except BadFault as error:
            raise argparse.ArgumentTypeError(error.reason) from None

    return number


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
