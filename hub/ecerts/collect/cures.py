"""What a person is told of each fault: the rule's word -> what is wrong and what to do, in Chinese and English.

Words of a cell's own rule (``schemas.rules``) bring their texts with them. Words of a verdict are ``file-`` + the reason of
docs/protocol/evidence.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hub.ecerts.collect.model import RowFault

Texts = tuple[str, str]
MAX_CELL: Final = 2_000
MAX_ROWS: Final = 200_000

FILE: Final[Mapping[str, Texts]] = {  # the file is no such table
    "empty": ("文件为空, 请写入表头和数据行", "the file is empty: write a heading and rows"),
    "headings": (
        "表头不对, 请按列说明改正表头后重新提交",
        "the headings are not right: mend them and hand the file in again",
    ),
    "separator": (
        "列之间应以逗号分隔, 请另存为 CSV UTF-8 (逗号分隔)",
        "columns are parted by commas: save as CSV UTF-8 (comma delimited)",
    ),
    "encoding": (
        "编码应为 UTF-8 或 GBK/GB18030, 请另存为 CSV UTF-8",
        "must be UTF-8 or GBK/GB18030: save as CSV UTF-8",
    ),
    "not-a-table": (
        "CSV 在此行之后无法读取, 请检查引号是否成对",
        "the CSV cannot be read after this row: look for a quote without its pair",
    ),
    "not-a-zip": ("不是可读取的 zip 文件, 请重新压缩后提交", "is no readable zip: pack it again"),
    "zip-encrypted": ("zip 设有密码, 请去除密码后重新压缩", "the zip has a password: pack it again without"),
    "unsafe-name": (
        "zip 内有绝对路径或 .. 的文件名, 请只用相对路径重新压缩",
        "a name in the zip is absolute or has ..: pack it with relative names",
    ),
    "not-an-excel-file": (
        "不是可读取的 xlsx 文件, 请用 Excel 另存为 xlsx",
        "is no readable xlsx file: save it as xlsx",
    ),
    "zip-needs-one-table": (
        "zip 的根目录应恰有一个 csv 或 xlsx 表格",
        "the zip must have exactly one csv or xlsx at its root",
    ),
    "doubled-file": ("zip 内有重名文件, 请改名后重新压缩", "the zip has two files of one name: rename one"),
    "too-many-files": ("zip 内文件过多, 请分批提交", "the zip has too many files: hand in several batches"),
    "too-many-rows": (
        f"超过 {MAX_ROWS} 行, 之后的行未读取, 请另行提交",
        f"more than {MAX_ROWS} rows: hand in those after as another batch",
    ),
    "too-large-unpacked": ("解压后过大, 请分批提交", "too large when unpacked: hand in several batches"),
    "check-given-up": (
        "枢纽多次未能完成检查, 请拆分后重新提交, 并告知枢纽管理员",
        "the hub failed to check the file several times: hand it in again in parts, and tell its administrator",
    ),
    "file-lost": (
        "枢纽未能读回此文件, 请以新的 messageId 重新提交",
        "the hub cannot read the file back: hand it in again under a new messageId",
    ),
}

HEADING: Final[Mapping[str, Texts]] = {  # of row 1
    "heading-missing": ("缺少此列, 请在表头中补上", "this column is missing: add it to the headings"),
    "heading-doubled": ("此列出现两次, 请删去一列", "this column stands there twice: remove one"),
    "heading-empty": ("此列没有表头, 请补上或删去此列", "this column has no heading: name it or remove it"),
    "too-many-columns": ("列数过多", "too many columns"),
    "column-unknown": (
        "未知的列, 未采用; 其他信息请用以 KZ_ 开头的列",
        "an unknown column, not used; other facts go into columns that begin with KZ_",
    ),
    "file-unused": ("压缩包中有文件没有对应的行, 未采用: ", "files in the zip that no row names, not used: "),
}

CELL: Final[Mapping[str, Texts]] = {
    "digits-lost": (
        "数字过长已失真, 请将单元格设为文本后重新填写",
        "a number this long has lost digits: make the cell text and enter it again",
    ),
    "formula": ("单元格是公式, 请复制后粘贴为数值", "the cell is a formula: copy it and paste its value"),
    "cell-error": ("单元格是 Excel 错误值, 请改正", "the cell is an error of Excel: mend it"),
    "merged-cells": ("单元格被合并, 请取消合并并逐行填写", "the cell is merged: unmerge it and fill every row"),
    "more-cells-than-headings": (
        "单元格多于表头, 请补上表头或检查逗号和引号",
        "more cells than headings: add headings, or look at commas and quotes",
    ),
    "too-long": (f"超过 {MAX_CELL} 个字符", f"longer than {MAX_CELL} characters"),
    "doubled": ("同一批次中已有此证照, 请只保留一行", "this certificate stands in the batch already: keep one row"),
    "file-missing": (
        "压缩包中没有此文件, 请核对文件名(区分大小写)",
        "the zip has no such file: look at the name, capitals count",
    ),
    "file-too-large": ("文件过大或压缩率异常, 未采用", "the file is too large, or packed too small to be true"),
    "file-damaged": ("压缩包中的此文件已损坏, 请重新压缩", "this file in the zip is damaged: pack it again"),
    "file-without-zip": (
        "只有 zip 批次可以附文件, 请将表格与文件一并压缩",
        "only a zip batch has files: pack the table and the files together",
    ),
    "file-hash-failure": (
        "版式文件在盖章后被改动, 请提交原文件",
        "the document was altered after it was sealed: hand in the original",
    ),
    "file-sig-crypto-failure": (
        "版式文件的签名无效, 请提交原文件",
        "the document's signature does not hold: hand in the original",
    ),
    "file-not-signed": ("版式文件没有电子印章", "the document bears no seal"),
    "file-uncovered-content": ("版式文件有未被印章覆盖的内容", "parts of the document lie outside its seal"),
    "file-format-failure": ("不是可读取的 OFD 文件", "is no readable OFD document"),
    "file-revoked": ("印章证书已被吊销, 请重新盖章", "the seal's certificate is revoked: seal it again"),
    "file-expired": ("盖章时印章证书已过期, 请重新盖章", "the seal's certificate had run out: seal it again"),
    "file-indeterminate-no-certificate-chain-found": (
        "印章证书不在枢纽信任的根之下, 请与枢纽管理员联系",
        "the seal's certificate leads to no root that the hub trusts: ask its administrator",
    ),
    "file-indeterminate-try-later": (
        "等待吊销列表更新, 枢纽将自动复核",
        "a later revocation list is awaited; the hub looks again by itself",
    ),
    "file-holder-mismatch": ("文件内的持证主体与本行不同", "the holder inside the document is not this row's"),
    "file-holder-code-mismatch": (
        "文件内的持证主体代码与本行不同",
        "the holder code inside the document is not this row's",
    ),
    "file-number-mismatch": ("文件内的证照编号与本行不同", "the number inside the document is not this row's"),
    "file-type-mismatch": ("文件内的证照类型与本行不同", "the type inside the document is not this row's"),
    "file-issuer-mismatch": ("文件内的颁发机构代码与本行不同", "the issuer inside the document is not this row's"),
}
_OTHER_VERDICT: Final = (
    "版式文件验证未通过, 请提交原文件; 原因见代码",
    "the document was not verified: hand in the original; the code says why",
)


def fault(row: int, column: str, rule: str, *, blocking: bool = True, more: str = "", more_en: str = "") -> RowFault:
    """``more`` is added to both texts, or to the Chinese where ``more_en`` is given; neither may hold a cell's value."""
    zh, en = FILE.get(rule) or HEADING.get(rule) or CELL.get(rule) or _OTHER_VERDICT
    zh, en = zh + more, en + (more_en or more)
    return RowFault(row=row, column=column[:40], rule=rule, blocking=blocking, reason_zh=zh, reason_en=en)
