import asyncio


async def fetch(value):
    return value + 1


async def numbers():
    yield 1
    yield 1


class Session:
    async def __aenter__(self):
        return "session"

    async def __aexit__(self, *error):
        return None


async def main():
    a = await fetch(1)  # reveal a: 2
    b = [a async for _ in numbers()]  # reveal b: list
    async for n in numbers():  # reveal n: 1
        c = n
    async with Session() as session:  # reveal session: 'session'?
        d = session
    return await fetch(a)


result = asyncio.run(main())  # reveal result: unknown
