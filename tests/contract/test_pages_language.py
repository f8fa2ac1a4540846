"""The pages' languages: Chinese as written, English from the catalogue, and whoever reads chooses."""

from __future__ import annotations

import re

import pytest
from support import catalogue
from support.web import House, build

from labelsvc.errors import Invalid
from labelsvc.printing import Profiles
from labelsvc.printing.transports import parse_uri
from labelsvc.web.pages import words


@pytest.fixture
def house(tmp_path):
    """An app on real rooms."""
    found = House(build(tmp_path))
    yield found
    found.rooms.database.close()


def test_everything_the_pages_say_is_said_in_english():
    """Every message of pages and templates stands in the English catalogue, with its placeholders, and none is stale."""
    assert catalogue.faults() == []


def test_the_language_is_the_browsers_or_the_one_chosen(house: House):
    """A page speaks Chinese unless the browser prefers English; a language chosen by hand is kept, whatever the browser says."""
    client = house.app.test_client()
    chinese = client.get("/sign-in")
    assert 'lang="zh-CN"' in chinese.text and "登录" in chinese.text
    english = client.get("/sign-in", headers={"Accept-Language": "en-GB,en;q=0.9,zh;q=0.1"})
    assert '<html lang="en">' in english.text and "Sign in" in english.text
    assert "Sign in" in client.get("/sign-in?language=en").text
    assert "Sign in" in client.get("/sign-in", headers={"Accept-Language": "zh-CN"}).text
    assert "登录" in client.get("/sign-in?language=zh").text
    assert "登录" in client.get("/sign-in?language=../../etc").text


@pytest.mark.parametrize(
    "address",
    [
        *("192.168.1.50", "x" * 400, "tcp://[", "tcp://host", "tcp://host:99999", "tcp://host:9100/x"),
        *(
            "tcp://a b:9100",
            "usb://471:55/A1",
            "usb://0471:0055/@x",
            "serial://ttyUSB0",
            "serial:///dev/t?baud",
        ),
        *("serial:///dev/t?baud=1&baud=2", "serial:///dev/t?speed=9600", "serial:///dev/t?baud=7"),
        *(
            "serial:///dev/t?flow=dtr",
            "cups://",
            "cups://host:x/q",
            "cups://a@b/q",
            "file://x",
            "file:///no/where",
        ),
    ],
)
def test_what_is_wrong_with_an_address_is_said_in_chinese(house: House, address: str):
    """Whoever types an address reads Chinese, not the rooms' words."""
    with pytest.raises(Invalid) as caught:
        parse_uri(address)
    with house.app.test_request_context("/"):
        said = words.wrong_fields(caught.value)["uri"]
    assert re.search("[\u4e00-\u9fff]", said) and not re.search(r"\b(must|names?|has|isn't|knows)\b", said), (
        said
    )


def test_models_of_no_maker_are_called_by_our_words(house: House):
    """No profile of ours, and none that stands for many makers, shows English to people who read Chinese."""
    with house.app.test_request_context("/"):
        said = [words.model(profile) for profile in Profiles().all()]
    assert [one for one in said if re.search(r"various|compatible|virtual|files|set to", one)] == []
    assert {"通用 TSPL，203 dpi", "虚拟打印机，ESC/POS, 80 mm", "PDF 文件"} <= set(said)
    assert "Honeywell PC310T, 203 dpi（先把打印机设为 ZSim）" in said
