"""What a person is told of each fault: the rule's word -> what is wrong, and the cure, in Chinese and English.

Words of a cell's own rule (``schemas.rules``) bring their texts with them. Words of a verdict are ``file-`` + the reason of
docs/protocol/evidence.md. Faults are made of them in ``faults.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

MAX_CELL: Final = 2_000  # characters
MAX_COLUMNS: Final = 64
MAX_OFD: Final = 16 << 20
MAX_ROWS: Final = 200_000


class Texts(NamedTuple):
    """What is wrong, and what to do about it."""

    zh: tuple[str, str]
    en: tuple[str, str]


FILE: Final[Mapping[str, Texts]] = {  # the file is no such table
    "empty": Texts(
        ("文件为空", "请写入表头和数据行后重新提交"),
        ("the file is empty", "write a heading and rows, and hand it in again"),
    ),
    "no-rows": Texts(
        ("只有表头, 没有数据行", "请检查导出是否成功, 写入数据行后重新提交"),
        ("there are headings and no rows", "look whether the export failed; write the rows, and hand it in again"),
    ),
    "headings": Texts(
        ("表头不对", "请按列说明改正表头后重新提交"),
        ("the headings are not right", "mend them by the list of columns and hand the file in again"),
    ),
    "separator": Texts(
        ("列之间没有以逗号分隔", "请另存为 CSV UTF-8 (逗号分隔)"),
        ("the columns are not parted by commas", "save as CSV UTF-8 (comma delimited)"),
    ),
    "encoding": Texts(
        ("编码既不是 UTF-8 也不是 GBK/GB18030", "请另存为 CSV UTF-8"),
        ("the encoding is neither UTF-8 nor GBK/GB18030", "save as CSV UTF-8"),
    ),
    "not-a-table": Texts(
        ("CSV 在此行之后无法读取", "请检查引号是否成对"),
        ("the CSV cannot be read after this row", "look for a quote without its pair"),
    ),
    "not-a-zip": Texts(
        ("不是可读取的 zip 文件", "请重新压缩后提交"),
        ("is no readable zip", "pack it again"),
    ),
    "zip-encrypted": Texts(
        ("zip 设有密码", "请去除密码后重新压缩"),
        ("the zip has a password", "pack it again without"),
    ),
    "unsafe-name": Texts(
        ("zip 内有绝对路径或 .. 的文件名", "请只用相对路径重新压缩"),
        ("a name in the zip is absolute or has ..", "pack it with relative names"),
    ),
    "not-an-excel-file": Texts(
        ("不是可读取的 xlsx 文件", "请用 Excel 另存为 xlsx"),
        ("is no readable xlsx file", "save it as xlsx"),
    ),
    "zip-needs-one-table": Texts(
        ("zip 的根目录没有表格, 或不止一个", "请在根目录恰放一个 csv 或 xlsx 表格"),
        ("the zip has no table at its root, or more than one", "put exactly one csv or xlsx at its root"),
    ),
    "doubled-file": Texts(
        ("zip 内有重名文件", "请改名后重新压缩"),
        ("the zip has two files of one name", "rename one and pack it again"),
    ),
    "too-many-files": Texts(
        ("zip 内文件过多", "请分批提交"),
        ("the zip has too many files", "hand in several batches"),
    ),
    "too-many-rows": Texts(
        (f"超过 {MAX_ROWS} 行, 之后的行未读取", "请将之后的行另行提交"),
        (f"more than {MAX_ROWS} rows; those after were not read", "hand in the rows after as another batch"),
    ),
    "too-large-unpacked": Texts(
        ("解压后过大", "请分批提交"),
        ("too large when unpacked", "hand in several batches"),
    ),
    "check-given-up": Texts(
        ("枢纽多次未能完成检查", "请拆分后重新提交, 并告知枢纽管理员"),
        (
            "the hub failed to check the file several times",
            "hand it in again in parts, and tell the hub's administrator",
        ),
    ),
    "file-lost": Texts(
        ("枢纽未能读回此文件", "请以新的 messageId 重新提交"),
        ("the hub cannot read the file back", "hand it in again under a new messageId"),
    ),
}

HEADING: Final[Mapping[str, Texts]] = {  # of row 1
    "heading-missing": Texts(
        ("缺少此列", "请在表头中补上"),
        ("this column is missing", "add it to the headings"),
    ),
    "heading-doubled": Texts(
        ("此列出现两次", "请删去一列"),
        ("this column stands there twice", "remove one"),
    ),
    "heading-empty": Texts(
        ("此列没有表头", "请补上表头或删去此列"),
        ("this column has no heading", "name it or remove it"),
    ),
    "too-many-columns": Texts(
        (f"超过 {MAX_COLUMNS} 列", "请删去多余的列后重新提交"),
        (f"more than {MAX_COLUMNS} columns", "remove columns and hand the file in again"),
    ),
    "column-unknown": Texts(
        ("未知的列, 未采用", "请更正列名; 其他信息请用以 KZ_ 开头的列"),
        ("an unknown column, not used", "correct its name; other facts go into columns that begin with KZ_"),
    ),
    "file-unused": Texts(
        ("压缩包中有文件没有对应的行, 未采用: ", "请在其所属行的文件列填写文件名, 另行提交这些行"),
        (
            "files in the zip that no row names, not used: ",
            "name each in the file column of its row, and hand those rows in as another batch",
        ),
    ),
}

CELL: Final[Mapping[str, Texts]] = {
    "missing": Texts(
        ("未填写", "请填写此列"),
        ("is empty", "fill it in"),
    ),
    "action-unknown": Texts(
        ("不是归集的操作", "应为 issue、change 或 revoke (签发、变更、注销)"),
        ("is no action of collecting", "write issue, change or revoke"),
    ),
    "type-not-collected": Texts(
        ("不是归集的证照类型", "请填写可归集类型的名称、类型代码或中文名"),
        ("is no type that is collected", "write the key, code or Chinese title of a type that is"),
    ),
    "holder-type-unknown": Texts(
        ("未知的持证主体代码类型", "请填写代码表中的类型, 例如 111 (居民身份证) 或 001 (统一社会信用代码)"),
        ("is no holder code type", "write one of the code table, such as 111 (resident ID card) or 001 (credit code)"),
    ),
    "issuer-code-format": Texts(
        ("不是统一社会信用代码或区划代码", "请填写 18 位统一社会信用代码或 6 位区划代码"),
        (
            "is neither a credit code nor a region code",
            "write the credit code of 18 or the region code of 6 characters",
        ),
    ),
    "date-format": Texts(
        ("不是有效日期, 已按原值保留", "请写作 YYYY-MM-DD"),
        ("is not a date; kept as it came", "write YYYY-MM-DD"),
    ),
    "validity-reversed": Texts(
        ("有效期截止日期早于起始日期, 已按原值保留", "请核对有效期起止日期; 有误的, 改正后以 change (变更) 重新报送"),
        (
            "the validity ends before it begins; kept as it came",
            "check both dates; if one is wrong, correct it and hand the row in again as change",
        ),
    ),
    "issued-in-future": Texts(
        ("颁发日期晚于今天, 已按原值保留", "请核对颁发日期; 有误的, 改正后以 change (变更) 重新报送"),
        (
            "it is issued on a day that has not come yet; kept as it came",
            "check the date; if it is wrong, correct it and hand the row in again as change",
        ),
    ),
    "type-mismatch": Texts(
        ("标识中的类型与证照类型不同", "请核对证照标识与证照类型"),
        ("the identifier names another type than this row", "check the identifier and the type"),
    ),
    "digits-lost": Texts(
        ("数字过长已失真", "请将单元格设为文本后重新填写"),
        ("a number this long has lost digits", "make the cell text and enter it again"),
    ),
    "formula": Texts(
        ("单元格是公式", "请复制后粘贴为数值"),
        ("the cell is a formula", "copy it and paste its value"),
    ),
    "cell-error": Texts(
        ("单元格是 Excel 错误值", "请填写正确的内容"),
        ("the cell is an error of Excel", "enter the right contents"),
    ),
    "merged-cells": Texts(
        ("单元格被合并", "请取消合并并逐行填写"),
        ("the cell is merged", "unmerge it and fill every row"),
    ),
    "more-cells-than-headings": Texts(
        ("单元格多于表头", "请补上表头, 或检查逗号和引号"),
        ("there are more cells than headings", "add headings, or look at commas and quotes"),
    ),
    "too-long": Texts(
        (f"超过 {MAX_CELL} 个字符", "请缩短内容"),
        (f"longer than {MAX_CELL} characters", "make it shorter"),
    ),
    "hidden-character": Texts(
        ("含有换行、控制字符或不可见字符", "请删去换行和不可见字符后重新填写, 内容写成一行"),
        (
            "it has a line break, a control character or one that cannot be seen",
            "remove these, or type it anew, on one line",
        ),
    ),
    "doubled": Texts(
        ("同一批次中已有此证照", "请只保留一行"),
        ("this certificate stands in the batch already", "keep one row"),
    ),
    "file-missing": Texts(
        ("压缩包中没有此文件", "请核对文件名(区分大小写)"),
        ("the zip has no such file", "look at the name: capitals count"),
    ),
    "file-too-large": Texts(
        ("文件过大或压缩率异常, 未采用", f"请提交不超过 {MAX_OFD >> 20} MB 的 OFD 原文件"),
        (
            "the file is too large, or packed too small to be true; not used",
            f"hand in the original OFD, of at most {MAX_OFD >> 20} MB",
        ),
    ),
    "file-damaged": Texts(
        ("压缩包中的此文件已损坏", "请重新压缩"),
        ("this file in the zip is damaged", "pack it again"),
    ),
    "file-without-zip": Texts(
        ("批次不是 zip, 不能附文件", "请将表格与文件一并压缩为 zip"),
        ("the batch is no zip and has no files", "pack the table and the files together as a zip"),
    ),
    "file-hash-failure": Texts(
        ("版式文件在盖章后被改动", "请提交原文件"),
        ("the document was altered after it was sealed", "hand in the original"),
    ),
    "file-sig-crypto-failure": Texts(
        ("版式文件的签名无效", "请提交原文件"),
        ("the document's signature does not hold", "hand in the original"),
    ),
    "file-not-signed": Texts(
        ("版式文件没有电子印章", "请提交已加盖电子印章的文件"),
        ("the document bears no seal", "hand in the sealed document"),
    ),
    "file-uncovered-content": Texts(
        ("版式文件有未被印章覆盖的内容", "请提交盖章后未添加内容的原文件, 或重新盖章"),
        ("parts of the document lie outside its seal", "hand in the original without what was added, or seal it again"),
    ),
    "file-format-failure": Texts(
        ("不是可读取的 OFD 文件", "请提交 OFD 原文件"),
        ("is no readable OFD document", "hand in the original OFD"),
    ),
    "file-revoked": Texts(
        ("印章证书已被吊销", "请用有效的印章重新盖章"),
        ("the seal's certificate is revoked", "seal it again with a valid seal"),
    ),
    "file-expired": Texts(
        ("盖章时印章证书已过期", "请用有效的印章重新盖章"),
        ("the seal's certificate had run out when it was sealed", "seal it again with a valid seal"),
    ),
    "file-not-yet-valid": Texts(
        ("盖章时印章证书尚未生效", "请核对盖章时间, 用有效的印章重新盖章"),
        (
            "the seal's certificate was not valid yet when it was sealed",
            "check the time of sealing, and seal it again with a valid seal",
        ),
    ),
    "file-indeterminate-no-certificate-chain-found": Texts(
        ("印章证书不在枢纽信任的根之下", "请与枢纽管理员联系"),
        ("the seal's certificate leads to no root that the hub trusts", "ask the hub's administrator"),
    ),
    "file-indeterminate-try-later": Texts(
        ("等待吊销列表更新", "无需处理, 枢纽将自动复核; 到期仍未通过的, 请与枢纽管理员联系"),
        (
            "a later revocation list is awaited",
            "nothing to do, the hub looks again by itself; if time ran out over it, ask the hub's administrator",
        ),
    ),
    "file-holder-mismatch": Texts(
        ("文件内的持证主体与本行不同", "请核对本行; 本行无误的, 请提交属于本行的文件"),
        (
            "the holder inside the document is not this row's",
            "check this row; if it is right, hand in the document that belongs to it",
        ),
    ),
    "file-holder-code-mismatch": Texts(
        ("文件内的持证主体代码与本行不同", "请核对本行; 本行无误的, 请提交属于本行的文件"),
        (
            "the holder code inside the document is not this row's",
            "check this row; if it is right, hand in the document that belongs to it",
        ),
    ),
    "file-number-mismatch": Texts(
        ("文件内的证照编号与本行不同", "请核对本行; 本行无误的, 请提交属于本行的文件"),
        (
            "the number inside the document is not this row's",
            "check this row; if it is right, hand in the document that belongs to it",
        ),
    ),
    "file-type-mismatch": Texts(
        ("文件内的证照类型与本行不同", "请核对本行; 本行无误的, 请提交属于本行的文件"),
        (
            "the type inside the document is not this row's",
            "check this row; if it is right, hand in the document that belongs to it",
        ),
    ),
    "file-issuer-mismatch": Texts(
        ("文件内的颁发机构代码与本行不同", "请核对本行; 本行无误的, 请提交属于本行的文件"),
        (
            "the issuer inside the document is not this row's",
            "check this row; if it is right, hand in the document that belongs to it",
        ),
    ),
    "file-sealed-by-another": Texts(
        (
            "印章不是文件所载颁发机构的, 也没有规定准其代章",
            "请由颁发机构用自己的印章重新盖章; 依规定代章的, 请枢纽管理员登记该规定 (HUB_SEALING)",
        ),
        (
            "the seal is not that of the issuer that the document names, and no rule lets its owner seal for it",
            "have the issuer seal it again with its own seal; if a rule lets another seal for it, the hub's administrator enters "
            "that rule (HUB_SEALING)",
        ),
    ),
    "file-holder-missing": Texts(
        ("文件内没有持证主体", "请按电子证照标准重新制作并盖章"),
        ("the document does not say its holder", "make it again by the e-certificate standard, and seal it"),
    ),
    "file-holder-code-missing": Texts(
        ("文件内没有持证主体代码", "请按电子证照标准重新制作并盖章"),
        ("the document does not say its holder code", "make it again by the e-certificate standard, and seal it"),
    ),
    "file-number-missing": Texts(
        ("文件内没有证照编号", "请按电子证照标准重新制作并盖章"),
        ("the document does not say its number", "make it again by the e-certificate standard, and seal it"),
    ),
    "file-type-missing": Texts(
        ("文件内没有证照类型", "请按电子证照标准重新制作并盖章"),
        ("the document does not say its type", "make it again by the e-certificate standard, and seal it"),
    ),
    "file-issuer-missing": Texts(
        ("文件内没有颁发机构或其代码", "请按电子证照标准重新制作并盖章"),
        ("the document does not say its issuer", "make it again by the e-certificate standard, and seal it"),
    ),
}

_CHECK_ROW: Final = ("请按列说明核对本行, 改正后重新报送", "check the row by the list of columns, and hand it in again")
_ASK_HUB: Final = (
    "请与枢纽管理员联系, 由其与省电子证照库办理",
    "ask the hub's administrator, who settles it with the library",
)


def _by_library(zh: str, en: str, cure: tuple[str, str]) -> Texts:
    return Texts((f"省电子证照库未收取: {zh}", cure[0]), (f"not taken by the library: {en}", cure[1]))


LIBRARY: Final[
    Mapping[str, Texts]
] = {  # words of a library's refusal (the adapter's statuses.toml) -> of the whole row
    "not-found": _by_library(
        "库中没有此证照",
        "it does not hold this certificate",
        (
            "请核对证照标识; 尚未归集的, 请先以 issue (签发) 报送",
            "check the identifier; if it was not collected yet, hand it in as issue first",
        ),
    ),
    "revoked": _by_library(
        "此证照已吊销或注销",
        "this certificate is revoked",
        (
            "请核对证照标识; 重新签发的, 请以新的证照编号报送",
            "check the identifier; if it was issued anew, hand it in under its new number",
        ),
    ),
    "expired": _by_library(
        "此证照已过期",
        "this certificate has expired",
        ("请核对有效期; 延续的, 请报送新证照", "check the dates; if it was renewed, hand in the new one"),
    ),
    "restricted": _by_library("此证照被限制使用", "this certificate is restricted", _ASK_HUB),
    "type-unpublished": _by_library("证照类型不存在或未发布", "the type is not published there", _ASK_HUB),
    "no-permission": _by_library("枢纽无此类证照的报送权限", "the hub has no right to this type", _ASK_HUB),
    "field-empty": _by_library("必填项为空", "a field that it requires is empty", _CHECK_ROW),
    "bad-value": _by_library("取值不正确", "a value is not right", _CHECK_ROW),
    "bad-type-code": _by_library("证照类型代码不正确", "the type code is not right", _CHECK_ROW),
    "bad-holder-type": _by_library("持证主体代码类型不正确", "the holder code type is not right", _CHECK_ROW),
    "number-missing": _by_library("缺证照编号", "the number is missing", _CHECK_ROW),
    "holder-code-missing": _by_library("缺持证主体代码", "the holder code is missing", _CHECK_ROW),
    "holder-missing": _by_library("缺持证主体", "the holder is missing", _CHECK_ROW),
    "unreadable": Texts(
        ("枢纽未能读回本行", "请以新的 messageId 重新报送本行"),
        ("the hub cannot read this row back", "hand it in again under a new messageId"),
    ),
}
BY_LIBRARY: Final = _by_library("原因见代码", "the code says why", _ASK_HUB)

REFUSED: Final = Texts(  # any other word of a verdict
    ("版式文件验证未通过, 原因见规则代码", "请提交原文件, 或由发证机关重新盖章"),
    (
        "the document was not verified; the rule's word says why",
        "hand in the original, or have its issuer seal it again",
    ),
)
INDETERMINATE: Final = Texts(
    ("版式文件无法判定真伪, 原因见规则代码", "请与枢纽管理员联系"),
    ("it could not be told whether the document holds; the rule's word says why", "ask the hub's administrator"),
)
