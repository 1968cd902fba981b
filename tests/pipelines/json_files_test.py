import json
from typing import Any, NotRequired, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.ranges import Share
from pipelines import json_files
from pipelines.errors import UserError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Part(TypedDict):
    size: int


class Entries(TypedDict):
    name: str
    share: Share
    part: NotRequired[Part | None]
    lengths: NotRequired[list[float]]


WHOLE = {'name': 'a', 'share': 0.5, 'part': {'size': 3}, 'lengths': [1, 2.5]}


@pytest.mark.parametrize(
    ('entries', 'words'),
    [
        (WHOLE, None),
        ({'name': 'a', 'share': 1, 'more': [None]}, None),
        ({**WHOLE, 'part': None}, None),
        ([], 'it holds [], not an object'),
        (None, 'it holds null, not an object'),
        ({}, "it has no 'name'"),
        ({'name': 'a'}, "it has no 'share'"),
        ({**WHOLE, 'name': 3}, "'name' is 3, not a string"),
        ({**WHOLE, 'share': 2}, "'share' is 2, must be a number between 0 and 1"),
        ({**WHOLE, 'share': 'x' * 50}, "'share' is \"" + 'x' * 39 + ' ..., must be'),
        ({**WHOLE, 'part': {}}, "it has no 'part.size'"),
        ({**WHOLE, 'part': {'size': True}}, "'part.size' is true, not a whole number"),
        ({**WHOLE, 'part': {'size': 2**63}}, "'part.size' is 9223372036854775808, not a whole"),
        ({**WHOLE, 'part': []}, "'part' is [], not an object"),
        ({**WHOLE, 'lengths': {}}, "'lengths' is {}, not a list"),
        ({**WHOLE, 'lengths': [1, None]}, "'lengths.1' is null, not a number"),
    ],
)
def test_what_does_not_fit_is_one_line_with_file_and_field(tmp_path, entries, words):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(entries))
    if words is None:
        assert json_files.read(path, Entries) == entries
        return
    with pytest.raises(json_files.Damaged) as error:
        json_files.read(path, Entries, cure='delete it')
    assert str(error.value).startswith(f'{path} cannot be read: {words}')
    assert str(error.value).endswith('; delete it') and '\n' not in str(error.value)


@pytest.mark.parametrize('content', [b'', b'{"a": ', b'\xff\xfe', b'[' * 100_000, b'a' * 9, None])
def test_what_is_no_json_is_one_line(tmp_path, content):
    path = tmp_path / 'a.json'
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    for where in (path, tmp_path / 'missing.json', tmp_path / 'a.json' / 'below.json'):
        with pytest.raises(json_files.Damaged) as error:
            json_files.read(where, Any)
        assert str(error.value).startswith(f'{where} cannot be read: ')
        assert '\n' not in str(error.value)


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(st.text(), JSON))
def test_what_is_written_is_read_and_no_byte_of_it_changes_unnoticed(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp('json') / 'a.json'
    json_files.write(path, entries)
    data = path.read_bytes()
    entries = {name: value for name, value in entries.items() if name != 'checksum'}
    whole = json.dumps(json_files.read(path, dict[str, Any]))
    assert whole == json.dumps(json.loads(json.dumps(entries)))
    for at in range(0, len(data), 1 + len(data) // 20):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            found = json_files.read(path, dict[str, Any])
        except json_files.Damaged:
            continue
        # White space, or the name of the checksum.
        assert json.dumps({n: v for n, v in found.items() if n in entries}) == whole


def test_a_version_is_checked_and_with_it_that_there_is_a_checksum(tmp_path):
    path = tmp_path / 'a.json'
    json_files.write(path, {'format': '2'})
    assert json_files.read(path, dict[str, str], version='2') == {'format': '2'}
    with pytest.raises(json_files.OtherVersionError, match='written by another version'):
        json_files.read(path, dict[str, str], version='3')
    for text in ('{"format": "1"}', '{"--seed": "0"}'):  # as earlier versions wrote it
        path.write_text(text)
        with pytest.raises(json_files.OtherVersionError):
            json_files.read(path, dict[str, str], version='2')
    for text in ('{"format": "2", "checksun": "1"}', '{}'):
        path.write_text(text)
        with pytest.raises(json_files.Damaged, match="has no 'checksum'"):
            json_files.read(path, dict[str, str], version='2')
    assert issubclass(json_files.OtherVersionError, UserError)
