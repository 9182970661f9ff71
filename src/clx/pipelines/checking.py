"""What a pipeline file says against itself: names, stages, expressions, deployments, fields of works, and how many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from clx.db.pipelines.evaluation import fitted
from clx.db.pipelines.models import ENDED
from clx.db.works.fields import ALIASES, FIELDS, OWN, checked, known
from clx.errors import UsageError
from clx.expressions.language import ExpressionError, Reference, Scope, Template, comparisons
from clx.expressions.matrix import WORKS_LIMIT, MatrixError, axes_of, combinations, fill, size_of, templates_in
from clx.pipelines.definition import Config, Deployment, Step
from clx.pipelines.reading import Path, PipelineReader
from clx.settings.problems import closest, did_you_mean, quoted, shortened
from clx.settings.yaml_source import Node

TRIED = 2_000
"""Combinations with which the fields of one step are tried out before anything is deployed."""
BYTES_LIMIT = 500_000_000
"""Bytes that the works of one file may come to, about."""
_GIVEN = frozenset({"id", "creation", "start", "stop", "attempt", "status", "error", "progress", "run", "parent"})
_STATUS = "Write pipeline.STEP.status or pipeline.STEP.work.results."


def check(config: Config, reader: PipelineReader) -> None:
    """Note with *reader* what is wrong, or may be, in what it has read."""
    _Check(config, reader).all()


class _Check:
    def __init__(self, config: Config, reader: PipelineReader) -> None:
        self.config = config
        self.reader = reader
        self.nodes = reader.nodes
        self.node_of = {id(template): node for template, node, _ in reader.found}
        self.noted: set[tuple[int, int, str]] = set()
        self.misspelled: set[str | None] = set()
        self.steps = {step.name: step for step in reversed(config.steps)}
        self.outer: dict[str, Sequence[Any]] = {}

    def all(self) -> None:
        self._distinct()
        self._deployments()
        self._fields(("defaults",), self.config.defaults)
        for index, step in enumerate(self.config.steps):
            self._step(index, step)
        self._references()
        self._matrices()
        if not self.reader.has_problems:
            self._values()
        if self.reader.has_problems:  # values were not tried out, or not all: what needs no other one is told as well
            self._constants()

    def _note(self, node: Any, fact: str, step: str = "") -> None:
        """Once each: what is in the defaults is looked at for every step."""
        key = (node.line, node.column, fact)
        if key not in self.noted:
            self.noted.add(key)
            self.reader.problem(node, fact, step)

    # -- names, stages, deployments ---------------------------------------------------------------------

    def _distinct(self) -> None:
        steps, deployments = self.config.steps, self.config.deployments
        for kind, names in (
            ("steps", [each.name for each in steps]),
            ("deployments", [each.name for each in deployments]),
        ):
            lines: dict[str, int] = {}
            for index, name in enumerate(names):
                node = self.nodes.get((kind, index, "name"))
                if node is not None and name in lines:
                    fact = f"{quoted(name)} is there already, in line {lines[name]}"
                    self._note(node, fact, "Give each a name of its own.")
                elif node is not None:
                    lines[name] = node.line

    def _deployments(self) -> None:
        names = [each.name for each in self.config.deployments]
        used = set(self._run_on(("runs_on",), self.config.runs_on, names))
        for index, step in enumerate(self.config.steps):
            used |= set(self._run_on(("steps", index, "runs_on"), step.runs_on, names))
            if names and not (step.runs_on or self.config.runs_on):
                fact = f"the step {shortened(step.name)} runs on none of the deployments"
                self.reader.warn(self.nodes["steps", index], fact, "Add runs_on, unless runners are started otherwise.")
        for index, name in enumerate(names):
            if name not in used:
                self.reader.warn(self.nodes["deployments", index], f"nothing runs on {quoted(name)}", "Remove it.")

    def _run_on(self, path: Path, wanted: Sequence[str], names: Sequence[str]) -> Sequence[str]:
        for name in wanted:
            if name not in names:
                step = did_you_mean(name, dict.fromkeys(names)) if names else "Add deployments, or remove runs_on."
                self._note(self.nodes[path], f"there is no deployment {quoted(name)}", step)
        return wanted

    def _step(self, index: int, step: Step) -> None:
        node = self.nodes["steps", index]
        if step.stage is None and step.condition is None and ("steps", index, "if") not in self.nodes:
            self._note(node, f"the step {shortened(step.name)} has no stage", "Add stage: 1, or if: always.")
        self._fields(("steps", index, "work"), step.work)
        if {"function", "command"} <= step.fields.keys():
            fact = f"the step {shortened(step.name)} has a function and a command"
            self._note(node, fact, "Leave one of them out.")

    def _runners(self, step: Step) -> list[Deployment]:
        """The deployments whose runners are to do the works of a step."""
        wanted = step.runs_on or self.config.runs_on
        return [each for each in self.config.deployments if each.name in wanted]

    def _site(self, index: int, site: str) -> None:
        """Whether a runner of a deployment does works of a site."""
        sites = [each.site for each in self._runners(self.config.steps[index])]
        if sites and None not in sites and site not in sites:
            fact = f"no runner of its deployments does works of the site {quoted(site)}"
            step = f"They do those of {', '.join(shortened(str(each)) for each in dict.fromkeys(sites))}."
            self.reader.warn(self._node_of(index, "site"), fact, step)

    def _fields(self, path: Path, given: Mapping[str, Any]) -> None:
        for name in given:
            node = self.nodes[(*path, name, "key")]
            try:
                field = known(name, _GIVEN | OWN)
            except UsageError as error:
                self._note(node, error.fact.removesuffix("."), error.next_step)
                continue
            if field in _GIVEN or field in OWN:
                self._note(node, f"{field} is not said by hand", "Remove it.")
            elif name in ALIASES and field in given:
                self._note(node, f"{name} and {field} are the same", f"Keep {field}.")

    # -- expressions ------------------------------------------------------------------------------------

    def _references(self) -> None:
        for template, node, path in self.reader.found:
            for reference in template.references:
                if path[0] == "matrix":
                    self._note(node, "the matrix of a pipeline cannot refer to anything", "Write its values.")
                    break
                for step in self._meant(path):
                    self._reference(reference, node, path, step)
            for reference, literal in comparisons(template):
                if reference.path[0] == "pipeline" and reference.path[2:] == ("status",) and literal not in ENDED:
                    fact = f"{reference.text} is never {quoted(literal)}"
                    self.reader.warn(
                        self.reader.within(node, reference.offset), fact, did_you_mean(str(literal), ENDED)
                    )

    def _meant(self, path: Path) -> Iterator[Step]:
        """The steps for which what stands at *path* is evaluated."""
        if path[0] == "steps":
            yield self.config.steps[int(path[1])]
            return
        name = ALIASES.get(str(path[1]), str(path[1]))
        for index, step in enumerate(self.config.steps):
            own = {ALIASES.get(each, each) for each in step.work}
            if name not in own and ("steps", index) in self.nodes:
                yield step

    def _reference(self, reference: Reference, node: Node, path: Path, step: Step) -> None:
        place = self.reader.within(node, reference.offset)
        parts = reference.path
        if parts[0] == "pipeline":
            if fact := self._wrong_step(parts, step, is_condition=path[-1] == "if"):
                self._note(place, *fact)
            return
        inner = step.matrix if path[0] != "steps" or path[2] == "work" else {}
        names = [*self.config.matrix, *inner]
        if len(parts) == 1 or parts[1] in names:
            return
        if parts[1] in step.matrix:
            what = (
                "if is decided once for the whole step" if path[-1] == "if" else "a matrix does not see its own names"
            )
            self._note(place, f"{reference.text} has no value here: {what}", "Use the matrix of the pipeline.")
        else:
            step_ = did_you_mean(str(parts[1]), names) if names else "There is no matrix."
            self.misspelled.add(closest(str(parts[1]), names))
            self._note(place, f"there is no {reference.text} for the step {shortened(step.name)}", step_)

    def _wrong_step(self, parts: tuple[str | int, ...], step: Step, *, is_condition: bool) -> tuple[str, str] | None:
        if len(parts) < 3 or parts[2] not in ("status", "work") or (parts[2] == "work" and parts[3:4] != ("results",)):
            return f"{shortened(_text(parts))} is nothing that a pipeline knows", _STATUS
        if parts[2] == "status" and len(parts) > 3:
            return "a status is a text and has no parts", _STATUS
        other = self.steps.get(str(parts[1]))
        if other is None:
            return f"there is no step {quoted(parts[1])}", did_you_mean(str(parts[1]), self.steps)
        if _order(other) >= _order(step):
            fact = (
                f"the step {shortened(step.name)} refers to {quoted(other.name)}, which does not end before it begins"
            )
            return fact, "Give it a later stage."
        if not is_condition and not step.evaluate_on_runtime:
            fact = f"what became of {quoted(other.name)} is not known when {quoted(step.name)} is deployed"
            return fact, "Add evaluate_on_runtime: true to the step."
        return None

    # -- matrices and values ----------------------------------------------------------------------------

    def _matrices(self) -> None:
        for index, step in enumerate(self.config.steps):
            for name in step.matrix:
                node = self.nodes["steps", index, "matrix", name]
                if name in self.config.matrix:
                    self._note(node, f"{shortened(name)} is in the matrix of the pipeline too", "Rename one of them.")
                elif name not in _used([step.fields]) and name not in self.misspelled:
                    self.reader.warn(node, f"nothing uses matrix.{shortened(name)}", f"Write ${{{{ matrix.{name} }}}}.")
        used = _used([part for step in self.config.steps for part in (step.fields, step.axes, step.condition)])
        for name in self.config.matrix:
            if name not in used and name not in self.misspelled:
                node = self.nodes["matrix", name]
                self.reader.warn(node, f"nothing uses matrix.{shortened(name)}", f"Write ${{{{ matrix.{name} }}}}.")

    def _constants(self) -> None:
        """Try out values in which nothing is to be filled: each by itself, whatever is wrong elsewhere."""
        steps = list(enumerate(self.config.steps))
        for path, axes in [
            (("matrix",), self.config.axes),
            *((("steps", at, "matrix"), step.axes) for at, step in steps),
        ]:
            for name, axis in axes.items():
                try:
                    axes_of({} if any(templates_in(axis)) else {name: axis}, Scope())
                except MatrixError as error:
                    self._note(self._axis(path, error.axis), error.fact, error.next_step)
        for index, step in steps:
            for name, field in step.fields.items():
                if name in FIELDS.keys() - _GIVEN and not FIELDS[name].own and not any(templates_in(field)):
                    self._field(index, name, field, Scope(), iter([{}]))

    def _values(self) -> None:
        """Try out what is known before anything runs, and count."""
        try:
            self.outer = axes_of(self.config.axes, Scope())
        except MatrixError as error:
            self._note(self._axis(("matrix",), error.axis), error.fact, error.next_step)
            return
        pipelines = size_of(self.outer)
        works = size = 0
        for index, step in enumerate(self.config.steps):
            found = self._tried(index, step)
            works += found
            size += found * len(str(step.work))
        if pipelines == 0:
            self._note(
                self.nodes["matrix",], "the matrix of the pipeline has no combination", "Give each name a value."
            )
        if pipelines * works > WORKS_LIMIT or pipelines * size > BYTES_LIMIT:
            much = (
                f"{pipelines * works} works" if pipelines * works > WORKS_LIMIT else f"{pipelines * size / 1e6:.0f} MB"
            )
            limit = f"{WORKS_LIMIT} works and {BYTES_LIMIT // 1_000_000} MB"
            self._note(
                self.nodes["name",], f"the file comes to {much}, more than {limit}", "Make its matrices smaller."
            )

    def _tried(self, index: int, step: Step) -> int:
        """How many works the step has in each pipeline, at most; its fields are tried out on the way."""
        used = _used([step.fields, step.axes, step.condition])
        outer = {name: values for name, values in self.outer.items() if name in used}
        most = 0
        tried = 0
        for values in islice(combinations(outer) if size_of(outer) <= WORKS_LIMIT else iter(()), TRIED):
            scope = Scope(values)
            sizes, axes = self._axes(index, step, scope)
            most = max(most, sizes)
            for name, field in step.fields.items():
                names = _used([field])
                inner = {each: axes[each] for each in axes if each in names}
                is_known = all(each in axes for each in step.axes if each in names)
                if is_known and tried < TRIED and size_of(inner) <= WORKS_LIMIT:
                    left = TRIED - tried
                    tried += self._field(index, name, field, scope, islice(combinations(inner), left))
            if step.condition is not None and step.condition.expression is not None:
                self._condition(step.condition.expression, scope)
        return most

    def _axes(self, index: int, step: Step, scope: Scope) -> tuple[int, Mapping[str, Sequence[Any]]]:
        """How many combinations there are, and the values of those names that are known before anything runs."""
        early = {name: axis for name, axis in step.axes.items() if not any(t.uses_steps for t in templates_in(axis))}
        try:
            axes = axes_of(early, scope)
        except MatrixError as error:
            self._note(self._axis(("steps", index, "matrix"), error.axis), error.fact, error.next_step)
            return 1, {}
        except ExpressionError as error:
            self._note(self.nodes["steps", index, "matrix"], error.detail, error.next_step)
            return 1, {}
        for name, values in axes.items():
            if not values:
                fact = f"{shortened(name)} in the matrix is empty"
                self._note(self.nodes["steps", index, "matrix", name], fact, "Give it a value.")
        return size_of(axes), axes

    def _axis(self, path: Path, name: str) -> Node:
        return self.nodes.get((*path, name)) or self.nodes[path]

    def _field(self, index: int, name: str, field: Any, scope: Scope, inner: Iterator[dict[str, Any]]) -> int:
        if any(template.uses_steps for template in templates_in(field)):
            return 0
        tried = 0
        for values in inner:
            tried += 1
            try:
                made = fill(field, Scope({**scope.matrix, **values}))
                found = checked(name, fitted(name, made))
                if name == "site":
                    self._site(index, found)
            except ExpressionError as error:
                self._note(self._node_of(index, name), error.detail, error.next_step)
            except UsageError as error:
                self._note(self._node_of(index, name), error.fact.removesuffix("."), error.next_step)
                break  # one is enough
        return tried

    def _condition(self, expression: Template, scope: Scope) -> None:
        if not expression.uses_steps:
            try:
                expression.value(scope)
            except ExpressionError as error:
                self._note(
                    self.reader.within(self.node_of[id(expression)], error.offset), error.detail, error.next_step
                )

    def _node_of(self, index: int, field: str) -> Node:
        spelled = [field, *(alias for alias, name in ALIASES.items() if name == field)]
        paths: list[Path] = [(*path, each) for path in (("steps", index, "work"), ("defaults",)) for each in spelled]
        return next(self.nodes[path] for path in (*paths, ("user",), ("name",)) if path in self.nodes)


def _order(step: Step) -> tuple[bool, int]:
    return step.stage is None, step.stage or 0


def _text(parts: Sequence[str | int]) -> str:
    return ".".join(map(str, parts))


class _Everything(frozenset[str]):
    """What ``${{ matrix }}`` uses: all names."""

    def __contains__(self, _name: object) -> bool:
        return True


def _used(parts: Sequence[Any]) -> frozenset[str]:
    """The names of matrices that are used somewhere in *parts*."""
    found: set[str] = set()
    for part in parts:
        expression = getattr(part, "expression", part)
        for template in templates_in(expression):
            for reference in template.references:
                if reference.path == ("matrix",):
                    return _Everything()
                if reference.path[0] == "matrix":
                    found.add(str(reference.path[1]))
    return frozenset(found)
