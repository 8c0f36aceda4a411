"use strict";

// The first rows of a predictions file, when somebody asks: a container has to read it, which takes a second or two.

const UNREADABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;
const LONGEST = 200;

// Six digits, as elsewhere on the page; whole numbers may be identifiers, and are left whole. A cell is text and no more.
function cellText(value) {
  if (value === null) return "-";
  if (typeof value === "number") return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
  const text = typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
  const shown = text.length > LONGEST ? `${[...text].slice(0, LONGEST).join("")}…` : text;
  return shown.replace(UNREADABLE, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

function cell(kind, value, scope) {
  const made = document.createElement(kind);
  if (scope) made.scope = scope;
  if (typeof value === "number") made.className = "number";
  const text = document.createElement("bdi");
  text.textContent = cellText(value);
  made.append(text);
  return made;
}

function table({ columns, rows }) {
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  head.append(...columns.map((name) => cell("th", name, "col")));
  const body = made.createTBody();
  for (const row of rows) {
    body.insertRow().append(...row.map((value, index) => (index === 0 ? cell("th", value, "row") : cell("td", value))));
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "group");
  scroll.setAttribute("aria-label", "Predictions");
  scroll.append(made);
  return scroll;
}

async function load(place, button, output) {
  button.disabled = true;
  output.textContent = "Reading the file…";
  try {
    const answer = await fetch(place.dataset.predictions);
    const content = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      output.textContent = typeof content.detail === "string" ? content.detail : `The server answered ${answer.status}`;
      button.disabled = false;
      return;
    }
    const [shown, total] = [content.rows.length, content.total_rows].map((count) => count.toLocaleString("en"));
    const told = content.rows.length === content.total_rows ? `All ${total} rows` : `The first ${shown} of ${total} rows`;
    output.textContent = `${told}, ${content.in_file ? "as they are in the file." : `from the record. ${content.sentence}`}`;
    place.replaceChildren(table(content));
    button.remove();
    place.querySelector(".scroll").focus();
  } catch (error) {
    output.textContent = `The server did not answer: ${error.message}`;
    button.disabled = false;
  }
}

const place = document.querySelector("[data-predictions]");
if (place?.dataset.inFile !== undefined) {
  const [line, button, output] = ["p", "button", "output"].map((kind) => document.createElement(kind));
  button.type = "button";
  button.textContent = "Show the first rows of the file";
  output.setAttribute("role", "status");
  line.append(button, " ", output);
  place.before(line);
  button.addEventListener("click", () => load(place, button, output));
}
