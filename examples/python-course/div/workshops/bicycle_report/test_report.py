"""The tests of the weekly report. Run them with: python -m unittest"""

from __future__ import annotations

import unittest
from pathlib import Path

from report import Summary, format_report, read_counts, summarize

WEEK = Path(__file__).parent / "data" / "counts_week.csv"


class ReadCounts(unittest.TestCase):
    def test_reads_every_day(self) -> None:
        self.assertEqual(len(read_counts(WEEK)), 7)

    def test_counts_are_numbers(self) -> None:
        self.assertEqual(read_counts(WEEK)["2024-05-14"], 2015)

    def test_outage_is_none(self) -> None:
        self.assertIsNone(read_counts(WEEK)["2024-05-18"])


class Summarize(unittest.TestCase):
    def test_total_and_days(self) -> None:
        summary = summarize({"2024-05-13": 10, "2024-05-14": 30})
        self.assertEqual((summary.total, summary.days, summary.mean), (40, 2, 20))

    def test_outages_do_not_lower_the_mean(self) -> None:
        summary = summarize({"2024-05-13": 10, "2024-05-14": None})
        self.assertEqual((summary.mean, summary.outages), (10, 1))

    def test_busiest_day(self) -> None:
        self.assertEqual(summarize({"2024-05-13": 10, "2024-05-14": 30}).busiest, "2024-05-14")

    def test_nothing_to_report(self) -> None:
        with self.assertRaises(ValueError):
            summarize({"2024-05-13": None})


class FormatReport(unittest.TestCase):
    def test_names_station_total_and_outages(self) -> None:
        summary = Summary(total=9344, days=6, outages=1, busiest="2024-05-14")
        text = format_report("Isarbrücke", summary, ["2024-05-13", "2024-05-19"])
        for part in ("Isarbrücke", "9,344", "1,557", "2024-05-14", "1 day"):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
