// Runs before the first paint, so that a chosen theme does not flash. The rest is in theme.js.

try {
  const chosen = localStorage.getItem("tickcast.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Forbidden: the page looks as the system does.
}
