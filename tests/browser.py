"""A headless Chromium that tests drive over the pipes of its DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")
KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}


class Page:
    """One page, and all that it has logged and asked for since it was opened."""

    def __init__(self, orders: IO[bytes], replies: IO[bytes]) -> None:
        self.orders, self.replies = orders, replies  # it exits when these are closed
        self.session: dict[str, str] = {}
        self.count, self.events = 0, list[dict[str, Any]]()
        made = self.call("Target.createTarget", url="about:blank")
        attached = self.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        self.session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result; events meanwhile are kept."""
        self.count += 1
        order = {"id": self.count, "method": method, "params": parameters, **self.session}
        self.orders.write(json.dumps(order).encode() + b"\0")
        while (reply := self.read()).get("id") != self.count:
            self.events.append(reply)
        assert "error" not in reply, reply
        return reply["result"]

    def read(self) -> dict[str, Any]:
        """Read one message, which ends with a null byte."""
        letters = bytearray()
        while (letter := self.replies.read(1)) != b"\0":
            assert letter, "the browser has gone"
            letters += letter
        message: dict[str, Any] = json.loads(letters)
        return message

    def open(self, path: Path, width: int = 1280) -> None:
        """Load a file and wait until it is there, in a window of this width."""
        self.size(width)
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.heard("Page.loadEventFired"):
            self.events.append(self.read())

    def size(self, width: int) -> None:
        """Make the window this wide."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def heard(self, *methods: str) -> list[dict[str, Any]]:
        """Return the parameters of all events of these names."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def ask(self, expression: str) -> Any:
        """Return what an expression in the page comes to."""
        given = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        found = self.call("Runtime.evaluate", **given)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and let go of a key."""
        given = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **given, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def media(self, kind: str = "", scheme: str = "light") -> None:
        """Show the page as on `print`, or in a `dark` scheme."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media=kind, features=[feature])


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """Start a browser whose profile is in a folder, and end it; skip where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"there is no browser: none of {', '.join(NAMES)}")
    (their_orders, orders), (replies, their_replies) = os.pipe(), os.pipe()
    pipes = f'exec "$@" 3<&{their_orders} 4>&{their_replies}'  # where it looks for them
    process = subprocess.Popen(
        ["bash", "-c", pipes, "bash", program, *OPTIONS, f"--user-data-dir={folder}"],
        pass_fds=(their_orders, their_replies),
        stderr=subprocess.DEVNULL,
    )
    os.close(their_orders)
    os.close(their_replies)
    with process, os.fdopen(replies, "rb") as heard, os.fdopen(orders, "wb", 0) as told:
        yield Page(told, heard)
