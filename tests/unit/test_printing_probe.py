"""What a printer says it is, read and matched to a profile: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from labelsvc.languages import identity
from labelsvc.languages.identity import Identity
from labelsvc.printing import Profiles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "MANUFACTURER:Zebra Technologies ;COMMAND SET:ZPL;MODEL:ZTC ZD611-300dpi ZPL;",
            Identity("Zebra Technologies", "ZTC ZD611-300dpi ZPL", ("zpl",), 300),
        ),
        (
            "MFG:Zebra Technologies;CMD:EPL,ZPL;MDL:ZP 505;",
            Identity("Zebra Technologies", "ZP 505", ("zpl",)),
        ),
        (
            "MANUFACTURER:Zebra Technologies ;COMMAND SET:ZPL;MODEL:ZTC ZT230-200dpi ZPL;",
            Identity("Zebra Technologies", "ZTC ZT230-200dpi ZPL", ("zpl",), 203),
        ),
        ("MFG:EPSON;CMD:ESC/POS;MDL:TM-T20II;CLS:PRINTER;", Identity("EPSON", "TM-T20II", ("escpos",))),
        ("MFG:X;CMD:TSPL,ESC/POS;MDL:Y;", Identity("X", "Y", ("tspl", "escpos"))),
        ("MFG:Printer;MDL:Thermal Printer;CMD:XPP,XL;", Identity("Printer", "Thermal Printer")),
        ("", Identity()),
        ("MFG:A\x1b[31m\r\nB;MDL:" + "x" * 500, Identity("A[31mB", "x" * 60)),
    ],
)
def test_a_device_id_is_read(text: str, expected: Identity):
    """The ids of real printers (LPrint's table), an empty one, and one that would be more than words."""
    assert identity.read_device_id(text) == expected


@pytest.mark.parametrize(
    ("read", "reply", "expected"),
    [
        (
            identity.read_host_identity,
            b"\x02ZD421-203dpi,V93.21.07Z,8,8192KB\x03\r\n",
            Identity("", "ZD421-203dpi", ("zpl",), 203),
        ),
        (
            identity.read_host_identity,
            b"\x02GX430t,V56.17,12,4096KB,X\x03",
            Identity("", "GX430t", ("zpl",), 300),
        ),
        (identity.read_host_identity, b"\x02ZD421-203dpi,V93", None),
        (identity.read_zpl_model, b'"ZD421"', "ZD421"),
        (identity.read_zpl_model, b'"?"', ""),
        (identity.read_zpl_model, b'"ZD4', None),
        (identity.read_tspl_model, b"\r\nTTP-244 Pro\r\n", "TTP-244 Pro"),
        (identity.read_tspl_model, b"TTP-2", None),
        (identity.read_escpos_text, b"_TM-T20II\0", "TM-T20II"),
        (identity.read_escpos_text, b"_TM-T2", None),
        (identity.is_escpos, b"\x12", True),
        (identity.is_escpos, b"\x16", True),
        (identity.is_escpos, b"\0", False),
        (identity.is_escpos, b"", None),
        (identity.is_tspl, b"\x04", True),
        (identity.is_tspl, b"\x02\x40", False),
    ],
)
def test_an_answer_is_read_once_it_is_whole(read, reply: bytes, expected: object):
    """The answers of the makers' manuals; a part of one is none yet."""
    assert read(reply) == expected


@given(some.binary(max_size=200))
def test_no_bytes_break_a_reader(reply: bytes):
    """A device's bytes are hostile: every reader takes any of them, and what comes out are printable words."""
    for read in (identity.read_zpl_model, identity.read_tspl_model, identity.read_escpos_text):
        assert (read(reply) or "").isprintable() and len(read(reply) or "") <= 60
    found = identity.read_host_identity(reply)
    assert found is None or found.model.isprintable()


@pytest.mark.parametrize(
    ("said", "profile", "known"),
    [
        (Identity("Zebra Technologies", "ZTC ZD421-203dpi ZPL", ("zpl",), 203), "zebra-zd421-203", True),
        (Identity("", "ZD421", ("zpl",), 203), "zebra-zd421-203", True),
        (Identity("Zebra Technologies", "ZTC ZD421-300dpi ZPL", ("zpl",), 300), "zpl-generic-300", False),
        (Identity("Zebra Technologies", "ZTC GX420d", ("zpl",)), "zebra-gx420", True),
        (Identity("Zebra Technologies", "ZTC ZT230-200dpi ZPL", ("zpl",), 203), "zebra-zt230-203", True),
        # Speaks what its name ends with until somebody sets it to ZSim.
        (Identity("Honeywell", "PC42t-203-ESim"), None, False),
        (Identity("TSC", "TTP-244 Plus"), "tsc-ttp-244-plus", True),
        (Identity("TSC", "TTP-244 Pro", ("tspl",)), "tsc-ttp-244-pro", True),
        (Identity("TSC", "TTP-244", ("tspl",)), "tspl-generic-203", False),
        (Identity("TSC", "te_200"), None, False),
        (Identity("", "XTE200B", ("tspl",)), "tspl-generic-203", False),
        (Identity("EPSON", "TM-T20III", ("escpos",)), "epson-tm-t20iii", True),
        (Identity("EPSON", "TM-T20II", ("escpos",)), "epson-tm-t20ii", True),
        (Identity("EPSON", "TM-T88V", ("escpos",)), "escpos-generic-80", False),
        (Identity("", "QR-386A-47DA", ("cpcl",)), "qirui-qr-386", True),
        (Identity("", "QR_386", ()), "qirui-qr-386", True),
        (Identity("Deli", "DL-888D"), "deli-dl-888d-pro", True),
        (Identity("TSC", "TE200", ("zpl",)), "zpl-generic-203", False),
        (Identity("HP", "LaserJet 4"), None, False),
        (Identity(), None, False),
    ],
)
def test_a_profile_is_proposed(said: Identity, profile: str | None, known: bool):
    """Its model's, if it has the resolution and the language that the printer says; else its language's; else none."""
    found, exactly = Profiles().propose(said)
    assert ((found.name if found else None), exactly) == (profile, known)


def test_no_two_models_are_called_the_same():
    """What a printer calls itself leads to one profile of a language and resolution."""
    seen: dict[tuple[str, str, int], str] = {}
    profiles = Profiles()
    for profile in profiles.all():
        for name in profile.matches:
            key = (name.upper(), profile.language, profile.dpi)
            assert key not in seen, (profile.name, seen[key])
            seen[key] = profile.name
            found, exactly = Profiles().propose(
                Identity(profile.maker, name, (profile.language,), profile.dpi)
            )
            assert found == profile and exactly
