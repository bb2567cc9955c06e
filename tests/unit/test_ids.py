"""Ids of our own making."""

import uuid

from gateway.ids import canonical_guid, new_guid


def test_a_new_guid_is_random_and_spelled_as_all_are() -> None:
    made = [new_guid() for _ in range(1000)]
    assert len({*made}) == 1000
    for one in made:
        read = uuid.UUID(one)
        assert (str(read), read.version, read.variant, canonical_guid(one)) == (one, 4, uuid.RFC_4122, one)
