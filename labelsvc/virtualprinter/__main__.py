"""``python -m labelsvc.virtualprinter``: a virtual thermal printer, or several, until SIGTERM or SIGINT.

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

from .control import ControlPort, Stand
from .faults import BadFault, Faults
from .port import RawPort
from .printer import LANGUAGES, Build, Printer, Wire
from .serialline import SerialLine
from .tray import Tray, TrayInUse
from .usb import UsbPort


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal.  Returns the exit code: 0 after a signal, 1 if a wire, a port or a tray can't be
    had (said on standard error)."""
    options = _options(arguments)
    # Blocked in every thread and waited for below: no handler runs at an arbitrary point.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        stands = [_stand(options, number) for number in range(options.count)]
        control_port = ControlPort(stands, options.host, options.control_port)
    except (OSError, TrayInUse) as error:
        print(f"virtualprinter: {error}", file=sys.stderr)
        return 1
    heads = [threading.Thread(target=stand.printer.run, daemon=True) for stand in stands]
    for head in heads:
        head.start()
    threading.Thread(target=control_port.serve_forever, daemon=True).start()
    print(
        f"virtualprinter listening on {stands[0].addresses[0]} "
        f"control http://{_authority(options.host, control_port.server_port)} "
        f"{' '.join(stands[0].addresses[1:])}".rstrip(),
        flush=True,
    )
    signal.sigwait(signals)
    for stand in stands:
        stand.printer.stop()
        for wire in stand.wires:
            wire.close()
    for head in heads:
        head.join()
    return 0


def _stand(options: argparse.Namespace, number: int) -> Stand:
    """The ``number``-th printer (from 0) with its wires; of several, each has a name, serial number, tray and
    wires of its own."""
    tray, usb, pty, name, serial = options.tray, options.usb, options.pty, options.name, options.serial
    if options.count > 1:
        tray = tray / str(number + 1)
        usb, pty = (path and path.with_name(f"{path.name}-{number + 1}") for path in (usb, pty))
        name, serial = (f"{text}-{number + 1}" for text in (name, serial))
    build = Build(
        options.language,
        options.cutter,
        name,
        options.maker,
        options.model,
        serial,
        options.dpi,
        options.width_mm,
        options.buffer_bytes,
        options.warm_up_s,
    )
    printer = Printer(build, Tray(tray, options.language), options.faults)
    raw_port = RawPort(printer, options.host, options.port + number if options.port else 0)
    wires: list[Wire] = [raw_port]
    addresses = [f"tcp://{_authority(*raw_port.address)}"]
    if usb:
        wires.append(UsbPort(printer, usb, options.usb_id, options.fifo_bytes))
        addresses.append(f"usb {usb}")
    if pty:
        wires.append(SerialLine(printer, pty))
        addresses.append(f"pty {pty}")
    for wire in wires:
        wire.obey(printer.faults)
    return Stand(printer, wires, addresses)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="labelsvc-virtualprinter", description="A virtual thermal printer.")
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--language", choices=sorted(LANGUAGES), default="zpl")
    parser.add_argument(
        "--port", type=_port, default=0, help="raw port, of several printers the first; 0: a free one"
    )
    parser.add_argument(
        "--control-port", type=_port, default=0, help="HTTP port for faults and labels; 0: a free one"
    )
    parser.add_argument("--usb", type=Path, help="Unix socket of a USB device, see usb.py")
    parser.add_argument("--usb-id", type=_usb_id, default="0525:a4a8", help="VENDOR:PRODUCT, hexadecimal")
    parser.add_argument("--pty", type=Path, help="symbolic link to a pseudo-terminal: a serial line")
    parser.add_argument(
        "--tray",
        type=Path,
        required=True,
        help="directory that the labels fall into; of several printers 1, 2 …",
    )
    parser.add_argument("--count", type=_positive, default=1, help="so many equal printers")
    parser.add_argument("--no-cutter", dest="cutter", action="store_false", help="without a knife (ESC/POS)")
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
