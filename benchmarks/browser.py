"""A real browser, driven through the pipe of its DevTools protocol: no driver to install, no port to open.

https://chromedevtools.github.io/devtools-protocol/. Whatever the browser does of its own accord is kept in `events`.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, " ": 32}
TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")
PATIENCE = 20.0  # seconds for an answer, on a machine that is busy with other things


def found():
    """The program, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Browser:
    """One tab of a headless chromium; a context that ends it."""

    def __init__(self, program, width=1400, height=900):
        self.profile, self.events, self._sent, self._rest = tempfile.mkdtemp(), [], 0, b""
        to_it, self._write = os.pipe()
        self._read, from_it = os.pipe()
        flags = ["--headless=new", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
        flags += ["--no-sandbox"] * (os.geteuid() == 0)  # which root cannot have
        # It reads commands from file 3 and writes answers to file 4; a shell puts the pipes there.
        command = f'exec "$0" "$@" 3<&{to_it} 4>&{from_it}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, program, *flags, f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=(to_it, from_it),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.size(width, height)

    _session = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._write)  # which it takes for a good-bye
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        os.close(self._read)
        shutil.rmtree(self.profile, ignore_errors=True)

    def send(self, method, **arguments):
        """The answer to a command. Raises RuntimeError for an error, or for none in time."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer = self._next()
            if answer.get("id") == self._sent:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)
        raise RuntimeError(f"{method}: no answer")

    def _next(self):
        while b"\0" not in self._rest:
            if not (more := os.read(self._read, 1 << 20)):
                raise RuntimeError("the browser is gone")
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def run(self, script):
        """The value of an expression, which is awaited. Raises RuntimeError with what it throws."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", found["exceptionDetails"]))
        return found["result"].get("value")

    def wait(self, condition):
        """Until an expression is true, which the page looks at before each frame."""
        self.run(
            f"new Promise((done, fail) => {{ const until = performance.now() + {1000 * PATIENCE}; (function look() {{"
            f"if ({condition}) done(); else if (performance.now() > until) fail(new Error('never true')); "
            "else requestAnimationFrame(look); })(); })"
        )

    def visit(self, address):
        """A page, when it has loaded; `events` are of it alone."""
        for where in ("about:blank", str(address)):  # an address that differs in its fragment alone loads nothing
            self.events.clear()
            self.send("Page.navigate", url=where)
            while not any(event["method"] == "Page.loadEventFired" for event in self.events):
                self.events.append(self._next())

    def open(self, address):
        """A board's page, when its charts are drawn."""
        self.visit(address)
        self.wait("document.documentElement.classList.contains('drawn')")

    def size(self, width, height, mobile=False):
        """Of the window, in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def media(self, **features):
        """What the reader's system prefers: `prefers_color_scheme="dark"`."""
        of = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", features=of)

    def point(self, script):
        """Move the mouse onto the middle of the element that an expression gives, and say where that is."""
        x, y = self.run(
            f"(() => {{ const e = {script}; e.scrollIntoView({{block: 'center', inline: 'center'}}); "
            "const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        return x, y

    def click(self, script):
        """Press and release the mouse on it."""
        x, y = self.point(script)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """A key of the keyboard, down and up."""
        of = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"Enter": "\r", " ": " "}.get(key)
        self.send(
            "Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **of, **({"text": text} if text else {})
        )
        self.send("Input.dispatchKeyEvent", type="keyUp", **of)

    def type(self, text):
        """Into what has the focus."""
        self.send("Input.insertText", text=text)

    def tree(self):
        """What a screen reader is told: (role, name, properties) of all that is not left out."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (
                node["role"]["value"],
                node.get("name", {}).get("value", ""),
                {one["name"]: one["value"].get("value") for one in node.get("properties", ())},
            )
            for node in nodes
            if not node["ignored"]
        ]

    def shot(self, file, full=False):
        """A picture of what is seen, or of the whole page."""
        taken = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        Path(file).write_bytes(base64.b64decode(taken["data"]))
