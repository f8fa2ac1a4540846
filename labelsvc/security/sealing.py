"""Personal data encrypted at rest: column types that seal (AES-256-GCM) on the way in and open on the way out.

Hides the key file and the format of a sealed value: ``version(1) key-id(4) nonce(12) ciphertext+tag``. The column's name is
authenticated with it, so a value can't be moved to another column unnoticed.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

from labelsvc.errors import Conflict, LabelsvcError, NotFound, Refused
from labelsvc.log import get_logger

_VERSION = b"\x01"
#: A sealed value's head: version and key id.
_HEAD = 5

_log = get_logger("security")


class Sealer:
    """The sealing keys of one installation: one is current, others still open what they sealed.

    The key file is the truth: every seal looks whether it changed, and a value sealed by a key not known yet makes it read
    again, so that a running daemon follows a rotation by itself. Equality (fingerprints, the index of people) hangs on a key
    of its own that no rotation touches.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        current: str,
        index_key: bytes | None = None,
        path: Path | None = None,
    ) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen = _signature(path)
        self._ring = _Ring.of(keys, current, index_key)

    @classmethod
    def from_file(cls, path: Path) -> Sealer:
        """Read the key file (mode 0600), making it with a fresh key if it isn't there.

        Raises LabelsvcError if others may read it: keys that leaked protect nothing.
        """
        if not path.exists():
            _create(path)
        seen = _signature(path)  # before reading: a change in between must not be missed
        content = _read(path)
        made = cls(_keys(content), content["current"], _index_key(content), path)
        made._seen = seen
        return made

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        self._follow()
        return self._ring.current

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys that open."""
        self._follow()
        return tuple(sorted(self._ring.keys))

    def seal(self, column: str, plain: bytes) -> bytes:
        """Encrypt ``plain`` for ``column`` ("table.column")."""
        self._follow()
        ring, nonce = self._ring, secrets.token_bytes(12)
        cipher = ring.keys[ring.current].encrypt(nonce, plain, column.encode())
        return sealed_by(ring.current) + nonce + cipher

    def open(self, column: str, sealed: bytes) -> bytes:
        """Decrypt. Raises LabelsvcError if the key is gone or the value isn't this column's."""
        if sealed[:1] != _VERSION:
            raise LabelsvcError(f"no key opens {column}", code="key.missing")
        name = sealed[1:_HEAD].decode("ascii", "replace")
        key = self._ring.keys.get(name)
        if key is None:
            self._follow()  # another process rotated a moment ago
            key = self._ring.keys.get(name)
        if key is None:
            raise LabelsvcError(f"no key opens {column}", code="key.missing")
        try:
            return key.decrypt(sealed[_HEAD : _HEAD + 12], sealed[_HEAD + 12 :], column.encode())
        except InvalidTag:
            raise LabelsvcError(f"a value of {column} was changed or moved", code="key.mismatch") from None

    def fingerprint(self, purpose: str, data: bytes) -> str:
        """A keyed hash, hex: equal data, equal fingerprint, and nobody without the key can try phone numbers on it."""
        return hmac.digest(self._ring.index_key, purpose.encode() + b"\0" + data, "sha256").hex()

    # --- rotation ---------------------------------------------------------------------------------------------

    def add(self) -> str:
        """Write a fresh key into the file, known but not yet current; its id.

        With several machines the file goes to all of them before ``use``, so that each opens what any seals.
        Raises Refused ``key.read_only`` for a systemd credential.
        """
        with self._changing() as content:
            name = next(name for name in _fresh_names() if name not in content["keys"])
            content["keys"][name] = base64.b64encode(secrets.token_bytes(32)).decode()
            # Before any older key goes: what the index key of an old file was derived from may be retired one day.
            content["index"] = base64.b64encode(self._ring.index_key).decode()
        return name

    def use(self, name: str, now: datetime) -> None:
        """Make a known key the one that seals. Raises NotFound ``key.unknown``, Refused ``key.read_only``."""
        with self._changing() as content:
            if name not in content["keys"]:
                raise NotFound("no such sealing key", code="key.unknown")
            if name != content["current"]:
                content.setdefault("replaced", {})[content["current"]] = now.isoformat()
                content.get("replaced", {}).pop(name, None)
                content["current"] = name

    def forget(self, name: str) -> None:
        """Take a key out of the file for good; who has asked that nothing is sealed by it any more may."""
        with self._changing() as content:
            if name == content["current"]:
                raise Conflict("the current key can't be retired", code="key.current")
            if content["keys"].pop(name, None) is None:
                raise NotFound("no such sealing key", code="key.unknown")
            content.get("replaced", {}).pop(name, None)

    def replaced_at(self, name: str) -> datetime | None:
        """When a key stopped being current; None if it never was, or is."""
        if self._path is None:
            return None
        at = _read(self._path).get("replaced", {}).get(name)
        return datetime.fromisoformat(at) if at else None

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The file's content, written back whole at the end of the block; one change at a time over all processes."""
        path = self._path
        if path is None or is_credential(path):
            raise Refused(
                "this key file can't be written: change it where it is kept, and encrypt it anew",
                code="key.read_only",
            )
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            content = _read(path)
            yield content
            draft = _draft(path, content)
            draft.replace(path)
            os.fsync(folder)
        except OSError as error:
            raise Refused(
                "the key file can't be written", code="key.read_only", reason=error.strerror
            ) from None
        finally:
            os.close(folder)
        self._follow()

    def _follow(self) -> None:
        """Read the key file again if it was changed. A file that can't be read leaves the keys as they were."""
        path = self._path
        if path is None or _signature(path) in (self._seen, None):
            return
        with self._lock:
            signature = _signature(path)
            if signature in (self._seen, None):
                return
            try:
                content = _read(path)
                ring = _Ring.of(_keys(content), content["current"], _index_key(content))
            except (LabelsvcError, OSError, ValueError, KeyError) as error:
                _log.error("keys.unreadable", fault=type(error).__name__)
            else:
                if ring.index_key != self._ring.index_key:
                    _log.error(
                        "keys.foreign"
                    )  # another installation's file: with it nothing of ours could be found
                else:
                    self._ring = ring
                    _log.info("keys.read", current=ring.current, known=len(ring.keys))
            self._seen = signature


@dataclass(frozen=True)
class _Ring:
    """The keys as they stand at one moment."""

    keys: Mapping[str, AESGCM]
    current: str
    index_key: bytes

    @classmethod
    def of(cls, keys: Mapping[str, bytes], current: str, index_key: bytes | None) -> _Ring:
        if current not in keys:
            raise LabelsvcError("the key file names a current key that it doesn't hold", code="key.missing")
        return cls({name: AESGCM(key) for name, key in keys.items()}, current, index_key or _derived(keys))


def sealed_by(name: str) -> bytes:
    """How every value begins that the key ``name`` sealed."""
    return _VERSION + name.encode()


def is_credential(path: Path) -> bool:
    """Whether a path is a credential that systemd handed over: read-only, and private by its directory."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and path.parent == Path(str(folder))


def _derived(keys: Mapping[str, bytes]) -> bytes:
    """The index key of a file that was made before such files held one."""
    return hashlib.sha256(b"labelsvc fingerprint" + keys[min(keys)]).digest()


def _signature(path: Path | None) -> tuple[int, int, int] | None:
    """What changes with a file's content, without reading it; None if there is no file."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(path: Path) -> dict[str, Any]:
    # systemd gives the service's user access by an ACL, which shows as the group's bits.
    if path.stat().st_mode & (0o007 if is_credential(path) else 0o077):
        raise LabelsvcError(
            "the sealing key file may be read by others; make its mode 0600", code="key.exposed"
        )
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _keys(content: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: base64.b64decode(key) for name, key in content["keys"].items()}


def _index_key(content: Mapping[str, Any]) -> bytes | None:
    return base64.b64decode(content["index"]) if "index" in content else None


def _fresh_names() -> Iterator[str]:
    while True:
        yield secrets.token_hex(2)


def _draft(path: Path, content: Mapping[str, Any]) -> Path:
    """A file beside ``path`` with this content, safely on the disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(content))
        file.flush()
        os.fsync(file.fileno())
    return draft


def _create(path: Path) -> None:
    """Write a fresh key file so that of two processes starting at once both read the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = next(_fresh_names())
    keys = {name: base64.b64encode(secrets.token_bytes(32)).decode()}
    index = base64.b64encode(secrets.token_bytes(32)).decode()
    draft = _draft(path, {"current": name, "keys": keys, "index": index})
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _sealer(dialect: Dialect) -> Sealer:
    found = getattr(dialect, "labelsvc_sealer", None)
    if found is None:
        raise LabelsvcError("this database was opened without its sealing keys", code="key.missing")
    return found  # type: ignore[no-any-return]


def fingerprint(dialect: Dialect, purpose: str, content: Any) -> str:
    """A keyed hash, hex, of any JSON content, by the keys of the database that ``dialect`` belongs to.

    For telling a repeated request from another one under the same idempotency key, without keeping a plain hash of
    personal data.
    """
    plain = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return _sealer(dialect).fingerprint(purpose, plain)


def index_token(dialect: Dialect, kind: PersonKind, text: str, scope: str = "") -> str:
    """A keyed hash of a phone or a name, 32 hex digits, for finding it exactly without opening anything.

    Spellings of one phone (``+86 138-0000-1111``) or name (blanks, width, case) give one token; in another ``scope``, a
    store's id, the same person has another one. Empty if nothing is left of ``text``: that finds nobody.
    """
    plain = _plain_phone(text) if kind == "phone" else _plain_name(text)
    if not plain:
        return ""
    return _sealer(dialect).fingerprint(f"index {kind} {scope}", plain.encode())[:32]


#: Under what a person can be looked up.
PersonKind = Literal["phone", "name"]


def _plain_phone(text: str) -> str:
    """Digits without country code and trunk zero; a virtual number's extension stays, behind ``#``."""
    text = unicodedata.normalize("NFKC", text).strip()
    main, _, extension = text.strip("#$ ").partition("#")
    number, extension = re.sub(r"\D", "", main), re.sub(r"\D", "", extension)
    if number.startswith("0086"):
        number = number[4:]
    elif number.startswith("86") and (main.lstrip().startswith("+") or re.fullmatch(r"861\d{10}", number)):
        number = number[2:]
    number = number.removeprefix("0")
    if (
        re.fullmatch(r"1\d{11,}", number) and not extension
    ):  # a mobile has eleven digits: the rest is an extension
        number, extension = number[:11], number[11:]
    return f"{number}#{extension}" if extension else number


def _plain_name(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


class SealedBytes(TypeDecorator[bytes]):
    """Bytes, sealed at rest. ``column`` is "table.column"."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Seal."""
        return None if value is None else _sealer(dialect).seal(self.column, value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Open."""
        return None if value is None else _sealer(dialect).open(self.column, bytes(value))


class Sealed(TypeDecorator[Any]):
    """Any JSON value, sealed at rest. ``column`` is "table.column"."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Seal."""
        if value is None:
            return None
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return _sealer(dialect).seal(self.column, plain)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        """Open."""
        return None if value is None else json.loads(_sealer(dialect).open(self.column, bytes(value)))
