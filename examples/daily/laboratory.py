"""What the laboratory does, on a machine that has nothing of CLX: it sends the readings of a day to staging.

python laboratory.py 2026-11-27 http://127.0.0.1:8080
"""

import hashlib
import io
import sys
from datetime import date
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import requests

SENSORS = 20


def readings(day: date) -> bytes:
    """A day of made-up readings, the same whenever they are made; one sensor is not well."""
    random = Random(day.toordinal())  # noqa: S311
    rows = [
        (sensor, hour, 20 + sensor / 10 + random.gauss(0, 4 if sensor == 13 else 1))
        for sensor in range(SENSORS)
        for hour in range(24)
    ]
    sensors, hours, values = zip(*rows, strict=True)
    stream = io.BytesIO()
    pq.write_table(pa.table({"sensor": sensors, "hour": hours, "value": values}), stream)
    return stream.getvalue()


def send(day: date, url: str, token: str) -> dict[str, object]:
    """Send them; what staging answers. The same once more changes nothing."""
    data = readings(day)
    form = {"data_date": day.isoformat(), "worker": "laboratory", "sha256": hashlib.sha256(data).hexdigest()}
    answer = requests.post(
        f"{url}/staging/upload-daily",
        data=form,
        files={"readings": ("readings.parquet", data)},
        headers={"X-API-Token": token},
        timeout=60,
    )
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    shown = Path(__file__).with_name("output").joinpath("staging.token").read_text().strip()
    print(send(date.fromisoformat(sys.argv[1]), sys.argv[2], shown))
