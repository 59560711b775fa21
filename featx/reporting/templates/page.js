"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function picture(number) {
  const one = data.pictures[number];
  const figure = element("figure", null);
  if (one.thumb) {
    const image = element("img", null, figure);
    image.src = "data:image/jpeg;base64," + one.thumb;
    image.alt = one.path;
    image.width = image.height = 72;
  } else {
    element("div", "not found", figure).className = "lost";
  }
  const caption = element("figcaption", null, figure);
  element("b", data.classes[one.label], caption);
  if (one.taken !== one.label) element("span", " taken for " + data.classes[one.taken], caption);
  const doubt = one.likeliest === one.taken ? "" : data.classes[one.likeliest] + " ";
  element("span", " (" + doubt + (100 * one.confidence).toFixed(0) + " %)", caption);
  element("small", one.path, caption);
  return figure;
}

function show(id, scroll) {
  const view = data.views.find((one) => one.id === id);
  if (!view) return false;
  byId("view-title").textContent = view.title;
  const shown = view.pictures.length;
  const part = shown < view.n ? " " + shown.toLocaleString("en") + " of them are shown." : "";
  byId("view-text").textContent = view.n.toLocaleString("en") + (view.n === 1 ? " picture. " : " pictures. ") + view.text + part;
  byId("gallery").replaceChildren(...view.pictures.map(picture));
  for (const button of document.querySelectorAll("button[data-view]"))
    button.setAttribute("aria-pressed", String(button.dataset.view === id));
  if (scroll) byId("pictures").scrollIntoView();
  return true;
}

for (const button of document.querySelectorAll("button[data-view]"))
  button.addEventListener("click", () => {
    history.replaceState(null, "", "#" + button.dataset.view);
    show(button.dataset.view, button.closest("table") !== null);
  });

function colour(one, byError) {
  if (byError) return one.label === one.taken ? "var(--quiet)" : "var(--bad)";
  return "hsl(" + ((one.label * 137.5) % 360).toFixed(0) + " 65% 50%)";
}

function drawMap() {
  const svg = byId("map");
  if (!svg) return;
  const space = "http://www.w3.org/2000/svg";
  const byError = byId("by-error").getAttribute("aria-pressed") === "true";
  svg.replaceChildren(...data.map.map(([x, y, number]) => {
    const one = data.pictures[number];
    const dot = document.createElementNS(space, "circle");
    dot.setAttribute("cx", 10 + 580 * x);
    dot.setAttribute("cy", 390 - 380 * y);
    dot.setAttribute("r", byError && one.label !== one.taken ? 5 : 3.5);
    dot.style.fill = colour(one, byError);
    dot.addEventListener("pointerenter", () => byId("map-picture").replaceChildren(picture(number)));
    return dot;
  }));
}

const legend = byId("legend");
if (legend)
  data.classes.forEach((name, label) => {
    const item = element("li", null, legend);
    element("i", null, item).style.background = colour({ label: label }, false);
    element("span", name, item);
  });

for (const name of ["by-label", "by-error"]) {
  const button = byId(name);
  if (button)
    button.addEventListener("click", () => {
      for (const other of ["by-label", "by-error"]) byId(other).setAttribute("aria-pressed", String(other === name));
      drawMap();
    });
}
drawMap();
const first = data.views.find((view) => view.n > 0);
if (first && !show(decodeURIComponent(location.hash.slice(1)), false)) show(first.id, false);
