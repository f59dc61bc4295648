/** The panel with its tabs, and the strip: what of them is seen. */

export const NARROW = matchMedia("(max-width: 700px)");

const $ = (id) => document.getElementById(id);

/** Show the panel with one of its tabs; null: hide it. */
export function openPanel(tab) {
  $("panel").hidden = tab === null;
  $("settings").setAttribute("aria-expanded", tab !== null);
  for (const button of document.querySelectorAll("[role=tab]")) {
    const isThis = button.dataset.tab === tab;
    if (tab !== null) button.setAttribute("aria-selected", isThis);
    if (tab !== null) button.tabIndex = isThis ? 0 : -1;
    if (tab !== null) $(button.getAttribute("aria-controls")).hidden = !isThis;
  }
}

/** Hide the panel, and give the focus to what shows it. */
export function closePanel() {
  openPanel(null);
  $("settings").focus();
}

function showStrip(isShown) {
  $("strip").hidden = !isShown;
  document.querySelector("#seeds [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  $("seeds-toggle").setAttribute("aria-expanded", isShown);
}

/** Make them work; on phones the picture comes first. */
export function arrange() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const [index, button] of tabs.entries()) {
    button.addEventListener("click", () => openPanel(button.dataset.tab));
    button.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      openPanel(next.dataset.tab);
      next.focus();
    });
  }
  document.querySelector("[role=tablist]").addEventListener("keydown", (event) => event.stopPropagation());
  $("settings").addEventListener("click", () => openPanel($("panel").hidden ? "picture" : null));
  $("close").addEventListener("click", closePanel);
  $("seeds-toggle").addEventListener("click", () => showStrip($("strip").hidden));
  $("keys").addEventListener("click", () => $("help").showModal());
  openPanel(NARROW.matches ? null : "picture");
  showStrip(!NARROW.matches);
}
