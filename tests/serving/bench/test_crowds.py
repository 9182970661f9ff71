"""Who suffers from whom, and what becomes of many models."""

from __future__ import annotations

from clx.serving.bench.crowds import beside, crowd


def test_requests_with_little_time_do_not_suffer_from_heavy_batches_of_others() -> None:
    alone, among = (beside(100, heavy, seconds=4) for heavy in (0, 1_500))
    assert among["quick"].offered == alone["quick"].offered > 300
    assert among["quick"].refused_rate <= alone["quick"].refused_rate + 0.01
    assert among["quick"].kept_rate == among["heavy"].kept_rate == 1
    assert among["heavy"].kept > 4 * 1_100  # which is more than one by one


def test_of_many_models_some_are_cold_and_who_is_accepted_is_answered() -> None:
    done = crowd(200, 3, part=0.05)
    assert 0 < done.told.cold < done.told.offered
    assert done.told.refused <= done.told.cold + done.told.offered // 10
    assert done.told.kept_rate >= 0.999
    assert done.evicted > 0


def test_without_a_limit_of_memory_nothing_is_cold() -> None:
    done = crowd(20, 2)
    assert (done.told.cold, done.evicted) == (0, 0)
    assert done.told.kept_rate >= 0.999
