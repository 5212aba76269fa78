"""The identity service (统一身份认证): does this name belong to this number, and who has logged in."""
