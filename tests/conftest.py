"""What every test needs before TensorFlow is imported: silence, and one thread per worker."""

import pytest

import pipelines  # noqa: F401, sets the environment that keeps TensorFlow quiet


@pytest.fixture(autouse=True)
def _forget_gin_bindings():
    yield
    import gin

    gin.clear_config()
