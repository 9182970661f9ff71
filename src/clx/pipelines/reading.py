"""From the nodes of a YAML document to what it defines; everything that is wrong is noted with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from clx.errors import QueueError
from clx.expressions.language import OPENING, ExpressionError, Template, parse, parse_condition
from clx.pipelines.definition import OUTCOMES, Condition, Config, Deployment, Schedule, Step, field_names
from clx.pipelines.problems import PipelineProblems
from clx.settings.problems import Problem, closest, did_you_mean, quoted, shortened
from clx.settings.reader import Placed, Reader
from clx.settings.yaml_source import Node
from clx.visible import visible_line

_KEYS = ("version", "name", "user", "defaults", "schedule", "matrix", "deployments", "runs_on", "pipeline")
_PIPELINE_KEYS = ("steps", "matrix", "runs_on")
_STEP_KEYS = (
    *("name", "stage", "if", "runs_on", "matrix", "work", "success_threshold", "evaluate_on_runtime"),
    "replicate_deployments",
)
_DEPLOYMENT_KEYS = ("name", "site", "image", "sleep", "lives", "replicas", "resources")
_RESOURCES = ("cores", "ram", "gpu")
_SPELLED = {"runs-on": "runs_on"}
_RAM = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})? ?[KMGT]i?B?", re.IGNORECASE)
_OTHERWISE = re.compile(
    r"(?i:yes|no|on|off)|0[0-7_]+|0[xX][0-9a-fA-F_]+|0b[01_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+"
    r"|[-+]?\.(?i:inf|nan)|[-+]?[0-9]+_[0-9_]*|\d{4}-\d\d?-\d\d?"
)
_LONGEST_NAME = 128

Path = tuple[str | int, ...]
"""Where something stands: ``("steps", 0, "work", "event")``."""


class Spot(NamedTuple):
    """A place within a scalar."""

    line: int
    column: int


class PipelineReader(Reader):
    """Reads nodes, collects problems and warnings, and remembers where things stand.

    Attributes:
        nodes: path → node, of all that is checked later: ``("steps", 0, "stage")``.
        found: every template, with its node and the path of what it is in.
    """

    def __init__(self, source: str, text: str) -> None:
        super().__init__(source, PipelineProblems)
        self._source = source
        self._lines = text.splitlines()
        self._warnings: dict[tuple[int, int, str], Problem] = {}
        self.nodes: dict[Path, Node] = {}
        self.found: list[tuple[Template, Node, Path]] = []

    # -- what is noted ---------------------------------------------------------------------------------

    def warn(self, node: Placed, fact: str, next_step: str = "") -> None:
        """Note what may be a mistake."""
        self._warnings[node.line, node.column, fact] = Problem(self.where(node), fact, next_step)

    def warnings(self) -> tuple[Problem, ...]:
        """What may be a mistake, in the order of the document."""
        return tuple(self._warnings[key] for key in sorted(self._warnings))

    @property
    def has_problems(self) -> bool:
        """Whether anything is wrong so far."""
        return bool(self._problems)

    def finish(self) -> None:
        """Raise what was noted.

        Raises:
            PipelineProblems: something was wrong.
        """
        try:
            super().finish()
        except PipelineProblems as error:
            problems = [Problem(*map(visible_line, each)) for each in self.problems()]
            raise PipelineProblems(error.fact, error.next_step, problems, self.warnings()) from None

    def within(self, node: Node, offset: int) -> Placed:
        """The place of a character of a scalar, as far as it can be told."""
        line = self._lines[node.line - 1] if node.line <= len(self._lines) else ""
        begin = line[node.column - 1 : node.column]
        if begin in ("|", ">") or "\n" in node.text[: offset + 1]:
            return node
        return Spot(node.line, node.column + offset + (begin in ("'", '"')))

    # -- the document ----------------------------------------------------------------------------------

    def config(self, root: Node, text: str) -> Config:
        """All of it."""
        values = self._top(root)
        found = Config(
            name=self._name_of(values, "name", "the pipeline", ("name",), "unnamed"),
            version=self._version(values),
            user=self._optional_text(values, "user"),
            yaml=text,
            schedule=self._schedule(values["schedule"]) if "schedule" in values else None,
            deployments=self._deployments(values),
            runs_on=self._runs_on(values["runs_on"], ("runs_on",)) if "runs_on" in values else (),
        )
        defaults, default_fields = self._work(values.get("defaults"), "defaults", ("defaults",))
        user = found.user or (str(defaults["user"]) if isinstance(defaults.get("user"), str) else None)
        if found.user:
            default_fields.setdefault("user", found.user)
        found = replace(found, defaults=defaults, user=user)
        return self._pipeline(found, values, default_fields)

    def _top(self, root: Node) -> dict[str, Node]:
        if root.kind != "mapping":
            self.wrong_kind(root, "a pipeline file", "a mapping (key: value)", f"Possible keys: {', '.join(_KEYS)}.")
            return {}
        found = {}
        for key, (key_node, value) in self.keys(root, "the file").items():
            known = _SPELLED.get(key, key)
            if known in _KEYS:
                found[known] = value
            elif key == "canfar_cert":
                self.problem(key_node, "canfar_cert is a private key", "Remove it: nothing here needs it.")
            elif closest(key, _KEYS):
                self.problem(key_node, f"{shortened(key)} is not a key of the file", did_you_mean(key, _KEYS))
            else:
                self.warn(key_node, f"nothing reads {shortened(key)}", f"Possible keys: {', '.join(_KEYS)}.")
        for key in ("name", "pipeline"):
            if key not in found:
                self.problem(root, f'the file has no "{key}"', f"Add {key}: …")
        return found

    def _version(self, values: Mapping[str, Node]) -> str:
        node = values.get("version")
        if node is None:
            return "2"
        return self.choice(node, "version", ("1", "2"), {"1.0": "1", "2.0": "2", "v1": "1", "v2": "2"})

    def _pipeline(self, config: Config, values: Mapping[str, Node], defaults: Mapping[str, Any]) -> Config:
        node = values.get("pipeline")
        matrices = [values["matrix"]] if "matrix" in values else []
        if node is None or node.kind != "mapping":
            if node is not None:
                self.wrong_kind(node, "pipeline", "a mapping (key: value)", 'Write "steps:" below it, then a list.')
            return config
        keys = self.keys(node, "pipeline")
        entries: list[tuple[Node | None, Node]] = []
        if "steps" in keys and keys["steps"][1].kind != "mapping":
            inner = self._known(node, "pipeline", _PIPELINE_KEYS, ("steps",))
            matrices += [inner["matrix"]] if "matrix" in inner else []
            if "runs_on" in inner:
                config = replace(config, runs_on=self._runs_on(inner["runs_on"], ("runs_on",)))
            entries += [(None, each) for each in inner["steps"].items] if "steps" in inner else []
            if "steps" in inner:
                self.list(inner["steps"], "steps", lambda _: None, may_be_empty=False)
        else:
            entries += keys.values()
            if not entries:
                self.problem(node, "pipeline has no steps", 'Write "steps:" below it, then a list.')
        if len(matrices) == 2:
            self.problem(matrices[1], f"there is a matrix in line {matrices[0].line} already", "Keep one of them.")
        plain, axes = self._matrix(matrices[-1], ("matrix",)) if matrices else ({}, {})
        steps = tuple(self._step(index, key, value, defaults) for index, (key, value) in enumerate(entries))
        return replace(config, matrix=plain, axes=axes, steps=steps)

    def _step(self, index: int, key: Node | None, node: Node, defaults: Mapping[str, Any]) -> Step:
        path = ("steps", index)
        self.nodes[path] = key or node
        allowed = _STEP_KEYS if key is None else tuple(each for each in _STEP_KEYS if each != "name")
        subject = "a step" if key is None else f"the step {shortened(key.text)}"
        values = self._known(node, subject, allowed, ("name", "work") if key is None else ("work",))
        if key is not None:
            values["name"] = key
        plain, fields = self._work(values.get("work"), "work", (*path, "work"))
        matrix, axes = self._matrix(values["matrix"], (*path, "matrix")) if "matrix" in values else ({}, {})
        for each in ("stage", "if", "success_threshold"):
            if each in values:
                self.nodes[*path, each] = values[each]
        return Step(
            name=self._name_of(values, "name", "a step", (*path, "name"), f"step-{index + 1}"),
            stage=self._whole(values["stage"], "stage", 0, 1_000_000) if "stage" in values else None,
            work=plain,
            matrix=matrix,
            condition=self._condition(values["if"], (*path, "if")) if "if" in values else None,
            runs_on=self._runs_on(values["runs_on"], (*path, "runs_on")) if "runs_on" in values else (),
            success_threshold=self._share(values["success_threshold"]) if "success_threshold" in values else 1.0,
            evaluate_on_runtime=self._flag(values, "evaluate_on_runtime"),
            replicate_deployments=self._flag(values, "replicate_deployments"),
            place=self.where(node),
            fields={**defaults, **fields},
            axes=axes,
        )

    # -- parts -----------------------------------------------------------------------------------------

    def keys(self, node: Node, subject: str) -> dict[str, tuple[Node, Node]]:
        """As of every reader; ``<<`` brings the keys of another mapping that are not written here."""
        merged = [value for key, value in node.pairs if key.text == "<<" and key.plain]
        if not merged:
            return super().keys(node, subject)
        bare = Node("mapping", _Mark(node))
        bare.parts = [part for key, value in node.pairs if key.text != "<<" or not key.plain for part in (key, value)]
        found = super().keys(bare, subject)
        for source in [each for value in merged for each in (value.items or [value])]:
            if source.kind != "mapping":
                self.wrong_kind(source, "what << brings", "a mapping", "Write <<: *name of one.")
            for key, pair in self.keys(source, subject).items():
                found.setdefault(key, pair)
        return found

    def _known(self, node: Node, subject: str, allowed: Sequence[str], required: Sequence[str]) -> dict[str, Node]:
        """As :meth:`mapping`, where some keys may be spelled otherwise."""
        if node.kind == "mapping":
            spelled = Node("mapping", _Mark(node))
            for key, (key_node, value) in self.keys(node, subject).items():
                if key in _SPELLED:
                    text, key_node = _SPELLED[key], Node("scalar", _Mark(key_node))  # noqa: PLW2901
                    key_node.text = text
                spelled.parts += [key_node, value]
            node = spelled
        return self.mapping(node, subject, allowed, required)

    def _name_of(self, values: Mapping[str, Node], key: str, subject: str, path: Path, usual: str) -> str:
        if key not in values:
            return usual
        node = self.nodes[path] = values[key]
        text = self.text(node, f"the name of {subject}")
        if text and (len(text) > _LONGEST_NAME or not text.isprintable() or text != text.strip()):
            self.problem(
                node, f"the name {quoted(text)} is not possible", "A name has 1 to 128 characters, in one line."
            )
        return text or usual

    def _optional_text(self, values: Mapping[str, Node], key: str) -> str | None:
        return self.text(values[key], key) or None if key in values else None

    def _flag(self, values: Mapping[str, Node], key: str) -> bool:
        return self.boolean(values[key], key) if key in values else False

    def _whole(self, node: Node, subject: str, lowest: int, highest: int) -> int:
        value = self.value(node, subject)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            step = f"Write a whole number from {lowest} to {highest}."
            self.problem(node, f"{subject} cannot be {quoted(value)}", step)
            return lowest
        return value

    def _share(self, node: Node) -> float:
        value = self.value(node, "success_threshold")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            step = "It is the share of works that have to succeed, from 0 to 1."
            self.problem(node, f"success_threshold cannot be {quoted(value)}", step)
            return 1.0
        return float(value)

    def _runs_on(self, node: Node, path: Path) -> tuple[str, ...]:
        self.nodes[path] = node
        if node.kind == "mapping":  # of version 1: it said how containers are run
            self.warn(node, "runs_on is a mapping, which nothing reads", "Write deployments, and name one here.")
            return ()
        if node.kind == "list":
            return self.distinct(node, "runs_on", lambda item: self.text(item, "runs_on").strip())
        names = [each.strip() for each in self.text(node, "runs_on").split(",")]
        return tuple(dict.fromkeys(each for each in names if each))

    def _condition(self, node: Node, path: Path) -> Condition | None:
        text = self.text(node, "if").strip()
        if text in OUTCOMES or not text:
            return Condition(text) if text else None
        if text.removesuffix("()").isalpha():
            step = did_you_mean(text.removesuffix("()"), OUTCOMES) + f" Or write {OPENING} … }}}}."
            self.problem(node, f"if cannot be {quoted(text)}", step)
            return None
        try:
            template = parse_condition(node.text, self.where(node))
        except ExpressionError as error:
            self.problem(self.within(node, error.offset), error.fact, error.next_step)
            return None
        self.found.append((template, node, path))
        return Condition(text, template)

    def _schedule(self, node: Node) -> Schedule | None:
        values = self._known(node, "schedule", ("cronspec", "lives", "count"), ("cronspec",))
        if "cronspec" not in values:
            return None
        text = self.text(values["cronspec"], "cronspec")
        if text:
            self._cron(values["cronspec"], text)
        if "lives" in values and "count" in values:
            self.problem(values["count"], "count and lives are the same", "Keep lives.")
        if "count" in values:  # of version 1
            return Schedule(text, self._whole(values["count"], "count", 0, 1_000_000_000) or -1)
        lives = self._lives(values["lives"]) if "lives" in values else 1
        return Schedule(text, lives)

    def _cron(self, node: Node, text: str) -> None:
        from clx.db.schedules.cron import check_cron

        try:
            check_cron(text, "UTC")
        except QueueError as error:
            self.problem(node, error.fact.removesuffix("."), error.next_step)

    def _lives(self, node: Node) -> int:
        lives = self._whole(node, "lives", -1, 1_000_000_000)
        if lives == 0:
            self.problem(node, "lives cannot be 0", "Write how many, or -1 for no end.")
        return lives

    def _deployments(self, values: Mapping[str, Node]) -> tuple[Deployment, ...]:
        if "deployments" not in values:
            return ()
        found = []
        for index, node in enumerate(values["deployments"].items):
            found.append(self._deployment(node, ("deployments", index)))
        self.list(values["deployments"], "deployments", lambda _: None)
        return tuple(found)

    def _deployment(self, node: Node, path: Path) -> Deployment:
        values = self._known(node, "a deployment", _DEPLOYMENT_KEYS, ("name",))
        self.nodes[path] = node
        sleep = self.value(values["sleep"], "sleep") if "sleep" in values else None
        if sleep is not None and (
            isinstance(sleep, bool) or not isinstance(sleep, int | float) or not 0 <= sleep <= 86_400
        ):
            self.problem(values["sleep"], f"sleep cannot be {quoted(sleep)}", "Write seconds, from 0 to 86400.")
            sleep = None
        return Deployment(
            name=self._name_of(values, "name", "a deployment", (*path, "name"), "unnamed"),
            site=self._optional_text(values, "site"),
            image=self._optional_text(values, "image"),
            sleep=None if sleep is None else float(sleep),
            lives=self._lives(values["lives"]) if "lives" in values else -1,
            replicas=self._whole(values["replicas"], "replicas", 1, 1_000) if "replicas" in values else 1,
            resources=self._resources(values["resources"]) if "resources" in values else {},
        )

    def _resources(self, node: Node) -> dict[str, Any]:
        values = self._known(node, "resources", _RESOURCES, ())
        found: dict[str, Any] = {}
        for key in ("cores", "gpu"):
            if key in values:
                found[key] = self._whole(values[key], key, 0 if key == "gpu" else 1, 100_000)
        if "ram" in values:
            found["ram"] = self.text(values["ram"], "ram")
            if not _RAM.fullmatch(found["ram"]):
                self.problem(values["ram"], f"ram cannot be {quoted(found['ram'])}", "Write 512M, or 4G.")
        return found

    def _matrix(self, node: Node, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        self.nodes[path] = node
        if node.kind != "mapping":
            self.wrong_kind(node, "matrix", "a mapping (key: value)", "Write name: [value, value].")
            return {}, {}
        plain: dict[str, Any] = {}
        axes: dict[str, Any] = {}
        for key, (key_node, value) in self.keys(node, "matrix").items():
            self.nodes[*path, key] = key_node
            if value.kind == "scalar" and OPENING not in value.text:
                self.wrong_kind(value, f"{shortened(key)} in the matrix", "a list", f"Write [{shortened(value.text)}].")
                plain[key], axes[key] = [], []  # the name is there: who uses it is right
                continue
            plain[key], axes[key] = self._both(value, path)
        return plain, axes

    def _work(self, node: Node | None, subject: str, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields of works, as they are written, and with templates."""
        if node is None:
            return {}, {}
        self.nodes[path] = node
        if node.kind != "mapping":
            self.wrong_kind(node, subject, "a mapping (key: value)", "Write the fields of a work below it.")
            return {}, {}
        plain, fields = {}, {}
        for key, (key_node, value) in self.keys(node, subject).items():
            self.nodes[*path, key] = value
            self.nodes[*path, key, "key"] = key_node
            plain[key], fields[key] = self._both(value, (*path, key))
        return plain, field_names(fields)

    def _both(self, node: Node, path: Path) -> tuple[Any, Any]:
        """The value of a node, as it is written, and with templates."""
        if node.kind == "list":
            both = [self._both(item, path) for item in node.items]
            return [each[0] for each in both], [each[1] for each in both]
        if node.kind == "mapping":
            named = {key: self._both(value, path) for key, (_, value) in self.keys(node, str(path[-1])).items()}
            return {key: each[0] for key, each in named.items()}, {key: each[1] for key, each in named.items()}
        if OPENING not in node.text:
            value = self.value(node, str(path[-1]))
            if node.plain and isinstance(value, str) and _OTHERWISE.fullmatch(value):
                step = f'Write "{shortened(value)}" in quotes, or true, false, a plain number.'
                self.warn(node, f"{shortened(value)} is a text here, which other readers of YAML take otherwise", step)
            return value, value
        try:
            template = parse(node.text, self.where(node))
        except ExpressionError as error:
            self.problem(self.within(node, error.offset), error.fact, error.next_step)
            return node.text, node.text
        self.found.append((template, node, path))
        return node.text, template


class _Mark:
    """Where a node that was made stands, as the parser says it: from 0."""

    def __init__(self, node: Node) -> None:
        self.line, self.column = node.line - 1, node.column - 1
