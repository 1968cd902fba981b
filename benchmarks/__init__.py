"""Measurements: learning, speed compared with peers, memory, and what a kill costs."""

import pipelines  # noqa: F401, keeps TensorFlow quiet
