"use strict";

// Sends a table as it is: by XMLHttpRequest, which alone says how much has been sent.

const form = document.querySelector("#upload-form");

function upload(form) {
  const file = form.elements.file.files[0];
  const [output, progress, button] = ["output", "progress", "button"].map((name) => form.querySelector(name));
  const limit = Number(form.dataset.limit);
  if (file.size > limit) {
    output.textContent = `It has ${file.size.toLocaleString("en")} bytes, and ${limit.toLocaleString("en")} are taken at most (BULKHEAD_UPLOAD_LIMIT).`;
    return;
  }
  const request = new XMLHttpRequest();
  request.open("POST", `${document.body.dataset.root}/api/v1/inputs/${encodeURIComponent(form.elements.name.value)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.responseType = "json";
  request.upload.addEventListener("progress", (event) => {
    progress.value = event.total ? (100 * event.loaded) / event.total : 0;
    output.textContent = event.loaded < event.total ? "Sending …" : "Sent; it is being looked through …";
  });
  const ended = (words) => {
    output.textContent = words;
    progress.hidden = true;
    button.disabled = false;
  };
  request.addEventListener("load", () => {
    const detail = request.response?.detail;
    if (request.status === 201) {
      ended(request.response.sentence);
      const again = document.createElement("a");
      again.href = location.pathname;
      again.textContent = "Show it";
      output.append(" ", again);
    } else ended(typeof detail === "string" ? detail : `The server answered ${request.status}.`);
  });
  request.addEventListener("error", () => ended("The server did not answer, or took no more of it. Send it again."));
  progress.hidden = false;
  button.disabled = true;
  output.textContent = "Sending …";
  request.send(file);
}

if (form) {
  const drop = document.querySelector("#drop");
  const nameAsTheFile = () => {
    form.elements.name.value = form.elements.file.files[0]?.name ?? "";
  };
  form.elements.file.addEventListener("change", nameAsTheFile);
  // Who was quicker than this script has chosen already.
  if (!form.elements.name.value) nameAsTheFile();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    upload(form);
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind !== "drop" || !event.dataTransfer.files.length) return;
      form.elements.file.files = event.dataTransfer.files;
      form.elements.file.dispatchEvent(new Event("change"));
    });
  }
}
