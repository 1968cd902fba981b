import pathlib

import pytest

from pipelines import run_dir, train_ddqn, train_reinforce

CONFIGS = sorted((pathlib.Path(train_ddqn.__file__).parent / 'configs').glob('*.gin'))


@pytest.mark.parametrize('config', CONFIGS, ids=lambda p: p.stem)
def test_every_config_parses_with_each_binding_used(tmp_path, config, monkeypatch):
    """Everything is built and every binding checked; the run is then told that it is finished."""
    driver = train_reinforce if config.stem.startswith('reinforce') else train_ddqn
    claimed = []
    monkeypatch.setattr(run_dir.RunDir, 'claim', lambda *args: claimed.append(args) or False)
    assert driver.main(['driver', f'--root_dir={tmp_path}', f'--gin_file={config}']) == 0
    assert len(claimed) == 1
