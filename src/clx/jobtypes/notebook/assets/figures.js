// Draws the figures of a page: each holds what its library needs, as JSON.
(() => {
  // on paper a figure is as wide as there is room, whatever it was drawn for
  const scaled = (place, onPaper) => {
    const { width, height } = place._fullLayout || {};
    if (!width) return;
    for (const svg of place.querySelectorAll(".main-svg")) {
      if (onPaper) svg.setAttribute("viewBox", `0 0 ${width} ${height}`); else svg.removeAttribute("viewBox");
    }
    place.style.setProperty("--ratio", `${width} / ${height}`);
  };
  const draw = {
    plotly(place, figure) {
      const config = { responsive: true, displaylogo: false, ...figure.config };
      const drawn = Plotly.newPlot(place, { ...figure, config });
      addEventListener("beforeprint", () => scaled(place, true));
      addEventListener("afterprint", () => scaled(place, false));
      // a figure on a slide that is not shown yet has no width
      new ResizeObserver(() => { if (place.offsetWidth) Plotly.Plots.resize(place); }).observe(place);
      return drawn;
    },
    vega(place, figure) {
      return vegaEmbed(place, figure.spec, { renderer: "svg", ...figure.options });
    },
  };
  for (const figure of document.querySelectorAll(".figure[data-library]")) {
    const place = figure.appendChild(document.createElement("div"));
    const data = JSON.parse(figure.querySelector("script").textContent);
    const failed = error => { place.textContent = String(error); };
    try { Promise.resolve(draw[figure.dataset.library](place, data)).catch(failed); } catch (error) { failed(error); }
  }
})();
