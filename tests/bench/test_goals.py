"""Figures, ratios and verdicts, and what is written of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import catalogue, contestants, document, goals, measurement, report, table


def figure(*values: float, peak: int | None = None) -> measurement.Figure:
    return measurement.Figure([measurement.Sample(value=value, peak=peak) for value in values])


def row(name: str, unit: measurement.Unit = "/s", **figures: measurement.Figure) -> measurement.RowResult:
    found = {contestant.replace("_", "-"): one for contestant, one in figures.items()}
    return measurement.RowResult(name=name, title=f"title of {name}", unit=unit, how="somehow", figures=found)


def test_a_ratio_is_made_within_a_round() -> None:
    # The machine was half as fast in the last two rounds, for both.
    assert figure(100, 50, 50).over(figure(50, 25, 100)) == 2.0


def test_without_pairs_it_is_made_of_the_medians() -> None:
    assert figure(100).over(figure(50, 25, 30)) == pytest.approx(100 / 30)


@pytest.mark.parametrize(
    ("most", "reached", "verdict"),
    [
        (False, 3.0, "reached, and then"),
        (False, 2.0, "reached"),
        (False, 1.99, "missed"),
        (True, 1.0, "reached, and then"),
        (True, 2.0, "reached"),
        (True, 2.01, "missed"),
        (True, None, "not measured"),
    ],
)
def test_a_verdict(most: bool, reached: float | None, verdict: str) -> None:
    goal = goals.Goal(
        work="", wanted="", reach=lambda _results, _server: None, least=2.0, then=1.5 if most else 2.5, most=most
    )
    assert goal.verdict(reached) == verdict


def goal(work: str, wanted: str = "") -> goals.Goal:
    return next(one for one in goals.GOALS if one.work.startswith(work) and wanted in one.wanted)


def test_writes_are_compared_with_those_of_nginx() -> None:
    results = goals.Results([row("put-1k", granian=figure(900), uvicorn=figure(300), nginx=figure(300))])
    wanted = goal("PUT 1 KiB, 32", "nginx")
    assert [wanted.reach(results, server) for server in ("granian", "uvicorn")] == [3.0, 1.0]


def test_each_server_is_compared_with_its_own_ceiling() -> None:
    figures = {"granian": figure(40), "hello_granian": figure(80), "uvicorn": figure(30), "hello_uvicorn": figure(40)}
    results = goals.Results([row("get-1k", "/s", **figures)])
    wanted = goal("GET 1 KiB, 32", "hello")
    assert [wanted.reach(results, server) for server in ("granian", "uvicorn")] == [0.5, 0.75]


def test_the_peak_is_that_of_all_rows_and_workers_of_a_server() -> None:
    results = goals.Results(
        [
            row("get-1k", granian=figure(1, peak=100 * 2**20), nginx=figure(1, peak=900 * 2**20)),
            row("memory-up", granian=figure(1, peak=140 * 2**20), uvicorn=figure(1, peak=80 * 2**20)),
            row("put-1k", granian_files=figure(1, peak=141 * 2**20)),
        ]
    )
    assert results.peak("granian") == 141
    assert results.peak("uvicorn") == 80


def test_what_was_not_measured_has_no_verdict() -> None:
    assert all(one.verdict(one.reach(goals.Results([]), "granian")) == "not measured" for one in goals.GOALS)


def test_the_best_comes_first() -> None:
    faster = "\n".join(table.lines([row("get-1k", granian=figure(1), nginx=figure(2))]))
    assert faster.index("nginx") < faster.index("granian")
    sooner = "\n".join(table.lines([row("page-1m", "ms", granian=figure(1), nginx=figure(2))]))
    assert sooner.index("granian") < sooner.index("nginx")


@pytest.fixture
def made() -> report.Report:
    return report.Report(
        date="2026-01-02T03:04:05+00:00",
        scale="full",
        rounds=3,
        command="python -m bench",
        seconds=600.0,
        machine={"processor": "a fast one"},
        versions={"granian": "2.8"},
        commands={"granian": "objectstore serve"},
        rows=[row("put-1k", granian=figure(900, 1000, 1100), nginx=figure(300, 250, 275))],
    )


def test_a_report_survives_its_file(made: report.Report, tmp_path: Path) -> None:
    report.save(made, tmp_path / "made.json")
    assert report.load(tmp_path / "made.json") == made


def test_figures_go_between_the_marks_and_replace_older_ones(made: report.Report, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    explained = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    page.write_text(explained)
    document.write(made, page)
    once = page.read_text()
    assert "| granian | 1 000 | 900 – 1 100 |" in once
    assert "2.0 of nginx DAV, which does not sync | 4 ✓ |" in once
    assert once.startswith(explained[: explained.index("<!-- figures")])
    document.write(made, page)
    assert page.read_text() == once


def test_a_page_without_marks_is_left_alone(made: report.Report, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(ValueError, match="has no lines"):
        document.write(made, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == "nothing"


def test_the_page_tells_who_every_contestant_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    alone = {lane for one in catalogue.ROWS for lane in one.lanes if lane.endswith("-alone")}
    assert "sqlite-alone" in alone
    for name in alone | contestants.CONTESTANTS.keys():
        assert f"`{name}`" in text, name


def test_every_goal_is_about_rows_and_contestants_that_there_are() -> None:
    measured = goals.Results(
        [row(one.name, "/s", **dict.fromkeys(one.lanes, figure(1, peak=1))) for one in catalogue.ROWS]
    )
    for one in goals.GOALS:
        assert one.reach(measured, "granian") is not None, one.work


def test_a_quick_run_is_of_rows_that_there_are() -> None:
    assert set(catalogue.QUICK) <= {one.name for one in catalogue.ROWS}
