"use strict";
const byId = (id) => document.getElementById(id);
const figures = [...document.querySelectorAll("#gallery figure")];
const places = new Map(figures.map((figure, place) => [figure, place]));
const name = (figure) => figure.querySelector(".name").textContent;

// A skipped image has no confidence, and is therefore last in both orders by confidence.
const doubt = (figure) => (figure.dataset.confidence === "" ? 2 : Number(figure.dataset.confidence));
const sureness = (figure) => (figure.dataset.confidence === "" ? 2 : -Number(figure.dataset.confidence));
const orders = {
  class: (a, b) => places.get(a) - places.get(b),
  doubtful: (a, b) => doubt(a) - doubt(b),
  sure: (a, b) => sureness(a) - sureness(b),
  name: (a, b) => name(a).localeCompare(name(b)),
};

function filter() {
  const [label, status] = [byId("class").value, byId("status").value];
  let n = 0;
  for (const figure of figures) {
    const { class: own, status: state, seen } = figure.dataset;
    figure.hidden = (label !== "" && own !== label) || (status !== "" && state !== status && seen !== status);
    n += !figure.hidden;
  }
  byId("shown").textContent = n.toLocaleString("en") + " of " + figures.length.toLocaleString("en") + " images";
}

function order() {
  figures.sort(orders[byId("order").value] || orders.class);
  byId("gallery").append(...figures);
}

byId("class").addEventListener("change", filter);
byId("status").addEventListener("change", filter);
byId("order").addEventListener("change", order);
byId("controls").hidden = false;
filter();
order();
