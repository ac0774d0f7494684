import pytest
from cluster import WANTED


def pytest_collection_modifyitems(items):
    """All of this folder needs PostgreSQL: make test-postgres."""
    for item in items:
        if "tests/postgres" in str(item.path) and not WANTED:
            item.add_marker(pytest.mark.skip(reason="make test-postgres"))
