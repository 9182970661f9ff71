"""One page in a browser of its own, which sees a made-up web site and nothing else of the world."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clx.jobtypes.browser import Browser, BrowserDiedError, Message

Answer = Callable[[str], tuple[Mapping[str, str], bytes] | None]
"""Headers and body of an address; ``None``: there is no such file on the site."""

_LOAD_SECONDS = 30.0
_LOADED = "new Promise(ok => document.readyState === 'complete' ? ok() : addEventListener('load', ok))"


class SitePage:
    """A page whose every request is answered by a function or refused, whatever its scheme.

    Args:
        executable: the browser.
        work_dir: where its profile lies while it lives; ``None``: the system's directory for such.
        start: the address that is shown first.
        answer: gives what an address holds.

    Attributes:
        session: the DevTools session of the page.
        refused: addresses that were asked for and that the site has not.

    Raises:
        BrowserDiedError, TimeoutError, ToolMissingError: as :class:`clx.jobtypes.browser.Browser`.
    """

    def __init__(self, executable: Path, work_dir: Path | None, start: str, answer: Answer) -> None:
        self.refused: set[str] = set()
        self._find = answer
        self.browser = Browser(executable, work_dir, self._on_event)
        try:
            self._load(start)
        except BaseException:
            self.browser.kill()
            raise

    def call(self, method: str, params: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Send a command of the DevTools protocol to the page; *deadline* is one of ``time.monotonic()``."""
        return self.browser.call(method, params, session=self.session, timeout=max(0.0, deadline - time.monotonic()))

    def evaluate(self, expression: str, deadline: float) -> Any:
        """The value of a JavaScript *expression*, which may be a promise.

        Raises:
            ScriptError: it threw.
        """
        left = max(0.0, deadline - time.monotonic())
        return self.browser.evaluate(expression, session=self.session, timeout=left)

    def go(self, address: str, deadline: float) -> None:
        """Show another page of the site and wait until it is loaded."""
        self.call("Page.navigate", {"url": address}, deadline)
        self.evaluate(_LOADED, deadline)

    def close(self) -> None:
        """End the browser."""
        self.browser.kill()

    def _load(self, start: str) -> None:
        call = self.browser.call
        target = call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self.session = str(call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"])
        call("Inspector.enable", session=self.session)
        call("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, session=self.session)
        call("Page.enable", session=self.session)
        self.go(start, time.monotonic() + _LOAD_SECONDS)

    def _on_event(self, message: Message) -> None:
        if message["method"] == "Fetch.requestPaused":
            self._reply(message["params"])
        elif message["method"] == "Page.javascriptDialogOpening":  # nobody is there to click it away
            self.browser.post("Page.handleJavaScriptDialog", {"accept": True}, session=self.session)
        elif message["method"] in {"Inspector.targetCrashed", "Inspector.detached"}:
            raise BrowserDiedError("the process that draws the page crashed", killed=True)

    def _reply(self, request: dict[str, Any]) -> None:
        """Serve a file of the site; refuse everything else."""
        url = str(request["request"]["url"])
        found = self._find(url)
        reply: dict[str, Any] = {"requestId": request["requestId"]}
        if found:
            headers, body = found
            reply["responseCode"] = 200
            reply["responseHeaders"] = [{"name": name, "value": value} for name, value in headers.items()]
            reply["body"] = base64.b64encode(body).decode()
            self.browser.post("Fetch.fulfillRequest", reply, session=self.session)
            return
        self.refused.add(url)
        # An aborted navigation leaves the page as it is; any other reason would replace it.
        reply["errorReason"] = "Aborted" if request.get("resourceType") == "Document" else "BlockedByClient"
        self.browser.post("Fetch.failRequest", reply, session=self.session)
