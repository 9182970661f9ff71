"""What is wrong in a pipeline file: all of it, each with its place and what to write instead."""

from __future__ import annotations

import time

import pytest

from clx.expressions.matrix import WORKS_LIMIT
from clx.pipelines.checking import BYTES_LIMIT
from clx.pipelines.document import PipelineProblems, read

HEAD = "name: demo\npipeline:\n  steps:\n"


def _problems(text: str) -> list[tuple[str, str, str]]:
    with pytest.raises(PipelineProblems) as raised:
        read(text, source="p")
    return [(each.where, each.fact, each.next_step) for each in raised.value.problems]


def _steps(*lines: str) -> str:
    return HEAD + "".join(f"  - {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("line", "where", "fact", "step"),
    [
        ("{name: a, stage: 1, wrk: {}}", "p:4:25", "wrk is not a key of a step", 'Did you mean "work"?'),
        ("{name: a, stage: 1}", "p:4:5", 'a step has no "work"', "Add work: …"),
        ("{stage: 1, work: {}}", "p:4:5", 'a step has no "name"', "Add name: …"),
        ("{name: a, work: {}}", "p:4:5", "the step a has no stage", "Add stage: 1, or if: always."),
        ("{name: a, stage: -1, work: {}}", "p:4:22", "stage cannot be -1", "whole number from 0"),
        ("{name: a, stage: 1.5, work: {}}", "p:4:22", "stage cannot be 1.5", "whole number"),
        ("{name: a, stage: yes, work: {}}", "p:4:22", 'stage cannot be "yes"', "whole number"),
        ('{name: "a\\0b", stage: 1, work: {}}', "p:4:12", 'the name "a\\x00b" is not possible', "1 to 128"),
        ("{name: a, if: sucess, work: {}}", "p:4:19", 'if cannot be "sucess"', 'Did you mean "success"?'),
        ("{name: a, if: always(), work: {}}", "p:4:19", 'if cannot be "always()"', 'Did you mean "always"?'),
        ("{name: a, if: matrix.x ==, work: {}}", "p:4:30", "the end stands where a value belongs", ""),
        ("{name: a, if: pipeline.b.status == 'x', work: {}}", "p:4:19", 'there is no step "b"', "Possible here: a."),
        (
            "{name: a, stage: 1, success_threshold: 2, work: {}}",
            "p:4:44",
            "success_threshold cannot be 2",
            "from 0 to 1",
        ),
        ("{name: a, stage: 1, evaluate_on_runtime: 1, work: {}}", "p:4:46", "must be true or false", "Write true"),
        ("{name: a, stage: 1, runs_on: gpu, work: {}}", "p:4:34", 'no deployment "gpu"', "Add deployments, or remove"),
        ("{name: a, stage: 1, work: {evnt: 5}}", "p:4:32", "A work has no field evnt", 'Did you mean "event"?'),
        ("{name: a, stage: 1, work: {status: success}}", "p:4:32", "status is not said by hand", "Remove it."),
        ("{name: a, stage: 1, work: {run: 1}}", "p:4:32", "run is not said by hand", "Remove it."),
        ("{name: a, stage: 1, work: {tag: a, tags: b}}", "p:4:32", "tag and tags are the same", "Keep tags."),
        ("{name: a, stage: 1, work: {priority: 7}}", "p:4:42", "The priority of a work cannot be 7", "from 1 to 5"),
        ("{name: a, stage: 1, work: {timeout: 1e9}}", "p:4:41", "The timeout of a work cannot be", "1 to 259200"),
        ("{name: a, stage: 1, work: {function: f.g, command: [x]}}", "p:4:5", "a function and a command", "Leave one"),
        ('{name: a, stage: 1, work: {site: "x\\0y"}}', "p:4:38", "The site of a work cannot be", "without NUL"),
        ("{name: a, stage: 1, work: {site: '${{ matrx.x }}'}}", "p:4:43", "there is no matrx", 'mean "matrix"?'),
        ("{name: a, stage: 1, work: {site: '${{ matrix.x }}'}}", "p:4:43", "no matrix.x for the step a", "no matrix."),
        (
            "{name: a, stage: 1, matrix: {site: [x]}, work: {site: 'a ${{ matrix.sight }}'}}",
            "p:4:66",
            "there is no matrix.sight for the step a",
            'Did you mean "site"?',
        ),
        (
            "{name: a, stage: 1, matrix: {p: [1, 9]}, work: {priority: '${{ matrix.p }}'}}",
            "p:4:63",
            "The priority of a work cannot be 9",
            "from 1 to 5",
        ),
        (
            "{name: a, stage: 1, matrix: {t: [{id: 1}, {nr: 2}]}, work: {event: '${{ matrix.t.id }}'}}",
            "p:4:72",
            'matrix.t has no "id"',
            "Possible here: nr.",
        ),
        ("{name: a, stage: 1, matrix: {x: 5}, work: {}}", "p:4:37", "x in the matrix must be a list", "Write [5]."),
        (
            "{name: a, stage: 1, matrix: {x: []}, work: {tags: '${{ matrix.x }}'}}",
            "p:4:34",
            "x in the matrix is empty",
            "",
        ),
        (
            "{name: a, stage: 1, matrix: {x: {range: [1]}}, work: {}}",
            "p:4:34",
            "the range of x is [1]",
            "stop is included",
        ),
        ("{name: a, stage: 1, matrix: {x: {rnge: [1]}}, work: {}}", "p:4:34", "is a mapping that is no range", ""),
        ("{name: a, stage: 1, matrix: [1], work: {}}", "p:4:33", "matrix must be a mapping", "Write name: [value"),
        (
            "{name: a, stage: 1, matrix: {x: [1], y: ['${{ matrix.x }}']}, work: {}}",
            "p:4:51",
            "matrix.x has no value here: a matrix does not see its own names",
            "",
        ),
        (
            "{name: a, if: matrix.x == 1, matrix: {x: [1]}, work: {}}",
            "p:4:19",
            "matrix.x has no value here: if is decided once for the whole step",
            "",
        ),
        (
            "{name: a, stage: 1, work: {user: '${{ pipeline.a.stat }}'}}",
            "p:4:43",
            "pipeline.a.stat is nothing",
            "status",
        ),
        (
            "{name: a, stage: 1, work: {user: '${{ pipeline }}'}}",
            "p:4:43",
            "pipeline is nothing",
            "pipeline.STEP.status",
        ),
        ("{name: a, stage: 1, work: {user: 'x ${{ '}}", "p:4:41", "braces are not closed", "Write }}"),
    ],
)
def test_a_mistake_in_a_step(line: str, where: str, fact: str, step: str) -> None:
    found = _problems(_steps(line))

    assert len(found) == 1, found
    assert found[0][0] == where
    assert fact in found[0][1]
    assert step in found[0][2]


@pytest.mark.parametrize(
    ("text", "where", "fact"),
    [
        ("", "p:1:1", "is empty"),
        ("- a", "p:1:1", "must be a mapping"),
        ("a: [", "p:1:5", "is not YAML"),
        ("name: a\n", "p:1:1", 'the file has no "pipeline"'),
        ("name: a\npipeline: []", "p:2:11", "pipeline must be a mapping"),
        ("name: a\npipeline: {}", "p:2:11", "pipeline has no steps"),
        ("name: a\npipeline: {steps: []}", "p:2:19", "steps is empty"),
        ("name: a\npipelines: {}\n", "p:2:1", "pipelines is not a key of the file"),
        (f"version: 3\n{_steps('{name: a, stage: 1, work: {}}')}", "p:1:10", 'version cannot be "3"'),
        (f"canfar_cert: x\n{_steps('{name: a, stage: 1, work: {}}')}", "p:1:1", "a private key"),
        (
            f"schedule: {{cronspec: '* *'}}\n{_steps('{name: a, stage: 1, work: {}}')}",
            "p:1:22",
            "has 2 fields, not five",
        ),
        (
            f"schedule: {{cronspec: '0 0 30 2 *'}}\n{_steps('{name: a, stage: 1, work: {}}')}",
            "p:1:22",
            "is not possible",
        ),
        (f"schedule: {{lives: 1}}\n{_steps('{name: a, stage: 1, work: {}}')}", "p:1:11", 'has no "cronspec"'),
        (
            f"schedule: {{cronspec: '@daily', lives: 0}}\n{_steps('{name: a, stage: 1, work: {}}')}",
            "p:1:39",
            "lives cannot be 0",
        ),
        (
            f"matrix: {{x: [1]}}\n{HEAD.replace('pipeline:', 'pipeline: {matrix: {x: [1]}, steps: [')}]}}",
            "p:3:20",
            "is a matrix",
        ),
        ("name: a\ndeployments: [{site: x}]\npipeline: {steps: []}", "p:2:15", 'a deployment has no "name"'),
    ],
)
def test_a_mistake_in_a_file(text: str, where: str, fact: str) -> None:
    with pytest.raises(PipelineProblems) as raised:
        read(text, source="p")

    told = [f"{each.where}: {each.fact}" for each in raised.value.problems] or [raised.value.fact]
    assert any(each.startswith(f"{where}: ") and fact in each for each in told), told


def test_mistakes_between_steps() -> None:
    text = _steps(
        "{name: a, stage: 1, work: {site: '${{ pipeline.b.work.results.site }}'}, evaluate_on_runtime: true}",
        "{name: b, stage: 2, work: {site: '${{ pipeline.a.work.results.site }}'}}",
        "{name: a, stage: 2, work: {}}",
        "{name: c, stage: 1, if: pipeline.d.status == 'success', work: {}}",
        "{name: d, if: success, work: {}}",
        "{name: e, if: pipeline.d.status == 'success', work: {}}",
    )

    assert [(where, fact) for where, fact, _ in _problems(text)] == [
        ("p:4:43", 'the step a refers to "b", which does not end before it begins'),
        ("p:5:43", 'what became of "a" is not known when "b" is deployed'),
        ("p:6:12", '"a" is there already, in line 4'),
        ("p:7:29", 'the step c refers to "d", which does not end before it begins'),
        ("p:9:19", 'the step e refers to "d", which does not end before it begins'),
    ]


def test_mistakes_in_the_defaults_are_told_once() -> None:
    text = "defaults: {priority: 9, site: '${{ matrix.x }}', retry: 1}\n" + _steps(
        "{name: a, stage: 1, work: {}}", "{name: b, stage: 1, work: {site: here}}"
    )

    assert [(where, fact) for where, fact, _ in _problems(text)] == [
        ("p:1:22", "The priority of a work cannot be 9"),
        ("p:1:36", "there is no matrix.x for the step a"),
        ("p:1:50", "A work has no field retry"),
    ]


def test_values_are_told_beside_mistakes_of_other_kinds() -> None:
    text = "matrix: {n: {range: [1, 2, 0]}, k: {range: [5, 1]}, s: text, q: {rnge: [1, 2]}}\n" + _steps(
        "{name: a, stage: one, work: {timeout: 0, event: x, site: '${{ matrix.n }}${{ matrix.k }}${{ matrix.s }}'}}",
        "{name: b, stage: 1, matrix: {p: {from: 1}}, work: {user: '${{ matrix.q }}${{ matrix.p }}', status: success}}",
    )

    assert [(where, fact) for where, fact, _ in _problems(text)] == [
        ("p:1:10", "the range of n holds no number"),
        ("p:1:33", "the range of k holds no number"),
        ("p:1:56", "s in the matrix must be a list, but is a single value"),
        ("p:1:62", "q in the matrix is a mapping that is no range"),
        ("p:5:22", 'stage cannot be "one"'),
        ("p:5:43", "The timeout of a work cannot be 0"),
        ("p:5:53", "The event of a work cannot be 'x'"),
        ("p:6:34", "p in the matrix is a mapping that is no range"),
        ("p:6:96", "status is not said by hand"),
    ]


def test_a_misspelled_name_of_a_matrix_is_not_an_unused_one_as_well() -> None:
    text = "matrix: {telescope: [1]}\n" + _steps(
        "{name: a, stage: 1, matrix: {event: [1]}, work: {event: '${{ matrix.evnt }}', site: '${{ matrix.telescop }}'}}"
    )

    with pytest.raises(PipelineProblems) as raised:
        read(text, source="p")

    assert [each.next_step for each in raised.value.problems] == ['Did you mean "event"?', 'Did you mean "telescope"?']
    assert raised.value.warnings == ()


def test_the_same_name_inside_and_outside() -> None:
    text = "matrix: {event: [1, 2]}\n" + _steps(
        "{name: a, stage: 1, matrix: {event: [3]}, work: {event: '${{ matrix.event }}'}}"
    )

    assert [(where, fact) for where, fact, _ in _problems(text)] == [
        ("p:5:34", "event is in the matrix of the pipeline too")
    ]


def test_deployments_are_held_to_what_runners_can_be() -> None:
    text = (
        "deployments:\n"
        "- {name: a, image: i, sleep: -1, lives: 0, replicas: 0, resources: {cores: x, ram: 4 apples, gpus: 1}}\n"
        "- {name: a}\n" + _steps("{name: s, stage: 1, runs_on: 'a, b', work: {}}")
    )

    assert [(where, fact) for where, fact, _ in _problems(text)] == [
        ("p:2:30", "sleep cannot be -1"),
        ("p:2:41", "lives cannot be 0"),
        ("p:2:54", "replicas cannot be 0"),
        ("p:2:76", 'cores cannot be "x"'),
        ("p:2:84", 'ram cannot be "4 apples"'),
        ("p:2:94", "gpus is not a key of resources"),
        ("p:3:10", '"a" is there already, in line 2'),
        ("p:7:34", 'there is no deployment "b"'),
    ]


def test_what_may_be_a_mistake_is_a_warning() -> None:
    text = (
        "x-anything: 1\nmatrix: {unused: [1, 2]}\ndeployments: [{name: used}, {name: idle}]\n"
        + _steps(
            "{name: a, stage: 1, runs_on: used, matrix: {also: [1]}, work: {parameters: {x: yes, y: 010, z: 2026-01-01}}}",  # noqa: E501
            "{name: b, stage: 1, work: {}}",
        )
    )  # fmt: skip
    config = read(text, source="p")

    assert [(each.where, each.fact) for each in config.warnings] == [
        ("p:1:1", "nothing reads x-anything"),
        ("p:2:10", "nothing uses matrix.unused"),
        ("p:3:29", 'nothing runs on "idle"'),
        ("p:7:49", "nothing uses matrix.also"),
        ("p:7:84", "yes is a text here, which other readers of YAML take otherwise"),
        ("p:7:92", "010 is a text here, which other readers of YAML take otherwise"),
        ("p:7:100", "2026-01-01 is a text here, which other readers of YAML take otherwise"),
        ("p:8:5", "the step b runs on none of the deployments"),
    ]
    assert config.steps[0].work["parameters"] == {"x": "yes", "y": "010", "z": "2026-01-01"}


@pytest.mark.parametrize(
    ("condition", "fact", "step"),
    [
        ("pipeline.a.status == 'succes'", 'pipeline.a.status is never "succes"', 'Did you mean "success"?'),
        ("not ('failed' != pipeline.a.status) or true", 'is never "failed"', ""),
        ("pipeline.a.status in ['success', 'Failure']", 'is never "Failure"', 'Did you mean "failure"?'),
        ("pipeline.a.status == 1", "is never 1", ""),
    ],
)
def test_a_status_that_no_step_ends_with_is_warned_of(condition: str, fact: str, step: str) -> None:
    text = _steps("{name: a, stage: 1, work: {}}", f'{{name: b, if: "{condition}", work: {{}}}}')
    (warning,) = read(text, source="p").warnings
    assert fact in warning.fact
    assert step in warning.next_step


def test_statuses_that_steps_end_with_are_not_warned_of() -> None:
    condition = "pipeline.a.status == 'cancelled' or pipeline.a.status in ['success', 'failure']"
    text = _steps("{name: a, stage: 1, work: {}}", f'{{name: b, if: "{condition}", work: {{}}}}')
    assert read(text).warnings == ()


def test_works_that_no_runner_of_a_deployment_does_are_warned_of() -> None:
    text = "deployments: [{name: d, site: aro}, {name: e, site: kko}, {name: any}]\nruns_on: d, e\n" + _steps(
        "{name: a, stage: 1, work: {site: aro}}",
        "{name: b, stage: 1, matrix: {s: [kko, chime]}, work: {site: '${{ matrix.s }}'}}",
        "{name: c, stage: 1, runs_on: any, work: {site: chime}}",
    )
    assert [(each.fact, each.next_step) for each in read(text).warnings] == [
        ('no runner of its deployments does works of the site "chime"', "They do those of aro, kko."),
    ]


def test_a_file_comes_to_so_many_works_and_no_more() -> None:
    step = "{name: a, stage: 1, matrix: {x: {range: [1, 500]}}, work: {event: '${{ matrix.x }}'}}"
    matrix = "matrix: {y: {range: [1, 200]}}\n"

    assert len(read(matrix + _steps(step)).assignments()) * 500 == WORKS_LIMIT
    begun = time.perf_counter()
    assert [fact for _, fact, _ in _problems(matrix + _steps(step, "{name: b, stage: 2, work: {}}"))] == [
        "the file comes to 100200 works, more than 100000 works and 500 MB"
    ]
    huge = "{name: a, stage: 1, matrix: {x: {range: [1, 99999]}, y: {range: [0, 0.5, 0.00001]}}, work: {}}"
    assert "works, more than 100000" in _problems(_steps(huge))[0][1]
    assert time.perf_counter() - begun < 60


def test_a_large_text_does_not_become_many() -> None:
    step = (
        "{name: a, stage: 1, matrix: {x: {range: [1, 100000]}}, work: {event: '${{ matrix.x }}', path: "
        + "x" * 10_000
        + "}}"
    )

    assert f"MB, more than 100000 works and {BYTES_LIMIT // 1_000_000} MB" in _problems(_steps(step))[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)),
        "x: &x " + "y" * 100_000 + "\nz: [" + "*x, " * 1_000 + "]\n" + _steps("{name: a, stage: 1, work: {}}"),
        "x: " + "[" * 60 + "]" * 60,
        "x: &x [*x]",
        "x: " + "y" * 1_000_001,
        "name: \0",
        "name: !!binary aGk=",
        "name: !!python/object/apply:os.system ['id']",
        "--- a\n--- b",
    ],
    ids=["laughs", "long aliases", "deep", "itself", "long", "NUL", "tag", "object", "two documents"],
)
def test_hostile_documents_are_refused(text: str) -> None:
    with pytest.raises(PipelineProblems) as raised:
        read(text, source="p")

    assert raised.value.fact.startswith("p:")


def test_more_mistakes_than_anybody_reads_end_the_reading() -> None:
    found = _problems(_steps(*["{name: a, stage: x, work: {}}"] * 500))

    assert len(found) == 20


@pytest.mark.parametrize("name", ["artefacts", "statuss", "creatin", "idd", "parents", "atempt"])
def test_nobody_is_led_to_a_field_that_is_refused(name: str) -> None:
    with pytest.raises(PipelineProblems) as told:
        read(_steps(f"{{name: a, stage: 1, work: {{{name}: 1}}}}"), source="p")
    ((_, fact, step),) = told.value.problems
    assert (fact, step) == (
        f"A work has no field {name}", "Leave it out: what it is near to is not said by hand."
    )  # fmt: skip
    with pytest.raises(PipelineProblems) as told:
        read(_steps("{name: a, stage: 1, work: {paramters: {}}}"), source="p")
    assert told.value.problems[0].next_step == 'Did you mean "parameters"?'
    with pytest.raises(PipelineProblems) as told:
        read(_steps("{name: a, stage: 1, work: {zzz: 1}}"), source="p")
    assert set(told.value.problems[0].next_step.replace(",", "").replace(".", "").split()).isdisjoint(
        {"artifacts", "run", "status", "creation", "id", "parent"}
    )
