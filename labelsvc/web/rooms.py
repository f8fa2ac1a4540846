"""What the web door finds behind it: the rooms, as the roof assembles them; hides where Flask keeps them."""

from __future__ import annotations

from typing import Protocol, cast

from flask import Flask, current_app

from labelsvc.db import Database
from labelsvc.dropship import Bindings, Orders
from labelsvc.labels import StandardTemplates
from labelsvc.printing import CustomAreas, Discovery, Printers, PrintJobs, Profiles
from labelsvc.security import Accounts, Audit
from labelsvc.settings import Settings
from labelsvc.waybills import Batches, Divisions, Preferences, SenderAddresses, Subscriptions, Waybills


class Rooms(Protocol):
    """The rooms that the web door opens on; the roof's own noun fits."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def profiles(self) -> Profiles: ...
    @property
    def templates(self) -> StandardTemplates: ...
    @property
    def printers(self) -> Printers: ...
    @property
    def discovery(self) -> Discovery: ...
    @property
    def jobs(self) -> PrintJobs: ...
    @property
    def areas(self) -> CustomAreas: ...
    @property
    def addresses(self) -> SenderAddresses: ...
    @property
    def subscriptions(self) -> Subscriptions: ...
    @property
    def waybills(self) -> Waybills: ...
    @property
    def bindings(self) -> Bindings: ...
    @property
    def orders(self) -> Orders: ...
    @property
    def batches(self) -> Batches: ...
    @property
    def preferences(self) -> Preferences: ...
    @property
    def audit(self) -> Audit: ...


def install(app: Flask, assembled: Rooms) -> None:
    """Tell ``app`` its rooms."""
    app.extensions["labelsvc"] = assembled
    app.extensions["labelsvc.divisions"] = Divisions()


def rooms() -> Rooms:
    """The rooms of the app that is serving."""
    return cast(Rooms, current_app.extensions["labelsvc"])


def divisions() -> Divisions:
    """The provinces, cities and districts that people pick from; data, the same for every store."""
    return cast(Divisions, current_app.extensions["labelsvc.divisions"])
