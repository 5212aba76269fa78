"""A county's registry (县级学籍管理系统): REST/JSON; it takes an application at once and decides later."""
