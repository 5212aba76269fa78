"""The names that stand beside ids: of systems, endpoints, items and operators. Ids stay, for they are what one searches by."""

from __future__ import annotations

from hub.access.operators import Operators
from hub.console import store
from hub.console.entries.items import Titles, title_of
from hub.console.entries.model import Around
from hub.db import Database
from hub.ecerts.items.service import ItemCatalogue


class Names:
    """Shared by the pages of the console."""

    def __init__(self, db: Database, operators: Operators, items: ItemCatalogue) -> None:
        self._db, self._operators, self._items = db, operators, items

    def around(self) -> Around:
        return Around(self._db.clock(), self._items.current())

    def facts(self) -> dict[str, object]:
        """What templates name ids with, as of now. Reads the database."""
        with self._db.read() as conn:
            systems, endpoints = store.system_names(conn), store.endpoint_places(conn)
        operators = {f"operator:{row.id}": f"operator:{row.name}" for row in self._operators.list()}
        around = self.around()

        def item_title(code: str) -> Titles | None:
            return title_of(around.catalogue, code, around.now)

        return {
            "actor_name": lambda actor: operators.get(actor, actor),
            "system_name": systems.get,
            "endpoint_place": endpoints.get,
            "item_title": item_title,
        }
