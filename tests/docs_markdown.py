"""What README.md and docs/*.md hold, read back for tests: commands, links, numbers, blocks."""

import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
README = ROOT / 'README.md'
DOCUMENTS = (README, *sorted((ROOT / 'docs').glob('*.md')))

_FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r'`([^`\n]+)`')
_LINK = re.compile(r'(!?)\[([^\]]*)\]\(([^)\s]+)\)')
# A command in running text; a program's name without flags is not one.
_COMMAND = re.compile(r'python -m (?:pipelines|benchmarks)\.\w+ --|make \w|pip install ')
_FILE_NAME = re.compile(r'`([\w/]+\.(?:py|gin|toml))`')
_MARK = re.compile(r'<!-- results: ([\w, -]+) -->')
_NUMBER = re.compile(r'(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?')


class Block(NamedTuple):
    """A fenced block."""

    document: pathlib.Path
    language: str
    text: str
    file_name: str | None  # the file that the paragraph above names last


class Link(NamedTuple):
    """A link, or a picture."""

    is_picture: bool
    text: str  # of a picture: its alternative text
    target: str


def blocks(document: pathlib.Path) -> list[Block]:
    """All fenced blocks, in order."""
    text, found = document.read_text(), []
    for match in _FENCE.finditer(text):
        above = text[: match.start()].rstrip().rpartition('\n\n')[2]
        named = _FILE_NAME.findall(above) if match[1] in ('python', 'gin', 'toml') else []
        found.append(Block(document, match[1], match[2], named[-1] if named else None))
    return found


def files_of_the_reader() -> dict[str, str]:
    """What the documents have their reader write, by file name."""
    return {
        block.file_name: block.text
        for document in DOCUMENTS
        for block in blocks(document)
        if block.file_name
    }


def prose(document: pathlib.Path) -> str:
    """Everything but the fenced blocks."""
    return _FENCE.sub('', document.read_text())


def code_spans(document: pathlib.Path) -> list[str]:
    """What stands in backquotes in the prose."""
    return [span.replace('\\|', '|') for span in _SPAN.findall(prose(document))]


def links(document: pathlib.Path) -> list[Link]:
    """All links and pictures of the prose."""
    return [Link(bool(m[1]), m[2], m[3]) for m in _LINK.finditer(prose(document))]


def anchors(document: pathlib.Path) -> list[str]:
    """What the headings can be linked by, as code hosts name them."""
    headings = re.findall(r'^#+ (.+)$', prose(document), re.MULTILINE)
    return [anchor(heading) for heading in headings]


def anchor(heading: str) -> str:
    """'Use it: `a.b`' -> 'use-it-ab'."""
    return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')


def section(document: pathlib.Path, name: str) -> str:
    """The text below the `##` heading with that anchor, up to the next one."""
    parts = re.split(r'^## (.+)$', document.read_text(), flags=re.MULTILINE)[1:]
    by_anchor = {anchor(heading): text for heading, text in zip(parts[::2], parts[1::2])}
    return by_anchor[name]


def commands(document: pathlib.Path) -> Iterator[str]:
    """Every command that the document has its reader type, on one line, without comments."""
    for block in blocks(document):
        if block.language == 'bash':
            for line in block.text.replace('\\\n', ' ').splitlines():
                yield plain(line)
    for span in code_spans(document):
        if _COMMAND.match(span):
            yield plain(span)


def plain(command: str) -> str:
    """The command as shlex quotes it, without a comment."""
    return shlex.join(shlex.split(command, comments=True))


def all_commands() -> list[str]:
    """Every command of every document, each once."""
    return list(dict.fromkeys(c for document in DOCUMENTS for c in commands(document)))


def copied_results(document: pathlib.Path) -> Iterator[tuple[str, list[str]]]:
    """(text, sections of docs/results.md) for each mark `<!-- results: section, section -->`.

    A mark stands at the end of a table's cell, a list's item or a sentence, and covers it.
    """
    for line in prose(document).splitlines():
        start = 0
        for mark in _MARK.finditer(line):
            covered = line[start : mark.start()]
            yield re.split(r'(?<!\\)\|', covered)[-1], mark[1].split(', ')
            start = mark.end()


def numbers(text: str) -> set[str]:
    """'6,701 steps of 1M, `x1`' -> {'6701', '1'}: thousands are not separated, code is left out."""
    text = _SPAN.sub('', re.sub(r'\]\([^)]*\)', ']', text))
    return {number.replace(',', '') for number in _NUMBER.findall(text)}
