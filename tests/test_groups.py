"""Tests that share what takes long to make are run by one process."""

import pytest


@pytest.mark.xdist_group("one")
def test_tests_of_a_group_are_known_to_be_of_it(request, worker_id):
    assert worker_id == "master" or request.node.nodeid.endswith("@one")
