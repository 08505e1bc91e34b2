"""Text: which rows contain these words, and how well do they match?

One Tantivy index per collection, documents keyed by row number; derived, so losing it loses nothing. The only package
that imports tantivy. ``settings`` and ``analysis`` say how a field is cut into terms, ``query`` and ``grammar`` what a
query means, ``compile`` turns it into Tantivy's, ``documents`` says what is kept of a row, ``view`` searches one
committed version, ``index`` writes, ``opening`` and ``files`` distrust what is on disk.
"""

from nearrow.index.text.index import TextIndex
from nearrow.index.text.query import TextQuery
from nearrow.index.text.settings import RebuildNeededError, TextField, text_fields_of
from nearrow.index.text.view import TextView

__all__ = ["RebuildNeededError", "TextField", "TextIndex", "TextQuery", "TextView", "text_fields_of"]
