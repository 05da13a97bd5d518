"use strict";

// --- light and dark -------------------------------------------------------------------------------------------

{
  const button = document.getElementById("theme");
  const themes = [["", "as the system"], ["light", "light"], ["dark", "dark"]];
  let chosen = 0;
  button.hidden = false;
  button.addEventListener("click", () => {
    chosen = (chosen + 1) % themes.length;
    const [theme, words] = themes[chosen];
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = `Colours: ${words}`;
  });
}

// --- the timeline of one trial --------------------------------------------------------------------------------

{
  const embedded = document.getElementById("data");
  const data = embedded ? JSON.parse(embedded.textContent) : [];
  const variants = document.getElementById("variant");
  const trials = document.getElementById("trial");

  const time = (s) => (Math.abs(s) >= 1 ? `${s.toFixed(3)} s` : `${(s * 1000).toFixed(3)} ms`);

  const element = (parent, name, attributes = {}, text = "") => {
    const svg = "http://www.w3.org/2000/svg";
    const made = parent.namespaceURI === svg || name === "svg"
      ? document.createElementNS(svg, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return parent.appendChild(made);
  };

  const draw = (moments) => {
    const place = document.getElementById("drawn");
    place.replaceChildren();
    if (!moments.length) return;
    const nodes = [...new Set(moments.map((m) => m.node))];
    const width = 1000, left = 130, right = 40, lane = 56, top = 30;
    const height = top + nodes.length * lane + 30;
    const begin = Math.min(0, ...moments.map((m) => m.at)), end = Math.max(...moments.map((m) => m.at), 1e-6);
    const x = (at) => left + (width - left - right) * (at - begin) / (end - begin);
    const svg = element(place, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `${moments.length} moments at ${nodes.length} nodes within ${time(end)}; the table below lists them.` });
    for (let i = 0; i <= 5; i++) {
      const at = begin + (end - begin) * i / 5;
      element(svg, "line", { class: "rule", x1: x(at), x2: x(at), y1: top, y2: height - 28 });
      element(svg, "text", { x: x(at), y: height - 10, "text-anchor": "middle" }, time(at));
    }
    nodes.forEach((node, i) => {
      const y = top + lane * (i + 0.5);
      element(svg, "line", { class: "rule", x1: left, x2: width - right, y1: y, y2: y });
      element(svg, "text", { x: left - 10, y: y + 4, "text-anchor": "end" }, node);
    });
    const taken = [];
    for (const moment of moments) {
      const y = top + lane * (nodes.indexOf(moment.node) + 0.5);
      const dot = element(svg, "circle", { class: moment.label ? "stage" : "moment", cx: x(moment.at), cy: y, r: moment.label ? 7 : 3.5 });
      element(dot, "title", {}, `${time(moment.at)} ${moment.node}: ${moment.what}`);
      if (!moment.label) continue;
      // A label is above its mark, or below it if another label is in the way; the table has them all.
      const half = 3.6 * moment.label.length;
      const middle = Math.min(x(moment.at), width - half);
      const free = [y - 12, y + 20].find((row) =>
        !taken.some((other) => other.row === row && Math.abs(other.middle - middle) < other.half + half));
      if (free === undefined) continue;
      element(svg, "text", { x: middle, y: free, "text-anchor": "middle" }, moment.label);
      taken.push({ row: free, middle, half });
    }
  };

  const show = () => {
    const group = data[variants.selectedIndex], trial = group.trials[trials.selectedIndex];
    const status = trial.status === "valid" ? "" : ` Not drawn: ${trial.status}: ${trial.reason}.`;
    const flags = trial.flags.length ? ` Flags: ${trial.flags.join("; ")}.` : "";
    document.getElementById("trial-summary").textContent =
      `Trial ${trial.number} of ${group.variant}, started ${trial.started}.${status}${flags}`;
    draw(trial.status === "valid" ? trial.moments : []);
    const table = document.getElementById("moments"), body = table.tBodies[0];
    table.hidden = false;
    body.replaceChildren();
    for (const moment of trial.moments) {
      const row = body.insertRow();
      element(row, "td", { class: "number" }, time(moment.at));
      element(row, "td", { class: "number" }, moment.error === null ? "" : `± ${time(moment.error)}`);
      element(row, "td", {}, moment.node);
      element(row, "th", { scope: "row" }, moment.what);
    }
    // A disabled button would lose the focus.
    document.getElementById("previous").setAttribute("aria-disabled", trials.selectedIndex === 0);
    document.getElementById("next").setAttribute("aria-disabled", trials.selectedIndex === trials.length - 1);
  };

  const offer = () => {
    trials.replaceChildren();
    for (const trial of data[variants.selectedIndex].trials) {
      element(trials, "option", {}, trial.status === "valid" ? `${trial.number}` : `${trial.number} (${trial.status})`);
    }
    show();
  };

  const step = (by) => () => {
    trials.selectedIndex = Math.min(Math.max(trials.selectedIndex + by, 0), trials.length - 1);
    show();
  };

  if (data.length) {
    for (const group of data) element(variants, "option", {}, group.variant);
    document.getElementById("picker").hidden = false;
    variants.addEventListener("change", offer);
    trials.addEventListener("change", show);
    document.getElementById("previous").addEventListener("click", step(-1));
    document.getElementById("next").addEventListener("click", step(1));
    offer();
  }
}
