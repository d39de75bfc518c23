"""Short answers, which are parsed where they arrive, by expat.

libxml2 keeps every name it meets for as long as the thread lives that met it (`xml_parsing`), and the loop's own thread
lives as long as the process. Expat forgets them with the answer. And what it makes are plain objects, where lxml makes
an element anew each time that somebody looks at it.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

#: Larger answers take long enough to make others wait.
MAX_BYTES = 32 * 1024
#: So few tags are never nested deeper than libxml2 allows (256), and so few names, each with its namespace before it,
#: take no more than 16 MiB for the moment.
MAX_TAGS = 512

#: The one declaration that changes nothing.
_DECLARATION = re.compile(rb"""<\?xml\s+version=["']1\.0["'](?:\s+encoding=["'](?:utf|UTF)-8["'])?\s*\?>""")


def parse_short(body: bytes) -> ET.Element | None:
    """Return an answer's root; None where it is better given to libxml2, or is no XML.

    That is everything with a DTD, so there is no entity to expand, and everything in another charset than UTF-8. Expat
    would find out those of two bytes by itself, and a DTD looks otherwise in them: they have NUL bytes.
    """
    if len(body) > MAX_BYTES or (b"!" in body and b"<!DOCTYPE" in body) or b"\0" in body or not body.startswith(b"<"):
        return None
    if body.count(b"<") + body.count(b"=") > MAX_TAGS:
        return None
    if body.startswith(b"<?") and _DECLARATION.match(body) is None:
        return None
    parser = ET.XMLParser()  # noqa: S314 -- there is no DTD
    try:
        parser.feed(body)
        return parser.close()
    except ET.ParseError:
        return None
