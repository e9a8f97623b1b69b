"""A press behind a Modbus TCP server (pymodbus), told what to do by lines on its standard input.

    python press.py            prints `port N` when it listens on 127.0.0.1

    go N       plays N strokes, then prints `done N`
    hold       begins a stroke and stays in it, prints `holding`
    release    ends that stroke, prints `released`
    look N     prints `looked N` when its status was read N more times
    (end)      the end of the input ends the press: it does not outlive its test

Registers: holding 100 status (bit 0 running, bit 5 powered), 101 fault code, 110 strokes (u16, wraps);
input 200..201 pressure in bar (f32, low word first). It never goes on before it has been seen: each stroke and each pause
lasts its time *and* until the status was read a few times. So a slow machine makes the test slower, not red.
A request that is not a read is answered with an exception and printed as `written FUNCTION ADDRESS`.
"""

import asyncio
import math
import struct
import sys
import time

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

RUNNING, POWERED = 1 << 0, 1 << 5
STATUS, FAULT, STROKES, PRESSURE = 100, 101, 110, 200
STROKE_S, PAUSE_S = 0.25, 0.15
PEAK_BAR = 240.0
LOOKS = 3  # reads of the status in each phase


def say(text):
    print(text, flush=True)


class Press:
    """What the registers show, and how many times somebody looked."""

    def __init__(self):
        self.running_since = None
        self.strokes = 0
        self.looks = 0
        self.looked = asyncio.Condition()

    def pressure(self):
        if self.running_since is None:
            return 0.0
        phase = (time.monotonic() - self.running_since) / STROKE_S
        return PEAK_BAR * math.sin(math.pi * min(phase, 0.75))  # a stroke that is held keeps its pressure

    async def answer(self, function, start, address, count, registers, written):
        """Puts the present into the registers that are about to be read."""
        if written is not None or function not in (3, 4):
            say(f"written {function} {address}")
            return ExcCodes.ILLEGAL_FUNCTION
        if function == 4:
            high, low = struct.unpack(">HH", struct.pack(">f", self.pressure()))
            registers[PRESSURE - start], registers[PRESSURE + 1 - start] = low, high
            return None
        running = RUNNING if self.running_since is not None else 0
        registers[STATUS - start] = POWERED | running
        registers[FAULT - start] = 0
        registers[STROKES - start] = self.strokes % 65536
        if address <= STATUS < address + count:
            async with self.looked:
                self.looks += 1
                self.looked.notify_all()
        return None

    async def seen(self, times):
        async with self.looked:
            until = self.looks + times
            await self.looked.wait_for(lambda: self.looks >= until)

    async def phase(self, seconds):
        await asyncio.gather(asyncio.sleep(seconds), self.seen(LOOKS))

    def begin(self):
        self.running_since = time.monotonic()

    async def end(self):
        self.running_since = None
        self.strokes += 1
        await self.phase(PAUSE_S)

    async def obey(self, line):
        match line.split():
            case ["go", number]:
                for _ in range(int(number)):
                    self.begin()
                    await self.phase(STROKE_S)
                    await self.end()
                say(f"done {number}")
            case ["hold"]:
                self.begin()
                await self.phase(STROKE_S)
                say("holding")
            case ["release"]:
                await self.end()
                say("released")
            case ["look", number]:
                await self.seen(int(number))
                say(f"looked {number}")
            case _:
                say(f"what is {line.strip()!r}?")


async def main():
    press = Press()
    holding = SimData(90, count=40, values=0, datatype=DataType.REGISTERS)
    inputs = SimData(190, count=40, values=0, datatype=DataType.REGISTERS)
    bits = SimData(0, count=1, values=[False] * 16, datatype=DataType.BITS)
    device = SimDevice(1, ([bits], [bits], [holding], [inputs]), action=press.answer)
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    say(f"port {server.transport.sockets[0].getsockname()[1]}")
    while line := await asyncio.to_thread(sys.stdin.readline):
        await press.obey(line)
    await server.shutdown()


asyncio.run(main())
