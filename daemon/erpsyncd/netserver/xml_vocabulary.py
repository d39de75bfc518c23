"""What may be parsed where it arrived: documents that bring no names but those that are known, or few.

libxml2 keeps every name it meets for as long as the thread lives that met it (`xml_parsing`). The loop's own thread
lives as long as the process, so it only meets a bounded number of bytes of them. NetServer's own names fit in many
times over; where somebody makes names up, their documents are parsed elsewhere, as all large ones are.
"""

from __future__ import annotations

import re

#: Larger documents go to another thread: they take long enough to make the others wait.
MAX_BYTES = 32 * 1024
#: So many bytes of tags are met in all, and so many go for each that is kept here.
_MAX_VOCABULARY = 128 * 1024
_PER_TAG = 100

#: The one declaration that changes nothing.
_DECLARATION = re.compile(rb"""<\?xml\s+version=["']1\.0["'](?:\s+encoding=["'](?:utf|UTF)-8["'])?\s*\?>""")
#: A tag, as long as no attribute holds a ">", and the blanks behind it where they are all that stands between it and
#: the next: libxml2 keeps those, too.
_TAG = re.compile(rb"<[^<>]*>(?:\s+(?=<))?")
#: One that is what it looks like: with whole attributes, and neither a comment nor an instruction nor a DTD.
_WHOLE_TAG = re.compile(rb"""<(?![!?])[^<>"']*(?:(?:"[^<"]*"|'[^<']*')[^<>"']*)*>\s*""")
_OTHER_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);|#)")


class Vocabulary:
    """The tags that one thread has met."""

    def __init__(self, most_bytes: int = _MAX_VOCABULARY) -> None:
        self._known: set[bytes] = set()
        self._left = most_bytes

    def admits(self, document: bytes) -> bool:
        """Say whether a document may be parsed in this thread, and if so, take note of what it brings.

        Not if it has anything that could hide a name: a DTD, an instruction, an entity, a comment, a tag that is none.
        """
        if len(document) > MAX_BYTES or not document.startswith(b"<") or b"\0" in document:
            return False
        declaration = _DECLARATION.match(document)
        start = declaration.end() if declaration is not None else 0
        tags = _TAG.findall(document, start)
        if len(tags) != document.count(b"<", start) or _OTHER_ENTITY.search(document) is not None:
            return False
        if self._known.issuperset(tags):
            return True
        new = set(tags) - self._known
        size = sum(map(len, new)) + _PER_TAG * len(new)
        if size > self._left or not all(map(_WHOLE_TAG.fullmatch, new)):
            return False
        self._left -= size
        self._known |= new
        return True
