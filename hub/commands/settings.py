"""The settings as a command reads them: what is wrong with one is told by its name."""

from __future__ import annotations

import tomllib

from pydantic import ValidationError

from hub.commands.telling import fail
from hub.config import Settings
from schemas.parsing import validation_faults

_PAGE = "docs/operations/settings.md"


def read_settings(*, code: int = 1) -> Settings:
    """Ends the command with ``code`` if they cannot be used."""
    try:
        return Settings()
    except tomllib.TOMLDecodeError as error:
        zh, en = f"hub.toml 不是有效的 TOML, 请按所给行列改正: {error}", f"hub.toml is no TOML, mend it there: {error}"
        raise fail(zh, en, code=code) from None
    except UnicodeDecodeError:
        raise fail(
            "hub.toml 不是 UTF-8, 请另存为 UTF-8", "hub.toml is not UTF-8: save it as UTF-8", code=code
        ) from None
    except OSError as error:
        raise fail(
            f"hub.toml 无法读取: {error.strerror}", f"hub.toml cannot be read: {error.strerror}", code=code
        ) from None
    except ValidationError as error:
        faults = [("HUB_" + fault.path.strip("/").upper(), fault) for fault in validation_faults(error)]
    zh = "; ".join(f"{name}: {fault.reason_zh}, {fault.cure_zh}" for name, fault in faults)
    en = "; ".join(f"{name}: {fault.reason_en}: {fault.cure_en}" for name, fault in faults)
    raise fail(f"设置有误, 见 {_PAGE}: {zh}", f"settings that cannot be used, see {_PAGE}: {en}", code=code)
