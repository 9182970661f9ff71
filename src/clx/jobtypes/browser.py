"""A headless Chromium over its debugging pipe: no port, no driver, nothing left behind.

Messages are JSON, each ended by a NUL byte, from the browser's file descriptor 4 and to its 3. The pipe is
also the browser's life line: it ends when the other side is gone, however that went.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clx.errors import ConversionError, ToolMissingError
from clx.platforms import system

_LOG = logging.getLogger(__name__)

_START_SECONDS = 30.0
_CLOSE_SECONDS = 3.0
_CHUNK = 1 << 20

_LAUNCH = """
exec 3<&0 4>&1 </dev/null >/dev/null
profile=$1
shift
"$@" &
exec 3<&- 4>&-
wait $!
status=$?
rm -rf -- "$profile"
exit $status
"""
"""Moves the pipes to where the browser wants them, which ``Popen`` cannot do without ``preexec_fn``
(unsafe with threads), and outlives this process long enough to remove the profile after a SIGKILL."""

_FLAGS = (
    "--remote-debugging-pipe",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    # /dev/shm has only 64 MB in a container; large pictures would crash the renderer.
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--dns-prefetch-disable",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    # No name and no address leads anywhere, also for connections that no page asks for (preconnect).
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--lang=en-US",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-first-run",
    "--no-proxy-server",
)

Message = dict[str, Any]


class BrowserDiedError(Exception):
    """The browser, or the process that draws its page, ended unexpectedly, or refused a command.

    *killed*: by a signal, so that another one may live.
    """

    def __init__(self, words: str, *, killed: bool = False) -> None:
        super().__init__(words)
        self.killed = killed


@contextlib.contextmanager
def starting(browser: Path, step: str) -> Iterator[None]:
    """Start *browser* within; where it does not, *step* is what to do.

    Raises:
        BrowserDiedError: it was killed; another one may live.
        ToolMissingError: it ended by itself, as it would every time.
        ConversionError: it takes too long.
    """
    try:
        yield
    except BrowserDiedError as error:
        if error.killed:
            raise
        raise ToolMissingError(f"The browser {browser} does not start: {error}", step) from error
    except TimeoutError:
        raise ConversionError(
            f"The browser {browser} did not start within 30 s.", "Try again.", retryable=True
        ) from None


class ScriptError(Exception):
    """A script in the page threw."""


class Browser:
    """One running headless Chromium. Single-threaded: events are handled while a reply is awaited.

    Raises:
        BrowserDiedError: it ended while it started; the message holds its last words.
        TimeoutError: it did not answer within 30 s.
        ToolMissingError: browsers are not driven on this system.
    """

    _sandbox = system.user_id() != 0  # the browser refuses it to root

    def __init__(self, executable: Path, work_dir: Path | None, on_event: Callable[[Message], None]) -> None:
        self._on_event = on_event
        self._last_id = 0
        self._received = bytearray()
        self._to_send = bytearray()
        if not system.RUNS_HELPERS:
            raise ToolMissingError(
                "No browser draws diagrams on this system.", "Name draw.io desktop: the setting drawio.executable"
            )
        try:
            self._start(executable, work_dir)
        except BrowserDiedError as error:
            # Containers and some distributions forbid the name spaces that the browser's sandbox is made of.
            # What a page can do is bounded by the content security policy and the refused requests as
            # well, so drawing goes on without it, for all browsers of this process.
            if not Browser._sandbox or "sandbox" not in str(error).lower():
                raise
            _LOG.warning("The browser's sandbox cannot be used here; pages are shown without it.")
            Browser._sandbox = False
            self._start(executable, work_dir)

    def _start(self, executable: Path, work_dir: Path | None) -> None:
        self._profile = Path(tempfile.mkdtemp(prefix="browser-", dir=work_dir))
        self._received.clear()
        self._to_send.clear()
        headless = [] if "headless" in executable.name else ["--headless"]
        flags = [*_FLAGS, *headless, *([] if self._sandbox else ["--no-sandbox"])]
        browser = [os.fspath(executable), *flags, f"--user-data-dir={self._profile}", "about:blank"]
        self._stderr = tempfile.TemporaryFile(dir=work_dir)  # noqa: SIM115 (lives as long as the browser)
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCH, "sh", os.fspath(self._profile), *browser],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "TMPDIR": os.fspath(self._profile), "TZ": "UTC"},
            bufsize=0,
            start_new_session=True,
        )
        try:
            self._open_pipes()
            self.call("Browser.getVersion", timeout=_START_SECONDS)
        except BaseException:
            self.kill()
            raise

    def _open_pipes(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        for end in (self._stdin, self._stdout):
            os.set_blocking(end.fileno(), False)
            system.widen_pipe(end.fileno(), _CHUNK)  # less context switches

    @property
    def pid(self) -> int:
        """Process id of the browser's session and process group."""
        return self._process.pid

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        session: str | None = None,
        timeout: float = _START_SECONDS,
    ) -> dict[str, Any]:
        """Send a command and wait at most *timeout* seconds for its result.

        Raises:
            BrowserDiedError: the browser ended, or it refused the command.
            TimeoutError: no reply in time.
        """
        number = self.post(method, params, session=session)
        deadline = time.monotonic() + timeout
        while True:
            message = self._next(deadline)
            if message.get("id") == number:
                if "error" in message:
                    words = f"{method}: {message['error'].get('message')}"
                    raise BrowserDiedError(words, killed=words.endswith("crashed"))
                result: dict[str, Any] = message["result"]
                return result
            if "method" in message:
                self._on_event(message)

    def post(self, method: str, params: Mapping[str, Any] | None = None, *, session: str | None = None) -> int:
        """Send a command without waiting; its number."""
        self._last_id += 1
        message: Message = {"id": self._last_id, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        self._to_send += json.dumps(message).encode() + b"\0"
        return self._last_id

    def evaluate(self, expression: str, *, session: str, timeout: float) -> Any:
        """The value of a JavaScript *expression* in the page; promises are awaited.

        Raises:
            ScriptError: it threw.
            BrowserDiedError, TimeoutError: as :meth:`call`.
        """
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", params, session=session, timeout=timeout)
        if "exceptionDetails" in result:
            thrown = result["exceptionDetails"]
            text = thrown.get("exception", {}).get("description") or thrown.get("text", "")
            raise ScriptError(str(text).splitlines()[0][:300] if text else "unknown error")
        return result["result"].get("value")

    def kill(self) -> None:
        """End the browser, with everything it started, and remove its profile. Idempotent.

        Its profile goes with it, so it has nothing to put in order, for which it would take a fifth of a second.
        """
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                system.kill_group(self._process.pid)
            self._process.wait()
        for end in (self._process.stdin, self._process.stdout, self._stderr):
            if end is not None:
                end.close()
        self._remove_profile()

    def _remove_profile(self) -> None:
        """What was killed together with the shell may just end a write into it."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        while self._profile.exists() and time.monotonic() < deadline:
            shutil.rmtree(self._profile, ignore_errors=True)

    def _next(self, deadline: float) -> Message:
        """The next message; meanwhile whatever is to be sent is sent."""
        searched = 0
        while (end := self._received.find(b"\0", searched)) < 0:
            searched = len(self._received)
            self._exchange(deadline)
        message: Message = json.loads(self._received[:end])
        del self._received[: end + 1]
        return message

    def _exchange(self, deadline: float) -> None:
        """Write and read once: both, because a full pipe in one direction must not stop the other."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            if self._to_send:
                selector.register(self._stdin, selectors.EVENT_WRITE)
            ready = selector.select(max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError("the browser does not answer")
        for key, _ in ready:
            if key.fileobj is self._stdin:
                self._write()
            else:
                self._read()

    def _write(self) -> None:
        try:
            written = os.write(self._stdin.fileno(), memoryview(self._to_send)[:_CHUNK].tobytes())
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise self._death() from None
        del self._to_send[:written]

    def _read(self) -> None:
        data = os.read(self._stdout.fileno(), _CHUNK)
        if not data:
            raise self._death()
        self._received += data

    def _death(self) -> BrowserDiedError:
        """What became of a browser whose pipe has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_SECONDS)  # how it ended is known once the shell around it has ended, too
        code = self._process.returncode
        killed = code is not None and (code < 0 or code > 128)  # a shell adds 128 to the signal of its child
        return BrowserDiedError(self._last_words(), killed=killed)

    def _last_words(self) -> str:
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), 4096, max(0, size - 4096))
        lines = [line for line in tail.decode("utf-8", "replace").strip().splitlines() if ":WARNING:" not in line]
        telling = [line for line in lines if "sandbox" in line.lower()] or lines[-1:]
        return telling[-1] if telling else "the browser ended without a word"
