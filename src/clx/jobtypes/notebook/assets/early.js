// Before anything is shown: the colours that the reader chose, else the system's.
(() => {
  let kept = null;
  try { kept = localStorage.getItem("clx-theme"); } catch {}
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = kept === "dark" || kept === "light" ? kept : dark ? "dark" : "light";
})();
