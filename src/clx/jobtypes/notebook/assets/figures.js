// Draws the figures of a page: each holds what its library needs, as JSON.
(() => {
  const draw = {
    plotly(place, figure) {
      const config = { responsive: true, displaylogo: false, ...figure.config };
      const drawn = Plotly.newPlot(place, { ...figure, config });
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
