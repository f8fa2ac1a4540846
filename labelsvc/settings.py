"""The one table of options: defaults, a TOML file, the environment (``LABELSVC_*``); read once at start.

Later sources win over earlier ones: default, TOML file, environment. The file is the one named by ``LABELSVC_CONFIG``
or ``--config``, else ``/etc/labelsvc/labelsvc.toml`` where it exists.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from labelsvc.errors import FieldError, Invalid

SYSTEM_FILE = Path("/etc/labelsvc/labelsvc.toml")
#: Other software of this trade listens there: Pinduoduo's component, raw printing, Cainiao's component.
TAKEN_PORTS = {5000: "Pinduoduo's print component", 9100: "raw printing", 13528: "Cainiao's print component"}


def _state_dir() -> Path:
    """systemd's StateDirectory, else the XDG place."""
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "labelsvc"


class Settings(BaseSettings):
    """What the operator may choose."""

    model_config = SettingsConfigDict(env_prefix="LABELSVC_", extra="forbid", validate_default=True)

    state_dir: Path = Field(default_factory=_state_dir, description="database, key file and driver lock")
    database_url: str = Field("", description="SQLAlchemy address; empty: labelsvc.db in state_dir")
    host: str = Field("127.0.0.1", description="address to listen on; loopback unless you know why")
    port: int = Field(8317, ge=0, le=65535, description="port of the API and the pages; 0: any free one")
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Host names accepted besides localhost, 127.0.0.1 and ::1"
    )
    threads: int = Field(16, ge=2, le=256, description="HTTP requests served at once")
    session_hours: float = Field(12, gt=0, description="how long a page's sign-in lasts")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    network_url: str = Field("", description="the carrier network's gateway; empty: none")
    network_client_id: str = ""
    network_client_secret: SecretStr = SecretStr("")
    network_timeout_s: float = Field(10, gt=0, le=120, description="longest wait for one carrier call")
    network_in_flight: int = Field(4, ge=1, le=64, description="calls for numbers that may run at once")
    one_point_per_address: Literal["address", "carrier"] = Field(
        "address", description="one network point an address, or one an address and carrier (E5)"
    )
    logo_folder: Path | None = Field(
        None,
        description="folder of carriers' logos, CODE.png of 64 kB at most each; none: labels show the names",
    )
    low_balance: int = Field(
        500,
        ge=0,
        le=1_000_000,
        description="fewer numbers left at a network point than this are shown as few",
    )

    image_hosts: list[str] = Field(
        [],
        description="hosts from which templates may take pictures, such as cdn.example.com; none: pictures are embedded",
    )
    image_folder: Path | None = Field(
        None, description="folder from which templates may take pictures as file:///…; none: no file is read"
    )

    node: str = Field(
        "",
        pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="this machine's name among several on one PostgreSQL database; empty: its host name",
    )
    lease_s: float = Field(
        15,
        ge=1,
        le=300,
        description="how long after its last heartbeat another machine may drive a machine's printers (PostgreSQL)",
    )
    spooler: bool = Field(True, description="drive the printers from this process")
    poll_s: float = Field(
        0.2, gt=0, le=10, description="how often a resting printer thread looks for new labels"
    )
    printer_retry_s: float = Field(
        2, gt=0, le=300, description="pause before an absent printer is tried again"
    )
    proof_timeout_s: float = Field(
        30, gt=0, description="how long a ready, idle printer may leave a sent label unproven"
    )

    discovery: Literal["off", "usb", "all"] = Field(
        "usb",
        description="which printers are found by themselves: of the USB bus, or also what the network announces (mDNS)",
    )
    second_copy_ask_s: float = Field(
        600,
        gt=0,
        le=86400,
        description="a second label of a waybill number that nobody confirms so long is cancelled",
    )

    erase_after_days: int = Field(
        180,
        ge=0,
        le=36500,
        description="personal data of older waybills, orders and labels are erased; 0: never",
    )

    @field_validator("port")
    @classmethod
    def _not_a_neighbours_port(cls, port: int) -> int:
        if port in TAKEN_PORTS:
            raise ValueError(f"port {port} belongs to {TAKEN_PORTS[port]}")
        return port

    @property
    def database(self) -> str:
        """The database's address in force."""
        return self.database_url or f"sqlite:///{self.state_dir / 'labelsvc.db'}"

    @property
    def key_file(self) -> Path:
        """The sealing keys: the credential of that name where systemd hands one over, else a file in state_dir."""
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder and (Path(folder) / "sealing.key").is_file():
            return Path(folder) / "sealing.key"
        return self.state_dir / "sealing.key"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over TOML; no .env files, which are picked up by accident."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=_toml_file())
        return init_settings, env_settings, toml


def _toml_file() -> Path | None:
    named = os.environ.get("LABELSVC_CONFIG")
    if named:
        if not Path(named).is_file():
            raise Invalid(
                "the settings file that LABELSVC_CONFIG names doesn't exist", field="LABELSVC_CONFIG"
            )
        return Path(named)
    return SYSTEM_FILE if SYSTEM_FILE.is_file() else None


def load(**overrides: Any) -> Settings:
    """Read the settings once. Raises Invalid naming each wrong option."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise Invalid(
            "the settings are wrong",
            code="settings.invalid",
            errors=[
                FieldError(".".join(str(part) for part in fault["loc"]), fault["msg"])
                for fault in error.errors()
            ],
        ) from None
