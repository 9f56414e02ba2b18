import pytest
from stack import ROLES, Person, Stack
from things import Things


@pytest.fixture(scope="session")
def stack():
    running = Stack()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def people(stack):
    """Somebody of every role, and nobody else that the tests speak as."""
    return {role: Person(stack, role, role) for role in ROLES}


@pytest.fixture(scope="session")
def things(stack, people):
    return Things(people["administrator"], Person(stack, "viewer", "somebody"))
