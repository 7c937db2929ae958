"""XML as cameras and platforms send it: a declared encoding that is not the real one, control characters, no end of oddities.

The only file that knows lxml. Entities, document types and the network are off: a body is data and fetches nothing.
"""

from __future__ import annotations

import re
from typing import Final

from lxml import etree

from ingest.formats.native import Unreadable
from ingest.quarantine import MALFORMED

Element = etree._Element

_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]*\?>")
# What XML 1.0 does not allow, however it is written.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_DEEPEST: Final = 32


def parse(payload: bytes) -> Element:
    """The root of a body. Raises Unreadable.

    The encoding is found out from the bytes: bodies declared GB2312 hold UTF-8 and the other way round (GB 18030 reads both
    GB 2312 and GBK, and Chinese text in it is next to never valid UTF-8).
    """
    text = _FORBIDDEN.sub("", _DECLARATION.sub("", _text(payload).lstrip("\ufeff")))
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Unreadable(MALFORMED, "the body declares a document type or entities, which is refused")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError as problem:
        raise Unreadable(MALFORMED, f"the body is not XML: {problem.msg}") from None
    if max(_depth(root)) > _DEEPEST:
        raise Unreadable(MALFORMED, f"the body is nested deeper than {_DEEPEST} elements")
    return root


def _text(payload: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return payload.decode(encoding)
        except UnicodeDecodeError:
            continue
    # Devices cut long names in the middle of a character.
    return payload.decode("gb18030", errors="replace")


def _depth(root: Element) -> list[int]:
    depths = [1]
    inside: list[tuple[Element, int]] = [(root, 1)]
    while inside:
        element, depth = inside.pop()
        depths.append(depth)
        inside += [(child, depth + 1) for child in element]
    return depths


def local_name(element: Element) -> str:
    """The element's name without its namespace."""
    return str(etree.QName(element).localname)


def word(element: Element | None, *path: str) -> str | None:
    """The text below ``path``, without blanks around it; None where it is absent or empty. Case does not matter."""
    for name in path:
        if element is None:
            return None
        element = next((child for child in element if local_name(child).lower() == name.lower()), None)
    if element is None or element.text is None:
        return None
    return element.text.strip() or None
