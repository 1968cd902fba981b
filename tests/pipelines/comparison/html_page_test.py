import base64
import html.parser
import json
import re

import pytest

from pipelines.comparison import html_page, safe_text

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


@pytest.mark.parametrize(
    'source',
    [
        'missing.png', '/etc/hostname', '../outside.png', '{tmp}/outside.png', 'link.png',
        'text.txt', 'https://example.org/a.png', 'data:image/png;base64,AAAA', '.',
        'x' * 300 + '.png',
    ],
)  # fmt: skip
def test_what_is_no_picture_of_the_directory_is_a_sentence(tmp_path, source):
    directory = tmp_path / 'report'
    directory.mkdir()
    (tmp_path / 'outside.png').write_bytes(PIXEL)
    (directory / 'link.png').symlink_to(tmp_path / 'outside.png')
    (directory / 'text.txt').write_text('secret')
    page = write(directory, f'before ![the curve]({source.format(tmp=tmp_path)}) after')
    assert not [tag for tag, _ in page.tags if tag in ('img', 'a')]
    assert 'before the curve (not shown: not a picture in the directory' in page.text
    assert 'after' in page.text


HARMFUL = (
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg/onload=alert(1)>',
    '<!-- comment --><b>bold</b>',
    '[link](javascript:alert(1))',
    '[link](<java\tscript:alert(1)>)',
    '[link](javascript&colon;alert(1))',
    '[link](vbscript:x) [link](data:text/html,x) [link](file:///etc/passwd)',
    '[link]: javascript:alert(1)\n\n[link]',
    '<javascript:alert(1)>',
)


@pytest.mark.parametrize('markdown', HARMFUL)
@pytest.mark.parametrize('as_title', [False, True])
def test_html_and_scripts_are_text(tmp_path, markdown, as_title):
    page = write(tmp_path, 'Text.', title=markdown) if as_title else write(tmp_path, markdown)
    allowed = {'html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'p', 'a'}
    assert {tag for tag, _ in page.tags} <= allowed
    assert all(attributes.keys() <= {'href', 'name', 'charset', 'content', 'lang'}
               for _, attributes in page.tags)  # fmt: skip
    assert not [attributes for tag, attributes in page.tags if tag == 'a' and 'href' in attributes]
    if markdown.startswith('<script') or as_title:
        words = re.sub(r'\W', '', safe_text.printable(markdown))
        assert words in re.sub(r'\W', '', page.text)  # it is still shown


def test_harmless_links_and_line_breaks_stay(tmp_path):
    page = write(tmp_path, '[a](https://a.org/x?y=1:2) [b](#here) [c](videos/a%20b.gif) d<br>e')
    links = [attributes['href'] for tag, attributes in page.tags if tag == 'a']
    assert links == ['https://a.org/x?y=1:2', '#here', 'videos/a%20b.gif']
    assert 'br' in [tag for tag, _ in page.tags]


def test_a_picture_that_cannot_be_drawn_is_a_sentence(tmp_path):
    def fail(png):
        raise ValueError(f'no <room> for {png.name}\nand more')

    words = html_page.picture('the curve', tmp_path / 'curve.png', fail)
    assert words.startswith('*the curve: curve.png could not be drawn (ValueError: no &lt;room>')
    assert html_page.picture('it', tmp_path / 'a.png', lambda png: False) == ''
    assert html_page.picture('it', tmp_path / 'a.png', lambda png: None) == '![it](a.png)'
