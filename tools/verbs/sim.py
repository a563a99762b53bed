"""`mote sim`: years of weather for whole nodes, in minutes, from one seed."""

import argparse
import concurrent.futures
import json
import multiprocessing
import sys
import textwrap
import time

from tools import errors
from tools.sim import repeat, replay, report, shrink, storms
from tools.sim.faults import KINDS
from tools.sim.invariants import NAMES
from tools.sim.run import Run, Setup

HELP = "simulate nodes in virtual time, with every fault there is, from one seed"
_NODES = 8
EXAMPLE = "mote sim --seed 7 --nodes 8 --days 1 --faults all"


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". The shipped firmware runs unchanged against simulated boards, chips, Wi-Fi, name and time servers "
        "and a broker in memory that is stricter than the standard. While faults are on nothing wrong may happen; once "
        "they are healed everybody has to come back in time. A run that fails prints its seed and the "
        "shortest schedule of faults found that still fails.", 100)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="decides everything (default 1)")
    parser.add_argument("--seeds", type=_count, default=1, metavar="N",
                        help="this seed and those after it, N in all: a verdict line each")
    parser.add_argument("--jobs", type=_count, default=1, metavar="N", help="processes for the seeds (default 1)")
    parser.add_argument("--nodes", type=_count, metavar="N", help=f"how many nodes (default {_NODES})")
    parser.add_argument("--days", type=_days, default=1.0, metavar="D", help="virtual days (default 1)")
    parser.add_argument("--faults", type=_faults, default=(), metavar="NAME,...",
                        help="what goes wrong: `all`, `none` (default), or names; `--list` shows them")
    parser.add_argument("--only", type=_numbers, metavar="N,...", help="of the seed's faults, only these numbers")
    parser.add_argument("--interval-s", type=_count, default=60, metavar="N", help="between two readings (default 60)")
    parser.add_argument("--plain", action="store_true", help="every node the same: one sensor, all else by default")
    parser.add_argument("--no-shrink", action="store_true", help="do not look for a shorter schedule that fails")
    parser.add_argument("--world", metavar="FILE.csv", help="measure what stands there: time, then a column a quantity")
    parser.add_argument("--replay", metavar="FILE",
                        help="another run: one node meets what a flight recorder tells, as far as that carries; "
                        "FILE is what `mote command NODE report` printed")
    parser.add_argument("--config", metavar="FILE", help="with --replay: the configuration that this node had")
    parser.add_argument("--storm", choices=sorted(storms.KINDS),
                        help="another run: all lose their broker at once (fleet: 10000 for ten minutes, windows from "
                        "60 to 300 s; home: 20 for 5 s, from 5 to 60 s), and must come back in time without a rush")
    parser.add_argument("--report", metavar="FILE.html", help="write a page with a lane for every node; of a storm "
                        "with its curves, with and without jitter")
    parser.add_argument("--log", action="store_true", help="what the nodes log, with virtual seconds")
    parser.add_argument("--list", action="store_true", help="show all faults and invariants, and end")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _days(text):
    number = float(text)
    if not 0.01 <= number <= 36_500:
        raise argparse.ArgumentTypeError(f"{text} days: 0.01 to 36500 are possible")
    return number


def _numbers(text):
    return frozenset(int(part) for part in text.split(",") if part)


def _faults(text):
    if text in ("all", "none"):
        return tuple(KINDS) if text == "all" else ()
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no fault {', '.join(unknown)}; there are: {', '.join(KINDS)}")
    return names


def run(args):
    if args.list:
        return _list()
    if args.report and args.seeds > 1:
        raise errors.UserError("--report shows one run: leave --seeds out")
    if args.storm:
        return _storm(args)
    if args.replay:
        return _replay(args)
    if args.config:
        raise errors.UserError("--config goes with --replay: simulated nodes have configurations of their own")
    setup = Setup(args.seed, args.nodes or _NODES, args.days, args.faults, args.only, args.interval_s, not args.plain)
    setups = [setup._replace(seed=seed) for seed in range(args.seed, args.seed + args.seeds)]
    ok = True
    if args.world and (len(setups) > 1 or not args.no_shrink and args.faults):
        raise errors.UserError("--world is for one run: leave --seeds out, and say --no-shrink with faults")
    for setup, verdict in zip(setups, _verdicts(setups, args), strict=True):
        if not verdict["ok"] and args.faults and not args.no_shrink:
            print("looking for a shorter schedule that still fails ...", file=sys.stderr, flush=True)
            verdict["shrunk"] = [fault._asdict() for fault in shrink.shortest(setup, verdict)]
        told = text(setup, verdict)
        if args.json:
            print(json.dumps(verdict), flush=True)
        else:
            print("\n".join(told if args.seeds == 1 or not verdict["ok"] else told[:1]), flush=True)
        ok = ok and verdict["ok"]
    return errors.DONE if ok else errors.FAILED


def _verdicts(setups, args):
    """Yield the verdict of each run, in their order."""
    if args.jobs == 1 or len(setups) == 1:
        more = _say if args.log else None, args.report, args.world and replay.load(args.world)
        return _each(_verdict, [(setup, *more) for setup in setups], 1)
    return _each(_verdict, [(setup,) for setup in setups], args.jobs)


def _verdict(setup, say=None, page=None, world_for=None):
    began = time.monotonic()
    run = Run(setup, say=say, history=bool(page), world_for=world_for)
    verdict = run.go()
    if page:
        _write(page, report.page(setup, verdict, run.watch.history))
    return {**verdict, "wall_s": round(time.monotonic() - began, 2)}


def _replay(args):
    """One node, and what its flight recorder tells."""
    if args.seeds > 1 or args.nodes not in (None, 1) or args.faults or args.world:
        raise errors.UserError("--replay is one node that meets what was recorded: leave --seeds, --nodes, --faults "
                               "and --world out")
    from tools.verbs.run import read_config  # wants what is installed; all else here does with Python alone

    told, others = repeat.load(args.replay)
    document = args.config and read_config(args.config)
    setup = Setup(seed=args.seed, interval_s=args.interval_s)
    began = time.monotonic()
    found, run = repeat.verdict(told, document, setup, _say if args.log else None, bool(args.report))
    found = {**found, "wall_s": round(time.monotonic() - began, 2)}
    found["replayed"]["other_lines"] = others
    if args.report:
        _write(args.report, report.page(run.setup, found, run.watch.history))
    print(json.dumps(found) if args.json else "\n".join([*text(setup, found), *repeat.text(found["replayed"])]),
          flush=True)
    return errors.DONE if found["ok"] else errors.FAILED


def _storm(args):
    """A storm for each seed, a line each."""
    if args.report:
        told, drawn = storms.page(args.storm, args.seed, args.nodes)
        _write(args.report, drawn)
        verdicts = [told]
    else:
        seeds = range(args.seed, args.seed + args.seeds)
        verdicts = _each(storms.verdict, [(args.storm, seed, args.nodes) for seed in seeds], args.jobs)
    ok = True
    for told in verdicts:
        print(json.dumps(told) if args.json else storms.text(told), flush=True)
        ok = ok and told["ok"]
    return errors.DONE if ok else errors.FAILED


def _each(function, calls, jobs):
    """Yield what each call gives, in their order, from so many processes."""
    if jobs == 1 or len(calls) == 1:
        yield from (function(*arguments) for arguments in calls)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(function, *zip(*calls, strict=True))


def _write(path, page):
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
    except OSError as error:
        raise errors.UserError(f"cannot write {path}: {error.strerror}") from None


def _say(t_s, node, line):
    print(f"{t_s:14.6f}  {node}  {line}", file=sys.stderr)


def _list():
    print("faults (times a day, for every node or for all at once; how long, in seconds):")
    for name, kind in KINDS.items():
        lasts = f"{kind.shortest_s:g} to {kind.longest_s:g} s" if kind.longest_s else ""
        print(f"  {name:16} {kind.per_day:4g}  {kind.scope:5} {lasts}")
    print("invariants:")
    for name, meaning in NAMES.items():
        print(f"  {name:12}  {meaning}")
    return errors.DONE


def text(setup, verdict):
    """The verdict for people, as lines."""
    rate = verdict["readings"] / verdict["wall_s"]
    lines = [f"seed {verdict['seed']}: {verdict['nodes']} nodes, {verdict['days']:g} days, {verdict['faults']} faults, "
             f"{verdict['readings']} readings in {verdict['wall_s']} s ({rate:.0f}/s): "
             + ("ok" if verdict["ok"] else "FAILED")]
    lines.append(f"digest {verdict['digest']}")
    for found in verdict["violations"]:
        lines.append(f"  {found['t']:.3f} s  {found['node']}  {found['invariant']}: {found['text']}")
    if "shrunk" in verdict:
        lines.append(f"the shortest schedule found that still fails ({len(verdict['shrunk'])} of {verdict['faults']}):")
        for fault in verdict["shrunk"]:
            node = "all nodes" if fault["node"] is None else f"n{fault['node']:05d}"
            lines.append(f"  {fault['at_s']:.3f} s  {node}  {fault['kind']} for {fault['lasts_s']:g} s")
        lines.append("again: " + again(setup, verdict["shrunk"]))
    return lines


def again(setup, shrunk):
    """The command line that repeats a shrunk run."""
    only = ",".join(str(fault["number"]) for fault in shrunk)
    faults = "all" if len(setup.faults) > 5 else ",".join(setup.faults)
    return (f"mote sim --seed {setup.seed} --nodes {setup.nodes} --days {setup.days:g} --faults {faults} --only {only} "
            "--log" + ("" if setup.varied else " --plain")
            + (f" --interval-s {setup.interval_s}" if setup.interval_s != 60 else ""))
