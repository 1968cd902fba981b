import pathlib

import pytest

from pipelines import cli, train_ddqn, train_reinforce

CONFIGS = sorted((pathlib.Path(train_ddqn.__file__).parent / 'configs').glob('*.gin'))


@pytest.mark.slow
@pytest.mark.parametrize('config', CONFIGS, ids=lambda p: p.stem)
def test_every_config_parses_with_each_binding_used(tmp_path, config, capsys):
    """Everything is built and every binding checked, and nothing is written."""
    driver = train_reinforce if config.stem.startswith('reinforce') else train_ddqn
    flags = [f'--root_dir={tmp_path / "run"}', f'--gin_file={config}', '--check_only']
    assert driver.main(['driver', *flags]) == 0
    assert cli.CHECKED in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
