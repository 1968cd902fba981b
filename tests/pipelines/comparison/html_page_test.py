import base64
import html.parser
import json

import pytest

from pipelines.comparison import html_page

PIXEL = base64.b64decode(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E'
    'rkJggg=='
)


class Page(html.parser.HTMLParser):
    """The tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ''
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def write(tmp_path, markdown, title='DQN & its double'):
    html_page.write(tmp_path, title, markdown, {'mean': 1.5})
    return Page((tmp_path / 'report.html').read_text())


def test_the_three_forms_say_the_same(tmp_path):
    page = write(tmp_path, 'Text.\n\n| agent | mean |\n|---|---|\n| dqn | 1.5 |\n')
    assert json.loads((tmp_path / 'report.json').read_text()) == {'mean': 1.5}
    assert (tmp_path / 'report.md').read_text().startswith('# DQN & its double\n\nText.\n')
    tags = [tag for tag, _ in page.tags]
    assert tags.count('td') == 2 and tags.count('h1') == 1
    assert page.text.count('DQN & its double') == 2  # title and heading
    assert not [path for path in tmp_path.iterdir() if path.suffix == '.tmp']


def test_pictures_are_inside_the_page_and_nothing_is_outside_it(tmp_path):
    (tmp_path / 'a curve.png').write_bytes(PIXEL)
    page = write(tmp_path, '![the curve](<a curve.png>)\n\nand ![again](<a curve.png> "title")')
    sources = [attributes['src'] for tag, attributes in page.tags if tag == 'img']
    assert len(sources) == 2
    for source in sources:
        head, _, content = source.partition(',')
        assert head == 'data:image/png;base64' and base64.b64decode(content) == PIXEL
    assert not {tag for tag, _ in page.tags} & {'link', 'script', 'iframe'}
    assert 'http' not in (tmp_path / 'report.html').read_text()


def test_a_missing_picture_is_an_error_and_leaves_no_report(tmp_path):
    with pytest.raises(FileNotFoundError, match='curve.png'):
        write(tmp_path, '![the curve](curve.png)')
    assert not list(tmp_path.iterdir())
