"""What the carrier network knows: carriers, network points, number formats, routing, and what a waybill
request must hold.

Hides how points and routes are made up from the names of places: always the same for the same names, so that
two runs agree. Pure; the numbers already given and the balances are in the books.

Every carrier has points in every county there is, but YUNDA in none of Tibet (西藏).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from labelsvc.mockcarrier import counties
from labelsvc.mockcarrier.wire import Field, Refused

BATCH = 10
ORDERS_PER_PARCEL = 100
ITEMS_PER_PARCEL = 100
PIECES = 1000
CANCEL_QUOTA_FROM = 500
DIRECT, FRANCHISE = 1, 2

NOT_OPEN = "e-waybill subscription does not exist"
NO_SUCH_SENDER = "sender address matches no e-waybill service"
SEVERAL_POINTS = "one trade order cannot have numbers from several network points"
EXISTS = "waybill exists already for this parcel"
NOT_ENOUGH = "not enough waybill numbers left at the network point"
OVER_QUOTA = "cancellations over the limit of 20 % of the numbers issued"
PICKED_UP = "waybill was picked up and can no longer be cancelled"
NO_SUCH_WAYBILL = "waybill does not exist"
WAS_CANCELLED = "waybill was cancelled"
PICKED_UP_UPDATE = "waybill was picked up and can no longer be changed"
SEALED = "waybill was given to a factory and can't be changed"
USED_UP = "the carrier's number segment is used up"
SUSPENDED = "e-waybill subscription does not exist: the carrier suspended it"
UNDER_REVIEW = "e-waybill subscription does not exist: it is under review"


@dataclass(frozen=True)
class Product:
    """A service level that a carrier sells. 产品"""

    code: str
    title: str


@dataclass(frozen=True)
class Carrier:
    """A carrier and the synthetic segment of its public number format. 快递公司

    `prefix` ends with a block of zeros that no number in circulation was seen to have; `digits` counted
    digits follow it.
    """

    wp_code: str
    wp_name: str
    short_name: str
    wp_type: int
    prefix: str
    digits: int
    products: tuple[Product, ...] = (Product("STANDARD", "标准快递"),)

    def number(self, count: int) -> str:
        """The carrier's `count`-th number, from 1; refused once the segment is used up."""
        if count >= 10**self.digits:
            raise Refused(50002, USED_UP)
        return f"{self.prefix}{count:0{self.digits}d}"


# A number's life after issue, in the order in which scans may move it on; each with what the scan is called
# and says. 揽收, 运输中, 签收
STAGES = ("live", "picked_up", "in_transit", "signed")
SCANS = {
    "GOT": ("picked_up", "已揽收", "快件已由{branch}揽收"),
    "TRANSIT": ("in_transit", "运输中", "快件已到达{centre}"),
    "SIGN": ("signed", "已签收", "快件已签收"),
}

# Four zeros after each prefix: public samples of J&T begin with JT000, so three would not keep us apart from
# real parcels.
CARRIERS = {
    carrier.wp_code: carrier
    for carrier in (
        Carrier("STO", "申通快递", "申通", FRANCHISE, "770000", 9),
        Carrier("YTO", "圆通速递", "圆通", FRANCHISE, "YT0000", 9),
        Carrier("ZTO", "中通快递", "中通", FRANCHISE, "730000", 8),
        Carrier("YUNDA", "韵达快递", "韵达", FRANCHISE, "30000", 10),
        Carrier("JTSD", "极兔速递", "极兔", FRANCHISE, "JT0000", 9),
        Carrier(
            "SF",
            "顺丰速运",
            "顺丰",
            DIRECT,
            "SF0000",
            9,
            (Product("2", "顺丰标快"), Product("1", "顺丰特快")),
        ),
        Carrier("EMS", "中国邮政速递物流", "邮政", DIRECT, "90000", 8, (Product("EMS", "特快专递"),)),
        Carrier("JD", "京东快递", "京东", DIRECT, "JDVA0000", 7, (Product("ed-m-0001", "京东标快"),)),
        Carrier("DBKD", "德邦快递", "德邦", DIRECT, "DPK0000", 8),
    )
}


@dataclass(frozen=True)
class Address:
    """An address as the wire has it; two are the same only when they are so character for character. 地址"""

    province: str
    city: str
    district: str
    town: str
    detail: str
    country: str

    @classmethod
    def read(cls, field: Field) -> "Address":
        field.required()
        return cls(
            province=field.at("province").required().text(20),
            city=field.at("city").required().text(20),
            district=field.at("district").required().text(20),
            town=field.at("town").text(30),
            detail=field.at("detail").required().text(256),
            country=field.at("country").text(30),
        )

    def shown(self) -> dict[str, str]:
        """As the wire has it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Party:
    """A sender or a recipient. 寄件人, 收件人"""

    name: str
    mobile: str
    phone: str
    address: Address

    @classmethod
    def read(cls, field: Field) -> "Party":
        field.required()
        party = cls(
            name=field.at("name").required().text(40),
            mobile=field.at("mobile").text(20),
            phone=field.at("phone").text(20),
            address=Address.read(field.at("address")),
        )
        if not party.mobile and not party.phone:
            raise Refused(21002, f"{field.path}.mobile: mobile or phone is required")
        return party

    def shown(self) -> dict[str, Any]:
        """As the wire has it."""
        return {**vars(self), "address": self.address.shown()}


@dataclass(frozen=True)
class Parcel:
    """One package of a waybill request: one number. 包裹"""

    object_id: str
    template_url: str
    orders: tuple[str, ...]
    package_id: str
    pieces: int  #: packages of the set that this one belongs to; 1: no set
    recipient: Party
    product: Product


@dataclass(frozen=True)
class WaybillRequest:
    """A checked `pdd.waybill.get`. 取号请求"""

    carrier: Carrier
    sender: Party
    parcels: tuple[Parcel, ...]

    @classmethod
    def read(cls, field: Field) -> "WaybillRequest":
        """Read `param_waybill_cloud_print_apply_new_request`; the first fault refuses the whole of it."""
        field.required()
        if field.at("need_encrypt").flag():
            raise Refused(21001, f"{field.path}.need_encrypt: this network gives clear print data only")
        carrier = read_carrier(field.at("wp_code"))
        sender = Party.read(field.at("sender"))
        elements = field.at("trade_order_info_dtos").each(BATCH)
        parcels = tuple(_read_parcel(element, carrier) for element in elements)
        seen: set[str] = set()
        for element, parcel in zip(elements, parcels, strict=True):
            if parcel.object_id in seen:
                raise Refused(21001, f"{element.path}.object_id: stands twice in the batch")
            seen.add(parcel.object_id)
        return cls(carrier, sender, parcels)


def read_carrier(field: Field) -> Carrier:
    """The carrier that a `wp_code` field names."""
    carrier = CARRIERS.get(field.required().text(20))
    if carrier is None:
        raise Refused(21001, f"{field.path}: no such carrier")
    return carrier


def read_orders(field: Field) -> tuple[str, ...]:
    """A list of 1 to 100 different order numbers."""
    orders = tuple(order.required().text(64) for order in field.each(ORDERS_PER_PARCEL))
    if len(set(orders)) != len(orders):
        raise Refused(21001, f"{field.path}: names an order twice")
    return orders


def _read_parcel(field: Field, carrier: Carrier) -> Parcel:
    object_id = field.at("object_id").required().text(64)
    field.at("user_id").required().whole(0, 2**63 - 1)
    template_url = field.at("template_url").required().text(512)
    order_info = field.at("order_info").required()
    order_info.at("order_channels_type").required().text(20)
    package = field.at("package_info").required()
    package.at("items").required()
    _check_package(package)
    return Parcel(
        object_id=object_id,
        template_url=template_url,
        orders=read_orders(order_info.at("trade_order_list")),
        package_id=package.at("id").text(64),
        pieces=max(1, package.at("total_packages_count").whole(0, PIECES)),
        recipient=Party.read(field.at("recipient")),
        product=_read_product(field.at("logistics_services"), carrier),
    )


def _check_package(package: Field) -> None:
    """The goods and measures of a package: nothing is kept of them, but all of them must be right."""
    if not package.at("items").missing:
        for item in package.at("items").each(ITEMS_PER_PARCEL):
            item.at("name").required().text(200)
            item.at("count").required().whole(1, 1_000_000)
    for measure in ("weight", "volume"):
        package.at(measure).whole(0, 10**12)
    for words in ("goods_description", "packaging_description"):
        package.at(words).text(200)


@dataclass(frozen=True)
class UpdateRequest:
    """A checked `pdd.waybill.update`; None and empty text leave a thing as it is. 更新面单

    `sender`: the name and phones of a new sender; their address is the one that `sender_address` repeats, if
    it does, and can't change.
    """

    carrier: Carrier
    number: str
    template_url: str
    recipient: Party | None
    sender: tuple[str, str, str] | None
    sender_address: Address | None

    @classmethod
    def read(cls, field: Field) -> "UpdateRequest":
        """Read `param_waybill_cloud_print_update_request`."""
        field.required()
        field.at("object_id").text(64)
        _check_package(field.at("package_info"))
        sender, recipient = field.at("sender"), field.at("recipient")
        names = None
        if not sender.missing:
            names = (
                sender.at("name").required().text(40),
                sender.at("mobile").text(20),
                sender.at("phone").text(20),
            )
            if not names[1] and not names[2]:
                raise Refused(21002, f"{sender.path}.mobile: mobile or phone is required")
        address = sender.at("address")
        return cls(
            carrier=read_carrier(field.at("wp_code")),
            number=field.at("waybill_code").required().text(40),
            template_url=field.at("template_url").text(512),
            recipient=None if recipient.missing else Party.read(recipient),
            sender=names,
            sender_address=None if address.missing else Address.read(address),
        )


def _read_product(field: Field, carrier: Carrier) -> Product:
    """`{"product_type": {"value": CODE}}`; without it the carrier's first product."""
    chosen = field.decode().at("product_type").at("value")
    if chosen.missing:
        return carrier.products[0]
    code = chosen.text(40)
    for product in carrier.products:
        if product.code == code:
            return product
    raise Refused(21001, f"{chosen.path}: the carrier has no such product")


@dataclass(frozen=True)
class NetworkPoint:
    """A carrier's branch that gives numbers to the shops of its district. 网点"""

    branch_code: str
    branch_name: str
    phone: str


def network_points(carrier: Carrier, province: str, city: str, district: str) -> tuple[NetworkPoint, ...]:
    """The points of a carrier that cover a district: one for a direct-operated carrier, 1 to 3 for a
    franchise, or none where the module's docstring says so.
    """
    place = counties.settle(province, city, district)
    if place is None or (carrier.wp_code == "YUNDA" and province.startswith("西藏")):
        return ()
    return _points(carrier, *place)


@dataclass(frozen=True)
class Route:
    """What the sorting lines need to read. Never empty. 三段码, 大头笔, 集包地"""

    route_code: str
    sorting_mark: str
    sorting_code: str
    consolidation_name: str
    consolidation_code: str
    end_branch: NetworkPoint


def route(carrier: Carrier, to: Address) -> Route:
    """The way to a recipient, from the names of the recipient's city and district, as in 571-204-00 018."""
    centre = 100 + _draw(900, "centre", to.province, to.city)
    branch = 100 + _draw(900, "branch", to.province, to.city, to.district)
    section = 1 + _draw(99, "section", to.province, to.city, to.district, to.town)
    city, district = _short(to.city), _short(to.district)
    return Route(
        route_code=f"{centre}-{branch}-00 {section:03d}",
        sorting_mark=f"{city} {district}" if city != district else city,
        sorting_code=f"{centre}-{branch}",
        consolidation_name=f"{city}转运中心" if carrier.wp_type == FRANCHISE else f"{city}集散中心",
        consolidation_code=f"{centre}00",
        end_branch=_points(carrier, to.province, to.city, to.district)[0],
    )


@dataclass(frozen=True)
class Printable:
    """What a waybill's label is made from."""

    carrier: Carrier
    number: str
    sender: Party
    recipient: Party
    template_url: str
    product: Product
    origin_code: str
    origin_name: str


def print_data(what: Printable) -> str:
    """The JSON text that a waybill template prints from, in clear."""
    way = route(what.carrier, what.recipient.address)
    data = {
        "recipient": _printed(what.recipient),
        "sender": _printed(what.sender),
        "routingInfo": {
            "bigShotName": way.sorting_mark,
            "bigShotCode": way.sorting_code,
            "threeSegmentCode": way.route_code,
            "consolidation": {"name": way.consolidation_name, "code": way.consolidation_code},
            "originBranchCode": what.origin_code,
            "originBranchName": what.origin_name,
            "endBranchCode": way.end_branch.branch_code,
            "endBranchName": way.end_branch.branch_name,
        },
        "waybillCode": what.number,
        "wpCode": what.carrier.wp_code,
        "shippingOption": {"code": what.product.code, "title": what.product.title},
    }
    return json.dumps({"templateURL": what.template_url, "data": data}, ensure_ascii=False)


def reprinted(
    old: str, number: str, carrier: Carrier, sender: Party, recipient: Party, template_url: str
) -> str:
    """Print data after an update: product, origin and, unless another is given, template stay those of `old`."""
    was = json.loads(old)
    routing, option = was["data"]["routingInfo"], was["data"]["shippingOption"]
    return print_data(
        Printable(
            carrier=carrier,
            number=number,
            sender=sender,
            recipient=recipient,
            template_url=template_url or was["templateURL"],
            product=Product(option["code"], option["title"]),
            origin_code=routing["originBranchCode"],
            origin_name=routing["originBranchName"],
        )
    )


def _printed(party: Party) -> dict[str, Any]:
    shown = party.shown()
    del shown["address"]["country"]
    return shown


@lru_cache(maxsize=10_000)
def _points(carrier: Carrier, province: str, city: str, district: str) -> tuple[NetworkPoint, ...]:
    place = (carrier.wp_code, province, city, district)
    count = 1 if carrier.wp_type == DIRECT else 1 + _draw(3, "points", *place)
    stem = _short(city) + (_short(district) if _short(district) != _short(city) else "")
    return tuple(
        NetworkPoint(
            branch_code=f"{100_000_000 + _draw(900_000_000, 'point', *place, str(at)):d}",
            branch_name=f"{carrier.short_name}{stem}"
            + ("营业部" if carrier.wp_type == DIRECT else f"{ordinal}部"),
            # no area has the dialling code 000: nobody's telephone rings
            phone=f"000-{_draw(10**8, 'phone', *place, str(at)):08d}",
        )
        for at, ordinal in enumerate("一二三"[:count])
    )


def _draw(below: int, *names: str) -> int:
    """A number from 0 to below − 1 that depends on the names alone."""
    seed = hashlib.sha256("\x1f".join(names).encode()).digest()
    return int.from_bytes(seed[:8], "big") % below


def _short(place: str) -> str:
    """杭州市 is 杭州 on a label; 城区 stays 城区."""
    for ending in ("自治州", "地区", "市", "区", "县", "盟"):
        if place.endswith(ending) and len(place) >= len(ending) + 2:
            return place[: -len(ending)]
    return place
