"""The warm JVMs of one converter: started when needed, replaced when they die, ended in good order."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from clx.errors import ConversionError, StartupError, ToolMissingError
from clx.jobtypes.plantuml import launch
from clx.jobtypes.plantuml.graphviz import GuardedDot
from clx.jobtypes.plantuml.jvm import Jvm, JvmDiedError, JvmPicture, JvmTimeoutError, Refusal
from clx.jobtypes.plantuml.launch import Look
from clx.jobtypes.plantuml.stage import Stage
from clx.settings.schema import Settings
from clx.tools.catalog import install_hint

_START_LIMIT_S = 60.0
_SMALLEST = "@startuml\na -> b\n@enduml\n"
_NOTHING = "@startuml\n'\n@enduml\n"
_TRAINING = (
    _SMALLEST,
    "@startuml\nclass A {\n +f()\n}\nA --> B : x\nnote left: n\n@enduml\n",
    "@startuml\nstart\nif (x?) then (y)\n:a;\nendif\nstop\n@enduml\n",
    "@startuml\n[*] --> S\nstate S {\n a --> b\n}\n@enduml\n",
    "@startuml\nactor U\n(x)\nU --> (x)\n[c] --> (x)\n@enduml\n",
)
"""One diagram of each common kind: the classes they need go into the class archive."""


class Renderer:
    """Draws single diagrams; its files lie in *work_dir*, else in the system's temporary directory.

    Raises:
        ToolMissingError: there is no Java or no PlantUML, or Graphviz does not run.
    """

    def __init__(self, settings: Settings, work_dir: Path | None) -> None:
        self.tools = launch.Tools.find(settings)
        self._scratch = _private_directory(work_dir)
        self.stage = Stage(self._scratch)
        try:
            self._dot = GuardedDot(self.tools.dot, self._scratch) if self.tools.dot else None
        except ToolMissingError:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        self._jvms: dict[Look, Jvm] = {}
        self._archive: tuple[Look, Path] | None = None
        """The look whose JVM saves the class archive when it ends, and the file it writes."""
        self._welcome: dict[Look, bytes] = {}

    def render(self, text: str, look: Look, timeout: float) -> JvmPicture | Refusal:
        """Draw one diagram against what is on the stage.

        Raises:
            ConversionError: it took too long, or the JVM died each time it was tried.
            ToolMissingError: PlantUML does not start.
        """
        with contextlib.suppress(JvmDiedError):
            return self._once(text, look, timeout)
        # A stray signal should not cost the job: once more, with a new JVM.
        try:
            return self._once(text, look, timeout)
        except JvmDiedError as death:
            raise self._explain(death, look) from death

    def is_welcome(self, data: bytes, look: Look) -> bool:
        """Whether *data* is the "Welcome to PlantUML" picture, its answer to an empty diagram."""
        if look not in self._welcome:
            answer = self.render(_NOTHING, look, _START_LIMIT_S)
            self._welcome[look] = answer.data if isinstance(answer, JvmPicture) else b""
        return data == self._welcome[look]

    def leaks(self, look: Look) -> bool:
        """Whether this PlantUML reads files outside the box, as some versions do.

        The one that CLX installs is known not to, so it is not tried.
        """
        if self.tools.pinned:
            return False
        canary = self._scratch / "canary.puml"
        canary.write_text("class Canary\n")
        for way in (str(canary), os.path.relpath(canary, self.stage.directory)):
            text = f"@startuml\n!include {way}\n@enduml\n"
            if isinstance(self.render(text, look, _START_LIMIT_S), JvmPicture):
                return True
        return False

    def end_pages(self) -> None:
        """End the JVMs that draw further pages: few diagrams have any, and each takes its memory."""
        for look in [look for look in self._jvms if look.page]:
            self._jvms.pop(look).close()

    def pids(self) -> list[int]:
        """Process ids of the running JVMs."""
        return [jvm.pid for jvm in self._jvms.values() if jvm.alive]

    def close(self) -> None:
        """End every JVM and remove the renderer's files."""
        saving, archive = self._archive or (None, None)
        for look, jvm in self._jvms.items():
            self._end(jvm, archive if look == saving else None)
        self._jvms.clear()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _once(self, text: str, look: Look, timeout: float) -> JvmPicture | Refusal:
        try:
            answer = self._jvm(look).render(text, timeout)
        except JvmTimeoutError:
            # Not retryable: layouts are deterministic, so the next run would only burn the same time.
            raise ConversionError(
                f"PlantUML did not finish the diagram within {timeout:g} s.", "Split the diagram into smaller ones."
            ) from None
        failure = self._dot.failure() if self._dot else ""
        return JvmPicture(answer.data, failure) if failure and isinstance(answer, JvmPicture) else answer

    def _jvm(self, look: Look) -> Jvm:
        jvm = self._jvms.get(look)
        if jvm is None or not jvm.alive:
            if jvm is not None:
                jvm.close()
            archive = self._archive_for(look)
            dot = self._dot.program if self._dot else None
            jvm = launch.start(self.tools, dot, self.stage, self._scratch, look, archive)
            self._jvms[look] = jvm
        return jvm

    def _archive_for(self, look: Look) -> Path | None:
        """The class archive that a new JVM is to write: one JVM per renderer does."""
        if self._archive is None and not look.page and (path := launch.unsaved_archive(self.tools)):
            self._archive = look, path
        return self._archive[1] if self._archive and self._archive[0] == look else None

    def _end(self, jvm: Jvm, archive: Path | None) -> None:
        if archive is None or not jvm.alive:
            jvm.close()
            return
        self.stage.clear()
        with contextlib.suppress(JvmDiedError, JvmTimeoutError):
            for text in _TRAINING:
                jvm.render(text, _START_LIMIT_S)
        # PlantUML's own exit status tells of wrong diagrams among those it drew; a negative one is a signal.
        if jvm.close() >= 0:
            launch.keep_archive(self.tools, archive)
        archive.unlink(missing_ok=True)

    def _explain(self, death: JvmDiedError, look: Look) -> Exception:
        """Whether it was the diagram that ended the JVM, or PlantUML does not work at all."""
        try:
            self._jvm(look).render(_SMALLEST, _START_LIMIT_S)
        except (JvmDiedError, JvmTimeoutError):
            return ToolMissingError(
                f"PlantUML does not run ({self.tools.java} -jar {self.tools.jar}): {death.reason}",
                f"Type: {install_hint('plantuml')}",
            )
        # By a signal: somebody killed it, perhaps for its memory. By itself: this diagram does it every time.
        return ConversionError(
            f"PlantUML ended while it drew the diagram: {death.reason}",
            traceback=death.log or None,
            retryable=death.returncode < 0,
        )


def _private_directory(work_dir: Path | None) -> Path:
    """A new directory on a path that PlantUML's allow-list can hold.

    The list compares real paths, so links are resolved; it is split at colons, so one in the path would
    allow everything that starts like the part before it.
    """
    if work_dir is not None and os.pathsep in str(work_dir.resolve()):
        work_dir = None
    directory = Path(tempfile.mkdtemp(prefix="clx-plantuml-", dir=work_dir)).resolve()
    if os.pathsep in str(directory):
        directory.rmdir()
        raise StartupError(f"The temporary directory has a colon in its path: {directory.parent}", "Set TMPDIR.")
    return directory


def prepare(settings: Settings) -> None:
    """Write the class archive, unless it is there, ahead of the first build: after an installation."""
    if launch.unsaved_archive(launch.Tools.find(settings)) is None:
        return
    renderer = Renderer(settings, None)
    try:
        renderer.render(_SMALLEST, Look("png"), _START_LIMIT_S)
    finally:
        renderer.close()
