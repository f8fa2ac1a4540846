"""Personal data encrypted at rest: column types that seal (AES-256-GCM) on the way in and open on the way out.

Hides the key file and the format of a sealed value: ``version(1) key-id(4) nonce(12) ciphertext+tag``. The column's name is
authenticated with it, so a value can't be moved to another column unnoticed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

from labelsvc.errors import LabelsvcError

_VERSION = b"\x01"


class Sealer:
    """The sealing keys of one installation: one is current, older ones still open what they sealed."""

    def __init__(self, keys: dict[str, bytes], current: str) -> None:
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self._current = current
        self._fingerprint_key = hashlib.sha256(b"labelsvc fingerprint" + keys[min(keys)]).digest()

    @classmethod
    def from_file(cls, path: Path) -> Sealer:
        """Read the key file (mode 0600), making it with a fresh key if it isn't there.

        Raises LabelsvcError if others may read it: keys that leaked protect nothing.
        """
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise LabelsvcError(
                "the sealing key file may be read by others; make its mode 0600", code="key.exposed"
            )
        content = json.loads(path.read_text())
        keys = {name: base64.b64decode(key) for name, key in content["keys"].items()}
        return cls(keys, content["current"])

    def seal(self, column: str, plain: bytes) -> bytes:
        """Encrypt ``plain`` for ``column`` ("table.column")."""
        nonce = secrets.token_bytes(12)
        cipher = self._keys[self._current].encrypt(nonce, plain, column.encode())
        return _VERSION + self._current.encode() + nonce + cipher

    def open(self, column: str, sealed: bytes) -> bytes:
        """Decrypt. Raises LabelsvcError if the key is gone or the value isn't this column's."""
        key = self._keys.get(sealed[1:5].decode("ascii", "replace"))
        if sealed[:1] != _VERSION or key is None:
            raise LabelsvcError(f"no key opens {column}", code="key.missing")
        try:
            return key.decrypt(sealed[5:17], sealed[17:], column.encode())
        except InvalidTag:
            raise LabelsvcError(f"a value of {column} was changed or moved", code="key.mismatch") from None

    def fingerprint(self, purpose: str, data: bytes) -> str:
        """A keyed hash, hex: equal data, equal fingerprint, and nobody without the key can try phone numbers on it."""
        return hmac.new(self._fingerprint_key, purpose.encode() + b"\0" + data, hashlib.sha256).hexdigest()


def _create(path: Path) -> None:
    """Write a fresh key file so that of two processes starting at once both read the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = secrets.token_hex(2)
    content = json.dumps(
        {"current": name, "keys": {name: base64.b64encode(secrets.token_bytes(32)).decode()}}
    )
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
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
