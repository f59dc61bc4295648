/** Light or dark: as the system has it, until somebody chooses. */

const KEY = "ourgan-theme";

/** Take what was chosen before, and let `button` change it. */
export function offerThemes(button) {
  const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const tell = () => button.setAttribute("aria-label", isDark() ? "Light appearance" : "Dark appearance");
  const chosen = localStorage.getItem(KEY);
  if (chosen) document.documentElement.dataset.theme = chosen;
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(KEY, theme);
    tell();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
  tell();
}
