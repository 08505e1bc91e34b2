"""Database: which collections lie in a directory?"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from types import TracebackType
from typing import Any
from uuid import uuid4

from nearrow.analytics.sql import check_question, named_in, run_sql
from nearrow.collection import Collection
from nearrow.embedding.opening import new_config
from nearrow.errors import (
    AlreadyExistsError,
    ClosedError,
    CorruptionError,
    IncompatibleFormatError,
    NotFoundError,
    ReadOnlyError,
    StorageError,
)
from nearrow.schema import batches, nearest_name, validate_name
from nearrow.storage.directory import Directory
from nearrow.storage.local import LocalDirectory
from nearrow.storage.memory import MemoryDirectory
from nearrow.write.budget import MemoryBudget
from nearrow.write.check import check_folder
from nearrow.write.drop import begin_new, drop, end_new, finish_drops, is_dropped, newest_manifest
from nearrow.write.follower import Follower
from nearrow.write.open import create, open_writer
from nearrow.write.repair import readable_manifest, repair_folder
from nearrow.write.report import Repair, Report
from nearrow.write.restore import RestoredPart, batch_rows, restore_rows

CATALOG_LOCK = "CATALOG"
COLLECTIONS = "collections"
MEMORY = ":memory:"


def connect(path: str | os.PathLike[str], *, read_only: bool = False, memory_budget: int | None = None) -> Database:
    """Open a directory of collections; it is made if it is missing. ":memory:" keeps nothing.

    read_only: any number of processes may read beside the one that writes; they see what is durable (`refresh()`).
    memory_budget: bytes that building, merging and importing may take for one collection (None: half of the machine's).
    Raises NotFoundError if there is nothing to read, StorageError if the directory cannot be used.
    """
    if os.fspath(path) == MEMORY:
        return Database(MemoryDirectory(), MEMORY, read_only=read_only, memory_budget=memory_budget)
    MemoryBudget.of(memory_budget)  # refused before a directory is made
    directory = LocalDirectory(path, read_only=read_only)
    return Database(directory, str(directory.path), read_only=read_only, memory_budget=memory_budget)


class Database:
    """A directory of collections. A context manager: leaving it closes it and its collections."""

    def __init__(
        self, directory: Directory, path: str, *, read_only: bool = False, memory_budget: int | None = None
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.budget = MemoryBudget.of(memory_budget)
        self._directory = directory
        self._open: dict[str, Collection] = {}
        self._folders: dict[str, str] = {}  # name → folder
        self._mutex = threading.RLock()
        self._closed = False
        _open_databases.add(self)

    def create_collection(
        self, name: str, dimension: int | None = None, *, embedding: Any = None, **settings: Any
    ) -> Collection:
        """Make a collection and open it. Settings: metric, text_fields, m, ef_construction, ml, durability, dtype, …

        embedding: the model that makes vectors of texts: a function (list of texts → array), or "adapter/model" with one
        of fastembed, model2vec, openai, sentence-transformers. It tells the dimension, and "text" becomes a text field
        if none are named.

        Raises AlreadyExistsError if the name is taken, InvalidArgumentError for a setting out of its domain.
        """
        self._check_writable()
        config, embedder = new_config(name, dimension, embedding, settings)
        with self._mutex, self._catalog_lock():
            if name in self._find_folders():
                raise AlreadyExistsError(f"collection {name!r} exists; open it with collection({name!r})")
            finish_drops(self._directory, COLLECTIONS)
            folder = f"{COLLECTIONS}/{uuid4().hex}"
            self._directory.make_folder(folder)
            create(self._directory.folder(folder), config)
            self._folders[name] = folder
            collection = self.collection(name)
            if embedder is not None:
                collection._adopt(embedder)
            return collection

    def collection(self, name: str, *, embedding: Any = None) -> Collection:
        """Open a collection. Raises NotFoundError, or LockedError at once if another process writes to it.

        embedding: its model, if that is a function, which is not stored; EmbeddingError if it is another model than made
        the vectors. One that was given as "adapter/model" need not be given again.
        """
        validate_name(name)
        if embedding is not None:
            collection = self.collection(name)
            collection._use(embedding)
            return collection
        with self._mutex:
            self._check_open()
            if name in self._open:
                return self._open[name]
            folder = self._folders.get(name) or self._find_folders(name).get(name)
            if folder is None:
                raise NotFoundError(f"no collection {name!r}{nearest_name(name, self._folders)}")
            directory = self._directory.folder(folder)
            store = Follower(directory) if self.read_only else open_writer(directory, budget=self.budget)
            self._open[name] = Collection(store, self._forget, self.path)
            return self._open[name]

    def get_or_create_collection(
        self, name: str, dimension: int | None = None, *, embedding: Any = None, **settings: Any
    ) -> Collection:
        """Open the collection, or make it. An existing one keeps the settings that it was created with."""
        with self._mutex:
            if name in self._find_folders(name):
                return self.collection(name, embedding=embedding)
            try:
                return self.create_collection(name, dimension, embedding=embedding, **settings)
            except AlreadyExistsError:  # another process was faster
                return self.collection(name, embedding=embedding)

    def collections(self) -> list[str]:
        """The names of the collections, sorted."""
        with self._mutex:
            self._check_open()
            return sorted(self._find_folders())

    def drop_collection(self, name: str) -> None:
        """Delete a collection and its files. Raises NotFoundError, or LockedError if another process has it open."""
        self._check_writable()
        validate_name(name)
        with self._mutex, self._catalog_lock():
            folder = self._find_folders(name).get(name)
            if folder is None:
                raise NotFoundError(f"no collection {name!r}{nearest_name(name, self._folders)}")
            if name in self._open:
                self._open[name].close(wait=False)
            drop(self._directory, folder)
            finish_drops(self._directory, COLLECTIONS)
            self._folders.pop(name, None)

    def restore(self, path: str | os.PathLike[str], name: str | None = None, *, filesystem: Any = None) -> Collection:
        """Make a collection of a snapshot, under its own or another name, and open it; all of it is there, or none.

        path: a directory, a URL (s3://, gs://, file://), or a path in `filesystem`, one of `pyarrow.fs`. Graphs come with
        the rows if the snapshot holds them (see `Collection.snapshot`); else they are built in the background.
        Raises AlreadyExistsError if the name is taken, CorruptionError if the files are not what was written.
        """
        # Here, as Parquet and the file systems of object stores take as long to load as much of Nearrow itself.
        from nearrow.analytics.restore import open_parts, read_metadata
        from nearrow.analytics.snapshot_address import place_of

        self._check_writable()
        place = place_of(path, filesystem)
        metadata = read_metadata(place)
        config = metadata.named(name)
        if config.name in self.collections():
            raise AlreadyExistsError(f"collection {config.name!r} exists; give restore() another name=")
        folder = f"{COLLECTIONS}/{uuid4().hex}"
        with self._mutex, self._catalog_lock():
            new = begin_new(self._directory, folder)
        rows = batch_rows(config.dimension)
        try:
            parts = (
                RestoredPart(batches(part.batches(rows), config=config, schema=metadata.schema), part.graph)
                for part in open_parts(place, metadata)
            )
            restored = restore_rows(self._directory.folder(folder), config, metadata.schema, parts)
            with self._mutex, self._catalog_lock():
                if config.name in self._find_folders():
                    raise AlreadyExistsError(f"collection {config.name!r} exists; give restore() another name=")
                restored.publish()
                end_new(self._directory, folder, new)
                self._folders[config.name] = folder
        except BaseException:
            new.release()
            self._directory.remove_folder(folder)
            raise
        return self.collection(config.name)

    def adopt(
        self,
        source: Any,
        name: str,
        *,
        table: str | None = None,
        id_column: str | None = "id",
        vector_column: str | None = None,
        progress: bool = False,
        **settings: Any,
    ) -> Collection:
        """Make a collection of what lies elsewhere, and open it; all of it is there, or none.

        source: a Parquet, Arrow, CSV or JSON lines file, a folder of such files, a directory of LanceDB or Chroma (`table`
        says which of several), or an index of hnswlib, faiss or usearch. Rows without the id column get their numbers as
        ids; vector_column: default "vector", or the only column of float lists. settings: as in `create_collection`; metric
        and text fields default to the source's. progress: draws a bar. The graph is built in the background: `wait()`.
        """
        from nearrow.analytics.exchange.incoming import incoming

        self._check_writable()
        found = incoming(source, table, id_column, vector_column)
        chosen = {"metric": found.metric or "cosine", "text_fields": list(found.text_fields), **settings}
        adopted = self.create_collection(name, found.dimension, **chosen)
        try:
            adopted.add(found.rows, progress=progress)
        except BaseException:
            self.drop_collection(name)
            raise
        return adopted

    def check_collection(self, name: str) -> Report:
        """Like `Collection.check`, also of a collection that is too damaged to be opened."""
        with self._mutex:
            return check_folder(self._damaged_folder(name))

    def repair_collection(self, name: str) -> Repair:
        """Like `Collection.repair`, also of a collection that is too damaged to be opened.

        If the newest manifest is damaged, the one before it counts; a damaged log is cut at its last valid record. What
        that loses is in the result. Raises LockedError if another process has the collection open, CorruptionError if
        no manifest can be read.
        """
        self._check_writable()
        with self._mutex:
            if name in self._open:
                return self._open[name].repair()
            return repair_folder(self._damaged_folder(name))

    def _damaged_folder(self, name: str) -> Directory:
        self._check_open()
        validate_name(name)
        unreadable: CorruptionError | None = None
        for entry in self._directory.list(COLLECTIONS):
            directory = self._directory.folder(f"{COLLECTIONS}/{entry}")
            try:
                manifest = (
                    None if is_dropped(self._directory, f"{COLLECTIONS}/{entry}") else readable_manifest(directory)
                )
            except CorruptionError as error:
                unreadable = error
                continue
            if manifest is not None and manifest.config["name"] == name:
                return directory
        raise unreadable or NotFoundError(f"no collection {name!r}")

    def sql(self, query: str, parameters: Any = None, *, hits: Any = None, format: str = "arrow") -> Any:
        """Like `Collection.sql`, over every collection that the query names, each in its newest version."""
        check_question(query, format)
        views = {name: self.collection(name)._view() for name in named_in(query, self.collections())}
        return run_sql(query, views, parameters, hits=hits, format=format, search=self._nearest)

    def _nearest(self, name: str, vector: Any, **arguments: Any) -> Any:
        return self.collection(name).search(vector, **arguments)

    def close(self) -> None:
        """Close every collection. Idempotent."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            for collection in list(self._open.values()):
                collection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Database {self.path!r}{' read-only' if self.read_only else ''}>"

    # ---- inside

    def _find_folders(self, wanted: str | None = None) -> dict[str, str]:
        """Name → folder of every collection, as it is on disk now; names never change, so known ones are not read again.

        A collection that cannot be read is an error, unless the one that is `wanted` was found: it can be used.
        """
        unreadable: StorageError | None = None
        known = {folder: name for name, folder in self._folders.items()}
        self._folders = {}
        for entry in self._directory.list(COLLECTIONS):
            folder = f"{COLLECTIONS}/{entry}"
            if is_dropped(self._directory, folder):
                continue
            name = known.get(folder)
            if name is None:
                try:
                    manifest = newest_manifest(self._directory, folder)
                except (CorruptionError, IncompatibleFormatError) as error:
                    unreadable = error
                    continue
                if manifest is None:  # its creation did not end
                    continue
                name = str(manifest.config["name"])
            self._folders[name] = folder
        if unreadable is not None and wanted not in self._folders:
            raise unreadable
        return self._folders

    def _catalog_lock(self) -> Any:
        return self._directory.lock(CATALOG_LOCK, exclusive=True)

    def _forget(self, collection: Collection) -> None:
        with self._mutex:
            self._open.pop(collection.name, None)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the database is closed; connect() again")

    def _check_writable(self) -> None:
        self._check_open()
        if self.read_only:
            raise ReadOnlyError("the database was opened with read_only=True; open it without to write")


_open_databases: weakref.WeakSet[Database] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """What was written with durability "batched" or "off" reaches the disk when the interpreter ends in order."""
    for database in list(_open_databases):
        for collection in list(database._open.values()):
            collection.close(wait=False)
