"""What the platform knows besides waybills: orders, who was assigned to print them, what was shipped, and the
addresses that returns go to; further tables of the books' file.

Hides the tables, the steps an order may take, and that the numbers of a dropship order belong to the factory
while its recipient belongs to the merchant. All of it happens inside `Books.perform`, so that it is committed
with the outcome in the log.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labelsvc.mockcarrier.network import NO_SUCH_WAYBILL, WAS_CANCELLED, Address, Carrier, Party
from labelsvc.mockcarrier.wire import Refused

LAYOUT = """
CREATE TABLE IF NOT EXISTS trade_order (
    shop TEXT NOT NULL, order_sn TEXT NOT NULL, content TEXT NOT NULL, recipient TEXT NOT NULL,
    order_status INTEGER NOT NULL, refund_status INTEGER NOT NULL,
    created_s INTEGER NOT NULL, updated_s INTEGER NOT NULL, shipped_s INTEGER NOT NULL DEFAULT 0,
    logistics_id INTEGER NOT NULL DEFAULT 0, tracking_number TEXT NOT NULL DEFAULT '',
    refund_address_id TEXT NOT NULL DEFAULT '', extra TEXT NOT NULL DEFAULT '[]',
    printed TEXT NOT NULL DEFAULT '', waybill_type INTEGER, PRIMARY KEY (shop, order_sn)
);
CREATE INDEX IF NOT EXISTS trade_order_by_time ON trade_order (shop, updated_s);
CREATE TABLE IF NOT EXISTS assignment (
    order_mask_sn TEXT PRIMARY KEY, shop TEXT NOT NULL, order_sn TEXT NOT NULL, factory TEXT NOT NULL,
    status INTEGER NOT NULL, assigned_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
    wp_code TEXT NOT NULL DEFAULT '', returned TEXT NOT NULL DEFAULT '', slaves TEXT NOT NULL DEFAULT '[]'
);
CREATE UNIQUE INDEX IF NOT EXISTS one_factory_per_order ON assignment (shop, order_sn) WHERE status = 1;
CREATE INDEX IF NOT EXISTS assignment_by_time ON assignment (factory, updated_ms);
CREATE TABLE IF NOT EXISTS refund_address (
    id INTEGER PRIMARY KEY, shop TEXT NOT NULL, party TEXT NOT NULL, UNIQUE (shop, party)
);
"""
TO_SHIP, SHIPPED, RECEIVED = 1, 2, 3
NO_REFUND, REFUNDED = 1, 4
#: after_sales_status of a case that is none or no more: none, withdrawn, rejected by platform or merchant, failed
SETTLED_CASES = frozenset({0, 6, 7, 9, 12})

NO_SUCH_ORDER = "order does not exist"
NOT_ASSIGNED = "order is not assigned to this factory"
ABNORMAL = "order has an after-sale case or is under review"
NOT_TO_SHIP = "order is not to be shipped"
NOT_OF_ORDER = "waybill was not given for this order"
NOT_RETURNED = "no such waybill was returned for this order"
RETURNED_OTHER = "another waybill was returned for this order: take it back first"
ASSIGNED = "order is assigned to a factory"


@dataclass(frozen=True)
class LogisticsCompany:
    """A carrier as shipping knows it. `available` False: orders can't be shipped with it. 物流公司"""

    id: int
    code: str
    name: str
    available: bool = True


#: Ids as clients were seen to use them; those from 9000 on are this network's own, because none was found.
COMPANIES = {
    company.id: company
    for company in (
        LogisticsCompany(1, "STO", "申通快递"),
        LogisticsCompany(44, "SF", "顺丰速运"),
        LogisticsCompany(85, "YTO", "圆通速递"),
        LogisticsCompany(115, "ZTO", "中通快递"),
        LogisticsCompany(116, "QFKD", "全峰快递", available=False),
        LogisticsCompany(117, "UC", "优速快递"),
        LogisticsCompany(118, "EMS", "中国邮政速递物流"),
        LogisticsCompany(119, "TTKDEX", "天天快递", available=False),
        LogisticsCompany(120, "JD", "京东快递"),
        LogisticsCompany(121, "YUNDA", "韵达快递"),
        LogisticsCompany(122, "FAST", "快捷快递", available=False),
        LogisticsCompany(124, "GTO", "国通快递", available=False),
        LogisticsCompany(129, "ZJS", "宅急送"),
        LogisticsCompany(229, "BEST", "百世快递", available=False),
        LogisticsCompany(9001, "JTSD", "极兔速递"),
        LogisticsCompany(9002, "DBKD", "德邦快递"),
    )
}


@dataclass(frozen=True)
class Item:
    """Goods of an order. Prices in fen; `product_price` is what the factory is paid. 商品"""

    goods_id: int
    goods_name: str
    goods_spec: str
    goods_count: int
    goods_price: int
    product_price: int
    sku_id: int
    outer_id: str
    outer_goods_id: str


@dataclass(frozen=True)
class Content:
    """What an order says besides its recipient and its state. 订单"""

    items: tuple[Item, ...]
    after_sales_status: int
    risk_control_status: int
    sf_only: int
    buyer_memo: str
    remark: str
    remark_tag: int
    mall_name: str

    @property
    def abnormal(self) -> bool:
        """An open after-sale case, or under review: nothing may be printed or shipped. 售后, 审核中"""
        return self.risk_control_status == 1 or self.after_sales_status not in SETTLED_CASES


@dataclass(frozen=True)
class Order:
    """An order of a merchant. Times are Unix seconds, 0 where it has not come to that."""

    shop: str
    order_sn: str
    content: Content
    recipient: Party
    order_status: int
    refund_status: int
    created_s: int
    updated_s: int
    shipped_s: int
    logistics_id: int
    tracking_number: str
    refund_address_id: str
    extra: tuple[dict[str, Any], ...]
    printed: str
    waybill_type: int | None

    @property
    def shippable(self) -> bool:
        return self.order_status == TO_SHIP and self.refund_status == NO_REFUND and not self.content.abnormal


@dataclass(frozen=True)
class Assignment:
    """An order that a merchant gave to a factory to print, as both see it. 代打分配"""

    order_mask_sn: str
    factory: str
    assigned: bool
    assigned_ms: int
    updated_ms: int
    wp_code: str
    returned: str
    slaves: tuple[str, ...]
    order: Order


class TradeBooks:
    """The verbs on orders and assignments, inside `Books.perform`; all raise Refused."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql

    # -- orders, by their merchant --

    def put(
        self,
        shop: str,
        order_sn: str,
        content: Content,
        recipient: Party,
        order_status: int,
        refund_status: int,
    ) -> None:
        """Enter an order, or enter it as it is now."""
        self._sql.execute(
            "INSERT INTO trade_order (shop, order_sn, content, recipient, order_status, refund_status, created_s,"
            " updated_s) VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET content = excluded.content,"
            " recipient = excluded.recipient, order_status = excluded.order_status,"
            " refund_status = excluded.refund_status",
            (
                shop,
                order_sn,
                _json(asdict(content)),
                _json(asdict(recipient)),
                order_status,
                refund_status,
                _now_s(),
            ),
        )
        self._touch(shop, order_sn)

    def order(self, shop: str, order_sn: str) -> Order:
        row = self._sql.execute(
            "SELECT * FROM trade_order WHERE shop = ? AND order_sn = ?", (shop, order_sn)
        ).fetchone()
        if row is None:
            raise Refused(50002, NO_SUCH_ORDER)
        return _order(row)

    def changed(
        self, shop: str, start_s: int, end_s: int, order_status: int | None, refund_status: int | None
    ) -> list[Order]:
        """Orders whose last change lies from `start_s` to `end_s`, oldest change first."""
        rows = self._sql.execute(
            "SELECT * FROM trade_order WHERE shop = ? AND updated_s BETWEEN ? AND ?"
            " ORDER BY updated_s, order_sn",
            (shop, start_s, end_s),
        )
        return [
            order
            for order in map(_order, rows.fetchall())
            if order_status in (None, order.order_status) and refund_status in (None, order.refund_status)
        ]

    def readdress(self, shop: str, order_sn: str, recipient: Party) -> None:
        """Change the recipient of an order that is still to be shipped."""
        if self.order(shop, order_sn).order_status != TO_SHIP:
            raise Refused(50002, NOT_TO_SHIP)
        self._change(shop, order_sn, recipient=_json(asdict(recipient)))

    def can_ship(self, order: Order, company: LogisticsCompany, number: str, again: bool) -> None:
        """Refused with the reason where the order can't be shipped with this number; `again`: another number
        for one that was shipped already.
        """
        if again and order.order_status != SHIPPED:
            raise Refused(50002, "order was not shipped yet")
        if not again and order.order_status != TO_SHIP:
            raise Refused(50002, NOT_TO_SHIP)
        if order.refund_status != NO_REFUND or order.content.abnormal:
            raise Refused(50002, ABNORMAL)
        self.can_carry(company, number)

    def can_carry(self, company: LogisticsCompany, number: str) -> None:
        """Refused where a parcel can't go with this carrier and number. A number from elsewhere is believed."""
        if not company.available:
            raise Refused(50002, "logistics_id: this carrier is not available")
        row = self._sql.execute("SELECT wp_code, state FROM waybill WHERE number = ?", (number,)).fetchone()
        if row is not None and row["wp_code"] != company.code:
            raise Refused(50002, "tracking_number: is another carrier's")
        if row is not None and row["state"] == "cancelled":
            raise Refused(50002, WAS_CANCELLED)

    def ship(
        self, order: Order, company: LogisticsCompany, number: str, refund_address_id: str, again: bool
    ) -> None:
        """The merchant says that the parcel is on its way. The same said twice changes nothing. 发货"""
        same = (order.logistics_id, order.tracking_number) == (company.id, number)
        if same and order.order_status == SHIPPED and not again:
            return
        self.can_ship(order, company, number, again)
        if refund_address_id:
            self.refund_address(order.shop, refund_address_id)
        self._change(
            order.shop,
            order.order_sn,
            order_status=SHIPPED,
            shipped_s=_now_s(),
            logistics_id=company.id,
            tracking_number=number,
            refund_address_id=refund_address_id,
        )

    def add_extra(self, shop: str, order_sn: str, tracks: Sequence[dict[str, Any]]) -> None:
        """Further numbers of an order: split parcels, resends, gifts. One named again is not added twice."""
        order = self.order(shop, order_sn)
        extra = list(order.extra)
        extra += [track for track in tracks if track not in extra]
        self._change(shop, order_sn, extra=_json(extra))

    def note_printed(self, shop: str, order_sn: str, number: str) -> None:
        self.order(shop, order_sn)
        self._change(shop, order_sn, printed=number)

    def note_waybill_type(self, shop: str, order_sn: str, waybill_type: int) -> bool:
        """Whether there is such an order."""
        changed = self._sql.execute(
            "UPDATE trade_order SET waybill_type = ? WHERE shop = ? AND order_sn = ?",
            (waybill_type, shop, order_sn),
        )
        return changed.rowcount == 1

    # -- assignment --

    def assign(self, shop: str, order_sn: str, factory: str, order_mask_sn: str) -> Assignment:
        """Give an order to a factory; to the same one again changes nothing. Refused: abnormal, shipped, or
        with another factory. An order given back and then to the same factory is a new assignment.
        """
        order = self.order(shop, order_sn)
        standing = self.assignment_of(shop, order_sn)
        if standing is not None:
            if standing.factory != factory:
                raise Refused(50002, ASSIGNED)
            return standing
        if not order.shippable:
            raise Refused(50002, ABNORMAL if order.order_status == TO_SHIP else NOT_TO_SHIP)
        if self._sql.execute("SELECT 1 FROM shop WHERE shop = ?", (factory,)).fetchone() is None:
            raise Refused(50002, "factory_shop: no such shop")
        now_ms = _now_ms()
        self._sql.execute(
            "INSERT INTO assignment (order_mask_sn, shop, order_sn, factory, status, assigned_ms, updated_ms)"
            " VALUES (?, ?, ?, ?, 1, ?, ?)",
            (order_mask_sn, shop, order_sn, factory, now_ms, now_ms),
        )
        return self._assignment(order_mask_sn)

    def withdraw(self, shop: str, order_sn: str) -> None:
        """Cancel the assignment; refused once a number was returned. A second time changes nothing."""
        standing = self.assignment_of(shop, order_sn)
        if standing is None:
            return
        if standing.returned:
            raise Refused(50002, "a waybill was returned for this order already")
        self._step(standing, status=0)

    def assignment_of(self, shop: str, order_sn: str) -> Assignment | None:
        """The factory that an order is with now."""
        row = self._sql.execute(
            "SELECT order_mask_sn FROM assignment WHERE shop = ? AND order_sn = ? AND status = 1",
            (shop, order_sn),
        ).fetchone()
        return None if row is None else self._assignment(row["order_mask_sn"])

    # -- by the factory --

    def is_factory(self, shop: str) -> bool:
        found = self._sql.execute("SELECT 1 FROM assignment WHERE factory = ? LIMIT 1", (shop,)).fetchone()
        return found is not None

    def assignments(self, factory: str, start_ms: int, end_ms: int) -> list[Assignment]:
        """Assignments that changed from `start_ms` to `end_ms`, cancelled ones too, oldest change first."""
        rows = self._sql.execute(
            "SELECT order_mask_sn FROM assignment WHERE factory = ? AND updated_ms BETWEEN ? AND ?"
            " ORDER BY updated_ms, order_mask_sn",
            (factory, start_ms, end_ms),
        ).fetchall()
        return [self._assignment(row["order_mask_sn"]) for row in rows]

    def assignment(self, factory: str, order_mask_sn: str) -> Assignment:
        """An assignment of this factory, cancelled or not."""
        row = self._sql.execute(
            "SELECT 1 FROM assignment WHERE factory = ? AND order_mask_sn = ?", (factory, order_mask_sn)
        ).fetchone()
        if row is None:
            raise Refused(50002, NOT_ASSIGNED)
        return self._assignment(order_mask_sn)

    def to_print(self, factory: str, order_mask_sn: str) -> Assignment:
        """An assignment for which the factory may get a number now. An abnormal order is refused unless its
        number was returned already.
        """
        found = self.assignment(factory, order_mask_sn)
        if not found.assigned:
            raise Refused(50002, NOT_ASSIGNED)
        if not found.returned and not found.order.shippable:
            raise Refused(50002, ABNORMAL if found.order.order_status == TO_SHIP else NOT_TO_SHIP)
        return found

    def seal_print_data(self, number: str, sealed: str) -> None:
        """Keep the number's print data as the factory gets it, so that no other call shows it more."""
        self._sql.execute("UPDATE waybill SET print_data = ? WHERE number = ?", (sealed, number))

    def return_number(self, factory: str, order_mask_sn: str, carrier: Carrier, number: str) -> None:
        """The factory hands a number to the merchant; a second time changes nothing. 回传运单号"""
        found = self.to_print(factory, order_mask_sn)
        if found.returned not in ("", number):
            raise Refused(50002, RETURNED_OTHER)
        self._own_number(factory, order_mask_sn, carrier, number)
        if not found.returned:
            self._step(found, wp_code=carrier.wp_code, returned=number)

    def take_back(self, factory: str, order_mask_sn: str, carrier: Carrier, number: str) -> None:
        """Undo a return until the merchant ships; a second time changes nothing. 取消回传"""
        found = self.assignment(factory, order_mask_sn)
        self._own_number(factory, order_mask_sn, carrier, number, dead_too=True)
        if not found.returned:
            return
        if found.returned != number:
            raise Refused(50002, NOT_RETURNED)
        if found.order.order_status != TO_SHIP:
            raise Refused(50002, NOT_TO_SHIP)
        self._step(found, wp_code="", returned="", slaves="[]")

    def return_slaves(
        self, factory: str, order_mask_sn: str, carrier: Carrier, numbers: Sequence[str]
    ) -> None:
        """Further numbers of an order whose main number was returned. 子单回传"""
        found = self.to_print(factory, order_mask_sn)
        if not found.returned:
            raise Refused(50002, NOT_RETURNED)
        if found.returned in numbers:
            raise Refused(50002, "waybill_codes: holds the main waybill")
        for number in numbers:
            self._own_number(factory, order_mask_sn, carrier, number)
        self._step(found, slaves=_json([*found.slaves, *(one for one in numbers if one not in found.slaves)]))

    def _own_number(
        self, factory: str, order_mask_sn: str, carrier: Carrier, number: str, dead_too: bool = False
    ) -> None:
        row = self._sql.execute(
            "SELECT * FROM waybill WHERE shop = ? AND wp_code = ? AND number = ?",
            (factory, carrier.wp_code, number),
        ).fetchone()
        if row is None:
            raise Refused(50002, NO_SUCH_WAYBILL)
        if order_mask_sn not in json.loads(row["orders"]):
            raise Refused(50002, NOT_OF_ORDER)
        if row["state"] == "cancelled" and not dead_too:
            raise Refused(50002, WAS_CANCELLED)

    # -- return addresses --

    def put_refund_address(self, shop: str, party: Party) -> int:
        """Keep a return address; its id. The same one again has the same id. 退货地址"""
        text = _json(asdict(party))
        self._sql.execute(
            "INSERT INTO refund_address (shop, party) VALUES (?, ?) ON CONFLICT DO NOTHING", (shop, text)
        )
        row = self._sql.execute(
            "SELECT id FROM refund_address WHERE shop = ? AND party = ?", (shop, text)
        ).fetchone()
        return int(row["id"])

    def refund_addresses(self, shop: str) -> list[tuple[int, Party]]:
        """The shop's return addresses; the first is its default."""
        rows = self._sql.execute(
            "SELECT id, party FROM refund_address WHERE shop = ? ORDER BY id", (shop,)
        ).fetchall()
        return [(int(row["id"]), _party(row["party"])) for row in rows]

    def refund_address(self, shop: str, refund_address_id: str) -> Party:
        for id_, party in self.refund_addresses(shop):
            if str(id_) == refund_address_id:
                return party
        raise Refused(50002, "refund_address_id: no such return address")

    # -- rows --

    def _assignment(self, order_mask_sn: str) -> Assignment:
        row = self._sql.execute(
            "SELECT * FROM assignment WHERE order_mask_sn = ?", (order_mask_sn,)
        ).fetchone()
        return Assignment(
            order_mask_sn=order_mask_sn,
            factory=row["factory"],
            assigned=row["status"] == 1,
            assigned_ms=row["assigned_ms"],
            updated_ms=row["updated_ms"],
            wp_code=row["wp_code"],
            returned=row["returned"],
            slaves=tuple(json.loads(row["slaves"])),
            order=self.order(row["shop"], row["order_sn"]),
        )

    def _change(self, shop: str, order_sn: str, **columns: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self._sql.execute(
            f"UPDATE trade_order SET {names} WHERE shop = ? AND order_sn = ?",
            (*columns.values(), shop, order_sn),
        )
        self._touch(shop, order_sn)

    def _touch(self, shop: str, order_sn: str) -> None:
        """An order's change is also one of its standing assignment: that is how a factory learns of it."""
        self._sql.execute(
            "UPDATE trade_order SET updated_s = ? WHERE shop = ? AND order_sn = ?", (_now_s(), shop, order_sn)
        )
        self._sql.execute(
            "UPDATE assignment SET updated_ms = ? WHERE shop = ? AND order_sn = ? AND status = 1",
            (_now_ms(), shop, order_sn),
        )

    def _step(self, found: Assignment, **columns: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self._sql.execute(
            f"UPDATE assignment SET {names}, updated_ms = ? WHERE order_mask_sn = ?",
            (*columns.values(), _now_ms(), found.order_mask_sn),
        )


def new_mask_sn() -> str:
    """The name of an order towards a factory: says nothing of the order's number."""
    return f"FDS-{secrets.token_hex(8)}"


def _order(row: sqlite3.Row) -> Order:
    content = json.loads(row["content"])
    return Order(
        shop=row["shop"],
        order_sn=row["order_sn"],
        content=Content(**content | {"items": tuple(Item(**item) for item in content["items"])}),
        recipient=_party(row["recipient"]),
        order_status=row["order_status"],
        refund_status=row["refund_status"],
        created_s=row["created_s"],
        updated_s=row["updated_s"],
        shipped_s=row["shipped_s"],
        logistics_id=row["logistics_id"],
        tracking_number=row["tracking_number"],
        refund_address_id=row["refund_address_id"],
        extra=tuple(json.loads(row["extra"])),
        printed=row["printed"],
        waybill_type=row["waybill_type"],
    )


def _party(text: str) -> Party:
    party = json.loads(text)
    return Party(**party | {"address": Address(**party["address"])})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _now_s() -> int:
    return int(time.time())


def _now_ms() -> int:
    return int(time.time() * 1000)
