"""A printer is asked what it is: each language's own virtual printer, over its own wire, and nothing comes out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.programs import virtual_printer
from support.usb_backend import Bus, Plug

from labelsvc.errors import Conflict, Invalid
from labelsvc.labels import StandardTemplates
from labelsvc.printing import DocumentRequest, Printers, PrintJobs, PrintRequest, Profiles
from labelsvc.printing.transports import TransportBroken
from labelsvc.waybills import sample_label


@pytest.mark.parametrize(
    ("options", "profile", "known", "said"),
    [
        ({"language": "zpl", "model": "ZTC ZD621-203dpi ZPL"}, "zebra-zd621-203", True, ("~HI", "SGD")),
        ({"language": "zpl", "model": "nobody's", "dpi": 300}, "zpl-generic-300", False, ("~HI", "SGD")),
        ({"language": "tspl", "model": "TTP-244 Pro"}, "tsc-ttp-244-pro", True, ("<ESC>!?", "~!T")),
        (
            {"language": "escpos", "maker": "EPSON", "model": "TM-T20III"},
            "epson-tm-t20iii",
            True,
            ("DLE EOT", "GS I"),
        ),
    ],
)
def test_a_printer_is_asked_what_it_is(
    sqlite_database,
    factory,
    tmp_path: Path,
    options: dict[str, object],
    profile: str,
    known: bool,
    said: tuple[str, ...],
):
    """No query of another language's prints anything, and what the printer says leads to its profile."""
    printers = Printers(sqlite_database, Profiles())
    with virtual_printer(tmp_path, **options) as printer:
        found = printers.probe(factory, printer.uri)
        assert (found.profile, found.known, found.said) == (profile, known, said)
        assert printer.labels() == []


def test_a_usb_printer_is_known_by_its_device_id_alone(sqlite_database, factory, tmp_path: Path):
    """No byte reaches its language: not even a printer that hangs on an unfinished label is disturbed."""
    printers = Printers(sqlite_database, Profiles())
    wire = tmp_path / "one.usb"
    with virtual_printer(
        tmp_path, usb=wire, usb_id="1209:2303", serial="A1", language="tspl", maker="TSC", model="TE200"
    ) as printer:
        before = printer.state()
        with Bus([Plug(wire)]).installed():
            found = printers.probe(factory, "usb://1209:2303/A1")
        assert (found.profile, found.known, found.said) == ("tsc-te200", True, ("IEEE 1284",))
        assert printer.state() == before


def test_a_printer_with_labels_to_print_is_not_asked(sqlite_database, factory, tmp_path: Path):
    """P7: a query in the middle of a label may spoil it. Paused, nothing is on its way, and it may be asked."""
    printers = Printers(sqlite_database, Profiles())
    with virtual_printer(tmp_path, language="escpos") as printer:
        printers.add(factory, "bench 1", printer.uri, "escpos-generic-80")
        document = DocumentRequest("slip-58", sample_label(), title="N")
        PrintJobs(sqlite_database, printers, StandardTemplates()).submit(
            factory, PrintRequest("bench 1", (document,), "k")
        )
        with pytest.raises(Conflict) as caught:
            printers.probe(factory, printer.uri)
        assert caught.value.code == "printer.busy"
        printers.pause(factory, "bench 1")
        assert printers.probe(factory, f"{printer.uri}/").added_as == "bench 1"


def test_a_printer_that_is_off_or_mute_is_no_proposal(sqlite_database, factory, tmp_path: Path):
    """Silence says nothing: no profile is guessed. A printer that is off is an error, not an unknown model."""
    printers = Printers(sqlite_database, Profiles())
    with virtual_printer(tmp_path, language="tspl", faults={"silent": True}) as printer:
        found = printers.probe(factory, printer.uri)
        assert (found.profile, found.known, found.said) == (None, False, ())
        assert printer.labels() == []
    with pytest.raises(TransportBroken):
        printers.probe(factory, printer.uri)
    with pytest.raises(Invalid):
        printers.probe(factory, f"file://{tmp_path}")
