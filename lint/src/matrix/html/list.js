"use strict";
(() => {
  const form = document.getElementById("filter");
  const name = document.getElementById("name");
  const workloads = [...document.querySelectorAll("#people details")];
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    const part = name.value.trim().toLowerCase();
    for (const workload of workloads) {
      workload.hidden = !workload.firstElementChild.textContent.toLowerCase().includes(part);
    }
  });
})();
