// Light or dark: as the system is, or as the visitor chose. early.js sets the choice of the last visit.

const STORAGE_KEY = "tickcast.theme";
const CHOICES = ["system", "light", "dark"];

export class Theme {
  choice; // "system", "light" or "dark"
  #storage;

  // storage is localStorage, or null where there is none.
  constructor(storage) {
    this.#storage = storage;
    try {
      const stored = storage?.getItem(STORAGE_KEY);
      this.choice = CHOICES.includes(stored) ? stored : "system";
    } catch {
      this.choice = "system";
    }
  }

  // The choice that follows this one.
  get next() {
    return CHOICES[(CHOICES.indexOf(this.choice) + 1) % CHOICES.length];
  }

  // Chooses, and remembers it.
  choose(choice) {
    this.choice = choice;
    try {
      if (choice === "system") this.#storage?.removeItem(STORAGE_KEY);
      else this.#storage?.setItem(STORAGE_KEY, choice);
    } catch {
      // Full or forbidden: this visit alone has it.
    }
  }
}

// Makes a button go through the choices, and calls onchange() when the colours of the page have changed.
export function bindTheme(button, theme, onchange) {
  const show = () => {
    const { choice } = theme;
    const root = document.documentElement;
    if (choice === "system") delete root.dataset.theme;
    else root.dataset.theme = choice;
    button.dataset.choice = choice;
    button.title = `Colours: ${choice === "system" ? "as the system" : choice}`;
    button.setAttribute("aria-label", button.title);
  };
  button.addEventListener("click", () => {
    theme.choose(theme.next);
    show();
    onchange();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onchange);
  show();
}

// The colours of the page's variables, such as "--up", as a canvas takes them.
export function colorsOf(...names) {
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const colors = names.map((name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return colors;
}
