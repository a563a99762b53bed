"""`mote deploy` on the virtual board: real mpremote, real ampy, real MicroPython, littlefs in the flash."""

import json
import os
import random
import re

import pytest

from tests.host.virtual import on_board, replug, tree_of
from tools import ROOT, bench_deploy, errors
from tools.board import files, ports, repl
from tools.sim.board.flash import replayed

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
PULLS = 50 if os.environ.get("MOTE_SOAK") else 3

TREE = {
    "firmware/node.mpy": bytes(range(256)) * 20, "firmware/drivers/air.mpy": b"driver", "firmware/text.txt": b"",
    "lib/mqtt.mpy": os.urandom(5_000), "rescue/rescue.mpy": b"rescue", "lib/mote.txt": b"lib/mqtt.mpy\n",
    "main.py": b"print('main ran')\n", "boot.py": b"print('boot ran')\n",
}


@pytest.fixture
def tree(monkeypatch):
    """A small tree in the place of the node's, to be changed by a test."""
    tree = dict(TREE)
    monkeypatch.setattr(files, "wanted", lambda: tree)
    return tree


@pytest.fixture
def deploy(mote):
    """Calls `mote deploy --json`; gives (status, answer or None, error)."""
    def call(url, *argv):
        status, said, error = mote("deploy", "--port", url, "--json", *argv)
        return status, json.loads(said) if said else None, error

    return call


def run_there(line, code):
    with ports.opened(line.url) as port:
        board = repl.Repl(port, "board")
        board.enter()
        return board.run(code)


def ours(board, tmp_path):
    return {name: content for name, content in on_board(board, tmp_path).items() if name != "config.json"}


def test_everything_arrives_and_runs(deploy, tree, virtual, tmp_path):
    board = virtual()
    status, answer, said = deploy(board.rfc2217().url)
    assert status == errors.DONE, said
    assert answer["sent"][-2:] == ["main.py", "boot.py"]
    assert answer["first_words"][0] == "boot ran"
    assert ours(board, tmp_path) == tree
    assert not board.noticed()


def test_what_is_unchanged_is_not_sent(deploy, tree, virtual, tmp_path):
    board = virtual()
    line = board.rfc2217()
    deploy(line.url)
    status, answer, _ = deploy(line.url)
    assert (status, answer["sent"], answer["bytes"]) == (errors.DONE, [], 0)
    tree["firmware/drivers/air.mpy"] = b"a better driver"
    answer = deploy(line.url)[1]
    assert (answer["sent"], answer["bytes"]) == (["firmware/drivers/air.mpy"], 15)
    assert ours(board, tmp_path) == tree


def test_what_is_gone_is_removed_and_what_is_yours_stays(deploy, tree, virtual, tmp_path):
    board = virtual()
    line = board.rfc2217()
    deploy(line.url)
    yours = {"lib/yours.py": b"x = 1", "config.json": b"{}", "state/outbox": b"readings", "firmware/mqtt.py": b"old"}
    for name, content in yours.items():
        folder = name.rpartition("/")[0]
        run_there(line, f"import os\nif {folder!r} and {folder!r} not in os.listdir():os.mkdir({folder!r})\n"
                        f"f=open({name!r},'wb')\nf.write({content!r})\nf.close()")
    run_there(line, "f=open('lib/mqtt.py','w')\nf.close()")  # would be imported before the bytecode
    del tree["firmware/drivers/air.mpy"]
    answer = deploy(line.url)[1]
    assert answer["removed"] == ["firmware/drivers/air.mpy", "firmware/mqtt.py", "lib/mqtt.py"]
    there = on_board(board, tmp_path)
    del yours["firmware/mqtt.py"]
    assert there == {**tree, **yours}


def test_a_board_that_starts_anew_at_its_prompt_is_met_again(deploy, tree, virtual, tmp_path, monkeypatch):
    board, enter, entered = virtual(), repl.Repl.enter, []

    def with_a_reset(there):
        enter(there)
        entered.append(len(board.log))
        if len(entered) == 1:
            there.reset_by_line()
            assert board.await_said(b"rst:0x1", since=entered[0])

    monkeypatch.setattr(repl.Repl, "enter", with_a_reset)
    status, _, said = deploy(board.rfc2217().url)
    assert status == errors.DONE, said
    assert len(entered) == 2 and ours(board, tmp_path) == tree


def test_somebody_s_own_program_is_kept(mote, tree, virtual, tmp_path):
    board = virtual()
    line = board.rfc2217()
    run_there(line, "f=open('main.py','w')\nf.write('# years of work')\nf.close()")
    status, said, _ = mote("deploy", "--port", line.url)
    assert status == errors.DONE and "its own program is kept there, as main.before.py" in said
    there = on_board(board, tmp_path)
    assert (there["main.before.py"], there["main.py"]) == (b"# years of work", tree["main.py"])
    tree["main.py"] = b"print('newer')\n"
    assert "is kept" not in mote("deploy", "--port", line.url)[1]
    assert on_board(board, tmp_path)["main.before.py"] == b"# years of work"


def test_a_dry_run_changes_nothing(mote, tree, virtual, tmp_path):
    board = virtual()
    before = on_board(board, tmp_path)
    status, said, _ = mote("deploy", "--port", board.rfc2217().url, "--dry-run")
    assert status == errors.DONE and "would send boot.py" in said
    assert on_board(board, tmp_path) == before


def test_by_way_of_ampy(deploy, tree, virtual, tmp_path):
    board = virtual()
    status, answer, _ = deploy(board.pty().url, "--via", "ampy")
    assert status == errors.DONE and answer["first_words"][0] == "boot ran"
    assert ours(board, tmp_path) == tree


def test_a_running_program_is_interrupted_and_its_watchdog_held_off(deploy, tree, virtual, tmp_path):
    board = virtual()
    line = board.rfc2217()
    tree["main.py"] = b"import machine\nw = machine.WDT(timeout=1500)\nprint('main ran')\nwhile True: w.feed()\n"
    deploy(line.url)
    mark = len(board.log)
    tree["lib/mqtt.mpy"] = os.urandom(20_000)
    board.faults.paced = True  # three seconds of sending
    assert deploy(line.url)[0] == errors.DONE
    assert b"TG0WDT" not in board.log[mark:]
    assert ours(board, tmp_path) == tree


def test_a_program_that_cannot_be_interrupted_is_caught_at_its_start(deploy, tree, virtual, tmp_path):
    board = virtual()
    line = board.rfc2217()
    deaf = b"import micropython, time\ntime.sleep(1)\nmicropython.kbd_intr(-1)\nwhile True: pass\n"
    run_there(line, f"f=open('main.py','wb')\nf.write({deaf!r})\nf.close()")
    replug(board)
    assert deploy(line.url)[0] == errors.DONE
    there = ours(board, tmp_path)
    assert there.pop("main.before.py") == deaf and there.pop("boot.before.py")
    assert there == tree


def test_a_wrong_byte_on_the_way_replaces_nothing(deploy, tree, virtual, tmp_path):
    board = virtual()
    line = board.rfc2217()
    deploy(line.url)
    before = ours(board, tmp_path)
    tree["lib/mqtt.mpy"] = os.urandom(30_000)
    board.faults.flip_after_bytes = 20_000
    status, _, said = deploy(line.url)
    assert status in (errors.FAILED, errors.UNREACHABLE) and said
    there = ours(board, tmp_path)
    assert {name: there.get(name) for name in before} == before
    assert deploy(line.url)[0] == errors.DONE
    assert ours(board, tmp_path) == tree


@pytest.mark.parametrize("number", range(PULLS))
def test_a_cable_pulled_while_deploying(deploy, tree, virtual, tmp_path, number):
    seed = int(os.environ.get("MOTE_SEED", 7)) * 1000 + number
    print("MOTE_SEED", seed)
    board = virtual()
    line = board.rfc2217()
    deploy(line.url)
    run_there(line, "f=open('config.json','w')\nf.write('{\"mine\": 1}')\nf.close()")
    before = on_board(board, tmp_path)
    tree.update({"lib/mqtt.mpy": os.urandom(6_000), "firmware/new.mpy": os.urandom(1_000), "boot.py": b"# new\n",
                 "main.py": b"print('new main')\n"})
    del tree["firmware/text.txt"]
    board.faults.pull_after_bytes = random.Random(seed).randrange(1, 11_000)
    status, _, said = deploy(line.url)
    assert status != errors.DONE and said.startswith("mote: rfc2217"), (status, said)
    there = on_board(board, tmp_path)
    for name in {**before, **tree}:
        assert there.get(name) in (before.get(name), tree.get(name)), f"{name} is half replaced"
    board.plug()
    status, _, said = deploy(line.url)
    assert status == errors.DONE, said
    assert on_board(board, tmp_path) == {**tree, "config.json": b'{"mine": 1}'}


def boot(word):
    """A boot.py that finishes updates as the real one does, without its second for the button."""
    return f"{files._finish()}\nprint('{word} boot')\n".encode()


def whole(tree):
    """The tree without what only lies staged."""
    return {name: content for name, content in tree.items() if not name.endswith(".new") and name != files.MOVES}


def moments(before, journal):
    """(flash, tree) at each cut of the power that leaves other files than the cut before; all of them when soaking."""
    last = None
    for content in replayed(before, journal):
        tree = tree_of(content)
        if tree != last or PULLS == 50:
            yield content, tree
        last = tree


@pytest.mark.parametrize("via", ["mpremote", "ampy"])
def test_a_power_cut_at_any_moment_leaves_the_old_tree_or_the_new_one(deploy, tree, virtual, tmp_path, via):
    tree.update({"boot.py": boot("old"), "main.py": b"print('old main')\n"})
    journal = tmp_path / "journal"
    board = virtual(journal=journal)
    line = board.pty() if via == "ampy" else board.rfc2217()
    assert deploy(line.url, "--via", via)[0] == errors.DONE
    old, before, began = on_board(board, tmp_path), board.flash.read(0, board.flash.size_bytes), journal.stat().st_size
    tree.update({"firmware/node.mpy": b"new node", "firmware/more/air.mpy": b"more", "lib/mqtt.mpy": os.urandom(3_000),
                 "boot.py": boot("new"), "main.py": b"print('new main')\n"})
    del tree["firmware/text.txt"], tree["firmware/drivers/air.mpy"]
    assert deploy(line.url, "--via", via)[0] == errors.DONE
    cuts = list(moments(before, journal.read_bytes()[began:]))
    mixed = [found for _, found in cuts if whole(found) not in (old, tree)]
    assert len(mixed) >= 6, "five moves and two removals have six gaps"
    listed = False
    for content, found in cuts:
        listed = listed or files.MOVES in found
        mark = len(board.log)
        board.pull()
        with open(board.flash.path, "r+b") as file:
            file.write(content)
        board.plug()
        word = "new" if listed else "old"
        assert board.await_said(f"{word} main".encode(), since=mark), bytes(board.log[mark:])
        assert whole(on_board(board, tmp_path)) == (tree if listed else old)
        assert f"{'old' if listed else 'new'} main".encode() not in board.log[mark:]
    assert not board.noticed()


def test_an_update_that_was_broken_off_is_finished_by_the_next_connection_too(deploy, tree, virtual, tmp_path):
    board = virtual()
    line = board.rfc2217()
    deploy(line.url)
    moves = "+firmware/gone.mpy\n+main.py\n-firmware/text.txt\n"  # the first one was made before the power went
    run_there(line, f"for p,t in (('main.py.new','x = 1'),('update.txt',{moves!r})):\n"
                    " with open(p,'w') as f:f.write(t)")
    tree["main.py"] = b"x = 1"
    del tree["firmware/text.txt"]
    status, answer, _ = deploy(line.url)
    assert (status, answer["sent"], answer["removed"]) == (errors.DONE, [], [])
    assert ours(board, tmp_path) == tree


def test_the_node_s_own_boot_finishes_an_update_before_the_node_starts(deploy, tree, virtual, tmp_path):
    board = virtual()
    line = board.rfc2217()
    with open(os.path.join(ROOT, "boot.py"), "rb") as file:
        tree["boot.py"] = file.read()
    deploy(line.url)
    run_there(line, "for p,t in (('main.py.new','print(\"new main\")'),('update.txt','+main.py\\n')):\n"
                    " with open(p,'w') as f:f.write(t)")
    mark = len(board.log)
    replug(board)
    assert board.await_said(b"new main", since=mark) and b"main ran" not in board.log[mark:]
    assert ours(board, tmp_path) == {**tree, "main.py": b'print("new main")'}


def test_a_boot_that_knows_nothing_of_updates_is_replaced_before_the_others(deploy, tree, virtual, tmp_path):
    journal = tmp_path / "journal"
    board = virtual(journal=journal)
    line = board.rfc2217()
    deploy(line.url)  # whose boot.py does not finish anything
    old, before, began = on_board(board, tmp_path), board.flash.read(0, board.flash.size_bytes), journal.stat().st_size
    tree.update({"boot.py": boot("new"), "main.py": b"print('new main')\n"})
    deploy(line.url)
    for _, found in moments(before, journal.read_bytes()[began:]):
        if files.MOVES in found or whole(found)["main.py"] != old["main.py"]:
            assert found["boot.py"] == tree["boot.py"]
    assert ours(board, tmp_path) == tree


def test_what_had_arrived_is_not_sent_again(deploy, tree, virtual):
    board = virtual()
    line = board.rfc2217()
    deploy(line.url)
    tree.update({"firmware/a.mpy": os.urandom(4_000), "lib/z.mpy": os.urandom(12_000)})
    board.faults.pull_after_bytes = 14_000
    assert deploy(line.url)[0] == errors.UNREACHABLE
    board.plug()
    answer = deploy(line.url)[1]
    assert answer["sent"] == ["lib/z.mpy"]


@pytest.mark.parametrize("state, says", [
    (dict(version=(1, 20, 0)), "a node needs 1.24 or later"),
    (dict(bytecode=5), "reads bytecode 5"),
    (dict(filesystem="VfsFat"), "no way of writing survives a power cut"),
])
def test_a_board_where_no_node_can_live_is_refused(state, says):
    good = files.State((1, 25, 0), 6, "board", "VfsLfs2", 1 << 20, {}, (), "00")
    files._refuse("board", good)
    with pytest.raises(errors.UserError, match=says):
        files._refuse("board", good._replace(**state))


def test_a_full_flash_is_seen_before_anything_is_sent():
    state = files.State((1, 25, 0), 6, "board", "VfsLfs2", 8_192, {}, (), "00")
    with pytest.raises(errors.UserError, match="KB are needed"):
        files._check_room(type("Board", (), {"name": "board"}), TREE, files.plan(TREE, state), state)


def boots_in_circles(board):
    board.faults.boot_loop = True


def has_nothing_on_it(board):
    board.flash.erase(0, board.flash.size_bytes)


def has_a_damaged_file_system(board):
    board.flash.erase(0x30000, 0x2000)
    board.flash.program(0x30000, b"nonsense")


@pytest.mark.parametrize("plant, says", [
    (boots_in_circles, "no MicroPython on it that runs"), (has_nothing_on_it, "no MicroPython on it that runs"),
    (has_a_damaged_file_system, "its file system is damaged"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_a_board_that_comes_to_no_prompt_is_told_why(deploy, tree, virtual, plant, says):
    board = virtual()
    plant(board)
    replug(board)
    status, _, said = deploy(board.rfc2217().url)
    assert status == errors.UNREACHABLE and says in said


@pytest.mark.parametrize("heard, says", [
    (b"", "says nothing at all"),
    (bytes(range(128, 256)) * 8, "only noise arrives"),
    (b"rst:0x1 boot:0x3\r\nwaiting for download\r\n", "waits in its bootloader"),
    (b"Brownout detector was triggered\r\n", "supply breaks down"),
    (b"Guru Meditation Error: Core 0 panic'ed", "itself crashes"),
    (b"temperature 21.5\r\ntemperature 21.6\r\n", "does not let itself be interrupted.*temperature 21.6"),
    (b"rst:0x10 a\r\nrst:0x10 a\r\nrst:0x10 a\r\nrst:0x10 a\r\n", "starts again and again"),
])
def test_what_a_board_says_instead_of_a_prompt_is_understood(heard, says):
    what, do = repl.diagnosis(heard)
    assert re.search(says, what) and do


def test_it_sends_less_than_mpremote_does(monkeypatch):
    tree = {**TREE, bench_deploy.DRIVER: b"driver" * 200, "firmware/node.mpy": b"text that repeats " * 300}
    monkeypatch.setattr(files, "wanted", lambda: tree)
    rows = bench_deploy.measure()
    sent = {step: row["sent_bytes"] for step, row in rows.items()}
    assert sent["mote, everything"] < sent["mpremote, everything"] / 2
    assert sent["mote, nothing changed"] < sent["mpremote, again"]
    assert sent["mote, nothing changed"] < sent["mote, one driver changed"] < sent["mote, everything"]
    assert all(step in bench_deploy.table(rows) for step in rows)
