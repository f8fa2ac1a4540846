"""The page on which a carrier's clerk reviews applications. 审核

Hides its HTML: one page in Chinese that runs no script, so that a decision is an ordinary form.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from flask import Response, render_template_string

from labelsvc.mockcarrier.network import CARRIERS

_CHINA = timezone(timedelta(hours=8))
_STATES = {
    "under_review": "审核中",
    "open": "已开通",
    "rejected": "已驳回",
    "suspended": "已暂停",
    "closed": "已关闭",
}
# Why a decision failed, by the field that the books' refusal begins with.
_WRONG = {
    "reason": "驳回必须填写原因",
    "decision": "该申请的状态已改变，请核对后再决定",
    "application_id": "没有这份申请",
    "body": "内容不完整或过长",
}
# Forms go nowhere else, nothing is loaded, and no other page shows this one in a frame.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
_PAGE = """<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>开通审核 · 模拟快递网络</title>
<style>
:root { color-scheme: light; --ink: #1d2433; --soft: #5b6577; --line: #dfe3ea; --blue: #1a5fb4; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f9; color: var(--ink);
  font: 15px/1.6 "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
header { background: #fff; border-bottom: 1px solid var(--line); padding: 20px 0; }
header > div, main { max-width: 960px; margin: 0 auto; padding: 0 20px; }
h1 { font-size: 22px; margin: 0; }
header p { margin: 2px 0 0; color: var(--soft); }
main { padding-top: 20px; padding-bottom: 60px; }
h2 { font-size: 16px; margin: 28px 0 10px; color: var(--soft); font-weight: 600; }
h2:first-child { margin-top: 0; }
.wrong { background: #fdecea; border: 1px solid #e5a39c; border-radius: 8px; padding: 10px 16px; }
.none { background: #fff; border: 1px dashed var(--line); border-radius: 10px; padding: 28px;
  text-align: center; color: var(--soft); }
article { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 16px 20px;
  margin-bottom: 12px; }
article > div { display: flex; align-items: center; gap: 10px; flex-wrap: wrap; }
h3 { font-size: 17px; margin: 0; }
.kind { color: var(--soft); font-size: 13px; }
.state { margin-left: auto; border-radius: 999px; padding: 1px 12px; font-size: 13px; font-weight: 600; }
.under_review { background: #fff3d6; color: #7a4d00; }
.open { background: #dff4e5; color: #14632d; }
.rejected { background: #fde4e1; color: #97231a; }
.suspended { background: #e6e4f7; color: #45389a; }
.closed { background: #e9ecf1; color: #4a5365; }
dl { display: grid; grid-template-columns: 6em 1fr; gap: 2px 12px; margin: 12px 0 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
form { display: flex; gap: 8px; flex-wrap: wrap; align-items: end; margin-top: 14px; padding-top: 14px;
  border-top: 1px solid var(--line); }
label { flex: 1 1 240px; color: var(--soft); font-size: 13px; }
input { display: block; width: 100%; font: inherit; font-size: 15px; padding: 6px 10px;
  border: 1px solid #8b94a5; border-radius: 6px; }
button { font: inherit; font-weight: 600; padding: 6px 18px; border-radius: 6px; cursor: pointer;
  border: 1px solid #8b94a5; background: #fff; color: var(--ink); min-height: 38px; }
button.yes { background: var(--blue); border-color: var(--blue); color: #fff; }
button.no { color: #97231a; border-color: #c9766e; }
:focus-visible { outline: 3px solid #7fb2f0; outline-offset: 1px; }
</style>
</head>
<body>
<header><div>
<h1>电子面单开通审核</h1>
<p>模拟快递网络 · 这里的决定会立即生效</p>
</div></header>
<main>
{% if wrong %}<p class="wrong" role="alert">未能处理：{{ wrong }}</p>{% endif %}
{% for title, entries, empty in groups %}
{% if entries or empty %}<h2>{{ title }}（{{ entries|length }}）</h2>{% endif %}
{% if empty and not entries %}<p class="none">{{ empty }}</p>{% endif %}
{% for one in entries %}
<article aria-labelledby="{{ one.id }}">
<div><h3 id="{{ one.id }}">{{ one.carrier }}</h3><span class="kind">{{ one.kind }}</span>
<span class="state {{ one.state }}">{{ one.state_name }}</span></div>
<dl>
<dt>网点</dt><dd>{{ one.branch }}</dd>
<dt>发货地址</dt><dd>{{ one.address }}</dd>
<dt>联系人</dt><dd>{{ one.contact }}</dd>
{% if one.settlement %}<dt>结算账号</dt><dd>{{ one.settlement }}</dd>{% endif %}
<dt>申请时间</dt><dd>{{ one.applied }}</dd>
{% if one.due %}<dt>自动开通</dt><dd>{{ one.due }}</dd>{% endif %}
{% if one.reason %}<dt>原因</dt><dd>{{ one.reason }}</dd>{% endif %}
<dt>申请编号</dt><dd>{{ one.id }}</dd>
</dl>
{% if one.state in ("under_review", "open", "suspended") %}
<form method="post" action="/review">
<input type="hidden" name="application_id" value="{{ one.id }}">
{% if one.state == "suspended" %}
<button class="yes" name="decision" value="resume">恢复服务</button>
{% elif one.state == "open" %}
<label>暂停原因<input name="reason" maxlength="200"></label>
<button class="no" name="decision" value="suspend">暂停服务</button>
{% else %}
<label>驳回原因（驳回时必填）<input name="reason" maxlength="200"></label>
<button class="yes" name="decision" value="approve">通过</button>
<button class="no" name="decision" value="reject">驳回</button>
{% endif %}
</form>
{% endif %}
</article>
{% endfor %}
{% endfor %}
</main>
</body>
</html>
"""


def page(applications: Sequence[Mapping[str, Any]], wrong: str = "") -> Response:
    """The page over all applications, the waiting ones first; `wrong`: the refusal of the last decision,
    beginning with a field."""
    shown = [_shown(one) for one in applications]
    waiting = [one for one in shown if one["state"] == "under_review"]
    decided = [one for one in shown if one["state"] != "under_review"]
    groups = (("待审核", waiting, "没有待审核的申请"), ("已处理", decided, ""))
    said = _WRONG.get(wrong.split(":")[0], "") if wrong else ""
    html = render_template_string(_PAGE, groups=groups, wrong=said)
    headers = {
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
    }
    return Response(html, mimetype="text/html", headers=headers)


def _shown(one: Mapping[str, Any]) -> dict[str, str]:
    carrier = CARRIERS[one["wp_code"]]
    places = ("province", "city", "district", "town", "detail")
    return {
        "id": one["application_id"],
        "carrier": carrier.wp_name,
        "kind": "直营" if carrier.wp_type == 1 else "加盟",
        "state": one["state"],
        "state_name": _STATES[one["state"]],
        "branch": f"{one['branch_name']}（{one['branch_code']}）",
        "address": " ".join(one[place] for place in places if one[place]),
        "contact": f"{one['contact_name']}　{one['contact_phone']}",
        "settlement": one["settlement_account"],
        "applied": _china_time(one["applied_at"]),
        "due": _china_time(one["review_due_at"]) if one["review_due_at"] else "",
        "reason": one["reason"],
    }


def _china_time(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")
