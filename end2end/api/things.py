"""What there is to be asked for and acted on: in every second request, ids that were made up become ids of these, so that
not everything ends with 404. Nobody whom the tests speak as is among them, and no session of theirs."""

import json
import zlib


class Things:
    def __init__(self, administrator, somebody):
        submit, ask = administrator.submit, administrator.ask
        submit("schedule.create", {
            "name": "nightly", "cron": "0 3 * * *", "kind": "component.restart",
            "input": {"component": "ap-east-1/gateway"},
        })
        submit("silence.create", {
            "matchers": [{"label": "region", "op": "=", "value": "eu-west-1"}], "minutes": 60, "comment": "fuzzing",
        })
        # Waits for a second person; nobody who approves knows its hash.
        waiting = submit("component.stop", {"component": "global/prometheus"})["operation"]
        world = ask("regions.world")
        self.regions = [region["region"] for region in world["regions"]]
        self.components = [c["id"] for region in world["regions"] for c in region["components"]]
        self.globals = [c["id"] for c in world["global"]["components"]]
        session = somebody.ask("access.sessions")[0]
        self.known = {
            "alert": lambda: [alert["alert"] for alert in ask("alerts.list")["page"]["rows"]],
            "operation": lambda: [waiting],
            "component": lambda: self.components + self.globals,
            "region": lambda: self.regions,
            "service": lambda: ["gateway", "runner"],
            "person": lambda: [session["person"]],
            "session": lambda: [session["session"]],
            "name": lambda: ["nightly"],
            "target": lambda: [f"component:{self.components[0]}"],
            "kind": lambda: ["component.restart"],
        }
        self.known = {name: values() for name, values in self.known.items()}

    def put_into(self, case):
        """Puts what is there into every second request, by the request's own content, so that a run repeats itself."""
        seed = zlib.crc32(json.dumps([case.path_parameters, case.query, case.body], default=repr).encode())
        if seed % 2:
            for place in (case.path_parameters, case.query, case.body):
                self._replace(place, seed)

    def _replace(self, place, seed):
        if isinstance(place, list):
            for value in place:
                self._replace(value, seed)
        if not isinstance(place, dict):
            return
        for name, value in place.items():
            if isinstance(value, str) and self.known.get(name):
                values = self.known[name]
                place[name] = values[seed % len(values)]
            else:
                self._replace(value, seed)

    def spare_the_stack(self, case, kind):
        """What all stand on (databases, engines, this very console) is only planned to be started, stopped or restarted;
        the regions' own processes really are."""
        if not kind.startswith("component."):
            return
        body = case.body if isinstance(case.body, dict) else {}
        operation = body.get("input")
        component = operation.get("component") if isinstance(operation, dict) else None
        if component not in self.components:
            case.query = {**(case.query or {}), "plan": "true"}
