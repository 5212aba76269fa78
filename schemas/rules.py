"""The rules a field can break: one stable word each, the reason and the cure in Chinese and English.

Four steps. A rule of *text* is about what can be read at all; one of *structure* is one that the XSD expresses as well (shape,
length, list, order); one of *meaning* is one that XSD 1.0 cannot say (check digits, tables that change, one field against
another) and that the models apply after it on both wires; one of *intake* is about a message that is well formed and cannot be
true: judged once, when it comes, by the clock too, and never of what was taken before. docs/protocol/fields.md lists them; no
text quotes a value, because the value may be personal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Step(StrEnum):
    """When a rule is looked at."""

    TEXT = "text"
    STRUCTURE = "structure"
    MEANING = "meaning"
    INTAKE = "intake"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row."""

    code: str
    step: Step
    zh: str
    en: str
    cure_zh: str
    cure_en: str


class FieldError(ValueError):
    """A value breaks a rule. Never holds the value; ``field`` is the wire name when the rule spans several fields.

    ``note`` (zh, en) is added to the rule's cure: what is expected here.
    """

    def __init__(self, rule: Rule, *, field: str | None = None, note: tuple[str, str] = ("", "")) -> None:
        super().__init__(f"{rule.code}: {rule.en}")
        self.rule = rule
        self.field = field
        self.note = note


# What the models' engine and XSD call ``\p{…}``, spelled out for those that lack it: Python's re, ECMA-262 without its u flag.
_CLASSES: Final = {
    r"\p{Z}": r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    r"\p{Cc}": r"\u0000-\u001f\u007f-\u009f",
}


def portable(pattern: str) -> str:
    """``pattern`` for readers of the published document: the same language, in ASCII, without classes of Unicode."""
    for name, characters in _CLASSES.items():
        pattern = pattern.replace(name, characters)
    return "".join(char if char.isascii() else f"\\u{ord(char):04x}" for char in pattern)


RULES: Final[dict[str, Rule]] = {}
SHAPES: Final[dict[str, Shape]] = {}


def _rule(code: str, *, zh: tuple[str, str], en: tuple[str, str], step: Step = Step.MEANING) -> Rule:
    rule = Rule(code, step, zh[0], en[0], zh[1], en[1])
    if code in RULES:
        raise ValueError(f"rule {code} is defined twice")
    RULES[code] = rule
    return rule


@dataclass(frozen=True, slots=True)
class Shape:
    """A pattern that both wires share: the XSD simple type ``name`` carries the same text.

    Only constructs that XSD 1.0, Rust's regex and Python's ``re`` read alike are used. ``zh``/``en`` say the shape in words.
    """

    name: str
    pattern: str  # without anchors: XSD has none, ``anchored`` adds them
    zh: str
    en: str

    @property
    def anchored(self) -> str:
        return f"^(?:{self.pattern})$"

    def matches(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None


def shape(name: str, pattern: str, zh: str, en: str) -> Shape:
    """Register a shape; a pattern belongs to one shape, so that a refusal can be told in words."""
    if pattern in SHAPES:
        raise ValueError(f"pattern of {name} is defined twice")
    SHAPES[pattern] = value = Shape(name, pattern, zh, en)
    return value


def by_anchored(pattern: str) -> Shape | None:
    """The shape whose anchored pattern a model has, whenever it was registered."""
    return SHAPES.get(pattern.removeprefix("^(?:").removesuffix(")$"))


# --- text: what cannot be read -------------------------------------------------------------------------------------------

ENCODING = _rule(
    "encoding", step=Step.TEXT,
    zh=("不是有效的 UTF-8", 'JSON 须为 UTF-8; 老系统可用 SOAP, 并在 XML 声明中写 encoding="GB18030"'),
    en=("not valid UTF-8",
        'JSON must be UTF-8; an old system can use SOAP and write encoding="GB18030" in its XML declaration'),
)  # fmt: skip
JSON_MALFORMED = _rule(
    "json-malformed", step=Step.TEXT,
    zh=("不是有效的 JSON", "检查该处的语法"), en=("not valid JSON", "check the syntax there"),
)  # fmt: skip
XML_ENCODING = _rule(
    "xml-encoding", step=Step.TEXT,
    zh=("字节与 XML 声明的编码不符, 或不支持所声明的编码",
        '按报文的实际编码写 XML 声明, 如 encoding="GB18030"; 没有声明即为 UTF-8'),
    en=("the bytes are not in the encoding that the XML declares, or that is one that is not read",
        'declare the encoding that the message is in, such as encoding="GB18030"; undeclared means UTF-8'),
)  # fmt: skip
XML_DOCTYPE = _rule(
    "xml-doctype", step=Step.TEXT,
    zh=("含有 DOCTYPE", "去掉 DOCTYPE 声明与实体"),
    en=("a DOCTYPE", "remove the DOCTYPE declaration and its entities"),
)  # fmt: skip
XML_MALFORMED = _rule(
    "xml-malformed", step=Step.TEXT,
    zh=("不是格式良好的 XML",
        "检查该行及其之前: 标签应成对, 前缀应声明, 文字中的 & 与 < 应转义; 此地址只收 XML, JSON 请发往 REST 地址"),
    en=("not well-formed XML",
        "check this line and what is before it: tags in pairs, prefixes declared, & and < in texts escaped; this address takes XML "
        "only, JSON goes to the REST addresses"),
)  # fmt: skip
XML_TOO_LARGE = _rule(
    "xml-too-large", step=Step.TEXT,
    zh=("XML 过大", "减小报文; 上限见 errors.md"), en=("the XML is too large", "make it smaller; errors.md has the limits"),
)  # fmt: skip
XML_TOO_DEEP = _rule(
    "xml-too-deep", step=Step.TEXT,
    zh=("XML 嵌套过深", "去掉多余的嵌套; 上限见 errors.md"),
    en=("the XML is nested too deep", "remove needless nesting; errors.md has the limits"),
)  # fmt: skip
XML_TOO_MANY_ELEMENTS = _rule(
    "xml-too-many-elements", step=Step.TEXT,
    zh=("XML 元素过多", "一个报文只放一个请求"), en=("the XML has too many elements", "put one request into a message"),
)  # fmt: skip
XML_TOO_MANY_ATTRIBUTES = _rule(
    "xml-too-many-attributes", step=Step.TEXT,
    zh=("一个元素的属性过多", "去掉多余的属性"), en=("an element has too many attributes", "remove those that are not needed"),
)  # fmt: skip
XML_TOO_MANY_NAMESPACES = _rule(
    "xml-too-many-namespaces", step=Step.TEXT,
    zh=("命名空间声明过多", "在根元素上声明一次即可"),
    en=("too many namespace declarations", "declare each once, on the root element"),
)  # fmt: skip

# --- structure: XSD and models alike ------------------------------------------------------------------------------------

MISSING = _rule(
    "missing", step=Step.STRUCTURE,
    zh=("缺少必填项", "补上该字段"), en=("a required field is missing", "add the field"),
)  # fmt: skip
UNKNOWN_FIELD = _rule(
    "unknown-field", step=Step.STRUCTURE,
    zh=("不认识的字段", "去掉该字段, 或对照规范更正字段名与命名空间"),
    en=("the field is not known", "remove it, or correct its name and namespace"),
)  # fmt: skip
DUPLICATE_FIELD = _rule(
    "duplicate-field", step=Step.STRUCTURE,
    zh=("字段重复出现", "每个字段只写一次"), en=("the field stands more than once", "write each field once"),
)  # fmt: skip
WRONG_ORDER = _rule(
    "wrong-order", step=Step.STRUCTURE,
    zh=("字段次序与 XSD 不符", "按 XSD 中的次序排列字段(仅限 XML)"),
    en=("the fields are not in the order of the XSD", "put the fields in the order of the XSD (XML only)"),
)  # fmt: skip
WRONG_FORMAT = _rule(
    "wrong-format", step=Step.STRUCTURE,
    zh=("格式不符", "对照字段说明更正格式"),
    en=("the value has the wrong format", "correct the format by the field table"),
)  # fmt: skip
TOO_LONG = _rule(
    "too-long", step=Step.STRUCTURE,
    zh=("内容过长", "缩短内容"), en=("the value is too long", "make it shorter"),
)  # fmt: skip
NOT_IN_LIST = _rule(
    "not-in-list", step=Step.STRUCTURE,
    zh=("不是允许的取值", "使用规范列出的取值"),
    en=("the value is not one of those allowed", "use a value of the list"),
)  # fmt: skip
OUT_OF_RANGE = _rule(
    "out-of-range", step=Step.STRUCTURE,
    zh=("数值超出范围", "使用规范给出的范围内的数值"),
    en=("the number is out of range", "use a number within the range of the field table"),
)  # fmt: skip
WRONG_TYPE = _rule(
    "wrong-type", step=Step.STRUCTURE,
    zh=("数据类型不符", "按规范使用文本、整数、布尔值、对象或列表"),
    en=("the value has the wrong type", "use text, integer, boolean, object or list as the field table says"),
)  # fmt: skip
CONTENT_NOT_ALLOWED = _rule(
    "content-not-allowed", step=Step.STRUCTURE,
    zh=("此处不允许属性、文本或处理指令", "去掉多余的属性、文本或处理指令"),
    en=("attributes, text or processing instructions are not allowed here", "remove them"),
)  # fmt: skip
DATE_FORMAT = _rule(
    "date-format", step=Step.STRUCTURE,
    zh=("不是有效日期", "写作 YYYY-MM-DD(1900 至 2099 年)"), en=("not a date", "write YYYY-MM-DD, years 1900 to 2099"),
)  # fmt: skip
DATETIME_FORMAT = _rule(
    "datetime-format", step=Step.STRUCTURE,
    zh=("不是带时区的有效时间", "写作 YYYY-MM-DDThh:mm:ss+08:00(或 Z), 必须带时区"),
    en=("not a date-time with a zone", "write YYYY-MM-DDThh:mm:ss+08:00 (or Z); the zone is required"),
)  # fmt: skip

# --- meaning: what XSD 1.0 cannot say -----------------------------------------------------------------------------------

CHARACTER_NOT_XML = _rule(
    "character-not-xml",
    zh=("含有 XML 不能承载的字符", "去掉 U+FFFE、U+FFFF 等非字符"),
    en=("a character that XML cannot carry", "remove non-characters such as U+FFFE and U+FFFF"),
)  # fmt: skip
RESIDENT_ID_FORMAT = _rule(
    "resident-id-format",
    zh=("公民身份号码应为 17 位数字加 1 位数字或 X", "核对号码; 15 位旧号码已停用"),
    en=("a resident ID number is 17 digits and a digit or X", "check it; the old 15-digit numbers are abolished"),
)  # fmt: skip
RESIDENT_ID_CHECK = _rule(
    "resident-id-check",
    zh=("公民身份号码校验位不符", "核对号码是否录入有误"),
    en=("the check digit of the resident ID number is wrong", "check the number for a typing error"),
)  # fmt: skip
RESIDENT_ID_DATE = _rule(
    "resident-id-date",
    zh=("公民身份号码中的出生日期无效", "核对号码第 7 至 14 位"),
    en=("the resident ID number holds no valid birth date", "check digits 7 to 14"),
)  # fmt: skip
RESIDENT_ID_REGION = _rule(
    "resident-id-region",
    zh=("公民身份号码的地区代码不存在", "核对号码前 6 位"),
    en=("the resident ID number begins with no known region", "check digits 1 to 6"),
)  # fmt: skip
ID_NUMBER_FORMAT = _rule(
    "id-number-format",
    zh=("证件号码与证件类型不符", "核对证件类型与号码"),
    en=("the number does not fit its ID type", "check the ID type and the number"),
)  # fmt: skip
BIRTH_DATE_MISMATCH = _rule(
    "birth-date-mismatch",
    zh=("出生日期与公民身份号码不一致", "核对出生日期与号码"),
    en=("the birth date differs from the resident ID number", "check the birth date and the number"),
)  # fmt: skip
BIRTH_DATE_FUTURE = _rule(
    "birth-date-future",
    zh=("出生日期晚于提交日期", "核对出生日期"),
    en=("the birth date is after the day of submission", "check the birth date"),
)  # fmt: skip
PERSONAL_NUMBER = _rule(
    "personal-number",
    zh=("含有公民身份号码或手机号码: 此处内容以明文留存于日志和列表", "改用贵系统自己的流水号、办件编号或决定书文号"),
    en=("holds a resident ID number or a mobile number: what stands here is kept in clear, in logs and lists",
        "use a number of your own system's, or that of the decision"),
)  # fmt: skip
SEX_MISMATCH = _rule(
    "sex-mismatch",
    zh=("性别与公民身份号码不一致", "核对性别与号码第 17 位"),
    en=("the sex differs from the resident ID number", "check the sex and digit 17 of the number"),
)  # fmt: skip
ENROLMENT_FORMAT = _rule(
    "enrolment-number-format",
    zh=("学籍号应为 G 加公民身份号码, 或 L 加临时号", "核对学籍号"),
    en=("a 学籍号 is G and a resident ID number, or L and a temporary number", "check the 学籍号"),
)  # fmt: skip
ENROLMENT_MISMATCH = _rule(
    "enrolment-number-mismatch",
    zh=("G 字头学籍号与公民身份号码不一致", "核对学籍号与身份号码"),
    en=("the G 学籍号 differs from the resident ID number", "check both numbers"),
)  # fmt: skip
REGION_UNKNOWN = _rule(
    "region-unknown",
    zh=("区域代码不存在", "使用现行县级以上行政区划代码; 山东省以本枢纽区域表为准"),
    en=("the region code is not known", "use a current code; for Shandong, one of the hub's region table"),
)  # fmt: skip
SCHOOL_CODE_FORMAT = _rule(
    "school-code-format",
    zh=("学校标识码应为 10 位: 类型 2 位、省 2 位、序号 6 位", "核对学校标识码"),
    en=("a school code is 10 digits: type 2, province 2, serial 6", "check the school code"),
)  # fmt: skip
SCHOOL_CODE_PROVINCE = _rule(
    "school-code-province",
    zh=("学校标识码的省份不存在", "核对第 3、4 位"),
    en=("the school code names no known province", "check digits 3 and 4"),
)  # fmt: skip
SAME_SCHOOL = _rule(
    "same-school",
    zh=("转入学校与转出学校相同", "核对两个学校标识码"),
    en=("the receiving school is the releasing school", "check both school codes"),
)  # fmt: skip
CREDIT_CODE_FORMAT = _rule(
    "credit-code-format",
    zh=("统一社会信用代码应为 18 位数字或大写字母(不含 I、O、S、V、Z)", "核对代码"),
    en=("a credit code is 18 digits or capitals without I, O, S, V, Z", "check the code"),
)  # fmt: skip
CREDIT_CODE_CHECK = _rule(
    "credit-code-check",
    zh=("统一社会信用代码校验位不符", "核对代码是否录入有误"),
    en=("the check character of the credit code is wrong", "check the code for a typing error"),
)  # fmt: skip
ITEM_CODE_FORMAT = _rule(
    "item-code-format",
    zh=("事项编码应为 31 位(实施)或 33 位(办理项)", "核对事项编码"),
    en=("an item code has 31 characters (implementation) or 33 (handling item)", "check the item code"),
)  # fmt: skip
TYPE_CODE_FORMAT = _rule(
    "type-code-format",
    zh=("证照类型代码应为 18 位信用代码加 3 位数字", "核对证照类型代码"),
    en=("a type code is a credit code of 18 and 3 digits", "check the type code"),
)  # fmt: skip
IDENTIFIER_FORMAT = _rule(
    "identifier-format",
    zh=("电子证照标识不符合 GB/T 36904 的结构", "核对各段与分隔点"),
    en=("the e-certificate identifier has not the structure of GB/T 36904", "check its parts and dots"),
)  # fmt: skip
IDENTIFIER_CHECK = _rule(
    "identifier-check",
    zh=("电子证照标识校验位不符(警告)", "以证照本身验章结果为准; 请发证机关核对标识"),
    en=(
        "the check character of the e-certificate identifier is wrong (a warning)",
        "trust the seal verification; ask the issuer to check the identifier",
    ),
)  # fmt: skip
TEACHER_NUMBER_FORMAT = _rule(
    "teacher-number-format",
    zh=("教师资格证书号码应为 17 位数字, 前 4 位为年份, 接着 2 位为省份", "核对号码"),
    en=("a teacher-qualification number is 17 digits: year 4, province 2, then 11", "check the number"),
)  # fmt: skip
SCHOOL_LICENCE_FORMAT = _rule(
    "school-licence-format",
    zh=("民办学校办学许可证号应为 15 位数字", "核对号码"),
    en=("a private-school licence number is 15 digits", "check the number"),
)  # fmt: skip

# --- intake: well formed, and certainly not true -------------------------------------------------------------------------

SUBMITTED_IN_FUTURE = _rule(
    "submitted-in-future", step=Step.INTAKE,
    zh=("提交时间晚于枢纽收到报文的时间", "核对提交时间、时区与贵系统时钟(允许相差 5 分钟)"),
    en=("the time of submission is after the hub received the message",
        "check it, its zone and your system's clock (5 minutes are allowed)"),
)  # fmt: skip
CONSENT_IN_FUTURE = _rule(
    "consent-in-future", step=Step.INTAKE,
    zh=("同意时间晚于枢纽收到报文的时间", "核对同意时间、时区与贵系统时钟(允许相差 5 分钟)"),
    en=("the consent is dated after the hub received the message",
        "check its time, its zone and your system's clock (5 minutes are allowed)"),
)  # fmt: skip
CONSENT_AFTER_SUBMISSION = _rule(
    "consent-after-submission", step=Step.INTAKE,
    zh=("监护人同意晚于提交: 须先同意, 后提交(个人信息保护法第十三条、第三十一条)",
        "核对两个时间; 先取得同意, 再提交 (允许相差 5 分钟)"),
    en=("the guardian's consent is dated after the submission, and must come before it (PIPL, articles 13 and 31)",
        "check both times; obtain the consent first (5 minutes are allowed)"),
)  # fmt: skip
CONSENT_BEFORE_BIRTH = _rule(
    "consent-before-birth", step=Step.INTAKE,
    zh=("同意时间早于学生出生", "核对同意时间与出生日期"),
    en=("the consent is dated before the student was born", "check the time of the consent and the birth date"),
)  # fmt: skip
GRADE_NOT_IN_STAGE = _rule(
    "grade-not-in-stage", step=Step.INTAKE,
    zh=("该类学校没有这个年级", "核对年级与学校标识码前 2 位"),
    en=("a school of this type has no such grade", "check the grade and the first two digits of the school code"),
)  # fmt: skip
SCHOOL_REGION_MISMATCH = _rule(
    "school-region-mismatch", step=Step.INTAKE,
    zh=("学校不在所填区域的省份", "核对学校标识码第 3、4 位与区域代码前 2 位"),
    en=("the school is not in the province of the region",
        "check digits 3 and 4 of the school code and the first two of the region"),
)  # fmt: skip
