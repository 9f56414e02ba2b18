"""Everybody knocks at every door of the API with made-up inputs: no fault of the server's own, nothing that its description
does not say, and nothing for whoever may not."""

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from schemathesis import checks
from stack import ALLOWED, DOCUMENT, ROLES

CONFIG = schemathesis.Config.from_dict({
    "seed": 20260101,
    "generation": {
        "deterministic": True, "database": "none", "no-shrink": True, "with-security-parameters": False,
        "max-examples": 6,
    },
    # The coverage phase alone would take an hour; the other two see answers, and a run must not depend on their order.
    "phases": {
        "coverage": {"enabled": False}, "stateful": {"enabled": False},
        "fuzzing": {"extra-data-sources": {"responses": False}, "error-feedback": {"enabled": False}},
    },
})
API = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)
CHECKS = [
    checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_headers_conformance, checks.response_schema_conformance,
]
REFUSED = Counter()


def test_the_description_is_valid_openapi():
    validate(DOCUMENT)


def test_the_running_console_says_the_same(stack, people):
    told = people["viewer"].http.get(f"{stack.origin}/api/v1/openapi.json")
    assert told.json() == DOCUMENT


def test_the_examples_are_what_their_schemas_want():
    wrong = []
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = {**content["schema"], "components": DOCUMENT["components"]}
                for error in Draft202012Validator(schema).iter_errors(content["example"]):
                    wrong.append(f"{path}: {error.message}")
    assert wrong == []


@API.parametrize()
@pytest.mark.parametrize("role", ROLES)
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_door(case, role, stack, people, things):
    described = case.operation.definition.raw
    kind, permission = described.get("x-bagua-kind", ""), described.get("x-bagua-permission")
    things.put_into(case)
    things.spare_the_stack(case, kind)
    response = case.call(base_url=stack.origin, session=people[role].http)
    case.validate_response(response, checks=CHECKS)
    assert response.status_code != 401, "the session stands"
    if permission and role not in ALLOWED[permission]:
        assert response.status_code == 403, f"{role} lacks {permission}: {response.text}"
        REFUSED[role] += 1
    if response.status_code == 403:
        assert response.json()["kind"] == "forbidden", response.text


def test_every_refusal_is_in_the_audit_log(stack, people):
    """Written down, or counted in the next record when there were too many at once."""

    def told():
        rows, after = [], None
        while True:
            page = people["auditor"].ask("audit.list", {"action": "deny", "limit": 200, "after": after})
            rows += page["rows"]
            if not (after := page["next"]):
                return sum(1 + row["detail"]["left_out"] for row in rows if "left_out" in row["detail"])

    def complete():
        # The next record carries the number of those that were left out; it comes when the window has passed.
        refused = people["viewer"].http.post(f"{stack.origin}/api/v1/ask/audit.list", json={})
        assert refused.status_code == 403
        REFUSED["viewer"] += 1
        return told() == sum(REFUSED.values())

    assert sum(REFUSED.values()) > 500, "hardly anybody was refused: this proves nothing"
    stack.until(20, f"not every refusal is told of: {REFUSED}", complete, pause=1)
