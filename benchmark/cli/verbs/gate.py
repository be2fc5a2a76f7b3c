"""`gate`: whether a candidate is as good as a frozen baseline."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmark.cli.verbs.request import Request
from benchmark.core import ExitCode, UserError
from benchmark.files import replacing
from benchmark.results.golden import (
    Results,
    find_results,
    is_changed,
    promote,
    promoted,
    read_results,
    require_whole,
)
from benchmark.results.storage import without_collection


@without_collection()
def show_gate(request: Request) -> int:
    """Compare a candidate with a frozen baseline: pass (0), fail (1) or investigate (3).

    A baseline is a folder of results with one model. promote=true reason="..." makes the candidate
    the baseline, unless it fails or lacks a task of the earlier one. There is no other way to make
    or replace a baseline.
    """
    options = request.options
    if not options.get("candidate") or not options.get("baseline"):
        raise UserError(
            "gate compares a candidate with a baseline; write gate CANDIDATE baseline=FOLDER"
        )
    reason = options.get("reason", "").strip()
    if options.get("promote", "true") != "true" or ("promote" in options) != bool(reason):
        raise UserError('a baseline is replaced by promote=true reason="..." together; give both')
    golden = Path(options["baseline"]).expanduser()
    require_whole(golden)
    candidate = find_results(options["candidate"], Path(options["results"]).expanduser())
    if reason and not golden.exists():
        status, message = ExitCode.DONE, "the first baseline"
    else:
        status, message = judge(request, candidate, golden)
        old, new = (
            {f"{record.task} · {record.method}" for record in promoted(records)}
            for records in (read_results(golden).records, candidate.records)
        )
        missing = old - new
        if reason and missing and status != ExitCode.FAILED:
            raise UserError(
                f"{candidate.name} has no results of {', '.join(sorted(missing))}, which {golden} "
                "has; run them first, or promote the candidate to another folder"
            )
    if reason and status != ExitCode.FAILED:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"when": when, "reason": reason, "candidate": candidate.name, "verdict": message}
        previous = promote(candidate.records, candidate.folder, golden, entry)
        moved = f"; the earlier one is in {previous}" if previous else ""
        print(f"{golden} is now a copy of {candidate.name}{moved}", file=sys.stderr)
        return ExitCode.DONE
    if reason:
        print(f"{golden} stays as it is: a candidate that fails is not promoted", file=sys.stderr)
    return status


def judge(request: Request, candidate: Results, golden: Path) -> tuple[ExitCode, str]:
    """Show and write the verdict; the exit status and the verdict in one line."""
    from benchmark.report.gate import as_junit, as_report, gate
    from benchmark.report.margins import read_margins
    from benchmark.stats.gate import Verdict

    files = {
        name: Path(request.options[name]).expanduser()
        for name in ("margins", "junit", "message")
        if name in request.options
    }
    found = gate(candidate, read_results(golden), read_margins(files.get("margins")))
    if is_changed(golden):
        changed = f"files in {golden} changed after its promotion"
        found = found._replace(reasons=(changed,))
    for name, text in (("junit", as_junit(found)), ("message", found.message + "\n")):
        if name in files:
            with replacing(files[name]) as file:
                file.write_text(text, encoding="utf-8")
    request.show(as_report(found))
    status = {Verdict.PASS: ExitCode.DONE, Verdict.FAIL: ExitCode.FAILED}
    return status.get(found.verdict, ExitCode.INVESTIGATE), found.message
