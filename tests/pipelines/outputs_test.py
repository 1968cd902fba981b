import os
import pathlib
import stat
import subprocess
import sys
import threading

import pytest

from pipelines import outputs
from pipelines.errors import UserError


def checked_and_written(path, content=b'a report'):
    outputs.write(outputs.checked('--json', str(path)), content)


def test_a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('something longer than a report')
    checked_and_written(path)
    assert path.read_bytes() == b'a report'
    assert list(tmp_path.iterdir()) == [path]


def test_checking_writes_nothing(tmp_path):
    assert outputs.checked('--json', str(tmp_path / 'a.json')) == tmp_path / 'a.json'
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason='only root makes devices')
@pytest.mark.parametrize('through_a_link', [False, True])
def test_a_device_stays_a_device(tmp_path, through_a_link):
    device = tmp_path / 'null'
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    path = device
    if through_a_link:
        path = tmp_path / 'link'
        path.symlink_to(device)
    before = device.lstat()
    checked_and_written(path)
    after = device.lstat()
    assert stat.S_ISCHR(after.st_mode) and after.st_ino == before.st_ino
    assert path.is_symlink() == through_a_link
    assert len(list(tmp_path.iterdir())) == 1 + through_a_link


@pytest.mark.parametrize('there_already', [False, True])
def test_a_link_stays_and_the_file_that_it_leads_to_is_written(tmp_path, there_already):
    target, link = tmp_path / 'target.json', tmp_path / 'link.json'
    link.symlink_to(target)
    if there_already:
        target.write_text('something longer than a report')
    checked_and_written(link)
    assert link.is_symlink() and target.read_bytes() == b'a report'


def test_a_pipe_gets_the_content(tmp_path):
    path, got = tmp_path / 'pipe', []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    checked_and_written(path)
    reader.join(timeout=10)
    assert got == [b'a report'] and path.is_fifo()


@pytest.mark.parametrize('to_a_file', [False, True])
def test_standard_output_gets_it_after_what_was_printed_before(tmp_path, to_a_file):
    program = (
        'from pipelines import outputs; print("before"); '
        'outputs.write(outputs.checked("--json", "/dev/stdout"), b"a report\\n"); print("after")'
    )
    with open(tmp_path / 'printed', 'w+') as file:
        to = file if to_a_file else subprocess.PIPE
        done = subprocess.run([sys.executable, '-c', program], stdout=to, text=True, check=True)
        file.seek(0)
        printed = file.read() if to_a_file else done.stdout
    assert printed == 'before\na report\nafter\n'


def a_directory(tmp_path):
    return tmp_path, 'it is a directory'


def below_nothing(tmp_path):
    return tmp_path / 'no' / 'a.json', 'there is no directory'


def below_a_file(tmp_path):
    (tmp_path / 'file').touch()
    return tmp_path / 'file' / 'a.json', 'there is no directory'


def a_link_to_nowhere(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'no' / 'a.json')
    return tmp_path / 'link', 'there is no directory'


def a_link_to_itself(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'link')
    return tmp_path / 'link', 'loop'


def a_name_that_is_too_long(tmp_path):
    return tmp_path / ('a' * 254), 'File name too long'


def a_null_character(tmp_path):
    return f'{tmp_path}/a\0.json', 'null'


def an_unknown_users_home(tmp_path):
    del tmp_path
    return '~nosuchuser/a.json', 'home directory'


def where_files_cannot_be_made(tmp_path):
    del tmp_path
    return '/proc/a.json', 'No such file'


def another_programs_temporary_file(tmp_path):
    (tmp_path / 'a.json.tmp').write_text('kept')
    return tmp_path / 'a.json', 'a.json.tmp is in the way'


@pytest.mark.parametrize(
    'place',
    [
        a_directory, below_nothing, below_a_file, a_link_to_nowhere, a_link_to_itself,
        a_name_that_is_too_long, a_null_character, an_unknown_users_home,
        where_files_cannot_be_made, another_programs_temporary_file,
    ],
)  # fmt: skip
def test_where_nothing_can_be_written_one_line_says_so_and_nothing_is_changed(tmp_path, place):
    path, why = place(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(UserError) as failed:
        outputs.checked('--json', str(path))
    message = str(failed.value)
    assert message.startswith(f"--json='{path}' cannot be written: ") and why in message
    assert '\n' not in message.replace(str(path), '')
    assert sorted(tmp_path.rglob('*')) == before


def test_what_is_left_when_writing_fails_is_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'a.json'
    path.write_text('before')
    monkeypatch.setattr(os, 'fsync', lambda fd: (_ for _ in ()).throw(OSError(28, 'No space')))
    with pytest.raises(OSError, match='No space'):
        outputs.write(path, b'a report')
    assert path.read_text() == 'before' and list(tmp_path.iterdir()) == [path]


def test_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert outputs.checked('--json', '~/a.json') == pathlib.Path(tmp_path / 'a.json')
