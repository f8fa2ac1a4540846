"""A store's printers and groups of them: add, look, edit, swap the device, pause, remove; and the built-in printer whose
labels open as PDF in a browser (P6).

Hides the checks of what a person chooses. The state of a printer is the spooler's knowledge, only shown here.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from labelsvc.db import Database, new_id
from labelsvc.errors import Conflict, FieldError, Invalid, NotFound
from labelsvc.languages.identity import Identity
from labelsvc.printing import journal, lease_store, printer_store, store
from labelsvc.printing.leases import NODE_NAME, NODE_RULE, host_name
from labelsvc.printing.model import (
    BROWSER_URI,
    GROUP_URI,
    LETTERS,
    MODES,
    Driven,
    Letters,
    Mode,
    NodeSeen,
    Printer,
    PrinterState,
    Profile,
    Proposal,
)
from labelsvc.printing.probing import ask
from labelsvc.printing.profiles import Profiles
from labelsvc.printing.transports import Transport, parse_uri
from labelsvc.printing.wakeups import Wakeups
from labelsvc.security import Actor, Right

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: A printer's own name of a font. Nothing in it can end a command of any language.
_FONT = re.compile(r"(?:[A-Z]:)?[A-Za-z0-9_-]{1,16}(?:\.[A-Za-z0-9]{1,4})?", re.ASCII)
_BROWSER = "browser"  # name and profile of the built-in printer
_MAX_ALIASES = 20
_MAX_MEMBERS = 50
_BOUNDS = {"darkness": (0, 30), "speed": (1, 14), "offset_x": (-400, 400), "offset_y": (-400, 400)}


class Printers:
    """The printers of all stores, seen by one actor at a time."""

    def __init__(
        self, database: Database, profiles: Profiles, wakeups: Wakeups | None = None, node: str = ""
    ) -> None:
        """``node`` is the name of this machine, on which printers hang that no other can reach."""
        self._database = database
        self.node = node or host_name()
        self._profiles = profiles
        self.wakeups = wakeups or Wakeups()

    def profiles(self) -> list[Profile]:
        """All known models."""
        return self._profiles.all()

    def profile(self, printer: Printer) -> Profile:
        """A printer's profile. Raises NotFound if its file was taken away."""
        return self._profiles.get(printer.profile)

    def add(
        self,
        actor: Actor,
        name: str,
        uri: str,
        profile: str,
        *,
        darkness: int | None = None,
        speed: int | None = None,
        offset_x: int = 0,
        offset_y: int = 0,
        letters: Letters | None = None,
        font: str | None = None,
        node: str | None = None,
    ) -> Printer:
        """Add a printer at ``uri`` (see ``transports.TRANSPORTS``); offsets in dots.

        ``letters`` and ``font`` say how characters beyond ASCII come on paper, instead of what the profile says: as dots, or
        by the font of that name in the printer (``DOWNLOADED``: one that labelsvc sends there first).
        ``node``: the machine that it hangs on (PostgreSQL); None: this one, if others can't reach it, else any.

        Raises Invalid naming every wrong field, Conflict ``printer.exists``.
        """
        actor.require(Right.MANAGE_PRINTERS)
        now = self._database.now()
        printer = Printer(
            id=new_id(),
            store_id=actor.store_id,
            name=name,
            uri=uri,
            profile=profile,
            dpi=0,
            created_at=now,
            darkness=darkness,
            speed=speed,
            offset_x=offset_x,
            offset_y=offset_y,
            letters=letters,
            font=font,
            node=node or None,
        )
        printer = self._checked(printer)
        with self._database.transaction(journal.TURN) as connection:
            printer_store.require_free_name(connection, actor.store_id, name, printer.id)
            printer_store.insert_printer(connection, printer)
            printer = self._shown(connection, printer)
        self.wakeups.wake(printer.id)
        return printer

    def add_group(self, actor: Actor, name: str, members: Sequence[str], mode: Mode = "first") -> Printer:
        """Add a group of printers, by their ids, names or aliases in the order of their turn.

        Its labels go to the first of them that can print (``first``), or to whichever is free (``spread``); the parcels
        of one order stay together. Raises Invalid naming every wrong field, Conflict ``printer.exists``.
        """
        actor.require(Right.MANAGE_PRINTERS)
        group = Printer(
            id=new_id(),
            store_id=actor.store_id,
            name=name,
            uri=GROUP_URI,
            profile="",
            dpi=0,
            created_at=self._database.now(),
            mode=mode,
        )
        with self._database.transaction(journal.TURN) as connection:
            ids = _members(connection, actor, group, members)
            printer_store.require_free_name(connection, actor.store_id, name, group.id)
            printer_store.insert_printer(connection, group)
            store.set_members(connection, group.id, ids)
            return self._shown(connection, group)

    def edit_group(
        self,
        actor: Actor,
        id_or_name: str,
        *,
        name: str | None = None,
        members: Sequence[str] | None = None,
        mode: Mode | None = None,
    ) -> Printer:
        """Change what is given of a group; its labels stay. Raises as ``add_group``, and NotFound ``printer.not_found``."""
        actor.require(Right.MANAGE_PRINTERS)
        with self._database.transaction(journal.TURN) as connection:
            before = _found(connection, actor, id_or_name)
            if not before.is_group:
                raise NotFound("no such group", code="printer.not_found")
            after = replace(before, name=name or before.name, mode=mode or before.mode)
            ids = _members(
                connection,
                actor,
                after,
                store.members_of(connection, before.id) if members is None else members,
            )
            printer_store.require_free_name(connection, actor.store_id, after.name, after.id)
            printer_store.update_printer(connection, after, another_device=False)
            store.set_members(connection, after.id, ids)
            after = self._shown(connection, after)
        self.wake(after.id)
        return after

    def set_aliases(self, actor: Actor, id_or_name: str, aliases: Sequence[str]) -> Printer:
        """What else a printer, or a group, is called from now on: the names that other programs stored for it (P13).

        At most 20, each as a name. Raises Invalid, NotFound, Conflict ``printer.exists`` if another has one of them.
        """
        actor.require(Right.MANAGE_PRINTERS)
        wanted = list(dict.fromkeys(aliases))
        faults = [fault for alias in wanted for fault in _name_faults("aliases", alias)]
        if len(wanted) > _MAX_ALIASES:
            faults.append(FieldError("aliases", f"must be at most {_MAX_ALIASES} names"))
        if faults:
            raise Invalid("the aliases are wrong", code="printer.invalid", errors=faults[:1])
        with self._database.transaction(journal.TURN) as connection:
            found = _found(connection, actor, id_or_name)
            _not_built_in(found)
            for alias in wanted:
                printer_store.require_free_name(connection, actor.store_id, alias, found.id)
            store.set_aliases(
                connection, actor.store_id, found.id, [name for name in wanted if name != found.name]
            )
            return self._shown(connection, found)

    def swap(self, actor: Actor, id_or_name: str, uri: str, profile: str) -> Printer:
        """Another device stands in the printer's place, in one step (P13).

        Name, aliases, queue and offsets stay; what waits is made anew for it. What the old device counted, and the fonts
        that were sent to it, are forgotten, and so are its speed, darkness and letters if it is another model. Raises
        Invalid, NotFound, Conflict ``printer.built_in``.
        """
        actor.require(Right.MANAGE_PRINTERS)
        with self._database.transaction(journal.TURN) as connection:
            before = _found(connection, actor, id_or_name)
            _not_built_in(before)
            _not_a_group(before)
            after = replace(
                before, uri=uri, profile=profile, device_no=before.device_no + 1, answered_at=None
            )
            if profile != before.profile:
                after = replace(after, darkness=None, speed=None, letters=None, font=None)
            after = self._checked(after)
            printer_store.update_printer(connection, after, another_device=True)
            printer_store.set_printer_state(connection, after.id, PrinterState())
            store.forget_fonts(connection, after.id)
            after = self._shown(connection, replace(after, state=PrinterState()))
        self.wakeups.wake(after.id)
        return after

    def devices(self, printer: Printer) -> list[Printer]:
        """The printers that a label for ``printer`` may come out of: itself, or a group's members in their order.

        Raises Conflict ``group.empty``.
        """
        if not printer.is_group:
            return [printer]
        with self._database.reading() as connection:
            known = {one.id: one for one in printer_store.printers_of(connection, printer.store_id)}
            found = [known[id] for id in store.members_of(connection, printer.id) if id in known]
        if not found:
            raise Conflict("the group has no printer", code="group.empty")
        return found

    def wake(self, printer_id: str, is_group: bool = True) -> None:
        """There may be a label for a printer, or for one of a group; False: surely for no group."""
        self.wakeups.wake(printer_id)
        if not is_group:
            return
        with self._database.reading() as connection:
            members = store.members_of(connection, printer_id)
        for member in members:
            self.wakeups.wake(member)

    def get(self, actor: Actor, id_or_name: str) -> Printer:
        """One printer. Raises NotFound."""
        actor.require(Right.READ_PRINTERS)
        return self._find(actor, id_or_name)

    def list(self, actor: Actor) -> list[Printer]:
        """All printers and groups of the store, oldest first."""
        actor.require(Right.READ_PRINTERS)
        with self._database.reading() as connection:
            aliases = store.aliases_of(connection, actor.store_id)
            return [
                replace(
                    found,
                    aliases=aliases.get(found.id, ()),
                    members=store.members_of(connection, found.id) if found.is_group else (),
                )
                for found in self._with_drivers(
                    connection, printer_store.printers_of(connection, actor.store_id)
                )
            ]

    def edit(
        self,
        actor: Actor,
        id_or_name: str,
        *,
        name: str | None = None,
        uri: str | None = None,
        profile: str | None = None,
        darkness: int | None = None,
        speed: int | None = None,
        offset_x: int | None = None,
        offset_y: int | None = None,
        letters: Letters | Literal[""] | None = None,
        font: str | None = None,
        node: str | None = None,
    ) -> Printer:
        """Change what is given; None leaves a field as it is. The queue stays, also behind another ``uri``.

        An empty ``letters`` or ``font`` is the profile's again; with an empty ``node`` any machine may drive the printer.

        Raises Invalid, NotFound, Conflict ``printer.exists`` or ``printer.built_in``.
        """
        actor.require(Right.MANAGE_PRINTERS)
        chosen = {"letters": letters, "font": font, "node": node}
        given = {
            "name": name,
            "uri": uri,
            "profile": profile,
            "darkness": darkness,
            "speed": speed,
            "offset_x": offset_x,
            "offset_y": offset_y,
        }
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        changes |= {field: value or None for field, value in chosen.items() if value is not None}
        with self._database.transaction(journal.TURN) as connection:
            before = _found(connection, actor, id_or_name)
            _not_built_in(before)
            _not_a_group(before)
            after = self._checked(replace(before, **changes))
            printer_store.require_free_name(connection, actor.store_id, after.name, after.id)
            another_device = after.uri != before.uri
            if another_device or after.profile != before.profile:
                after = replace(after, answered_at=None)
            printer_store.update_printer(connection, after, another_device=another_device)
            if another_device:
                store.forget_fonts(connection, after.id)
            after = self._shown(connection, after)
        self.wakeups.wake(after.id)
        return after

    def pause(self, actor: Actor, id_or_name: str) -> Printer:
        """Send nothing more after the label in hand, until resumed; twice is harmless."""
        actor.require(Right.MANAGE_PRINTERS)
        with self._database.transaction(journal.TURN) as connection:
            before = _found(connection, actor, id_or_name)
            after = replace(before, paused_at=before.paused_at or self._database.now())
            printer_store.update_printer(connection, after, another_device=False)
            after = self._shown(connection, after)
        self.wake(after.id)
        return after

    def resume(self, actor: Actor, id_or_name: str) -> Printer:
        """Go on after a pause; twice is harmless."""
        actor.require(Right.MANAGE_PRINTERS)
        with self._database.transaction(journal.TURN) as connection:
            after = replace(_found(connection, actor, id_or_name), paused_at=None)
            printer_store.update_printer(connection, after, another_device=False)
            after = self._shown(connection, after)
        self.wake(after.id)
        return after

    def remove(self, actor: Actor, id_or_name: str) -> None:
        """Remove a printer; its name is free again, its jobs' history stays.

        Raises Conflict ``printer.busy`` while labels of it are open or uncertain.
        """
        actor.require(Right.MANAGE_PRINTERS)
        with self._database.transaction(journal.TURN) as connection:
            found = _found(connection, actor, id_or_name)
            _not_built_in(found)
            printer_store.remove_printer(connection, found.id, self._database.now())
        self.wakeups.wake(found.id)

    def send_fonts_again(self, actor: Actor, id_or_name: str) -> Printer:
        """The printer lost what was downloaded (a reset, a repair): before its next label it gets its font anew."""
        actor.require(Right.MANAGE_PRINTERS)
        with self._database.transaction(journal.TURN) as connection:
            found = _found(connection, actor, id_or_name)
            store.forget_fonts(connection, found.id)
        return found

    def probe(self, actor: Actor, uri: str) -> Proposal:
        """Ask the printer at ``uri`` what it is, and propose its profile. See ``probing`` for what that does to it.

        Raises Invalid on field ``uri``, Conflict ``printer.busy`` while labels for it are open, TransportBroken.
        """
        actor.require(Right.MANAGE_PRINTERS)
        transport = parse_uri(uri)
        if not transport.answers:
            raise Invalid("names a printer that never answers", code="uri.invalid", field="uri")
        with self._database.reading() as connection:
            if printer_store.is_busy_at(connection, uri):
                raise Conflict("the printer has labels to print", code="printer.busy")
        link = transport.connect()
        try:
            found, said = ask(link)
        finally:
            link.close()
        return self.proposal(actor, uri, found.model, found, said)

    def proposal(self, actor: Actor, uri: str, name: str, found: Identity, said: tuple[str, ...]) -> Proposal:
        """What a printer at ``uri`` that says it is ``found`` should be added as, and whether the store has it already."""
        actor.require(Right.MANAGE_PRINTERS)
        with self._database.reading() as connection:
            there = _at(printer_store.printers_of(connection, actor.store_id), parse_uri(uri))
        profile, known = self._profiles.propose(found)
        return Proposal(
            uri=uri,
            name=name,
            maker=found.maker,
            model=found.model,
            languages=found.languages,
            dpi=found.dpi,
            profile=profile.name if profile else None,
            known=known,
            said=said,
            added_as=there.name if there else None,
        )

    def wake_usb(self) -> None:
        """Something was plugged in or out: whoever waits for a USB printer looks now."""
        with self._database.reading() as connection:
            found = printer_store.printers_at_scheme(connection, "usb")
        for printer_id in found:
            self.wakeups.look_at(printer_id)

    def browser(self, actor: Actor) -> Printer:
        """The store's built-in printer, made at the first asking: its labels open as PDF (P6)."""
        actor.require(Right.PRINT)
        with self._database.reading() as connection:
            found = printer_store.find_printer(connection, actor.store_id, _BROWSER)
        if found is not None:
            return found
        profile = self._profiles.get(_BROWSER)
        printer = Printer(
            id=new_id(),
            store_id=actor.store_id,
            name=_BROWSER,
            uri=BROWSER_URI,
            profile=profile.name,
            dpi=profile.dpi,
            created_at=self._database.now(),
            state=PrinterState("ready", "", "browser", self._database.now()),
        )
        try:
            with self._database.transaction(journal.TURN) as connection:
                printer_store.insert_printer(connection, printer)
        except Conflict:  # another request made it at the same moment
            return self._find(actor, _BROWSER)
        return printer

    def for_request(self, actor: Actor, id_or_name: str, connection: Connection | None = None) -> Printer:
        """The printer that a print request names. Raises Invalid on field ``printer`` if the store has none such."""
        if id_or_name == _BROWSER:
            return self.browser(actor)
        with nullcontext(connection) if connection is not None else self._database.reading() as reading:
            found = printer_store.find_printer(reading, actor.store_id, id_or_name)
        if found is None:
            raise Invalid("no such printer", code="printer.not_found", field="printer")
        return found

    def nodes(self, actor: Actor) -> Sequence[NodeSeen]:
        """The machines that drive printers of this database, by name; none on SQLite, where there is one that needs no name."""
        actor.require(Right.READ_PRINTERS)
        if self._database.is_sqlite:
            return []
        with self._database.reading() as connection:
            return lease_store.known(connection)

    def count_driven(self) -> dict[str, int]:
        """How many printers of all stores each living machine drives, for the metrics."""
        if self._database.is_sqlite:
            return {}
        with self._database.reading() as connection:
            return {node.name: node.printers for node in lease_store.known(connection)}

    def _find(self, actor: Actor, id_or_name: str) -> Printer:
        with self._database.reading() as connection:
            found = _found(connection, actor, id_or_name)
            return self._shown(connection, found)

    def _shown(self, connection: Connection, printer: Printer) -> Printer:
        """With its aliases, its members, and who drives it."""
        return replace(
            self._with_drivers(connection, [printer])[0],
            aliases=store.aliases_of(connection, printer.store_id).get(printer.id, ()),
            members=store.members_of(connection, printer.id) if printer.is_group else (),
        )

    def _with_drivers(self, connection: Connection, found: Sequence[Printer]) -> builtins.list[Printer]:
        """With who drives each on PostgreSQL. What was known of a printer that nobody drives is known no more."""
        if self._database.is_sqlite:
            return [*found]
        drivers = lease_store.driven(connection)
        return [_driven(printer, drivers.get(printer.id)) for printer in found]

    def _checked(self, printer: Printer) -> Printer:
        """The printer with its profile's dpi. Raises Invalid naming every wrong field."""
        faults: list[FieldError] = []
        faults += _name_faults("name", printer.name)
        answers, dpi, profile = True, 0, None
        if printer.node and self._database.is_sqlite:
            faults.append(FieldError("node", "needs PostgreSQL: on SQLite one machine drives every printer"))
        elif printer.node and not NODE_NAME.fullmatch(printer.node):
            faults.append(FieldError("node", NODE_RULE))
        try:
            way = parse_uri(printer.uri, here=printer.node in (None, self.node))
            answers = way.answers
            if way.local and not printer.node and not self._database.is_sqlite:
                printer = replace(printer, node=self.node)
        except Invalid as fault:
            faults += fault.errors
        try:
            profile = self._profiles.get(printer.profile)
            dpi = profile.dpi
            if profile.name == _BROWSER:
                faults.append(FieldError("profile", "belongs to the built-in printer"))
            elif (printer.letters or profile.letters) == "font" and not (printer.font or profile.font):
                faults.append(FieldError("font", "must name the printer's font"))
            elif profile.status != "none" and not answers:
                faults.append(
                    FieldError("profile", "needs a printer that answers, which this URI never does")
                )
        except NotFound as fault:
            faults += fault.errors
        if printer.letters not in (None, *LETTERS):
            faults.append(FieldError("letters", f"must be one of {', '.join(LETTERS)}"))
        if printer.font is not None and not (isinstance(printer.font, str) and _FONT.fullmatch(printer.font)):
            faults.append(FieldError("font", "must be a font's name in the printer, such as E:SIMSUN.TTF"))
        for field, (least, most) in _BOUNDS.items():
            value = getattr(printer, field)
            if profile is not None and field == "darkness":
                least, most = profile.darkness_range or (least, most)
            elif profile is not None and field == "speed" and profile.speeds:
                least, most = ceil(profile.speeds[0]), int(profile.speeds[-1])
            if value is None and field in ("darkness", "speed"):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                faults.append(FieldError(field, f"must be a whole number from {least} to {most}"))
        if faults:
            raise Invalid("the printer is wrong", code="printer.invalid", errors=faults)
        return replace(printer, dpi=dpi)


def _found(connection: Connection, actor: Actor, id_or_name: str) -> Printer:
    found = printer_store.find_printer(connection, actor.store_id, id_or_name)
    if found is None:
        raise NotFound("no such printer", code="printer.not_found")
    return found


def _at(printers: Iterable[Printer], transport: Transport) -> Printer | None:
    """The one of ``printers`` whose address means ``transport``, however it is written."""
    for printer in printers:
        with suppress(Invalid):  # the built-in one's, or one of another version
            if parse_uri(printer.uri) == transport:
                return printer
    return None


def _driven(printer: Printer, by: Driven | None) -> Printer:
    if printer.is_browser or printer.is_group:
        return printer
    if by is not None and by.now:
        return replace(printer, driven_by=by.node)
    away = by is not None or printer.node is not None
    seen_at = by.seen_at if by is not None and by.node == (printer.node or by.node) else None
    return replace(
        printer, state=PrinterState("unknown", "node_away" if away else "not_driven", "node", seen_at)
    )


def _name_faults(field: str, name: object) -> list[FieldError]:
    if not isinstance(name, str) or not 1 <= len(name) <= 80 or name != name.strip():
        return [FieldError(field, "must be 1 to 80 characters without spaces around them")]
    if not name.isprintable():
        return [FieldError(field, "must hold printable characters only")]
    if name == _BROWSER:
        return [FieldError(field, "belongs to the built-in printer")]
    return []


def _members(connection: Connection, actor: Actor, group: Printer, members: Sequence[str]) -> list[str]:
    """The ids of a group's printers. Raises Invalid naming every wrong field of the group."""
    faults = _name_faults("name", group.name)
    if group.mode not in MODES:
        faults.append(FieldError("mode", f"must be one of {', '.join(MODES)}"))
    found = [printer_store.find_printer(connection, actor.store_id, member) for member in members]
    if any(one is None or one.is_browser or one.is_group for one in found):
        faults.append(FieldError("members", "must be printers of the store"))
    ids = list(dict.fromkeys(one.id for one in found if one is not None))
    if not 1 <= len(members) <= _MAX_MEMBERS:
        faults.append(FieldError("members", f"must be 1 to {_MAX_MEMBERS} printers"))
    if faults:
        raise Invalid("the group is wrong", code="printer.invalid", errors=faults)
    return ids


def _not_a_group(printer: Printer) -> None:
    if printer.is_group:
        raise Conflict("a group has no device of its own", code="printer.group")


def _not_built_in(printer: Printer) -> None:
    if printer.is_browser:
        raise Conflict("the built-in printer stays as it is", code="printer.built_in")
