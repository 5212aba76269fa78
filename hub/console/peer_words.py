"""What the adapters call a peer's failure or refusal, as officials say it, and what to look at. A test knows every code."""

from __future__ import annotations

from typing import Final

PEER_WORDS: Final[dict[str, tuple[str, str]]] = {
    # the endpoint's settings: somebody here must mend them
    "address-elsewhere": ("地址不属于该端点, 请核对端点地址", "the address does not lie at the endpoint: check its address"),
    "assertion-key": ("登录凭证的验签公钥无法使用, 请核对设置", "the key of login assertions cannot be used: check the setting"),
    "message-unsupported": ("该适配器不能投递此类消息", "this adapter cannot deliver such a message"),
    "setting-unknown": ("设置的取值无法识别, 请核对设置", "a setting has an unknown value: check it"),
    "settings-access": ("未设置接入标识或接入密钥", "the access id or the access key is missing"),
    "settings-encoding": ("字符编码设置有误", "the encoding is not one that is spoken"),
    "settings-keys": ("SM2 密钥无法使用, 请核对密钥", "the SM2 keys cannot be used: check them"),
    "settings-link": ("下载链接有效时间设置有误", "the time of download links is not right"),
    "settings-missing": ("缺少必需的设置或密钥", "settings or secrets that it needs are missing"),
    "tls-settings": ("TLS 证书文件无法使用, 请核对设置", "the TLS files cannot be used: check the settings"),
    "authentication-failed": ("对方不接受本枢纽的身份凭证, 请核对密钥", "the peer refuses our credentials: check the secrets"),
    "service-not-provided": ("对方未提供该服务, 请与对方联系", "the peer does not provide this service: ask it"),
    # the peer now
    "code-unlisted": ("对方返回了未列明的状态码", "the peer answered with a code that is not listed"),
    "decision-elsewhere": ("对方答复的是另一办件或步骤", "the peer's decision names another case or step"),
    "download-elsewhere": ("文件链接不在证照库的地址上", "the file's link does not lie at the library"),
    "library-fault": ("证照库内部错误", "the library failed"),
    "state-configuration": ("证照库的证照状态配置错误", "the library's states are wrongly configured"),
    "token-awaited": ("等待取得访问令牌", "the access token is still awaited"),
    "verify-result-unlisted": ("证照库返回了未列明的核验结果", "the library answered with a result that is not listed"),
    # the library's refusals
    "bad-holder-type": ("持证主体代码类型不正确", "the holder code type is not right"),
    "bad-type-code": ("证照类型代码不正确", "the type code is not right"),
    "bad-value": ("取值不正确", "a value is not right"),
    "catalogue-105": ("证照目录或模板错误 105", "the library's catalogue or template, 105"),
    "catalogue-106": ("证照目录或模板错误 106", "the library's catalogue or template, 106"),
    "catalogue-107": ("证照目录或模板错误 107", "the library's catalogue or template, 107"),
    "catalogue-108": ("证照目录或模板错误 108", "the library's catalogue or template, 108"),
    "field-empty": ("必填项为空", "a field that it requires is empty"),
    "holder-code-missing": ("缺持证主体代码", "the holder code is missing"),
    "holder-missing": ("缺持证主体", "the holder is missing"),
    "kind-not-provided": ("对方不提供此种出示方式", "the library does not provide this way of showing"),
    "message-unfit": ("消息不符合对方的接口规范", "the message does not fit the peer's interface"),
    "no-permission": ("无该证照使用权限", "no right to use this certificate"),
    "number-missing": ("缺证照编号", "the number is missing"),
    "other-type-shown": ("所出示的是另一种证照", "a certificate of another type was shown"),
    "reference-unknown": ("亮证编号无法识别", "the reference of what was shown is not known"),
    "restricted": ("证照被限制使用", "the certificate is restricted"),
    "type-unpublished": ("证照类型不存在或未发布", "the type is not published"),
    "use-cause-too-long": ("用证事由过长", "the cause of use is too long"),
    # logins
    "assertion-audience": ("登录凭证不是签发给本枢纽的", "the login was not made for this hub"),
    "assertion-ended": ("登录已退出或失效", "the login has ended"),
    "assertion-expired": ("登录凭证已过期", "the login has run out"),
    "assertion-future": ("登录凭证的时间晚于当前", "the login's time lies ahead"),
    "assertion-issuer": ("登录凭证不是该身份服务签发的", "the login is not this identity service's"),
    "assertion-malformed": ("登录凭证格式有误", "the login is malformed"),
    "assertion-nonce": ("登录凭证与本次请求不符", "the login belongs to another request"),
}  # fmt: skip
