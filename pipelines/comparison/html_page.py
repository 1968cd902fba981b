"""A page in three forms: Markdown to paste, JSON to compute with, one HTML file to open.

The HTML file contains its pictures and its style, so it opens offline and can be mailed.
"""

from __future__ import annotations

import base64
import html
import mimetypes
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import markdown as markdown_lib  # type: ignore[import-untyped]

from pipelines import files
from pipelines.comparison import safe_text

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


def write(
    directory: pathlib.Path,
    title: str,
    markdown: str,
    data: Mapping[str, Any],
    name: str = 'report',
) -> None:
    """Writes <name>.md, <name>.json and <name>.html, each whole or not at all.

    Args:
      directory: must exist; pictures are looked up in it. Where one is missing, or not a picture
        in this directory, stands a sentence instead.
      title: the page's title, and the Markdown's first heading; any text.
      markdown: the text below the title, with tables; pictures by relative path. HTML in it, <br>
        apart, is shown as text.
      data: the same as JSON.
      name: of the files.
    """
    text = f'# {safe_text.escaped(title)}\n\n{markdown.strip()}\n'
    reader = markdown_lib.Markdown(
        extensions=['tables', 'fenced_code', safe_text.TextStaysText()], output_format='html'
    )
    reader.treeprocessors.register(_Embedded(directory), 'embedded', -2)
    body = reader.convert(text)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f'<title>{html.escape(safe_text.printable(title))}</title>\n<style>{_STYLE}</style>\n</head>\n'
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
    return str(value).replace('|', r'\|').replace('\n', ' ')


def picture(caption: str, png: pathlib.Path, draw: Callable[[pathlib.Path], bool | None]) -> str:
    """The Markdown of a picture, which `draw` draws; where it cannot, a sentence.

    Args:
      caption: in Markdown.
      png: the file, in the directory of the page.
      draw: draws it to that path; returns False where there is nothing to draw.

    Returns:
      The Markdown; '' where there is nothing to draw.
    """
    try:
        if draw(png) is False:
            return ''
    except Exception as e:  # whatever it is, the numbers are worth more than their picture
        why = f'{type(e).__name__}: {str(e).strip()}'.split('\n')[0]
        return f'*{caption}: {png.name} could not be drawn ({safe_text.escaped(why)}).*'
    return f'![{caption}]({png.name})'


class _Embedded(markdown_lib.treeprocessors.Treeprocessor):  # type: ignore[misc]
    """Puts the bytes of pictures in the place of their paths."""

    def __init__(self, directory: pathlib.Path):
        self._directory = directory.resolve()

    def run(self, root: ElementTree.Element) -> None:
        """Changes the page's tree."""
        for image in root.iter('img'):
            content = self._content(html.unescape(image.get('src', '')))
            if content is not None:
                image.set('src', content)
                continue
            caption = image.get('alt') or 'a picture'
            image.tag, image.attrib = 'em', {}
            image.text = f'{caption} (not shown: not a picture in the directory of this report)'

    def _content(self, source: str) -> str | None:
        """A data URL; None if the source is not a picture in or below the directory."""
        try:
            path = (self._directory / source).resolve()
            kind = mimetypes.guess_type(path.name)[0] or ''
            inside = path.is_relative_to(self._directory) and path.is_file()
            if not (inside and kind.startswith('image/')):
                return None
            return f'data:{kind};base64,{base64.b64encode(path.read_bytes()).decode("ascii")}'
        except (OSError, ValueError):  # a name that is too long, a null character
            return None
