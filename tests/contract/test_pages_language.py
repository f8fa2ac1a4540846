"""The pages' languages: Chinese as written, English from the catalogue, and whoever reads chooses."""

from __future__ import annotations

import pytest
from support import catalogue
from support.web import House, build


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
