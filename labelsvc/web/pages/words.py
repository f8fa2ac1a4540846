"""The pages' words: states, codes and fields in the language of the people who read them; marked for translation."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from flask_babel import gettext, lazy_gettext

from labelsvc.errors import LabelsvcError

_ = lazy_gettext

#: Warehouses of this trade run on one clock, whatever the machine's zone says.
_SHANGHAI = timezone(timedelta(hours=8))

#: State of anything shown: its word, and the look (good, bad, warn, calm, mute) that goes with it.
LABEL = {
    "queued": (_("排队中"), "calm"),
    "held": (_("已暂停"), "mute"),
    "sending": (_("打印中"), "calm"),
    "printed": (_("已打印"), "good"),
    "sent": (_("已发送"), "good"),
    "failed": (_("失败"), "bad"),
    "uncertain": (_("待确认"), "warn"),
    "cancelled": (_("已取消"), "mute"),
}
JOB = {
    "queued": (_("排队中"), "calm"),
    "held": (_("已暂停"), "mute"),
    "printing": (_("打印中"), "calm"),
    "done": (_("已完成"), "good"),
    "attention": (_("待确认"), "warn"),
    "failed": (_("失败"), "bad"),
    "cancelled": (_("已取消"), "mute"),
}
PRINTER = {
    "ready": (_("就绪"), "good"),
    "not_ready": (_("未就绪"), "bad"),
    "unknown": (_("状态未知"), "warn"),
    "paused": (_("已暂停"), "mute"),
}
WAYBILL = {
    "none": (_("未取号"), "mute"),
    "requested": (_("取号中"), "calm"),
    "unknown": (_("取号结果待查"), "warn"),
    "refused": (_("取号被拒"), "bad"),
    "issued": (_("已取号"), "calm"),
    "printed": (_("已打印"), "good"),
    "void_pending": (_("作废待确认"), "warn"),
    "cancelled": (_("已取消"), "mute"),
}
SUBSCRIPTION = {
    "draft": (_("草稿"), "mute"),
    "under_review": (_("审核中"), "calm"),
    "open": (_("已开通"), "good"),
    "rejected": (_("已驳回"), "bad"),
    "suspended": (_("已停用"), "warn"),
    "closed": (_("已关闭"), "mute"),
}
#: Why a printer isn't ready, or a label isn't out.
REASONS = {
    "paper_out": _("缺纸"),
    "head_open": _("打印头未合上"),
    "ribbon_out": _("碳带用完"),
    "paused": _("打印机上按了暂停"),
    "unreachable": _("连不上打印机"),
    "silent": _("打印机没有应答"),
    "over_temperature": _("打印头过热"),
    "buffer_full": _("打印机缓存已满"),
    "opened in the browser": _("已在浏览器中打开"),
    "came out": _("有人确认：出来了"),
    "did not come out": _("有人确认：没出来"),
    "cancelled": _("已取消"),
    "the service stopped while sending": _("发送过程中服务中断"),
    "the service failed while sending": _("发送过程中服务出错"),
    "the service stopped before the printer proved the label": _("打印机确认之前服务已停止"),
    "the database broke off before the first byte": _("发送之前数据库中断"),
    "the connection broke before the first byte": _("发送之前连接断开"),
    "the connection broke before the printer proved the label": _("打印机确认之前连接断开"),
    "the printer fell silent before it proved the label": _("打印机没有再应答"),
    "the printer's counter moved by one": _("打印机计数器确认"),
    "the printer is idle and its counter did not move by one": _("打印机空闲，但计数器没有变化"),
}
#: Reasons that hold a number.
_REASON_FORMS = (
    (
        re.compile(r"the connection broke after (\d+) of (\d+) bytes"),
        _("发送到一半连接断开（%(a)s / %(b)s 字节）"),
    ),
    (re.compile(r"the printer's counter moved by (-?\d+)()"), _("打印机计数器变化了 %(a)s")),
    (re.compile(r"the label can't be made \(([a-z._]+)\)()"), _("标签排不出来（%(a)s）")),
)
#: Why a field of a form is wrong, in the rooms' words; a group goes into the sentence.
_WRONG = (
    (re.compile(r"is missing()"), _("不能为空")),
    (re.compile(r"must have at least (\d+) characters"), _("至少 %(a)s 个字")),
    (re.compile(r"must have at most (\d+) characters"), _("最多 %(a)s 个字")),
    (re.compile(r"must be 1 to 80 (?:printable )?characters.*()"), _("1 到 80 个字，首尾不留空格")),
    (re.compile(r"must be a phone number.*()"), _("请填写电话号码（5 到 25 位数字，可含空格、+、-、#）")),
    (re.compile(r"must not contain control characters()"), _("不能含控制字符")),
    (re.compile(r"must begin with one of (.+)"), _("必须以 %(a)s 开头")),
    (re.compile(r"must be a whole number from (-?\d+ to \d+)"), _("必须是整数：%(a)s")),
    (re.compile(r"must be a whole number()"), _("必须是整数")),
    (re.compile(r"no such (?:province|city|district).*()"), _("没有这个地名")),
    (re.compile(r"the store has a printer of this name()"), _("已有同名的打印机")),
    (re.compile(r"belongs to the built-in printer()"), _("这个名称归内置的浏览器打印所有")),
)
#: By which door a job came.
ORIGINS = {
    "api": _("API 接口"),
    "page": _("网页"),
    "cli": _("命令行"),
    "reprint": _("补打"),
}
CARRIERS = {
    "SF": _("顺丰速运"),
    "STO": _("申通快递"),
    "YTO": _("圆通速递"),
    "ZTO": _("中通快递"),
    "YUNDA": _("韵达快递"),
    "JTSD": _("极兔速递"),
    "EMS": _("中国邮政 EMS"),
    "JD": _("京东快递"),
    "DBKD": _("德邦快递"),
}
BROWSER = _("浏览器 (PDF)")
TEST_LABEL = _("测试页")
REPRINT_REASONS = (_("卡纸"), _("打印不清"), _("标签损坏"), _("标签丢失"))
#: What was done, after a form came back; the word travels in the address, the text doesn't.
DONE = {
    "printer_added": _("打印机已添加。"),
    "printer_changed": _("打印机已修改。"),
    "printer_removed": _("打印机已删除。"),
    "printer_paused": _("打印机已暂停，排队的标签不会丢失。"),
    "printer_resumed": _("打印机已恢复。"),
    "test_sent": _("测试页已加入队列。"),
    "held": _("任务已暂停。"),
    "released": _("任务已继续。"),
    "job_cancelled": _("尚未发送的标签已取消。"),
    "came_out": _("已记为：出来了。"),
    "not_out": _("已记为：没出来，马上重新打印。"),
    "reprinted": _("补打已加入队列，标签上会注明“补打”。"),
    "issued": _("取号成功。"),
    "queued": _("已加入打印队列。"),
    "order_held": _("订单已暂停，不会再打印。"),
    "order_released": _("订单已恢复。"),
    "cancelled": _("运单号已取消。"),
    "void_pending": _("面单可能已经打印出来：请销毁后再确认取消。"),
    "address_added": _("发货地址已添加。"),
    "address_default": _("默认发货地址已更换。"),
    "address_deleted": _("发货地址已删除。"),
    "applied": _("申请已提交。"),
    "closed": _("电子面单服务已关闭。"),
    "bye": _("已退出登录。"),
}
_PROBLEMS = {
    "unauthenticated": _("请先登录。"),
    "address.changed": _("地址刚刚被别人改过，请重试。"),
    "address.default": _("默认发货地址不能删除，请先另设默认。"),
    "address.not_found": _("没有这个发货地址。"),
    "binding.none": _("与这个厂家没有绑定。"),
    "factory.unknown": _("请输入正确的厂家店铺ID"),
    "job.not_found": _("没有这个打印任务。"),
    "job.state": _("任务的状态刚刚变了，现在不能这样操作。"),
    "label.not_found": _("没有这张标签。"),
    "label.not_printed": _("这张标签还没有打印过，不需要补打。"),
    "network.not_connected": _("这个店铺还没有接入快递网络。"),
    "network.token": _("快递网络的授权已失效，请重新授权。"),
    "order.assigned": _("订单已分配给厂家。"),
    "order.has_waybill": _("订单已有运单号。"),
    "order.not_found": _("没有这个订单。"),
    "parcel.differs": _("这个包裹已用其他内容取过号，请先取消原来的运单号。"),
    "pdf.other_printer": _("这张标签要在别的打印机上打印。"),
    "print.invalid": _("打印请求有误。"),
    "printer.built_in": _("内置的浏览器打印不能修改。"),
    "printer.paused": _("打印机已暂停。"),
    "profile.not_found": _("没有这个机型。"),
    "reprint.invalid": _("补打需要写明原因。"),
    "subscription.not_found": _("没有这项电子面单服务。"),
    "subscription.not_open": _("这项电子面单服务没有开通。"),
    "subscription.state": _("这项服务的状态刚刚变了，现在不能这样操作。"),
    "uri.invalid": _("连接地址有误。"),
    "waybill.cancel_refused": _("快递公司拒绝取消这个运单号。"),
    "waybill.held": _("这个面单已被拦截，不能打印。"),
    "waybill.masked": _("没有查看这个收件人的权限。"),
    "waybill.not_found": _("没有这个面单。"),
    "waybill.not_issued": _("这个面单还没有取到号。"),
    "waybill.not_printed": _("这个面单还没有打印过，不需要补打。"),
    "waybill.void_pending": _("这个面单正在作废。"),
    "sign_in.invalid": _("登录链接或令牌无效、已使用或已过期。"),
    "forbidden": _("您没有这项操作的权限。"),
    "csrf.refused": _("页面已过期，请刷新后重试。"),
    "origin.refused": _("拒绝来自其他网站的操作。"),
    "host.refused": _("不接受这个主机名的访问。"),
    "not_found": _("没有找到。"),
    "route.unknown": _("没有这个页面。"),
    "method.refused": _("这个页面不能这样访问。"),
    "internal": _("服务出错，已记录到日志。"),
    "unavailable": _("对方暂时没有应答，请稍后再试。"),
    "invalid": _("填写有误。"),
    "conflict": _("与当前状态冲突。"),
    "key.reused": _("这个请求已经用其他内容提交过。"),
    "limit.reached": _("已达到上限。"),
    "address.limit": _("发货地址已达到 100 个的上限。"),
    "address.in_use": _("这个地址正在使用电子面单服务，不能删除。"),
    "address.occupied": _("这个地址已开通或正在申请电子面单服务。"),
    "balance.empty": _("单号余额不足，请联系网点充值。"),
    "origin.mismatch": _("发货地址与开通电子面单服务时的地址不一致。"),
    "order.held": _("订单已暂停，不能取号或打印。"),
    "label.blocked": _("这个面单已被拦截，不能打印。"),
    "label.uncertain": _("请先确认这张标签是否已经出来。"),
    "label.step": _("标签的状态刚刚变了，请看最新状态。"),
    "label.too_wide": _("标签比打印机的打印宽度还宽，请换一台打印机或模板。"),
    "waybill.already_printed": _("这个面单已经打印过，请用“补打”并说明原因。"),
    "pdf.opened": _("这张标签已经打开过一次。"),
    "printer.not_found": _("没有这台打印机。"),
    "printer.exists": _("已有同名的打印机。"),
    "printer.invalid": _("打印机的信息有误。"),
    "printer.busy": _("这台打印机还有未完成或待确认的标签，不能删除。"),
    "division.unknown": _("省、市、区县有误。"),
    "division.not_covered": _("暂不支持港澳台地址。"),
    "template.invalid": _("模板有错误。"),
    "database.busy": _("系统繁忙，请稍后再试。"),
}
FIELDS = {
    "name": _("名称"),
    "uri": _("连接地址"),
    "profile": _("机型"),
    "darkness": _("浓度"),
    "speed": _("速度"),
    "offset_x": _("左右偏移"),
    "offset_y": _("上下偏移"),
    "printer": _("打印机"),
    "template": _("模板"),
    "reason": _("原因"),
    "phone": _("电话"),
    "province": _("省份"),
    "city": _("城市"),
    "district": _("区县"),
    "town": _("街道/乡镇"),
    "detail": _("详细地址"),
    "carrier": _("快递公司"),
    "subscription_id": _("电子面单服务"),
    "address_id": _("发货地址"),
    "branch_code": _("网点"),
    "contact_name": _("联系人"),
    "contact_phone": _("联系电话"),
    "settlement_account": _("月结卡号"),
    "accepted": _("服务协议"),
    "agreement_version": _("服务协议"),
    "secret": _("令牌"),
}


def problem(code: str, detail: str) -> str:
    """What to tell a person of an error."""
    found = _PROBLEMS.get(code)
    return str(found) if found is not None else detail


def of(error: LabelsvcError) -> str:
    """What to tell a person of a room's error."""
    return problem(error.code, error.detail)


def wrong_fields(error: LabelsvcError) -> dict[str, str]:
    """Field name -> reason, for the form that the error is about; ``party.phone`` counts as ``phone``."""
    return {found.field.rsplit(".", 1)[-1]: _in_words(found.reason) for found in error.errors}


def _in_words(text: str) -> str:
    for form, said in _WRONG:
        if found := form.fullmatch(text):
            return str(said) % {"a": found[1]}
    return text


def reason(text: str) -> str:
    """Why a printer isn't ready or a label isn't out."""
    for form, said in _REASON_FORMS:
        if found := form.fullmatch(text):
            return str(said) % {"a": found[1], "b": found[2]}
    return str(REASONS.get(text, text))


def carrier(code: str) -> str:
    """A carrier's name."""
    return str(CARRIERS.get(code, code))


def clock(at: datetime | None) -> str:
    """An instant as people of the trade read it: time alone on the same day."""
    if at is None:
        return "—"
    local, today = at.astimezone(_SHANGHAI), datetime.now(_SHANGHAI)
    if local.date() == today.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%m-%d %H:%M" if local.year == today.year else "%Y-%m-%d %H:%M")


def age(at: datetime | None) -> str:
    """How old a piece of knowledge is, in steps that don't flicker."""
    if at is None:
        return str(gettext("从未检查"))
    seconds = (datetime.now(UTC) - at).total_seconds()
    if seconds < 10:
        return str(gettext("刚刚"))
    if seconds < 60:
        return str(gettext("%(n)s 秒前", n=int(seconds // 10) * 10))
    if seconds < 3600:
        return str(gettext("%(n)s 分钟前", n=int(seconds // 60)))
    return clock(at)
