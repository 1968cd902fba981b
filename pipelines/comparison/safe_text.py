"""Text from files, made safe to stand in Markdown and in a page.

A run's files and an experiment's may be somebody else's, so a name in them may hold Markdown or
HTML. `escaped` shows it as it is, in the middle of a paragraph, heading or table; `code` and
`fence` show it as code. `prose` is for Markdown that an experiment's author writes: tags in it
become text, and its pictures are those in the report's own directory.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from markdown import Markdown  # type: ignore[import-untyped]
from markdown.extensions import Extension  # type: ignore[import-untyped]
from markdown.inlinepatterns import (  # type: ignore[import-untyped]
    SubstituteTagInlineProcessor,
)
from markdown.treeprocessors import Treeprocessor  # type: ignore[import-untyped]

_MARKDOWN = re.compile(r'[\\`*\[\]]|(?<![^\W_])_|_(?![^\W_])')
_TAG = re.compile(r'<(?=[A-Za-z/!?])')
_TAG_OR_LINK = re.compile(r'<(?!https?://[^\s<>"]*>)(?=[A-Za-z/!?])')
_ENTITY = re.compile(r'&(?=#?\w+;)')
_PICTURE = re.compile(r'!\[(?![^\]\n]*\]\([\w+-][\w.+-]*\))')
_SCHEME = re.compile(r'[^/?#]*?:')
_SCHEMES = ('http:', 'https:', 'mailto:')


def printable(text: str) -> str:
    r"""The text on one line: a character that cannot be printed becomes an escape such as \n."""
    return ''.join(
        c if c.isprintable() else c.encode('unicode_escape').decode('ascii') for c in text
    )


def escaped(value: Any) -> Any:
    """A name or other short text for the inside of Markdown; of a nest, all strings in it.

    What has no meaning in Markdown stays as it is. Tables escape their bars themselves.
    """
    if isinstance(value, str):
        text = _MARKDOWN.sub(lambda found: '\\' + found[0], printable(value))
        return _TAG.sub('&lt;', _ENTITY.sub('&amp;', text))
    if isinstance(value, Mapping):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return value


def prose(markdown: str) -> str:
    """Markdown whose tags are text, and whose pictures have a plain name; others become links."""
    text = '\n'.join(map(printable, markdown.expandtabs(4).splitlines()))
    return _PICTURE.sub(r'\\![', _TAG_OR_LINK.sub('&lt;', text))


def code(text: str) -> str:
    """The text as code within a line."""
    text = printable(text)
    ticks = '`' * (1 + _longest_run(text))
    space = ' ' if text.startswith('`') or text.endswith('`') else ''
    return f'{ticks}{space}{text}{space}{ticks}'


def fence(lines: Iterable[str]) -> str:
    """A block of code."""
    text = '\n'.join(map(printable, lines))
    ticks = '`' * max(3, 1 + _longest_run(text))
    return f'{ticks}\n{text}\n{ticks}'


def _longest_run(text: str) -> int:
    """The length of the longest run of backticks."""
    return max(map(len, re.findall('`+', text)), default=0)


class TextStaysText(Extension):  # type: ignore[misc]
    """For Python-Markdown: no HTML except <br>, and no links but to pages, mail and files."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802, Python-Markdown's name
        """Changes `md`, which reads the text."""
        md.preprocessors.deregister('html_block')
        md.inlinePatterns.deregister('html')
        md.inlinePatterns.register(SubstituteTagInlineProcessor('<br>', 'br'), 'br', 90)
        md.treeprocessors.register(_HarmlessLinks(md), 'harmless_links', -1)


class _HarmlessLinks(Treeprocessor):  # type: ignore[misc]
    def run(self, root: ElementTree.Element) -> None:
        for link in root.iter('a'):
            target = re.sub(r'[\0-\x20]', '', html.unescape(link.get('href', '')))
            scheme = _SCHEME.match(target)
            if scheme and scheme[0].lower() not in _SCHEMES:
                del link.attrib['href']
