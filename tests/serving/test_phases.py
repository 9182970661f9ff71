"""Wait, load, countdown, infer: what each takes, and how one becomes the next."""

from __future__ import annotations

import asyncio

import pytest

from clx.serving import phases
from clx.serving.failures import Refusal
from clx.serving.phases import Phases


def test_each_phase_takes_what_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "SILENCE", 0.01)
    seen: list[str] = []

    async def live() -> None:
        entered = asyncio.Event()

        def told(phase: str) -> None:
            seen.append(phase)
            if phase == "infer":
                entered.set()

        its = Phases(told)
        for _ in range(2):  # a load during the countdown begins it anew
            with pytest.raises(Refusal, match="no requests are taken yet") as bounced:
                its.require_infer()
            assert (bounced.value.status, bounced.value.more["phase"]) == (409, its.phase)
            its.begin_load()
            its.begin_load()
            its.end_load()
            assert its.phase == "load"
            its.end_load()
        await asyncio.wait_for(entered.wait(), 30)
        its.require_infer()
        with pytest.raises(Refusal, match="loading is over") as refused:
            its.begin_load()
        assert refused.value.document()["phase"] == "infer"

    asyncio.run(live())
    assert seen == ["load", "countdown", "load", "countdown", "infer"]
