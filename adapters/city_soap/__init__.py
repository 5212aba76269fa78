"""A city's registry (城市学籍管理平台): SOAP 1.1 document/literal with WS-Security X.509 signatures."""
