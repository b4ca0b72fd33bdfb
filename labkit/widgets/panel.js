// Shows in the page what Python has written, and tells Python what the reader does.
// One message is under way at a time; of a control that moves on meanwhile only its last
// value is sent, so that a slider never runs ahead of the kernel.

const BUSY_AFTER = 1500; // milliseconds without an answer until the page says so

function read(input) {
  if (input.type === "checkbox") return input.checked;
  if (input.type === "range" || input.type === "number") return input.valueAsNumber;
  return input.value;
}

function write(input, value) {
  if (input.type === "checkbox") input.checked = value;
  else if (input.type === "radio") input.checked = input.value === value;
  else if (input.type !== "file" && input.value !== String(value)) input.value = value;
}

export default {
  render({ model, el }) {
    const waiting = new Map(); // control name to what is to be said
    const shown = new Map(); // part name to the HTML that is in the page
    let under_way = null;
    let timer = 0;

    const places = (kind, name) => el.querySelectorAll(`[data-${kind}="${CSS.escape(name)}"]`);

    function showParts() {
      for (const [name, html] of Object.entries(model.get("_parts"))) {
        if (shown.get(name) === html) continue;
        shown.set(name, html);
        for (const place of places("part", name)) place.innerHTML = html;
      }
    }

    function showValues() {
      for (const [name, value] of Object.entries(model.get("_values"))) {
        if (waiting.has(name)) continue; // the reader has moved on
        for (const input of places("control", name)) {
          if (value !== null && typeof value === "object") Object.assign(input, value);
          else write(input, value);
        }
      }
    }

    function showPage() {
      el.innerHTML = model.get("_page");
      // JupyterLab's one-key shortcuts are not meant for somebody who is at a control.
      for (const input of el.querySelectorAll("input, button, select"))
        input.setAttribute("data-lm-suppress-shortcuts", "true");
      shown.clear();
      showParts();
      showValues();
    }

    function next() {
      if (under_way !== null || waiting.size === 0) return;
      const [control, { value, buffers }] = waiting.entries().next().value;
      waiting.delete(control);
      under_way = `${Date.now()}-${Math.random()}`;
      model.send({ control, value, token: under_way }, undefined, buffers);
      timer = setTimeout(() => el.classList.add("labkit-busy"), BUSY_AFTER);
    }

    function say(control, value, buffers = []) {
      waiting.set(control, { value, buffers });
      next();
    }

    function answered() {
      if (model.get("_answered") !== under_way) return;
      clearTimeout(timer);
      el.classList.remove("labkit-busy");
      under_way = null;
      next();
    }

    async function sayFile(input) {
      const file = input.files[0];
      if (!file) return;
      const about = { name: file.name, size: file.size };
      // A larger message would end the kernel's connection without a word.
      const fits = file.size <= Number(input.dataset.limit);
      say(input.dataset.control, about, fits ? [await file.arrayBuffer()] : []);
      input.value = ""; // so that the same file can be chosen again
    }

    async function copy(button) {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Press Ctrl+C";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    }

    el.addEventListener("input", ({ target }) => {
      if (target.dataset.control && target.type !== "file") say(target.dataset.control, read(target));
    });
    el.addEventListener("change", ({ target }) => {
      if (target.dataset.control && target.type === "file") sayFile(target);
    });
    el.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button?.dataset.control) say(button.dataset.control, button.value);
      else if (button?.dataset.copy !== undefined) copy(button);
    });
    el.addEventListener("submit", (event) => event.preventDefault());
    // A kernel that starts anew knows nothing of this widget. JupyterLab's widget manager
    // marks some of these cases with the same class, and none where the kernel has crashed.
    const gone = () => el.classList.add("jupyter-widgets-disconnected");
    const onStatus = (_, status) => {
      if (["restarting", "autorestarting", "terminating", "dead"].includes(status)) gone();
    };
    const kernel = model.widget_manager?.kernel;
    kernel?.statusChanged?.connect(onStatus);
    kernel?.disposed?.connect(gone);

    el.classList.add("labkit-live", `labkit-live-${model.get("_key")}`);
    model.on("change:_page", showPage);
    model.on("change:_parts", showParts);
    model.on("change:_values", showValues);
    model.on("change:_answered", answered);
    showPage();
    return () => {
      kernel?.statusChanged?.disconnect(onStatus);
      kernel?.disposed?.disconnect(gone);
      model.off("change:_page", showPage);
      model.off("change:_parts", showParts);
      model.off("change:_values", showValues);
      model.off("change:_answered", answered);
    };
  },
};
