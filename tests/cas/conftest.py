"""The contracts assert as tests do, and tell as much when they fail."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.contracts.blob_store", "tests.contracts.derived", "tests.contracts.layer_index", "tests.power_cut"
)
