"""The web door: the HTTP API and the pages in Chinese; owns the protocol and nothing else, every rule lies in the rooms."""

from labelsvc.web.app import create_app
from labelsvc.web.rooms import Rooms
from labelsvc.web.server import serve

__all__ = ["Rooms", "create_app", "serve"]
