"""What is told to Prometheus."""

from __future__ import annotations

from clx.exposition import family, histogram


def test_whole_numbers_have_all_their_digits() -> None:
    *_, line = family("n", "counter", "N.", [({"a": 'x"\\\n'}, 12_345_678)])
    assert line == r'n{a="x\"\\\n"} 12345678'
    assert list(family("n", "gauge", "N.", [({}, 0.25)]))[-1] == "n 0.25"


def test_a_histogram_counts_what_is_at_most_each_bound() -> None:
    lines = list(histogram("n", "N.", (1, 2.5), [({"a": "b"}, [3, 0, 2], 9.5)]))
    assert lines[2:] == [
        'n_bucket{a="b",le="1"} 3',
        'n_bucket{a="b",le="2.5"} 3',
        'n_bucket{a="b",le="+Inf"} 5',
        'n_sum{a="b"} 9.500000',
        'n_count{a="b"} 5',
    ]
