/* Start the slides, and draw each chart from the specification that the chapter stores. */
Reveal.initialize({hash: true, slideNumber: "c/t", transition: "none", width: 1120, height: 700, plugins: [RevealNotes]});
const GUIDE = {labelFontSize: 15, titleFontSize: 15};
for (const figure of document.querySelectorAll(".deck-chart")) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const one = !(spec.hconcat || spec.vconcat || spec.concat || spec.facet || spec.repeat);
  delete spec.title;
  const sized = one ? {...spec, width: 860, height: Math.min(spec.height || 400, 420)} : spec;
  sized.config = {...spec.config, axis: {...spec.config?.axis, ...GUIDE}, legend: {...spec.config?.legend, ...GUIDE}};
  vegaEmbed(figure.querySelector(".deck-view"), sized, {actions: false, renderer: "svg"}).then(() => { figure.dataset.drawn = "yes"; });
}
