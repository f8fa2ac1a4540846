"""Rows straight into tables, filled by their columns' own rules; for tests of what looks at rows and not at how they came."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, Connection, Integer, String, Table

from labelsvc.db import UtcDateTime, metadata, new_id
from labelsvc.security import Actor, Sealed, SealedBytes
from labelsvc.waybills import IssueRequest, Item, Party

_number = count(1)


def add(connection: Connection, table: Table, **given: Any) -> dict[str, Any]:
    """Insert a row: ``given``, and for every other column that must hold something a value that it may hold.

    Rows of tables that it refers to are added with it.
    """
    values = dict(given)
    for column in table.columns:
        if column.name in values or column.autoincrement is True:
            continue
        sealed = isinstance(column.type, Sealed | SealedBytes)
        if not sealed and (column.nullable or column.server_default is not None):
            continue
        values[column.name] = _value(connection, table, column)
    connection.execute(table.insert().values(**values))
    return values


def _value(connection: Connection, table: Table, column: Column[Any]) -> Any:
    for key in column.foreign_keys:
        parent = metadata.tables[key.column.table.name]
        return add(connection, parent)[key.column.name]
    if isinstance(column.type, Sealed):
        return {"sealed": f"{table.name}.{column.name}"}
    if isinstance(column.type, SealedBytes):
        return f"{table.name}.{column.name}".encode()
    if isinstance(column.type, UtcDateTime):
        return datetime.now(UTC)
    if isinstance(column.type, Boolean):
        return False
    for check in table.constraints:
        if isinstance(check, CheckConstraint) and (
            found := re.search(rf"\b{column.name} IN \('(\w+)'", str(check.sqltext))
        ):
            return found[1]
    if isinstance(column.type, String):
        return (new_id() if column.name == "id" else f"{column.name}{next(_number)}")[: column.type.length]
    assert isinstance(column.type, Integer), f"{table.name}.{column.name}"
    return 1


def party(name: str = "欧阳春晓", phone: str = "13812345678", detail: str = "天河北路233号1204室") -> Party:
    """A recipient in Guangzhou."""
    return Party(name, phone, "广东省", "广州市", "天河区", detail, "林和街道")


SHOP = Party("云上小店", "13911112222", "浙江省", "杭州市", "余杭区", "仓前街道 9 号")


def add_waybill(
    connection: Connection,
    actor: Actor,
    recipient: Party,
    *,
    owner_id: str = "",
    state: str = "issued",
    age: timedelta = timedelta(0),
    **given: Any,
) -> str:
    """An issued waybill of the actor's store, with its person in the index as issuing files it; its id."""
    from labelsvc.waybills import people_store

    number = next(_number)
    owner_id = owner_id or actor.store_id
    request = IssueRequest(
        carrier="ZTO",
        orders=(f"A-{number}",),
        recipient=recipient,
        shown_sender=SHOP,
        items=(Item("青瓷杯", 2),),
        note="轻放",
        owner_id=owner_id,
    )
    subscription = add(connection, metadata.tables["subscriptions"], store_id=actor.store_id)
    row = add(
        connection,
        metadata.tables["waybills"],
        store_id=actor.store_id,
        owner_id=owner_id,
        subscription_id=subscription["id"],
        carrier="ZTO",
        state=state,
        number=f"7313{number:010d}",
        request=request.as_dict(),
        origin=SHOP.as_dict(),
        created_at=datetime.now(UTC) - age,
        **given,
    )
    people_store.insert_people(connection, [(row["id"], owner_id, recipient)])
    return str(row["id"])
