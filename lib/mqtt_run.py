"""Both tasks of a client as one call, for programs that do not run them together with their own. Lent."""

import asyncio


async def run(client):
    """What Client.run does."""
    late = []
    watching = asyncio.create_task(_watch(client, asyncio.current_task(), late))
    try:
        await client.receive()
    except asyncio.CancelledError:
        if late:
            raise late[0]
        raise
    finally:
        watching.cancel()


async def _watch(client, receiving, late):
    try:
        await client.watch()
    except Exception as error:
        late.append(error)
        receiving.cancel()
