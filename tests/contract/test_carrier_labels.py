"""What a label shows of its carrier: a direct-operated one's own label (E9), and the operator's logo."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from support.house import CARRIER, House, calm, house
from support.programs import MockCarrier, mock_carrier

from labelsvc.daemon import assemble
from labelsvc.db import Database
from labelsvc.errors import KeyReused
from labelsvc.labels import ImageMark, MatrixMark, StandardTemplates, TextMark, compose
from labelsvc.printing import journal
from labelsvc.security import Actor, Sealer
from labelsvc.settings import load
from labelsvc.waybills import Application, CarrierLogos, Party
from labelsvc.waybills.printouts import Printouts

DIRECT = "SF"
OTHER = Party("仓库发货部", "0571-88880000", "浙江省", "杭州市", "滨江区", "江南大道 1 号")


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=1000) as running:
        yield running


@pytest.fixture(name="home")
def _home(
    database: Database, sealer: Sealer, mock: MockCarrier, factory: Actor, tmp_path: Path
) -> Iterator[House]:
    """A store with ZTO, a franchise, and SF, which is direct-operated; and a printer."""
    calm(mock)
    with house(database, sealer, mock, factory) as found:
        address = found.addresses.create(factory, OTHER)
        point = found.subscriptions.network_points(factory, DIRECT, address.id)[0]
        found.subscriptions.apply(
            factory, Application(DIRECT, address.id, point.code, "王经理", "13900001111", "1", True, "ACC-1")
        )
        (tmp_path / "out").mkdir()
        found.printers.add(factory, "bench", (tmp_path / "out").as_uri(), "file-zpl-203")
        yield found


def marks(home: House, job) -> tuple:
    """What stands on the job's label."""
    with home.database.reading() as connection:
        document = journal.document_of(connection, job.labels[0].id)
    return compose(StandardTemplates().get(document.template), document.data).marks


def said(home: House, job) -> str:
    """All its text."""
    return "\n".join(mark.text for mark in marks(home, job) if isinstance(mark, TextMark))


class _Died(BaseException):
    """Stands for the end of the process."""


def _die(*_: object) -> None:
    raise _Died


def test_a_direct_operated_carriers_label(home: House):
    """E9: unless a template is asked for, it has the default template's direct sibling, which says who pays; a franchise's
    label hasn't."""
    direct, franchise = home.issued(carrier=DIRECT), home.issued()
    job = home.waybills.print(home.actor, direct.id, "bench", "p1")
    assert "寄付月结" in said(home, job)
    assert home.waybills.print(home.actor, direct.id, "bench", "p1") == job
    # Its second number is a QR code on both; only the direct one has no consolidation centre.
    assert "consolidation centre" not in {mark.source.split(" (")[0] for mark in marks(home, job)}
    other = home.waybills.print(home.actor, franchise.id, "bench", "p1")
    assert "寄付月结" not in said(home, other)
    assert "consolidation centre" in {mark.source.split(" (")[0] for mark in marks(home, other)}
    assert all(any(isinstance(mark, MatrixMark) for mark in marks(home, one)) for one in (job, other))


def test_the_template_that_was_asked_for_stays(home: House):
    """E9: who names a template gets it, of whatever carrier; another one with the same key is a conflict."""
    direct, franchise = home.issued(carrier=DIRECT), home.issued()
    asked = home.waybills.print(home.actor, direct.id, "bench", "p1", template="waybill-100x180")
    assert "寄付月结" not in said(home, asked)
    with pytest.raises(KeyReused):
        home.waybills.print(home.actor, direct.id, "bench", "p1")
    large = home.waybills.print(home.actor, franchise.id, "bench", "p1", template="waybill-100x150-direct")
    assert "寄付月结" not in said(home, large)  # the network's points are prepaid


def test_an_interrupted_print_keeps_its_label(home: House, monkeypatch: pytest.MonkeyPatch):
    """E9: the choice is part of the claim, so whoever finishes the print prints the direct label."""
    mine, others = home.issued(carrier=DIRECT), home.issued(carrier=DIRECT)
    with monkeypatch.context() as stopped:
        stopped.setattr(home.jobs, "submit", _die)
        for waybill in (mine, others):
            with pytest.raises(_Died):
                home.waybills.print(home.actor, waybill.id, "bench", "p1")
    # A process that would choose another one: the claim stands all the same.
    successor = home.restarted()
    assert "寄付月结" in said(home, successor.print(home.actor, mine.id, "bench", "p1"))
    with pytest.raises(Exception) as caught:
        successor.print(home.actor, others.id, "bench", "p2", template="waybill-76x130")
    assert caught.value.code == "waybill.already_printed"
    assert "寄付月结" in said(home, home.jobs.get(home.actor, caught.value.facts["job_id"]))


def test_e9_a_reprint_says_who_pays(home: House):
    """E9, W8: a reprint is the label that came out, with its mark."""
    waybill = home.issued(carrier=DIRECT)
    home.printed(waybill)
    again = home.waybills.reprint(home.actor, waybill.id, "bench", "torn", "r1")
    assert {"寄付月结", "补打 第1次"} <= set(said(home, again).split("\n"))


# --- logos ----------------------------------------------------------------------------------------------------


def picture(size: tuple[int, int] = (124, 34), kind: str = "PNG", colour: int = 0) -> bytes:
    """A logo, all black."""
    out = io.BytesIO()
    Image.new("L", size, colour).save(out, kind)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the operator's logos lie."""
    (tmp_path / "logos").mkdir()
    return tmp_path / "logos"


def with_logos(home: House, folder: Path | None) -> Printouts:
    """The activity that prints, of a process with this setting."""
    register = home.waybills.print.__self__._register
    return Printouts(home.database, register, home.jobs, home.printers, logos=CarrierLogos(folder))


def test_a_logo_takes_the_names_place(home: House, folder: Path):
    """The operator's own picture is printed, and the carrier's name isn't; other carriers keep their names."""
    (folder / f"{CARRIER}.png").write_bytes(picture())
    prints = with_logos(home, folder)
    waybill, other = home.issued(), home.issued(carrier=DIRECT)
    job = prints.print(home.actor, waybill.id, "bench", "p1")
    (logo,) = [mark for mark in marks(home, job) if isinstance(mark, ImageMark)]
    assert logo.source.startswith("logo") and set(logo.bits[:30]) == {255}
    assert waybill.carrier_name not in said(home, job)
    named = prints.print(home.actor, other.id, "bench", "p1")
    assert other.carrier_name in said(home, named)
    assert not [mark for mark in marks(home, named) if isinstance(mark, ImageMark)]


def test_a_logo_that_changed_doesnt_change_a_print(
    home: House, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """W8: the same key answers the same job after the operator has changed the logo; so does a claim whose answer was lost."""
    file = folder / f"{CARRIER}.png"
    file.write_bytes(picture())
    prints = with_logos(home, folder)
    waybill = home.issued()
    job = prints.print(home.actor, waybill.id, "bench", "p1")
    file.write_bytes(picture((60, 60)))
    assert prints.print(home.actor, waybill.id, "bench", "p1") == job
    assert with_logos(home, None).print(home.actor, waybill.id, "bench", "p1") == job
    assert len(home.jobs.labels(home.actor, subject=waybill.subject)) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "missing"),
        (b"", "not_png"),
        (b"GIF89a", "not_png"),
        (picture(kind="JPEG"), "not_png"),
        (picture()[:60], "unreadable"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 65_536, "too_large"),
        (picture((2001, 2000)), "unreadable"),
    ],
)
def test_why_there_is_no_logo(
    folder: Path, content: bytes | None, reason: str, capsys: pytest.CaptureFixture[str]
):
    """Missing or broken: there is none, and the log says so once, with nothing of the label."""
    if content is not None:
        (folder / "ZTO.png").write_bytes(content)
    logos = CarrierLogos(folder)
    assert logos.of("ZTO") == logos.of("ZTO") == ""
    (told,) = "".join(capsys.readouterr()).strip().splitlines()
    assert "carrier.no_logo" in told and f"reason={reason}" in told and "carrier=ZTO" in told


def test_the_setting_names_the_folder(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The daemon's own rooms print with the logos of ``logo_folder``."""
    (folder / "SF.png").write_bytes(picture())
    monkeypatch.setenv("LABELSVC_LOGO_FOLDER", str(folder))
    rooms = assemble(load(state_dir=tmp_path / "state"))
    try:
        assert rooms.waybills.print.__self__._logos.of("SF").startswith("data:image/png;base64,")
    finally:
        rooms.database.close()


@pytest.mark.parametrize("content", [None, picture()[:60]])
def test_without_a_logo_the_name_is_printed(home: House, folder: Path, content: bytes | None):
    """A missing or broken file keeps no label from coming out."""
    if content is not None:
        (folder / f"{CARRIER}.png").write_bytes(content)
    waybill = home.issued()
    job = with_logos(home, folder).print(home.actor, waybill.id, "bench", "p1")
    assert waybill.carrier_name in said(home, job)


def test_a_logo_is_read_again_once_it_is_mended(folder: Path):
    """The operator needn't restart anything; no code leads out of the folder."""
    logos = CarrierLogos(folder)
    (folder.parent / "SF.png").write_bytes(picture())
    assert logos.of("SF") == logos.of("../SF") == logos.of("") == ""
    (folder / "SF.png").write_bytes(picture())
    first = logos.of("SF")
    assert first.startswith("data:image/png;base64,")
    (folder / "SF.png").write_bytes(picture((200, 50)))
    assert logos.of("SF") not in ("", first)
    (folder / "SF.png").unlink()
    assert logos.of("SF") == ""
