import html
import re

import markdown as markdown_lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.comparison import html_page, safe_text


def shown(markdown):
    """(tags, text) of Markdown by a reader that allows HTML, as most do."""
    page = markdown_lib.markdown(markdown, extensions=['tables', 'fenced_code'])
    tags = set(re.findall(r'<(\w+)', page))
    return tags, html.unescape(re.sub(r'<[^<>]*>', '', page))


@pytest.mark.parametrize(
    'name', ['dqn', 'double_dqn', 'CartPole-v1', 'a < b & c > d', 'ALE/Breakout-v5', 'x (y = 1)']
)
def test_what_has_no_meaning_in_markdown_stays_readable(name):
    assert safe_text.escaped(name) == name


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('<script>', '&lt;script>'),
        ('&lt;script&gt;', '&amp;lt;script&amp;gt;'),
        ('![x](/etc/hostname)', r'!\[x\](/etc/hostname)'),
        ('**bold** _it_ `code`', r'\*\*bold\*\* \_it\_ \`code\`'),
        ('two\nlines\x1b[31m', r'two\\nlines\\x1b\[31m'),
    ],
)
def test_what_has_a_meaning_loses_it(name, expected):
    assert safe_text.escaped(name) == expected


@settings(deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_a_name_is_shown_as_it_is_and_makes_no_tag(name):
    tags, text = shown(f'a {safe_text.escaped(name)} b')
    assert tags == {'p'}
    assert text == f'a {safe_text.printable(name)} b'


@settings(deadline=None)
@given(st.text(alphabet='a`|<>&\\\\*[]()!# \\n', min_size=1, max_size=12))
def test_a_name_in_a_table_makes_no_tag(name):
    table = html_page.table(('a', 'b'), [(safe_text.escaped(name), 'end')])
    tags, text = shown(table)
    assert tags <= {'table', 'thead', 'tbody', 'tr', 'th', 'td'}
    assert 'end' in text


@settings(deadline=None)
@given(st.text(alphabet='a`|<>&\\\\*[]() \\n~', min_size=1, max_size=12).filter(str.strip))
def test_code_is_shown_as_it_is(text):
    tags, words = shown(f'a {safe_text.code(text)} b')
    assert tags == {'p', 'code'}
    assert words.split() == ['a', *safe_text.printable(text).split(), 'b']


@settings(deadline=None)
@given(st.lists(st.text(alphabet='a`|<>&*[]()~', max_size=9), min_size=1, max_size=3))
def test_a_block_of_code_is_shown_as_it_is(lines):
    tags, words = shown(safe_text.fence(lines))
    assert tags == {'pre', 'code'}
    assert words.split() == '\n'.join(lines).split()


@pytest.mark.parametrize(
    ('markdown', 'expected'),
    [
        ('*a* [b](c.html) `d` ![e](e.png)', None),
        ('![e](e_1.png) <https://a.org>', None),
        ('a < b', None),
        ('<script>alert(1)</script>', '&lt;script>alert(1)&lt;/script>'),
        ('![x](/etc/hostname)', r'\![x](/etc/hostname)'),
        ('![x](https://a.org/b.png)', r'\![x](https://a.org/b.png)'),
        ('![x](../b.png)', r'\![x](../b.png)'),
        ('![x][y]', r'\![x][y]'),
    ],
)
def test_prose_keeps_its_markdown_but_no_tag_and_no_picture_of_elsewhere(markdown, expected):
    assert safe_text.prose(markdown) == (markdown if expected is None else expected)


def test_nests_are_escaped_to_their_keys():
    assert safe_text.escaped({'<a>': [1.5, ('*', None)]}) == {'&lt;a>': [1.5, ['\\*', None]]}
