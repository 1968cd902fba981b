"""A page in three forms: Markdown to paste, JSON to compute with, one HTML file to open.

The HTML file contains its pictures and its style, so it opens offline and can be mailed.
"""

from __future__ import annotations

import base64
import html
import mimetypes
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import markdown as markdown_lib  # type: ignore[import-untyped]

from pipelines import files

_STYLE = """
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222;
       font: 16px/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border: 1px solid #ccc; padding: 0.25rem 0.6rem; text-align: left; }
th { background: #f3f3f3; }
img { max-width: 100%; }
pre, code { background: #f6f6f6; font-size: 0.9em; }
pre { padding: 0.6rem; overflow-x: auto; }
"""
_PICTURE = re.compile(r'(<img\b[^>]*?\bsrc=")([^"]+)(")')


def write(
    directory: pathlib.Path,
    title: str,
    markdown: str,
    data: Mapping[str, Any],
    name: str = 'report',
) -> None:
    """Writes <name>.md, <name>.json and <name>.html, each whole or not at all.

    Args:
      directory: must exist; pictures are looked up in it.
      title: the page's title, and the Markdown's first heading.
      markdown: the text below the title, with tables; pictures by relative path.
      data: the same as JSON.
      name: of the files.

    Raises:
      FileNotFoundError: a picture is missing.
    """
    text = f'# {title}\n\n{markdown.strip()}\n'
    body = markdown_lib.markdown(text, extensions=['tables', 'fenced_code'])
    body = _PICTURE.sub(lambda found: _with_data(directory, found), body)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f'<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n'
        f'<body>\n{body}\n</body>\n</html>\n'
    )
    files.write_text(directory / f'{name}.md', text)
    files.write_json(directory / f'{name}.json', data)
    files.write_text(directory / f'{name}.html', page)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(_cell(cell) for cell in line) + ' |' for line in lines)


def _cell(value: object) -> str:
    return str(value).replace('|', r'\|')


def _with_data(directory: pathlib.Path, found: re.Match[str]) -> str:
    """The matched <img> tag with the picture's bytes in place of its path."""
    before, source, after = found.groups()
    if source.startswith('data:'):
        return found.group()
    path = directory / html.unescape(source)
    kind = mimetypes.guess_type(path.name)[0] or 'application/octet-stream'
    content = base64.b64encode(path.read_bytes()).decode('ascii')
    return f'{before}data:{kind};base64,{content}{after}'
