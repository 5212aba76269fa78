"""The reason words of :class:`certs.errors.MessageRefused` as a person reads them, (zh, en); docs/protocol/message-signatures.md
says who acts. What the XML reader refuses before that has its words in :mod:`schemas.rules`."""

from __future__ import annotations

from typing import Final

from schemas.told import Sentence

REFUSALS: Final[dict[str, Sentence]] = {
    "key-unknown": ("密钥或证书未登记", "the key or certificate is not registered"),
    "key-info-missing": ("没有密钥信息", "the signature does not say whose key it is"),
    "key-info-unsupported": ("密钥信息的写法不受支持", "the key is named in a way that is not read"),
    "token-unsupported": ("不支持的安全令牌", "a security token that is not read"),
    "signature-missing": ("没有签名", "there is no signature"),
    "signature-ambiguous": ("不止一个签名", "more than one signature"),
    "signature-malformed": ("签名格式不正确", "the signature is not well formed"),
    "signature-invalid": ("签名值不正确", "the signature value does not hold"),
    "signature-stale": ("签名过旧", "the signature is too old"),
    "signature-future": ("签名时间晚于当前时间", "the signature lies in the future"),
    "algorithm-mismatch": ("算法与密钥不符", "the algorithm does not fit the key"),
    "algorithm-unsupported": ("不支持的算法", "an algorithm that is not supported"),
    "algorithm-weak": ("算法过弱", "the algorithm is too weak"),
    "digest-missing": ("没有正文摘要", "the body has no digest"),
    "digest-mismatch": ("正文与摘要不符", "the body does not fit its digest"),
    "digest-unsupported": ("不支持的摘要算法", "a digest algorithm that is not supported"),
    "component-missing": ("签名未覆盖应签内容", "a required component is not signed"),
    "component-absent": ("签名所指的内容不在报文中", "what is signed is not in the message"),
    "component-unsupported": ("签名覆盖了不支持的内容", "a component that is not supported"),
    "parameter-missing": ("签名参数不全", "a signature parameter is missing"),
    "parameter-unsupported": ("不支持的签名参数", "a signature parameter that is not supported"),
    "nonce-mismatch": ("答复与请求不对应", "the answer is to another request"),
    "target-malformed": ("请求地址格式不正确", "the address is not well formed"),
    "reference-not-found": ("找不到被签名的元素", "a signed element is not there"),
    "reference-position": ("被签名的元素不在应有的位置", "a signed element stands in the wrong place"),
    "reference-unsupported": ("引用的写法不受支持", "a reference that is not followed"),
    "id-duplicate": ("Id 重复", "an Id stands more than once"),
    "transform-unsupported": ("不支持的变换", "a transform that is not supported"),
    "c14n-unsupported": ("不支持的规范化方法", "a canonicalization that is not supported"),
    "body-not-signed": ("报文正文未签名", "the body is not signed"),
    "timestamp-missing": ("没有时间戳", "there is no timestamp"),
    "timestamp-malformed": ("时间戳格式不正确", "the timestamp is not well formed"),
    "timestamp-not-signed": ("时间戳未签名", "the timestamp is not signed"),
    "security-missing": ("没有安全头", "there is no security header"),
    "security-ambiguous": ("不止一个安全头", "more than one security header"),
    "security-unsupported": ("安全头含有不支持的内容", "the security header holds what is not read"),
    "must-understand": ("含有必须理解而不能处理的报文头", "a header must be understood and is not"),
    "soap-malformed": ("SOAP 格式不正确", "the SOAP is not well formed"),
    "jws-malformed": ("JWS 格式不正确", "the JWS is not well formed"),
}
