/** Numbers and sentences, as people read them. */

/** With a capital and a full stop. */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

/** A whole number with its thousands set apart. */
export function count(number) {
  return Math.round(number).toLocaleString("en");
}

/** About how long so many seconds are. */
export function duration(seconds) {
  if (seconds < 1) return "a moment";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Of so many bytes. */
export function fileSize(bytes) {
  if (!bytes) return "";
  const unit = Math.min(Math.floor(Math.log10(bytes) / 3), 4);
  const number = (bytes / 1000 ** unit).toLocaleString("en", { maximumSignificantDigits: 3 });
  return `${number} ${["bytes", "kB", "MB", "GB", "TB"][unit]}`;
}
