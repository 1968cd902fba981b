"""A report as Markdown, JSON and one HTML file that opens offline."""

from __future__ import annotations

import base64
import json
import pathlib
import re

import markdown as markdown_lib  # type: ignore[import-untyped]

_CSS = (
    'body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}'
    'table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .6em}'
    'img{max-width:100%}'
)


def write(directory: pathlib.Path, title: str, markdown: str, data: dict) -> None:
    """Writes report.md, report.json and report.html, its pictures embedded, to `directory`."""
    text = f'# {title}\n\n{markdown}'
    (directory / 'report.md').write_text(text)
    (directory / 'report.json').write_text(json.dumps(data, indent=1) + '\n')

    def embed(match: re.Match) -> str:
        picture = base64.b64encode((directory / match[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{picture}"'

    body = re.sub(r'src="([^":]+\.png)"', embed, markdown_lib.markdown(text, extensions=['tables']))
    (directory / 'report.html').write_text(
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title>'
        f'<style>{_CSS}</style></head><body>{body}</body></html>\n'
    )
