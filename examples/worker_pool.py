"""Draw diagrams from a program: two PlantUML workers, three jobs, three pictures.

Type: python examples/worker_pool.py [DIRECTORY]
"""

import sys
from pathlib import Path

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.workers import WorkerConfig, WorkerPoolManager

DIAGRAMS = {
    "question.pu": "@startuml\nAlice -> Bob : how are you?\nBob --> Alice : fine\n@enduml\n",
    "station.pu": "@startuml\nclass Station\nclass Sensor\nStation o-- Sensor\n@enduml\n",
    "day.pu": "@startuml\nstart\n:count bicycles;\nstop\n@enduml\n",
}


def main(directory: Path) -> None:
    """Draw every diagram into *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    with WorkerPoolManager(directory / "jobs.db", worker_configs=[WorkerConfig("plantuml", count=2)]) as pools:
        store, queue = ArtifactStore(pools.database.state.path / "artifacts"), Queue(pools.database)
        jobs = []
        for name, text in DIAGRAMS.items():
            payload = {"source": name, "format": "png", "files": [[name, store.put_bytes(text.encode())]]}
            jobs.append(queue.enqueue(NewJob("plantuml", payload, pool=pools.pool("plantuml"))))
        for job in queue.wait(jobs, timeout=120):
            if job.state != "succeeded":
                raise SystemExit(f"{job.payload['source']}: {job.error}")
            [(_name, digest, _size)] = job.result["outputs"]
            picture = directory / Path(job.payload["source"]).with_suffix(".png")
            picture.write_bytes(store.get_bytes(digest))
            print(f"worker #{job.worker_id} drew {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"))
