"""The pages' words: states, codes and fields in the language of the people who read them; marked for translation."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from flask_babel import gettext, lazy_gettext

from labelsvc.errors import FieldError, LabelsvcError
from labelsvc.labels import PageWarning
from labelsvc.printing import JobState, Label, PrintJob, Profile
from labelsvc.waybills import BatchItem, ItemState, VoidWait, Waybill, WaybillState

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
#: A label, or the labels of a job, that wait for a person's word (P15): *held* by itself would look like nobody's turn.
ASKED = (_("等人回答"), "warn")
#: Who says how a printer is.
SAYS = {
    "zpl-hs": _("打印机自己说的"),
    "zpl-hqes": _("打印机自己说的"),
    "escpos": _("打印机自己说的"),
    "tspl": _("打印机自己说的"),
    "usb-port": _("USB 接口说的"),
    "connection": _("按连接情况"),
}
#: Which printer of a group takes its next label.
MODES = {
    "first": _("最前面一台能打印的"),
    "spread": _("哪台空闲就给哪台"),
}
WAYBILL = {
    "none": (_("未取号"), "mute"),
    "requested": (_("取号中"), "calm"),
    "unknown": (_("取号结果待查"), "warn"),
    "refused": (_("取号被拒"), "bad"),
    "issued": (_("已取号"), "calm"),
    "printed": (_("已打印"), "good"),
    "handed_over": (_("已交付"), "good"),
    "in_transit": (_("运输中"), "good"),
    "delivered": (_("已签收"), "good"),
    "void_pending": (_("作废待确认"), "warn"),
    "cancelled": (_("已取消"), "mute"),
}
BATCH = {
    "open": (_("取号中"), "calm"),
    "done": (_("已完成"), "good"),
}
#: What became of a parcel of a batch.
ITEM = {
    "open": (_("等待"), "calm"),
    "issued": (_("已取号"), "good"),
    "refused": (_("没有取到"), "bad"),
}
#: The columns of a batch's results as a file.
RESULT_COLUMNS = (_("行号"), _("订单号"), _("运单号"), _("结果"), _("说明"))
SUBSCRIPTION = {
    "draft": (_("草稿"), "mute"),
    "under_review": (_("审核中"), "calm"),
    "open": (_("已开通"), "good"),
    "rejected": (_("已驳回"), "bad"),
    "suspended": (_("已停用"), "warn"),
    "closed": (_("已关闭"), "mute"),
}
#: Who runs a carrier's branches (E9).
KIND = {"franchise": _("加盟"), "direct": _("直营")}
#: Why a printer isn't ready, or a label isn't out.
REASONS = {
    "paper_out": _("缺纸"),
    "head_open": _("打印头未合上"),
    "ribbon_out": _("碳带用完"),
    "paused": _("打印机上按了暂停"),
    "node_away": _("所在的电脑没有联系"),
    "not_driven": _("还没有电脑驱动它"),
    "the right to drive was lost before the first byte": _("发送之前这台打印机已归另一台电脑"),
    "the right to drive was lost before the printer proved the label": _("打印机确认之前，它已归另一台电脑"),
    "unreachable": _("连不上打印机"),
    "unplugged": _("打印机被拔掉了"),
    "ambiguous": _("有几台一样的打印机，地址里要写序列号或接口"),
    "no_permission": _("没有使用这台打印机的权限"),
    "busy": _("打印机被别的程序占用"),
    "not_accepting": _("打印队列不接收任务"),
    "refused": _("打印队列拒绝了任务"),
    "silent": _("打印机没有应答"),
    "over_temperature": _("打印头过热"),
    "buffer_full": _("打印机缓存已满"),
    "cover_open": _("上盖未合上"),
    "jam": _("卡纸"),
    "cutter": _("切刀故障"),
    "under_temperature": _("打印头过冷"),
    "memory_full": _("打印机内存已满"),
    "fault": _("打印机报错"),
    "diagnostic_mode": _("打印机在诊断模式"),
    "offline": _("打印机脱机"),
    "paper_low": _("纸快用完"),
    "label_waiting": _("等人取走标签"),
    "clean_head": _("打印头该清洁了"),
    "replace_head": _("打印头该换了"),
    "calibrate": _("需要校准"),
    "no_status": _("这种打印机不报状态"),
    "never_answers": _("打印机从未应答，标签照发，无法确认"),
    "no_counter": _("打印机不报计数，标签无法确认"),
    "stalled": _("打印机不再接收"),
    "broken": _("连接中断"),
    "profile_missing": _("机型文件不见了"),
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
    "the printer stopped in the middle of the label": _("打到一半打印机停了，可能断成两截"),
    "the printer is ready and its receipt didn't come back": _("打印机就绪，但没有给回执"),
    "the printer's counter moved by one": _("打印机计数器确认"),
    "the printer is idle and its counter did not move by one": _("打印机空闲，但计数器没有变化"),
    "the database was restored or copied": _("数据库是恢复或复制出来的"),
    "expired": _("过了有效期"),
    "the number stands twice in this job": _("这个任务里同一个运单号出现了两次"),
    "waybill cancelled": _("运单号已取消"),
    "waybill updated": _("面单已更新，这张作废"),
    "waybill handed over": _("包裹已交付"),
}
#: Reasons that hold a number.
_REASON_FORMS = (
    (
        re.compile(r"the connection broke after (\d+) of (\d+) bytes"),
        _("发送到一半连接断开（%(a)s / %(b)s 字节）"),
    ),
    (re.compile(r"the printer's counter moved by (-?\d+)()"), _("打印机计数器变化了 %(a)s")),
    (
        re.compile(
            r"the printer's counter moved by (-?\d+): after the error the printer may have printed it again()"
        ),
        _("打印机计数器变化了 %(a)s：出错后打印机可能又打了一遍"),
    ),
    (
        re.compile(r"the printer is idle and its counter moved by (-?\d+)()"),
        _("打印机空闲，但计数器变化了 %(a)s"),
    ),
    (
        re.compile(r"the lease of node ([A-Za-z0-9._-]+) ran out while sending()"),
        _("发送过程中电脑 %(a)s 失去联系"),
    ),
    (re.compile(r"printed ([\d: -]+) on (.+)"), _("%(a)s 在 %(b)s 打印过")),
    (re.compile(r"sent ([\d: -]+) on (.+)"), _("%(a)s 已发送到 %(b)s")),
    (re.compile(r"perhaps printed ([\d: -]+) on (.+)"), _("%(a)s 在 %(b)s 可能打印过")),
    (re.compile(r"being printed ([\d: -]+) on (.+)"), _("%(a)s 起正在 %(b)s 打印")),
    (re.compile(r"waiting ([\d: -]+) on (.+)"), _("%(a)s 起在 %(b)s 排队")),
    (re.compile(r"moved from (.+) to (.+)"), _("从 %(a)s 改到 %(b)s")),
    (re.compile(r"the label can't be made \(([a-z._]+)\)()"), _("标签排不出来（%(a)s）")),
)
#: What became of the question about a second copy (P15); what was asked follows.
_VERDICTS = {
    "wanted: ": _("有人确认照样打印（%(a)s）"),
    "not wanted: ": _("有人决定不打印（%(a)s）"),
    "not confirmed in time: ": _("没有人及时确认（%(a)s）"),
}
#: Models that are no maker's, and what must be done to one before it prints.
_MODELS = (
    (re.compile(r"(.+) compatible, (.+)"), _("通用 %(a)s，%(b)s")),
    (re.compile(r"virtual printer, (.+)"), _("虚拟打印机，%(a)s")),
    (re.compile(r"(\w+) files(?:, (.+))?"), _("%(a)s 文件")),
    (re.compile(r"(.+), set to (\w+)"), _("%(a)s（先把打印机设为 %(b)s）")),
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
    (re.compile(r"must be a whole number from (-?\d+) to (\d+)"), _("必须是 %(a)s 到 %(b)s 的整数")),
    (re.compile(r"must be a whole number()"), _("必须是整数")),
    (re.compile(r"must be 0 to (\d+) g"), _("必须是 0 到 %(a)s 克")),
    (re.compile(r"must be text()"), _("必须是文字")),
    (
        re.compile(r"must be 1 to 64 letters, digits, dots, hyphens or underscores()"),
        _("1 到 64 个英文字母、数字、点、横线或下划线"),
    ),
    (
        re.compile(r"needs PostgreSQL: on SQLite one machine drives every printer()"),
        _("只有几台电脑共用 PostgreSQL 时才能选"),
    ),
    (re.compile(r"must be at most (\d+) printable characters"), _("最多 %(a)s 个字，不能换行")),
    (re.compile(r"carriers take at most (\d+) characters"), _("快递公司最多接受 %(a)s 个字")),
    (re.compile(r"must name 1 to (\d+) order numbers"), _("要有 1 到 %(a)s 个订单号")),
    (re.compile(r"names an order twice()"), _("同一个订单号写了两次")),
    (re.compile(r"must list 1 to (\d+) goods"), _("要有 1 到 %(a)s 种商品")),
    (re.compile(r"was spoiled by a spreadsheet.*()"), _("被表格软件改坏了：请把这一列设为文本，重新填写")),
    (
        re.compile(r"stands in several rows that differ in more than the goods()"),
        _("同一个订单的几行除商品外还有不同的内容"),
    ),
    (re.compile(r"has no open e-waybill service()"), _("没有开通这家快递公司的电子面单")),
    (
        re.compile(
            r"(?:several subscriptions of this carrier are open|has several open network points): name one()"
        ),
        _("这家快递公司开通了几个网点，请选择一个"),
    ),
    (re.compile(r"is no open subscription of this store()"), _("这个网点没有开通")),
    (re.compile(r"must be 1 to (\d+) parcels"), _("要有 1 到 %(a)s 个包裹")),
    (re.compile(r"is no XLSX file()"), _("不是 XLSX 文件")),
    (re.compile(r"is neither UTF-8 nor GB18030()"), _("不是 UTF-8 也不是 GB18030 编码")),
    (re.compile(r"can't be read as rows and columns()"), _("读不出行和列")),
    (re.compile(r"the file is empty()"), _("文件是空的")),
    (re.compile(r"the file has more than (\d+) rows"), _("超过 %(a)s 行")),
    (re.compile(r"the file (?:has more than \d+ bytes|unpacks to too much)()"), _("文件太大")),
    (re.compile(r"this district was divided in (\d+).*"), _("%(a)s 年已拆分，请选现在的区县")),
    (re.compile(r"no such sender address()"), _("请选择发货地址")),
    (re.compile(r"is no carrier of the network()"), _("请选择快递公司")),
    (re.compile(r"is no carrier whose numbers are known()"), _("请选择快递公司")),
    (re.compile(r"is no network point that covers the address()"), _("请选择一个网点")),
    (re.compile(r"is missing: a direct-operated carrier bills an account()"), _("直营快递公司需要月结账号")),
    (re.compile(r"is not for a franchise carrier.*()"), _("加盟快递公司不用填")),
    (re.compile(r"the service agreement must be accepted()"), _("请先阅读并同意")),
    (re.compile(r"must have at most (\d+) MiB"), _("最大 %(a)s MiB")),
    (re.compile(r"must have at most (\d+) lines"), _("最多 %(a)s 行")),
    (re.compile(r"isn't a number of this carrier()"), _("不是这家快递公司的单号")),
    (re.compile(r"has a wrong check digit()"), _("校验位不对")),
    (re.compile(r"must not contain characters that turn.*()"), _("不能含改变书写方向的字符")),
    (re.compile(r"holds no numbers()"), _("文件里没有单号")),
    (re.compile(r"has the number of line (\d+)"), _("和第 %(a)s 行重复")),
    (re.compile(r"is neither UTF-8 nor GB 18030 text()"), _("不是 UTF-8 或 GB 18030 文本")),
    (re.compile(r"is no (?:text|XLSX file)()|can't be read as columns()"), _("不是表格文件")),
    (
        re.compile(r"has numbers that lost digits.*()"),
        _("表格把单号变成了数值，末尾数字已丢失：请把单号列设为文本"),
    ),
    (re.compile(r"no such (?:province|city|district).*()"), _("没有这个地名")),
    (re.compile(r"isn't a URI()"), _("不是一个地址")),
    (
        re.compile(r"must (?:be|name a host and a port:) tcp://HOST:PORT.*()"),
        _("要写成 tcp://地址:端口，例如 tcp://192.168.1.50:9100"),
    ),
    (re.compile(r"names a port that can't be one()"), _("端口要在 1 到 65535 之间")),
    (re.compile(r"names no host that could exist()"), _("主机名或 IP 地址不对")),
    (
        re.compile(r"must be usb://VID:PID/SERIAL.*()"),
        _("要写成 usb://厂商号:产品号/序列号，两个号各是四位十六进制数"),
    ),
    (re.compile(r"must name the port as @BUS-PORT.*()"), _("接口要写成 @总线-接口，例如 @1-2.3")),
    (
        re.compile(r"must be serial:///DEVICE.*()"),
        _("要写成 serial:///设备的完整路径，例如 serial:///dev/ttyUSB0"),
    ),
    (re.compile(r"has settings that aren't NAME=VALUE.*()"), _("? 后面要写成 名称=值，用 & 隔开")),
    (re.compile(r"has a setting twice()"), _("同一项设置写了两次")),
    (
        re.compile(r"knows the settings baud, flow, bits, parity and stop only()"),
        _("串口只有 baud、flow、bits、parity、stop 这几项设置"),
    ),
    (re.compile(r"has a (\w+) that serial lines don't have"), _("串口没有这样的 %(a)s")),
    (re.compile(r"must be cups://QUEUE.*()"), _("要写成 cups://队列名 或 cups://主机:631/队列名")),
    (re.compile(r"must be file:///DIR.*()"), _("要写成 file:///文件夹的完整路径")),
    (re.compile(r"names a directory that doesn't exist()"), _("没有这个文件夹")),
    (
        re.compile(r"needs a printer that answers, which this URI never does()"),
        _("这个机型要问打印机的状态，而这种连接问不到：请选同语言的通用机型"),
    ),
    (re.compile(r"must name the printer's font()"), _("要写打印机里的字库名")),
    (
        re.compile(r"must be a font's name in the printer.*()"),
        _("要写打印机里的字库名，例如 E:SIMSUN.TTF"),
    ),
    (re.compile(r"must hold printable characters only()"), _("不能含控制字符")),
    (re.compile(r"must be at most (\d+) names"), _("最多 %(a)s 个名称")),
    (re.compile(r"the store has a printer of this name()"), _("已有同名的打印机")),
    (re.compile(r"must be printers of the store()"), _("要选本店的打印机")),
    (re.compile(r"must be 1 to (\d+) printers"), _("要有 1 到 %(a)s 台打印机")),
    (re.compile(r"belongs to the built-in printer()"), _("这个名称归内置的浏览器打印所有")),
)
#: By which door a job came.
ORIGINS = {
    "api": _("API 接口"),
    "page": _("网页"),
    "cli": _("命令行"),
    "batch": _("批次"),
    "daemon": _("后台服务"),
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
    "CNSD": _("菜鸟速递"),
}
STORE = {"merchant": _("商家"), "factory": _("厂家")}
#: What the audit trail tells of (R1).
AUDIT = {
    "waybill.clear": _("看了面单的明文"),
    "waybill.find_person": _("按人查找面单"),
    "waybill.erase": _("到期删除面单的个人资料"),
    "order.clear": _("看了订单的明文"),
    "order.find_person": _("按人查找订单"),
    "order.erase": _("到期删除订单的个人资料"),
    "address.clear": _("看了发货地址的明文"),
    "label.preview": _("预览了标签"),
    "label.open_pdf": _("在浏览器打开了标签"),
    "job.erase": _("到期删除打印任务的个人资料"),
    "preferences.labels": _("改了标签上显示的内容"),
}
#: What it was about, where that isn't one thing with a page of its own.
AUDIT_SUBJECTS = {
    "by:phone": _("按电话"),
    "by:name": _("按姓名"),
    "by:phone+name": _("按电话和姓名"),
    "labels:clear": _("打印明文"),
    "labels:masked": _("打印隐藏后的资料"),
}
#: Who did something without being a user.
NOBODY = {
    "carrier": _("快递公司"),
    "operator": _("系统管理员"),
    "erasure": _("到期删除"),
    "printing": _("打印机"),
    "network": _("快递网络"),
    "settle": _("系统"),
}
BROWSER = _("浏览器 (PDF)")
TEST_LABEL = _("测试页")
REPRINT_REASONS = (_("卡纸"), _("打印不清"), _("标签损坏"), _("标签丢失"))
#: Why somebody looks at names, phones and addresses in clear.
LOOK_REASONS = (_("联系收件人或寄件人"), _("核对地址"), _("处理售后"))
#: What the audit trail says of a form that opens filled in.
TO_CHANGE = _("修改时填入原内容")
#: What was done, after a form came back; the word travels in the address, the text doesn't.
DONE = {
    "printer_added": _("打印机已添加。"),
    "printer_changed": _("打印机已修改。"),
    "printer_removed": _("打印机已删除。"),
    "group_saved": _("打印机组已保存。"),
    "aliases_saved": _("别名已保存。"),
    "device_swapped": _("设备已更换，排队的标签会按新设备重新排版。"),
    "printer_paused": _("打印机已暂停，排队的标签不会丢失。"),
    "printer_resumed": _("打印机已恢复。"),
    "area_saved": _("自定义区已保存，从下一张标签起有效。"),
    "area_dropped": _("已恢复模板自带的内容。"),
    "fonts_again": _("下一张标签之前会重新下载字库。"),
    "test_sent": _("测试页已加入队列。"),
    "held": _("任务已暂停。"),
    "released": _("任务已继续。"),
    "job_cancelled": _("尚未发送的标签已取消。"),
    "came_out": _("已记为：出来了。"),
    "not_out": _("已记为：没出来，马上重新打印。"),
    "released_moved": _("已全部放行。"),
    "wanted": _("好，照样打印。"),
    "not_wanted": _("好，不打印，已取消。"),
    "moved": _("还没打的标签已改到另一台打印机。"),
    "reprinted": _("补打已加入队列，标签上会注明“补打”。"),
    "issued": _("取号成功。"),
    "queued": _("已加入打印队列。"),
    "order_held": _("订单已暂停，不会再打印。"),
    "order_released": _("订单已恢复。"),
    "cancelled": _("运单号已取消。"),
    "void_pending": _("面单可能已经打印出来：请销毁后再确认取消。"),
    "cancel_waits": _("快递公司现在不接受取消，系统会自动再试。"),
    "updated": _("面单已更新，请重新打印。"),
    "destroyed": _("已记为：作废的标签已销毁。"),
    "handed_over": _("已记为：包裹交给了快递员。"),
    "batch_filed": _("文件已接收，正在取号。"),
    "batch_queued": _("已加入打印队列。"),
    "address_added": _("发货地址已添加。"),
    "address_default": _("默认发货地址已更换。"),
    "address_deleted": _("发货地址已删除。"),
    "address_changed": _("发货地址已修改。"),
    "applied": _("申请已提交。"),
    "opened": _("已开通，可以取号了。"),
    "rejected": _("申请已提交，快递公司没有通过。"),
    "draft": _("草稿已保存。"),
    "withdrawn": _("已撤回。"),
    "connected": _("已接入快递网络。"),
    "numbers_added": _("单号已导入。"),
    "preferences": _("设置已保存。"),
    "closed": _("电子面单服务已关闭。"),
    "bye": _("已退出登录。"),
}
#: Those of them after which something still waits for somebody.
DONE_BUT = frozenset({"void_pending", "cancel_waits", "rejected"})
_LINE = re.compile(r"line (\d+)")
#: What a room's reason looks like if it is a code.
_CODE = re.compile(r"[a-z_]+\.[a-z0-9_]+")
_PROBLEMS = {
    "carrier.rejected": _("快递公司没有说明原因"),
    "carrier.suspended": _("快递公司没有说明原因"),
    "carrier.not_listed": _("网络上不再列出这个网点"),
    "carrier.closed": _("快递公司关闭了这项服务"),
    "network.silent": _("快递网络没有应答，请稍后再试；取号的结果会自动查询。"),
    "network.unreachable": _("连不上快递网络，请检查网线后再试。"),
    "network.busy": _("快递网络要求放慢速度，请稍后再试。"),
    "network.resting": _("快递网络出了故障，系统正在等它恢复，请稍后再试。"),
    "network.refused": _("快递网络拒绝了这个请求。"),
    "subscription.busy": _("正在向快递网络查询这项服务，请稍后再试。"),
    "sender.mismatch": _("发货地址与开通电子面单服务时的地址不一致。"),
    "division.divided": _("这个区县已经拆分，请选拆分后的区县。"),
    "numbers.file": _("单号文件有错误，一个号也没有导入。"),
    "file.size": _("文件太大。"),
    "file.unreadable": _("文件读不出来。"),
    "body.too_large": _("文件太大。"),
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
    "waybill.void": _("这个面单已取消或正在作废，不能交付。"),
    "waybill.cancel_limit": _("取消的单号太多，快递公司暂时不接受取消，系统会自动再试。"),
    "waybill.erased": _("这个面单的个人资料已按规定删除。"),
    "waybill.handed_over": _("包裹已经交给快递员，不能再改、取消或打印。"),
    "waybill.picked_up": _("快递公司已经揽收这个包裹，号码不能取消。"),
    "waybill.label_void": _("面单更新过，新标签还没有打印；包裹上的旧标签无效。"),
    "waybill.not_live": _("这个面单现在的状态不能更新。"),
    "waybill.not_updated": _("这次没有更新成功，内容没有变，请再试一次。"),
    "waybill.update_open": _("这个面单正在更新，请稍候。"),
    "waybill.unknown_number": _("快递公司没有这个运单号。"),
    "waybill.was_cancelled": _("这个运单号已经取消。"),
    "waybill.updated": _("内容已更新，旧标签作废"),
    "update.empty": _("没有任何改动。"),
    "label.on_paper": _("标签可能已经打印出来，等待确认销毁。"),
    "label.not_void": _("这张标签没有作废，或已经确认销毁。"),
    "label.erased": _("这张标签的个人资料已按规定删除，不能再打印。"),
    "label.does_not_fit": _("内容太长，标签上排不下。"),
    "label.off_page": _("模板有内容超出标签边缘。"),
    "template.unknown": _("没有这个模板。"),
    "area.invalid": _("自定义区的内容有误。"),
    "area.too_large": _("自定义区比模板留的地方大。"),
    "area.no_place": _("这个模板没有给店铺留自定义区。"),
    "barcode.data": _("条码的内容有误，这种条码印不出来。"),
    "font.missing": _("标签上有印不出来的字。"),
    "image.failed": _("标签上的图片有误。"),
    "batch.not_found": _("没有这个批次。"),
    "batch.rows": _("文件里有错误的行，没有取号。请改正后重新上传。"),
    "batch.size": _("一个批次要有 1 到 500 个包裹。"),
    "batch.invalid": _("批次的内容有误。"),
    "batch.expired": _("等了太久没有结果，已放弃。"),
    "file.columns": _("文件缺少必需的列："),
    "find.invalid": _("请输入运单号、完整的电话或姓名。"),
    "network.already_issued": _("快递网络说这个包裹已经有号码，正在核对。"),
    "network.segment_used_up": _("快递公司的号段已用完，请联系网点。"),
    "network.no_print_data": _("快递网络没有给出面单内容。"),
    "parcel.several_points": _("这个订单在另一个网点有号码。"),
    "service.stopping": _("服务正在停止，请稍后再试。"),
    "order.erased": _("这个订单的个人资料已按规定删除。"),
    "order.masked": _("没有查看这个订单收件人的权限。"),
    "database.unavailable": _("数据库暂时连不上，请稍后再试。"),
    "database.disk_full": _("磁盘已满，请联系管理员。"),
    "media_type.refused": _("这个页面不接受这种内容。"),
    "request.malformed": _("请求有误，请刷新页面后重试。"),
    "gone": _("这项内容已经不在了。"),
    "refused": _("请求被拒绝。"),
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
    "label.second_copy": _("这个运单号已有一张标签：请在“待确认”页逐张回答。"),
    "label.step": _("标签的状态刚刚变了，请看最新状态。"),
    "label.too_wide": _("标签比打印机的打印宽度还宽，请换一台打印机或模板。"),
    "waybill.already_printed": _("这个面单已经打印过，请用“补打”并说明原因。"),
    "pdf.opened": _("这张标签已经打开过一次。"),
    "printer.not_found": _("没有这台打印机。"),
    "printer.exists": _("已有同名的打印机。"),
    "printer.invalid": _("打印机的信息有误。"),
    "group.empty": _("这个打印机组里没有打印机。"),
    "printer.group": _("打印机组没有自己的设备。"),
    "printer.busy": _("这台打印机还有未完成或待确认的标签，不能删除。"),
    "division.unknown": _("省、市、区县有误。"),
    "division.not_covered": _("暂不支持港澳台地址。"),
    "template.invalid": _("模板有错误。"),
    "database.busy": _("系统繁忙，请稍后再试。"),
}
#: What a row of a custom area may show.
AREA_SHOWS = {
    "short_goods": _("商品简称（放不下时写 +3）"),
    "goods": _("商品明细"),
    "count": _("件数"),
    "orders": _("订单号"),
    "note": _("备注"),
    "store": _("店铺名"),
    "time": _("打印时间"),
    "batch": _("批次和序号"),
    "words": _("固定文字"),
}
#: How a printer's Chinese comes on paper.
LETTERS = {"": _("按机型"), "dots": _("按点阵发送（都能用）"), "font": _("用打印机里的字库（更快）")}
ALIGNS = {"left": _("左"), "center": _("中"), "right": _("右")}
#: What a page's warning says; the element that it is about stands before it.
_WARNINGS = {
    "glyph.missing": _("有字体里没有的字，印成方框"),
    "text.overflow": _("内容太长，放不下"),
    "text.overlap": _("与别的文字重叠"),
    "mark.off_page": _("超出标签边缘"),
    "barcode.crowded": _("条码的空白区里有别的内容"),
    "barcode.low": _("条码太矮，不好扫"),
    "barcode.narrow": _("条码太细，不好扫"),
    "barcode.empty": _("条码没有内容"),
    "image.failed": _("图片读不出来"),
}
#: Parts of a template's name, in the order in which they stand in it.
_TEMPLATE_PARTS = {
    "waybill": _("电子面单"),
    "franchise": _("加盟"),
    "direct": _("直营"),
    "slip": _("小票"),
    "pick": _("拣货单"),
    "delivery": _("发货单"),
}
FIELDS = {
    "name": _("名称"),
    "uri": _("连接地址"),
    "profile": _("机型"),
    "darkness": _("浓度"),
    "speed": _("速度"),
    "offset_x": _("左右偏移"),
    "offset_y": _("上下偏移"),
    "letters": _("汉字"),
    "font": _("打印机里的字库"),
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
    "settlement_account": _("月结账号"),
    "branch_name": _("网点名称"),
    "origin": _("发货地址"),
    "file": _("文件"),
    "access_token": _("访问令牌"),
    "code": _("授权码"),
    "accepted": _("服务协议"),
    "agreement_version": _("服务协议"),
    "secret": _("令牌"),
    "requests": _("包裹"),
    "items": _("商品"),
    "count": _("数量"),
    "weight_g": _("重量"),
    "note": _("备注"),
    "package": _("包裹号"),
    "orders": _("订单号"),
    "order_number": _("订单号"),
    "item_name": _("商品"),
    "item_count": _("数量"),
    "store_name": _("店铺名称"),
    "recipient_name": _("收件人"),
    "recipient_phone": _("收件人手机"),
    "recipient_province": _("省"),
    "recipient_city": _("市"),
    "recipient_district": _("区县"),
    "recipient_town": _("街道/乡镇"),
    "recipient_detail": _("详细地址"),
    "sender_name": _("发件人"),
    "sender_phone": _("发件人手机"),
    "sender_province": _("发件省"),
    "sender_city": _("发件市"),
    "sender_district": _("发件区"),
    "sender_detail": _("发件地址"),
    "revision": _("版本"),
    "key": _("表单"),
}


def field(name: str) -> str:
    """What a form calls a field; ``line 7`` is a line of a file."""
    if found := _LINE.fullmatch(name):
        return str(gettext("第 %(n)s 行", n=found[1]))
    return str(FIELDS.get(name, name))


def problem(code: str, detail: str) -> str:
    """What to tell a person of an error."""
    if found := _PROBLEMS.get(code):
        return str(found)
    # Of the network's own refusals we know the number alone: it is what the carrier's hotline asks for.
    if found := re.fullmatch(r"network\.(\d+)", code):
        return str(gettext("快递网络拒绝了请求（错误号 %(n)s）。", n=found[1]))
    return detail


def of(error: LabelsvcError) -> str:
    """What to tell a person of a room's error."""
    return problem(error.code, error.detail)


def wrong_fields(error: LabelsvcError) -> dict[str, str]:
    """Field name -> reason, for the form that the error is about; ``party.phone`` counts as ``phone``."""
    return {found.field.rsplit(".", 1)[-1]: _in_words(found.reason) for found in error.errors}


def wrong(fault: FieldError) -> str:
    """A wrong field in one line: its name and the reason."""
    name = re.sub(r"\[\d+\]", "", fault.field).rsplit(".", 1)[-1]
    return f"{FIELDS.get(name, name)}: {_in_words(fault.reason)}"


def _in_words(text: str) -> str:
    for form, said in _WRONG:
        if found := form.fullmatch(text):
            return str(said) % {"a": found[1], "b": found[form.groups]}
    return text


def after_cancel(found: Waybill) -> str:
    """The word of ``DONE`` for what became of a cancellation (W5)."""
    if found.state is WaybillState.CANCELLED:
        return "cancelled"
    return "void_pending" if found.void_wait is VoidWait.LABEL else "cancel_waits"


def outcome(item: BatchItem) -> str:
    """Why a parcel of a batch was refused, or what it waits for; empty if it has its number."""
    if item.state is ItemState.ISSUED or not item.code:
        return ""
    if not item.field:
        return problem(item.code, item.detail)
    # The detail of a wrong field is its reason, unless several were wrong.
    name = item.field.rsplit(".", 1)[-1]
    said, why_ = FIELDS.get(name, name), _in_words(item.detail)
    return f"{said}: {why_}" if why_ != item.detail else f"{problem(item.code, item.detail)} ({said})"


def reason(text: str) -> str:
    """Why a printer isn't ready or a label isn't out."""
    for before, said in _VERDICTS.items():
        if text.startswith(before):
            return str(said) % {"a": reason(text.removeprefix(before))}
    for form, said in _REASON_FORMS:
        if found := form.fullmatch(text):
            return str(said) % {"a": found[1], "b": found[2]}
    return str(REASONS.get(text, text))


def why(text: str) -> str:
    """A reason that a room gives as a code, in words; what a person wrote stands as written."""
    return problem(text, str(gettext("其他原因（%(a)s）", a=text)) if _CODE.fullmatch(text) else text)


def model(profile: Profile) -> str:
    """What a model is called: its maker's words, but ours where the profile is ours or stands for many makers."""
    named = profile.model if profile.maker in ("various", "labelsvc") else f"{profile.maker} {profile.model}"
    for form, said in _MODELS:
        if found := form.fullmatch(named):
            return str(said) % {"a": found[1], "b": found[form.groups]}
    return named


def label_state(label: Label) -> tuple[object, str]:
    """A label's state: its word and look."""
    return ASKED if label.held_for == "second_copy" else LABEL[label.state.value]


def job_state(job: PrintJob) -> tuple[object, str]:
    """A job's state: its word and look."""
    asked = job.state is JobState.HELD and any(label.held_for == "second_copy" for label in job.labels)
    return ASKED if asked else JOB[job.state.value]


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


def warning(found: PageWarning) -> str:
    """A page's warning in the language of the page, with the element that it is about."""
    said = _WARNINGS.get(found.code)
    words = str(said) if said is not None else found.detail
    return gettext("%(source)s：%(words)s", source=found.source, words=words) if found.source else words


def template(name: str) -> str:
    """A standard template's name for people: ``waybill-100x180-direct`` is 电子面单 直营 100 × 180 mm."""
    said = [str(_TEMPLATE_PARTS[part]) for part in name.split("-") if part in _TEMPLATE_PARTS]
    if size := re.search(r"(\d+)x(\d+)", name):
        said.append(f"{size[1]} × {size[2]} mm")
    elif width := re.search(r"-(\d+)$", name):
        said.append(f"{width[1]} mm")
    return " ".join(said) or name
