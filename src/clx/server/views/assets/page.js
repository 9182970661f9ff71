"use strict";
// Shows what the event stream tells. Text is only ever set as text.
(() => {
  const states = ["queued", "running", "succeeded", "failed", "cancelled"];
  const live = document.getElementById("live");
  const say = (text) => { if (live.textContent !== text) live.textContent = text; };
  const fill = (name, rows, none) => {
    const body = document.querySelector(`table[data-table="${name}"] tbody`);
    const columns = body.parentNode.querySelectorAll("th").length;
    body.replaceChildren(...(rows.length ? rows : [[none]]).map((cells) => {
      const row = document.createElement("tr");
      cells.forEach((text) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        if (typeof text === "number") cell.className = "number";
        if (cells.length === 1) cell.colSpan = columns;
        row.append(cell);
      });
      return row;
    }));
  };
  const show = (status) => {
    fill("queue", Object.entries(status.queue).sort().map(([type, counts]) =>
      [type, ...states.map((state) => counts[state] || 0)]), "No jobs yet.");
    fill("workers", status.workers.map((worker) =>
      [`#${worker.id}`, worker.type, worker.state, worker.host, worker.job === null ? "–" : `job ${worker.job}`,
        worker.succeeded + worker.failed]), "No workers.");
    fill("batches", status.batches.map((batch) =>
      [`#${batch.id}`, batch.name, batch.state,
        states.filter((state) => batch.jobs[state]).map((state) => `${batch.jobs[state]} ${state}`).join(", ")]),
    "None at the moment.");
  };
  const stream = new EventSource("/api/v1/events");
  stream.addEventListener("open", () => say("Live."));
  stream.addEventListener("error", () => say("Not connected: what is shown may be old. Trying again …"));
  stream.addEventListener("status", (event) => show(JSON.parse(event.data)));
})();
