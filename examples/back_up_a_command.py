"""Back up what a command writes, such as a database dump: no snapshot unless it succeeds."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path

import holdfast

DUMP = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).iterdump(), sep='\\n')"


def main(folder: Path) -> None:
    """Dump a database into a repository, then try a dump that fails."""
    database = folder / "shop.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE prices (name TEXT, price REAL)")
        connection.execute("INSERT INTO prices VALUES ('bread', 2.1)")
    connection.close()
    with holdfast.init(folder / "repository", password="a long password") as repo:
        command = [sys.executable, "-c", DUMP, str(database)]
        result = repo.backup_command(command, "shop.sql", tags=["database"])
        print(f"{result.bytes_processed} bytes of SQL in the repository")
        try:
            repo.backup_command([sys.executable, "-c", "raise SystemExit(1)"], "shop.sql")
        except holdfast.SourceError as error:
            print("no snapshot:", error)
        with repo.open_file("latest", "/shop.sql") as file:
            print(file.read().decode())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
