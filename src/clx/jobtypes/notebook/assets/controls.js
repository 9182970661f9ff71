// Buttons that copy code, the switch of colours, and places that scroll made reachable by keyboard.
(() => {
  const root = document.documentElement, words = document.body.dataset;
  const typing = target => target.closest && target.closest("input, textarea, select, [contenteditable]");
  const status = document.createElement("span");
  status.className = "unseen";
  status.setAttribute("role", "status");
  document.querySelector("main").append(status);

  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea"), focus = document.activeElement;
      area.value = text;
      area.className = "unseen";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      if (focus) focus.focus({ preventScroll: true });
      return done;
    }
  }

  function button(pre) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "copy";
    made.textContent = words.copy;
    made.addEventListener("click", async () => {
      if (!await copied(pre.textContent.replace(/\n?$/, "\n"))) return;
      made.classList.add("done");
      made.textContent = status.textContent = words.copied;
      setTimeout(() => {
        made.classList.remove("done");
        made.textContent = words.copy;
        status.textContent = "";
      }, 1500);
    });
    return made;
  }

  for (const pre of document.querySelectorAll(".in > pre, .text pre:has(> code)")) {
    if (!pre.parentElement.matches(".in")) {
      const box = document.createElement("div");
      pre.replaceWith(box);
      box.append(pre);
    }
    pre.parentElement.classList.add("holder");
    pre.after(button(pre));
  }

  // …/Html/<kind>/<section>/<file>.html: the other formats of a deck lie beside it; "up" leads to the kind's directory
  for (const link of document.querySelectorAll(".controls a[data-directory]")) {
    const { up, directory, ending } = link.dataset, parts = location.pathname.split("/").slice(-2 - up.length / 3);
    const file = parts.pop();
    if (!/\.html$/.test(file)) continue;
    link.href = [`${up}../..`, encodeURIComponent(directory), ...parts, file.replace(/\.html$/, ending)].join("/");
    link.hidden = false;
  }

  const text = document.querySelector("main");
  for (const formula of document.querySelectorAll(".math.inline")) {
    if (formula.getBoundingClientRect().width > text.clientWidth) formula.classList.add("wide");
  }
  for (const each of document.querySelectorAll("pre, .scroll, .wide, .math.block, .math.amsmath, .out .html, nav")) {
    if (each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1) {
      if (/auto|scroll/.test(getComputedStyle(each).overflow)) each.tabIndex = 0;
    }
  }

  addEventListener("beforeprint", () => {
    for (const box of document.querySelectorAll("details.callout")) box.open = true;
  });

  const mode = document.querySelector("button.mode");
  if (!mode) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const show = () => mode.setAttribute("aria-pressed", root.dataset.theme === "dark");
  function turn() {
    const wanted = root.dataset.theme === "dark" ? "light" : "dark";
    root.dataset.theme = wanted;
    try {
      if (wanted === (dark.matches ? "dark" : "light")) localStorage.removeItem("clx-theme");
      else localStorage.setItem("clx-theme", wanted);
    } catch {}
    show();
  }
  mode.hidden = false;
  mode.addEventListener("click", turn);
  addEventListener("keydown", event => {
    if (event.key === "d" && !event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target)) turn();
  });
  dark.addEventListener("change", () => {
    let kept = null;
    try { kept = localStorage.getItem("clx-theme"); } catch {}
    if (!kept) root.dataset.theme = dark.matches ? "dark" : "light";
    show();
  });
  show();
})();
