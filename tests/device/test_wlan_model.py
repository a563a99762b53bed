"""The host board's model of Wi-Fi: the shipped way of joining meets what an access point says."""

import boards
import flash
from minitest import equal, raises


def at(points):
    return boards.host_board(flash.folder(), chips="none", access_points=points)


async def test_a_known_network_is_joined_and_left():
    board = at({"elsewhere": None, "home": "correct horse"})
    equal(board.joined(), False)
    await board.join({"home": {"password": "correct horse"}})
    equal(board.joined(), True)
    await board.leave()
    equal(board.joined(), False)


async def test_why_not():
    board = at({"home": "correct horse", "open": None})
    for networks, words in (({"home": {"password": "wrong"}}, "home: wrong password"),
                            ({"attic": {"password": "x"}}, "attic: no such network"),
                            ({"open": {"password": "needless"}}, "open: wrong password")):
        with raises(OSError) as caught:
            await board.join(networks)
        equal(str(caught.value), words)
        equal(board.joined(), False)


async def test_without_a_model_the_computer_is_on_its_network():
    equal(at({}).joined(), True)
