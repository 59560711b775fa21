"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const AT_A_TIME = 60;

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

function image(number) {
  const one = data.images[number];
  const figure = element("figure", null);
  if (one.thumb) {
    const image = element("img", null, figure);
    image.src = "data:image/jpeg;base64," + one.thumb;
    image.alt = one.path;
  } else {
    element("div", "not found", figure).className = "lost";
  }
  const caption = element("figcaption", null, figure);
  const labels = element("span", null, caption);
  labels.className = "labels";
  element("b", null, labels).append(element("bdi", data.classes[one.label]));
  if (one.predicted !== one.label) labels.append(" predicted as ", element("bdi", data.classes[one.predicted]));
  labels.append(" (" + (100 * one.confidence).toFixed(0) + " %)");
  labels.title = labels.textContent;
  element("small", one.path, caption).title = one.path;
  return figure;
}

// Images: the gallery shows the first images of a view, and more on request.

let current = null;
let opener = null;

function grow() {
  const shown = byId("gallery").childElementCount;
  byId("gallery").append(...current.images.slice(shown, shown + AT_A_TIME).map(image));
  const rest = current.images.length - byId("gallery").childElementCount;
  byId("more").hidden = rest <= 0;
  byId("more").textContent = "show " + Math.min(rest, AT_A_TIME) + " more";
  return byId("gallery").children[shown];
}

function show(id) {
  const view = data.views.find((one) => one.id === id);
  if (!view) return false;
  current = view;
  byId("view-title").textContent = view.title;
  const few = view.images.length < view.n ? " " + view.images.length.toLocaleString("en") + " of them are on this page." : "";
  byId("view-text").textContent = view.n.toLocaleString("en") + (view.n === 1 ? " image. " : " images. ") + view.text + few;
  byId("gallery").replaceChildren();
  grow();
  for (const button of document.querySelectorAll("button[data-view]")) press(button, button.dataset.view === id);
  return true;
}

for (const button of document.querySelectorAll("button[data-view]"))
  button.addEventListener("click", () => {
    history.replaceState(null, "", "#" + button.dataset.view);
    show(button.dataset.view);
    opener = button.closest("table") ? button : null;
    byId("back").hidden = opener === null;
    if (opener) {
      byId("images").scrollIntoView();
      byId("view-title").parentElement.focus({ preventScroll: true });
    }
  });

if (byId("gallery")) {
  byId("back").addEventListener("click", () => opener.focus());
  byId("more").addEventListener("click", () => {
    const first = grow();
    first.tabIndex = -1;
    first.focus({ preventScroll: true });
  });
}

// The matrix is a single Tab stop; an arrow key moves to the next number in its direction.

for (const table of document.querySelectorAll(".matrix")) {
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(1).map((cell) => cell.firstElementChild));
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const buttons = [...table.querySelectorAll("button")];
  if (!buttons.length) continue;
  const reach = (button) => buttons.forEach((one) => (one.tabIndex = one === button ? 0 : -1));
  reach(buttons[0]);
  rows.forEach((row, y) => row.forEach((button, x) => {
    if (!button) return;
    button.addEventListener("focus", () => reach(button));
    button.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step) return;
      event.preventDefault();
      let [i, j] = [y + step[0], x + step[1]];
      while (rows[i] && j in rows[i] && !rows[i][j]) [i, j] = [i + step[0], j + step[1]];
      if (rows[i] && rows[i][j]) rows[i][j].focus();
    });
  }));
}

// The map has one dot per image; the pointer selects the nearest dot, an arrow key the nearest in its direction.

const svg = byId("map");
const dots = [];
let here = null;
let highlighted = null;

function isMistake(one) {
  return one.label !== one.predicted;
}

function colour(one, byError) {
  if (byError) return isMistake(one) ? "var(--bad)" : "var(--quiet)";
  return "hsl(" + ((one.label * 137.5) % 360).toFixed(0) + " 65% 50%)";
}

function colourMap() {
  const byError = byId("by-error").getAttribute("aria-pressed") === "true";
  for (const dot of dots) {
    dot.mark.setAttribute("r", byError && isMistake(dot.one) ? 5 : 3.5);
    dot.mark.style.fill = colour(dot.one, byError);
    dot.mark.style.fillOpacity = byError && !isMistake(dot.one) ? 0.35 : 1;
    dot.mark.classList.toggle("faded", highlighted !== null && dot.one.label !== highlighted);
  }
}

function choose(dot) {
  if (!dot || dot === here) return;
  if (here) here.mark.classList.remove("here");
  here = dot;
  dot.mark.classList.add("here");
  svg.append(dot.mark);
  byId("map-image").replaceChildren(image(dot.number));
}

function nearest(cost) {
  let [best, least] = [null, Infinity];
  for (const dot of dots) {
    if (highlighted !== null && dot.one.label !== highlighted) continue;
    const value = cost(dot);
    if (value < least) [best, least] = [dot, value];
  }
  return best;
}

function pointed(event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const dot = nearest((one) => Math.hypot(one.x - at.x, one.y - at.y));
  if (dot && Math.hypot(dot.x - at.x, dot.y - at.y) < 25) choose(dot);
}

function stepped(event) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
  if (!dx && !dy) return;
  event.preventDefault();
  const from = here || { x: 300, y: 200 };
  choose(nearest((one) => {
    const along = (one.x - from.x) * dx + (one.y - from.y) * dy;
    const aside = Math.abs((one.x - from.x) * dy) + Math.abs((one.y - from.y) * dx);
    return along > 0 ? along + 2 * aside : Infinity;
  }));
}

if (svg) {
  for (const [x, y, number] of data.map) {
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    const dot = { x: 10 + 580 * x, y: 390 - 380 * y, number, one: data.images[number], mark };
    mark.setAttribute("cx", dot.x);
    mark.setAttribute("cy", dot.y);
    dots.push(dot);
  }
  dots.sort((a, b) => isMistake(a.one) - isMistake(b.one)); // mistakes are drawn on top
  svg.append(...dots.map((dot) => dot.mark));
  svg.addEventListener("pointermove", pointed);
  svg.addEventListener("pointerdown", pointed);
  svg.addEventListener("keydown", stepped);
  data.classes.forEach((name, label) => {
    const button = element("button", null, element("li", null, byId("legend")));
    button.type = "button";
    press(button, false);
    element("i", null, button).style.background = colour({ label }, false);
    element("bdi", name, button);
    button.title = name;
    button.addEventListener("click", () => {
      highlighted = highlighted === label ? null : label;
      byId("legend").querySelectorAll("button").forEach((one, i) => press(one, i === highlighted));
      colourMap();
    });
  });
  for (const name of ["by-label", "by-error"])
    byId(name).addEventListener("click", () => {
      for (const other of ["by-label", "by-error"]) press(byId(other), other === name);
      colourMap();
    });
  colourMap();
}

const first = data.views.find((view) => view.n > 0);
if (first && !show(location.hash.slice(1))) show(first.id);
